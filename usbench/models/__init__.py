"""Models: a framework each in a module of its own, reached by Hydra's `_target_`; nothing here imports torch."""

CACHE_VERSION = 1  # part of every run's key and of a cached array's name: bump it when decoded pixels change meaning
