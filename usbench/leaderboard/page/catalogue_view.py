"""The catalogue as data of the page: a line of a table for each card, and what its dialog shows.

Of a field it shows texts, without what isn't known.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import TypedDict

from usbench.catalogue.tables import TOO_LITTLE, format_range, format_value
from usbench.io.files import JsonObject

FACETS = ("anatomy", "tasks", "access", "licence")  # fields that a reader filters by
AMOUNTS = ("year", "images", "videos", "subjects", "parameters")
SCORE_PART = itemgetter("criterion", "low", "high", "of", "why")


class CardLine(TypedDict):
    """A card in the table."""

    id: str
    key: str | None  # of the dataset or model in usbench
    name: str
    command: str | None  # runs it; None: usbench doesn't
    facets: dict[str, Sequence[str]]
    amounts: dict[str, str]
    text: str  # all that the search looks through, beside these
    score: str
    low: float
    tier: str


def catalogue_lines(catalogue: JsonObject) -> dict[str, list[CardLine]]:
    """The lines of the catalogue's two tables, runnable cards first."""
    return {
        kind: sorted(map(card_line, catalogue[kind]), key=lambda line: line["command"] is None)
        for kind in ("datasets", "models")
    }


def card_line(card: JsonObject) -> CardLine:
    """One dataset or model in the table."""
    facets: dict[str, Sequence[str]] = {}
    amounts, classes = {}, ""
    for name, field in card["fields"].items():
        value = field["value"]
        if value is None:
            continue
        if name in FACETS:
            facets[name] = value if isinstance(value, list) else [str(value)]
        elif name in AMOUNTS and value:
            amounts[name] = str(value) if name == "year" else format_value(value)
        elif name in ("classes", "devices"):
            classes += f" {format_value(value)}"
    score, tier = score_texts(card["score"])
    return {
        "id": card["id"],
        "key": card["key"],
        "name": card["name"],
        "command": card["command"] if card["runnable"] else None,
        "facets": facets,
        "amounts": amounts,
        "text": classes.strip(),
        "score": score,
        "low": card["score"]["low"],
        "tier": tier,
    }


def catalogue_details(catalogue: JsonObject) -> JsonObject:
    """What the cards' dialogs show, by kind and id, and the rubrics."""
    return {
        "datasets": {card["id"]: card_details(card) for card in catalogue["datasets"]},
        "models": {card["id"]: card_details(card) for card in catalogue["models"]},
        "rubrics": catalogue["rubrics"],
    }


def card_details(card: JsonObject) -> JsonObject:
    """One card in full."""
    fields, missing = [], []
    for name, field in card["fields"].items():
        if field["value"] is None and not field["unknown"]:
            missing.append(name)
        else:
            fields.append(field_texts(name, field, card))
    return {
        "row": card["alsharid2025"],
        "source": card["source"],
        "verified": card["verified"],
        "fields": fields,
        "missing": missing,
        "rubric": card["score"]["rubric"],
        "parts": list(map(SCORE_PART, card["score"]["parts"])),
    }


def score_texts(score: JsonObject) -> tuple[str, str]:
    """Points and tier, as ranges where something isn't known; "too little is known" without."""
    if not score["shown"]:
        return TOO_LITTLE, ""
    low, high = score["tier"]
    points = f"{format_range(score['low'], score['high'])} of {score['of']:g}"
    return points, low if low == high else f"{low}–{high}"


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
