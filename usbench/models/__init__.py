"""Models: a framework each in a module of its own, reached by Hydra's `_target_`; nothing here imports torch."""
