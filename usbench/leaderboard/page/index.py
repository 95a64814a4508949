"""results/index.html: the leaderboard and the catalogue in one file that opens from disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from usbench.leaderboard.page.cards import card_data
from usbench.leaderboard.page.commands import RunCommand
from usbench.leaderboard.page.document import as_json, inline_asset, render
from usbench.leaderboard.page.view import page_data
from usbench.leaderboard.published import Dataset
from usbench.leaderboard.rows import Row

STYLES = ("vendor/tabulator.min.css", "page.css", "leaderboard.css")
SCRIPTS = (
    "vendor/d3.min.js",
    "vendor/plot.umd.min.js",
    "vendor/tabulator.min.js",
    "page.js",
    "charts.js",
    "table.js",
    "leaderboard.js",
    "catalogue.js",
    "index.js",
)


def render_index(
    rows: Sequence[Row],
    datasets: Iterable[Dataset],
    catalogue: Mapping[str, object],
    links: Mapping[str, str],
    commands: Mapping[str, RunCommand],
) -> bytes:
    """The page; the same arguments give the same bytes.

    Args:
        rows: in the order of `build.build_rows`.
        datasets: their titles, licences, citations and notes.
        catalogue: as `usbench.catalogue.view` gives it.
        links: run id → the address of its result page, relative to this page.
        commands: run id → how to run it again; a row whose runs it lacks names no command.
    """
    data = {
        "leaderboard": page_data(rows, datasets, links, commands),
        "catalogue": card_data(catalogue),
    }
    return render(
        "index.html",
        styles=[inline_asset("style", name) for name in STYLES],
        scripts=[inline_asset("script", name) for name in SCRIPTS],
        data=as_json(data),
    )
