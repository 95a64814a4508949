"""What a view of the heart is made of: outlines, leaflets and landmarks, and how to lay them out
and let them beat.

Knows nothing of echoes and pixels, and no view. Lengths are pixels of the scene's reference size,
600 × 800, x to the right and y down. A view is laid out in coordinates (s, v) of its own, along the
left ventricle's long axis and square to it, so that the whole heart tilts and shifts as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np
from numpy.typing import NDArray

from usbench.datasets.phantoms.anatomy import Draw
from usbench.types import curve_through

Line = NDArray[np.float64]  # (N, 2) of x, y or of s, v

THIN = 9.0  # the wall of atria and great vessels


@dataclass(frozen=True)
class Heart:
    """One view at one phase.

    Every outline is star-shaped about its perimeter's centre and closes on itself.
    """

    view: str
    muscle: Line  # the left ventricle's outer outline
    cavities: tuple[tuple[Line, float], ...]  # outline, and how thick the thin wall around it is
    leaflets: tuple[Line, ...]
    paths: dict[str, Line]  # what is in view: (1, 2) a point, (P, 2) the knots of a curve


@dataclass(frozen=True)
class Axes:
    """Where (s, v) lies in the image: the origin, and the direction of s.

    V is 90° clockwise from it on the screen.
    """

    origin: tuple[float, float]
    turn: float  # of s from the screen's x axis towards its y axis, radians

    def place(self, points: object) -> Line:
        """(N, 2) x, y of points (N, 2) s, v."""
        s, v = np.asarray(points, np.float64).reshape(-1, 2).T
        x, y = cos(self.turn), sin(self.turn)
        return np.stack([self.origin[0] + s * x - v * y, self.origin[1] + s * y + v * x], axis=1)


def contraction(draw: Draw) -> float:
    """How far the ventricles are contracted: 0 at end-diastole … 1 at end-systole.

    The images fill the cycle evenly.
    """
    return 0.5 - 0.5 * cos(2 * pi * draw.turn(2))


def opening(part: float) -> float:
    """How wide a valve is open at this part of the beat that opens it."""
    return max(0.0, 1.6 * part - 0.6)


def own(draw: Draw, name: str, low: float, high: float) -> float:
    """The subject's value, the same in all images: in a video only the beat moves."""
    return float(draw.subject(name).uniform(low, high))


def at(line: Line, s: float) -> float:
    """The v of a line (N, 2) of s, v at s, where s rises or falls all along."""
    rising = line if line[0, 0] < line[-1, 0] else line[::-1]
    return float(np.interp(s, rising[:, 0], rising[:, 1]))


def shifted(line: Line, by: float) -> Line:
    """The line moved to the left of its direction."""
    along = np.gradient(line, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    return line + by * np.stack([along[:, 1], -along[:, 0]], axis=1)


def leaflet(one: tuple[float, float], other: tuple[float, float], bend: float) -> Line:
    """A leaflet from its hinge to its tip, bent to the left of its direction by this part of its
    length.
    """
    start, end = np.array(one), np.array(other)
    along = end - start
    return curve_through(
        np.stack([start, (start + end) / 2 + bend * np.array([along[1], -along[0]]), end])
    )
