"""The catalogue as plain data, for a page, a JSON file or a table of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from usbench.catalogue import cards, rubrics
from usbench.catalogue.cards import SHIPPED, Card, Field
from usbench.catalogue.rubrics import Criterion, Rubric
from usbench.catalogue.scoring import RUBRIC, Score, score


def view(folder: Path = SHIPPED) -> dict[str, Any]:
    """{"datasets": [card …], "models": [card …], "rubrics": {name: rubric}} as JSON has it; DataError for a bad card.

    A card: id, kind, name, key, alsharid2025, runnable, command, source, verified, fields, score. `fields` has every
    field of the schema in its order: {value, unknown, source, verified, note}, value null where nobody knows and then
    `unknown` the reason, if one is known. `score` is by usbench-dataset or usbench-model: {rubric, low, high, of, tier:
    [of low, of high], parts: [{criterion, words, points (null for a range), low, high, of, why}]}.
    """
    every, sheets = cards.load(folder), rubrics.load(folder)
    return {
        "datasets": [flat(card, score(card, sheets[RUBRIC[card.kind]])) for card in every.datasets],
        "models": [flat(card, score(card, sheets[RUBRIC[card.kind]])) for card in every.models],
        "rubrics": {name: sheet(rubric) for name, rubric in sheets.items()},
    }


def flat(card: Card, scored: Score) -> dict[str, Any]:
    """One card and its score; see `view`."""
    return {
        "id": card.id,
        "kind": card.kind,
        "name": card.name,
        "key": card.key,
        "alsharid2025": card.row,
        "runnable": card.runnable,
        "command": card.command,
        "source": card.source,
        "verified": card.verified,
        "fields": {name: stated(card.fields.get(name)) for name in cards.fields_of(card.kind)},
        "score": points(scored),
    }


def stated(field: Field | None) -> dict[str, Any]:
    """A field; one that the card doesn't have is null in everything."""
    names = ("value", "unknown", "source", "verified", "note")
    return {name: None if field is None else getattr(field, name) for name in names}


def points(scored: Score) -> dict[str, Any]:
    """A score with its parts."""
    parts = [
        {
            "criterion": part.criterion,
            "words": part.words,
            "points": part.points,
            "low": part.low,
            "high": part.high,
            "of": part.of,
            "why": part.why,
        }
        for part in scored.parts
    ]
    total = {"rubric": scored.rubric, "low": scored.low, "high": scored.high, "of": scored.of}
    return {**total, "tier": list(scored.tier), "parts": parts}


def sheet(rubric: Rubric) -> dict[str, Any]:
    """A rubric; `missing` where it has no criteria."""
    return {
        "name": rubric.name,
        "kind": rubric.kind,
        "title": rubric.title,
        "words": rubric.words,
        "source": rubric.source,
        "missing": not rubric.criteria,
        "of": rubric.of,
        "tiers": [{"name": tier.name, "from": tier.start} for tier in rubric.tiers],
        "criteria": [line(criterion) for criterion in rubric.criteria],
    }


def line(criterion: Criterion) -> dict[str, Any]:
    """A criterion and its rules."""
    rules = [{rule.test: rule.wanted, "points": rule.points} for rule in criterion.rules]
    fields = list(criterion.fields)
    return {
        "name": criterion.name,
        "words": criterion.words,
        "fields": fields,
        "of": criterion.of,
        "points": rules,
    }
