"""A row of ours beside the published rows: the difference and what it means, or what forbids one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from usbench.leaderboard.agreement import WITHIN, verdict
from usbench.leaderboard.rows import Row
from usbench.results.store import lower_is_better


def marks(ours: Row, theirs: Row) -> tuple[str, ...]:
    """What differs between a row of ours and a published one; empty where a difference of figures means something.

    What the paper leaves unsaid counts as another: an unknown protocol or recipe, parameters that we don't know of ours.
    """
    counts = {split: ours.counts.get(split) for split in theirs.counts}
    checks = {
        "≠ protocol": ours.protocol == theirs.protocol and not ours.old,
        "≠ data": (theirs.split, theirs.trained_on, counts)
        == (ours.split, ours.trained_on, theirs.counts)
        and ours.fold is None
        and ours.folds is None,
        "≠ model": ours.model == theirs.model and theirs.parameters in (None, ours.parameters),
        "≠ recipe": theirs.recipe is not None and ours.recipe == theirs.recipe and not ours.tuned,
    }
    return tuple(mark for mark, same in checks.items() if not same)


def compared(ours: Row, published: Sequence[Row], within: float = WITHIN) -> Row:
    """Our row with its difference to the published row of the same model, or the marks that forbid one.

    within: δ of the dataset, how far apart two figures between 0 and 1 may be that agree.
    """
    if not published or ours.origin not in ("run", "external"):
        return ours
    named = [theirs for theirs in published if theirs.model == ours.model]
    if not named:
        return replace(
            ours, marks=("≠ model",), agreement=verdict((), (), 0, 0.0, within, ["≠ model"])
        )
    theirs = min(named, key=lambda row: len(marks(ours, row)))
    found = marks(ours, theirs)
    common = [
        name
        for name in (ours.primary, *theirs.scores)
        if name in ours.scores and name in theirs.scores
    ]
    if found or not common:
        unlike = found or ("no score in common",)
        return replace(
            ours,
            marks=found,
            against=theirs.name,
            agreement=verdict((), (), 0, 0.0, within, unlike),
        )
    score = common[0]
    mine, published_value = ours.scores[score], theirs.scores[score].mean
    if mine.mean is None or published_value is None:
        return replace(ours, delta_score=score, against=theirs.name)
    delta = None if lower_is_better(score) else within
    values = [value for value in mine.values if value is not None]
    told = verdict(values, mine.errors, mine.groups, published_value, delta)
    return replace(
        ours,
        delta=mine.mean - published_value,
        delta_score=score,
        against=theirs.name,
        agreement=told,
    )
