"""Distances between the outlines of two masks, as google-deepmind's `surface-distance` in 2-D.

The outline is that of marching squares: wherever a 2 × 2 neighbourhood is neither all inside nor
all outside lies a surface element, as long as the contour through it (Nikolov et al. 2021, J Med
Internet Res 23:e26151). A distance is that from an element to the nearest element of the other
outline. Means, percentiles and shares weight the elements by their length. Empty masks: with both
empty nothing is defined; with one, the surface Dice is 0 and the distances are undefined.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy  # loads scipy.ndimage when it is used
from numpy.typing import NDArray
from pykdtree.kdtree import KDTree  # scipy's takes over 1.5 times as long here

Plane = NDArray[np.bool_]  # (H, W)
Lengths = NDArray[np.float64]  # (E,)
Spacing = tuple[float, float]  # (row, column): the length of a pixel's sides
PX: Spacing = (1.0, 1.0)
# The contour through a 2 × 2 neighbourhood by its code, see `contour_lengths`: 0 none, 1 cuts off a
# corner, 2 two corners, 3 runs along a row, 4 along a column.
CONTOURS = np.array([0, 1, 1, 4, 1, 3, 2, 1, 1, 2, 3, 1, 4, 1, 1, 0])
LEAF = 32  # elements of a leaf of the k-d tree; with 16 or 32 it is the fastest
ROUNDING = 1e-12  # of a share: 95 % counts as covered however the sum was rounded


@dataclass(frozen=True)
class Outline:
    """The surface elements of one mask."""

    places: NDArray[np.int64]  # (E, 2) row, column
    codes: NDArray[np.uint8]  # (E,) of the neighbourhoods, see `contour_lengths`


@dataclass(frozen=True)
class Distances:
    """From each element of one outline to the nearest of the other, in both directions."""

    target: NDArray[np.float64]  # (E,) from the target's elements
    prediction: NDArray[np.float64]  # (F,) from the prediction's elements
    target_lengths: NDArray[np.float64]  # (E,) of the elements
    prediction_lengths: NDArray[np.float64]  # (F,)

    @property
    def _total_length(self) -> float:
        return float(self.target_lengths.sum() + self.prediction_lengths.sum())

    def hausdorff(self, share: float = 1.0) -> float:
        """The distance within which `share` of the outline's length lies, in the worse direction.

        1 is the Hausdorff distance, .95 is HD95.
        """
        return max(
            percentile(self.target, self.target_lengths, share),
            percentile(self.prediction, self.prediction_lengths, share),
        )

    def mean(self) -> float:
        """Average symmetric surface distance: the mean over the length of both outlines."""
        total = self.target @ self.target_lengths + self.prediction @ self.prediction_lengths
        return float(total / self._total_length)

    def surface_dice(self, tolerance: float) -> float:
        """The share of both outlines' length within the tolerance of the other (NSD)."""
        near_target = self.target_lengths[self.target <= tolerance].sum()
        near_prediction = self.prediction_lengths[self.prediction <= tolerance].sum()
        return float((near_target + near_prediction) / self._total_length)


def percentile(distances: NDArray[np.float64], lengths: NDArray[np.float64], share: float) -> float:
    """The smallest of (E,) distances within which `share` of the (E,) lengths lies."""
    if share >= 1:
        return float(distances.max())
    # The last 1 − share of the length lies in so few of the farthest elements; only they are sorted.
    total = lengths.sum()
    far = math.ceil((1 - share) * total / lengths.min()) + 1
    first = max(len(lengths) - far, 0)
    is_far = distances >= np.sort(distances)[first]  # np.partition is slow where many are equal
    tail = np.flatnonzero(is_far)
    tail = tail[np.argsort(distances[tail])]
    covered = (lengths[~is_far].sum() + np.cumsum(lengths[tail])) / total
    place = int(np.searchsorted(covered, share - ROUNDING))
    return float(distances[tail[min(place, len(tail) - 1)]])


def contour_lengths(spacing: Spacing) -> NDArray[np.float64]:
    """(16,) length of the contour through a 2 × 2 neighbourhood, by its code.

    The code adds up the pixels inside: 8 upper left, 4 lower left, 2 upper right, 1 lower right.
    """
    corner = math.hypot(*spacing) / 2  # the contour cuts off one corner
    height, width = spacing
    return np.array([0, corner, 2 * corner, width, height]).take(CONTOURS)


def find_outline(plane: Plane) -> Outline:
    """The surface elements of a mask (H, W); outside the image nothing is set."""
    height, width = plane.shape
    padded = np.zeros((height + 2, width + 2), np.uint8)
    padded[1:-1, 1:-1] = plane
    column = 2 * padded[:-1] + padded[1:]
    code = (column[:, :-1] << 2) | column[:, 1:]
    # Codes 1 to 14 have an element. One comparison finds them: in uint8, 0 − 1 is 255.
    places = np.flatnonzero((code - 1) < 14)
    rows = places // (width + 1)
    return Outline(np.stack([rows, places - rows * (width + 1)], axis=1), code.ravel()[places])


@dataclass(frozen=True)
class OutlinePair:
    """The outlines of two masks, neither of which is empty."""

    target: Outline
    prediction: Outline

    def measure(self, *spacings: Spacing) -> list[Distances]:
        """The distances between the outlines, for each spacing in its unit.

        Square pixels of any size share one search.
        """
        in_px: tuple[Lengths, Lengths] | None = None
        distances = []
        for spacing in spacings:
            if spacing[0] == spacing[1]:
                in_px = in_px or self._measure_px()
                nearest = in_px[0] * spacing[0], in_px[1] * spacing[0]
            else:
                nearest = (
                    nearest_distances(self.target, self.prediction, spacing),
                    nearest_distances(self.prediction, self.target, spacing),
                )
            lengths = contour_lengths(spacing)
            distances.append(
                Distances(*nearest, lengths[self.target.codes], lengths[self.prediction.codes])
            )
        return distances

    def _measure_px(self) -> tuple[Lengths, Lengths]:
        """(E,) and (F,) in px. Between whole coordinates the tree's distances are exact."""
        target, prediction = (
            outline.places.astype(np.float64) for outline in (self.target, self.prediction)
        )
        return (
            KDTree(prediction, leafsize=LEAF).query(target)[0],
            KDTree(target, leafsize=LEAF).query(prediction)[0],
        )


def find_outlines(target: Plane, prediction: Plane) -> OutlinePair | None:
    """The outlines of two masks (H, W); None where a mask is empty.

    Raises ValueError where the shapes differ.
    """
    if target.shape != prediction.shape:
        raise ValueError(
            "expected target and prediction of one shape, "
            f"got {target.shape} and {prediction.shape}"
        )
    if not target.any() or not prediction.any():
        return None
    both = target | prediction
    rows = np.flatnonzero(both.any(axis=1))
    columns = np.flatnonzero(both.any(axis=0))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return OutlinePair(find_outline(target[window]), find_outline(prediction[window]))


def measure_distances(target: Plane, prediction: Plane, spacing: Spacing = PX) -> Distances | None:
    """The distances between the outlines of two masks (H, W), in the spacing's unit.

    None where a mask is empty. Raises ValueError where the shapes differ.
    """
    outlines = find_outlines(target, prediction)
    return None if outlines is None else outlines.measure(spacing)[0]


def nearest_distances(start: Outline, end: Outline, spacing: Spacing) -> NDArray[np.float64]:
    """(E,) from each element of `start` to the nearest of `end`.

    Computed from whole steps, so that 2 px are exactly 2 px: tolerances are often whole.
    """
    scale = np.array(spacing)
    _, nearest = KDTree(end.places * scale, leafsize=LEAF).query(start.places * scale)
    steps = (start.places - end.places[nearest]) * scale
    return np.asarray(np.sqrt((steps**2).sum(axis=1)))


@dataclass(frozen=True)
class PixelHd95:
    """HD95 as two other packages define it: of border pixels, not of weighted surface elements."""

    monai: float  # the larger of the two directed 95th percentiles
    medpy: float  # the 95th percentile of both directions' distances together


def pixel_hd95(target: Plane, prediction: Plane, spacing: Spacing = PX) -> PixelHd95 | None:
    """HD95 between the border pixels of two masks (H, W); None where a mask is empty.

    A border pixel has one of its 4 neighbours outside the mask.
    """
    if not target.any() or not prediction.any():
        return None
    target_border, prediction_border = (
        np.argwhere(plane & ~scipy.ndimage.binary_erosion(plane)) * spacing
        for plane in (target, prediction)
    )
    there = KDTree(prediction_border).query(target_border)[0]
    back = KDTree(target_border).query(prediction_border)[0]
    return PixelHd95(
        float(max(np.percentile(there, 95), np.percentile(back, 95))),
        float(np.percentile(np.concatenate([there, back]), 95)),
    )
