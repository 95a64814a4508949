"""Distances between landmarks: pure functions of paths (P, 2) xy in native px.

P = 1 is a point; P ≥ 2 are the knots of a curve. `scale` is the length of a pixel (x, y): (1, 1)
for px, mm per px (column, row) for mm.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from usbench.types import curve_through

Path = NDArray[np.floating]  # (P, 2)
Scale = tuple[float, float]
PX: Scale = (1.0, 1.0)


def radial_error(start: Path, end: Path, scale: Scale = PX) -> float:
    """Distance between two points; of a path with several knots, their mean is the point."""
    offset = np.asarray(start, float).mean(axis=0) - np.asarray(end, float).mean(axis=0)
    return float(np.hypot(*(offset * scale)))


def sample_path(path: Path) -> NDArray[np.float64]:
    """A point as it is; a curve at every px of arc along its spline: (N, 2)."""
    return np.asarray(path, np.float64) if len(path) == 1 else curve_through(path)


def path_distances(start: Path, end: Path, scale: Scale = PX) -> tuple[float, float]:
    """Mean symmetric distance and Hausdorff distance of two sampled paths (N, 2) and (M, 2).

    The first is the mean of the two directed means (Gerig et al. 2001, for contours). For two
    points, both are the radial error.
    """
    if len(start) == len(end) == 1:
        error = radial_error(start, end, scale)
        return error, error
    scaled_start, scaled_end = start * np.asarray(scale), end * np.asarray(scale)
    there = cKDTree(scaled_end).query(scaled_start)[0]
    back = cKDTree(scaled_start).query(scaled_end)[0]
    return float((there.mean() + back.mean()) / 2), float(max(there.max(), back.max()))
