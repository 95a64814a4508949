"""What the page shows of the catalogue, as plain data: `usbench.catalogue.view` in words, without what isn't known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from usbench.catalogue.wording import format_range, format_value

Data = dict[str, Any]
FACETS = ("anatomy", "tasks", "access", "licence")  # fields that a reader filters by


def cards(catalogue: Mapping[str, Any]) -> Data:
    """{datasets, models, rubrics} of `usbench.catalogue.view`, smaller: a field is its words and, where they aren't the
    card's own, its source and who verified it."""
    known = {kind: [_card(card) for card in catalogue[kind]] for kind in ("datasets", "models")}
    return {**known, "rubrics": catalogue["rubrics"]}


def _card(card: Mapping[str, Any]) -> Data:
    fields = {
        name: field
        for name, field in card["fields"].items()
        if field["value"] is not None or field["unknown"]
    }
    return {
        **{
            name: card[name]
            for name in ("id", "kind", "name", "key", "runnable", "command", "source", "verified")
        },
        "row": card["alsharid2025"],
        "fields": [_field(name, field, card) for name, field in fields.items()],
        "missing": [name for name in card["fields"] if name not in fields],
        "facets": {name: _entries(fields.get(name)) for name in FACETS},
        "score": _score(card["score"]),
    }


def _field(name: str, field: Mapping[str, Any], card: Mapping[str, Any]) -> list[str]:
    """[name, words] and, where they differ from the card's, [source, verified]."""
    value = str(field["value"]) if name == "year" else format_value(field["value"])
    words = f"unknown: {field['unknown']}" if field["value"] is None else value
    words += f" ({field['note']})" if field["note"] else ""
    other = [field["source"] or "", field["verified"] or ""]
    return [name, words] if other == [card["source"], card["verified"]] else [name, words, *other]


def _entries(field: Mapping[str, Any] | None) -> list[str]:
    """What a card is found by; nothing where the field is unknown."""
    value = None if field is None else field["value"]
    if value is None:
        return []
    return value if isinstance(value, list) else [str(value)]


def _score(score: Mapping[str, Any]) -> Data:
    """A score in words, and its parts: [criterion, low, high, of, why]."""
    low, high = score["tier"]
    parts = [
        [part[name] for name in ("criterion", "low", "high", "of", "why")]
        for part in score["parts"]
    ]
    return {
        **{name: score[name] for name in ("rubric", "low", "high", "of")},
        "words": f"{format_range(score['low'], score['high'])} of {score['of']:g}",
        "tier": low if low == high else f"{low}–{high}",
        "parts": parts,
    }
