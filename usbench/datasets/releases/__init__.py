"""Releases that the generic layouts don't read alone: one module each.

It must not know models, metrics or results.
"""
