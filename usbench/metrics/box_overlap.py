"""Overlap of boxes: IoU of pairs, and the pairs of one image and class that overlap."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import DTypeLike, NDArray

from usbench.metrics.matches import Index, Overlaps, PredictedObjects, TargetObjects, Values
from usbench.types import Boxes

Corners = NDArray[np.floating]  # (N, 4) half-open xyxy
PairIou = Callable[[Corners, Corners], NDArray[np.floating]]  # (P, 4), (P, 4) → (P,), row by row

BLOCK = 1 << 21  # pairs of boxes whose overlap is in memory at once


def double_iou(targets: Corners, predictions: Corners) -> Values:
    """IoU of boxes (P, 4) and (P, 4), row by row: (P,); 0 for two boxes without an area.

    Corners in double precision can miss pycocotools' IoU, of sides, by the last bit.
    """
    both, union = _intersection_and_union(targets, predictions, np.float64)
    return np.asarray(both / np.maximum(union, 1e-12))


def single_iou(targets: Corners, predictions: Corners) -> NDArray[np.float32]:
    """As `double_iou` in single precision, with 1e-7 added to the union as ultralytics does."""
    both, union = _intersection_and_union(targets, predictions, np.float32)
    return np.asarray(both / (union + np.float32(1e-7)))


def _intersection_and_union(
    targets: Corners, predictions: Corners, dtype: DTypeLike
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """(P,) areas of the intersections and unions of boxes (P, 4) and (P, 4), in px²."""
    targets, predictions = targets.astype(dtype), predictions.astype(dtype)
    first = np.maximum(targets[:, :2], predictions[:, :2])
    sides = np.clip(np.minimum(targets[:, 2:], predictions[:, 2:]) - first, 0, None)
    both = sides[:, 0] * sides[:, 1]
    return both, _areas(targets) + _areas(predictions) - both


def _areas(corners: Corners) -> NDArray[np.floating]:
    sides = corners[:, 2:] - corners[:, :2]
    return np.asarray(sides[:, 0] * sides[:, 1])


def box_areas(corners: Corners) -> Values:
    """(N, 4) half-open xyxy → (N,) px² in double precision."""
    return _areas(corners.astype(np.float64)).astype(np.float64, copy=False)


def target_areas(images: Sequence[Boxes], corners: Corners) -> Values:
    """(N,) px² of the targets of all images: what they state, else that of their corners (N, 4)."""
    areas = box_areas(corners)
    ends = np.cumsum([0, *(len(boxes.labels) for boxes in images)])
    for n, boxes in enumerate(images):
        if boxes.areas is not None:
            areas[ends[n] : ends[n + 1]] = boxes.areas
    return areas


def flatten_boxes(images: Sequence[Boxes]) -> tuple[Index, Index, Corners]:
    """The boxes of all images: (number of the image (N,), label (N,), corners (N, 4))."""
    image = np.repeat(np.arange(len(images)), [len(boxes.labels) for boxes in images])
    return (
        image,
        np.concatenate([np.zeros(0, np.int64), *(boxes.labels for boxes in images)]),
        np.concatenate([np.zeros((0, 4), np.float32), *(boxes.xyxy for boxes in images)]),
    )


def find_overlaps(
    targets: TargetObjects,
    predictions: PredictedObjects,
    target_corners: Corners,
    predicted_corners: Corners,
    iou: PairIou,
    lowest: float,
) -> Overlaps:
    """Find the pairs of one image and class with an IoU of at least `lowest`.

    Args:
        targets: G boxes.
        predictions: M boxes.
        target_corners: (G, 4).
        predicted_corners: (M, 4).
        iou: of (P, 4) and (P, 4) corners, row by row.
        lowest: pairs below it are left out.
    """
    # Number the cells (image, class). With the targets sorted by cell, those that a prediction may
    # match are `count` neighbours from `first` on.
    classes = max(targets.label.max(initial=0), predictions.label.max(initial=0)) + 1
    target_cell = targets.image * classes + targets.label
    predicted_cell = predictions.image * classes + predictions.label
    by_cell = np.argsort(target_cell, kind="stable")
    sorted_cell = target_cell[by_cell]
    first = np.searchsorted(sorted_cell, predicted_cell)
    count = np.searchsorted(sorted_cell, predicted_cell, side="right") - first
    # Blocks of predictions with about BLOCK pairs each.
    block_ends = np.flatnonzero(np.diff(np.cumsum(count) // BLOCK)) + 1
    blocks = []
    for block in np.split(np.arange(len(predicted_cell)), block_ends):
        prediction = np.repeat(block, count[block])
        before = np.cumsum(count[block]) - count[block]  # pairs before each prediction's own
        step = np.arange(len(prediction)) - np.repeat(before, count[block])
        target = by_cell[np.repeat(first[block], count[block]) + step]
        values = iou(target_corners[target], predicted_corners[prediction])
        high = values >= lowest
        blocks.append((prediction[high], target[high], values[high]))
    return Overlaps(*map(np.concatenate, zip(*blocks, strict=True)))
