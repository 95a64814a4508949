"""Curves through knots: the natural cubic spline on chord length, as the Unity release draws its curves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline


def spline(knots: NDArray[np.floating], step: float = 1.0) -> NDArray[np.float64]:
    """Points of the curve through knots (P, 2), about `step` px of arc apart, first and last knot included: (N, 2).

    Two distinct knots give a straight line, one gives itself; knots that repeat the one before are left out. The
    spline's parameter is the chord length, its second derivative is zero at both ends. Raises ValueError for knots
    that aren't (P ≥ 1, 2) or not finite.
    """
    points = np.asarray(knots, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
        raise ValueError(f"knots are (P ≥ 1, 2) finite numbers, not {points.shape}")
    chord = np.concatenate(([0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))))
    kept = np.concatenate(
        ([True], np.diff(chord) > 0)
    )  # also what is too near to the knot before to move the sum
    points, chord = points[kept], chord[kept]
    if len(points) == 1:
        return points
    curve = CubicSpline(chord, points, bc_type="natural")
    fine = curve(np.linspace(0, chord[-1], max(2, int(np.ceil(chord[-1] * 8 / step)) + 1)))
    return resample(fine, step)


def resample(line: NDArray[np.floating], step: float = 1.0) -> NDArray[np.float64]:
    """A polyline (N, 2) at equal steps of arc as near to `step` px as whole steps allow, both ends included: (M, 2)."""
    points = np.asarray(line, np.float64)
    arc = np.concatenate(([0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))))
    if arc[-1] == 0:
        return points[:1]
    at = np.linspace(0, arc[-1], max(2, round(arc[-1] / step) + 1))
    return np.stack([np.interp(at, arc, points[:, 0]), np.interp(at, arc, points[:, 1])], axis=1)
