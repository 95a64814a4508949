"""A headless Chromium without a network for the tests of the pages; not a test itself.

`opened(path)` yields a Playwright page that shows a file from disk. Every request that isn't for a file or a data: URL
is refused and remembered, and so is every message of the console that is an error: at the end there must be none.
Starting a browser takes a second: `running()` yields one that several pages may share, `opened(path, within=browser)`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

PROGRAM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
)
LOCAL = ("file:", "data:", "blob:")


@contextmanager
def running() -> Iterator[Any]:
    """A browser; skips where there is no Chromium or no Playwright."""
    if PROGRAM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="no Playwright: pip install 'usbench[test]'"
    )
    with sync_api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=PROGRAM, args=list(QUIET))
        yield browser
        browser.close()


@contextmanager
def opened(
    path: Path, width: int = 1280, height: int = 900, theme: str = "light", within: Any = None
) -> Iterator[Any]:
    """The page of a file on disk, at a size and in a colour scheme. within: a browser that is running already."""
    wrong: list[str] = []
    with nullcontext(within) if within else running() as browser:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=theme,
            permissions=["clipboard-read"],
        )
        page = context.new_page()
        page.on("console", lambda told: wrong.append(told.text) if told.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))

        def refuse(route: Any) -> None:
            if route.request.url.startswith(LOCAL):
                route.continue_()
            else:
                wrong.append(f"asked the network for {route.request.url}")
                route.abort()

        context.route("**/*", refuse)
        page.goto(path.resolve().as_uri())
        yield page
        context.close()
    assert wrong == [], wrong
