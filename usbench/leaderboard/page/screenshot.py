"""A picture of a page, taken by Chromium without a window and without a network."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from usbench.errors import RunError

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
)
SIZE = {"width": 1280, "height": 1240}  # of the window, px
FIRST_SCORE = ".board td.interval svg"  # a score in the first table
TIMEOUT_MS = 60_000
DRAWING_MS = 500  # from the first table to the drawings below it


@contextmanager
def open_page(path: Path) -> Iterator[Any]:
    """A page from disk in Chromium, as a Playwright page, once its first table is there.

    Raises:
        RunError: Chromium or Playwright isn't installed, or shows no leaderboard.
    """
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise RunError("no Chromium found to show the page; install it: apt-get install chromium")
    try:
        from playwright.sync_api import Error, sync_playwright  # slow to import, needed here only
    except ImportError as error:
        raise RunError(
            "no Playwright found to show the page; pip install 'usbench[test]'"
        ) from error
    try:
        with sync_playwright() as started:
            browser = started.chromium.launch(executable_path=program, args=list(OPTIONS))
            view = browser.new_page(viewport=SIZE, color_scheme="light")
            view.goto(path.resolve().as_uri(), wait_until="commit")
            view.wait_for_selector(FIRST_SCORE, timeout=TIMEOUT_MS)
            yield view
            browser.close()
    except Error as error:
        raise RunError(
            f"{path}: not shown as a leaderboard; {program} reports: {error.message}"
        ) from error


def take_screenshot(page: bytes) -> bytes:
    """PNG of what a reader sees first of the leaderboard's page. Raises what `open_page` raises."""
    with tempfile.TemporaryDirectory(prefix="usbench-page-") as folder:
        path = Path(folder) / "index.html"
        path.write_bytes(page)
        with open_page(path) as view:
            view.wait_for_timeout(DRAWING_MS)
            return bytes(view.screenshot())
