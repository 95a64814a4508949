"""Drawn masks whose sizes are known."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.bool_]
Spacing = tuple[float, float]  # (row, column)
SQUARE: Spacing = (1.0, 1.0)
OBLONG: Spacing = (0.3, 0.2)


def grid(shape: tuple[int, int], spacing: Spacing) -> NDArray[np.float64]:
    """(2, H, W) x and y of each pixel's centre from the image's middle, in the spacing's unit."""
    rows, columns = np.indices(shape, np.float64)
    x, y = columns - (shape[1] - 1) / 2, rows - (shape[0] - 1) / 2
    return np.stack([x * spacing[1], y * spacing[0]])


def draw_ellipse(
    shape: tuple[int, int],
    axes: tuple[float, float],
    angle: float = 0,
    spacing: Spacing = SQUARE,
    centre: tuple[float, float] = (0.3, -0.4),
) -> Plane:
    """An ellipse of these axes (from end to end), turned by an angle, somewhere off the middle."""
    x, y = grid(shape, spacing) - np.array(centre)[:, None, None]
    along = x * math.cos(angle) + y * math.sin(angle)
    across = y * math.cos(angle) - x * math.sin(angle)
    return np.asarray((2 * along / axes[0]) ** 2 + (2 * across / axes[1]) ** 2 <= 1)


def draw_band(
    shape: tuple[int, int], thickness: float, angle: float = 0, spacing: Spacing = SQUARE
) -> Plane:
    """A straight band through the image, turned by an angle."""
    x, y = grid(shape, spacing)
    across = y * math.cos(angle) - x * math.sin(angle)
    return np.asarray(np.abs(across) < thickness / 2)
