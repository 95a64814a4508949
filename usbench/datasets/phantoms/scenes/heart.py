"""What a view of the heart is made of, how it is laid out, and how it beats.

Outlines, leaflets and landmarks; no echoes and pixels, and no view. Lengths are pixels of the
scene's reference size, 600 × 800, x to the right and y down. A view is laid out in coordinates
(s, v) of its own, along the left ventricle's long axis and square to it, so that the whole heart
tilts and shifts as one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """Where (s, v) lies in the image; v is 90° clockwise from s on the screen."""

    origin: tuple[float, float]
    turn: float  # of s from the screen's x axis towards its y axis, radians

    def place(self, points: object) -> Line:
        """(N, 2) x, y of points (N, 2) s, v."""
        s, v = np.asarray(points, np.float64).reshape(-1, 2).T
        x, y = cos(self.turn), sin(self.turn)
        return np.stack([self.origin[0] + s * x - v * y, self.origin[1] + s * y + v * x], axis=1)

    def lay_out(
        self,
        view: str,
        muscle: Line,
        cavities: Sequence[tuple[Line, float]],
        leaflets: Sequence[Line],
        paths: Mapping[str, object],
    ) -> Heart:
        """A heart in the image, from one in s, v; see `Heart`."""
        return Heart(
            view,
            self.place(muscle),
            tuple((self.place(outline), wall) for outline, wall in cavities),
            tuple(map(self.place, leaflets)),
            {name: self.place(path) for name, path in paths.items()},
        )


def contraction(draw: Draw) -> float:
    """How far the ventricles are contracted: 0 at end-diastole … 1 at end-systole.

    The images fill the cycle evenly.
    """
    return 0.5 - 0.5 * cos(2 * pi * draw.turn(2))


def opening(part: float) -> float:
    """How wide a valve is open at this part of the beat that opens it."""
    return max(0.0, 1.6 * part - 0.6)


def offset_at(line: Line, s: float) -> float:
    """The v of a line (N, 2) of s, v at s, where s rises or falls all along."""
    rising = line if line[0, 0] < line[-1, 0] else line[::-1]
    return float(np.interp(s, rising[:, 0], rising[:, 1]))


def shift(line: Line, by: float) -> Line:
    """Move a line to the left of its direction."""
    along = np.gradient(line, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    return line + by * np.stack([along[:, 1], -along[:, 0]], axis=1)


def leaflet(hinge: tuple[float, float], tip: tuple[float, float], bend: float) -> Line:
    """A leaflet, bent to the left of its direction by this part of its length."""
    start, end = np.array(hinge), np.array(tip)
    along = end - start
    middle = (start + end) / 2 + bend * np.array([along[1], -along[0]])
    return curve_through(np.stack([start, middle, end]))
