"""What a board computed from case tables, kept in one JSON file below runs/: the next board opens none of them.

An entry's key is the sha256 of what it was computed from, the tables' own sha256 among it, so an entry can't be out of
date; a file written by other code is forgotten as a whole. Nothing depends on the file being there: without it the same
values are computed again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from usbench.errors import RunError
from usbench.io.console import warn
from usbench.io.files import replacing

SOURCES = ("metrics/*.py", "leaderboard/*.py", "runner/report.py")  # what computes entries


class Cache:
    """Values that JSON holds, by key. path: its file; None: nothing is kept."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.kept = (
            read(path) if path is not None else None
        )  # what the file holds; None: it is to be written anew
        self.used: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        """The value, None where it isn't known. Only what was asked for or put stays in the file."""
        if key not in self.used and key in (self.kept or {}):
            self.used[key] = (self.kept or {})[key]
        return self.used.get(key)

    def put(self, key: str, value: Any) -> None:
        """Keep a value."""
        self.used[key] = value

    def save(self, forget: bool = True) -> None:
        """Write the file where it isn't what it was; a folder that can't be written costs a line of warning.

        forget: leave out what nobody asked for.
        """
        entries = self.used if forget else {**(self.kept or {}), **self.used}
        if self.path is None or entries == self.kept:
            return
        text = canonical(entries)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.path) as part:
                part.write_text(
                    f'{{"code":"{code()}","sha256":"{sha256(text)}","entries":{text}}}\n', "utf-8"
                )
        except (OSError, RunError) as error:
            warn(f"{self.path}: what was computed can't be kept for the next time ({error})")


@contextmanager
def keeping(path: Path, write: bool) -> Iterator[Cache]:
    """A file's cache, saved in the end if it may be written; what a broken or interrupted block had computed, too."""
    kept, whole = Cache(path), False
    try:
        yield kept
        whole = True
    finally:
        if write:
            kept.save(forget=whole)


def key(*facts: Any) -> str:
    """The key of what follows from these facts."""
    return sha256(canonical(facts))


def read(path: Path) -> dict[str, Any] | None:
    """The entries of a file; None without one, where other code wrote it, and, with a warning, where it is damaged."""
    try:
        found = json.loads(path.read_text("utf-8"))
        entries, whole = found["entries"], found["sha256"] == sha256(canonical(found["entries"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        whole = False
    if not whole:
        warn(f"{path}: damaged, so everything in it is computed again")
        return None
    return dict(entries) if found.get("code") == code() else None


def canonical(value: Any) -> str:
    """One text per value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256(text: str) -> str:
    """Of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def code() -> str:
    """sha256 of the sources that compute entries, and of NumPy's version."""
    folder = Path(__file__).resolve().parents[1]
    files = sorted(path for pattern in SOURCES for path in folder.glob(pattern))
    return hashlib.sha256(
        np.__version__.encode() + b"".join(path.read_bytes() for path in files)
    ).hexdigest()
