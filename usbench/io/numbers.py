"""Numbers as text."""

from __future__ import annotations


def format_decimals(value: float, digits: int = 3, sign: str = "") -> str:
    """Fixed decimals, a true minus and no leading zero: .873, −.050, 1.000.

    Args:
        value: finite.
        digits: after the point.
        sign: "+" to show the sign of a positive value too.
    """
    rounded = round(value, digits) + 0.0  # adding 0 turns −0 into 0
    text = f"{rounded:{sign}.{digits}f}".replace("-", "−")
    return text.replace("0.", ".", 1) if abs(rounded) < 1 else text


def format_count(number: int, unit: str) -> str:
    """A number of things: 1 group, 2 groups, 1,024 groups."""
    return f"{number:,} {unit}" if number == 1 else f"{number:,} {unit}s"
