"""Average precision and recall of matches for any weights of the images.

Weight 2 is an image listed twice. Only hits matter: precision falls between two hits, so the
interpolated envelope has its corners at the hits, and a resample costs two cumulative sums. Of
several predictions of equal score, a repeated one stands beside itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from usbench.metrics.chunks import do_in_chunks
from usbench.metrics.matches import Index, Matches, Values
from usbench.metrics.ratios import ratio

Counts = NDArray[np.int32]
Integers = NDArray[np.signedinteger[Any]]
Side = Literal["left", "right"]

POINTS = np.linspace(0.0, 1.0, 101)  # of recall


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
    for c in np.flatnonzero(targets.any(axis=0)).tolist():
        precisions[:, :, c] = _class_precisions(matches.of_class(c), curve, whole, targets[:, c])
    return np.where(targets[:, None] > 0, precisions, np.nan)


def _class_precisions(matches: Matches, curve: Curve, weights: Counts, targets: Values) -> Values:
    """Average precision (B, T) of one class for weights (B, N) and weighted targets (B,)."""
    # Only predictions up to the last hit matter, and only those that count at some threshold.
    hit_places = np.flatnonzero(matches.hit.any(axis=0))
    end = int(hit_places[-1]) + 1 if len(hit_places) else 0
    counted = np.flatnonzero(~matches.ignored[:, :end].all(axis=0))
    image = matches.image[counted]
    # Per threshold, the places of hits and of ignored predictions among the counted ones.
    all_hits = [np.flatnonzero(row) for row in matches.hit[:, counted]]
    all_ignored = [np.flatnonzero(row) for row in matches.ignored[:, counted]]
    precisions = np.zeros((len(weights), len(matches.hit)))

    def measure(rows: slice) -> None:
        box_weights = weights[rows].take(image, axis=1)
        predictions = running_sums(box_weights)
        needed = hits_needed(np.maximum(targets[rows], 1), curve.side)
        for t, (places, ignored) in enumerate(zip(all_hits, all_ignored, strict=True)):
            hits = running_sums(box_weights.take(places, axis=1))
            at_hits = predictions.take(places, axis=1)
            if len(ignored):
                # A column of zeros first: column n is the weight of the first n ignored ones.
                sums = np.zeros((len(box_weights), len(ignored) + 1), np.int32)
                sums[:, 1:] = running_sums(box_weights.take(ignored, axis=1))
                at_hits -= sums.take(np.searchsorted(ignored, places), axis=1)
            precisions[rows, t] = curve.area(interpolate_precision(hits, at_hits, needed))

    do_in_chunks(measure, len(weights), len(image))
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
    # Points of recall that no row reaches are 0; they are the last ones.
    reached = int((needed <= hits[:, -1:]).any(axis=0).sum()) if size else 0
    precision = np.zeros((rows, size + 1))  # the last column: never reached
    np.divide(hits, np.maximum(predictions, 1), out=precision[:, :size])
    ends = np.arange(1, rows + 1)[:, None] * (size + 1) - 1
    places = np.concatenate([search_rows(hits, needed[:, :reached]), ends], axis=1)
    # The highest from each place up to the next, in one pass over all rows, then from the end on.
    # What follows a row's last place is of the next row, and left out.
    highest = np.maximum.reduceat(precision.ravel(), places.ravel()).reshape(places.shape)[:, :-1]
    interpolated = np.zeros(needed.shape)
    interpolated[:, :reached] = np.maximum.accumulate(highest[:, ::-1], axis=1)[:, ::-1]
    return interpolated


def search_rows(counts: Counts, values: Integers, side: Side = "left") -> Index:
    """`np.searchsorted` of values (b, R) in counts (b, K), row by row.

    Both are at least 0, and the counts of a row never decrease.

    Returns:
        (b, R) places in a flattened array (b, K + 1), whose columns are the places in a row.
    """
    # One searchsorted for all rows: each row is shifted above the one before it, so that the
    # flattened array is sorted and no search crosses into another row.
    row = np.arange(len(counts))[:, None]
    step = int(counts.max(initial=0)) + int(values.max(initial=0)) + 1
    shift: Integers = row * step
    if len(counts) * step <= np.iinfo(np.int32).max:  # which takes three quarters of the time
        shift, values = shift.astype(np.int32), values.astype(np.int32)
    places = np.searchsorted((counts + shift).ravel(), (values + shift).ravel(), side=side)
    return np.asarray(places.reshape(values.shape) + row)  # a row of K + 1 is one longer


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
    best = np.flatnonzero(matches.hit.any(axis=0) & (matches.rank < most))
    cell = matches.image[best] * classes + matches.label[best]
    hits = np.bincount(cell, matches.hit[:, best].sum(axis=0), minlength=images * classes)
    return ratio(
        weights @ hits.reshape(images, classes) / len(matches.hit),
        weights @ matches.targets.astype(np.float64),
    )
