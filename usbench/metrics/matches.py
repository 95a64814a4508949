"""Which prediction matches which target, per image, class and IoU threshold.

Matches are computed once; every detection figure is a function of them. The matcher sees only
overlaps, as a sparse list of pairs, so it serves boxes, masks and crowds alike. It handles all
images at once: in the first turn the best prediction of every image and class, in the second turn
the next best, and so on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]
Flags = NDArray[np.bool_]
Values = NDArray[np.float64]
AreaRange = tuple[float, float]  # px², both ends included

ALL_AREAS: AreaRange = (0.0, 1e10)


@dataclass(frozen=True)
class TargetObjects:
    """G target objects of any number of images."""

    image: Index  # (G,) from 0
    label: Index  # (G,)
    area: Values  # (G,) px²
    # (G,) a region of uncounted objects: any number of predictions may lie in it; none of them
    # counts, as hit or as false positive.
    crowd: Flags


@dataclass(frozen=True)
class PredictedObjects:
    """M predicted objects."""

    image: Index  # (M,)
    label: Index  # (M,)
    area: Values  # (M,) px²
    score: NDArray[np.floating]  # (M,)

    def select(self, numbers: Index) -> PredictedObjects:
        """Some of them, in the order of these numbers."""
        return PredictedObjects(
            self.image[numbers], self.label[numbers], self.area[numbers], self.score[numbers]
        )


@dataclass(frozen=True)
class Overlaps:
    """P pairs of a prediction and a target of one image and class.

    Pairs below the lowest IoU threshold may be left out.
    """

    prediction: Index  # (P,) number of the prediction
    target: Index  # (P,) number of the target
    iou: NDArray[np.floating]  # (P,); for a crowd, the share of the prediction that lies in it

    @staticmethod
    def from_blocks(blocks: Sequence[tuple[Index, Index, NDArray[np.floating]]]) -> Overlaps:
        """Join dense blocks: numbers of predictions (m,) and targets (n,), and their IoU (m, n)."""
        nothing = np.zeros(0, np.int64)
        pairs = [
            (np.repeat(prediction, len(target)), np.tile(target, len(prediction)), iou.ravel())
            for prediction, target, iou in blocks or [(nothing, nothing, np.zeros((0, 0)))]
        ]
        return Overlaps(*map(np.concatenate, zip(*pairs, strict=True)))


@dataclass(frozen=True)
class Matches:
    """D predictions of N images and C classes, and which of them match at T IoU thresholds.

    They are in order of class, then score (best first), then image, then rank.
    """

    starts: Index  # (C + 1,) those of class c are starts[c] : starts[c + 1]
    image: Index  # (D,)
    score: NDArray[np.floating]  # (D,)
    rank: Index  # (D,) among the predictions of its image and class, 0 the best
    hit: Flags  # (T, D) matches a target that counts
    ignored: Flags  # (T, D) counts neither as hit nor as false positive
    targets: Index  # (N, C) number of targets that count

    @staticmethod
    def from_unsorted(
        label: Index,
        image: Index,
        score: NDArray[np.floating],
        rank: Index,
        hit: Flags,
        ignored: Flags,
        targets: Index,
    ) -> Matches:
        """Sort predictions of labels (D,); the other arguments are the fields, in any order."""
        order, starts = _sort_by_class(label, image, score, rank, targets.shape[1])
        hit, ignored = (np.ascontiguousarray(flags[:, order]) for flags in (hit, ignored))
        return Matches(starts, image[order], score[order], rank[order], hit, ignored, targets)

    @property
    def label(self) -> Index:
        """(D,) the class of each prediction."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    def of_class(self, c: int) -> Matches:
        """The matches of class c alone."""
        return self._as_one_class(
            np.arange(self.starts[c], self.starts[c + 1]), self.targets[:, c : c + 1]
        )

    def pool_classes(self) -> Matches:
        """All classes as one: the same matches, in order of score."""
        return self._as_one_class(
            np.lexsort((self.image, -self.score)), self.targets.sum(axis=1, keepdims=True)
        )

    def _as_one_class(self, numbers: Index, targets: Index) -> Matches:
        """The predictions of these numbers as one class with (N, 1) targets."""
        return Matches(
            np.array([0, len(numbers)], np.int64),
            self.image[numbers],
            self.score[numbers],
            self.rank[numbers],
            self.hit[:, numbers],
            self.ignored[:, numbers],
            targets,
        )


def _sort_by_class(
    label: Index, image: Index, score: NDArray[np.floating], rank: Index, classes: int
) -> tuple[Index, Index]:
    """The order (D,) of predictions in `Matches`, and where each class starts in it (C + 1,)."""
    order = np.lexsort((rank, image, -score, label))
    return order, np.searchsorted(label[order], np.arange(classes + 1))


def keep_best(predictions: PredictedObjects, most: int, per_class: bool = True) -> Index:
    """Find the best `most` predictions of each image and class, or of each image.

    Returns:
        Their numbers in order of image, class, score; predictions of equal score keep their order.
    """
    image, label = predictions.image, predictions.label
    keys = (label, image) if per_class else (image,)
    order = np.lexsort((-predictions.score, *keys))
    order = order[rank_within_runs(*(key[order] for key in keys)) < most]
    return order if per_class else order[np.lexsort((label[order], image[order]))]


def rank_within_runs(*keys: Index) -> Index:
    """(M,) keys, equal ones adjacent → the place of each element in its run, from 0."""
    size = len(keys[0])
    is_first = np.ones(size, bool)
    is_first[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    starts = np.flatnonzero(is_first)
    return np.arange(size) - np.repeat(starts, np.diff(np.append(starts, size)))


def match(
    targets: TargetObjects,
    predictions: PredictedObjects,
    overlaps: Overlaps,
    thresholds: NDArray[np.floating],
    size: tuple[int, int],
    areas: Sequence[AreaRange] = (ALL_AREAS,),
    prefer_last: bool = True,
) -> list[Matches]:
    """Match predictions to targets, once per area range.

    Each prediction, best first, takes the free target with the highest IoU that reaches the
    threshold. It takes an ignored target (a crowd, or an area outside the range) only if there is
    no other; a crowd stays free. A prediction is ignored if it took an ignored target, or took none
    and its own area is outside the range.

    Args:
        targets: G objects.
        predictions: M objects as `keep_best` selects and orders them.
        overlaps: of predictions with targets.
        thresholds: (T,) IoU.
        size: number of images and of classes.
        areas: ranges of area.
        prefer_last: of targets with equal IoU, take the last; else the first.
    """
    images, classes = size
    rank = rank_within_runs(predictions.label, predictions.image)
    order, starts = _sort_by_class(
        predictions.label, predictions.image, predictions.score, rank, classes
    )
    # A pair's turn is its prediction's place among those of one image and class with any overlap.
    overlapping = np.unique(overlaps.prediction)
    turn = np.zeros(len(rank), np.int64)
    turn[overlapping] = rank_within_runs(
        predictions.label[overlapping], predictions.image[overlapping]
    )
    turns = turn[overlaps.prediction]
    target_cell = targets.image * classes + targets.label
    matches = []
    for lowest, highest in areas:
        ignore = targets.crowd | (targets.area < lowest) | (targets.area > highest)
        taken = _match_greedily(
            overlaps, turns, thresholds, ignore, targets.crowd, len(rank), prefer_last
        )
        is_outside = (predictions.area < lowest) | (predictions.area > highest)
        # taken is −1 where no target is taken: index −1 is the appended False.
        ignored = np.append(ignore, False)[taken] | ((taken < 0) & is_outside[:, None])
        matches.append(
            Matches(
                starts,
                predictions.image[order],
                predictions.score[order],
                rank[order],
                np.ascontiguousarray(((taken >= 0) & ~ignored)[order].T),
                np.ascontiguousarray(ignored[order].T),
                np.bincount(target_cell[~ignore], minlength=images * classes).reshape(
                    images, classes
                ),
            )
        )
    return matches


def _match_greedily(
    overlaps: Overlaps,
    turns: Index,
    thresholds: NDArray[np.floating],
    ignore: Flags,
    crowd: Flags,
    predictions: int,
    prefer_last: bool,
) -> Index:
    """(M, T) the target that each of M predictions takes at each threshold, or -1; see `match`."""
    tie = -overlaps.target if prefer_last else overlaps.target
    # Within a turn, the pairs of a prediction are adjacent, best first.
    order = np.lexsort((tie, -overlaps.iou, ignore[overlaps.target], overlaps.prediction, turns))
    prediction, target = overlaps.prediction[order], overlaps.target[order]
    iou = overlaps.iou[order]
    taken = np.full((predictions, len(thresholds)), -1, np.int64)
    busy = np.zeros((len(ignore), len(thresholds)), bool)
    ends = np.append(0, np.flatnonzero(np.diff(turns[order], append=-1)) + 1)
    for start, end in pairwise(ends):
        turn_prediction, turn_target = prediction[start:end], target[start:end]
        is_busy = busy[turn_target] & ~crowd[turn_target, None]
        free = (iou[start:end, None] >= thresholds) & ~is_busy
        # The first free pair of each prediction: the least place in its run, where places of pairs
        # that aren't free count as `size`.
        size = end - start
        heads = np.flatnonzero(np.diff(turn_prediction, prepend=-1))
        places = np.where(free, np.arange(size)[:, None], size)
        best = np.minimum.reduceat(places, heads, axis=0)
        row, threshold = np.nonzero(best < size)
        chosen = turn_target[best[row, threshold]]
        taken[turn_prediction[heads[row]], threshold] = chosen
        busy[chosen, threshold] = True
    return taken
