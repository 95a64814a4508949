"""The score of a card by a rubric, with its parts: pure functions of both.

A criterion whose fields are unknown isn't guessed: it is worth anything between its fewest and its most points, so the
score is a range [low, high], and its tier one from the worst to the best that is possible.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from usbench.catalogue.cards import Card, Field
from usbench.catalogue.rubrics import Criterion, Rubric, Rule
from usbench.errors import ConfigError, DataError

RUBRIC: Mapping[str, str] = {
    "dataset": "usbench-dataset",
    "model": "usbench-model",
}  # of each kind, unless one is named
MISSING = "not said on the card"


@dataclass(frozen=True)
class Part:
    """One criterion's share."""

    criterion: str
    words: str
    low: float
    high: float
    of: float
    why: str  # which field has which value, and what that is worth

    @property
    def points(self) -> float | None:
        """The points, None where they are a range."""
        return self.low if self.low == self.high else None


@dataclass(frozen=True)
class Score:
    """A total that its parts add up to."""

    rubric: str
    low: float
    high: float
    of: float
    tier: tuple[str, str]  # of low and of high
    parts: tuple[Part, ...]


def score(card: Card, rubric: Rubric) -> Score:
    """The score of a card. ConfigError for a rubric of the other kind, DataError for one whose sheet is missing."""
    if card.kind != rubric.kind:
        raise ConfigError(
            f"{card.id} is a {card.kind}: a rubric for those was wanted, found {rubric.name}"
        )
    require_sheet(rubric)
    parts = tuple(part(card, criterion) for criterion in rubric.criteria)
    low, high = sum(one.low for one in parts), sum(one.high for one in parts)
    return Score(rubric.name, low, high, rubric.of, (tier(rubric, low), tier(rubric, high)), parts)


def require_sheet(rubric: Rubric) -> None:
    """DataError where the rubric has no criteria: says where they are to be had, and where they go."""
    if not rubric.criteria:
        raise DataError(
            f"{rubric.path}: criteria: the sheet of {rubric.title} is missing, so nothing is scored by it. To add it, "
            f"copy its criteria and points, and the fewest points of each tier, from {rubric.source} into that file "
            f"(written as usbench-{rubric.kind}.yaml beside it); then python scripts/catalogue.py validate"
        )


def part(card: Card, criterion: Criterion) -> Part:
    """What a criterion is worth on a card; of several fields the best counts."""
    each = [_worth(card.fields.get(name), name, criterion) for name in criterion.fields]
    low, high = max(one[0] for one in each), max(one[1] for one in each)
    deciding = [why for worst, best, why in each if worst == low or best == high > low]
    return Part(criterion.name, criterion.words, low, high, criterion.of, "; ".join(deciding))


def tier(rubric: Rubric, points: float) -> str:
    """The name of the tier that so many points reach."""
    return next(one.name for one in rubric.tiers if one.start is not None and points >= one.start)


def _worth(field: Field | None, name: str, criterion: Criterion) -> tuple[float, float, str]:
    """(low, high, why) of one field."""
    if field is None or not field.known:
        reason = (field.unknown if field else None) or MISSING
        why = f"{name} unknown ({reason}): {shown(criterion.least)} to {shown(criterion.of)}"
        return criterion.least, criterion.of, why
    rule = next((rule for rule in criterion.rules if holds(rule, field.value)), None)
    points = rule.points if rule else 0
    return points, points, f"{name} {_told(field.value, rule)}: {shown(points)}"


def holds(rule: Rule, value: Any) -> bool:
    """Whether a rule holds for a known value; of a list any entry will do, and at_least counts its entries."""
    if rule.test in ("stated", "otherwise"):
        return True
    if rule.test == "at_least":
        return bool((len(value) if isinstance(value, list) else value) >= rule.wanted)
    wanted = rule.wanted if rule.test == "one_of" else [rule.wanted]
    return any(entry in wanted for entry in (value if isinstance(value, list) else [value]))


def _told(value: Any, rule: Rule | None) -> str:
    """A value in the words that the rule needs: a list that is counted is its length."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        counted = rule is None or rule.test not in ("equals", "one_of")
        return str(len(value)) if counted else ", ".join(map(str, value))
    if rule is not None and rule.test == "stated":
        return "stated"
    return f"{value:,}" if isinstance(value, int) else str(value)


def shown(points: float) -> str:
    """Points as they are written: 5, 2.5."""
    return f"{points:g}"
