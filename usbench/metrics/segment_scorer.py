"""Scoring of masks: all protocols over the same pairs, and one row per case and class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from usbench.errors import ConfigError, DataError
from usbench.metrics import mask_overlap, mask_protocols, outline_figures
from usbench.metrics.bootstrap import Draws, draw
from usbench.metrics.chunks import count_threads
from usbench.metrics.mask_overlap import Counts, count_pixels, stack_counts
from usbench.metrics.measures.measurements import Measurements
from usbench.metrics.ratios import mean_defined
from usbench.metrics.scores import (
    CustomFigure,
    ExtraFigures,
    ProtocolScores,
    Scores,
    TableRow,
    lookup_protocols,
)
from usbench.types import Masks, Target, Task

# Figures beside the protocol's own, all of native pixels: name, measure, order, why undefined.
_NATIVE_FIGURES: Sequence[tuple[str, mask_protocols.Measure, mask_protocols.Order, str]] = (
    ("pooled_dice", mask_overlap.dice, "pooled", "the class is in no truth and no prediction"),
    ("precision", mask_overlap.precision, "class", "the class is never predicted"),
    ("recall", mask_overlap.recall, "class", "the class is in no truth"),
    (
        "empty_false_positive_rate",
        mask_overlap.empty_false_positives,
        "class",
        "every image has the class",
    ),
)
COUNT_COLUMNS = ("tp", "fp", "fn")  # of the case table
OUTLINE_COLUMNS = (*outline_figures.UNIT, "diagonal_px", "diagonal_mm")  # likewise


def selection(pairs: Iterable[tuple[Target, Target]]) -> float:
    """The selection metric, version 1: mean Dice over images per class, then over classes."""
    values = []
    for target, prediction in pairs:
        assert isinstance(target, Masks) and isinstance(prediction, Masks)
        dice = mask_overlap.dice(count_pixels(target.planes, prediction.planes))
        values.append(np.where(known_classes(target), dice, np.nan))
    value = float(mean_defined(mean_defined(np.stack(values), 0)))
    return value if np.isfinite(value) else 0.0


def known_classes(target: Masks) -> NDArray[np.bool_]:
    """(C,) whether it is known what of each class is in the image."""
    return np.ones(len(target.planes), bool) if target.known is None else target.known


class SegmentScorer:
    """Scores masks; see `usbench.metrics.scores.Scorer`."""

    task: Task = "segment"

    def __init__(
        self,
        classes: Sequence[str],
        protocols: Sequence[str] = ("usbench", "pooled"),
        primary: str = "dice",
        extra: Mapping[str, CustomFigure] | None = None,
        tolerance_px: float | None = None,
        tolerance_mm: float | None = None,
        measures: Mapping[str, object] | None = None,
    ) -> None:
        """Set up an empty scorer.

        Args:
            classes: foreground classes, in the order of the planes.
            protocols: names from `mask_protocols`; the first is the main one.
            primary: name of the score that the leaderboard ranks by.
            extra: further figures, name → function of one image's (target, prediction), see
                `ExtraFigures`; the mean over images is reported.
            tolerance_px: of the surface Dice; None: 2 px.
            tolerance_mm: of the surface Dice; None: twice the larger side of an image's pixels.
            measures: clinical measurements, scored by the protocol `measure` too.
        """
        for name, value in (("tolerance_px", tolerance_px), ("tolerance_mm", tolerance_mm)):
            if value is not None and not (isinstance(value, (int, float)) and 0 <= value < np.inf):
                raise ConfigError(f"metric.{name}: expected a length of 0 or more, got {value}")
        self.tolerance_px = outline_figures.TOLERANCE_PX if tolerance_px is None else tolerance_px
        self.tolerance_mm = tolerance_mm
        self.protocols = lookup_protocols(
            protocols, mask_protocols.MASK_PROTOCOLS, mask_protocols.ALIASES
        )
        self.classes = tuple(classes)
        self.primary = primary
        self.extra = ExtraFigures(extra, classes)
        self.measurements = Measurements(measures, self.task, classes)
        self.groups: list[str] = []
        self.known: list[NDArray[np.bool_]] = []  # N × (C,)
        self.outlines: list[list[outline_figures.Case]] = []  # N × C
        self.native_counts: list[Counts] = []  # N × (C, 3)
        # Other counts by protocol's name: N × (C, 3), or (C + 1, 3) with background.
        self.other_counts: dict[str, list[Counts]] = {
            protocol.name: [] for protocol in self.protocols if not protocol.is_native
        }
        self.cases: list[TableRow] = []
        self.pool = ThreadPoolExecutor(count_threads())

    def update(
        self,
        case: str,
        group: str,
        target: Target,
        prediction: Target,
        size: tuple[int, int] | None = None,
        mm_per_px: tuple[float, float] | None = None,
    ) -> None:
        """Add one image at native size; see `Scorer.update`."""
        assert isinstance(target, Masks) and isinstance(prediction, Masks)
        if len(target.planes) != len(self.classes):
            raise ValueError(
                f"{case}: expected {len(self.classes)} planes, one per class, "
                f"got {len(target.planes)}"
            )
        known = known_classes(target)
        counts = count_pixels(target.planes, prediction.planes)  # checks the shapes

        def measure(c: int) -> outline_figures.Case:
            if not known[c]:
                return {}
            return outline_figures.measure_outlines(
                target.planes[c],
                prediction.planes[c],
                mm_per_px,
                self.tolerance_px,
                self.tolerance_mm,
            )

        outlines = list(self.pool.map(measure, range(len(self.classes))))
        self.add_counts(case, group, counts, known, outlines)
        for protocol in self.protocols:
            if not protocol.is_native:
                self.other_counts[protocol.name].append(
                    protocol.count(target.planes, prediction.planes)
                )
        self.extra.update(target, prediction)
        self.measurements.update(target, prediction, mm_per_px)

    def add_counts(
        self,
        case: str,
        group: str,
        counts: Counts,
        known: NDArray[np.bool_],
        outlines: list[outline_figures.Case],
    ) -> None:
        """Add one image by what its case table holds, which is enough for native protocols.

        Args:
            case: the image's id.
            group: the animal, patient or video that it belongs to.
            counts: (C, 3) at native size.
            known: (C,) whether it is known what of each class is in the image.
            outlines: the measured outlines of each class.
        """
        self.groups.append(group)
        self.known.append(known)
        self.native_counts.append(counts)
        self.outlines.append(outlines)
        for c, label in enumerate(self.classes):
            values = counts[c].tolist() if known[c] else (None, None, None)
            self.cases.append(
                {
                    "case": case,
                    "group": group,
                    "class": label,
                    **dict(zip(COUNT_COLUMNS, values, strict=True)),
                    **dict.fromkeys(OUTLINE_COLUMNS),
                    **outlines[c],
                }
            )

    def result(self) -> Scores:
        """The scores of all images so far."""
        draws = draw(self.groups)
        known = np.stack(self.known) if self.known else np.zeros((0, len(self.classes)), bool)
        scored = []
        for protocol in self.protocols:
            stacked = stack_counts(
                self.other_counts.get(protocol.name, self.native_counts),
                len(self.classes) + protocol.background,
            )
            scored.append(
                mask_protocols.score_counts(protocol, stacked, self.classes, known, draws)
            )
        scored[0] = self._add_figures(scored[0], known, draws)
        return self.measurements.add_to(Scores(tuple(scored), self.cases), draws)

    def _add_figures(
        self, protocol: ProtocolScores, known: mask_protocols.Known, draws: Draws
    ) -> ProtocolScores:
        """Add the figures that don't depend on the protocol: of native pixels, outlines, extra."""
        counts = stack_counts(self.native_counts, len(self.classes))
        scores = dict(protocol.scores)
        per_class = {label: dict(figures) for label, figures in protocol.per_class.items()}
        for name, measure, order, reason in _NATIVE_FIGURES:
            scores[name], figures = mask_protocols.average_measure(
                measure, order, counts, known, draws, reason
            )
            for label, figure in zip(self.classes, figures, strict=True):
                per_class[label][name] = figure
        outline_scores, class_outlines = outline_figures.summarise_outlines(self.outlines, draws)
        # Without an image, `class_outlines` is empty.
        for label, outlines in zip(self.classes, class_outlines, strict=False):
            per_class[label] |= outlines
        scores |= outline_scores
        stated = self.tolerance_mm
        mm = "twice the larger side of a pixel" if stated is None else f"{stated:g} mm"
        description = (
            f"{protocol.description}; "
            "outlines: distances of surface elements weighted by length (surface-distance), "
            f"surface Dice (nsd) at {self.tolerance_px:g} px, in mm at {mm}; one mask empty: nsd "
            "0, distances undefined and counted, with the image's diagonal in the figures with "
            "penalty"
        )
        protocol = replace(protocol, description=description, scores=scores, per_class=per_class)
        return self.extra.add_to(protocol, draws)


def from_cases(
    rows: Sequence[Mapping[str, str]],
    classes: Sequence[str],
    protocols: Sequence[str],
    measures: Mapping[str, object] | None = None,
) -> Scores:
    """The scores of native protocols from a case table alone, without masks.

    Args:
        rows: of the table, as text; "" for null.
        classes: in order; each case has a row for each.
        protocols: names of native protocols, the main one first.
        measures: clinical measurements that the table has columns of.

    Raises:
        DataError: the table isn't of these classes.
    """
    scorer = SegmentScorer(classes, protocols, measures=measures)
    for start in range(0, len(rows), len(classes)):
        part = rows[start : start + len(classes)]
        labels = [row.get("class") for row in part]
        if labels != list(classes) or len({row["case"] for row in part}) != 1:
            raise DataError(
                f"case table, row {start + 1}: expected one case's classes "
                f"{', '.join(classes)}, got {labels}"
            )
        known = np.array([row["tp"] != "" for row in part])
        counts = np.zeros((len(classes), 3), np.int64)
        outlines: list[outline_figures.Case] = []
        for c, row in enumerate(part):
            counts[c] = [int(row[name] or 0) for name in COUNT_COLUMNS]
            outlines.append({name: float(row[name]) for name in OUTLINE_COLUMNS if row.get(name)})
        scorer.add_counts(part[0]["case"], part[0]["group"], counts, known, outlines)
    scorer.measurements.read_rows(rows)
    return scorer.result()
