"""Metrics: pairs of target and prediction, and a protocol → scores, intervals, comparisons.

Pure NumPy; only modules.py imports torch. Nothing here reads or writes files.
"""
