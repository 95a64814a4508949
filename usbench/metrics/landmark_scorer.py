"""Scoring of landmarks: points, curves and presence, and one row per case and name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from usbench.errors import ConfigError, DataError
from usbench.metrics import landmark_figures
from usbench.metrics.bootstrap import draw
from usbench.metrics.case_figures import best_f1_threshold
from usbench.metrics.landmark_figures import (
    PX,
    DrawnCases,
    LandmarkCase,
    Path,
    path_distances,
    sample_path,
)
from usbench.metrics.measures.measurements import Measurements
from usbench.metrics.scores import (
    CustomFigure,
    EvaluationProtocol,
    ExtraFigures,
    Figure,
    Figures,
    ProtocolScores,
    Scores,
)
from usbench.types import BLURRED, OFF, SEEN, Landmarks, Target, Task

RADIAL = EvaluationProtocol(
    "radial",
    2,
    "native pixels; over all = every seen point (or curve) counted once, whatever its name; "
    "points: distance of the prediction's maximum, whatever its presence score, to every point "
    "whose truth is seen: mean, median, SD (n − 1), share within each threshold (≤); diag: as a "
    "fraction of the image's diagonal; mm: only images whose pixel size is known; curves (names "
    "whose truths have several knots): both sampled every px along their natural splines, the "
    "distance of each sample to the other's nearest segment, mean of the two directed means, "
    "weighted by length of arc, and Hausdorff distance; presence: seen against surely not "
    "in view, names pooled, F1 and false presence at the threshold with the best F1 on "
    "validation, presence_ece: score against presence in 15 bins; blurred, missing and malformed "
    "truths count nowhere",
    "distances of every seen point and curve",
)
STATES = {SEEN: "seen", OFF: "off", BLURRED: "blurred"}
# What `selection` returns where nothing is seen; infinity can't be logged.
NOTHING_SEEN = -1e6
DEFAULT_THRESHOLD = 0.5  # of presence
SHARES = ("sdr_", "presence_auroc", "presence_f1")  # figures whose best value is 1; others' is 0
THRESHOLDS_PX = (2, 4, 8, 16)
THRESHOLDS_MM = (1, 2, 4, 8)


def selection(pairs: Iterable[tuple[Target, Target]]) -> float:
    """The selection metric, version 2: minus the mean distance in px over seen points and curves.

    Each counts once: a point's radial error, a curve's mean symmetric distance. −1e6 where
    nothing is seen.
    """
    errors = []
    for target, prediction in pairs:
        assert isinstance(target, Landmarks) and isinstance(prediction, Landmarks)
        for n in np.flatnonzero(target.state == SEEN):
            predicted = _require_place(prediction.paths[n], f"landmark {n}")
            errors.append(path_distances(sample_path(target.paths[n]), sample_path(predicted))[0])
    return -float(np.mean(errors)) if errors else NOTHING_SEEN


def presence_threshold(pairs: Iterable[tuple[Target, Target]]) -> float:
    """The presence score with the best F1 on these (validation) pairs; .5 where nothing is seen."""
    scores: list[float] = []
    present: list[bool] = []
    for target, prediction in pairs:
        assert isinstance(target, Landmarks) and isinstance(prediction, Landmarks)
        assert prediction.scores is not None
        is_known = target.state != BLURRED
        scores += prediction.scores[is_known].tolist()
        present += (target.state[is_known] == SEEN).tolist()
    return best_f1_threshold(scores, present, sum(present), DEFAULT_THRESHOLD)


class LandmarkScorer:
    """Scores landmarks; see `usbench.metrics.scores.Scorer`.

    Paths are measured as they come; only the measured cases are kept.
    """

    task: Task = "landmark"

    def __init__(
        self,
        classes: Sequence[str],
        protocols: Sequence[str] = (RADIAL.name,),
        primary: str = "mre_px",
        thresholds_px: Sequence[float] = THRESHOLDS_PX,
        thresholds_mm: Sequence[float] = THRESHOLDS_MM,
        measures: Mapping[str, object] | None = None,
        presence_threshold: float = DEFAULT_THRESHOLD,
        extra: Mapping[str, CustomFigure] | None = None,
    ) -> None:
        """Set up an empty scorer.

        Args:
            classes: names of the landmarks, in order.
            protocols: the radial protocol alone.
            primary: name of the score that the leaderboard ranks by.
            thresholds_px: of the detection rates.
            thresholds_mm: of the detection rates.
            measures: lengths and angles, scored by the protocol `measure` too.
            presence_threshold: a name counts as present from this score on.
            extra: further figures, as for `SegmentScorer`.
        """
        if tuple(protocols) != (RADIAL.name,):
            raise ConfigError(
                f"metric.protocols: expected {[RADIAL.name]} for landmarks, got {list(protocols)}"
            )
        self.classes = tuple(classes)
        self.primary = primary
        self.extra = ExtraFigures(extra, classes)
        self.groups: list[str] = []  # of each image
        self.thresholds = {"px": tuple(thresholds_px), "mm": tuple(thresholds_mm)}
        for unit, values in self.thresholds.items():
            if not all(
                isinstance(value, (int, float)) and 0 < value < math.inf for value in values
            ):
                raise ConfigError(
                    f"metric.thresholds_{unit}: expected lengths above 0, got {list(values)}"
                )
        self.measurements = Measurements(measures, self.task, classes)
        self.presence_threshold = presence_threshold
        self.cases: list[LandmarkCase] = []
        self.curves: set[str] = set()  # names with a target of several knots

    def update(
        self,
        case: str,
        group: str,
        target: Target,
        prediction: Target,
        size: tuple[int, int] | None = None,
        mm_per_px: tuple[float, float] | None = None,
    ) -> None:
        """Add one image; see `Scorer.update`.

        Raises DataError for a seen name whose prediction has no place.
        """
        assert isinstance(target, Landmarks) and isinstance(prediction, Landmarks)
        diagonal = math.hypot(*size) if size else None
        scales = {"px": PX}
        if mm_per_px:
            scales["mm"] = (mm_per_px[1], mm_per_px[0])
        for n, name in enumerate(self.classes):
            state = int(target.state[n])
            score = None if prediction.scores is None else float(prediction.scores[n])
            errors: dict[str, float] = {}
            hausdorff: dict[str, float] = {}
            if state == SEEN:
                if len(target.paths[n]) > 1:
                    self.curves.add(name)
                true = sample_path(target.paths[n])
                predicted = sample_path(_require_place(prediction.paths[n], f"{case}: {name}"))
                for unit, scale in scales.items():
                    errors[unit], hausdorff[unit] = path_distances(true, predicted, scale)
            self.cases.append(
                LandmarkCase(case, group, name, STATES[state], errors, hausdorff, diagonal, score)
            )
        self.groups.append(group)
        self.extra.update(target, prediction)
        self.measurements.update(target, prediction, mm_per_px)

    def result(self) -> Scores:
        """The scores of all images so far."""
        cases = DrawnCases(self.cases, draw([case.group for case in self.cases]))
        scores = self._figures(cases)
        target_score = {  # of the target itself as the prediction: shares are 1, errors 0
            name: Figure(float(name.startswith(SHARES)), figure.n, groups=figure.groups)
            for name, figure in scores.items()
            if figure.value is not None
        }
        per_class: dict[str, Figures] = {}
        for name in self.classes:
            per_class[name] = self._figures(
                cases.select([n for n, case in enumerate(self.cases) if case.name == name])
            )
        protocol = ProtocolScores(
            RADIAL.name, RADIAL.version, RADIAL.description, scores, per_class, target_score
        )
        draws = draw(self.groups)
        protocol = self.extra.add_to(protocol, draws)
        rows = [case.to_row(case.name in self.curves) for case in self.cases]
        return self.measurements.add_to(Scores((protocol,), rows), draws)

    def _figures(self, cases: DrawnCases) -> Figures:
        """The figures of one name's cases, or of all."""
        seen = cases.where(lambda case: case.state == "seen")
        # Whether a name is a curve is known only after all targets.
        curves = seen.where(lambda case: case.name in self.curves)
        points = seen.where(lambda case: case.name not in self.curves)
        return {
            **landmark_figures.point_figures(points, "px", self.thresholds["px"]),
            "mre_diag": landmark_figures.diagonal_figure(points),
            **landmark_figures.point_figures(points, "mm", self.thresholds["mm"]),
            **landmark_figures.curve_figures(curves, "px"),
            **landmark_figures.curve_figures(curves, "mm"),
            **landmark_figures.presence_figures(cases, self.presence_threshold),
        }


def from_cases(
    rows: Sequence[Mapping[str, str]],
    classes: Sequence[str],
    thresholds_px: Sequence[float] = THRESHOLDS_PX,
    thresholds_mm: Sequence[float] = THRESHOLDS_MM,
    measures: Mapping[str, object] | None = None,
) -> Scores:
    """The scores from a case table alone.

    Args:
        rows: of the table, as text; "" for null.
        classes: names of the landmarks, in order.
        thresholds_px: of the detection rates.
        thresholds_mm: of the detection rates.
        measures: lengths and angles that the table has columns of.
    """
    scorer = LandmarkScorer(
        classes, thresholds_px=thresholds_px, thresholds_mm=thresholds_mm, measures=measures
    )
    scorer.cases = [LandmarkCase.from_row(row) for row in rows]
    scorer.groups = [case.group for case in scorer.cases[:: len(classes)]]
    scorer.curves = {row["class"] for row in rows if row["kind"] == "curve"}
    scorer.measurements.read_rows(rows)
    return scorer.result()


def _require_place(path: Path, name: str) -> Path:
    """DataError where a predicted path has no place."""
    if not len(path):
        raise DataError(
            f"prediction of {name}: expected a place, whatever its score, got none; "
            "write the most likely one"
        )
    return path
