"""Scoring of masks: every rule over the same pairs, one row per case and class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usbench.errors import ConfigError, DataError
from usbench.metrics import contours, overlap
from usbench.metrics.bootstrap import Draws, draw, means
from usbench.metrics.scores import Figure, ProtocolScores, Scores, average, bounded, mean
from usbench.types import Masks, Target, Task


def selection(pairs: Iterable[tuple[Target, Target]]) -> float:
    """The selection rule, version 1: mean foreground Dice (per class over images, then over classes)."""
    values = []
    for truth, guess in pairs:
        assert isinstance(truth, Masks) and isinstance(guess, Masks)
        values.append(
            np.where(
                known_of(truth), overlap.dice(overlap.counts(truth.planes, guess.planes)), np.nan
            )
        )
    value = float(mean(mean(np.stack(values), 0)))
    return value if np.isfinite(value) else 0.0


def known_of(truth: Masks) -> NDArray[np.bool_]:
    """(C,) whether anybody knows what of a class is in the image."""
    return np.ones(len(truth.planes), bool) if truth.known is None else truth.known


class SegmentScorer:
    """See usbench.metrics.scores.Scorer."""

    task: Task = "segment"

    def __init__(
        self,
        classes: Sequence[str],
        protocols: Sequence[str] = ("usbench", "pooled"),
        primary: str = "dice",
        extra: dict[str, Callable[[Masks, Masks], float | None]] | None = None,
        tolerance_px: float | None = None,
        tolerance_mm: float | None = None,
    ) -> None:
        """protocols: the first is the protocol; extra: further figures, name → function of one case's (truth, prediction),
        None where undefined; its mean over cases is reported. tolerance_px, tolerance_mm: of the surface Dice; null:
        2 px and twice the larger side of an image's pixels.
        """
        self.tolerance_px = contours.TOLERANCE_PX if tolerance_px is None else tolerance_px
        self.tolerance_mm = tolerance_mm
        contours.check_tolerances(self.tolerance_px, tolerance_mm)
        self.protocols = [overlap.rule(name) for name in protocols]
        if not protocols or len({rule.name for rule in self.protocols}) < len(protocols):
            raise ConfigError(
                f"metric.protocols: one or more different protocols were wanted, found {list(protocols)}"
            )
        self.classes, self.primary, self.extra = tuple(classes), primary, extra or {}
        self.outlines: list[list[contours.Case]] = []
        self.groups: list[str] = []
        self.known: list[NDArray[np.bool_]] = []
        self.native: list[overlap.Counts] = []
        self.tables: dict[str, list[overlap.Counts]] = {rule.name: [] for rule in self.protocols}
        self.values: dict[str, list[float]] = {name: [] for name in self.extra}
        self.cases: list[dict[str, Any]] = []

    def update(
        self,
        case: str,
        group: str,
        truth: Target,
        prediction: Target,
        size: tuple[int, int] | None = None,
        mm_per_px: tuple[float, float] | None = None,
    ) -> None:
        """One image, at native size."""
        assert isinstance(truth, Masks) and isinstance(prediction, Masks)
        if len(truth.planes) != len(self.classes):
            raise ValueError(f"{len(self.classes)} planes were wanted, found {len(truth.planes)}")
        known, outlines = known_of(truth), []
        for c, sure in enumerate(known):
            planes = truth.planes[c], prediction.planes[c]
            outline = (
                contours.measured(*planes, mm_per_px, self.tolerance_px, self.tolerance_mm)
                if sure
                else {}
            )
            outlines.append(outline)
        self.count(case, group, overlap.counts(truth.planes, prediction.planes), known, outlines)
        for rule in self.protocols:
            if not overlap.is_native(rule):
                self.tables[rule.name].append(
                    overlap.rule_counts(rule, truth.planes, prediction.planes)
                )
        for name, function in self.extra.items():
            value = function(truth, prediction)
            self.values[name].append(np.nan if value is None else float(value))

    def count(
        self,
        case: str,
        group: str,
        native: overlap.Counts,
        known: NDArray[np.bool_],
        outlines: list[contours.Case],
    ) -> None:
        """One image's (C, 3) counts at native size, and its classes' outlines; enough for every native rule."""
        self.groups.append(group)
        self.known.append(known)
        self.native.append(native)
        self.outlines.append(outlines)
        for rule in self.protocols:
            if overlap.is_native(rule):
                self.tables[rule.name].append(native)
        for label, counts, sure, outline in zip(self.classes, native, known, outlines, strict=True):
            tp, fp, fn = counts.tolist() if sure else (None, None, None)
            row = {"case": case, "group": group, "class": label, "tp": tp, "fp": fp, "fn": fn}
            self.cases.append({**row, **dict.fromkeys(KEPT), **outline})

    def result(self) -> Scores:
        """See usbench.metrics.scores.Scorer."""
        draws = draw(self.groups)
        known = np.stack(self.known) if self.known else np.zeros((0, len(self.classes)), bool)
        ruled = []
        for rule in self.protocols:
            table = overlap.stack(self.tables[rule.name], len(self.classes) + rule.background)
            ruled.append(overlap.apply(rule, table, self.classes, known, draws))
        return Scores((self.enrich(ruled[0], known, draws), *ruled[1:]), self.cases)

    def enrich(
        self, protocol: ProtocolScores, known: overlap.Known, draws: Draws
    ) -> ProtocolScores:
        """The protocol's figures with pooled Dice, precision and recall, false positives on images without the class,
        distances of outlines, and the extra ones.
        """
        table = overlap.stack(self.native, len(self.classes))
        scores, per_class = (
            dict(protocol.scores),
            {name: dict(figures) for name, figures in protocol.per_class.items()},
        )
        for name, value, order, lost in ADDED:
            scores[name], each = overlap.averaged(value, order, table, known, draws, lost)
            for label, figure in zip(self.classes, each, strict=True):
                per_class[label][name] = figure
        overall, each_class = contours.figures(self.outlines, draws)
        scores |= overall
        for label, figures in zip(
            self.classes, each_class, strict=False
        ):  # without an image there is none
            per_class[label] |= figures
        scores |= {name: with_interval(values, draws) for name, values in self.values.items()}
        return ProtocolScores(
            protocol.name,
            protocol.version,
            f"{protocol.description}; {self.words()}",
            scores,
            per_class,
            protocol.target_score,
        )

    def words(self) -> str:
        """How outlines are measured."""
        mm = (
            "twice the larger side of a pixel"
            if self.tolerance_mm is None
            else f"{self.tolerance_mm:g} mm"
        )
        return (
            f"outlines: distances of surface elements weighted by length (surface-distance), surface Dice (nsd) at "
            f"{self.tolerance_px:g} px, in mm at {mm}; one mask empty: nsd 0, distances undefined and counted, with "
            "the image's diagonal in the figures with penalty"
        )


def from_cases(
    rows: Sequence[Mapping[str, str]], classes: Sequence[str], protocols: Sequence[str]
) -> Scores:
    """The scores of native protocols from a case table (texts; "" for null) alone: no mask, no image.

    Raises DataError where it isn't one of these classes.
    """
    scorer = SegmentScorer(classes, protocols)
    for start in range(0, len(rows), len(classes)):
        part = rows[start : start + len(classes)]
        if [row.get("class") for row in part] != list(classes) or len(
            {row["case"] for row in part}
        ) != 1:
            raise DataError(
                f"case table, row {start + 1}: a case's classes {', '.join(classes)} were wanted, found others"
            )
        known = np.array([row["tp"] != "" for row in part])
        native = np.array(
            [[int(row[name] or 0) for name in ("tp", "fp", "fn")] for row in part], np.int64
        )
        outlines = [{name: float(row[name]) for name in KEPT if row.get(name)} for row in part]
        scorer.count(part[0]["case"], part[0]["group"], native, known, outlines)
    return scorer.result()


ADDED: Sequence[tuple[str, Callable[[overlap.Counts], overlap.Values], overlap.Order, str]] = (
    ("pooled_dice", overlap.dice, "pooled", "the class is in no truth and no prediction"),
    ("precision", overlap.precision, "class", "the class is never predicted"),
    ("recall", overlap.recall, "class", "the class is in no truth"),
    (
        "empty_false_positive_rate",
        overlap.empty_false_positives,
        "class",
        "every image has the class",
    ),
)


KEPT = (*contours.UNIT, "diagonal_px", "diagonal_mm")  # columns of the case table beside the counts


def with_interval(values: Sequence[float], draws: Draws) -> Figure:
    """The mean over the cases whose value is defined, with its interval."""
    return bounded(average(values), means(np.array(values), draws), draws.groups)
