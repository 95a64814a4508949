"""Confidence intervals by cluster bootstrap: how a score varies with the sample of patients.

Whole groups (animals, patients, videos) are drawn with replacement, as many as there are, so the
images of one animal stay together (Davison & Hinkley 1997, section 3.8). Intervals are 95 %
percentile intervals (Efron & Tibshirani 1993, chapter 13). The figures of the cases are computed
once; a resample only weights them. Groups are numbered in order of appearance: hashed names give
the same resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usbench.metrics.ratios import ratio

RESAMPLES = 1000
SEED = 0
LEVEL = 0.95
FEW_GROUPS = 10  # with fewer groups, an interval carries a warning
MIN_GROUPS = 5  # with fewer groups, there is no interval
MAX_UNDEFINED = 0.05  # share of resamples that may leave a figure undefined

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Draws:
    """B resamples of the G groups of N cases."""

    index: NDArray[np.int64]  # (N,) the group of each case
    weights: Values  # (B, G) how often a resample draws each group

    @property
    def groups(self) -> int:
        """The number of groups."""
        return int(self.weights.shape[1])

    @property
    def case_weights(self) -> Values:
        """(B, N) how often a resample draws each case."""
        return self.weights[:, self.index]

    def count_groups(self, counted: NDArray[np.bool_]) -> int:
        """The number of groups that have a case that counts. counted: (N,)."""
        return len(np.unique(self.index[counted]))

    def select(self, cases: NDArray[np.int64] | Sequence[int]) -> Draws:
        """The same resamples for the cases of these numbers."""
        return Draws(self.index[np.asarray(cases, np.int64)], self.weights)


@dataclass(frozen=True)
class Interval:
    """A percentile interval."""

    low: float | None
    high: float | None
    reason: str | None = None  # why there is none, or how far to trust it


def draw(groups: Sequence[str], resamples: int = RESAMPLES, seed: int = SEED) -> Draws:
    """Draw whole groups with replacement.

    Args:
        groups: the group of each of the N cases.
        resamples: B, how many resamples to draw.
        seed: of the random stream, which is the same for every version of NumPy.
    """
    numbers = {name: n for n, name in enumerate(dict.fromkeys(groups))}
    index = np.array([numbers[name] for name in groups], np.int64)
    size = len(numbers)
    # NumPy guarantees PCG64's stream and the 53 bits of random(), but not integers().
    uniform = np.random.default_rng(np.random.PCG64(seed)).random((resamples, size))
    # One bincount for all resamples: resample b counts its groups in bins b·G … b·G + G − 1.
    bins = np.arange(resamples)[:, None] * size + (uniform * size).astype(np.int64)
    weights = np.bincount(bins.ravel(), minlength=resamples * size).reshape(resamples, size)
    return Draws(index, weights.astype(np.float64))


def resample_sums(values: NDArray[Any], draws: Draws) -> Values:
    """Sum the cases' values (N, …) over each resample: (B, …)."""
    per_group = np.zeros((draws.groups, *values.shape[1:]))
    np.add.at(per_group, draws.index, values)
    return np.tensordot(draws.weights, per_group, axes=1)


def resample_means(values: Values, draws: Draws) -> Values:
    """Average the cases' finite values (N, …) over each resample: (B, …), NaN where none is."""
    defined = np.isfinite(values)
    return ratio(resample_sums(np.where(defined, values, 0), draws), resample_sums(defined, draws))


def percentile_interval(resampled: Values, groups: int) -> Interval:
    """The 95 % percentile interval of a figure.

    Args:
        resampled: (B,) the figure in each resample; undefined (NaN) ones are dropped.
        groups: how many of the resampled groups have a value.

    Returns:
        No interval for fewer than 5 groups, or where over 5 % of the resamples are undefined.
    """
    if groups < MIN_GROUPS:
        return Interval(
            None, None, f"no interval: expected at least {MIN_GROUPS} groups, got {groups}"
        )
    defined = resampled[np.isfinite(resampled)]
    undefined = len(resampled) - len(defined)
    if undefined > MAX_UNDEFINED * len(resampled):
        return Interval(
            None, None, f"no interval: undefined in {undefined} of {len(resampled)} resamples"
        )
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    warning = f"rough: {groups} groups, fewer than {FEW_GROUPS}" if groups < FEW_GROUPS else None
    return Interval(float(low), float(high), warning)
