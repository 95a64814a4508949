"""What decides a run's predictions, and its hash: the run id.

A class of usbench enters by its `name` and `version`, so that moving a module changes no id. Any
other class enters by its dotted path and the sha256 of its module's source. Nothing is imported for
that: a model's module would bring torch with it.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from usbench.errors import ConfigError
from usbench.io.files import canonical_json

NOT_DECISIVE = ("unstated", "note")  # entries of a recipe that are for people


def short_hash(value: Any) -> str:
    """The first 12 hex digits of the sha256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:12]


def identify(node: Any) -> Any:
    """A configuration node with each `_target_` replaced by what identifies its class."""
    if isinstance(node, Mapping):
        items = {key: identify(value) for key, value in node.items() if key != "_target_"}
        if "_target_" in node:
            items["class"] = class_identity(str(node["_target_"]))
        return items
    if isinstance(node, (list, tuple)):
        return [identify(value) for value in node]
    return node


@functools.cache
def class_identity(target: str) -> str:
    """A class of usbench as "name version", any other as "dotted.path sha256".

    Raises:
        ConfigError: there is no such module, or a class of usbench doesn't state both.
    """
    module, _, name = target.rpartition(".")
    source = find_source(module)
    if source is None:
        raise ConfigError(f"_target_={target}: no module {module}; check the name and PYTHONPATH")
    if target.startswith("usbench."):
        return stated_identity(source, name, target)
    return f"{target} {hashlib.sha256(source.read_bytes()).hexdigest()}"


def stated_identity(source: Path, name: str, target: str) -> str:
    """The `name` and `version` that a class states in its body, read from the source."""
    for node in ast.parse(source.read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            stated = dict(constants(node))
            if {"name", "version"} <= stated.keys():
                return f"{stated['name']} {stated['version']}"
    raise ConfigError(
        f"_target_={target}: expected a class of {source.name} with a name and a version"
    )


def constants(node: ast.ClassDef) -> list[tuple[str, Any]]:
    """(attribute, value) of the class's assignments of constants."""
    pairs: list[tuple[str, Any]] = []
    for statement in node.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
            pairs += [
                (target.id, statement.value.value)
                for target in statement.targets
                if isinstance(target, ast.Name)
            ]
    return pairs


def find_source(module: str) -> Path | None:
    """The source file of a module, or of the package nearest to it, without importing anything."""
    path, source = None, None
    parts = module.split(".")
    for depth in range(len(parts)):
        spec = PathFinder.find_spec(".".join(parts[: depth + 1]), path)
        if spec is None:
            return None
        source, path = spec.origin, spec.submodule_search_locations
    return Path(source) if source and source.endswith(".py") else None
