"""Distances between landmarks in native px, and their figures for one name or for all.

A path (P, 2) of xy is a point (P = 1) or the knots of a curve. `scale` is the length of a pixel
(x, y): (1, 1) for px, mm per px (column, row) for mm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # loads scipy.spatial when it is used
from numpy.typing import NDArray

from usbench.metrics import calibration, case_figures
from usbench.metrics.bootstrap import Draws
from usbench.metrics.scores import Figure, Figures, TableRow
from usbench.types import curve_through

Path = NDArray[np.floating]  # (P, 2)
Scale = tuple[float, float]
PX: Scale = (1.0, 1.0)
UNITS = ("px", "mm")
ROUNDING = 1e-9  # of a distance, relative
TINY = np.finfo(np.float64).tiny
UNKNOWN_SIZE = "the pixels' size isn't known"


def radial_error(start: Path, end: Path, scale: Scale = PX) -> float:
    """Distance between two points; of a path with several knots, their mean is the point."""
    offset = np.asarray(start, float).mean(axis=0) - np.asarray(end, float).mean(axis=0)
    return float(np.hypot(*(offset * scale)))


def sample_path(path: Path) -> NDArray[np.float64]:
    """A point as it is; a curve at every px of arc along its spline: (N, 2)."""
    return np.asarray(path, np.float64) if len(path) == 1 else curve_through(path)


def path_distances(start: Path, end: Path, scale: Scale = PX) -> tuple[float, float]:
    """Mean symmetric distance and Hausdorff distance of two sampled paths (N, 2) and (M, 2).

    A curve is the segments that join its samples. From each sample of one curve, the distance is
    that to the nearest segment of the other, weighted by the length of arc that the sample stands
    for. The mean is that of the two directed means (Gerig et al. 2001, for contours). For two
    points, both are the radial error.
    """
    if len(start) == len(end) == 1:
        error = radial_error(start, end, scale)
        return error, error
    scaled_start, scaled_end = start * np.asarray(scale), end * np.asarray(scale)
    there = distances_to_segments(scaled_start, scaled_end)
    back = distances_to_segments(scaled_end, scaled_start)
    mean = there @ arc_weights(scaled_start) + back @ arc_weights(scaled_end)
    return float(mean / 2), float(max(there.max(), back.max()))


def distances_to_segments(points: Path, line: Path) -> NDArray[np.float64]:
    """(N,) the distance of each point (N, 2) to the nearest segment of a line (M, 2).

    A line of one place is that place.
    """
    tree = scipy.spatial.cKDTree(line)
    to_place, _ = tree.query(points)
    if len(line) == 1:
        return np.asarray(to_place)
    # The foot of the perpendicular on the nearest segment is at most half a segment from an end of
    # it, so that end is among the places within this reach.
    steps = np.diff(line, axis=0)
    squares = (steps**2).sum(axis=1)
    reach = np.sqrt(to_place**2 + squares.max() / 4) * (1 + ROUNDING)
    near = tree.query_ball_point(points, reach)
    counts = np.array(list(map(len, near)))
    places = np.concatenate(list(near)).astype(np.int64)
    # The segments on both sides of each such place.
    segments = np.stack([np.maximum(places - 1, 0), np.minimum(places, len(steps) - 1)], axis=1)
    offsets = np.repeat(points, counts, axis=0)[:, None] - line[segments]  # (P, 2, 2)
    along = (offsets * steps[segments]).sum(axis=2) / np.maximum(squares[segments], TINY)
    gaps = offsets - np.clip(along, 0, 1)[..., None] * steps[segments]
    distances = np.hypot(gaps[..., 0], gaps[..., 1]).min(axis=1)
    return np.asarray(np.minimum.reduceat(distances, np.cumsum(counts) - counts))


def arc_weights(line: Path) -> NDArray[np.float64]:
    """(N,) the share of a line's length that each of its places (N, 2) stands for.

    Half of each segment goes to either end. A line without length is one place.
    """
    lengths = np.linalg.norm(np.diff(line, axis=0), axis=1)
    if not lengths.sum():
        return np.full(len(line), 1 / len(line))
    halves = np.concatenate([[0.0], lengths, [0.0]]) / 2
    return np.asarray((halves[:-1] + halves[1:]) / lengths.sum())


@dataclass(frozen=True)
class LandmarkCase:
    """One name in one image: a row of the case table."""

    case: str
    group: str
    name: str
    state: str  # seen | off | blurred
    error: Mapping[str, float]  # unit → radial error of a point, mean symmetric one of a curve
    hausdorff: Mapping[str, float]  # unit → Hausdorff distance
    diagonal_px: float | None  # of the image
    score: float | None  # of presence

    def to_row(self, is_curve: bool) -> TableRow:
        """The case table's row; undefined values are None."""
        hausdorff = self.hausdorff if is_curve else {}
        return {
            "case": self.case,
            "group": self.group,
            "class": self.name,
            "kind": "curve" if is_curve else "point",
            "state": self.state,
            "error_px": self.error.get("px"),
            "error_mm": self.error.get("mm"),
            "hd_px": hausdorff.get("px"),
            "hd_mm": hausdorff.get("mm"),
            "diagonal_px": self.diagonal_px,
            "score": self.score,
        }

    @staticmethod
    def from_row(row: Mapping[str, str]) -> LandmarkCase:
        """Read a row of text, "" for None."""
        return LandmarkCase(
            row["case"],
            row["group"],
            row["class"],
            row["state"],
            {unit: float(row[f"error_{unit}"]) for unit in UNITS if row[f"error_{unit}"]},
            {unit: float(row[f"hd_{unit}"]) for unit in UNITS if row[f"hd_{unit}"]},
            float(row["diagonal_px"]) if row["diagonal_px"] else None,
            float(row["score"]) if row["score"] else None,
        )


@dataclass(frozen=True)
class DrawnCases:
    """N cases, and the resamples of their groups."""

    cases: Sequence[LandmarkCase]
    draws: Draws

    def select(self, numbers: Sequence[int]) -> DrawnCases:
        """The cases of these numbers."""
        return DrawnCases([self.cases[n] for n in numbers], self.draws.select(numbers))

    def where(self, condition: Callable[[LandmarkCase], bool]) -> DrawnCases:
        """The cases that meet a condition."""
        return self.select([n for n, case in enumerate(self.cases) if condition(case)])

    def values(self, get: Callable[[LandmarkCase], float | None]) -> tuple[list[float], Draws]:
        """One value of each case that has it, and the resamples of those cases."""
        values = {n: get(case) for n, case in enumerate(self.cases)}
        defined = {n: value for n, value in values.items() if value is not None}
        return list(defined.values()), self.draws.select(list(defined))


def point_figures(points: DrawnCases, unit: str, thresholds: Sequence[float]) -> Figures:
    """Mean, median and SD of the radial error, and the share within each threshold.

    Args:
        points: seen points.
        unit: px or mm.
        thresholds: of the detection rates, in that unit.
    """
    errors, draws = points.values(lambda case: case.error.get(unit))
    reason = UNKNOWN_SIZE if points.cases else "no point is seen"
    return {
        f"mre_{unit}": case_figures.mean_figure(errors, draws, reason, "unbounded"),
        f"median_re_{unit}": case_figures.median_figure(errors, draws, reason),
        f"sd_re_{unit}": case_figures.sd_figure(
            errors, draws, "one point only" if errors else reason
        ),
        **{
            f"sdr_{unit}_{limit:g}": case_figures.mean_figure(
                np.array(errors) <= limit, draws, reason, "share"
            )
            for limit in thresholds
        },
    }


def diagonal_figure(points: DrawnCases) -> Figure:
    """Mean radial error of seen points, as a fraction of the image's diagonal."""
    reason = "the images' size isn't given" if points.cases else "no point is seen"
    fractions, draws = points.values(
        lambda case: case.error["px"] / case.diagonal_px if case.diagonal_px else None
    )
    return case_figures.mean_figure(fractions, draws, reason, "unbounded")


def curve_figures(curves: DrawnCases, unit: str) -> Figures:
    """Mean symmetric and mean Hausdorff distance of seen curves."""
    reason = UNKNOWN_SIZE if curves.cases else "no curve is seen"
    errors, draws = curves.values(lambda case: case.error.get(unit))
    distances, distance_draws = curves.values(lambda case: case.hausdorff.get(unit))
    return {
        f"curve_mean_{unit}": case_figures.mean_figure(errors, draws, reason, "unbounded"),
        f"curve_hd_{unit}": case_figures.mean_figure(
            distances, distance_draws, reason, "unbounded"
        ),
    }


def presence_figures(cases: DrawnCases, threshold: float) -> Figures:
    """How well the score separates seen names from those surely not in view.

    Args:
        cases: of any state; blurred ones and those without a score don't count.
        threshold: a name counts as present from this score on.
    """
    scored = cases.where(lambda case: case.state != "blurred" and case.score is not None)
    scores, draws = scored.values(lambda case: case.score)
    present = np.array([case.state == "seen" for case in scored.cases], bool)
    off_scores, off_draws = scored.where(lambda case: case.state == "off").values(
        lambda case: case.score
    )
    size = len(scores)
    return {
        "presence_ece": calibration.ece_figure(
            calibration.histogram(np.array(scores), present, np.arange(size), size),
            draws,
            "no name is seen or off",
        ),
        "presence_auroc": case_figures.auroc_figure(
            scores, present, draws, "only seen or only off"
        ),
        "presence_f1": case_figures.f1_figure(
            scores, present, threshold, draws, "nothing seen, nothing found"
        ),
        "false_presence": case_figures.mean_figure(
            np.array(off_scores) >= threshold, off_draws, "no name is surely not in view", "share"
        ),
    }
