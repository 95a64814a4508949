"""What a composed configuration's model and metric must have, whoever wrote their YAML."""

from __future__ import annotations

from collections.abc import Mapping

from usbench.datasets.config import check_bibtex
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
        "needs_weights": bool,
        "build": dict,
        "recipes": dict,
    },
}
# of a model whose YAML leaves them out: pickled is the careful choice, bf16 [] is fp32 everywhere
DEFAULTS: Mapping[str, object] = {
    "version": 1,
    "pickled": True,
    "bf16": [],
    "needs_weights": False,
}


def complete_groups(composed: Composed) -> Composed:
    """The configuration with the defaults of its model, whose parts and the metric's are checked.

    Raises:
        ConfigError: some are missing, null or of another kind; the message names all of them. Or
            the model's `bibtex` isn't BibTeX.
    """
    stated = {key: value for key, value in composed["model"].items() if value is not None}
    composed = {**composed, "model": {**DEFAULTS, **stated}}
    for group in ("model", "metric"):
        faults = find_faults(composed.get(group) or {}, PARTS[group], group)
        if faults:
            raise ConfigError(f"{'; '.join(faults)} (conf/README.md shows a whole YAML)")
    check_bibtex(composed["model"].get("bibtex"), f"model={composed['model']['name']}")
    recipes = composed["model"]["recipes"]
    faults = find_faults(recipes, dict.fromkeys(recipes, dict), "model.recipes")
    if faults:
        raise ConfigError("; ".join(faults))
    return composed


def find_faults(node: Composed, parts: Mapping[str, type], name: str) -> list[str]:
    """What is missing, in one entry, and what is of another kind."""
    missing = [f"{key} ({KINDS[kind]})" for key, kind in parts.items() if node.get(key) is None]
    faults = [f"{name}: expected {', '.join(missing)} in its YAML, got none"] if missing else []
    for key, kind in parts.items():
        value = node.get(key)
        if value is not None and not isinstance(value, kind):
            faults.append(f"{name}.{key}: expected {KINDS[kind]}, got {value!r}")
    return faults
