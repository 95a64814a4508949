"""Comparing models on the same cases: differences with intervals, permutation tests, ranks.

The cases of a group (an animal, a patient) aren't independent, so the test swaps them between two
models together. p is two-sided: exact for up to 12 groups (all swaps), else from 9,999 random swaps
as (b + 1) / (m + 1) (Phipson & Smyth 2010). Under 6 groups no swap can reach .05, so there is no p.
Holm's correction covers all pairs of a table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, cycle, islice

import numpy as np
from numpy.typing import NDArray

from usbench.metrics.average_precision import average_precisions
from usbench.metrics.bootstrap import SEED, Draws, Values, percentile_interval, resample_sums
from usbench.metrics.box_protocols import COCO_CURVE
from usbench.metrics.matches import Matches
from usbench.metrics.ratios import mean_defined

EXACT_GROUPS = 12  # up to so many groups, all swaps are tested
RANDOM_SWAPS = 9_999
MIN_GROUPS = 6  # of a test
ALPHA = 0.05
# × SE: near this difference p < .05 begins; a true difference of the second size is found with a
# power of 80 % at that level.
SIGNIFICANT, RESOLUTION = 1.96, 2.8
CHUNK = 1_000  # swaps at once
ROUNDING = 1e-12  # differences that differ by less are equal
Swaps = NDArray[np.bool_]


@dataclass(frozen=True)
class MeanScores:
    """A mean over cases per column (class), then over the columns that have any."""

    name: str
    # (S, N, C) for each seed, case and column a sum of values …
    sums: Values
    counts: Values  # (S, N, C) … and how many they are; 0 where the case doesn't count

    def scores(self, draws: Draws) -> Values:
        """(B,) the score in each resample, the mean over the seeds; NaN where it is undefined."""
        seeds = [
            _column_mean(resample_sums(sums, draws), resample_sums(counts, draws))
            for sums, counts in zip(self.sums, self.counts, strict=True)
        ]
        return np.asarray(np.mean(seeds, axis=0))

    def align(self, other: MeanScores) -> tuple[MeanScores, MeanScores]:
        """Both models on the cases that count for any of their seeds, averaged over their seeds.

        A seed for which such a case doesn't count scores 1 there: it is rightly silent.
        """
        union = np.maximum(self.counts.max(axis=0), other.counts.max(axis=0))
        first, second = (
            MeanScores(
                model.name,
                np.where(model.counts > 0, model.sums, union).mean(axis=0)[None],
                union[None],
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
        return _column_mean(np.where(swaps, -1.0, 1.0) @ group_sums, counts.sum(axis=0)[None])


def _column_mean(sums: Values, counts: Values) -> Values:
    """(B, C) sums and counts → (B,) mean over the columns that have a count."""
    return mean_defined(np.where(counts > 0, sums / np.maximum(counts, ROUNDING), np.nan), 1)


@dataclass(frozen=True)
class MapScores:
    """mAP50-95 by the COCO protocol. It is no mean over cases, so the cases' boxes are swapped."""

    name: str
    seeds: tuple[Matches, ...]  # the model's score is the mean over them

    def scores(self, draws: Draws) -> Values:
        """As those of MeanScores."""
        values = [_mean_precision(matches, draws.case_weights) for matches in self.seeds]
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


def _mean_precision(matches: Matches, weights: Values) -> Values:
    """mAP50-95 (B,) for weights (B, N) of the images."""
    return mean_defined(average_precisions(matches, COCO_CURVE, weights).mean(axis=1), 1)


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
    se: float
    p: float | None  # None under 6 groups
    reason: str | None = None  # why there is no interval or no p, or how far to trust them


def score_model(model: ComparedModel, draws: Draws) -> float:
    """The model's own score on all cases, each counted once."""
    return float(model.scores(Draws(draws.index, np.ones((1, draws.groups))))[0])


def compare_models(models: Sequence[ComparedModel], draws: Draws) -> list[Difference]:
    """Compare each model with each one after it. A pair's difference depends on these two alone."""
    # mAP takes long and is the same in every pair.
    resampled_map = {
        model.name: model.scores(draws) for model in models if isinstance(model, MapScores)
    }
    differences = []
    for first, second in combinations(models, 2):
        if isinstance(first, MeanScores) and isinstance(second, MeanScores):
            first, second = first.align(second)
        resampled = [
            resampled_map[model.name] if isinstance(model, MapScores) else model.scores(draws)
            for model in (first, second)
        ]
        differences.append(measure_difference(first, second, resampled[0] - resampled[1], draws))
    return differences


def measure_difference(
    first: ComparedModel, second: ComparedModel, resampled: Values, draws: Draws
) -> Difference:
    """The difference of two models on the same cases. resampled: (B,) it in each resample."""
    interval = percentile_interval(resampled, draws.groups)
    p = permutation_p(first, second, draws) if draws.groups >= MIN_GROUPS else None
    no_test = f"no test: expected at least {MIN_GROUPS} groups, got {draws.groups}"
    return Difference(
        first=first.name,
        second=second.name,
        value=score_model(first, draws) - score_model(second, draws),
        low=interval.low,
        high=interval.high,
        se=float(np.nanstd(resampled, ddof=1)),
        p=p,
        reason=no_test if p is None else interval.reason,
    )


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
