"""Text and JSON files as people and spreadsheets save them; what can't be read is a DataError."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from usbench.errors import DataError


def read_text(path: Path, expected: str, advice: str = "fetch it again") -> str:
    """Read a UTF-8 file, with or without a byte order mark.

    Args:
        path: the file.
        expected: what it should hold, for the error.
        advice: what to do if it can't be read.

    Raises:
        DataError: the file is missing or isn't such text.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(path, expected, "not UTF-8 text", advice) from error
    except OSError as error:
        raise _unreadable(path, expected, error, advice) from error


def read_lines(path: Path, expected: str, advice: str = "fetch it again") -> list[str]:
    """Read the lines of a text file; see `read_text`."""
    return split_lines(read_text(path, expected, advice))


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


def is_number(value: object, low: float, high: float, whole: bool = False) -> bool:
    """Whether a JSON value is a number in low..high; NaN, infinities and booleans never are."""
    kind = type(value)  # json makes exactly these types; a bool is neither
    if kind is int or (kind is float and not whole):
        return low <= value <= high  # type: ignore[operator, no-any-return]
    return False


def _unreadable(path: Path, expected: str, reason: Exception | str, advice: str) -> DataError:
    if isinstance(reason, FileNotFoundError):
        return DataError(f"{path}: expected {expected}, found no such file; {advice}")
    kind = "that can't be read"
    if isinstance(reason, OSError):
        reason = reason.strerror or "unknown reason"
    elif isinstance(reason, Exception):
        kind = "cut off or damaged"
    return DataError(f"{path}: expected {expected}, got a file {kind} ({reason}); {advice}")
