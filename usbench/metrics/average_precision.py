"""Average precision and recall of matches for any weights of the images.

Weight 2 is an image listed twice. Only hits matter: precision falls between two hits, so the
interpolated envelope has its corners at the hits, and a resample costs two cumulative sums. Of
several predictions of equal score, a repeated one stands beside itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from usbench.metrics.matches import Index, Matches
from usbench.metrics.ratios import ratio

Values = NDArray[np.float64]
Counts = NDArray[np.int32]
Side = Literal["left", "right"]

POINTS = np.linspace(0.0, 1.0, 101)  # of recall
CHUNK = 1 << 17  # weights at once: they stay in the processor's cache


@dataclass(frozen=True)
class Curve:
    """How the interpolated precision at 101 points of recall becomes a number.

    At a point of recall it is the highest precision from where recall first reaches the point
    (left) or first exceeds it (right); 0 where recall never does.
    """

    side: Side
    area: Callable[[Values], Values]  # (…, 101) precision → (…)


def average_precisions(matches: Matches, curve: Curve, weights: Values) -> Values:
    """Average precision per resample, threshold and class.

    Args:
        matches: of N images.
        curve: how precision at points of recall becomes a number.
        weights: (B, N) whole weights of the images.

    Returns:
        (B, T, C), NaN where no target of the class has a weight.
    """
    targets = weights @ matches.targets.astype(np.float64)
    whole = weights.astype(np.int32)
    precisions = np.full((len(weights), len(matches.hit), targets.shape[1]), np.nan)
    for c in np.flatnonzero(targets.any(axis=0)):
        steps = _find_steps(matches.of_class(c))
        for rows in chunk_rows(len(weights), len(steps.image)):
            precisions[rows, :, c] = _class_precisions(steps, curve, whole[rows], targets[rows, c])
    return np.where(targets[:, None] > 0, precisions, np.nan)


def chunk_rows(rows: int, columns: int) -> Iterator[slice]:
    """Slices of rows, each small enough that (rows, columns) weights stay in the cache."""
    step = max(CHUNK // max(columns, 1), 1)
    return (slice(start, start + step) for start in range(0, rows, step))


@dataclass(frozen=True)
class _Steps:
    """What the curves of one class depend on: its predictions up to the last hit.

    Those ignored at every threshold are left out.
    """

    image: Index  # (D,)
    hits: list[Index]  # per threshold, the places of the hits
    ignored: list[Index]  # per threshold, the places of those ignored at this threshold only


def _find_steps(matches: Matches) -> _Steps:
    """The steps of one class's matches."""
    hit_places = np.flatnonzero(matches.hit.any(axis=0))
    end = int(hit_places[-1]) + 1 if len(hit_places) else 0
    counted = np.flatnonzero(~matches.ignored[:, :end].all(axis=0))
    hits = [np.flatnonzero(row) for row in matches.hit[:, counted]]
    ignored = [np.flatnonzero(row) for row in matches.ignored[:, counted]]
    return _Steps(matches.image[counted], hits, ignored)


def _class_precisions(steps: _Steps, curve: Curve, weights: Counts, targets: Values) -> Values:
    """Average precision (b, T) of one class for weights (b, N) and weighted targets (b,)."""
    step_weights = weights.take(steps.image, axis=1)
    predictions = running_sums(step_weights)
    needed = hits_needed(np.maximum(targets, 1), curve.side)
    precisions = np.zeros((len(weights), len(steps.hits)))
    for t, (places, ignored) in enumerate(zip(steps.hits, steps.ignored, strict=True)):
        hits = running_sums(step_weights.take(places, axis=1))
        counted = predictions.take(places, axis=1)
        if len(ignored):
            before = np.searchsorted(ignored, places)
            ignored_sums = running_sums(step_weights.take(ignored, axis=1))
            uncounted = ignored_sums.take(np.maximum(before - 1, 0), axis=1)
            counted -= np.where(before > 0, uncounted, 0)
        precisions[:, t] = curve.area(interpolate_precision(hits, counted, needed))
    return precisions


def running_sums(counts: Counts) -> Counts:
    """Running sums along the rows.

    In 32 bits: each sum waits for the one before it, and integer additions have the least latency.
    """
    return np.cumsum(counts, axis=1, dtype=np.int32)


def hits_needed(targets: Values, side: Side) -> Index:
    """The fewest hits whose recall reaches (left) or exceeds (right) each point of recall.

    Args:
        targets: (b,) number of targets.
        side: see `Curve`.

    Returns:
        (b, 101); recall is compared as a float, as pycocotools and ultralytics do.
    """
    total = targets[:, None]
    # Start one below the rounded-down count, then correct it by float comparisons: rounding can put
    # it off by one either way, so three steps suffice.
    hits = np.floor(POINTS * total) - 1
    for _ in range(3):
        recall = hits / total
        hits += recall < POINTS if side == "left" else recall <= POINTS
    return hits.astype(np.int64)


def interpolate_precision(hits: Counts, predictions: Counts, needed: Index) -> Values:
    """The highest precision from a number of hits on.

    Args:
        hits: (b, K) running number of hits at each of K hits.
        predictions: (b, K) running number of predictions there.
        needed: (b, R) numbers of hits.

    Returns:
        (b, R), 0 where there are fewer hits than needed.
    """
    rows, size = hits.shape
    best = np.zeros((rows, size + 1))  # the last column: never reached
    precision = hits / np.maximum(predictions, 1)
    best[:, :size] = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    return np.take_along_axis(best, search_rows(hits, needed), axis=1)


def search_rows(counts: Counts, values: NDArray[Any], side: Side = "left") -> Index:
    """`np.searchsorted` of values (b, R) in counts (b, K), row by row: (b, R) places.

    Both are at least 0, and the counts of a row never decrease.
    """
    # One searchsorted for all rows: each row is shifted above the one before it, so that the
    # flattened array is sorted and no search crosses into another row.
    row = np.arange(len(counts))[:, None]
    shift = row * (counts.max(initial=0) + values.max() + 1)
    places = np.searchsorted((counts + shift).ravel(), (values + shift).ravel(), side=side)
    return places.reshape(values.shape) - row * counts.shape[1]


def recalls(matches: Matches, most: int, weights: Values) -> Values:
    """Average recall: the share of targets that are matched, averaged over the thresholds.

    Args:
        matches: of N images.
        most: how many of the best predictions of an image and class count.
        weights: (B, N) weights of the images.

    Returns:
        (B, C), NaN where no target of the class has a weight.
    """
    images, classes = matches.targets.shape
    best = matches.rank < most
    cell = matches.image[best] * classes + matches.label[best]
    hits = np.bincount(cell, matches.hit[:, best].sum(axis=0), minlength=images * classes)
    mean_hits = weights @ hits.reshape(images, classes) / len(matches.hit)
    return ratio(mean_hits, weights @ matches.targets.astype(np.float64))
