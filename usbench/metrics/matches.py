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
        order = np.lexsort((rank, image, -score, label))
        starts = class_starts(label, targets.shape[1])
        hit, ignored = (np.ascontiguousarray(flags[:, order]) for flags in (hit, ignored))
        return Matches(starts, image[order], score[order], rank[order], hit, ignored, targets)

    @property
    def label(self) -> Index:
        """(D,) the class of each prediction."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    def of_class(self, c: int) -> Matches:
        """The matches of class c alone."""
        chosen = slice(int(self.starts[c]), int(self.starts[c + 1]))
        return self._as_one_class(chosen, self.targets[:, c : c + 1])

    def pool_classes(self) -> Matches:
        """All classes as one: the same matches, in order of score."""
        return self._as_one_class(
            np.lexsort((self.image, -self.score)), self.targets.sum(axis=1, keepdims=True)
        )

    def _as_one_class(self, chosen: Index | slice, targets: Index) -> Matches:
        """The chosen predictions as one class with (N, 1) targets."""
        image = self.image[chosen]
        return Matches(
            np.array([0, len(image)], np.int64),
            image,
            self.score[chosen],
            self.rank[chosen],
            self.hit[:, chosen],
            self.ignored[:, chosen],
            targets,
        )


def class_starts(label: Index, classes: int) -> Index:
    """Where each class starts, and the last one ends, once labels are sorted: (C + 1,)."""
    return np.append(0, np.cumsum(np.bincount(label, minlength=classes)))


def order_by_score(group: Index, score: NDArray[np.floating]) -> Index:
    """The order of elements by group, then score, best first; equal ones keep their order.

    Scores in single precision are sorted with group and place in one number of 64 bits, where
    these fit: several times as fast as by three keys.
    """
    place_bits = len(group).bit_length()
    if score.dtype != np.float32 or int(group.max(initial=0)).bit_length() + place_bits > 32:
        return np.lexsort((-score, group))
    bits = (score + np.float32(0)).view(np.uint32)  # no negative zero, which equals zero
    is_negative = bits >> 31 != 0
    ascending = np.where(is_negative, ~bits, bits | np.uint32(1 << 31))
    key = group.astype(np.uint64) << np.uint64(32) | (~ascending).astype(np.uint64)
    numbers = key << np.uint64(place_bits) | np.arange(len(group), dtype=np.uint64)
    return (np.sort(numbers) & np.uint64((1 << place_bits) - 1)).astype(np.int64)


def keep_best(predictions: PredictedObjects, most: int, per_class: bool = True) -> Index:
    """Find the best `most` predictions of each image and class, or of each image.

    Returns:
        Their numbers in order of image, class, score; predictions of equal score keep their order.
    """
    image, label = predictions.image, predictions.label
    keys = (label, image) if per_class else (image,)
    order = order_by_score(label if per_class else np.zeros_like(label), predictions.score)
    order = order[order_stably(image[order])]
    order = order[rank_within_runs(*(key[order] for key in keys)) < most]
    return order if per_class else order[np.lexsort((label[order], image[order]))]


def order_stably(keys: Index) -> Index:
    """The stable order of whole numbers from 0 on; of small ones by NumPy's radix sort."""
    is_small = keys.max(initial=0) <= np.iinfo(np.uint16).max
    return np.argsort(keys.astype(np.uint16) if is_small else keys, kind="stable")


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
    order = order_by_score(predictions.label, predictions.score)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    starts, shape = class_starts(predictions.label, classes), (len(thresholds), len(order))
    # A pair's turn is its prediction's place among those of one image and class with any overlap.
    has_overlap = np.zeros(len(rank), bool)
    has_overlap[overlaps.prediction] = True
    overlapping = np.flatnonzero(has_overlap)
    turn = np.zeros(len(rank), np.int64)
    turn[overlapping] = rank_within_runs(
        predictions.label[overlapping], predictions.image[overlapping]
    )
    turns = turn[overlaps.prediction]
    target_cell = targets.image * classes + targets.label
    matches = []
    for lowest, highest in areas:
        ignore = targets.crowd | (targets.area < lowest) | (targets.area > highest)
        prediction, threshold, target = _match_greedily(
            overlaps, turns, thresholds, ignore, targets.crowd, prefer_last
        )
        hit, ignored = np.zeros(shape, bool), np.zeros(shape, bool)
        ignored[:] = ((predictions.area < lowest) | (predictions.area > highest))[order]
        hit[threshold, place[prediction]] = ~ignore[target]
        ignored[threshold, place[prediction]] = ignore[target]
        matches.append(
            Matches(
                starts,
                predictions.image[order],
                predictions.score[order],
                rank[order],
                hit,
                ignored,
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
    prefer_last: bool,
) -> tuple[Index, Index, Index]:
    """Which prediction takes which target at which threshold: three arrays of one length.

    See `match`. A prediction that isn't listed at a threshold takes none there.
    """
    tie = -overlaps.target if prefer_last else overlaps.target
    # Within a turn, the pairs of a prediction are adjacent, best first.
    order = np.lexsort((tie, -overlaps.iou, ignore[overlaps.target], overlaps.prediction, turns))
    prediction, target = overlaps.prediction[order], overlaps.target[order]
    iou = overlaps.iou[order]
    taken: list[tuple[Index, Index, Index]] = []
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
        taken.append((turn_prediction[heads[row]], threshold, chosen))
        busy[chosen, threshold] = True
    nothing = np.zeros(0, np.int64)
    first, second, third = zip(*(taken or [(nothing, nothing, nothing)]), strict=True)
    return np.concatenate(first), np.concatenate(second), np.concatenate(third)
