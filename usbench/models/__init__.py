"""Models: samples → predictions, each framework in a module of its own, built by `_target_`.

It must not know datasets, metrics, results or Hydra; nothing here imports torch.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from usbench.errors import ConfigError

T = TypeVar("T")

# Part of every run id and of a cached array's name: raise it when decoded pixels change meaning.
CACHE_VERSION = 1
# A training recipe as a YAML of conf/model states it; whoever reads a key checks its value.
Recipe = Mapping[str, Any]


def look_up(table: Mapping[str, T], name: str, key: str) -> T:
    """The entry of a table that a configuration names under a key; ConfigError for another name."""
    if name not in table:
        raise ConfigError(f"{key}: expected one of {', '.join(table)}, got {name!r}")
    return table[name]
