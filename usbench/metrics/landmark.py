"""Scoring of landmarks: points, curves, presence and the lengths between points, one row per case and name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from usbench.errors import ConfigError
from usbench.metrics import landmarks
from usbench.metrics.scores import Figure, Figures, Ruled, Scores, average
from usbench.types import BLURRED, OFF, SEEN, Landmarks, Target, Task

NAME, VERSION = "radial", 1
WORDS = (
    "points: distance of the prediction's maximum, whatever its presence score, to every point whose truth is seen, "
    "each counted once; curves: both sampled every px along their natural splines, mean of the two directed mean "
    "distances, and Hausdorff distance; presence: seen against surely not in view, F1 at the threshold chosen on "
    "validation; blurred, missing and malformed truths count nowhere; lengths: predicted minus true, one mean per group"
)
STATES = {SEEN: "seen", OFF: "off", BLURRED: "blurred"}
Row = dict[str, Any]


def selection(pairs: Iterable[tuple[Target, Target]]) -> float:
    """The selection rule, version 1: minus the mean distance in px over every seen point and curve (radial error, mean
    symmetric distance); −1e6 where nothing is seen."""
    distances = []
    for truth, guess in pairs:
        assert isinstance(truth, Landmarks) and isinstance(guess, Landmarks)
        for n in np.flatnonzero(truth.state == SEEN):
            distances.append(distance(truth.paths[n], guess.paths[n], landmarks.PX)[0])
    return -float(np.mean(distances)) if distances else -1e6


def presence_threshold(pairs: Iterable[tuple[Target, Target]]) -> float:
    """The presence score with the best F1 on these (validation) pairs; .5 where nothing is present."""
    scores: list[float] = []
    present: list[bool] = []
    for truth, guess in pairs:
        assert isinstance(truth, Landmarks) and isinstance(guess, Landmarks) and guess.scores is not None
        told = truth.state != BLURRED
        scores += guess.scores[told].tolist()
        present += (truth.state[told] == SEEN).tolist()
    return landmarks.best_threshold(scores, present)


def distance(truth: landmarks.Path, guess: landmarks.Path, scale: landmarks.Scale) -> tuple[float, float | None]:
    """(error, Hausdorff distance of a curve): a truth of one knot is a point."""
    if len(truth) == 1:
        return landmarks.radial_error(truth, guess, scale), None
    return landmarks.curve_distances(truth, guess, scale)


class LandmarkScorer:
    """See usbench.metrics.scores.Scorer."""

    task: Task = "landmark"

    def __init__(
        self,
        classes: Sequence[str],
        rules: Sequence[str] = (NAME,),
        primary: str = "mre_px",
        thresholds_px: Sequence[float] = (2, 4, 8, 16),
        thresholds_mm: Sequence[float] = (1, 2, 4, 8),
        lengths: Mapping[str, Sequence[str]] | None = None,
        presence_threshold: float = 0.5,
        extra: dict[str, Callable[[Landmarks, Landmarks], float | None]] | None = None,
    ) -> None:
        """thresholds_px, thresholds_mm: of the detection rates; lengths: name → the two points it lies between;
        presence_threshold: a score from which on a name counts as found; extra: as in SegmentScorer.
        """
        if tuple(rules) != (NAME,):
            raise ConfigError(f"metric.rules: [{NAME}] was wanted for landmarks, found {list(rules)}")
        self.classes, self.primary, self.extra = tuple(classes), primary, extra or {}
        self.thresholds = {"px": tuple(thresholds_px), "mm": tuple(thresholds_mm)}
        self.lengths = {name: (ends[0], ends[1]) for name, ends in (lengths or {}).items()}
        self.presence_threshold = presence_threshold
        self.cases: list[Row] = []
        self.diagonals: list[float] = []
        self.differences: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        self.values: dict[str, list[float]] = {name: [] for name in self.extra}

    def update(
        self,
        case: str,
        group: str,
        truth: Target,
        prediction: Target,
        size: tuple[int, int] | None = None,
        mm_per_px: tuple[float, float] | None = None,
    ) -> None:
        """One image; size: its (height, width) in px, mm_per_px: (row, column)."""
        assert isinstance(truth, Landmarks) and isinstance(prediction, Landmarks)
        diagonal = float(np.hypot(*size)) if size else float("nan")
        scales = {"px": landmarks.PX, **({"mm": (mm_per_px[1], mm_per_px[0])} if mm_per_px else {})}
        for n, name in enumerate(self.classes):
            row: Row = {"case": case, "group": group, "class": name, "kind": "", "state": STATES[int(truth.state[n])]}
            row |= {"error_px": None, "error_mm": None, "hd_px": None, "hd_mm": None}
            if truth.state[n] == SEEN:
                row["kind"] = "point" if len(truth.paths[n]) == 1 else "curve"
                for unit, scale in scales.items():
                    error, row[f"hd_{unit}"] = distance(truth.paths[n], prediction.paths[n], scale)
                    row[f"error_{unit}"] = error
            row["score"] = None if prediction.scores is None else float(prediction.scores[n])
            self.cases.append(row)
            self.diagonals.append(diagonal)
        self.measure(group, truth, prediction, scales)
        for name, function in self.extra.items():
            value = function(truth, prediction)
            self.values[name].append(np.nan if value is None else float(value))

    def measure(
        self, group: str, truth: Landmarks, prediction: Landmarks, scales: Mapping[str, landmarks.Scale]
    ) -> None:
        """Predicted minus true length between the pairs of points that are both seen."""
        for name, ends in self.lengths.items():
            if not set(ends) <= set(self.classes):
                continue
            a, b = (self.classes.index(end) for end in ends)
            if truth.state[a] != SEEN or truth.state[b] != SEEN:
                continue
            for unit, scale in scales.items():
                true, found = (
                    landmarks.radial_error(target.paths[a], target.paths[b], scale) for target in (truth, prediction)
                )
                self.differences[name, unit][group].append(found - true)

    def result(self) -> Scores:
        """See usbench.metrics.scores.Scorer."""
        scores = {**self.figures(None), **self.length_figures()}
        scores |= {name: average(values) for name, values in self.values.items()}
        per_class = {name: self.figures(name) for name in self.classes}
        ceiling = {name: perfect(name, figure.n) for name, figure in scores.items() if figure.value is not None}
        known = {name: figure for name, figure in ceiling.items() if name not in self.values}
        return Scores((Ruled(NAME, VERSION, WORDS, scores, per_class, known),), self.cases)

    def figures(self, name: str | None) -> Figures:
        """Of one name, or of all."""
        chosen = [n for n, row in enumerate(self.cases) if name in (None, row["class"])]
        rows = [self.cases[n] for n in chosen]
        points = [n for n in chosen if self.cases[n]["kind"] == "point"]
        curves = [row for row in rows if row["kind"] == "curve"]
        out: Figures = {}
        for unit in ("px", "mm"):
            out |= self.point_figures([self.cases[n] for n in points], unit)
        share = [self.cases[n]["error_px"] / self.diagonals[n] for n in points]
        out["mre_diag"] = of(np.mean, share, "no point is seen")
        for unit in ("px", "mm"):
            reason = "no curve is seen" if not curves else f"no pixel size ({unit})"
            for figure, key in (("curve_mean", "error"), ("curve_hd", "hd")):
                values = [row[f"{key}_{unit}"] for row in curves if row[f"{key}_{unit}"] is not None]
                out[f"{figure}_{unit}"] = of(np.mean, values, reason)
        return {**out, **self.presence_figures(rows)}

    def point_figures(self, rows: Sequence[Row], unit: str) -> Figures:
        """Mean, median and SD of the radial error, and the share within each threshold."""
        errors = [row[f"error_{unit}"] for row in rows if row[f"error_{unit}"] is not None]
        reason = "no point is seen" if not rows else "the pixels' size isn't known"
        out = {
            f"mre_{unit}": of(np.mean, errors, reason),
            f"median_re_{unit}": of(np.median, errors, reason),
            f"sd_re_{unit}": of(sample_sd, errors, reason),
        }
        for threshold in self.thresholds[unit]:
            out[f"sdr_{unit}_{threshold:g}"] = of(np.mean, [error <= threshold for error in errors], reason)
        return out

    def presence_figures(self, rows: Sequence[Row]) -> Figures:
        """Seen against off."""
        told = [row for row in rows if row["state"] != "blurred" and row["score"] is not None]
        scores, present = [row["score"] for row in told], [row["state"] == "seen" for row in told]
        off = [score >= self.presence_threshold for score, seen in zip(scores, present, strict=True) if not seen]
        area = landmarks.auroc(scores, present)
        best = landmarks.f1(scores, present, self.presence_threshold)
        return {
            "presence_auroc": Figure(area, len(told), None if area is not None else "only seen or only off"),
            "presence_f1": Figure(best, len(told), None if best is not None else "nothing seen, nothing found"),
            "false_presence": of(np.mean, off, "no name is surely not in view"),
        }

    def length_figures(self) -> Figures:
        """Bias, SD and limits of agreement of each length, one difference per group."""
        out: Figures = {}
        for name, ends in self.lengths.items():
            lost = [end for end in ends if end not in self.classes]
            for unit in ("px", "mm"):
                groups = self.differences.get((name, unit), {})
                agreed = landmarks.agreement([float(np.mean(values)) for values in groups.values()])
                reason = f"the release has no {lost[0]}" if lost else f"never both ends seen in {unit}"
                low, high = (agreed.limits if agreed else None) or (None, None)
                bias, sd, n = (agreed.bias, agreed.sd, agreed.n) if agreed else (None, None, 0)
                found = {"bias": bias, "sd": sd, "loa_low": low, "loa_high": high}
                for kind, value in found.items():
                    said = None if value is not None else "one group only" if agreed else reason
                    out[f"{name}_{kind}_{unit}"] = Figure(value, n, said)
        return out


def of(rate: Callable[[Any], Any], values: Sequence[float], reason: str) -> Figure:
    """rate of the values; None where there are none or it isn't defined."""
    return Figure.of(float(rate(np.asarray(values, float))) if len(values) else float("nan"), len(values), reason)


def sample_sd(values: Any) -> float:
    """With n − 1; NaN for a single value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def perfect(name: str, n: int) -> Figure:
    """What the truth itself scores."""
    return Figure(1.0 if name.startswith(("sdr_", "presence_")) else 0.0, n)
