"""The score of a card by a rubric, with its parts: pure functions of both.

A criterion whose fields are unknown isn't guessed. It is worth anything between its fewest and its
most points, so the score is a range [low, high], and so is its tier.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from usbench.catalogue.cards import Card, Field, Kind, list_entries
from usbench.catalogue.rubrics import Criterion, PointRule, Rubric
from usbench.errors import ConfigError, DataError

# The rubric of each kind, unless one is named.
RUBRIC: Mapping[Kind, str] = {"dataset": "usbench-dataset", "model": "usbench-model"}
MISSING = "not said on the card"
LEAST_KNOWN = 0.7  # of the points; below it no score is shown


@dataclass(frozen=True)
class Part:
    """The points of one criterion."""

    criterion: str
    description: str
    low: float
    high: float
    maximum: float
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
    maximum: float
    tier: tuple[str, str]  # of low and of high
    parts: tuple[Part, ...]

    @property
    def is_shown(self) -> bool:
        """Whether enough of the points is known for a score to say something."""
        return self.maximum - (self.high - self.low) >= LEAST_KNOWN * self.maximum


def score(card: Card, rubric: Rubric) -> Score:
    """Score a card.

    Raises:
        ConfigError: the rubric is for the other kind.
        DataError: the rubric's criteria are missing.
    """
    if card.kind != rubric.kind:
        raise ConfigError(f"{card.id} is a {card.kind}: expected its rubric, got {rubric.name}")
    require_criteria(rubric)
    parts = tuple(score_criterion(card, criterion) for criterion in rubric.criteria)
    low = sum(part.low for part in parts)
    high = sum(part.high for part in parts)
    return Score(
        rubric.name,
        low,
        high,
        rubric.maximum,
        (find_tier(rubric, low), find_tier(rubric, high)),
        parts,
    )


def require_criteria(rubric: Rubric) -> None:
    """Raise DataError where the rubric has no criteria; say where to get them."""
    if not rubric.criteria:
        raise DataError(
            f"{rubric.path}: criteria: the sheet of {rubric.title} is missing, so nothing is "
            f"scored by it. To add it, copy its criteria and points, and the fewest points of each "
            f"tier, from {rubric.source} into that file (written as usbench-{rubric.kind}.yaml "
            "beside it); then usbench catalogue validate"
        )


def score_criterion(card: Card, criterion: Criterion) -> Part:
    """Score one criterion; of several fields the best counts."""
    values = [_score_field(card.fields.get(name), name, criterion) for name in criterion.fields]
    lows, highs, _ = zip(*values, strict=True)
    low, high = max(lows), max(highs)
    return Part(
        criterion.name,
        criterion.description,
        low,
        high,
        criterion.maximum,
        "; ".join(why for least, most, why in values if least == low or most == high > low),
    )


def find_tier(rubric: Rubric, points: float) -> str:
    """The name of the tier that so many points reach."""
    return next(
        tier.name for tier in rubric.tiers if tier.start is not None and points >= tier.start
    )


def _score_field(field: Field | None, name: str, criterion: Criterion) -> tuple[float, float, str]:
    """(low, high, why) of one field."""
    if field is None or field.value is None:
        low, high = criterion.minimum, criterion.maximum
        reason = (field.unknown if field else None) or MISSING
        return low, high, f"{name} unknown ({reason}): {low:g} to {high:g}"
    rule = next((rule for rule in criterion.rules if rule_holds(rule, field.value)), None)
    points = rule.points if rule else 0
    return points, points, f"{name} {_format_tested(field.value, rule)}: {points:g}"


def rule_holds(rule: PointRule, value: Any) -> bool:
    """Whether a rule holds for a known value; of a list any entry will do, or its length."""
    match rule.test:
        case "stated" | "otherwise":
            return True
        case "at_least":
            return bool((len(value) if isinstance(value, list) else value) >= rule.value)
    return any(map(rule.accepted.__contains__, list_entries(value)))


def _format_tested(value: object, rule: PointRule | None) -> str:
    """Format a value as the rule sees it: a list that is counted is its length."""
    match value:
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(str, value)) if rule and rule.accepted else str(len(value))
        case _ if rule is not None and rule.test == "stated":
            return "stated"
        case int():
            return f"{value:,}"
    return str(value)
