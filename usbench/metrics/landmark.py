"""Scoring of landmarks: points, curves, presence and the lengths between points, one row per case and name."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from usbench.errors import ConfigError, DataError
from usbench.metrics import calibration, landmarks, resampled
from usbench.metrics.bootstrap import Draws, draw
from usbench.metrics.scores import Figure, Figures, ProtocolScores, Scores, average
from usbench.types import BLURRED, OFF, SEEN, Landmarks, Target, Task

NAME, VERSION = "radial", 1
WORDS = (
    "native pixels; over all = every seen point (or curve) counted once, whatever its name; points: distance of the "
    "prediction's maximum, whatever its presence score, to every point whose truth is seen: mean, median, SD (n − 1), "
    "share within each threshold (≤); diag: as a fraction of the image's diagonal; mm: only images whose pixel size is "
    "known; curves (names whose truths have several knots): both sampled every px along their natural splines, mean of "
    "the two directed mean distances, and Hausdorff distance; presence: seen against surely not in view, names pooled, "
    "F1 and false presence at the threshold with the best F1 on validation, presence_ece: score against presence in 15 "
    "bins; blurred, missing and malformed truths "
    "count nowhere; lengths: predicted minus true where both ends are seen, one mean per group, limits of agreement = "
    "bias ± 1.96 SD (n − 1)"
)
STATES = {SEEN: "seen", OFF: "off", BLURRED: "blurred"}
UNSEEN = -1e6  # the selection rule's figure where nothing is seen; infinity can't be logged
NO_SIZE = "the pixels' size isn't known"
Row = dict[str, Any]


def selection(pairs: Iterable[tuple[Target, Target]]) -> float:
    """The selection rule, version 1: minus the mean distance in px over every seen point and curve (radial error, mean
    symmetric distance), each counted once; −1e6 where nothing is seen."""
    found = []
    for truth, guess in pairs:
        assert isinstance(truth, Landmarks) and isinstance(guess, Landmarks)
        for n in np.flatnonzero(truth.state == SEEN):
            place = somewhere(guess.paths[n], f"landmark {n}")
            found.append(
                landmarks.distances(landmarks.sampled(truth.paths[n]), landmarks.sampled(place))[0]
            )
    return -float(np.mean(found)) if found else UNSEEN


def presence_threshold(pairs: Iterable[tuple[Target, Target]]) -> float:
    """The presence score with the best F1 on these (validation) pairs; .5 where nothing is present."""
    scores: list[float] = []
    present: list[bool] = []
    for truth, guess in pairs:
        assert (
            isinstance(truth, Landmarks)
            and isinstance(guess, Landmarks)
            and guess.scores is not None
        )
        told = truth.state != BLURRED
        scores += guess.scores[told].tolist()
        present += (truth.state[told] == SEEN).tolist()
    return landmarks.best_threshold(scores, present)


class LandmarkScorer:
    """See usbench.metrics.scores.Scorer. Paths are measured as they come; only the rows are kept."""

    task: Task = "landmark"

    def __init__(
        self,
        classes: Sequence[str],
        protocols: Sequence[str] = (NAME,),
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
        if tuple(protocols) != (NAME,):
            raise ConfigError(
                f"metric.protocols: [{NAME}] was wanted for landmarks, found {list(protocols)}"
            )
        self.classes, self.primary, self.extra = tuple(classes), primary, extra or {}
        named = {"px": thresholds_px, "mm": thresholds_mm}
        self.thresholds = {unit: checked_thresholds(unit, values) for unit, values in named.items()}
        self.lengths = {name: checked_ends(name, ends) for name, ends in (lengths or {}).items()}
        self.presence_threshold = presence_threshold
        self.rows: list[Row] = []
        self.curves: set[str] = set()
        self.differences: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(
            lambda: defaultdict(list)
        )
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
        """One image; size: its (height, width) in px, mm_per_px: (row, column).

        Raises DataError for a seen name that the prediction has nowhere.
        """
        assert isinstance(truth, Landmarks) and isinstance(prediction, Landmarks)
        diagonal = math.hypot(*size) if size else None
        scales = {"px": landmarks.PX, **({"mm": (mm_per_px[1], mm_per_px[0])} if mm_per_px else {})}
        for n, name in enumerate(self.classes):
            row: Row = {
                "case": case,
                "group": group,
                "class": name,
                "kind": "",
                "state": STATES[int(truth.state[n])],
            }
            row |= dict.fromkeys(("error_px", "error_mm", "hd_px", "hd_mm"))
            row |= {"diagonal_px": diagonal, "score": None}
            if prediction.scores is not None:
                row["score"] = float(prediction.scores[n])
            if truth.state[n] == SEEN:
                self.curves |= {name} if len(truth.paths[n]) > 1 else set()
                place = landmarks.sampled(somewhere(prediction.paths[n], f"{case}: {name}"))
                true = landmarks.sampled(truth.paths[n])
                for unit, scale in scales.items():
                    row[f"error_{unit}"], row[f"hd_{unit}"] = landmarks.distances(
                        true, place, scale
                    )
            self.rows.append(row)
        self.measure(group, truth, prediction, scales)
        for name, function in self.extra.items():
            value = function(truth, prediction)
            self.values[name].append(np.nan if value is None else float(value))

    def measure(
        self,
        group: str,
        truth: Landmarks,
        prediction: Landmarks,
        scales: Mapping[str, landmarks.Scale],
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
                    landmarks.radial_error(target.paths[a], target.paths[b], scale)
                    for target in (truth, prediction)
                )
                self.differences[name, unit][group].append(found - true)

    def result(self) -> Scores:
        """See usbench.metrics.scores.Scorer."""
        cases = [self.told(row) for row in self.rows]
        every = Drawn(cases, draw([row["group"] for row in cases]))
        scores = {**self.figures(every), **self.length_figures()}
        target_score = {
            name: perfect(name, figure.n)
            for name, figure in scores.items()
            if figure.value is not None
        }
        scores |= {name: average(values) for name, values in self.values.items()}
        own: dict[str, list[int]] = {name: [] for name in self.classes}
        for n, row in enumerate(cases):
            own[row["class"]].append(n)
        per_class = {name: self.figures(every.of(numbers)) for name, numbers in own.items()}
        return Scores(
            (ProtocolScores(NAME, VERSION, WORDS, scores, per_class, target_score),), cases
        )

    def told(self, row: Row) -> Row:
        """The row with its name's kind, which is known when every truth was: one with several knots makes a curve."""
        if row["class"] in self.curves:
            return {**row, "kind": "curve"}
        return {**row, "kind": "point", "hd_px": None, "hd_mm": None}

    def figures(self, rows: Drawn) -> Figures:
        """Of one name's rows, or of all."""
        seen = rows.where(lambda row: row["state"] == "seen")
        points = seen.where(lambda row: row["kind"] == "point")
        curves = seen.where(lambda row: row["kind"] == "curve")
        sized = points.where(lambda row: bool(row["diagonal_px"]))
        reason = "the images' size isn't given" if points.rows else "no point is seen"
        shares = [row["error_px"] / row["diagonal_px"] for row in sized.rows]
        return {
            **self.point_figures(points, "px"),
            "mre_diag": resampled.mean_of(shares, sized.draws, reason),
            **self.point_figures(points, "mm"),
            **curve_figures(curves, "px"),
            **curve_figures(curves, "mm"),
            **self.presence_figures(rows),
        }

    def point_figures(self, rows: Drawn, unit: str) -> Figures:
        """Mean, median and SD of the radial error, and the share within each threshold."""
        errors, draws = rows.column(f"error_{unit}")
        reason = NO_SIZE if rows.rows else "no point is seen"
        out = {
            f"mre_{unit}": resampled.mean_of(errors, draws, reason),
            f"median_re_{unit}": resampled.median_of(errors, reason),
            f"sd_re_{unit}": resampled.sd_of(errors, draws, "one point only" if errors else reason),
        }
        for threshold in self.thresholds[unit]:
            within = [float(error <= threshold) for error in errors]
            out[f"sdr_{unit}_{threshold:g}"] = resampled.mean_of(within, draws, reason)
        return out

    def presence_figures(self, rows: Drawn) -> Figures:
        """Seen against off."""
        told = rows.where(lambda row: row["state"] != "blurred" and row["score"] is not None)
        off = told.where(lambda row: row["state"] == "off")
        scores, present = (
            [row["score"] for row in told.rows],
            [row["state"] == "seen" for row in told.rows],
        )
        false = [float(row["score"] >= self.presence_threshold) for row in off.rows]
        best, nothing = self.presence_threshold, "nothing seen, nothing found"
        own = np.arange(len(scores))
        bins = calibration.histogram(
            np.array(scores, np.float64), np.array(present, bool), own, len(scores)
        )
        return {
            "presence_ece": calibration.ece_of(bins, told.draws, "no name is seen or off"),
            "presence_auroc": resampled.auroc_of(
                scores, present, told.draws, "only seen or only off"
            ),
            "presence_f1": resampled.f1_of(scores, present, best, told.draws, nothing),
            "false_presence": resampled.mean_of(false, off.draws, "no name is surely not in view"),
        }

    def length_figures(self) -> Figures:
        """Bias, SD and limits of agreement of each length, one difference per group."""
        out: Figures = {}
        for name in self.lengths:
            for unit in ("px", "mm"):
                reason = self.unmeasured(name)
                groups = {} if reason else self.differences.get((name, unit), {})
                differences = [float(np.mean(values)) for values in groups.values()]
                lost = "one group only" if differences else reason or NO_SIZE
                for kind, figure in resampled.agreement_of(differences, list(groups), lost).items():
                    out[f"{name}_{kind}_{unit}"] = figure
        return out

    def unmeasured(self, name: str) -> str | None:
        """Why a length has no figures, in px either."""
        for end in self.lengths[name]:
            if end not in self.classes:
                return f"the release has no {end}"
            if end in self.curves:
                return f"{end} is a curve"
        return None if (name, "px") in self.differences else "its two ends are never both seen"


@dataclass(frozen=True)
class Drawn:
    """Rows, and the resamples of their groups."""

    rows: list[Row]
    draws: Draws

    def where(self, wanted: Callable[[Row], bool]) -> Drawn:
        """Some of the rows."""
        return self.of([n for n, row in enumerate(self.rows) if wanted(row)])

    def of(self, which: Sequence[int]) -> Drawn:
        """Some of the rows, by number."""
        return Drawn([self.rows[n] for n in which], self.draws.of(which))

    def column(self, key: str) -> tuple[list[float], Draws]:
        """A column's values where there are any."""
        kept = self.where(lambda row: row[key] is not None)
        return [row[key] for row in kept.rows], kept.draws


def curve_figures(rows: Drawn, unit: str) -> Figures:
    """Mean symmetric and mean Hausdorff distance."""
    reason = NO_SIZE if rows.rows else "no curve is seen"
    return {
        f"curve_mean_{unit}": resampled.mean_of(*rows.column(f"error_{unit}"), reason),
        f"curve_hd_{unit}": resampled.mean_of(*rows.column(f"hd_{unit}"), reason),
    }


def somewhere(path: landmarks.Path, whose: str) -> landmarks.Path:
    """A predicted path that has a place."""
    if not len(path):
        raise DataError(
            f"prediction of {whose}: a place was wanted, whatever its score, found none; write the most likely one"
        )
    return path


def checked_thresholds(unit: str, values: Sequence[float]) -> tuple[float, ...]:
    """Of the detection rates."""
    if not all(isinstance(value, (int, float)) and 0 < value < math.inf for value in values):
        raise ConfigError(
            f"metric.thresholds_{unit}: lengths above 0 were wanted, found {list(values)}"
        )
    return tuple(values)


def checked_ends(name: str, ends: Sequence[str]) -> tuple[str, str]:
    """The two names of a length, whose own name becomes part of a figure's."""
    if (
        isinstance(ends, str)
        or len(ends) != 2
        or ends[0] == ends[1]
        or not re.fullmatch(r"[A-Za-z0-9_.:/-]+", name)
    ):
        raise ConfigError(
            f"metric.lengths: name: [point, another point] was wanted, found {name}: {ends}"
        )
    return ends[0], ends[1]


def perfect(name: str, n: int) -> Figure:
    """What the truth itself scores."""
    best = name.startswith(("sdr_", "presence_")) and name != "presence_ece"
    return Figure(1.0 if best else 0.0, n)
