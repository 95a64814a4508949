"""How a card's values, points and tiers are written, wherever they are shown."""

from __future__ import annotations

from typing import Any

from usbench.catalogue.cards import Card, Field
from usbench.catalogue.rubrics import Criterion, Rule
from usbench.catalogue.scoring import Part, Score, shown


def plain(value: Any) -> str:
    """A value in words: yes or no, 12,468, a; b; c."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "; ".join(plain(entry) for entry in value) or "none"
    if isinstance(value, dict):
        return _row(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def _row(value: dict[str, Any]) -> str:
    """A size, a defect or a published result."""
    if "height" in value:
        count = f" ({value['images']:,})" if "images" in value else ""
        return f"{value['height']}×{value['width']}{count}"
    if "dataset" in value:
        return f"{value['dataset']}: {value['words']}" if value["dataset"] else str(value["words"])
    return f"{value['words']} ({value['count']:,})" if "count" in value else str(value["words"])


def stated(name: str, field: Field | None) -> str:
    """A field as a card shows it: the value and its note, or why it is unknown. A year has no comma."""
    if field is None:
        return "unknown"
    if not field.known:
        return f"unknown: {field.unknown}"
    value = str(field.value) if name == "year" else plain(field.value)
    return f"{value} ({field.note})" if field.note else value


def amount(card: Card) -> str:
    """How much there is: images, videos, or ? where neither is known."""
    named = [(card.value(kind), kind) for kind in ("images", "videos")]
    return ", ".join(f"{count:,} {kind}" for count, kind in named if count) or "?"


def points(low: float, high: float) -> str:
    """15, or 0–10 for a range."""
    return shown(low) if low == high else f"{shown(low)}–{shown(high)}"


def total(score: Score) -> str:
    """41–52 of 100."""
    return f"{points(score.low, score.high)} of {shown(score.of)}"


def tiers(score: Score) -> str:
    """D, or D–C for a range."""
    low, high = score.tier
    return low if low == high else f"{low}–{high}"


def gained(part: Part) -> str:
    """A part's points."""
    return points(part.low, part.high)


def rules(criterion: Criterion) -> str:
    """A criterion's rules in words: open 15; registration 10; otherwise 0."""
    return "; ".join(f"{_test(rule)}: {shown(rule.points)}" for rule in criterion.rules)


def _test(rule: Rule) -> str:
    if rule.test == "at_least":
        return f"≥ {rule.wanted:,g}"
    if rule.test in ("stated", "otherwise"):
        return rule.test
    wanted = rule.wanted if rule.test == "one_of" else [rule.wanted]
    return " or ".join(plain(one) for one in wanted)
