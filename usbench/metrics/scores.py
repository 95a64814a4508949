"""Figures with their intervals, what a protocol states, what a scorer returns and what it has."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from usbench.errors import ConfigError
from usbench.metrics.bootstrap import Draws, Values, percentile_interval, resample_means
from usbench.metrics.ratios import mean_defined
from usbench.types import Target, Task


@dataclass(frozen=True)
class Figure:
    """One number with its interval; where undefined, None with a reason, never NaN or infinity."""

    value: float | None
    n: int  # cases with a value: those on which the figure is defined by itself
    reason: str | None = None  # why the value is None
    low: float | None = None  # 95 % interval by cluster bootstrap over groups
    high: float | None = None
    interval: str | None = None  # why there is no interval, or how far to trust it
    method: str | None = None  # how low and high were computed; None without an interval
    groups: int | None = None  # that these cases are of; None: not stated

    @staticmethod
    def of(
        value: float,
        counted: Flags,
        reason: str = "no case to average",
        resampled: Values | None = None,
        draws: Draws | None = None,
    ) -> Figure:
        """A figure with its interval; None with the reason where the value isn't finite.

        Args:
            value: NaN where it is undefined.
            counted: (N,) whether each case has a value.
            reason: why it is undefined.
            resampled: (B,) the value in each resample; None for no interval.
            draws: the resamples of the groups.
        """
        n = int(counted.sum())
        groups = None if draws is None else draws.count_groups(counted)
        if not math.isfinite(value):
            return Figure(None, n, reason, groups=groups)
        if resampled is None or groups is None:
            return Figure(float(value), n, groups=groups)
        interval = percentile_interval(resampled, groups)
        return Figure(
            float(value),
            n,
            low=interval.low,
            high=interval.high,
            interval=interval.reason,
            method=None if interval.low is None else "percentile",
            groups=groups,
        )


Flags = NDArray[np.bool_]
Figures = dict[str, Figure]
Cell = str | int | float | None  # of a case table
TableRow = dict[str, Cell]  # of a case table: column → value


@dataclass(frozen=True)
class EvaluationProtocol:
    """How pairs of targets and predictions become a score."""

    name: str
    version: int
    description: str  # everything that matters to the score; stands in each result
    summary: str  # at most eight words, for menus


P = TypeVar("P", bound=EvaluationProtocol)


def lookup_protocols(
    names: Sequence[str], protocols: Mapping[str, P], aliases: Mapping[str, str]
) -> list[P]:
    """The protocols of these names or aliases, in order.

    Raises ConfigError for no name, an unknown one, and two of the same protocol.
    """
    full_names = [aliases.get(name, name) for name in names]
    if not names or len(set(full_names) & set(protocols)) < len(names):
        choices = ", ".join([*protocols, *aliases])
        raise ConfigError(
            f"metric.protocols: expected one or more different names of {choices}, "
            f"got {', '.join(map(repr, names)) or 'none'}"
        )
    return [protocols[name] for name in full_names]


@dataclass(frozen=True)
class ProtocolScores:
    """All figures of one evaluation protocol."""

    name: str
    version: int
    description: str
    scores: Figures
    per_class: dict[str, Figures]
    target_score: Figures  # what the target itself scores as the prediction

    def with_figures(self, change: Callable[[Figures], Figures]) -> ProtocolScores:
        """The protocol with other figures: `change` of all classes', each class's, the target's."""
        return replace(
            self,
            scores=change(self.scores),
            per_class={label: change(figures) for label, figures in self.per_class.items()},
            target_score=change(self.target_score),
        )


@dataclass(frozen=True)
class Scores:
    """The scores of one set of images under one or more protocols."""

    protocols: tuple[ProtocolScores, ...]  # the main one first
    cases: list[TableRow] = field(default_factory=list)  # the case table's rows

    @property
    def protocol(self) -> ProtocolScores:
        """The main protocol, which the leaderboard ranks by."""
        return self.protocols[0]


class Scorer(Protocol):
    """Collects the pairs of a set one by one, in constant memory, then scores them."""

    task: Task
    primary: str  # name of the score that the leaderboard ranks by

    def update(
        self,
        case: str,
        group: str,
        target: Target,
        prediction: Target,
        size: tuple[int, int] | None = None,
        mm_per_px: tuple[float, float] | None = None,
    ) -> None:
        """Add one image.

        Args:
            case: the image's id.
            group: the animal, patient or video that it belongs to.
            target: in native pixels.
            prediction: in native pixels.
            size: (height, width) in px.
            mm_per_px: (row, column); None where unknown.
        """

    def result(self) -> Scores:
        """The scores of all images so far."""


class ExtraFigures:
    """Custom figures: functions of one image's target and prediction, averaged over images."""

    def __init__(self, functions: Mapping[str, Callable[..., float | None]] | None) -> None:
        """functions: name → function of (target, prediction) that returns None where undefined."""
        self.functions = dict(functions or {})
        self.values: dict[str, list[float]] = {name: [] for name in self.functions}

    def update(self, target: Target, prediction: Target) -> None:
        """Add one image."""
        for name, function in self.functions.items():
            value = function(target, prediction)
            self.values[name].append(math.nan if value is None else float(value))

    def averages(self, draws: Draws | None = None) -> Figures:
        """The mean of each figure, with an interval if draws are given."""
        return {name: average(values, draws) for name, values in self.values.items()}


def average(values: Sequence[float], draws: Draws | None = None) -> Figure:
    """Mean over the values that aren't NaN; undefined, with a reason, where one is infinite."""
    array = np.array(values, np.float64)
    counted = ~np.isnan(array)
    defined = array[counted].tolist()
    infinite = sum(map(math.isinf, defined))
    if infinite:
        return Figure(None, len(defined), f"infinite in {infinite} of {len(defined)} cases")
    mean = sum(defined) / len(defined) if defined else math.nan
    resampled = resample_means(array, draws) if draws else None
    return Figure.of(mean, counted, resampled=resampled, draws=draws)


def class_figures(
    values: Values,
    counted: Flags,
    reason: str,
    resampled: Values | None = None,
    draws: Draws | None = None,
) -> list[Figure]:
    """One figure per class.

    Args:
        values: (C,) NaN where undefined.
        counted: (N, C) whether each case has a value.
        reason: why a value is undefined.
        resampled: (B, C) the values in each resample; None for no intervals.
        draws: the resamples of the groups.
    """
    columns = [None] * len(values) if resampled is None else resampled.T
    return [
        Figure.of(value, counted[:, c], reason, column, draws)
        for c, (value, column) in enumerate(zip(values, columns, strict=True))
    ]


def class_mean(
    values: Values,
    counted: Flags,
    reason: str = "no case to average",
    resampled: Values | None = None,
    draws: Draws | None = None,
) -> Figure:
    """The mean over the classes that have a value; arguments as for `class_figures`.

    A case counts if it has a value of any class.
    """
    means = None if resampled is None else mean_defined(resampled, 1)
    has_any = np.asarray(counted.any(axis=1))
    return Figure.of(float(mean_defined(values)), has_any, reason, means, draws)


def figure_values(figures: Mapping[str, Figure]) -> dict[str, float | None]:
    """The figures' values by name."""
    return {name: figure.value for name, figure in figures.items()}
