"""Results and published numbers → rows, ranks and verdicts → Markdown, CSV and pages.

It must not know torch, Hydra or how a run is started.
"""
