"""Tables of runs: planned, searched and estimated before the first one starts.

It must not know the leaderboard or models.
"""
