"""Metrics: pairs of (target, prediction) and an evaluation protocol → scores, intervals, comparisons.

Pure NumPy; only modules.py imports torch. Nothing here reads or writes files.
"""
