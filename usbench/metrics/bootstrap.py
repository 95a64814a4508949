"""Intervals by cluster bootstrap: how far a score moves when other animals, patients or videos had been measured.

Whole groups are drawn with replacement, as many as there are, so images of one animal stay together (Davison & Hinkley
1997, section 3.8); 95 % percentile intervals (Efron & Tibshirani 1993, chapter 13). The figures of the cases are
computed once: a resample only weights them. Groups are numbered as they first appear, so names may be hashed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES, SEED, LEVEL = 1000, 0, 0.95
FEW, TOO_FEW = (
    10,
    5,
)  # groups: below the first an interval carries a warning, below the second there is none
LOST = 0.05  # share of resamples that may leave a figure undefined

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Draws:
    """Resamples of G groups of N cases."""

    index: NDArray[np.int64]  # (N,) the group of each case
    weights: NDArray[np.float64]  # (B, G) how often a resample draws each group

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return int(self.weights.shape[1])

    def of(self, which: NDArray[np.int64] | Sequence[int]) -> Draws:
        """The same resamples, of some of the cases."""
        return Draws(self.index[np.asarray(which, np.int64)], self.weights)

    @property
    def cases(self) -> Values:
        """(B, N) how often a resample draws each case."""
        return self.weights[:, self.index]


@dataclass(frozen=True)
class Interval:
    """A percentile interval. reason: why there is none (low and high are None), or how far to trust it."""

    low: float | None
    high: float | None
    reason: str | None = None


def draw(groups: Sequence[str], resamples: int = RESAMPLES, seed: int = SEED) -> Draws:
    """Draw whole groups with replacement; groups: the group of each of N cases."""
    number = {name: n for n, name in enumerate(dict.fromkeys(groups))}
    index = np.array([number[name] for name in groups], np.int64)
    size = len(number)
    # PCG64's stream and the 53 bits of random() are the same in every version of NumPy, integers() may not be
    drawn = (np.random.default_rng(np.random.PCG64(seed)).random((resamples, size)) * size).astype(
        np.int64
    )
    places = np.arange(resamples)[:, None] * size + drawn
    weights = np.bincount(places.ravel(), minlength=resamples * size).reshape(resamples, size)
    return Draws(index, weights.astype(np.float64))


def sums(values: Values, draws: Draws) -> Values:
    """(N, …) values of the cases → (B, …) their sums over each resample."""
    per_group = np.zeros((draws.groups, *values.shape[1:]))
    np.add.at(per_group, draws.index, values)
    return np.tensordot(draws.weights, per_group, axes=1)


def means(values: Values, draws: Draws) -> Values:
    """(N, …) → (B, …) means over the defined cases (not NaN) of each resample; NaN where none is."""
    defined = np.isfinite(values)
    total, count = (
        sums(np.where(defined, values, 0), draws),
        sums(defined.astype(np.float64), draws),
    )
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def interval(resampled: Values, groups: int, level: float = LEVEL) -> Interval:
    """(B,) a figure of every resample → its percentile interval.

    None under 5 groups, and where more than 5 % of the resamples leave the figure undefined (NaN); those that do are
    dropped otherwise.
    """
    if groups < TOO_FEW:
        return Interval(None, None, f"no interval: {groups} groups, at least {TOO_FEW} were wanted")
    defined = resampled[np.isfinite(resampled)]
    lost = len(resampled) - len(defined)
    if lost > LOST * len(resampled):
        return Interval(
            None, None, f"no interval: undefined in {lost} of {len(resampled)} resamples"
        )
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(
        float(low),
        float(high),
        f"rough: {groups} groups, fewer than {FEW}" if groups < FEW else None,
    )
