"""The catalogue as plain data, for a page, a JSON file or a user's own table."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from usbench.catalogue.cards import SHIPPED, Card, fields_of, load_cards
from usbench.catalogue.rubrics import Rubric, load_rubrics
from usbench.catalogue.scoring import RUBRIC, Score, score
from usbench.io.files import JsonObject

NOT_STATED: JsonObject = dict.fromkeys(("value", "unknown", "source", "verified", "note"))


def view(folder: Path = SHIPPED) -> JsonObject:
    """View the catalogue as JSON: {"datasets": [card …], "models": [card …], "rubrics": {…}}.

    A card has id, kind, name, key, alsharid2025, runnable, command, source, verified, fields and
    score. `fields` has every field of the schema in its order: {value, unknown, source, verified,
    note}; an unknown value is null, with the reason as `unknown`, if there is one. `score` is by
    usbench-dataset or usbench-model: {rubric, low, high, of, tier: [of low, of high], parts:
    [{criterion, words, points (null for a range), low, high, of, why}]}.

    Raises:
        DataError: a card or a rubric is invalid.
    """
    cards = load_cards(folder)
    rubrics = load_rubrics(folder)
    flat: JsonObject = {"datasets": [], "models": []}
    for card in (*cards.datasets, *cards.models):
        flat[f"{card.kind}s"].append(flatten_card(card, score(card, rubrics[RUBRIC[card.kind]])))
    flat["rubrics"] = dict(zip(rubrics, map(flatten_rubric, rubrics.values()), strict=True))
    return flat


def flatten_card(card: Card, card_score: Score) -> JsonObject:
    """One card and its score; see `view`."""
    return {
        "id": card.id,
        "kind": card.kind,
        "name": card.name,
        "key": card.key,
        "alsharid2025": card.row,
        "runnable": card.key is not None,
        "command": card.command,
        "source": card.source,
        "verified": card.verified,
        "fields": {
            name: asdict(card.fields[name]) if name in card.fields else NOT_STATED
            for name in fields_of(card.kind)
        },
        "score": _flatten_score(card_score),
    }


def _flatten_score(card_score: Score) -> JsonObject:
    return {
        "rubric": card_score.rubric,
        "low": card_score.low,
        "high": card_score.high,
        "of": card_score.maximum,
        "tier": list(card_score.tier),
        "shown": card_score.is_shown,
        "parts": [
            {
                "criterion": part.criterion,
                "words": part.description,
                "points": part.points,
                "low": part.low,
                "high": part.high,
                "of": part.maximum,
                "why": part.why,
            }
            for part in card_score.parts
        ],
    }


def flatten_rubric(rubric: Rubric) -> JsonObject:
    """A rubric; `missing` where its criteria aren't known."""
    return {
        "name": rubric.name,
        "kind": rubric.kind,
        "title": rubric.title,
        "words": rubric.description,
        "source": rubric.source,
        "missing": not rubric.criteria,
        "of": rubric.maximum,
        "tiers": [{"name": tier.name, "from": tier.start} for tier in rubric.tiers],
        "criteria": [
            {
                "name": criterion.name,
                "words": criterion.description,
                "fields": list(criterion.fields),
                "of": criterion.maximum,
                "points": [
                    {rule.test: rule.value, "points": rule.points} for rule in criterion.rules
                ],
            }
            for criterion in rubric.criteria
        ],
    }
