"""How a card's values, points and tiers are written, wherever they are shown."""

from __future__ import annotations

from typing import Any

from usbench.catalogue.cards import Card, Field
from usbench.catalogue.rubrics import Criterion, PointRule
from usbench.catalogue.scoring import Score, format_points


def format_value(value: Any) -> str:
    """Format a field's value: yes or no, 12,468, a; b; c."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "; ".join(map(format_value, value)) or "none"
    if isinstance(value, dict):
        return _format_entry(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def _format_entry(value: dict[str, Any]) -> str:
    """Format a size, a defect or a published result."""
    if "height" in value:
        count = f" ({value['images']:,})" if "images" in value else ""
        return f"{value['height']}×{value['width']}{count}"
    description = str(value["description"])
    if value.get("dataset"):
        return f"{value['dataset']}: {description}"
    return f"{description} ({value['count']:,})" if "count" in value else description


def format_field(name: str, field: Field | None) -> str:
    """Format a field as a card shows it: value and note, or why it is unknown."""
    if field is None:
        return "unknown"
    if not field.known:
        return f"unknown: {field.unknown}"
    value = str(field.value) if name == "year" else format_value(field.value)  # no 2,025
    return f"{value} ({field.note})" if field.note else value


def format_amount(card: Card) -> str:
    """Format how much there is: images, videos, or ? where neither is known."""
    amounts = []
    for kind in ("images", "videos"):
        count = card.value(kind)
        if count:
            amounts.append(f"{count:,} {kind}")
    return ", ".join(amounts) or "?"


def format_range(low: float, high: float) -> str:
    """Format points: 15, or 0–10 for a range."""
    return format_points(low) if low == high else f"{format_points(low)}–{format_points(high)}"


def format_tier(card_score: Score) -> str:
    """Format a tier: D, or D–C for a range."""
    low, high = card_score.tier
    return low if low == high else f"{low}–{high}"


def format_rules(criterion: Criterion) -> str:
    """Format a criterion's rules: open 15; registration 10; otherwise 0."""
    return "; ".join(
        f"{_format_test(rule)}: {format_points(rule.points)}" for rule in criterion.rules
    )


def _format_test(rule: PointRule) -> str:
    if rule.test == "at_least":
        return f"≥ {rule.value:,g}"
    if rule.test in ("stated", "otherwise"):
        return rule.test
    return " or ".join(map(format_value, rule.value if rule.test == "one_of" else [rule.value]))
