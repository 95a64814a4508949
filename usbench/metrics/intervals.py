"""95 % confidence intervals over groups, by formulas whose coverage is simulated.

Percentile intervals of few groups are too narrow. Here the bootstrap gives the standard error SE
over groups, Student's t with the degrees of freedom df (G − 1 for G groups) gives the width, and
√(G / (G − 1)) corrects a bootstrap of few groups. This folder's README has a table of how often
such intervals contain the true value in simulations.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import scipy  # loads scipy.special when it is used: a fifth of a second
from numpy.typing import NDArray

from usbench.metrics.bootstrap import Draws, Values
from usbench.metrics.ratios import mean_defined

Flags = NDArray[np.bool_]
Index = NDArray[np.int64]

MIN_GROUPS = 5  # with fewer groups, there is no interval
FEW_GROUPS = 10  # with fewer groups, an interval is rough
RARE_GROUPS = 25  # with fewer groups, rare failures may be missing from them
PENALTY_GROUPS = 40  # with fewer groups, the interval of a figure with a penalty is rough
NEAR_ONE = 0.9  # from this mean on, the groups' values are near 1
MAX_UNDEFINED = 0.05  # share of resamples that may leave a figure undefined
TAIL = 0.025  # the share of cases in which an interval may miss the true value on each side
MIN_DIFFERENT = 3  # groups that have to differ from the most frequent value; else the bound is used
ROUNDING = 1e-12  # values that differ by less are equal
CHUNK = 100  # groups at once

# share: a figure in [0, 1]. difference: of two shares, in [−1, 1]. count: events per image, at
# least 0. unbounded: a distance, or any other number. penalised: a distance with a penalty where
# there is none.
Scale = Literal["share", "difference", "count", "unbounded", "penalised"]
Method = Literal["logit-t", "bound", "expanded-percentile", "poisson"]


@dataclass(frozen=True)
class Spread:
    """How a figure, or one per column (class), varies over groups."""

    scale: Scale
    resampled: Values  # (B,) or (B, C) the figure in each resample; NaN where undefined
    # (G,) or (G, C) the figure of each group alone, or of all groups but this one. Only of a share
    # or difference, and of as many groups as it takes to find MIN_DIFFERENT that differ.
    by_group: Values
    is_alone: bool = True

    def column(self, c: int) -> Spread:
        """That of the figure of column c."""
        return replace(self, resampled=self.resampled[:, c], by_group=self.by_group[:, c])

    def select(self, columns: Index) -> Spread:
        """That of the figures of some columns."""
        return replace(
            self, resampled=self.resampled[:, columns], by_group=self.by_group[:, columns]
        )

    def mean(self) -> Spread:
        """That of the mean over the columns."""
        return replace(
            self,
            resampled=mean_defined(self.resampled, 1),
            by_group=mean_defined(self.by_group, 1),
        )


@dataclass(frozen=True)
class Interval:
    """A 95 % interval."""

    low: float | None = None
    high: float | None = None
    method: Method | None = None
    se: float | None = None  # the bootstrap's standard error
    df: float | None = None  # degrees of freedom
    reason: str | None = None  # why there is none, or how far to trust it


def measure_spread(
    figure: Callable[[Draws], Values], draws: Draws, scale: Scale, alone: bool = True
) -> Spread:
    """Resample a figure.

    Args:
        figure: of draws with B rows; returns (B,), or (B, C) for C columns.
        draws: of the cases that the figure is of.
        scale: of its values.
        alone: whether a group's value is the figure of that group alone; else of all the others,
            for figures such as average precision that mean little for one group.
    """
    if scale in ("share", "difference"):
        resampled = figure(draws)
        return Spread(scale, resampled, values_by_group(figure, draws, alone, resampled), alone)
    resampled = figure(draws.for_tails())
    return Spread(scale, resampled, resampled[:0], alone)


def values_by_group(
    figure: Callable[[Draws], Values], draws: Draws, alone: bool, resampled: Values
) -> Values:
    """See `Spread.by_group`: the first groups' values, as many as needed."""
    varying = np.flatnonzero(np.ptp(np.nan_to_num(resampled.reshape(len(resampled), -1)), axis=0))
    values = resampled[:0]
    for start in range(0, draws.groups, CHUNK):
        numbers = range(start, min(start + CHUNK, draws.groups))
        part = figure(draws.single_groups(numbers) if alone else draws.without_groups(numbers))
        values = np.concatenate([values, part])
        columns = values.reshape(len(values), -1)[:, varying].T
        if all(count_different(column) >= MIN_DIFFERENT for column in columns):
            break
    return values


def count_different(values: Values) -> int:
    """How many of the defined values differ from the most frequent one."""
    ordered = np.sort(values[np.isfinite(values)])  # equal ones form a run
    runs = np.split(ordered, np.flatnonzero(np.diff(ordered) > ROUNDING) + 1)
    return len(ordered) - max(map(len, runs))


@lru_cache(maxsize=1024)
def t_quantile(df: float, tail: float = TAIL) -> float:
    """Student's t that is exceeded with the probability `tail`."""
    return float(scipy.special.stdtrit(df, 1 - tail))


def corrected_error(se: float, df: float) -> float:
    """The standard error of a figure from its bootstrap: SE · √((df + 1) / df), G = df + 1."""
    return se * math.sqrt((df + 1) / df)


def estimate_interval(
    value: float, spread: Spread, groups: int, df: float | None = None
) -> Interval:
    """The 95 % interval of a figure.

    Args:
        value: of the whole sample.
        spread: of one figure.
        groups: how many groups have a value; of a mean over classes, those of the smallest class.
        df: degrees of freedom; None: groups − 1.

    Returns:
        No interval for fewer than 5 groups, where over 5 % of the resamples are undefined, and
        where all groups have the same distance.
    """
    if groups < MIN_GROUPS:
        return Interval(reason=f"no interval: expected at least {MIN_GROUPS} groups, got {groups}")
    defined = spread.resampled[np.isfinite(spread.resampled)]
    undefined = len(spread.resampled) - len(defined)
    if undefined > MAX_UNDEFINED * len(spread.resampled):
        return Interval(
            reason=f"no interval: undefined in {undefined} of {len(spread.resampled)} resamples"
        )
    df = groups - 1 if df is None else df
    se = float(np.std(defined, ddof=1))
    ends: tuple[float, float]
    method: Method
    if spread.scale == "share":
        ends, method = share_interval(value, se, spread.by_group, groups, df)
    elif spread.scale == "difference":
        # A difference d of two shares becomes the share (1 + d) / 2.
        by_group = (1 + spread.by_group) / 2
        (low, high), method = share_interval((1 + value) / 2, se / 2, by_group, groups, df)
        ends = 2 * low - 1, 2 * high - 1
    elif spread.scale == "count" and value == 0:
        ends, method = (0.0, -math.log(TAIL) / groups), "poisson"
    elif se <= ROUNDING * max(1.0, abs(value)):
        return Interval(se=se, df=df, reason="no interval: it is the same in every group")
    else:
        ends, method = expanded_percentiles(defined, df), "expanded-percentile"
    return Interval(*ends, method, se, df, why_rough(spread, groups))


def share_interval(
    value: float, se: float, by_group: Values, groups: int, df: float
) -> tuple[tuple[float, float], Method]:
    """The interval of a figure in [0, 1], with the bound where groups hardly differ."""
    inside = ROUNDING < value < 1 - ROUNDING
    ends = logit_interval(value, se, df) if inside else (value, value)
    if inside and count_different(by_group) >= MIN_DIFFERENT:
        return ends, "logit-t"
    bound = share_bound(value, groups)
    return (min(ends[0], bound[0]), max(ends[1], bound[1])), "bound"


def logit_interval(value: float, se: float, df: float) -> tuple[float, float]:
    """Student's t interval on the logit of a figure in (0, 1), by the delta method."""
    half = t_quantile(df) * corrected_error(se, df) / (value * (1 - value))
    centre = float(scipy.special.logit(value))
    return float(scipy.special.expit(centre - half)), float(scipy.special.expit(centre + half))


def share_bound(value: float, groups: int) -> tuple[float, float]:
    """What a figure in [0, 1] may be although no group shows it.

    Groups that fail (or, for the upper end, succeed) as often as 1 − .025^(1/G) are missing from
    G groups with a probability of 2.5 % (exact binomial).
    """
    missed = TAIL ** (1 / groups)
    return value * missed, 1 - (1 - value) * missed


def expanded_percentiles(resampled: Values, df: float) -> tuple[float, float]:
    """Percentiles further out, as Student's t and the factor √(G / (G − 1)) are (Hesterberg 2015)."""
    tail = float(scipy.special.ndtr(-corrected_error(t_quantile(df), df)))
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return float(low), float(high)


def why_rough(spread: Spread, groups: int) -> str | None:
    """Why an interval shouldn't be trusted far; None where nothing speaks against it."""
    if groups < FEW_GROUPS:
        return f"rough: {groups} groups, fewer than {FEW_GROUPS}"
    if spread.scale == "penalised" and groups < PENALTY_GROUPS:
        return f"rough: distances and penalties of {groups} groups, fewer than {PENALTY_GROUPS}"
    if spread.scale == "share" and spread.is_alone and groups < RARE_GROUPS:
        values = spread.by_group[np.isfinite(spread.by_group)]
        others = values[values > ROUNDING]
        if len(others) >= len(values) - 1 and others.mean() >= NEAR_ONE:
            return f"rough: {groups} groups, fewer than {RARE_GROUPS}, may hide rare failures"
    return None


def freedom_of_mean(spread: Spread, counted: Flags, draws: Draws) -> tuple[Index, float]:
    """How many groups each of C classes has, and the degrees of freedom of their mean.

    Args:
        spread: of the classes, one column each.
        counted: (N, C) whether a case has a value.
        draws: of the N cases.
    """
    groups = np.array([draws.count_groups(column) for column in counted.T], np.int64)
    errors = np.nanstd(spread.resampled, axis=0, ddof=1)
    most = draws.count_groups(np.asarray(counted.any(axis=1))) - 1
    return groups, satterthwaite(errors, groups, most)


def satterthwaite(errors: Values, groups: Index, most: float) -> float:
    """Degrees of freedom of a mean over classes (Satterthwaite 1946), at least 1.

    Args:
        errors: (C,) the bootstrap's standard error of each class.
        groups: (C,) the groups of each class.
        most: the result is at most so much, since classes share groups.
    """
    df = np.maximum(groups - 1, 1)
    variances = errors**2 * (df + 1) / df
    below = float((variances**2 / df).sum())
    freedom = float(variances.sum()) ** 2 / below if below else float(df.min(initial=most))
    return max(min(freedom, most), 1.0)
