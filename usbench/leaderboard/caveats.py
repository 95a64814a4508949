"""What a reader should know before trusting a finding, the worst first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from usbench.io.numbers import format_count
from usbench.leaderboard.columns import NO_LEAKAGE
from usbench.leaderboard.published import DatasetSummary
from usbench.leaderboard.rows import Row, RowScore
from usbench.metrics import paired
from usbench.metrics.intervals import FEW_GROUPS
from usbench.results.format import format_value, score_title

CLAUSE = re.compile(r" \(|[,;:] ")  # ends the first clause of a note
DOUBTS = {
    "third-party": "read in a third party's copy of the paper's table",
    "no": "not verified by anybody",
}


def find_caveats(
    best: Sequence[Row], rows: Sequence[Row], dataset: DatasetSummary
) -> Iterator[str]:
    """The caveats of some rows, the worst first.

    Args:
        best: the rows of ours that a finding is about.
        rows: all of the same dataset and task.
        dataset: with its notes.
    """
    first = best[0]
    if baseline := unbeaten_baseline(first, rows):
        yield f"not clearly better than the baseline {describe_baseline(baseline)}"
    if first.leakage:
        yield describe_leakage(first)
    groups = first.score.groups if first.score else 0
    if first.ranked and paired.smallest_corrected_p(groups, first.ranked) >= paired.ALPHA:
        yield f"{format_count(groups, 'group')}: no test can tell these models apart"
    elif 0 < groups < FEW_GROUPS:
        yield f"{format_count(groups, 'group')} only: intervals are rough"
    for note in dataset.notes:
        if note.kind == "groups":
            yield f"intervals may be too narrow: {CLAUSE.split(note.description)[0]}"
    if any(len(row.seeds) == 1 for row in best):
        yield "one seed: how much training varies isn't known"


def find_doubts(published: Row) -> Iterator[str]:
    """What is doubtful of a published score."""
    if published.verified in DOUBTS:
        yield DOUBTS[published.verified]


def describe_leakage(row: Row) -> str:
    """How many test images leak, and the score without them."""
    of = f" of {row.counts['test']}" if "test" in row.counts else ""
    text = f"{row.leakage}{of} test images resemble training images"
    clean = row.scores.get(row.primary + NO_LEAKAGE)
    if clean is None or clean.value is None:
        return text
    rest = f"{score_title(row.primary)} {format_value(clean.value, row.primary)}"
    return f"{text}; without them {rest}"


# ---- baselines


def unbeaten_baseline(row: Row, rows: Iterable[Row]) -> Row | None:
    """The best baseline of a row's table, if the row doesn't clearly beat it.

    It doesn't where the baseline's score is as good, or the two intervals overlap.
    """
    baselines = [
        other
        for other in rows
        if other.origin == "baseline" and other.table == row.table and other.value is not None
    ]
    best = min(baselines, key=lambda other: loss_of(other, other.value), default=None)
    if best is None or row.score is None or best.score is None:
        return None
    is_beaten = loss_of(row, worse_end(row.score, row)) < loss_of(best, better_end(best.score, row))
    return None if is_beaten else best


def loss_of(row: Row, value: float | None) -> float:
    """A score of a row so that less is better."""
    assert value is not None, "only rows with a score are compared"
    return -value if row.higher_is_better else value


def worse_end(score: RowScore, row: Row) -> float | None:
    """The interval's end with the worse score; the value without an interval."""
    end = score.low if row.higher_is_better else score.high
    return score.value if end is None else end


def better_end(score: RowScore, row: Row) -> float | None:
    """The interval's end with the better score; the value without an interval."""
    end = score.high if row.higher_is_better else score.low
    return score.value if end is None else end


def describe_baseline(baseline: Row) -> str:
    """A baseline with its score."""
    return f"{baseline.name} ({format_value(baseline.value, baseline.primary)})"


def describe_unbeaten(
    others: Sequence[Row], rows: Sequence[Row], names: Sequence[str]
) -> Iterator[str]:
    """Which of the rows behind the best don't clearly beat the baselines. names: of these rows."""
    pairs = zip(others, names, strict=True)
    unbeaten = [name for row, name in pairs if unbeaten_baseline(row, rows)]
    if unbeaten:
        verb = "doesn't" if len(unbeaten) == 1 else "don't"
        yield f"{', '.join(unbeaten)} {verb} clearly beat the baselines"
