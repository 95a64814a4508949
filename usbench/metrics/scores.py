"""What a scorer gives back, and the interface that every scorer has."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from usbench.metrics.bootstrap import interval
from usbench.types import Target, Task


@dataclass(frozen=True)
class Figure:
    """One number: undefined is None with a reason, never NaN or infinity."""

    value: float | None
    n: int  # cases that it is made of
    reason: str | None = None
    low: float | None = None  # 95 % interval by cluster bootstrap over groups
    high: float | None = None
    interval: str | None = None  # why there is none, or how far to trust it
    method: str | None = None  # how low and high were made; None where there are none
    groups: int | None = None  # of the test set; None: not said

    @staticmethod
    def of(value: float, n: int, reason: str = "no case to average") -> Figure:
        """A figure, None where the value isn't finite."""
        return Figure(float(value), n) if math.isfinite(value) else Figure(None, n, reason)


Figures = dict[str, Figure]


def bounded(figure: Figure, resampled: NDArray[np.float64], groups: int) -> Figure:
    """The figure with its interval. resampled: (B,) what it is in each resample of the groups."""
    if figure.value is None:
        return figure
    found = interval(resampled, groups)
    method = None if found.low is None else "percentile"
    return replace(
        figure, low=found.low, high=found.high, interval=found.reason, method=method, groups=groups
    )


@dataclass(frozen=True)
class ProtocolScores:
    """All figures of one evaluation protocol."""

    name: str
    version: int
    description: str
    scores: Figures
    per_class: dict[str, Figures]
    target_score: Figures  # what the target itself scores as the prediction


@dataclass(frozen=True)
class Scores:
    """What a scorer made of a set: its protocol's figures first, other rules', and one row per case and class."""

    protocols: tuple[ProtocolScores, ...]
    cases: list[dict[str, Any]] = field(default_factory=list)

    @property
    def protocol(self) -> ProtocolScores:
        """The rule that the leaderboard ranks by."""
        return self.protocols[0]


class Scorer(Protocol):
    """Fed pair by pair in constant memory; see segment.py and detect.py."""

    task: Task
    primary: str

    def update(
        self,
        case: str,
        group: str,
        truth: Target,
        prediction: Target,
        size: tuple[int, int] | None = None,
        mm_per_px: tuple[float, float] | None = None,
    ) -> None:
        """One image's truth and prediction, in native pixels; size: (height, width), mm_per_px: (row, column)."""
        ...

    def result(self) -> Scores:
        """The figures of everything seen so far."""
        ...


def mean(values: NDArray[np.float64], axis: int | None = None) -> Any:
    """Mean over what is defined (not NaN); NaN where nothing is, without a warning."""
    count = np.isfinite(values).sum(axis=axis)
    total = np.where(np.isfinite(values), values, 0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def average(values: Sequence[float]) -> Figure:
    """Mean over the cases whose value is defined (not NaN); an infinite one leaves it undefined, and is said."""
    defined = [value for value in values if not math.isnan(value)]
    infinite = sum(map(math.isinf, defined))
    reason = f"infinite in {infinite} of {len(defined)} cases" if infinite else "no case to average"
    return Figure.of(
        sum(defined) / len(defined) if defined and not infinite else math.nan, len(defined), reason
    )


def flat(figures: Mapping[str, Figure]) -> dict[str, float | None]:
    """Names and values alone."""
    return {name: figure.value for name, figure in figures.items()}
