"""Models: samples → predictions, each framework in a module of its own, built by `_target_`.

It must not know datasets, metrics, results or Hydra; nothing here imports torch.
"""

# Part of every run id and of a cached array's name: raise it when decoded pixels change meaning.
CACHE_VERSION = 1
