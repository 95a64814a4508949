"""The paired tests of a table as data of the page: pairs, and which rows no test tells apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypedDict

from usbench.leaderboard import columns as texts
from usbench.leaderboard.ranking import Comparison, PairDifference
from usbench.leaderboard.rows import Row

MOST_ROWS = 60  # of a comparison whose pairs the page carries; the best ones
# Places of the better and the worse row in `rows`, difference, low, high, p, p by Holm.
Pair = tuple[int, int, float, float | None, float | None, float | None, float | None]


class ComparisonData(TypedDict):
    """The tests between rows of one table that were scored on the same cases."""

    rows: list[str]  # ids, the best first
    groups: int
    pairs: list[Pair]
    ties: list[tuple[int, int]]  # first and last place of rows that no test tells apart
    notes: list[str]  # which differences the tests can show


def comparison_data(
    rows: Sequence[Row],
    ids: Sequence[str],
    comparisons: Mapping[tuple[str, ...], Comparison],
) -> list[ComparisonData]:
    """The comparisons that a table's rows are in.

    Args:
        rows: of the table.
        ids: of the rows, on the page.
        comparisons: run ids of a row → the comparison that it is in.
    """
    own: dict[int, Comparison] = {}
    notes: dict[int, list[str]] = {}
    names = {row.run_ids: row_id for row, row_id in zip(rows, ids, strict=True)}
    for row in rows:
        comparison = comparisons.get(row.run_ids) if row.rank else None
        if comparison is not None:
            own[id(comparison)] = comparison
            notes[id(comparison)] = texts.comparison_notes([row])
    return [
        {
            "rows": [names[run_ids] for run_ids in comparison.rows],
            "groups": comparison.groups,
            "pairs": list(map(pair_data, shown_pairs(comparison))),
            "ties": list(find_ties(comparison)),
            "notes": notes[key],
        }
        for key, comparison in own.items()
    ]


def shown_pairs(comparison: Comparison) -> list[PairDifference]:
    """The pairs of the best rows."""
    return [pair for pair in comparison.pairs if pair.worse < MOST_ROWS]


def pair_data(pair: PairDifference) -> Pair:
    """A pair as numbers."""
    value, low, high = (shorten(number, 3) for number in (pair.value, pair.low, pair.high))
    assert value is not None, "a pair has a difference"
    return (pair.better, pair.worse, value, low, high, shorten(pair.p), shorten(pair.corrected_p))


def shorten(number: float | None, digits: int = 2) -> float | None:
    """A number with so many significant digits."""
    return None if number is None else float(f"{number:.{digits}g}")


def find_ties(comparison: Comparison) -> Iterator[tuple[int, int]]:
    """The longest runs of neighbours among which no pair differs significantly.

    As the bars of a critical-difference diagram (Demšar 2006). Places without a p are no ties.
    """
    is_tied = {(pair.better, pair.worse): not pair.is_significant for pair in comparison.pairs}
    if any(pair.p is None for pair in comparison.pairs):
        return
    last, count = 0, len(comparison.rows)
    for first in range(count):
        end = first
        while end + 1 < count and all(is_tied[place, end + 1] for place in range(first, end + 1)):
            end += 1
        if end > max(first, last):
            yield first, end
            last = end
        if last == count - 1:
            return
