"""Metrics: pure functions of pairs (truth, prediction) and a named rule; NumPy, no torch (but for modules.py)."""
