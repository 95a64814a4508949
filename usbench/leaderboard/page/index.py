"""results/index.html: the leaderboard and the catalogue in one file that opens from disk.

Of the catalogue it shows texts, without what isn't known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter

from usbench.catalogue.tables import TOO_LITTLE, format_range, format_value
from usbench.io.files import JsonObject
from usbench.leaderboard.page.commands import RunCommand
from usbench.leaderboard.page.document import as_json, inline_asset, render
from usbench.leaderboard.page.view import page_data
from usbench.leaderboard.published import DatasetSummary
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
FACETS = ("anatomy", "tasks", "access", "licence")  # fields that a reader filters by
SCORE_PART = itemgetter("criterion", "low", "high", "of", "why")
COPIED = ("id", "kind", "name", "key", "runnable", "command", "source", "verified")


def render_index(
    rows: Sequence[Row],
    datasets: Iterable[DatasetSummary],
    catalogue: JsonObject,
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
    cards = {
        "datasets": list(map(card_data, catalogue["datasets"])),
        "models": list(map(card_data, catalogue["models"])),
        "rubrics": catalogue["rubrics"],
    }
    return render(
        "index.html",
        styles=STYLES,
        scripts=SCRIPTS,
        inline_asset=inline_asset,
        data=as_json(
            {"leaderboard": page_data(rows, datasets, links, commands), "catalogue": cards}
        ),
    ).encode()


# ---- the catalogue


def card_data(card: JsonObject) -> JsonObject:
    """One dataset or model.

    A field is its text and, where they aren't the card's own, its source and who verified it.
    """
    score = card["score"]
    low, high = score["tier"]
    texts, missing = [], []
    facets: dict[str, Sequence[str]] = dict.fromkeys(FACETS, ())
    for name, field in card["fields"].items():
        value = field["value"]
        if value is None and not field["unknown"]:
            missing.append(name)
            continue
        texts.append(field_texts(name, field, card))
        if name in facets and value is not None:
            facets[name] = value if isinstance(value, list) else [str(value)]
    return {
        **dict(zip(COPIED, itemgetter(*COPIED)(card), strict=True)),
        "row": card["alsharid2025"],
        "fields": texts,
        "missing": missing,
        "facets": facets,
        "score": {
            "rubric": score["rubric"],
            "low": score["low"],
            "high": score["high"],
            "of": score["of"],
            "text": f"{format_range(score['low'], score['high'])} of {score['of']:g}"
            if score["shown"]
            else TOO_LITTLE,
            "tier": (low if low == high else f"{low}–{high}") if score["shown"] else "",
            "parts": list(map(SCORE_PART, score["parts"])),
        },
    }


def field_texts(name: str, field: JsonObject, card: JsonObject) -> list[str]:
    """[name, text] and, where they differ from the card's, [source, verified]."""
    if field["value"] is None:
        text = f"unknown: {field['unknown']}"
    else:
        text = str(field["value"]) if name == "year" else format_value(field["value"])
    if field["note"]:
        text += f" ({field['note']})"
    origin = [field["source"] or "", field["verified"] or ""]
    return [name, text] if origin == [card["source"], card["verified"]] else [name, text, *origin]
