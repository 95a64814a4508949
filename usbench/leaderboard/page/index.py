"""results/index.html: the board and the catalogue as one file that opens from disk without a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from usbench.leaderboard.page.cards import cards
from usbench.leaderboard.page.commands import Run
from usbench.leaderboard.page.document import asset, document
from usbench.leaderboard.page.view import page
from usbench.leaderboard.published import Dataset
from usbench.leaderboard.rows import Row

STYLES = ("vendor/tabulator.min.css", "page.css", "board.css")
LIBRARIES = ("vendor/d3.min.js", "vendor/plot.umd.min.js", "vendor/tabulator.min.js")
SCRIPTS = (*LIBRARIES, "page.js", "charts.js", "table.js", "board.js", "catalogue.js", "index.js")


def html(
    board: Sequence[Row],
    datasets: Iterable[Dataset],
    catalogue: Mapping[str, Any],
    links: Mapping[str, str],
    runs: Mapping[str, Run] | None = None,
) -> bytes:
    """The page. board: rows in the order of `leaderboard.rows`; catalogue: as `usbench.catalogue.view` gives it;
    links: a record's key → the address of its result page, relative to this one; runs: a record's key → how it is made
    (`commands.runs`); without them our rows name no command.

    The same arguments give the same bytes.
    """
    data = {"board": page(board, datasets, links, runs or {}), "catalogue": cards(catalogue)}
    return document(
        "usbench: benchmark of public ultrasound datasets",
        asset("index.html"),
        data,
        STYLES,
        SCRIPTS,
    )
