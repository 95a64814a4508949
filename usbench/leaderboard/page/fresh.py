"""Which result pages are to be made: those that aren't there as they were last made from the same record and code.

A page takes milliseconds, a board of ten thousand results a minute of them; what was made is kept by the sha256 of all
that it follows from, as the board's tests are (leaderboard/cache.py). Without that every page is made again, with the
same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from usbench.io.console import track
from usbench.leaderboard.cache import Cache, key
from usbench.leaderboard.page import result
from usbench.leaderboard.page.commands import Run
from usbench.results import store as results
from usbench.results.gallery import file as gallery_file

PACKAGE = Path(__file__).resolve().parents[2]
SOURCES = ("**/*.py", "leaderboard/page/assets/**/*")  # what a page follows from, and more


def pages(
    folder: Path, records: Iterable[Mapping[str, Any]], runs: Mapping[str, Run], kept: Cache
) -> dict[Path, bytes]:
    """The result pages that have to be made, and what they are; those that are up to date aren't among them.

    kept: what earlier calls made. Raises what `result.pages` raises.
    """
    stale = {}
    for record in result.with_page(records):
        path, facts = results.record_path(folder, record), _facts(folder, record, runs)
        if kept.get(facts) is None or kept.get(facts) != _sha256(path.with_suffix(".html")):
            stale[facts] = record
    made: dict[Path, bytes] = {}
    for facts, record in track(list(stale.items()), "pages of results", len(stale)):
        ((path, content),) = result.pages(folder, [record], runs).items()
        kept.put(facts, hashlib.sha256(content).hexdigest())
        made[path] = content
    return made


def _facts(folder: Path, record: Mapping[str, Any], runs: Mapping[str, Run]) -> str:
    """The key of all that a page follows from: the record, which names its case table's sha256; the gallery; the
    command; the code."""
    path = results.record_path(folder, record)
    return key(
        code(), _sha256(path), _sha256(gallery_file.path_of(path)), repr(runs.get(record["run_id"]))
    )


def _sha256(path: Path) -> str | None:
    """Of a file; None where there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


@cache
def code() -> str:
    """sha256 of the sources that make pages."""
    files = {path for pattern in SOURCES for path in PACKAGE.glob(pattern) if path.is_file()}
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(files))).hexdigest()
