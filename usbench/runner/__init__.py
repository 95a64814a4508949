"""One run, from its resolved configuration to its published result, in a process of its own.

It must not know the leaderboard or how a sweep chooses its runs.
"""
