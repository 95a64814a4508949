"""Cluster bootstrap: how a figure varies with the sample of patients.

Whole groups (animals, patients, videos) are drawn with replacement, as many as there are, so the
images of one animal stay together (Davison & Hinkley 1997, section 3.8). The figures of the cases
are computed once; a resample only weights them. Groups are numbered in order of appearance: hashed
names give the same resamples. `intervals.py` turns resamples into intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usbench.metrics.ratios import ratio

RESAMPLES = 1000
# For the far tails of few groups: so many resamples up to so many groups.
TAIL_RESAMPLES, TAIL_GROUPS = 10_000, 100
SEED = 0

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

    def all_cases(self) -> Draws:
        """One resample that draws each group once: the sample itself."""
        return replace(self, weights=np.ones((1, self.groups)))

    def for_tails(self) -> Draws:
        """So many resamples that the far tails of few groups can be read."""
        if self.groups > TAIL_GROUPS:
            return self
        return replace(self, weights=draw_weights(self.groups, TAIL_RESAMPLES, SEED))

    def single_groups(self, numbers: range) -> Draws:
        """For each of these groups a resample of that group alone, once."""
        weights = np.zeros((len(numbers), self.groups))
        weights[np.arange(len(numbers)), numbers] = 1
        return replace(self, weights=weights)

    def without_groups(self, numbers: range) -> Draws:
        """For each of these groups a resample of all the others, once."""
        return replace(self, weights=1 - self.single_groups(numbers).weights)


def draw(groups: Sequence[str], resamples: int = RESAMPLES, seed: int = SEED) -> Draws:
    """Draw whole groups with replacement.

    Args:
        groups: the group of each of the N cases.
        resamples: B, how many resamples to draw.
        seed: of the random stream, which is the same for every version of NumPy.
    """
    numbers = {name: n for n, name in enumerate(dict.fromkeys(groups))}
    index = np.array([numbers[name] for name in groups], np.int64)
    return Draws(index, draw_weights(len(numbers), resamples, seed))


@lru_cache(maxsize=4)
def draw_weights(groups: int, resamples: int, seed: int) -> Values:
    """(B, G) how often each resample draws each group. The first rows don't depend on B."""
    # NumPy guarantees PCG64's stream and the 53 bits of random(), but not integers().
    uniform = np.random.default_rng(np.random.PCG64(seed)).random((resamples, groups))
    # One bincount for all resamples: resample b counts its groups in bins b·G … b·G + G − 1.
    bins = np.arange(resamples)[:, None] * groups + (uniform * groups).astype(np.int64)
    counts = np.bincount(bins.ravel(), minlength=resamples * groups)
    weights = counts.reshape(resamples, groups).astype(np.float64)
    weights.setflags(write=False)  # it is shared
    return weights


def resample_sums(values: NDArray[Any], draws: Draws) -> Values:
    """Sum the cases' values (N, …) over each resample: (B, …)."""
    per_group = np.zeros((draws.groups, *values.shape[1:]))
    np.add.at(per_group, draws.index, values)
    return np.tensordot(draws.weights, per_group, axes=1)


def resample_means(values: Values, draws: Draws) -> Values:
    """Average the cases' finite values (N, …) over each resample: (B, …), NaN where none is."""
    defined = np.isfinite(values)
    return ratio(resample_sums(np.where(defined, values, 0), draws), resample_sums(defined, draws))
