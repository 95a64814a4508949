"""Overlap of masks: pixel counts per image and class, and the measures computed from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from usbench.metrics.ratios import ratio

Counts = NDArray[np.int64]  # (…, C, 3): true positive, false positive, false negative pixels
Values = NDArray[np.float64]  # (…, C): NaN where a measure is undefined
Planes = NDArray[np.bool_]  # (C, H, W)


def count_pixels(target: Planes, prediction: Planes) -> Counts:
    """Count the pixels of each class's planes (C, H, W): (C, 3).

    Raises ValueError where the shapes differ.
    """
    if target.shape != prediction.shape:
        raise ValueError(
            "expected target and prediction of one shape, "
            f"got {target.shape} and {prediction.shape}"
        )
    counts = np.zeros((len(target), 3), np.int64)
    # Plane by plane: count_nonzero is fast on a whole array, slow along an axis.
    for row, present, predicted in zip(counts, target, prediction, strict=True):
        both = np.count_nonzero(present & predicted)
        row[:] = both, np.count_nonzero(predicted) - both, np.count_nonzero(present) - both
    return counts


def stack_counts(counts: list[Counts], classes: int) -> Counts:
    """Stack the counts (C, 3) of N images: (N, C, 3), also for N = 0. classes: C."""
    return np.stack(counts) if counts else np.zeros((0, classes, 3), np.int64)


def resize_nearest(planes: Planes, size: tuple[int, int]) -> Planes:
    """Resize (C, H, W) to size (h, w): the pixel under each new pixel's centre."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for new, old in zip(size, planes.shape[1:], strict=True)
    )
    return planes[:, rows[:, None], columns]


def add_background(planes: Planes) -> Planes:
    """(C, H, W) → (C + 1, H, W) with the background as the first plane."""
    return np.concatenate([~planes.any(axis=0, keepdims=True), planes])


def dice(counts: Counts) -> Values:
    """2TP / (2TP + FP + FN); NaN where the class is in neither mask."""
    twice = 2 * counts[..., 0]
    return ratio(twice, twice + counts[..., 1] + counts[..., 2])


def iou(counts: Counts) -> Values:
    """TP / (TP + FP + FN); NaN where the class is in neither mask."""
    return ratio(counts[..., 0], counts.sum(-1))


def precision(counts: Counts) -> Values:
    """TP / (TP + FP); NaN where the class isn't predicted."""
    return ratio(counts[..., 0], predicted_pixels(counts))


def recall(counts: Counts) -> Values:
    """TP / (TP + FN); NaN where the target doesn't have the class."""
    return ratio(counts[..., 0], target_pixels(counts))


def empty_false_positives(counts: Counts) -> Values:
    """1 where a class is predicted that the target doesn't have, else 0; NaN where it has it."""
    return np.where(target_pixels(counts) == 0, counts[..., 1] > 0, np.nan)


def predicted_pixels(counts: Counts) -> NDArray[np.int64]:
    """(…, C) pixels of each class in the prediction: TP + FP."""
    return counts[..., 0] + counts[..., 1]


def target_pixels(counts: Counts) -> NDArray[np.int64]:
    """(…, C) pixels of each class in the target: TP + FN."""
    return counts[..., 0] + counts[..., 2]
