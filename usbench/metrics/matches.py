"""Which guess finds which truth: computed once per image, class and IoU threshold; every figure is a function of it.

The matcher sees overlaps only, as a sparse list of pairs, so it is the same for boxes, masks and crowds. All images go
at once: in its first turn every image and class handles its best guess, in the second the next, and so on.
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

EVERY = (0.0, 1e10)  # px²: of an area range


@dataclass(frozen=True)
class Truths:
    """G truths of any number of images."""

    image: Index  # (G,) from 0
    label: Index  # (G,)
    area: Values  # (G,) px²
    crowd: Flags  # (G,) a region of uncounted objects: any number of guesses may lie in it, and count nowhere


@dataclass(frozen=True)
class Guesses:
    """M guesses."""

    image: Index  # (M,)
    label: Index  # (M,)
    area: Values  # (M,) px²
    score: NDArray[np.float32]  # (M,)

    def of(self, which: Index) -> Guesses:
        """Some of them, in that order."""
        return Guesses(self.image[which], self.label[which], self.area[which], self.score[which])


@dataclass(frozen=True)
class Overlaps:
    """P pairs of a guess and a truth of one image and class; pairs below the lowest threshold may be left out."""

    guess: Index  # (P,) number of the guess
    truth: Index  # (P,) number of the truth
    iou: NDArray[np.floating]  # (P,) of a crowd: the share of the guess that lies in it

    @staticmethod
    def of(matrices: Sequence[tuple[Index, Index, NDArray[np.floating]]]) -> Overlaps:
        """From dense blocks: numbers of the guesses (m,), of the truths (n,), and their (m, n) IoU."""
        parts = [
            (*np.broadcast_arrays(g[:, None], t[None]), iou) for g, t, iou in matrices if iou.size
        ]
        joined = [
            np.concatenate([np.ravel(part[n]) for part in parts]) if parts else np.zeros(0)
            for n in range(3)
        ]
        return Overlaps(joined[0].astype(np.int64), joined[1].astype(np.int64), joined[2])


@dataclass(frozen=True)
class Matches:
    """D guesses in order of class, then score (best first; of equals in order of image, then as given)."""

    starts: Index  # (C + 1,) class c's are starts[c] : starts[c + 1]
    image: Index  # (D,)
    score: NDArray[np.float32]  # (D,)
    rank: Index  # (D,) among the guesses of its image and class, 0 the best
    hit: Flags  # (T, D) found a truth that counts
    ignored: Flags  # (T, D) counts neither as hit nor as false positive
    truths: NDArray[np.int64]  # (N, C) truths that count

    @property
    def label(self) -> Index:
        """(D,) the class of each."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    def of(self, c: int) -> Matches:
        """One class alone."""
        own = np.arange(self.starts[c], self.starts[c + 1])
        return self.taken(own, self.truths[:, c : c + 1])

    def pooled(self) -> Matches:
        """All classes as one: the same matches, in order of score."""
        return self.taken(
            np.lexsort((self.image, -self.score)), self.truths.sum(axis=1, keepdims=True)
        )

    def taken(self, which: Index, truths: NDArray[np.int64]) -> Matches:
        """These guesses as one class with (N, 1) truths."""
        ends = np.array([0, len(which)], np.int64)
        image, score, rank = self.image[which], self.score[which], self.rank[which]
        return Matches(ends, image, score, rank, self.hit[:, which], self.ignored[:, which], truths)


def limited(guesses: Guesses, most: int, per_class: bool = True) -> Index:
    """Numbers of the best `most` guesses of each image and class (or of each image), in order of image, class, score.

    Guesses of equal score keep their order.
    """
    cells = (guesses.label, guesses.image) if per_class else (guesses.image,)
    order = np.lexsort((-guesses.score, *cells))
    order = order[rank_in(*(key[order] for key in cells)) < most]
    return order if per_class else order[np.lexsort((guesses.label[order], guesses.image[order]))]


def rank_in(*keys: Index) -> Index:
    """(M,) keys, equal ones in a run → each one's place in its run, from 0."""
    size = len(keys[0])
    new = np.ones(size, bool)
    new[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    first = np.flatnonzero(new)
    return np.arange(size) - np.repeat(first, np.diff(np.append(first, size)))


def match(
    truths: Truths,
    guesses: Guesses,
    overlaps: Overlaps,
    thresholds: NDArray[np.floating],
    size: tuple[int, int],
    areas: Sequence[tuple[float, float]] = (EVERY,),
    last: bool = True,
) -> list[Matches]:
    """Match guesses that are `limited` to truths, once per area range; size: how many images and classes there are.

    Each guess, best first, takes the free truth of highest IoU that reaches the threshold (of equals the last, or the
    first); a truth that is ignored (a crowd, an area outside the range) only if no other will do; a crowd stays free. A
    guess that took an ignored truth is ignored, and so is one that took none and whose own area is outside.
    """
    images, classes = size
    rank = rank_in(guesses.label, guesses.image)
    order = np.lexsort((-guesses.score, guesses.label))
    starts = np.searchsorted(guesses.label[order], np.arange(classes + 1))
    turns = turns_of(overlaps, guesses)
    found = []
    for area in areas:
        ignore = truths.crowd | outside(truths.area, area)
        taken = greedy(overlaps, turns, thresholds, ignore, truths.crowd, len(guesses.image), last)
        with_spare = np.append(ignore, False)  # -1, nothing taken, is the last
        ignored = with_spare[taken] | ((taken < 0) & outside(guesses.area, area)[:, None])
        hit = (taken >= 0) & ~ignored
        counted = np.bincount(
            (truths.image * classes + truths.label)[~ignore], minlength=images * classes
        )
        flags = np.ascontiguousarray(hit[order].T), np.ascontiguousarray(ignored[order].T)
        own = guesses.image[order], guesses.score[order], rank[order]
        found.append(Matches(starts, *own, *flags, counted.reshape(images, classes)))
    return found


def outside(area: Values, bounds: tuple[float, float]) -> Flags:
    """Whether areas lie outside a range, both ends being in it."""
    return (area < bounds[0]) | (area > bounds[1])


def turns_of(overlaps: Overlaps, guesses: Guesses) -> Index:
    """(P,) the turn of each pair's guess: its place among the guesses of its image and class that overlap anything."""
    some = np.unique(overlaps.guess)
    place = np.zeros(len(guesses.image), np.int64)
    place[some] = rank_in(guesses.label[some], guesses.image[some])
    return place[overlaps.guess]


def greedy(
    overlaps: Overlaps,
    turns: Index,
    thresholds: NDArray[np.floating],
    ignore: Flags,
    crowd: Flags,
    guesses: int,
    last: bool,
) -> Index:
    """(M, T) the truth that each guess takes at each threshold; -1 for none. See `match`."""
    tie = -overlaps.truth if last else overlaps.truth
    order = np.lexsort((tie, -overlaps.iou, ignore[overlaps.truth], overlaps.guess, turns))
    guess, truth, iou = overlaps.guess[order], overlaps.truth[order], overlaps.iou[order]
    taken = np.full((guesses, len(thresholds)), -1, np.int64)
    busy = np.zeros((len(ignore), len(thresholds)), bool)
    ends = np.append(0, np.flatnonzero(np.diff(turns[order], append=-1)) + 1)
    for lo, hi in pairwise(ends):
        which, wanted = guess[lo:hi], truth[lo:hi]
        free = (iou[lo:hi, None] >= thresholds) & ~(busy[wanted] & ~crowd[wanted, None])
        heads = np.flatnonzero(np.diff(which, prepend=-1))
        best = np.minimum.reduceat(
            np.where(free, np.arange(hi - lo)[:, None], hi - lo), heads, axis=0
        )
        row, t = np.nonzero(best < hi - lo)
        own = wanted[best[row, t]]
        taken[which[heads[row]], t], busy[own, t] = own, True
    return taken
