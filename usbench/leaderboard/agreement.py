"""Our rows beside published ones: the difference and what it means, or what forbids one.

The published number stands for one training scored on the same cases, so its error is taken as
ours. SE of the difference = √(2 SE_cluster² + 2 SD_seed²). SE_cluster is that of our cluster
bootstrap, times √(G / (G − 1)), by which a bootstrap of few groups is too narrow, as in our
intervals. SD_seed is the spread over our seeds. Intervals take Student's t with Welch and
Satterthwaite's degrees of freedom (from those of the score and seeds − 1), because six animals or
two seeds are far from normal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from usbench.leaderboard.rows import Agreement, Row, all_if_known
from usbench.metrics.intervals import t_quantile
from usbench.results.store import lower_is_better

FEWEST_GROUPS, FEWEST_SEEDS = 6, 2
TOLERANCE = 0.02  # δ where a dataset's YAML states none, for scores between 0 and 1


def judge_agreement(
    values: Sequence[float],
    errors: Sequence[float | None],
    groups: int,
    df: float | None,
    published: float,
    tolerance: float | None,
) -> Agreement:
    """Compare our scores with a published one.

    Args:
        values: our score for each seed.
        errors: its SE_cluster for each seed; None where it has none.
        groups: number of groups G that the cases are of.
        df: degrees of freedom of the errors; None where there are none.
        published: the published score.
        tolerance: δ; None where none is stated for such a score.
    """
    known = all_if_known(errors)
    obstacles = {
        "no δ for a distance": tolerance is None,
        f"{groups} groups": groups < FEWEST_GROUPS,
        "1 seed" if len(values) == 1 else f"{len(values)} seeds": len(values) < FEWEST_SEEDS,
        "no standard error": not known or df is None,
    }
    for reason, is_there in obstacles.items():
        if is_there:
            return Agreement("can't tell", reason)
    assert tolerance is not None and df is not None
    mean = sum(values) / len(values)
    difference = mean - published
    cluster_variance = 2 * sum(error**2 for error in known) / len(known)
    seed_variance = 2 * sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    se = math.sqrt(cluster_variance + seed_variance)
    below = cluster_variance**2 / df + seed_variance**2 / (len(values) - 1)
    freedom = (cluster_variance + seed_variance) ** 2 / below if below else math.inf
    half_95, half_90 = (t_quantile(freedom, tail) * se if se else 0.0 for tail in (0.025, 0.05))
    low, high = difference - half_95, difference + half_95
    if abs(difference) + half_90 <= tolerance:
        return Agreement("agrees", "", low, high)
    if abs(difference) > max(half_95, tolerance):
        return Agreement("higher" if difference > 0 else "lower", "", low, high)
    return Agreement("can't tell", f"95 %: {low:+.3f} … {high:+.3f}", low, high)


def find_marks(ours: Row, theirs: Row) -> tuple[str, ...]:
    """What differs between a row of ours and a published one; () where scores may be compared.

    What the paper leaves open counts as different: an unknown protocol or recipe, or a number of
    parameters that we don't know of ours.
    """
    same_split = (theirs.split, theirs.trained_on) == (ours.split, ours.trained_on)
    fixed_split = ours.fold is None and ours.folds is None
    same_counts = theirs.counts.items() <= ours.counts.items()
    same_size = theirs.parameters in (None, ours.parameters)
    named_recipe = theirs.recipe is not None and not ours.tuned and not ours.altered
    checks = {
        "≠ protocol": ours.protocol == theirs.protocol and not ours.old_protocol,
        "≠ data": same_split and fixed_split and same_counts,
        "≠ model": ours.model == theirs.model and same_size,
        "≠ recipe": ours.recipe == theirs.recipe and named_recipe,
    }
    return tuple(mark for mark, same in checks.items() if not same)


def compare_with_published(ours: Row, published: Sequence[Row], tolerance: float) -> Row:
    """Our row with its difference to the published row of the same model, or with what forbids one.

    Args:
        ours: a row without a comparison.
        published: the published rows of its dataset and task.
        tolerance: how far apart two scores between 0 and 1 may be that agree.
    """
    if not published or ours.origin not in ("run", "external"):
        return ours
    compared = [(find_marks(ours, row), row) for row in published if row.model == ours.model]
    if not compared:
        return replace(ours, marks=("≠ model",), agreement=Agreement("can't tell", "≠ model"))
    marks, theirs = min(compared, key=lambda pair: len(pair[0]))
    in_common = ours.scores.keys() & theirs.scores.keys()
    score = next((name for name in (ours.primary, *theirs.scores) if name in in_common), None)
    if marks or score is None:
        agreement = Agreement("can't tell", ", ".join(marks) or "no score in common")
        return replace(ours, marks=marks, against=theirs.name, agreement=agreement)
    mine, value = ours.scores[score], theirs.scores[score].value
    row = replace(ours, delta_score=score, against=theirs.name)
    if mine.value is None or value is None:
        return row
    delta = None if lower_is_better(score) else tolerance
    agreement = judge_agreement(
        all_if_known(mine.values), mine.errors, mine.groups, mine.df, value, delta
    )
    return replace(row, delta=mine.value - value, agreement=agreement)
