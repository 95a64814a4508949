"""The protocol `measure`: declared measurements of targets and predictions, and their agreement."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from usbench.metrics.bootstrap import Draws, Values, resample_means
from usbench.metrics.intervals import Scale, measure_spread
from usbench.metrics.measures.agreement_figures import error_figures
from usbench.metrics.measures.declared import PERCENT, UNITS, Measure, read_measures
from usbench.metrics.measures.regions import Region, Spacing
from usbench.metrics.ratios import mean_defined
from usbench.metrics.scores import (
    EvaluationProtocol,
    Figure,
    Figures,
    ProtocolScores,
    Scores,
    TableRow,
    class_mean,
)
from usbench.types import SEEN, Landmarks, Masks, Target, Task

MEASURE = EvaluationProtocol(
    "measure",
    1,
    "clinical measurements of each prediction against those of its target, in mm over the images "
    "whose pixel size is known, in px where no image's is; an image whose target hasn't a "
    "measurement counts nowhere in it; one whose prediction hasn't is a failure: no pixel of the "
    "class, no ellipse (fewer than 6 places of the outline within the image, or all on one line), "
    "or no band (no part of 9 pixels' length); failures are counted (failure_rate), lie outside "
    "the tolerance, and have no error; bias: mean of predicted − true; loa: bias ± 1.96 SD, with "
    "the variance between and within groups (Bland & Altman 2007); mae: mean absolute error; pct: "
    "in % of the true value; icc: ICC(2,1) over images; over all = the mean over the measurements",
    "clinical measurements: errors, limits of agreement, ICC, failures",
)
PX: Spacing = (1.0, 1.0)
SIDES = ("target", "prediction")  # of the case table's columns
RATES = ("within_tolerance", "failure_rate")  # figures that are shares of images
Row = TypeVar("Row")


@dataclass(frozen=True)
class Pair:
    """One measurement of one image."""

    target: float
    prediction: float | None  # None: a failure
    in_mm: bool


def round_as_stored(value: float) -> float:
    """A value with a case table's nine digits, so that the table gives the same figures again."""
    return float(f"{value:.9g}")


class Measurements:
    """Collects measurements image by image, then compares predictions with targets."""

    def __init__(
        self, node: Mapping[str, object] | None, task: Task, classes: Sequence[str]
    ) -> None:
        """Set up without an image.

        Args:
            node: name → {kind, of, tolerance}, see `declared.read_measures`.
            task: segment or landmark.
            classes: names of the planes or landmarks, in order.
        """
        self.measures = read_measures(node, task)
        self.classes = tuple(classes)
        self.curves: set[str] = set()  # landmarks with a target of several knots
        # Measurement → each image's values; None where the target hasn't got it.
        self.pairs: dict[str, list[Pair | None]] = {part.name: [] for part in self.measures}

    def update(self, target: Target, prediction: Target, mm_per_px: Spacing | None) -> None:
        """Measure one image.

        Args:
            target: in native px.
            prediction: likewise; a landmark that the target has must have a place.
            mm_per_px: (row, column); None where unknown.
        """
        spacing, regions = mm_per_px or PX, (RegionsOf(target), RegionsOf(prediction))
        if isinstance(target, Landmarks):
            self.curves |= {
                name for name, path in zip(self.classes, target.paths, strict=True) if len(path) > 1
            }
        for measure in self.measures:
            pair = None
            if set(measure.of) <= set(self.classes):
                numbers = [self.classes.index(name) for name in measure.of]
                if is_known(target, numbers):
                    true, predicted = (side.measure(measure, numbers, spacing) for side in regions)
                    if true is not None:
                        pair = Pair(
                            round_as_stored(true),
                            None if predicted is None else round_as_stored(predicted),
                            mm_per_px is not None,
                        )
            self.pairs[measure.name].append(pair)

    # ---- the case table

    def add_columns(self, rows: Sequence[TableRow]) -> None:
        """Add the values to the case table, in the rows of the (first) class that they are of.

        Args:
            rows: of all images, a row per class.
        """
        for measure in self.measures:
            pairs = self.pairs[measure.name]
            if self._why_unmeasured(measure) is not None:
                continue
            for unit in dict.fromkeys(UNITS[measure.kind.dimension]):
                in_unit = [
                    pair if pair is not None and unit_of(measure, pair.in_mm) == unit else None
                    for pair in pairs
                ]
                if not any(in_unit):
                    continue
                for side in SIDES:
                    column = column_name(measure, side, unit)
                    for row, pair in zip(self._rows_of(measure, rows), in_unit, strict=True):
                        row[column] = None if pair is None else getattr(pair, side)

    def read_rows(self, rows: Sequence[Mapping[str, str]]) -> None:
        """Take the values of all images from the text of a case table; "" is null."""
        for measure in self.measures:
            self.pairs[measure.name] = [
                read_pair(measure, row) for row in self._rows_of(measure, rows)
            ]

    def _rows_of(self, measure: Measure, rows: Sequence[Row]) -> Sequence[Row]:
        """Each image's row of the first class that a measurement is of."""
        if measure.of[0] not in self.classes:
            return []
        return rows[self.classes.index(measure.of[0]) :: len(self.classes)]

    # ---- the scores

    def add_to(self, scores: Scores, draws: Draws) -> Scores:
        """Scores with the protocol `measure` and its columns, where anything is declared.

        Args:
            scores: with a case table of a row per image and class.
            draws: resamples of the images' groups.
        """
        protocol = self.score(draws)
        if protocol is None:
            return scores
        self.add_columns(scores.cases)
        return replace(scores, protocols=(*scores.protocols, protocol))

    def score(self, draws: Draws) -> ProtocolScores | None:
        """The scores of all images; None where nothing is declared. draws: of all images."""
        if not self.measures:
            return None
        per_measure: dict[str, Figures] = {}
        columns: dict[str, dict[str, Values]] = {}  # figure → measurement → (N,)
        for measure in self.measures:
            figures, by_image = self._score_measure(measure, draws)
            per_measure[measure.name] = figures
            for name, column in by_image.items():
                columns.setdefault(name, {})[measure.name] = column
        scores = {}
        for name, by_measure in columns.items():
            is_shared = len(by_measure) == len(self.measures) and not name.startswith("bias")
            if name in RATES or is_shared:
                scores[name] = mean_of(np.stack([*by_measure.values()], axis=1), name, draws)
        target_score = {
            name: Figure(float(name == "within_tolerance"), figure.n, groups=figure.groups)
            for name, figure in scores.items()
            if figure.value is not None
        }
        details = "; ".join(measure.describe() for measure in self.measures)
        description = f"{MEASURE.description}; {details}"
        return ProtocolScores(
            MEASURE.name, MEASURE.version, description, scores, per_measure, target_score
        )

    def _score_measure(self, measure: Measure, draws: Draws) -> tuple[Figures, dict[str, Values]]:
        """The figures of one measurement, and the (N,) values that some of them are means of."""
        pairs, reason = self.pairs[measure.name], self._why_unmeasured(measure)
        in_mm = any(pair is not None and pair.in_mm for pair in pairs)
        unit = unit_of(measure, in_mm)
        target, prediction = np.full((2, len(draws.index)), np.nan)
        for n, pair in enumerate([] if reason else pairs):
            if pair is not None and unit_of(measure, pair.in_mm) == unit:
                target[n] = pair.target
                prediction[n] = np.nan if pair.prediction is None else pair.prediction
        error = np.abs(prediction - target)
        by_image = {f"mae_{unit}": error}
        if measure.kind.dimension != "angle":
            by_image["mae_pct"] = percent_of(error, target)
            by_image["bias_pct"] = percent_of(prediction - target, target)
        is_measured = np.isfinite(target)
        if measure.tolerance is not None:
            within = within_tolerance(measure, error, target, unit)
            by_image["within_tolerance"] = np.where(is_measured, within, np.nan)
        by_image["failure_rate"] = np.where(is_measured, np.isnan(prediction), np.nan)
        both = np.flatnonzero(np.isfinite(error))
        figures = error_figures(target[both], prediction[both], unit, draws.select(both))
        for name, column in by_image.items():
            figures[name] = mean_of(column[:, None], name, draws, reason)
        return figures, by_image

    def _why_unmeasured(self, measure: Measure) -> str | None:
        """Why a measurement has no value in any image; None where it may have."""
        for name in measure.of:
            if name not in self.classes:
                return f"the data have no {name}"
            if name in self.curves:
                return f"{name} is a curve"
        return None


class RegionsOf:
    """The measurements of one target or prediction; what several need is computed once."""

    def __init__(self, value: Target) -> None:
        """Take a target or prediction."""
        self.value = value
        self.regions: dict[int, Region] = {}

    def measure(self, measure: Measure, numbers: Sequence[int], spacing: Spacing) -> float | None:
        """One measurement; None where there is none.

        Args:
            measure: what to measure.
            numbers: of the classes or landmarks that it is of.
            spacing: (row, column) length of a pixel.
        """
        if isinstance(self.value, Masks):
            assert measure.kind.of_region is not None
            region = self.regions.setdefault(
                numbers[0], Region(self.value.planes[numbers[0]], spacing)
            )
            return measure.kind.of_region(region)
        assert isinstance(self.value, Landmarks) and measure.kind.of_points is not None
        scale = np.array(spacing[::-1], np.float64)
        places = [self.value.paths[n].mean(axis=0, dtype=np.float64) * scale for n in numbers]
        return measure.kind.of_points(places)


def is_known(target: Target, numbers: Sequence[int]) -> bool:
    """Whether a target says where these classes or landmarks are."""
    if isinstance(target, Landmarks):
        return bool((target.state[list(numbers)] == SEEN).all())
    assert isinstance(target, Masks)
    return target.known is None or bool(target.known[list(numbers)].all())


def unit_of(measure: Measure, in_mm: bool) -> str:
    """The unit of a measurement."""
    return UNITS[measure.kind.dimension][in_mm]


def column_name(measure: Measure, side: str, unit: str) -> str:
    """A column of the case table, such as "BPD target mm"."""
    return f"{measure.name} {side} {unit}"


def read_pair(measure: Measure, row: Mapping[str, str]) -> Pair | None:
    """A measurement's values in a row of a case table."""
    for in_mm, unit in enumerate(UNITS[measure.kind.dimension]):
        target, prediction = (row.get(column_name(measure, side, unit), "") for side in SIDES)
        if target:
            return Pair(float(target), float(prediction) if prediction else None, bool(in_mm))
    return None


def percent_of(error: Values, target: Values) -> Values:
    """(N,) errors in % of the true values; NaN where that is 0."""
    return 100 * error / np.where(target > 0, target, np.nan)


def within_tolerance(measure: Measure, error: Values, target: Values, unit: str) -> Values:
    """(N,) whether an error lies within the tolerance (≤); NaN where its unit isn't the tolerance's.

    A failure doesn't.
    """
    assert measure.tolerance is not None
    if measure.tolerance.unit not in (PERCENT, unit):
        return np.full(len(error), np.nan)
    is_share = measure.tolerance.unit == PERCENT
    size = percent_of(error, target) if is_share else error
    return np.where(np.isnan(size), 0.0, size <= measure.tolerance.value)


def mean_of(table: Values, name: str, draws: Draws, reason: str | None = None) -> Figure:
    """The mean over images, then over measurements, with its interval.

    Args:
        table: (N, M), NaN where undefined.
        name: of the figure.
        draws: resamples of the images' groups.
        reason: why it is undefined; None: what `name` says.
    """
    if reason is None:
        reason = "no image's target has it, or none is measured in its unit"
    scale: Scale = "share" if name in RATES else "unbounded"
    counted = np.isfinite(table)
    spread = measure_spread(lambda draws: resample_means(table, draws), draws, scale)
    values = np.array([mean_defined(column) for column in table.T])
    if math.isnan(float(mean_defined(values))):
        return Figure(None, 0, reason)
    return class_mean(values, counted, reason, spread, draws)
