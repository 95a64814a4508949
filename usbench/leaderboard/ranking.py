"""The range of ranks that paired tests leave each row, and the tests themselves, from case tables.

A pair's test is cached by the sha256 of the case tables that it was computed from. Where all pairs
are known, tables are only opened to take their sha256.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from operator import itemgetter
from pathlib import Path

from usbench.io.console import track
from usbench.leaderboard.cache import Cache, key
from usbench.leaderboard.comparison import CaseRows, groups_of_cases, measure_models
from usbench.leaderboard.rows import Row
from usbench.metrics import paired
from usbench.metrics.bootstrap import draw
from usbench.results import store
from usbench.results.result import Result

Results = Mapping[str, Result]  # by run id
Places = tuple[int, int]  # of two rows in their table


@dataclass(frozen=True)
class PairTest:
    """The test of two rows: the better one minus the other."""

    scores: Mapping[str, float]  # a row's case tables (their hash) → its own score
    value: float  # the pair's difference
    low: float | None  # its 95 % interval
    high: float | None
    se: float
    df: float  # degrees of freedom of se
    p: float | None
    groups: int  # of the cases


@dataclass(frozen=True)
class PairDifference:
    """Two rows of a comparison: the better one minus the other."""

    better: int  # place in `Comparison.rows`
    worse: int
    value: float
    low: float | None  # the difference's 95 % interval
    high: float | None
    p: float | None  # None under 6 groups
    corrected_p: float | None  # by Holm's correction for all pairs of the comparison

    @property
    def is_significant(self) -> bool:
        """Whether the test tells the two apart."""
        return self.corrected_p is not None and self.corrected_p < paired.ALPHA


@dataclass(frozen=True)
class Comparison:
    """The tests between all pairs of rows of one table."""

    rows: tuple[tuple[str, ...], ...]  # run ids of each row, the best one first
    groups: int  # of the cases
    pairs: tuple[PairDifference, ...]


def rank_rows(
    rows: Sequence[Row], results: Sequence[Result], folder: Path, cache: Cache | None = None
) -> list[Row]:
    """The rows with their ranks; see `compare_rows`."""
    return compare_rows(rows, results, folder, cache)[0]


def compare_rows(
    rows: Sequence[Row], results: Sequence[Result], folder: Path, cache: Cache | None = None
) -> tuple[list[Row], list[Comparison]]:
    """The rows with their ranks, and the tests that gave them.

    Rows of ours and external ones are compared under the reporting protocol, on the same data and
    fold or set of folds. Other rows, and a row that nothing can be compared with, have no rank.

    Args:
        rows: in the order of `build.build_rows`, which stays.
        results: that the rows were made of.
        folder: where the results and their case tables lie.
        cache: tests that are known already.
    """
    by_id = {result.run_id: result for result in results}
    tables: dict[object, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        if is_ranked(row, by_id):
            data = tuple(by_id[run_id].data.fingerprint for run_id in row.parts[0])
            tables[row.dataset, row.task, row.table, row.fold, data].append(place)
    ranked = list(rows)
    comparisons = []
    several = [places for places in tables.values() if len(places) > 1]
    for places in track(several, "ranking", len(several)):
        table, comparison = rank_table(itemgetter(*places)(rows), by_id, folder, cache or Cache())
        comparisons.append(comparison)
        for place, row in zip(places, table, strict=True):
            ranked[place] = row
    return ranked, comparisons


def is_ranked(row: Row, results: Results) -> bool:
    """Whether a row takes part in a comparison."""
    return (
        row.status == "done"
        and row.origin in ("run", "external")
        and row.reporting
        and not row.old_protocol
        and not row.old_version
        and row.has_all_folds
        and (row.pooled or not row.folds)
        and all(results[run_id].cases for run_id in row.run_ids)
    )


def rank_table(
    rows: Sequence[Row], results: Results, folder: Path, cache: Cache
) -> tuple[list[Row], Comparison]:
    """Rows of one table, all on the same cases, with ranks; and their comparison."""
    names = [hash_case_tables(row, results, folder) for row in rows]
    keys = {}
    tests = {}
    for a, b in combinations(range(len(rows)), 2):
        keys[a, b] = key(rows[0].task, rows[0].higher_is_better, sorted((names[a], names[b])))
        cached = cache.get(keys[a, b])
        if cached is not None:
            tests[a, b] = PairTest(**cached)
    unknown = sorted(keys.keys() - tests.keys())
    if unknown:
        for pair, test in run_tests(rows, names, unknown, results, folder):
            tests[pair] = test
            cache.put(keys[pair], asdict(test))
    return place_rows(rows, names, tests)


def hash_case_tables(row: Row, results: Results, folder: Path) -> str:
    """One hash of all case tables of a row; DataError where one isn't its result's."""
    digests = []
    for part in row.parts:
        members = list(map(results.__getitem__, part))
        paths = [store.result_path(folder, result) for result in members]
        digests.append(list(map(store.hash_cases, paths, members)))
    return key(digests)


def run_tests(
    rows: Sequence[Row],
    names: Sequence[str],
    pairs: Sequence[Places],
    results: Results,
    folder: Path,
) -> Iterator[tuple[Places, PairTest]]:
    """Test pairs of rows.

    Args:
        rows: of one table.
        names: the hash of each row's case tables.
        pairs: places of the rows to test.
        results: by run id.
        folder: where they lie.
    """
    owners = [str(place) for place, row in enumerate(rows) for _ in row.parts]
    models = measure_models(rows[0].task, owners, read_case_tables(rows, results, folder))
    draws = draw(groups_of_cases(next(read_case_tables(rows, results, folder))))
    scores = [paired.score_model(model, draws) for model in models]
    for a, b in pairs:
        best = order_places((a, b), scores, names, rows[0].higher_is_better)
        (difference,) = paired.compare_models([models[place] for place in best], draws)
        yield (
            (a, b),
            PairTest(
                scores={names[a]: scores[a], names[b]: scores[b]},
                value=difference.value,
                low=difference.low,
                high=difference.high,
                se=difference.se,
                df=difference.df,
                p=difference.p,
                groups=draws.groups,
            ),
        )


def order_places(
    places: Iterable[int],
    scores: Mapping[int, float] | Sequence[float],
    names: Sequence[str],
    higher_is_better: bool,
) -> list[int]:
    """Places of rows, the best own score first; equal ones always in the same order."""
    return sorted(places, key=lambda place: (scores[place], names[place]), reverse=higher_is_better)


def read_case_tables(rows: Sequence[Row], results: Results, folder: Path) -> Iterator[CaseRows]:
    """The case table of every seed of every row, its folds' one after the other; one at a time."""
    for row in rows:
        for part in row.parts:
            table: CaseRows = []
            for run_id in part:
                result = results[run_id]
                table += store.read_cases(store.result_path(folder, result), result)
            yield table


def place_rows(
    rows: Sequence[Row], names: Sequence[str], tests: Mapping[Places, PairTest]
) -> tuple[list[Row], Comparison]:
    """The rows with their ranks by the tests of all pairs, and these tests."""
    higher_is_better = rows[0].higher_is_better
    scores = {}
    for pair, test in tests.items():
        for place in pair:
            scores[place] = test.scores[names[place]]
    order = order_places(range(len(rows)), scores, names, higher_is_better)
    differences = [difference_of(better, worse, tests) for better, worse in combinations(order, 2)]
    ranks = paired.rank_models(list(map(str, order)), differences, higher_is_better)
    best_two = differences[0]
    groups = next(iter(tests.values())).groups
    ranked = [
        replace(
            row,
            rank=ranks[str(place)],
            ranked=len(rows),
            significant_from=best_two.significant_from,
            resolution=best_two.resolution,
            compared_groups=groups,
        )
        for place, row in enumerate(rows)
    ]
    run_ids = tuple(rows[place].run_ids for place in order)
    return ranked, Comparison(run_ids, groups, correct_pairs(order, differences))


def difference_of(better: int, worse: int, tests: Mapping[Places, PairTest]) -> paired.Difference:
    """The test of two rows, by their places, as a difference."""
    test = tests[min(better, worse), max(better, worse)]
    return paired.Difference(
        first=str(better),
        second=str(worse),
        value=test.value,
        low=test.low,
        high=test.high,
        se=test.se,
        p=test.p,
        df=test.df,
    )


def correct_pairs(
    order: Sequence[int], differences: Sequence[paired.Difference]
) -> tuple[PairDifference, ...]:
    """The pairs with p corrected for all of them, by places in the order."""
    tested = [difference.p for difference in differences if difference.p is not None]
    corrected = iter(paired.correct_holm(tested))
    pairs = []
    for (better, worse), difference in zip(
        combinations(range(len(order)), 2), differences, strict=True
    ):
        holm = None if difference.p is None else next(corrected)
        pairs.append(
            PairDifference(
                better, worse, difference.value, difference.low, difference.high, difference.p, holm
            )
        )
    return tuple(pairs)
