"""Which result pages have to be rendered: those that aren't on disk as they would be now.

A page takes milliseconds, a leaderboard of ten thousand results a minute of them. A page's sha256
is cached by all that it follows from, as the leaderboard's tests are (leaderboard/cache.py).
Without the cache every page is rendered again, with the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from usbench.io.console import track
from usbench.leaderboard.cache import Cache, key
from usbench.leaderboard.page.commands import RunCommand
from usbench.leaderboard.page.result import render_pages, with_page
from usbench.results.gallery.file import gallery_path
from usbench.results.result import Result
from usbench.results.store import result_path

PACKAGE = Path(__file__).resolve().parents[2]
SOURCES = (  # what a page follows from, and more
    "**/*.py",
    "leaderboard/page/assets/**/*",
    "leaderboard/page/templates/*",
)


def render_stale_pages(
    folder: Path,
    results: Iterable[Result],
    commands: Mapping[str, RunCommand],
    cache: Cache,
) -> dict[Path, bytes]:
    """The result pages that are missing or out of date, by their path.

    Args:
        folder: the results folder.
        results: all results.
        commands: run id → how to run it again.
        cache: hashes of pages that were rendered earlier.

    Raises:
        DataError: as `result.render_pages`.
    """
    stale = {}
    for result in with_page(results):
        path = result_path(folder, result)
        facts = page_key(path, commands.get(result.run_id))
        page_hash = cache.get(facts)
        if page_hash is None or page_hash != hash_if_there(path.with_suffix(".html")):
            stale[facts] = result
    pages: dict[Path, bytes] = {}
    for facts, result in track(list(stale.items()), "pages of results", len(stale)):
        ((path, content),) = render_pages(folder, [result], commands).items()
        cache.put(facts, hashlib.sha256(content).hexdigest())
        pages[path] = content
    return pages


def page_key(path: Path, command: RunCommand | None) -> str:
    """The key of all that a page follows from.

    These are the result, which names its case table's sha256, the gallery, the command and the
    code. path: the result's.
    """
    gallery = hash_if_there(gallery_path(path))
    return key(hash_sources(), hash_if_there(path), gallery, repr(command))


def hash_if_there(path: Path) -> str | None:
    """sha256 of a file; None where there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


@cache
def hash_sources() -> str:
    """sha256 of the sources that render pages."""
    files = {path for pattern in SOURCES for path in PACKAGE.glob(pattern) if path.is_file()}
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(files))).hexdigest()
