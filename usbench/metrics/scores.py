"""Figures with their intervals, what a protocol states, what a scorer returns and what it has."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from usbench.errors import ConfigError
from usbench.metrics.bootstrap import Draws, Values, resample_means
from usbench.metrics.intervals import (
    Spread,
    estimate_interval,
    freedom_of_mean,
    measure_spread,
)
from usbench.metrics.ratios import mean_defined
from usbench.types import Target, Task


@dataclass(frozen=True)
class Figure:
    """One number with its interval; where undefined, None with a reason, never NaN or infinity."""

    value: float | None
    # Cases with a value: those on which the figure is defined by itself. Of a mean over classes,
    # n and groups are those of the class with the fewest groups.
    n: int
    reason: str | None = None  # why the value is None
    low: float | None = None  # 95 % interval over groups
    high: float | None = None
    interval: str | None = None  # why there is no interval, or how far to trust it
    method: str | None = None  # how low and high were computed; None without an interval
    groups: int | None = None  # that these cases are of; None: not stated
    se: float | None = None  # standard error over groups, by the bootstrap
    df: float | None = None  # its degrees of freedom
    higher_is_better: bool | None = None  # as a custom figure declares it; None: it doesn't

    @staticmethod
    def of(
        value: float,
        counted: Flags,
        reason: str = "no case to average",
        spread: Spread | None = None,
        draws: Draws | None = None,
        groups: int | None = None,
        df: float | None = None,
    ) -> Figure:
        """A figure with its interval; None with the reason where the value isn't finite.

        Args:
            value: NaN where it is undefined.
            counted: (N,) whether each case has a value.
            reason: why it is undefined.
            spread: how the value varies over groups; None for no interval.
            draws: the resamples of the groups.
            groups: how many have a value; None: as many as the counted cases are of.
            df: degrees of freedom; None: groups − 1.
        """
        n = int(counted.sum())
        if groups is None and draws is not None:
            groups = draws.count_groups(counted)
        if not math.isfinite(value):
            return Figure(None, n, reason, groups=groups)
        if spread is None or groups is None:
            return Figure(float(value), n, groups=groups)
        interval = estimate_interval(float(value), spread, groups, df)
        return Figure(
            float(value),
            n,
            low=interval.low,
            high=interval.high,
            interval=interval.reason,
            method=interval.method,
            groups=groups,
            se=interval.se,
            df=interval.df,
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


# A number, or one per class; None where undefined.
CustomFigure = Callable[[Any, Any], float | Sequence[float | None] | NDArray[Any] | None]


class ExtraFigures:
    """Custom figures: functions of one image's target and prediction, averaged over images."""

    def __init__(
        self, functions: Mapping[str, CustomFigure] | None, classes: Sequence[str] = ()
    ) -> None:
        """Set up without an image.

        Args:
            functions: name → function of (target, prediction) that returns a number, or one per
                class; None where undefined. Its attribute `higher_is_better` may state its
                direction, as that of a torchmetrics `Metric` does.
            classes: names, in the order of the numbers per class.
        """
        self.functions = dict(functions or {})
        self.classes = tuple(classes)
        # Of each image a number, or a number per class; NaN where undefined.
        self.values: dict[str, list[float | list[float]]] = {name: [] for name in self.functions}

    def update(self, target: Target, prediction: Target) -> None:
        """Add one image. Raises ConfigError for anything but a number, or one per class."""
        for name, function in self.functions.items():
            value = function(target, prediction)
            if np.ndim(value) == 0:  # type: ignore[arg-type]
                self.values[name].append(to_number(value))
                continue
            numbers = list(map(to_number, value))  # type: ignore[arg-type]
            if len(numbers) != len(self.classes):
                raise ConfigError(
                    f"metric.extra.{name}: expected a number, or {len(self.classes)}, one per "
                    f"class, got {len(numbers)}"
                )
            self.values[name].append(numbers)

    def add_to(self, protocol: ProtocolScores, draws: Draws) -> ProtocolScores:
        """A protocol with the mean of each figure over images, of each class and over classes.

        Args:
            protocol: the main one.
            draws: resamples of the images' groups.

        Raises:
            ConfigError: a figure has the name of one of the protocol's.
        """
        scores = dict(protocol.scores)
        per_class = {label: dict(figures) for label, figures in protocol.per_class.items()}
        for name, values in self.values.items():
            if name in scores:
                raise ConfigError(
                    f"metric.extra.{name}: the metric has a score of that name; choose another"
                )
            direction = declared_direction(self.functions[name])
            if not any(isinstance(value, list) for value in values):
                figure = average([value for value in values if not isinstance(value, list)], draws)
                scores[name] = replace(figure, higher_is_better=direction)
                continue
            table = np.array(
                [value if isinstance(value, list) else [value] * len(per_class) for value in values]
            )
            figure = average_classes(table, draws)
            scores[name] = replace(figure, higher_is_better=direction)
            for label, column in zip(self.classes, table.T, strict=True):
                figure = average(column.tolist(), draws)
                per_class[label][name] = replace(figure, higher_is_better=direction)
        return replace(protocol, scores=scores, per_class=per_class)


def to_number(value: Any) -> float:
    """A custom figure's number; NaN for None."""
    return math.nan if value is None else float(value)


def declared_direction(function: object) -> bool | None:
    """Whether a custom figure's higher values are better, as it says; None where it doesn't say."""
    function = getattr(function, "func", function)  # of a functools.partial
    direction = getattr(function, "higher_is_better", None)
    return direction if isinstance(direction, bool) else None


def average_classes(table: Values, draws: Draws) -> Figure:
    """The mean over classes of each class's mean over images.

    Args:
        table: (N, C), NaN where undefined.
        draws: resamples of the images' groups.
    """
    counted = ~np.isnan(table)
    infinite = int(np.isinf(table).sum())
    if infinite:
        return Figure(None, len(table), f"infinite in {infinite} of {counted.sum()} values")
    spread = measure_spread(lambda draws: resample_means(table, draws), draws, "unbounded")
    return class_mean(mean_defined(table, 0), counted, spread=spread, draws=draws)


def average(values: Sequence[float], draws: Draws | None = None) -> Figure:
    """Mean over the values that aren't NaN; undefined, with a reason, where one is infinite."""
    array = np.array(values, np.float64)
    counted = ~np.isnan(array)
    defined = array[counted].tolist()
    infinite = sum(map(math.isinf, defined))
    if infinite:
        return Figure(None, len(defined), f"infinite in {infinite} of {len(defined)} cases")
    mean = sum(defined) / len(defined) if defined else math.nan
    if draws is None:
        return Figure.of(mean, counted)
    spread = measure_spread(lambda draws: resample_means(array, draws), draws, "unbounded")
    return Figure.of(mean, counted, spread=spread, draws=draws)


def class_figures(
    values: Values,
    counted: Flags,
    reason: str,
    spread: Spread | None = None,
    draws: Draws | None = None,
) -> list[Figure]:
    """One figure per class.

    Args:
        values: (C,) NaN where undefined.
        counted: (N, C) whether each case has a value.
        reason: why a value is undefined.
        spread: of the classes, one column each; None for no intervals.
        draws: the resamples of the groups.
    """
    return [
        Figure.of(value, counted[:, c], reason, spread.column(c) if spread else None, draws)
        for c, value in enumerate(values)
    ]


def class_mean(
    values: Values,
    counted: Flags,
    reason: str = "no case to average",
    spread: Spread | None = None,
    draws: Draws | None = None,
) -> Figure:
    """The mean over the classes that have a value; arguments as for `class_figures`.

    n and groups are those of the class with the fewest.
    """
    value = float(mean_defined(values))
    defined = np.flatnonzero(np.isfinite(values))
    if not len(defined):
        return Figure.of(value, np.asarray(counted.any(axis=1)), reason, draws=draws)
    flags = counted[:, defined]
    if spread is None or draws is None:
        return Figure.of(value, flags[:, flags.sum(axis=0).argmin()], reason, draws=draws)
    groups, df = freedom_of_mean(spread.select(defined), flags, draws)
    smallest = flags[:, np.lexsort((flags.sum(axis=0), groups))[0]]
    return Figure.of(value, smallest, reason, spread.mean(), draws, df=df)


def figure_values(figures: Mapping[str, Figure]) -> dict[str, float | None]:
    """The figures' values by name."""
    return {name: figure.value for name, figure in figures.items()}
