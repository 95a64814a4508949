"""JSON schemas that ship with a package, compiled once; a fault is one line that names the key."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources

import jsonschema_rs

from usbench.errors import in_one_line
from usbench.io.files import JsonObject

LONGEST_MESSAGE = 160  # characters; a fault is one line
JSON_TYPES = (str, int, float, bool, type(None))


class Schema:
    """A JSON schema and its compiled validator."""

    def __init__(self, content: JsonObject) -> None:
        self.content = content
        self.validator = jsonschema_rs.validator_for(content)

    def accepts(self, value: object) -> bool:
        """Whether a value keeps the schema; one that JSON can't hold doesn't."""
        try:
            return self.validator.is_valid(value)
        except (TypeError, ValueError):
            return False


@cache
def load_schema(package: str, name: str) -> Schema:
    """Load a schema file of a package, such as ("usbench.results", "result.schema.json")."""
    return Schema(json.loads(resources.files(package).joinpath(name).read_text("utf-8")))


def find_fault(schema: Schema, value: object, at: str = "") -> str | None:
    """Find out what is wrong with a value, as one line "key a.b[2]: …"; None where it is valid.

    Args:
        schema: the schema to keep; beyond it, no number may be NaN or infinite.
        value: JSON as Python reads it.
        at: the key of `value` itself, if it is part of something larger.
    """
    if schema.accepts(value):
        return None
    for key, fault in _find_non_json(value, at):
        return describe_fault(key, fault)
    error = _most_relevant(schema.validator.iter_errors(value))
    return describe_fault(_format_key(error.instance_path, at), error.message)


def describe_fault(key: str, message: str) -> str:
    """Format a fault as one line, not too long."""
    line = in_one_line(message)
    if len(line) > LONGEST_MESSAGE:
        half = LONGEST_MESSAGE // 2
        line = f"{line[:half]} … {line[1 - half :]}"
    return f"key {key or '(top level)'}: {line}"


def _find_non_json(value: object, key: str) -> Iterator[tuple[str, str]]:
    """(key, fault) of everything at or below `key` that JSON can't hold."""
    if isinstance(value, float) and not math.isfinite(value):
        yield key, "expected a finite number, or null with a reason, got NaN or infinity"
    elif isinstance(value, Mapping):
        for name, item in value.items():
            if not isinstance(name, str):
                yield key, f"expected text as key, got {name!r}"
            yield from _find_non_json(item, _format_key([str(name)], key))
    elif isinstance(value, (list, tuple)):
        for n, item in enumerate(value):
            yield from _find_non_json(item, _format_key([n], key))
    elif not isinstance(value, JSON_TYPES):
        yield key, f"expected a value that JSON has, got {type(value).__name__}"


def _format_key(path: Iterable[str | int], at: str) -> str:
    """Format a path below the key `at`, such as a.b[2]."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return (at + "".join(parts)).removeprefix(".")


def _most_relevant(
    errors: Iterable[jsonschema_rs.ValidationError],
) -> jsonschema_rs.ValidationError:
    """Choose the error that explains most: the outermost, and of alternatives the closest one.

    An alternative (anyOf, oneOf) is explained by its deepest error, since a branch that fails
    deeper inside the value comes closer to fitting; if several are as deep, by its own message.
    """
    best = min(errors, key=lambda error: (len(error.instance_path), bool(_alternatives(error))))
    while inner := _alternatives(best):
        depth = max(len(error.instance_path) for error in inner)
        deepest = [error for error in inner if len(error.instance_path) == depth]
        if len(deepest) > 1:
            break
        best = deepest[0]
    return best


def _alternatives(error: jsonschema_rs.ValidationError) -> list[jsonschema_rs.ValidationError]:
    """The errors of all alternatives, if none of several schemas fits; else []."""
    kinds = (
        jsonschema_rs.ValidationErrorKind.AnyOf,
        jsonschema_rs.ValidationErrorKind.OneOfNotValid,
    )
    return list(itertools.chain(*error.kind.context)) if isinstance(error.kind, kinds) else []
