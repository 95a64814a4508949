"""Two models on the same cases: difference with its interval, a test by swapping whole groups, ranks with their ties.

A group's cases (an animal's, a patient's) are swapped between two models together, for they aren't independent; p is
two-sided, exact for at most 12 groups (all swaps), else of 9,999 random ones with (b + 1) / (m + 1) (Phipson & Smyth
2010). Under 6 groups no swap can reach .05, so there is no p. Holm's correction over all pairs of a table.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from usbench.metrics.bootstrap import SEED, Draws, interval, sums
from usbench.metrics.boxes import COCO_CURVE
from usbench.metrics.matches import Matches
from usbench.metrics.precision import average_precisions
from usbench.metrics.scores import mean

EXACT, SWAPS, FEWEST = 12, 9_999, 6
ALPHA = 0.05
RESOLUTION = (
    2.8  # × SE: a true difference of that size is found with a power of 80 % at a level of .05
)
CHUNK = 1_000  # swaps at once
ROUNDING = 1e-12  # a swap that differs by less is as large
Values = NDArray[np.float64]
Swaps = NDArray[np.bool_]


class Measured(Protocol):
    """One model on N cases."""

    @property
    def name(self) -> str:
        """What it is called."""

    def scores(self, draws: Draws) -> Values:
        """(B,) the score in each resample; NaN where it is undefined there."""

    def swapped(self, other: Self, index: NDArray[np.int64], swaps: Swaps) -> Values:
        """(S,) own score minus the other's after the groups marked in (S, G) changed sides; index: (N,) the cases'
        groups."""


@dataclass(frozen=True)
class Means:
    """A mean over cases per column (class), then over the columns that have any."""

    name: str
    sums: Values  # (N, C) for each case and column a sum of values …
    counts: Values  # (N, C) … of so many that count, the same for every model of a comparison

    def scores(self, draws: Draws) -> Values:
        """See Measured."""
        return _mean(sums(self.sums, draws), sums(self.counts, draws))

    def swapped(self, other: Means, index: NDArray[np.int64], swaps: Swaps) -> Values:
        """See Measured."""
        own = np.zeros((swaps.shape[1], self.sums.shape[1]))
        np.add.at(own, index, self.sums - other.sums)
        return _mean(np.where(swaps, -1.0, 1.0) @ own, self.counts.sum(axis=0)[None])


def _mean(total: Values, count: Values) -> Values:
    """(B, C) sums and counts → (B,)."""
    columns = np.where(count > 0, total / np.maximum(count, ROUNDING), np.nan)
    return np.asarray(mean(columns, 1))


@dataclass(frozen=True)
class Curves:
    """mAP50-95 by the rule coco: no mean over cases, so what is swapped are the cases' boxes."""

    name: str
    seeds: tuple[Matches, ...]  # the model's score is the mean over them

    def scores(self, draws: Draws) -> Values:
        """See Measured."""
        return np.asarray(np.mean([_map(own, draws.cases) for own in self.seeds], axis=0))

    def swapped(self, other: Curves, index: NDArray[np.int64], swaps: Swaps) -> Values:
        """See Measured. Seeds are swapped pair by pair, each of them in as many pairs as any other of its model."""
        count = math.lcm(len(self.seeds), len(other.seeds))
        pairs = [
            (self.seeds[n % len(self.seeds)], other.seeds[n % len(other.seeds)])
            for n in range(count)
        ]
        return np.asarray(
            np.mean([_swapped(joined(*pair), index, swaps) for pair in pairs], axis=0)
        )


def _map(own: Matches, weights: Values) -> Values:
    """(B, N) weights of the images → (B,) mean over thresholds, then over the classes that have a truth."""
    return np.asarray(mean(average_precisions(own, COCO_CURVE, weights).mean(axis=1), 1))


def joined(one: Matches, other: Matches) -> Matches:
    """Both models' boxes on twice the images: image 2n is one's n, image 2n + 1 the other's."""
    label = np.concatenate([one.label, other.label])
    image = np.concatenate([2 * one.image, 2 * other.image + 1])
    score, rank = np.concatenate([one.score, other.score]), np.concatenate([one.rank, other.rank])
    order = np.lexsort((rank, image, -score, label))
    flags = [
        np.concatenate(pair, axis=1)[:, order]
        for pair in ((one.hit, other.hit), (one.ignored, other.ignored))
    ]
    starts = np.searchsorted(label[order], np.arange(len(one.starts)))
    truths = np.stack([one.truths, other.truths], axis=1).reshape(-1, one.truths.shape[1])
    return Matches(starts, image[order], score[order], rank[order], flags[0], flags[1], truths)


def _swapped(both: Matches, index: NDArray[np.int64], swaps: Swaps) -> Values:
    """See Measured.swapped: which of its two images a case lends to the one side is a weight of 1 or 0."""
    parts = []
    for some in chunks(swaps):
        gone = some[:, index]
        side = np.stack([~gone, gone], axis=2).reshape(len(some), -1).astype(np.float64)
        parts.append(_map(both, side) - _map(both, 1 - side))
    return np.concatenate(parts)


def chunks(swaps: Swaps) -> Iterator[Swaps]:
    """Some rows at a time."""
    return (swaps[n : n + CHUNK] for n in range(0, len(swaps), CHUNK))


@dataclass(frozen=True)
class Difference:
    """One model minus another."""

    one: str
    other: str
    value: float
    low: float | None
    high: float | None
    se: float
    p: float | None  # None under 6 groups
    reason: str | None = None  # why there is no interval or no p, or how far to trust them


def score(model: Measured, draws: Draws) -> float:
    """The score on all cases, each once."""
    return float(model.scores(once(draws))[0])


def once(draws: Draws) -> Draws:
    """One resample: every group as it is."""
    return Draws(draws.index, np.ones((1, draws.groups)))


def difference(one: Measured, other: Measured, draws: Draws) -> Difference:
    """One minus the other, on the same cases."""
    return differences([one, other], draws)[0]


def differences(models: Sequence[Measured], draws: Draws) -> list[Difference]:
    """Every model minus each one after it, on the same cases."""
    drawn = [model.scores(draws) for model in models]
    every = combinations(range(len(models)), 2)
    return [_difference(models[a], models[b], drawn[a] - drawn[b], draws) for a, b in every]


def _difference(one: Measured, other: Measured, drawn: Values, draws: Draws) -> Difference:
    """drawn: (B,) the difference in each resample."""
    found = interval(drawn, draws.groups)
    value, se = score(one, draws) - score(other, draws), float(np.nanstd(drawn, ddof=1))
    p = p_of(one, other, draws) if draws.groups >= FEWEST else None
    reason = (
        found.reason
        if p is not None
        else f"no test: {draws.groups} groups, at least {FEWEST} were wanted"
    )
    return Difference(one.name, other.name, value, found.low, found.high, se, p, reason)


def p_of(one: Measured, other: Measured, draws: Draws, seed: int = SEED) -> float:
    """Two-sided p of a difference: how often swapping whole groups gives one as large."""
    groups = draws.groups
    seen = abs(score(one, draws) - score(other, draws)) - ROUNDING
    if groups <= EXACT:
        swaps = ((np.arange(2**groups)[:, None] >> np.arange(groups)) & 1).astype(bool)
        return float((np.abs(one.swapped(other, draws.index, swaps)) >= seen).mean())
    swaps = np.random.default_rng(np.random.PCG64(seed)).random((SWAPS, groups)) < 0.5
    larger = int((np.abs(one.swapped(other, draws.index, swaps)) >= seen).sum())
    return (larger + 1) / (SWAPS + 1)


def holm(values: Sequence[float]) -> list[float]:
    """Corrected p values (Holm 1979), in the order given."""
    order = np.argsort(values, kind="stable")
    out, highest = [0.0] * len(values), 0.0
    for place, n in enumerate(order.tolist()):
        highest = max(highest, min(1.0, (len(values) - place) * values[n]))
        out[n] = highest
    return out


def ranks(
    names: Sequence[str], pairs: Sequence[Difference], higher: bool
) -> dict[str, tuple[int, int]]:
    """Name → [1 + how many are significantly better, k − how many are significantly worse], by Holm over the pairs.

    higher: whether a higher score is better. A model that no test tells from another shares its places.
    """
    better, worse = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    tested = [pair for pair in pairs if pair.p is not None]
    for pair, p in zip(tested, holm([float(pair.p or 0) for pair in tested]), strict=True):
        if p < ALPHA:
            first = (pair.value > 0) == higher
            winner, loser = (pair.one, pair.other) if first else (pair.other, pair.one)
            better[loser] += 1
            worse[winner] += 1
    return {name: (1 + better[name], len(names) - worse[name]) for name in names}
