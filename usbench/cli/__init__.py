"""The command line and the Python API: what a user types, and what goes wrong, in one line.

It may use every other package; no other package may use it.
"""
