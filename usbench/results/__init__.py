"""Results on disk: one JSON file per run, its case table, its stored predictions and their scores.

It must not know Hydra, torch, or how a run is started.
"""
