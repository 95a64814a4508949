"""Distances between landmarks: pure functions of paths (P, 2) xy in native px. P = 1 is a point, P ≥ 2 a curve's knots.

`scale` is the length of a pixel (x, y): (1, 1) for px, mm per px (column, row) for mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import rankdata

from usbench.types import curve_through

Path = NDArray[np.floating]
Scale = tuple[float, float]
PX: Scale = (1.0, 1.0)


def radial_error(one: Path, other: Path, scale: Scale = PX) -> float:
    """Distance between two points; of several places the mean counts."""
    apart = np.asarray(one, float).mean(axis=0) - np.asarray(other, float).mean(axis=0)
    return float(np.hypot(*(apart * scale)))


def sampled(path: Path) -> NDArray[np.float64]:
    """A point itself, a curve every px of arc along its spline: (N, 2)."""
    return np.asarray(path, np.float64) if len(path) == 1 else curve_through(path)


def distances(one: Path, other: Path, scale: Scale = PX) -> tuple[float, float]:
    """(mean symmetric distance, Hausdorff distance) of two sampled paths, (N, 2) and (M, 2).

    The first is the mean of the two directed means (Gerig et al. 2001, for contours). Two points have their radial
    error as both.
    """
    if len(one) == len(other) == 1:
        return radial_error(one, other, scale), radial_error(one, other, scale)
    here, beyond = one * np.asarray(scale), other * np.asarray(scale)
    there, back = cKDTree(beyond).query(here)[0], cKDTree(here).query(beyond)[0]
    return float((there.mean() + back.mean()) / 2), float(max(there.max(), back.max()))


def auroc(scores: Sequence[float], present: Sequence[bool]) -> float | None:
    """Area under the ROC curve: the chance that a present case scores above an absent one, ties counting half
    (Mann–Whitney U / (n₁ n₀)); None where one of the two isn't there."""
    values, positive = np.asarray(scores, float), np.asarray(present, bool)
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return None
    return float((rankdata(values)[positive].sum() - n * (n + 1) / 2) / (n * m))


def f1(scores: Sequence[float], present: Sequence[bool], threshold: float) -> float | None:
    """2TP / (2TP + FP + FN) of `score ≥ threshold`; None where nothing is present and nothing found."""
    found, positive = np.asarray(scores, float) >= threshold, np.asarray(present, bool)
    hit = int((found & positive).sum())
    below = int(found.sum()) + int(positive.sum())
    return 2 * hit / below if below else None


def best_threshold(
    scores: Sequence[float], present: Sequence[bool], otherwise: float = 0.5
) -> float:
    """The score, of those seen, whose threshold has the best F1 (the lowest of equals); `otherwise` where none has."""
    values, positive = np.asarray(scores, float), np.asarray(present, bool)
    if not positive.any():
        return otherwise
    order = np.argsort(-values, kind="stable")
    hits, found = np.cumsum(positive[order]), np.arange(1, len(order) + 1)
    rates = 2 * hits / (found + positive.sum())
    last = np.append(
        values[order][1:] != values[order][:-1], True
    )  # equal scores are found together
    rates = np.where(last, rates, -1.0)
    best = len(rates) - 1 - int(np.argmax(rates[::-1]))
    return float(values[order][best])


@dataclass(frozen=True)
class Agreement:
    """Bland and Altman's agreement of two measurements (Lancet 1986): bias, SD and 95 % limits of the differences."""

    bias: float
    sd: float | None  # of the sample (n − 1); None for one difference
    n: int

    @property
    def limits(self) -> tuple[float, float] | None:
        """bias ± 1.96 SD."""
        return None if self.sd is None else (self.bias - 1.96 * self.sd, self.bias + 1.96 * self.sd)


def agreement(differences: Sequence[float]) -> Agreement | None:
    """Of differences measured − true, one per group; None without any."""
    values = np.asarray(differences, float)
    if not len(values):
        return None
    return Agreement(
        float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else None, len(values)
    )
