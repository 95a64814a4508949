"""What decides a run's predictions, and its hash: the run id.

A class of usbench enters by its `name` and `version`, so that moving a module changes no id. Any
other class enters by its dotted path and the sha256 of its module's source, and of the modules
that this imports from its own folder. Nothing is imported for that: a model's module would bring
torch with it.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterator, Mapping
from importlib.machinery import PathFinder
from pathlib import Path

from usbench.errors import ConfigError
from usbench.io.files import canonical_json, file_sha256

INSTALLED = {"site-packages", "dist-packages"}  # folders


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


def class_identity(target: str) -> str:
    """A class of usbench as "name version", any other as "dotted.path sha256 …".

    The first sha256 is of its module's source, further ones of what that imports from its own
    folder. Nothing of it is remembered: in a notebook a source may change between two runs.

    Raises:
        ConfigError: there is no such module, or a class of usbench doesn't state both.
    """
    module, _, name = target.rpartition(".")
    source = find_source(module)
    if source is None:
        raise ConfigError(
            f"_target_={target}: no module {module}; looked in the working directory ({Path.cwd()}) "
            "and on PYTHONPATH"
        )
    if target.startswith("usbench."):
        return stated_identity(source, name, target)
    contents = [content for _, content in sorted(own_sources(module, source).items())]
    hashes = (hashlib.sha256(content).hexdigest() for content in contents)
    return " ".join([target, *dict.fromkeys([file_sha256(source), *hashes])])


@functools.cache
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


def own_sources(module: str, source: Path) -> dict[str, bytes]:
    """The source of a module and of those that it imports from its own folder, by name.

    The folder is the one on the module search path that holds it, or its package. Of an installed
    package the module stands alone.
    """
    folder = search_folder(module)
    sources = {module: source.read_bytes()}
    if INSTALLED & set(source.parts):
        return sources
    pending = list(imported_names(module, source, sources[module]))
    while pending:
        name = pending.pop()
        found = None if name in sources or name.split(".")[0] == "usbench" else find_source(name)
        if found and search_folder(name) == folder:
            sources[name] = found.read_bytes()
            pending += imported_names(name, found, sources[name])
    return sources


def imported_names(module: str, source: Path, content: bytes) -> Iterator[str]:
    """What a source imports, by full name; of `from a import b` both a and a.b, which may be one.

    Raises:
        ConfigError: it isn't Python.
    """
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"{source}: expected Python: {error}") from error
    package = module.split(".") if source.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            origin = ".".join([*base, *filter(None, [node.module])])
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def search_folder(module: str) -> Path | None:
    """The folder on the module search path that holds a module or its outermost package."""
    spec = PathFinder.find_spec(module.split(".")[0])
    if spec is None or not (spec.origin or spec.submodule_search_locations):
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).parent
    return Path(str(spec.origin)).parent


def find_source(module: str) -> Path | None:
    """The source file of a module or package, without importing anything."""
    path, source = None, None
    parts = module.split(".")
    for depth in range(len(parts)):
        if depth and path is None:  # a module holds no others
            return None
        spec = PathFinder.find_spec(".".join(parts[: depth + 1]), path)
        if spec is None:
            return None
        source, path = spec.origin, spec.submodule_search_locations
    return Path(source) if source and source.endswith(".py") else None
