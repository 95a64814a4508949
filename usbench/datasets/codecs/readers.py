"""Text, JSON, XML and CSV files as people and spreadsheets save them, and the checks that their values
pass; what can't be read is a DataError.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from usbench.datasets.codecs.image import MOST_PIXELS
from usbench.errors import DataError
from usbench.io.files import JsonObject
from usbench.io.plain_text import has_controls

LARGEST = 1e6  # px of a coordinate, far outside any image
NUMBERS = frozenset({int, float})  # of JSON; a bool is neither
# As csv.DictReader gives it: a cell that is missing is None, cells too many lie at the key None.
CsvRow = dict[str | Any, str | Any]
# A decimal number as text; float() would take nan and 1_0 too.
NUMBER = re.compile(r"[+-]?(\d{1,30}(\.\d{0,60})?|\.\d{1,60})([eE][+-]?\d{1,3})?", re.ASCII)


def read_text(path: Path, expected: str) -> str:
    """Read a UTF-8 file, with or without a byte order mark.

    Args:
        path: the file.
        expected: what it should hold, for the error.

    Raises:
        DataError: the file is missing or isn't such text.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, expected, error, "fetch it again") from error


def read_lines(path: Path, expected: str) -> list[str]:
    """Read the lines of a text file; see `read_text`."""
    return split_lines(read_text(path, expected))


def split_lines(text: str) -> list[str]:
    """Split at the line ends of every system.

    Not str.splitlines, which cuts names at rarer separators too.
    """
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def read_json(
    path: Path,
    expected: str,
    advice: str = "fetch it again",
    make_object: Callable[[list[tuple[str, Any]]], Any] | None = None,
) -> Any:
    """Read a JSON file.

    Args:
        path: the file.
        expected: what it should hold, for the error.
        advice: what to do if it can't be read.
        make_object: makes an object of its (key, value) pairs, instead of a dict.

    Raises:
        DataError: the file is missing, cut off or damaged.
    """
    try:
        return json.loads(path.read_bytes(), object_pairs_hook=make_object)
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, expected, error, advice) from error


def read_xml(path: Path, expected: str, tag: str) -> ET.Element:
    """Read an XML file; return its root.

    Args:
        path: the file.
        expected: what it should hold, for the error.
        tag: of its root.

    Raises:
        DataError: the file is missing, cut off or damaged, has another root, or a DOCTYPE, which
            is never expanded.
    """
    text = read_text(path, expected)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DataError(f"{path}: expected {expected}, got a DOCTYPE or entity; remove it")
    try:
        root = ET.fromstring(text)
    except (ValueError, ET.ParseError) as error:
        raise _unreadable(path, expected, error, "fetch it again") from error
    if root.tag != tag:
        raise DataError(
            f"{path}: expected {expected}, got <{root.tag}> for <{tag}>; replace the file"
        )
    return root


def find_delimiter(text: str) -> str:
    """What separates a CSV's cells: some spreadsheets save semicolons, with decimal commas."""
    head = text.split("\n", 1)[0]
    return ";" if head.count(";") > head.count(",") else ","


def read_rows(
    path: Path, text: str, columns: Sequence[str], expected: str
) -> Iterator[tuple[int, CsvRow]]:
    """(line, row) of a CSV.

    Args:
        path: the file, for the error.
        text: its content.
        columns: those that a row must have; others may be there.
        expected: what the file should hold, for the error.

    Raises:
        DataError: a missing column, or text that is no CSV.
    """
    table = csv.DictReader(io.StringIO(text, newline=""), delimiter=find_delimiter(text))
    try:
        require_columns(path, table.fieldnames or (), columns, expected)
        for row in table:
            yield table.line_num, row
    except csv.Error as error:
        raise DataError(
            f"{path}: expected {expected}, got a damaged CSV ({error}); save it again"
        ) from error


def require_columns(
    path: Path, header: Collection[str], columns: Sequence[str], expected: str
) -> None:
    """DataError for a column that the header lacks."""
    for name in columns:
        if name not in header:
            raise DataError(
                f"{path}: expected {expected} with the columns {', '.join(columns)}, found no "
                f"{name}; correct the header"
            )


def is_number(value: object, low: float, high: float, whole: bool = False) -> bool:
    """Whether a JSON value is a number in low..high; NaN, infinities and booleans never are."""
    kind = type(value)  # json makes exactly these types; a bool is neither
    if kind is int or (kind is float and not whole):
        return low <= value <= high  # type: ignore[operator, no-any-return]
    return False


def are_numbers(values: object, count: int | None = None) -> TypeGuard[list[float]]:
    """Whether a JSON value is a list of numbers in ±LARGEST, `count` of them if given."""
    return (
        isinstance(values, list)
        and count in (None, len(values))
        and NUMBERS.issuperset(map(type, values))
        and all(map(LARGEST.__ge__, map(abs, values)))  # NaN is never less; no loop in Python
    )


def content_error(
    where: str, expected: str, got: object, advice: str = "correct the file"
) -> DataError:
    """The error for a part of a file, on one line whatever names it holds."""
    return DataError(
        f"{' '.join(where.splitlines())}: expected {expected}, got {repr(got)[:120]}; {advice}"
    )


def require(
    condition: bool, where: str, expected: str, got: object, advice: str = "correct the file"
) -> None:
    """Raise the `content_error` unless the condition holds."""
    if not condition:
        raise content_error(where, expected, got, advice)


def read_identity(where: str, entry: JsonObject, key: str) -> int | str:
    """An id of a JSON object: a whole number or a text; DataError for anything else."""
    value = entry.get(key)
    require(type(value) in (int, str), where, f"{key} as a number or text", value)
    return value  # type: ignore[return-value]


def read_name(where: str, entry: JsonObject, key: str) -> str:
    """A name in a JSON object; DataError for anything but a text, or an empty one."""
    value = entry.get(key)
    require(isinstance(value, str) and value != "", where, f"a {key}", value)
    require(not has_controls(str(value)), where, f"a {key} without control characters", value)
    return str(value)


def read_pixels(where: str, entry: JsonObject) -> tuple[int, int]:
    """(height, width) in a JSON object; DataError where they aren't those of a picture."""
    sides = entry.get("height"), entry.get("width")
    whole = all(is_number(side, 1, MOST_PIXELS, whole=True) for side in sides)
    if not whole or math.prod(sides) > MOST_PIXELS:  # type: ignore[arg-type]
        raise content_error(where, "a height and a width in pixels", sides)
    return sides  # type: ignore[return-value]


def _unreadable(path: Path, expected: str, error: Exception, advice: str) -> DataError:
    match error:
        case FileNotFoundError():
            got = "found no such file"
        case OSError():
            got = f"got a file that can't be read ({error.strerror or 'unknown reason'})"
        case UnicodeDecodeError():
            got = "got a file that can't be read (not UTF-8 text)"
        case _:
            got = f"got a file cut off or damaged ({error})"
    return DataError(f"{path}: expected {expected}, {got}; {advice}")
