"""results/index.html: results, comparisons, datasets and method in one file that opens from disk.

What a reader sees first, the findings and the method, is in the markup itself; tables are drawn
from data at its end. Two things lie beside it and are loaded when asked for: the catalogue's cards
in full (assets/catalogue.js) and the images of a comparison (<dataset>/<task>/cases.js).
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from usbench.catalogue.citations import USBENCH
from usbench.io.bibtex import write_entries
from usbench.io.files import JsonObject
from usbench.leaderboard import legend
from usbench.leaderboard.findings import Finding
from usbench.leaderboard.page.catalogue_view import catalogue_details, catalogue_lines
from usbench.leaderboard.page.compare_cases import CardPicture
from usbench.leaderboard.page.document import as_json, inline_asset, render
from usbench.leaderboard.page.sources import short_title
from usbench.leaderboard.page.view import MARKS, PageContent, page_data
from usbench.results.format import TASK_TITLES

STYLES = ("page.css", "overlay.css", "index/index.css", "index/table.css", "index/compare.css")
SCRIPTS = (
    "page.js",
    "index/elements.js",
    "index/state.js",
    "index/tips.js",
    "index/menus.js",
    "index/scale.js",
    "index/rows.js",
    "index/csv.js",
    "index/table_rows.js",
    "index/table.js",
    "index/dialog.js",
    "index/below.js",
    "index/controls.js",
    "index/results.js",
    "index/forest.js",
    "index/cost.js",
    "index/overlay.js",
    "index/cases.js",
    "index/compare.js",
    "index/cards.js",
    "index/catalogue.js",
    "index/finder.js",
    "index/index.js",
)
CATALOGUE = "assets/catalogue.js"
MOST_CARDS = 6  # so that a table is in sight; further findings are a list


@dataclass(frozen=True)
class Card:
    """A finding as the page shows it."""

    id: str  # dataset/task
    title: str
    task: str
    finding: Finding
    picture: CardPicture | None = None


def render_index(content: PageContent, catalogue: JsonObject) -> bytes:
    """The page; the same arguments give the same bytes.

    Args:
        content: rows, datasets, findings and what belongs to them.
        catalogue: as `usbench.catalogue.view` gives it.
    """
    cards = [make_card(finding, content) for finding in content.findings]
    ours = [card for card in cards if card.finding.is_ours]
    published = [card for card in cards if card.finding.kind == "published" and card not in ours]
    tips: dict[str, int] = {}
    data = {
        **share_tips(page_data(content), tips),
        "tips": list(tips),
        "catalogue": catalogue_lines(catalogue),
        "bibtex": write_entries([USBENCH]),
    }
    return render(
        "index.html",
        styles=STYLES,
        scripts=SCRIPTS,
        inline_asset=inline_asset,
        first=ours[:MOST_CARDS],
        others=[*ours[MOST_CARDS:], *published],
        are_published=len(ours) <= MOST_CARDS,
        updated=content.updated,
        counts=count_content(content),
        glossary=legend.GLOSSARY,
        marks=MARKS,
        data=as_json(data),
    ).encode()


def share_tips(node: Any, tips: dict[str, int]) -> Any:
    """Data with each tip as its place in `tips`, to which new ones are added."""
    if isinstance(node, (list, tuple)):
        return [share_tips(part, tips) for part in node]
    if not isinstance(node, dict):
        return node
    return {
        name: tips.setdefault(part, len(tips)) if name == "tip" else share_tips(part, tips)
        for name, part in node.items()
    }


def render_catalogue(catalogue: JsonObject) -> bytes:
    """The script with the catalogue's cards in full, for `CATALOGUE`."""
    return f"usbench.addCatalogue({as_json(catalogue_details(catalogue))});\n".encode()


def make_card(finding: Finding, content: PageContent) -> Card:
    """A finding with the titles of its dataset and task, and its picture if it has one."""
    name = f"{finding.dataset}/{finding.task}"
    dataset = content.datasets.get(finding.dataset)
    return Card(
        name,
        short_title(dataset.title if dataset else "", finding.dataset),
        TASK_TITLES[finding.task],
        finding,
        content.pictures.get(name),
    )


def count_content(content: PageContent) -> dict[str, int]:
    """How many datasets with scores there are, models of ours, and published scores."""
    done = [row for row in content.rows if row.status == "done"]
    ours = [row for row in done if row.origin in ("run", "external")]
    return {
        "datasets": len(set(map(attrgetter("dataset"), done))),
        "models": len(set(map(attrgetter("name"), ours))),
        "results": len({run_id for row in ours for run_id in row.run_ids}),
        "published": sum(row.origin == "published" for row in done),
    }
