"""Does a result agree with a published one?

The published number stands for one training scored on the same cases, so its error is taken as
ours. SE of the difference = √(2 SE_cluster² + 2 SD_seed²). SE_cluster comes from our cluster
bootstrap: half the 95 % interval over 1.96, times √(G / (G − 1)), by which a bootstrap of few
groups is too narrow. SD_seed is the spread over our seeds. Intervals take Student's t with Welch
and Satterthwaite's degrees of freedom (from G − 1 and seeds − 1), because six animals or two seeds
are far from normal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import t as student

FEWEST_GROUPS, FEWEST_SEEDS = 6, 2
TOLERANCE = 0.02  # δ where a dataset's YAML states none, for scores between 0 and 1
NORMAL = 1.959963984540054


@dataclass(frozen=True)
class Agreement:
    """How a result relates to a published score.

    agrees: the 90 % interval of the difference lies within ±δ. higher, lower: the 95 % interval
    excludes 0 and the difference exceeds δ. Otherwise can't tell, with the reason.
    """

    verdict: str
    reason: str = ""
    low: float | None = None  # 95 % interval of ours minus theirs
    high: float | None = None


def standard_error(low: float, high: float, groups: int) -> float:
    """A score's standard error, from its 95 % bootstrap interval over so many groups."""
    return (high - low) / (2 * NORMAL) * math.sqrt(groups / (groups - 1))


def judge_agreement(
    values: Sequence[float],
    errors: Sequence[float | None],
    groups: int,
    published: float,
    tolerance: float | None,
) -> Agreement:
    """Compare our scores with a published one.

    Args:
        values: our score for each seed.
        errors: its SE_cluster for each seed; None where it has no interval.
        groups: number of groups G that the cases are of.
        published: the published score.
        tolerance: δ; None where none is stated for such a score.
    """
    known = [error for error in errors if error is not None]
    if tolerance is None:
        return Agreement("can't tell", "no δ for a distance")
    if groups < FEWEST_GROUPS:
        return Agreement("can't tell", f"{groups} groups")
    if len(values) < FEWEST_SEEDS:
        return Agreement("can't tell", "1 seed" if len(values) == 1 else f"{len(values)} seeds")
    if len(known) < len(values):
        return Agreement("can't tell", "no interval")
    mean = sum(values) / len(values)
    difference = mean - published
    cluster_variance = 2 * sum(error**2 for error in known) / len(known)
    seed_variance = 2 * sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    se = math.sqrt(cluster_variance + seed_variance)
    below = cluster_variance**2 / (groups - 1) + seed_variance**2 / (len(values) - 1)
    freedom = (cluster_variance + seed_variance) ** 2 / below if below else math.inf
    half_95 = float(student.ppf(0.975, freedom)) * se if se else 0.0
    half_90 = float(student.ppf(0.95, freedom)) * se if se else 0.0
    low, high = difference - half_95, difference + half_95
    if abs(difference) + half_90 <= tolerance:
        return Agreement("agrees", "", low, high)
    if abs(difference) > max(half_95, tolerance):
        return Agreement("higher" if difference > 0 else "lower", "", low, high)
    return Agreement("can't tell", f"95 %: {low:+.3f} … {high:+.3f}", low, high)
