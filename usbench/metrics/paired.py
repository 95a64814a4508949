"""Two models on the same cases: difference with its interval, a test by swapping whole groups, ranks with their ties.

A group's cases (an animal's, a patient's) are swapped between two models together, for they aren't independent; p is
two-sided, exact for at most 12 groups (all swaps), else of 9,999 random ones with (b + 1) / (m + 1) (Phipson & Smyth
2010). Under 6 groups no swap can reach .05, so there is no p. Holm's correction over all pairs of a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usbench.metrics.bootstrap import SEED, Draws, interval, sums

EXACT, SWAPS, FEWEST = 12, 9_999, 6
ALPHA = 0.05
RESOLUTION = 2.8  # × SE: a true difference of that size is found with a power of 80 % at a level of .05
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """One model: for each of N cases and C columns (classes) a sum of values, of so many that count."""

    name: str
    sums: Values  # (N, C)
    counts: Values  # (N, C) the same for every model of a comparison


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


def score(model: Measured) -> float:
    """Mean over cases per column, then over the columns that have any."""
    return float(_mean(model.sums.sum(axis=0)[None], model.counts.sum(axis=0)[None])[0])


def resampled(model: Measured, draws: Draws) -> Values:
    """(B,) the score in each resample."""
    return _mean(sums(model.sums, draws), sums(model.counts, draws))


def _mean(total: Values, count: Values) -> Values:
    """(B, C) sums and counts → (B,)."""
    columns = np.where(count > 0, total / np.maximum(count, 1e-12), np.nan)
    known = np.isfinite(columns)
    return np.where(known.any(1), np.where(known, columns, 0).sum(1) / np.maximum(known.sum(1), 1), np.nan)


def difference(one: Measured, other: Measured, draws: Draws) -> Difference:
    """One minus the other, on the same cases."""
    apart = Measured("", one.sums - other.sums, one.counts)
    drawn = resampled(apart, draws)
    found = interval(drawn, draws.groups)
    p = swapped(apart, draws) if draws.groups >= FEWEST else None
    reason = found.reason if p is not None else f"no test: {draws.groups} groups, at least {FEWEST} were wanted"
    value, se = score(apart), float(np.nanstd(drawn, ddof=1))
    return Difference(one.name, other.name, value, found.low, found.high, se, p, reason)


def swapped(apart: Measured, draws: Draws, seed: int = SEED) -> float:
    """Two-sided p of a difference: how often swapping whole groups gives one as large."""
    groups = draws.groups
    own = np.zeros((groups, apart.sums.shape[1]))
    np.add.at(own, draws.index, apart.sums)
    count = apart.counts.sum(axis=0)[None]
    seen = abs(score(apart))
    if groups <= EXACT:
        signs = 1.0 - 2.0 * ((np.arange(2**groups)[:, None] >> np.arange(groups)) & 1)
        return float((np.abs(_mean(signs @ own, count)) >= seen - 1e-12).mean())
    random = np.random.default_rng(np.random.PCG64(seed)).random((SWAPS, groups))
    signs = np.where(random < 0.5, -1.0, 1.0)
    larger = int((np.abs(_mean(signs @ own, count)) >= seen - 1e-12).sum())
    return (larger + 1) / (SWAPS + 1)


def holm(values: Sequence[float]) -> list[float]:
    """Corrected p values (Holm 1979), in the order given."""
    order = np.argsort(values, kind="stable")
    out, highest = [0.0] * len(values), 0.0
    for place, n in enumerate(order.tolist()):
        highest = max(highest, min(1.0, (len(values) - place) * values[n]))
        out[n] = highest
    return out


def ranks(names: Sequence[str], pairs: Sequence[Difference], higher: bool) -> dict[str, tuple[int, int]]:
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
