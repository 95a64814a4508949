"""What the page shows of the catalogue, as plain data: texts, without what isn't known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from usbench.catalogue.tables import format_range, format_value

Json = dict[str, Any]
FACETS = ("anatomy", "tasks", "access", "licence")  # fields that a reader filters by
COPIED = ("id", "kind", "name", "key", "runnable", "command", "source", "verified")
SCORE_PARTS = ("criterion", "low", "high", "of", "why")


def card_data(catalogue: Mapping[str, Any]) -> Json:
    """{datasets, models, rubrics} of `usbench.catalogue.view`, smaller.

    A field is its text and, where they aren't the card's own, its source and who verified it.
    """
    return {
        "datasets": [one_card(card) for card in catalogue["datasets"]],
        "models": [one_card(card) for card in catalogue["models"]],
        "rubrics": catalogue["rubrics"],
    }


def one_card(card: Mapping[str, Any]) -> Json:
    """One dataset or model."""
    fields = {}
    for name, field in card["fields"].items():
        if field["value"] is not None or field["unknown"]:
            fields[name] = field
    return {
        **{name: card[name] for name in COPIED},
        "row": card["alsharid2025"],
        "fields": [field_texts(name, field, card) for name, field in fields.items()],
        "missing": [name for name in card["fields"] if name not in fields],
        "facets": {name: facet_values(fields.get(name)) for name in FACETS},
        "score": score_data(card["score"]),
    }


def field_texts(name: str, field: Mapping[str, Any], card: Mapping[str, Any]) -> list[str]:
    """[name, text] and, where they differ from the card's, [source, verified]."""
    if field["value"] is None:
        text = f"unknown: {field['unknown']}"
    else:
        text = str(field["value"]) if name == "year" else format_value(field["value"])
    if field["note"]:
        text += f" ({field['note']})"
    origin = [field["source"] or "", field["verified"] or ""]
    is_same = origin == [card["source"], card["verified"]]
    return [name, text] if is_same else [name, text, *origin]


def facet_values(field: Mapping[str, Any] | None) -> list[str]:
    """The values that a card is found by; [] where the field is unknown."""
    value = None if field is None else field["value"]
    if value is None:
        return []
    return value if isinstance(value, list) else [str(value)]


def score_data(score: Mapping[str, Any]) -> Json:
    """A score as text, and its parts: [criterion, low, high, of, why]."""
    low, high = score["tier"]
    return {
        **{name: score[name] for name in ("rubric", "low", "high", "of")},
        "text": f"{format_range(score['low'], score['high'])} of {score['of']:g}",
        "tier": low if low == high else f"{low}–{high}",
        "parts": [[part[name] for name in SCORE_PARTS] for part in score["parts"]],
    }
