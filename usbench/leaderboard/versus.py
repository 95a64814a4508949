"""Our rows beside published ones: the difference and what it means, or what forbids one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from usbench.leaderboard.agreement import TOLERANCE, Agreement, judge_agreement
from usbench.leaderboard.rows import Row
from usbench.results.store import lower_is_better


def find_marks(ours: Row, theirs: Row) -> tuple[str, ...]:
    """What differs between a row of ours and a published one; () where scores may be compared.

    What the paper leaves open counts as different: an unknown protocol or recipe, or a number of
    parameters that we don't know of ours.
    """
    counts = {split: ours.counts.get(split) for split in theirs.counts}
    same_split = (theirs.split, theirs.trained_on) == (ours.split, ours.trained_on)
    fixed_split = ours.fold is None and ours.folds is None
    same_size = theirs.parameters in (None, ours.parameters)
    named_recipe = theirs.recipe is not None and not ours.tuned
    checks = {
        "≠ protocol": ours.protocol == theirs.protocol and not ours.old_protocol,
        "≠ data": same_split and fixed_split and counts == theirs.counts,
        "≠ model": ours.model == theirs.model and same_size,
        "≠ recipe": ours.recipe == theirs.recipe and named_recipe,
    }
    return tuple(mark for mark, same in checks.items() if not same)


def compare_with_published(
    ours: Row, published: Sequence[Row], tolerance: float = TOLERANCE
) -> Row:
    """Our row with its difference to the published row of the same model, or with what forbids one.

    Args:
        ours: a row without a comparison.
        published: the published rows of its dataset and task.
        tolerance: how far apart two scores between 0 and 1 may be that agree.
    """
    if not published or ours.origin not in ("run", "external"):
        return ours
    same_model = [theirs for theirs in published if theirs.model == ours.model]
    if not same_model:
        return replace(ours, marks=("≠ model",), agreement=Agreement("can't tell", "≠ model"))
    theirs = min(same_model, key=lambda row: len(find_marks(ours, row)))
    marks = find_marks(ours, theirs)
    score = common_score(ours, theirs)
    if marks or score is None:
        agreement = Agreement("can't tell", ", ".join(marks) or "no score in common")
        return replace(ours, marks=marks, against=theirs.name, agreement=agreement)
    return with_difference(ours, theirs, score, tolerance)


def common_score(ours: Row, theirs: Row) -> str | None:
    """The first score that both rows state, our primary one if possible."""
    for name in (ours.primary, *theirs.scores):
        if name in ours.scores and name in theirs.scores:
            return name
    return None


def with_difference(ours: Row, theirs: Row, score: str, tolerance: float) -> Row:
    """Our row with the difference in a score to a published row that it may be compared with."""
    mine = ours.scores[score]
    published = theirs.scores[score].value
    row = replace(ours, delta_score=score, against=theirs.name)
    if mine.value is None or published is None:
        return row
    values = [value for value in mine.values if value is not None]
    delta = None if lower_is_better(score) else tolerance
    agreement = judge_agreement(values, mine.errors, mine.groups, published, delta)
    return replace(row, delta=mine.value - published, agreement=agreement)
