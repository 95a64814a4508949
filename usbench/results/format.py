"""A score as text, the same in the terminal, on the leaderboard and on the pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from usbench.io.numbers import format_decimals
from usbench.results.store import lower_is_better
from usbench.types import Task

UNDEFINED = "–"
USUAL_SCORES: Mapping[Task, tuple[str, ...]] = {  # the columns of a table per class
    "segment": ("dice", "iou", "nsd", "hd95_px"),
    "detect": ("map50_95", "map50", "map75", "ar100"),
    "landmark": ("mre_px", "mre_mm", "curve_mean_px", "sdr_px_4"),
}


DIRECTIONS = {True: " ↑", False: " ↓", None: ""}  # is higher better?


class ValueWithInterval(Protocol):
    """A score with its 95 % interval, such as a Figure; None where it is undefined."""

    @property
    def low(self) -> float | None:
        """The interval's lower end."""

    @property
    def high(self) -> float | None:
        """The interval's upper end."""

    @property
    def value(self) -> float | None:
        """The figure; None where it is undefined."""


def format_value(value: float | None, score: str, sign: str = "") -> str:
    """Three decimals without a leading zero, such as .873; a distance in px or mm has two decimals.

    Args:
        value: None is shown as –.
        score: its name, which tells distances from shares.
        sign: "+" to show the sign of a positive value, as for a difference.
    """
    if value is None:
        return UNDEFINED
    if lower_is_better(score) and not score.endswith("_diag"):
        return f"{round(value, 2) + 0.0:{sign}.2f}".replace("-", "−")
    return format_decimals(value, sign=sign)


def score_title(score: str, higher_is_better: bool | None) -> str:
    """A score's name, with an arrow towards better values where a custom score declares it."""
    return f"{score}{DIRECTIONS[higher_is_better]}"


def format_interval(interval: ValueWithInterval | None, score: str) -> str:
    """The interval as [low, high]; "" where there is none."""
    if interval is None or interval.low is None or interval.high is None:
        return ""
    return f"[{format_value(interval.low, score)}, {format_value(interval.high, score)}]"


def format_with_interval(figure: ValueWithInterval | None, score: str) -> str:
    """The value with its interval, if it has one; – where the figure is missing or undefined."""
    value = format_value(figure.value if figure else None, score)
    return f"{value} {format_interval(figure, score)}".rstrip()
