"""A page as a picture, taken by Chromium without a window and without a network, as the tests open it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from usbench.errors import RunError

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
)
SIZE = (1280, 1240)  # px
FIRST = ".tabulator-row .whisker"  # a score in the first table
LONGEST_MS = 60_000
SETTLED_MS = 500  # from the first table to the drawings below it


@contextmanager
def shown(path: Path, size: tuple[int, int] = SIZE) -> Iterator[Any]:
    """A page from disk in Chromium, as a Playwright page, once its first table is there. size: of the window, px.

    Raises RunError where Chromium or Playwright isn't installed, or shows no board.
    """
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise RunError(
            "Chromium was wanted to show the page, found none; install it: apt-get install chromium"
        )
    try:
        from playwright.sync_api import Error, sync_playwright  # slow to import, needed here only
    except ImportError as error:
        raise RunError(
            "Playwright was wanted to show the page, found none; pip install 'usbench[test]'"
        ) from error
    try:
        with sync_playwright() as started:
            browser = started.chromium.launch(executable_path=program, args=list(QUIET))
            view = browser.new_page(
                viewport={"width": size[0], "height": size[1]}, color_scheme="light"
            )
            view.goto(path.resolve().as_uri(), wait_until="commit")
            view.wait_for_selector(FIRST, timeout=LONGEST_MS)
            yield view
            browser.close()
    except Error as error:
        raise RunError(f"{path}: a board was wanted, {program} says: {error.message}") from error


def picture(page: bytes) -> bytes:
    """PNG of what a reader sees first of the page of the board. Raises what `shown` raises."""
    with tempfile.TemporaryDirectory(prefix="usbench-page-") as folder:
        path = Path(folder) / "index.html"
        path.write_bytes(page)
        with shown(path) as view:
            view.wait_for_timeout(SETTLED_MS)
            return bytes(view.screenshot())
