"""Average precision and recall of matches, for any weights of the images: weight 2 is an image listed twice.

Only hits matter: between two of them precision falls, so the interpolated envelope has its corners at the hits, and a
resample costs two cumulative sums. Of several guesses of equal score a repeated one stands beside itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from usbench.metrics.matches import Matches

Values = NDArray[np.float64]
Counts = NDArray[np.int32]

POINTS = np.linspace(0.0, 1.0, 101)  # of recall
CHUNK = 1 << 17  # weights at once: they stay in the processor's cache


@dataclass(frozen=True)
class Curve:
    """How the precision at 101 points of recall becomes a number.

    side: a point of recall has the precision where recall first reaches it (left) or first exceeds it (right), the
    highest from there on; 0 where it never does.
    """

    side: Literal["left", "right"]
    area: Callable[[Values], Values]  # (…, 101) → (…)


def average_precisions(matches: Matches, curve: Curve, weights: Values) -> Values:
    """(B, N) whole weights of the images → (B, T, C) average precision; NaN where no truth of the class has a
    weight."""
    truths = weights @ matches.truths.astype(np.float64)
    whole = weights.astype(np.int32)
    out = np.full((len(weights), len(matches.hit), truths.shape[1]), np.nan)
    for c in range(truths.shape[1]):
        if not truths[:, c].any():
            continue
        ready = steps(matches.of(c))
        rows = chunks(len(weights), len(ready.image))
        parts = [areas(ready, curve, whole[some], truths[some, c]) for some in rows]
        out[:, :, c] = np.concatenate(parts)
    return np.where(truths[:, None] > 0, out, np.nan)


def chunks(rows: int, columns: int) -> Iterator[slice]:
    """So many rows at a time that a chunk of (rows, columns) stays small."""
    step = max(CHUNK // max(columns, 1), 1)
    return (slice(n, n + step) for n in range(0, rows, step))


@dataclass(frozen=True)
class Steps:
    """The boxes of one class up to its last hit, but those ignored at every threshold: what its curves depend on."""

    image: NDArray[np.int64]  # (D,)
    hits: list[NDArray[np.int64]]  # per threshold the places of the hits
    off: list[NDArray[np.int64]]  # … of the boxes that are ignored at this threshold only


def steps(own: Matches) -> Steps:
    """Of one class's matches."""
    last = np.flatnonzero(own.hit.any(axis=0))[-1:]
    counted = np.flatnonzero(~own.ignored[:, : int(last[0]) + 1 if len(last) else 0].all(axis=0))
    hits, off = (
        [np.flatnonzero(row) for row in flags[:, counted]] for flags in (own.hit, own.ignored)
    )
    return Steps(own.image[counted], hits, off)


def areas(own: Steps, curve: Curve, weights: Counts, truths: Values) -> Values:
    """One class: (b, N) weights, (b,) weighted truths → (b, T)."""
    each = weights.take(own.image, axis=1)
    every = summed(each)
    wanted = least(np.maximum(truths, 1), curve.side)
    out = np.zeros((len(weights), len(own.hits)))
    for t, (places, off) in enumerate(zip(own.hits, own.off, strict=True)):
        hits = summed(each.take(places, axis=1))
        found = every.take(places, axis=1)
        if len(off):
            before = np.searchsorted(off, places)
            lost = summed(each.take(off, axis=1)).take(np.maximum(before - 1, 0), axis=1)
            found -= np.where(before > 0, lost, 0)
        out[:, t] = curve.area(interpolated(hits, found, wanted))
    return out


def summed(counts: Counts) -> Counts:
    """Running sums along the rows, in 32 bits: a sum waits for the one before it, and integers wait less."""
    return np.cumsum(counts, axis=1, dtype=np.int32)


def least(truths: Values, side: Literal["left", "right"]) -> NDArray[np.int64]:
    """(b,) truths → (b, 101) the fewest hits whose recall, as a float, reaches (left) or exceeds (right) each point."""
    total = truths[:, None]
    hits = np.floor(POINTS * total) - 1
    for _ in range(3):
        recall = hits / total
        hits += recall < POINTS if side == "left" else recall <= POINTS
    return hits.astype(np.int64)


def interpolated(hits: Counts, found: Counts, wanted: NDArray[np.int64]) -> Values:
    """(b, K) hits and guesses up to each of K hits, (b, R) hits wanted → (b, R) highest precision from there on."""
    rows, size = hits.shape
    best = np.zeros((rows, size + 1))
    precision = hits / np.maximum(found, 1)
    best[:, :size] = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    row = np.arange(rows)[:, None]
    apart = row * (
        wanted.max() + hits.max(initial=0) + 1
    )  # a row's counts lie above all of the row before
    places = np.searchsorted((hits + apart).ravel(), (wanted + apart).ravel())
    reached: Values = best.ravel()[places.reshape(rows, -1) + row]  # a row of best is one longer
    return reached


def recalls(matches: Matches, most: int, weights: Values) -> Values:
    """(B, N) weights → (B, C) share of the truths that the best `most` guesses of an image and class find, mean over
    the thresholds; NaN where no truth of the class has a weight."""
    images, classes = matches.truths.shape
    near = matches.rank < most
    place = matches.image[near] * classes + matches.label[near]
    hits = np.bincount(place, matches.hit[:, near].sum(axis=0), minlength=images * classes)
    truths = weights @ matches.truths.astype(np.float64)
    share = weights @ hits.reshape(images, classes) / len(matches.hit)
    return np.where(truths > 0, share / np.maximum(truths, 1), np.nan)
