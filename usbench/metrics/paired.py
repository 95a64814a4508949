"""Comparing models on the same cases: differences with intervals, permutation tests, ranks.

The cases of a group (an animal, a patient) aren't independent, so the test swaps them between two
models together. p is two-sided: exact for up to 12 groups (all swaps), else from 9,999 random swaps
as (b + 1) / (m + 1) (Phipson & Smyth 2010). Under 6 groups no swap can reach .05, so there is no p.
Holm's correction covers all pairs of a table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, cycle, islice

import numpy as np
from numpy.typing import NDArray

from usbench.metrics.average_precision import average_precisions
from usbench.metrics.bootstrap import SEED, Draws, Values, resample_sums
from usbench.metrics.box_protocols import COCO_CURVE
from usbench.metrics.intervals import (
    Interval,
    Method,
    Scale,
    Spread,
    corrected_error,
    estimate_interval,
    freedom_of_mean,
    t_quantile,
    values_by_group,
)
from usbench.metrics.matches import Matches
from usbench.metrics.ratios import mean_defined

EXACT_GROUPS = 12  # up to so many groups, all swaps are tested
RANDOM_SWAPS = 9_999
MIN_GROUPS = 6  # of a test
ALPHA = 0.05
POWER = 0.8  # of a test that is said to detect a difference
CHUNK = 1_000  # swaps at once
ROUNDING = 1e-12  # differences that differ by less are equal
Flags = NDArray[np.bool_]
Swaps = Flags


@dataclass(frozen=True)
class MeanScores:
    """A mean over cases per column (class), then over the columns that have any."""

    name: str
    # (S, N, C) for each seed, case and column a sum of values …
    sums: Values
    counts: Values  # (S, N, C) … and how many they are; 0 where the case doesn't count
    scale: Scale = "share"

    @property
    def counted(self) -> Flags:
        """(N, C) whether a case counts for a column, for any seed."""
        return np.asarray((self.counts > 0).any(axis=0))

    def scores(self, draws: Draws) -> Values:
        """(B,) the score in each resample, the mean over the seeds; NaN where it is undefined."""
        return np.asarray(np.mean(mean_defined(self._seed_columns(draws), 2), axis=0))

    def columns(self, draws: Draws) -> Values:
        """(B, C) the score of each column in each resample, the mean over the seeds."""
        return np.asarray(np.mean(self._seed_columns(draws), axis=0))

    def _seed_columns(self, draws: Draws) -> Values:
        """(S, B, C) the score of each seed and column in each resample; NaN where undefined."""
        seeds = [
            _column_means(resample_sums(sums, draws), resample_sums(counts, draws))
            for sums, counts in zip(self.sums, self.counts, strict=True)
        ]
        return np.stack(seeds)

    def align(self, other: MeanScores) -> tuple[MeanScores, MeanScores]:
        """Both models on the cases that count for any of their seeds, averaged over their seeds.

        A seed for which such a case doesn't count scores 1 there: it is rightly silent.
        """
        union = np.maximum(self.counts.max(axis=0), other.counts.max(axis=0))
        first, second = (
            replace(
                model,
                sums=np.where(model.counts > 0, model.sums, union).mean(axis=0)[None],
                counts=union[None],
            )
            for model in (self, other)
        )
        return first, second

    def swapped_differences(
        self, other: ComparedModel, index: NDArray[np.int64], swaps: Swaps
    ) -> Values:
        """(S,) own score minus the other's after groups changed sides.

        Args:
            other: the other model; both as `align` returns them.
            index: (N,) the group of each case.
            swaps: (S, G) which groups change sides.
        """
        assert isinstance(other, MeanScores)
        (sums,), (other_sums,), (counts,) = self.sums, other.sums, self.counts
        group_sums = np.zeros((swaps.shape[1], sums.shape[1]))
        np.add.at(group_sums, index, sums - other_sums)
        signs = np.where(swaps, -1.0, 1.0)
        return mean_defined(_column_means(signs @ group_sums, counts.sum(axis=0)[None]), 1)


def _column_means(sums: Values, counts: Values) -> Values:
    """(B, C) sums / counts; NaN where there is no count."""
    return np.where(counts > 0, sums / np.maximum(counts, ROUNDING), np.nan)


@dataclass(frozen=True)
class MapScores:
    """mAP50-95 by the COCO protocol. It is no mean over cases, so the cases' boxes are swapped."""

    name: str
    seeds: tuple[Matches, ...]  # the model's score is the mean over them
    scale: Scale = "share"

    @property
    def counted(self) -> Flags:
        """(N, C) whether an image has a target of a class."""
        return np.asarray(self.seeds[0].targets > 0)

    def scores(self, draws: Draws) -> Values:
        """As those of MeanScores."""
        return mean_defined(self.columns(draws), 1)

    def columns(self, draws: Draws) -> Values:
        """As those of MeanScores; a column is a class."""
        values = [_class_precisions(matches, draws.case_weights) for matches in self.seeds]
        return np.asarray(np.mean(values, axis=0))

    def swapped_differences(
        self, other: ComparedModel, index: NDArray[np.int64], swaps: Swaps
    ) -> Values:
        """As those of MeanScores; each seed is in as many pairs as any other."""
        assert isinstance(other, MapScores)
        pairs = islice(
            zip(cycle(self.seeds), cycle(other.seeds), strict=True),
            math.lcm(len(self.seeds), len(other.seeds)),
        )
        values = [_swap_boxes(interleave_matches(*pair), index, swaps) for pair in pairs]
        return np.asarray(np.mean(values, axis=0))


def _class_precisions(matches: Matches, weights: Values) -> Values:
    """AP50-95 (B, C) for weights (B, N) of the images."""
    return np.asarray(average_precisions(matches, COCO_CURVE, weights).mean(axis=1))


def _mean_precision(matches: Matches, weights: Values) -> Values:
    """mAP50-95 (B,) for weights (B, N) of the images."""
    return mean_defined(_class_precisions(matches, weights), 1)


def interleave_matches(first: Matches, second: Matches) -> Matches:
    """Both models' boxes on twice the images: image 2n is the first's n, 2n + 1 the second's."""
    return Matches.from_unsorted(
        np.concatenate([first.label, second.label]),
        np.concatenate([2 * first.image, 2 * second.image + 1]),
        np.concatenate([first.score, second.score]),
        np.concatenate([first.rank, second.rank]),
        np.concatenate([first.hit, second.hit], axis=1),
        np.concatenate([first.ignored, second.ignored], axis=1),
        np.stack([first.targets, second.targets], axis=1).reshape(-1, first.targets.shape[1]),
    )


def _swap_boxes(interleaved: Matches, index: NDArray[np.int64], swaps: Swaps) -> Values:
    """(S,) differences of mAP after swaps; arguments as for `swapped_differences`.

    Which of a case's two images counts for the first model is a weight of 1 or 0.
    """
    differences = []
    for start in range(0, len(swaps), CHUNK):
        is_swapped = swaps[start : start + CHUNK, index]  # (S, N)
        side = np.stack([~is_swapped, is_swapped], axis=2).reshape(len(is_swapped), -1)
        weights = side.astype(np.float64)
        differences.append(
            _mean_precision(interleaved, weights) - _mean_precision(interleaved, 1 - weights)
        )
    return np.concatenate(differences)


ComparedModel = MeanScores | MapScores


@dataclass(frozen=True)
class Difference:
    """The score of a first model minus that of a second."""

    first: str
    second: str
    value: float
    low: float | None
    high: float | None
    se: float  # by the bootstrap
    df: float  # its degrees of freedom
    p: float | None  # None under 6 groups
    reason: str | None = None  # why there is no interval or no p, or how far to trust them
    method: Method | None = None

    @property
    def significant_from(self) -> float:
        """Near this difference p < .05 begins."""
        return t_quantile(self.df) * corrected_error(self.se, self.df)

    @property
    def resolution(self) -> float:
        """The true difference that is detected with a power of 80 % at that level."""
        quantiles = t_quantile(self.df) + t_quantile(self.df, 1 - POWER)
        return quantiles * corrected_error(self.se, self.df)


def score_model(model: ComparedModel, draws: Draws) -> float:
    """The model's own score on all cases, each counted once."""
    return float(model.scores(draws.all_cases())[0])


def compare_models(models: Sequence[ComparedModel], draws: Draws) -> list[Difference]:
    """Compare each model with each one after it. A pair's difference depends on these two alone."""
    # mAP takes long and is the same in every pair.
    resampled_map = {
        model.name: model.columns(draws) for model in models if isinstance(model, MapScores)
    }
    differences = []
    for first, second in combinations(models, 2):
        if isinstance(first, MeanScores) and isinstance(second, MeanScores):
            first, second = first.align(second)
        spread = spread_of_difference(first, second, draws, resampled_map)
        differences.append(measure_difference(first, second, spread, draws))
    return differences


def spread_of_difference(
    first: ComparedModel, second: ComparedModel, draws: Draws, known: Mapping[str, Values] = {}
) -> Spread:
    """How the difference in each column (class) varies over groups.

    Args:
        first: as `MeanScores.align` returns it.
        second: likewise.
        draws: resamples of the groups.
        known: `columns(draws)` of models, by name, as far as they are known.
    """

    def subtract(draws: Draws) -> Values:
        return first.columns(draws) - second.columns(draws)

    if first.scale != "share":
        resampled = subtract(draws.for_tails())
        return Spread("unbounded", resampled, resampled[:0])
    if first.name in known and second.name in known:
        resampled = known[first.name] - known[second.name]
    else:
        resampled = subtract(draws)
    alone = isinstance(first, MeanScores)
    by_group = values_by_group(subtract, draws, alone, resampled)
    return Spread("difference", resampled, by_group, alone)


def measure_difference(
    first: ComparedModel, second: ComparedModel, spread: Spread, draws: Draws
) -> Difference:
    """The difference of two models on the same cases, with its interval and p.

    Args:
        first: as `MeanScores.align` returns it.
        second: likewise.
        spread: of the difference, one column per class.
        draws: resamples of the groups.
    """
    value = score_model(first, draws) - score_model(second, draws)
    interval, df = interval_of_difference(value, first, spread, draws)
    p = permutation_p(first, second, draws) if draws.groups >= MIN_GROUPS else None
    no_test = f"no test: expected at least {MIN_GROUPS} groups, got {draws.groups}"
    return Difference(
        first=first.name,
        second=second.name,
        value=value,
        low=interval.low,
        high=interval.high,
        se=float(np.nanstd(spread.mean().resampled, ddof=1)),
        df=df,
        p=p,
        reason=no_test if p is None else interval.reason,
        method=interval.method,
    )


def interval_of_difference(
    value: float, first: ComparedModel, spread: Spread, draws: Draws
) -> tuple[Interval, float]:
    """The 95 % interval of a difference, and its degrees of freedom.

    Args:
        value: the difference.
        first: one of the two models, as `MeanScores.align` returns it.
        spread: of the difference, one column per class.
        draws: resamples of the groups.
    """
    classes = np.flatnonzero(first.counted.any(axis=0))
    counted = first.counted[:, classes]
    groups, df = freedom_of_mean(spread.select(classes), counted, draws)
    smallest = int(groups.min(initial=draws.groups))
    return estimate_interval(value, spread.mean(), smallest, df), df


def permutation_p(first: ComparedModel, second: ComparedModel, draws: Draws) -> float:
    """Two-sided p of a difference: how often swapping whole groups gives one as large.

    Means over cases are of the same cases, as `MeanScores.align` returns them.
    """
    groups = draws.groups
    observed = abs(score_model(first, draws) - score_model(second, draws)) - ROUNDING
    is_exact = groups <= EXACT_GROUPS
    if is_exact:  # swap number n swaps the groups whose bits are set in n
        swaps = ((np.arange(2**groups)[:, None] >> np.arange(groups)) & 1).astype(bool)
    else:
        swaps = np.random.default_rng(np.random.PCG64(SEED)).random((RANDOM_SWAPS, groups)) < 0.5
    is_as_large = np.abs(first.swapped_differences(second, draws.index, swaps)) >= observed
    count = int(is_as_large.sum())
    return count / len(swaps) if is_exact else (count + 1) / (RANDOM_SWAPS + 1)


def smallest_p(groups: int) -> float:
    """The smallest p that `permutation_p` can give, however large the difference.

    All groups swapped give the observed difference again, with the other sign.
    """
    return 2 / 2**groups if groups <= EXACT_GROUPS else 1 / (RANDOM_SWAPS + 1)


def smallest_corrected_p(groups: int, models: int) -> float:
    """The smallest p that Holm's correction can leave for all pairs of some models."""
    return min(1.0, math.comb(models, 2) * smallest_p(groups))


def correct_holm(values: Sequence[float]) -> list[float]:
    """Correct p values for multiple tests (Holm 1979), in the order given."""
    corrected = [0.0] * len(values)
    highest = 0.0
    for place, n in enumerate(np.argsort(values, kind="stable").tolist()):
        highest = max(highest, min(1.0, (len(values) - place) * values[n]))
        corrected[n] = highest
    return corrected


def rank_models(
    names: Sequence[str], pairs: Sequence[Difference], higher: bool
) -> dict[str, tuple[int, int]]:
    """Rank models by significant differences; models that no test separates share their ranks.

    Args:
        names: of k models.
        pairs: their differences; the p values are corrected for all of them.
        higher: whether a higher score is better.

    Returns:
        Name → (1 + number of significantly better models, k − number of worse ones).
    """
    better, worse = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    tested = [(pair, pair.p) for pair in pairs if pair.p is not None]
    corrected = correct_holm([p for _, p in tested])
    for (pair, _), p in zip(tested, corrected, strict=True):
        if p < ALPHA:
            first_wins = (pair.value > 0) == higher
            better[pair.second if first_wins else pair.first] += 1
            worse[pair.first if first_wins else pair.second] += 1
    return {name: (1 + better[name], len(names) - worse[name]) for name in names}
