"""The leaderboard, the catalogue and single results as pages that open from disk.

Nothing here computes a score: rows and texts come from leaderboard/build.py and columns.py.
"""
