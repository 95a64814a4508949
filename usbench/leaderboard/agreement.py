"""Does a result agree with a published one? The published number stands for one training scored on the same cases, so
its error is taken as ours.

SE of the difference = √(2 SE_cluster² + 2 SD_seed²): SE_cluster from our cluster bootstrap (half the 95 % interval over
1.96, times √(G / (G − 1)), by which a bootstrap of few groups is too narrow), SD_seed over our seeds. Intervals take
Student's t with Welch and Satterthwaite's degrees of freedom (G − 1 and seeds − 1), for six animals or two seeds are
far from normal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import t as student

FEWEST_GROUPS, FEWEST_SEEDS = 6, 2
WITHIN = 0.02  # δ where a dataset's YAML states none, of scores between 0 and 1
NORMAL = 1.959963984540054


@dataclass(frozen=True)
class Verdict:
    """agrees: the 90 % interval of the difference lies within ±δ; higher, lower: the 95 % interval excludes 0 and the
    difference exceeds δ; else can't tell, with the reason."""

    word: str
    reason: str = ""
    low: float | None = None  # 95 % interval of ours minus theirs
    high: float | None = None


def standard_error(low: float, high: float, groups: int) -> float:
    """Of a score, from its 95 % interval by bootstrap over so many groups."""
    return (high - low) / (2 * NORMAL) * math.sqrt(groups / (groups - 1))


def verdict(
    values: Sequence[float],
    errors: Sequence[float | None],
    groups: int,
    published: float,
    within: float | None,
    marks: Sequence[str] = (),
) -> Verdict:
    """values, errors: our score and its SE_cluster (None: it has no interval) for each seed; within: δ, None where none
    is stated for such a score; marks: what differs between the rows.
    """
    known = [error for error in errors if error is not None]
    reasons = [
        (bool(marks), ", ".join(marks)),
        (within is None, "no δ for a distance"),
        (groups < FEWEST_GROUPS, f"{groups} groups"),
        (len(values) < FEWEST_SEEDS, f"{len(values)} seed" + "s" * (len(values) != 1)),
        (len(known) < len(values), "no interval"),
    ]
    found = next((reason for holds, reason in reasons if holds), None)
    if found is not None or within is None:
        return Verdict("can't tell", found or "")
    mean = sum(values) / len(values)
    cluster = 2 * sum(error**2 for error in known) / len(known)
    seeds = 2 * sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    difference, se = mean - published, math.sqrt(cluster + seeds)
    below = cluster**2 / (groups - 1) + seeds**2 / (len(values) - 1)
    freedom = (cluster + seeds) ** 2 / below if below else math.inf
    wide, narrow = (
        float(student.ppf(level, freedom)) * se if se else 0.0 for level in (0.975, 0.95)
    )
    span = (difference - wide, difference + wide)
    if abs(difference) + narrow <= within:
        return Verdict("agrees", "", *span)
    if abs(difference) > max(wide, within):
        return Verdict("higher" if difference > 0 else "lower", "", *span)
    return Verdict("can't tell", f"95 %: {span[0]:+.3f} … {span[1]:+.3f}", *span)
