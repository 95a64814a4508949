"""What decides a run's predictions, and its hash: the run id.

A class of usbench enters by its `name` and `version`, so that moving a module changes no id. Any
other class enters by its dotted path and the sha256 of its module's source. Nothing is imported for
that: a model's module would bring torch with it.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterator, Mapping
from importlib.machinery import PathFinder
from pathlib import Path

from usbench.errors import ConfigError
from usbench.io.files import canonical_json


def short_hash(value: object) -> str:
    """The first 12 hex digits of the sha256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:12]


def identify(node: object) -> object:
    """A configuration node with each `_target_` replaced by what identifies its class."""
    if isinstance(node, Mapping):
        items = {key: identify(value) for key, value in node.items() if key != "_target_"}
        if "_target_" in node:
            items["class"] = class_identity(str(node["_target_"]))
        return items
    return [identify(value) for value in node] if isinstance(node, (list, tuple)) else node


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


def constants(node: ast.ClassDef) -> Iterator[tuple[str, object]]:
    """(attribute, value) of the class's assignments of constants."""
    for statement in node.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=value)):
                yield name, value


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
