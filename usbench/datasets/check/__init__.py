"""Checks of a release: counts, damaged files, duplicates, train–test leakage.

It must not know models, metrics or results.
"""
