"""Whether a record keeps record.schema.json: yes or no by a compiled validator, the words by one that can explain.

A board reads thousands of records, and nearly all are sound: only what isn't goes to the slow validator.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

import jsonschema_rs
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match


@cache
def schema() -> dict[str, Any]:
    """The schema itself."""
    text = resources.files("usbench.results").joinpath("result.schema.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


@cache
def _compiled() -> Any:
    """Says yes or no in some hundredths of a millisecond; a number that is NaN or infinite is a no."""
    return jsonschema_rs.validator_for(schema())


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(schema())


def _is_sound(record: object) -> bool:
    """Whether a record keeps the schema and every number is finite; a value that JSON doesn't have is a no."""
    try:
        return bool(_compiled().is_valid(record))
    except (TypeError, ValueError):
        return False


def _broken(record: object) -> str | None:
    """The words for a record that isn't sound."""
    key = next(_not_finite(record, ""), None)
    if key is not None:
        return f"key {key}: wanted a finite number, or null with a reason, found NaN or infinity"
    error = best_match(_validator().iter_errors(record))
    if error is None:
        return None
    words = " ".join(error.message.split())
    found = words if len(words) <= 160 else f"{words[:80]} … {words[-79:]}"
    return f"key {error.json_path.removeprefix('$').removeprefix('.') or '(top level)'}: {found}"


def _not_finite(value: object, key: str) -> Iterator[str]:
    """The keys below `key` that hold NaN or infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        yield key
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _not_finite(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, (list, tuple)):
        for n, item in enumerate(value):
            yield from _not_finite(item, f"{key}[{n}]")


def fault(record: object) -> str | None:
    """What is wrong with a record as one line that names the key, or None where it keeps the schema.

    Beyond the schema: no number is NaN or infinite, and `primary` repeats the figure of that name in `scores`.
    """
    wrong = None if _is_sound(record) else _broken(record)
    if wrong is not None:
        return wrong
    assert isinstance(record, dict)
    if record["status"] != "done":
        return None
    primary, scores = record["primary"], record["scores"]
    if primary["name"] not in scores:
        return f"key primary.name: wanted one of {', '.join(scores)}, found {primary['name']}"
    value = scores[primary["name"]]["value"]
    if primary["value"] != value:
        return f"key primary.value: wanted scores.{primary['name']}.value = {value}, found {primary['value']}"
    return None
