"""Distances between the outlines of two masks, as google-deepmind's `surface-distance` defines them in 2-D.

The outline is that of marching squares: where a 2 × 2 neighbourhood is neither all in nor all out there is a surface
element, as long as the contour through it (Nikolov et al. 2021, J Med Internet Res 23:e26151). A distance is from an
element to the nearest element of the other outline; means, percentiles and shares weight elements by their length.
Empty masks: with both empty nothing is defined; with one, the surface Dice is 0 and the distances are undefined.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pykdtree.kdtree import KDTree
from scipy import ndimage
from scipy.spatial import cKDTree

Plane = NDArray[np.bool_]  # (H, W)
Spacing = tuple[float, float]  # (row, column): the length of a pixel's sides
PX: Spacing = (1.0, 1.0)
ROUNDING = 1e-12  # of a share: where a distance covers exactly 95 % it is the one, however the sum was rounded


@dataclass(frozen=True)
class Outline:
    """Surface elements of one mask."""

    places: NDArray[np.int64]  # (E, 2) row, column
    codes: NDArray[np.uint8]  # (E,) of the neighbourhoods


@dataclass(frozen=True)
class Distances:
    """From every element of one outline to the nearest of the other, both ways."""

    there: NDArray[np.float64]  # (E,) from the truth's elements
    back: NDArray[np.float64]  # (F,) from the prediction's
    truth: NDArray[np.float64]  # (E,) the elements' lengths
    prediction: NDArray[np.float64]  # (F,)

    def hausdorff(self, share: float = 1.0) -> float:
        """The larger of the two distances that `share` of an outline's length doesn't exceed (1: Hausdorff's)."""
        return max(
            percentile(self.there, self.truth, share), percentile(self.back, self.prediction, share)
        )

    def mean(self) -> float:
        """Average symmetric surface distance: the mean over both outlines' length together."""
        total = self.truth.sum() + self.prediction.sum()
        return float((self.there @ self.truth + self.back @ self.prediction) / total)

    def within(self, tolerance: float) -> float:
        """Surface Dice (NSD): the share of both outlines' length that is no farther than the tolerance."""
        near = (
            self.truth[self.there <= tolerance].sum()
            + self.prediction[self.back <= tolerance].sum()
        )
        return float(near / (self.truth.sum() + self.prediction.sum()))


def percentile(distances: NDArray[np.float64], lengths: NDArray[np.float64], share: float) -> float:
    """The smallest distance that covers `share` of the length."""
    if share >= 1:
        return float(distances.max())
    order = np.argsort(distances)
    covered = np.cumsum(lengths[order]) / lengths.sum()
    return float(
        distances[order[min(int(np.searchsorted(covered, share - ROUNDING)), len(order) - 1)]]
    )


def contour_lengths(spacing: Spacing) -> NDArray[np.float64]:
    """(16,) length of the contour through a 2 × 2 neighbourhood, by its code: 8 upper left, 4 lower left, 2 upper
    right, 1 lower right.
    """
    down, across = spacing
    slant = math.hypot(down, across) / 2  # cuts off one corner
    table = np.zeros(16)
    table[[1, 2, 4, 8, 7, 11, 13, 14]] = slant
    table[[6, 9]] = 2 * slant
    table[[5, 10]] = across
    table[[3, 12]] = down
    return table


def outline(plane: Plane) -> Outline:
    """The surface elements of a mask; outside the image nothing is set."""
    height, width = plane.shape
    padded = np.zeros((height + 2, width + 2), np.uint8)
    padded[1:-1, 1:-1] = plane
    column = 2 * padded[:-1] + padded[1:]
    code = (column[:, :-1] << 2) | column[:, 1:]
    places = np.flatnonzero((code - 1) < 14)  # uint8: 0 − 1 = 255
    rows = places // (width + 1)
    return Outline(np.stack([rows, places - rows * (width + 1)], axis=1), code.ravel()[places])


def distances(truth: Plane, prediction: Plane, spacing: Spacing = PX) -> Distances | None:
    """(H, W) twice → the distances between their outlines, in the spacing's unit; None where one is empty.

    Raises ValueError where the shapes differ.
    """
    if truth.shape != prediction.shape:
        raise ValueError(
            f"masks of one shape were wanted, found {truth.shape} and {prediction.shape}"
        )
    if not truth.any() or not prediction.any():
        return None
    window = extent(truth | prediction)
    one, other, table = (
        outline(truth[window]),
        outline(prediction[window]),
        contour_lengths(spacing),
    )
    there, back = nearest(one, other, spacing), nearest(other, one, spacing)
    return Distances(there, back, table[one.codes], table[other.codes])


def nearest(one: Outline, other: Outline, spacing: Spacing) -> NDArray[np.float64]:
    """(E,) from each element of one to the nearest of the other.

    Worked out from whole steps, so that 2 px are 2 px and not a little more: tolerances are often whole.
    """
    sides = np.array(spacing)
    square = spacing[0] == spacing[1]
    scale = np.ones(2) if square else sides
    apart: NDArray[np.float64]
    apart, found = KDTree(other.places * scale, leafsize=32).query(one.places * scale)
    if square:  # of whole coordinates the tree's distances are exact
        return apart * spacing[0]
    steps = (one.places - other.places[found]) * sides
    apart = np.sqrt((steps**2).sum(axis=1))
    return apart


def extent(plane: Plane) -> tuple[slice, slice]:
    """The rows and columns that have something."""
    rows, columns = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


@dataclass(frozen=True)
class OtherHd95:
    """HD95 as two other packages define it: of the pixels at the mask's border, not of weighted surface elements."""

    monai: float  # the larger of the two directed 95th percentiles
    medpy: float  # the 95th percentile of both directions' distances together


def other_hd95(truth: Plane, prediction: Plane, spacing: Spacing = PX) -> OtherHd95 | None:
    """(H, W) twice; a border pixel has one of its 4 neighbours outside the mask. None where one mask is empty."""
    if not truth.any() or not prediction.any():
        return None
    one, other = (
        np.argwhere(plane & ~ndimage.binary_erosion(plane)) * spacing
        for plane in (truth, prediction)
    )
    there, back = cKDTree(other).query(one)[0], cKDTree(one).query(other)[0]
    directed = max(np.percentile(there, 95), np.percentile(back, 95))
    return OtherHd95(float(directed), float(np.percentile(np.concatenate([there, back]), 95)))
