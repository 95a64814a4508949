"""What is measured of a mask: its ellipse, its area, its two diameters, the thickness of a band.

The outline runs between the pixels inside and outside, halfway from centre to centre. Coordinates
are x, y of pixel centres, times the length of a pixel's sides, so that pixels may be oblong.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy  # loads scipy.ndimage and scipy.spatial when they are used
from numpy.typing import NDArray

from usbench.metrics.measures.ellipse import Ellipse, Points, fit_ellipse

Plane = NDArray[np.bool_]  # (H, W)
Spacing = tuple[float, float]  # (row, column): the length of a pixel's sides
NEIGHBOURS = np.ones((3, 3), bool)  # of a pixel: all eight
# Of a band.
SMALLEST_PART = 0.05  # of the class's pixels; smaller parts are specks
TRIMMED = 0.1  # of a part's length at each end, where it may be cut off askew
BEND = 3  # degree of the polynomial that is a part's midline
SMOOTHED = 9  # steps over which the greatest thickness is averaged; shorter parts are no bands


class Diameters(NamedTuple):
    """Of the convex hull of a mask's largest part."""

    longest: float  # between two places of the outline
    perpendicular: float  # the longest chord at right angles to that


class Thickness(NamedTuple):
    """Of a band, at right angles to its midline."""

    mean: float
    greatest: float


@dataclass(frozen=True)
class Region:
    """A mask whose measurements are computed when they are asked for; None where it has none."""

    plane: Plane
    spacing: Spacing

    @property
    def area(self) -> float | None:
        """Of all pixels; None for an empty mask."""
        count = int(np.count_nonzero(self.plane))
        return count * self.spacing[0] * self.spacing[1] if count else None

    @cached_property
    def largest(self) -> Plane | None:
        """(H, W) the largest connected part (8 neighbours), its holes filled."""
        if not self.plane.any():
            return None
        rows, columns = window_of(self.plane)
        labels, count = scipy.ndimage.label(self.plane[rows, columns], NEIGHBOURS)
        largest = 1 + int(np.bincount(labels.ravel())[1:].argmax()) if count > 1 else 1
        plane = np.zeros_like(self.plane)
        plane[rows, columns] = scipy.ndimage.binary_fill_holes(labels == largest)
        return plane

    @cached_property
    def ellipse(self) -> Ellipse | None:
        """The least-squares ellipse of the largest part's outline within the image.

        Where the part touches the image's border, the border is no outline. None where fewer
        than six places of the outline are left.
        """
        if self.largest is None:
            return None
        return fit_ellipse(find_edges(self.largest, within=True) * self.spacing[::-1])

    @cached_property
    def diameters(self) -> Diameters | None:
        """Of the largest part; the image's border is outline where the part touches it."""
        if self.largest is None:
            return None
        return measure_diameters(find_edges(self.largest) * self.spacing[::-1])

    @cached_property
    def thickness(self) -> Thickness | None:
        """See `measure_band`."""
        return measure_band(self.plane, self.spacing)


def window_of(plane: Plane) -> tuple[slice, slice]:
    """The rows and the columns that the pixels of a mask with any lie in."""
    rows = np.flatnonzero(plane.any(axis=1))
    columns = np.flatnonzero(plane.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def find_edges(plane: Plane, within: bool = False) -> Points:
    """(N, 2) x, y in px between every pixel inside and each of its 4 neighbours outside.

    Args:
        plane: (H, W); outside the image nothing is set.
        within: leave out those on the image's border, where the mask may be cut off.
    """
    padded = np.pad(plane, 1)
    down, right = (np.argwhere(np.diff(padded, axis=axis)) - 1.0 for axis in (0, 1))
    down[:, 0] += 0.5
    right[:, 1] += 0.5
    edges = np.concatenate([down, right])  # row, column
    if within:
        last = np.array(plane.shape) - 0.5
        edges = edges[((edges > -0.5) & (edges < last)).all(axis=1)]
    return edges[:, ::-1]


def measure_diameters(outline: Points) -> Diameters:
    """The longest diameter of an outline (N, 2) and the longest chord of its hull across it.

    Both as a lesion's are reported (WHO handbook 1979; BI-RADS: longest axis and perpendicular).
    """
    hull = outline[scipy.spatial.ConvexHull(outline).vertices]  # counter-clockwise
    steps = hull[:, None] - hull[None]
    squares = (steps**2).sum(axis=2)
    start, end = np.unravel_index(int(squares.argmax()), squares.shape)
    longest = float(np.sqrt(squares[start, end]))
    direction = (hull[end] - hull[start]) / longest
    turned = hull @ np.array([[direction[0], -direction[1]], [direction[1], direction[0]]])
    # From the diameter's start to its end there are two chains; along it, both only rise.
    turned = np.roll(turned, -int(start), axis=0)
    place = int(end - start) % len(turned)
    below, above = turned[: place + 1], np.concatenate([turned[place:], turned[:1]])[::-1]
    along = turned[:, 0]
    chords = np.interp(along, *above.T) - np.interp(along, *below.T)
    return Diameters(longest, float(np.abs(chords).max()))


def measure_band(plane: Plane, spacing: Spacing) -> Thickness | None:
    """The thickness of a band at right angles to its midline, over all its parts.

    A part is a connected set of pixels (8 neighbours, holes filled) with 5 % of the class's
    pixels. It is cut into columns of pixels, or into rows where it is upright. The middles of the
    cuts give the midline (a polynomial of degree 3), and a cut's length times the cosine of the
    midline's slope is the thickness there. So the Spinal Cord Toolbox corrects a cord's slices (De
    Leener et al. 2017). The first and last tenth of a part don't count. The mean is taken along
    the midline; the greatest is that of means over 9 cuts.

    Returns:
        None where no part is 9 cuts long.
    """
    count = int(np.count_nonzero(plane))
    if not count:
        return None
    rows, columns = window_of(plane)
    labels, parts = scipy.ndimage.label(plane[rows, columns], NEIGHBOURS)
    area = length = greatest = 0.0
    for part, pixels in enumerate(np.bincount(labels.ravel(), minlength=parts + 1)[1:], start=1):
        if pixels < SMALLEST_PART * count:
            continue
        cut = _cut_band(scipy.ndimage.binary_fill_holes(labels == part), spacing)
        if cut is not None:
            across, cosines, step = cut
            area += float(across.sum()) * step
            length += float((step / cosines).sum())
            smooth = np.convolve(across * cosines, np.full(SMOOTHED, 1 / SMOOTHED), "valid")
            greatest = max(greatest, float(smooth.max()))
    return Thickness(area / length, greatest) if length else None


def _cut_band(
    part: Plane, spacing: Spacing
) -> tuple[NDArray[np.float64], NDArray[np.float64], float] | None:
    """(lengths of the cuts (K,), cosine of the midline's slope at each (K,), distance of cuts)."""
    rows, columns = window_of(part)
    part = part[rows, columns]
    if part.shape[0] * spacing[0] > part.shape[1] * spacing[1]:
        part, spacing = part.T, spacing[::-1]
    side, step = spacing
    trimmed = round(TRIMMED * part.shape[1])
    part = part[:, trimmed : part.shape[1] - trimmed]
    if part.shape[1] < SMOOTHED:
        return None
    counts = part.sum(axis=0)
    middles = (np.arange(len(part)) @ part) / counts * side
    along = np.arange(part.shape[1]) * step
    midline = np.polynomial.Polynomial.fit(along, middles, BEND)
    return counts * side, np.cos(np.arctan(midline.deriv()(along))), step
