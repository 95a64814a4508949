"""What a leaderboard computed from case tables, kept in one JSON file below runs/.

The next leaderboard opens none of the case tables. An entry's key is the sha256 of what it was
computed from, among it the tables' own sha256, so an entry can't be out of date. A file written by
other code is ignored as a whole. Nothing depends on the file: without it the same values are
computed again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from usbench.errors import RunError
from usbench.io.console import warn
from usbench.io.files import JsonObject, canonical_json, write_atomically

SOURCES = ("metrics/*.py", "leaderboard/*.py", "results/result.py")  # what computes entries


class Cache:
    """Values that JSON holds, by key. path: its file; None: the values aren't saved."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.stored = read_entries(path) if path is not None else None  # None: write it anew
        self.used: JsonObject = {}

    def get(self, key: str) -> Any:
        """The value, None where it is unknown. Only what was asked for or put stays in the file."""
        if key not in self.used and self.stored and key in self.stored:
            self.used[key] = self.stored[key]
        return self.used.get(key)

    def put(self, key: str, value: object) -> None:
        """Add a value."""
        self.used[key] = value

    def save(self, forget: bool = True) -> None:
        """Write the file if it changed; where its folder can't be written, warn.

        Args:
            forget: leave out what nobody asked for.
        """
        entries = self.used if forget else {**(self.stored or {}), **self.used}
        if self.path is None or entries == self.stored:
            return
        text = canonical_json(entries)
        content = f'{{"code":"{hash_code()}","sha256":"{sha256(text)}","entries":{text}}}\n'
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, content)
        except (OSError, RunError) as error:
            warn(f"{self.path}: can't be saved; it will be computed again ({error})")


@contextmanager
def open_cache(path: Path, write: bool) -> Iterator[Cache]:
    """A file's cache, saved in the end if it may be written, also after an interruption."""
    cache = Cache(path)
    is_complete = False
    try:
        yield cache
        is_complete = True
    finally:
        if write:
            cache.save(forget=is_complete)


def key(*facts: object) -> str:
    """The key of what follows from these facts."""
    return sha256(canonical_json(facts))


def read_entries(path: Path) -> JsonObject | None:
    """The entries of a file.

    None where there is no file, where other code wrote it, or, with a warning, where it is damaged.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
        entries = content["entries"]
        is_whole = content["sha256"] == sha256(canonical_json(entries))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        is_whole = False
    if not is_whole:
        warn(f"{path}: damaged, so everything in it is computed again")
        return None
    return dict(entries) if content.get("code") == hash_code() else None


def sha256(text: str) -> str:
    """The sha256 of a text, as hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def hash_code(patterns: tuple[str, ...] = SOURCES) -> str:
    """sha256 of source files of the package, and of NumPy's version."""
    folder = Path(__file__).resolve().parents[1]
    files = sorted(set(filter(Path.is_file, chain(*map(folder.glob, patterns)))))
    return hashlib.sha256(
        np.__version__.encode() + b"".join(map(Path.read_bytes, files))
    ).hexdigest()
