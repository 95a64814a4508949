"""What a composed configuration's model and metric must have, whoever wrote their YAML."""

from __future__ import annotations

from collections.abc import Mapping

from usbench.errors import ConfigError
from usbench.io.config import Composed

KINDS: Mapping[type, str] = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    dict: "keys with values",
}
PARTS: Mapping[str, Mapping[str, type]] = {
    "metric": {"_target_": str, "task": str, "protocols": list},
    "model": {
        "name": str,
        "task": str,
        "version": int,
        "pickled": bool,
        "bf16": list,
        "build": dict,
        "recipes": dict,
    },
}


def check_groups(composed: Composed) -> None:
    """Check that the model and the metric have their parts.

    Raises:
        ConfigError: one is missing, null or of another kind; the message names its key.
    """
    for group, parts in PARTS.items():
        require(composed, group, dict, group)
        for key, kind in parts.items():
            require(composed[group], key, kind, f"{group}.{key}")
    for name in composed["model"]["recipes"]:
        require(composed["model"]["recipes"], name, dict, f"model.recipes.{name}")


def require(node: Mapping[str, object], key: str, kind: type, name: str) -> None:
    """Raise ConfigError where a part is missing or of another kind."""
    value = node.get(key)
    if not isinstance(value, kind):
        got = "none" if value is None else repr(value)
        raise ConfigError(f"{name}: expected {KINDS[kind]}, got {got}")
