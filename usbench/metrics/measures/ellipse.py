"""The ellipse that fits points best, and its circumference."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]  # (N, 2) x, y
MIN_POINTS = 6  # one more than an ellipse has parameters
# x² … of the fit's points come from coordinates of about 1, so rounding errors are far below this.
TINY = 1e-10


@dataclass(frozen=True)
class Ellipse:
    """An ellipse in the unit of its points."""

    centre: tuple[float, float]  # x, y
    major: float  # the long axis, from end to end
    minor: float  # the short axis, likewise
    angle: float  # of the long axis to x, radians in [0, π)

    @property
    def circumference(self) -> float:
        """By Ramanujan's second approximation (1914), to 10⁻⁵ where an axis is twice the other."""
        total = (self.major + self.minor) / 2
        h = ((self.major - self.minor) / (self.major + self.minor)) ** 2
        return math.pi * total * (1 + 3 * h / (10 + math.sqrt(4 - 3 * h)))


def fit_ellipse(points: Points) -> Ellipse | None:
    """Fit an ellipse by direct least squares (Fitzgibbon et al. 1999, as Halíř & Flusser 1998).

    It minimises the algebraic distance of the points under the constraint that the conic is an
    ellipse.

    Args:
        points: (N, 2) x, y.

    Returns:
        None for fewer than 6 points, and for points that lie on a line or on no ellipse.
    """
    if len(points) < MIN_POINTS:
        return None
    middle = points.mean(axis=0)
    scale = float(np.sqrt(((points - middle) ** 2).sum(axis=1).mean()))
    if scale == 0:
        return None
    conic = _fit_conic((points - middle) / scale)
    ellipse = None if conic is None else _ellipse_of_conic(conic)
    if ellipse is None:
        return None
    x, y = middle + scale * np.array(ellipse.centre)
    axes = scale * ellipse.major, scale * ellipse.minor
    return Ellipse((float(x), float(y)), *axes, ellipse.angle)


def _fit_conic(points: Points) -> NDArray[np.float64] | None:
    """(6,) of a x² + b xy + c y² + d x + e y + f = 0; None where no ellipse fits."""
    x, y = points.T
    squares = np.stack([x * x, x * y, y * y], axis=1)
    lines = np.stack([x, y, np.ones(len(x))], axis=1)
    if np.linalg.matrix_rank(lines) < 3:  # all on one line
        return None
    to_lines = -np.linalg.solve(lines.T @ lines, lines.T @ squares)
    reduced = squares.T @ squares + squares.T @ lines @ to_lines
    # The inverse of the constraint's matrix (4ac − b² = 1), applied row by row.
    reduced = np.stack([reduced[2] / 2, -reduced[1], reduced[0] / 2])
    _, vectors = np.linalg.eig(reduced)
    vectors = np.real(vectors)
    is_ellipse = 4 * vectors[0] * vectors[2] - vectors[1] ** 2 > TINY
    if not is_ellipse.any():
        return None
    leading = vectors[:, np.flatnonzero(is_ellipse)[0]]
    return np.concatenate([leading, to_lines @ leading])


def _ellipse_of_conic(conic: NDArray[np.float64]) -> Ellipse | None:
    """Centre and axes of a conic with 4ac > b²; None where it has no real points."""
    a, b, c, d, e, f = conic
    form = np.array([[a, b / 2], [b / 2, c]])
    centre = np.linalg.solve(-2 * form, np.array([d, e]))
    constant = f + (d * centre[0] + e * centre[1]) / 2
    eigenvalues, directions = np.linalg.eigh(form)
    squares = -constant / eigenvalues  # of the half axes
    if not (squares > 0).all():
        return None
    halves = np.sqrt(squares)
    longest = int(halves.argmax())
    x, y = directions[:, longest]
    angle = math.atan2(y, x) % math.pi
    axes = 2 * float(halves[longest]), 2 * float(halves[1 - longest])
    return Ellipse((float(centre[0]), float(centre[1])), *axes, angle)
