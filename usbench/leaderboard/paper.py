"""Rows of the leaderboard → one table for a paper: which rows, which scores, what is the best.

All rows of a table are scored on the same test images by the same version of one protocol. How it
is written is `paper_text`'s affair.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from usbench.errors import ConfigError, DataError, did_you_mean
from usbench.leaderboard.comparison import compare_models, groups_of_cases, measure_models
from usbench.leaderboard.ranking import Results, read_case_tables
from usbench.leaderboard.rows import TABLE_SCORES, Row
from usbench.leaderboard.settings import read_settings
from usbench.results.format import USUAL_SCORES
from usbench.types import Task

OURS = ("run", "external", "human", "baseline")  # origins of rows that results make
REFERENCES = ("human", "baseline")  # of these, what stands below the models


@dataclass(frozen=True)
class BestDifference:
    """A row's score minus the best row's, on the same cases."""

    value: float
    low: float | None
    high: float | None
    p: float | None  # with Holm's correction for all pairs of the table


@dataclass(frozen=True)
class EvaluatedData:
    """The images that all rows were scored on."""

    images: int
    groups: int  # 0: not known
    group_meaning: str  # such as patient; "": not known
    split: str  # how it was made; "": not known
    phantom: bool


@dataclass(frozen=True)
class PaperTable:
    """The results of one dataset and task, as a paper shows them."""

    title: str  # of the dataset
    rows: tuple[Row, ...]  # the best first, references last
    metrics: tuple[str, ...]  # names of scores
    data: EvaluatedData
    has_ranks: bool  # whether they get a column
    differences: Mapping[tuple[str, ...], BestDifference] | None  # by run ids; None: no column
    no_intervals: str  # why no row has an interval; "": one has
    left_out: tuple[str, ...]  # rows, each with the reason

    @property
    def tested(self) -> str:
        """The score that paired tests are of."""
        return USUAL_SCORES[self.rows[0].task][0]

    def is_best(self, row: Row) -> bool:
        """Whether no test finds a better row; ties are all best."""
        return row.rank is not None and row.rank[0] == 1


def build_table(
    rows: Sequence[Row],
    results: Results,
    folder: Path,
    title: str,
    metrics: Sequence[str] = (),
    ranks: bool = False,
    differences: bool = False,
) -> PaperTable:
    """The table of one dataset and task.

    Args:
        rows: with their ranks, of that dataset and task.
        results: that the rows were made of, by run id.
        folder: where the results and their case tables lie.
        title: of the dataset.
        metrics: names of scores; (): the usual ones that a row has.
        ranks: whether ranks get a column.
        differences: whether to compute the differences to the best row.

    Raises:
        ConfigError: no row has a score of that name.
        DataError: there is no finished result, or a case table is damaged.
    """
    shown, left_out = choose_rows(rows, results)
    if not shown:
        reasons = f": {'; '.join(left_out)}" if left_out else ""
        raise DataError(f"{folder}: expected a finished result, got none{reasons}")
    main = shown[0].primary
    figures = [results[row.run_ids[0]].scores.get(main) for row in shown]
    has_interval = any(row.score and row.score.low is not None for row in shown)
    stated = [figure.interval for figure in figures if figure and figure.interval]
    return PaperTable(
        title=title,
        rows=tuple(shown),
        metrics=choose_metrics(shown, metrics),
        data=describe_data(shown, results, folder),
        has_ranks=ranks,
        differences=differences_to_best(shown, results, folder) if differences else None,
        no_intervals="" if has_interval else (stated or ["none could be computed"])[0],
        left_out=tuple(left_out),
    )


def choose_rows(rows: Iterable[Row], results: Results) -> tuple[list[Row], list[str]]:
    """(rows on the same images by the same protocol, the others that a reader may miss).

    Of several such sets the largest is taken, of equal ones the first.
    """
    sets: dict[object, list[Row]] = defaultdict(list)
    left_out = []
    for row in rows:
        if row.origin not in OURS:
            continue
        if row.status != "done":
            left_out.append(f"{describe_row(row)}: {row.status} ({row.note})")
        elif row.reporting and row.old_protocol:
            left_out.append(f"{describe_row(row)}: scored by an older version of the protocol")
        elif row.reporting:
            data = tuple(results[run_id].data.fingerprint for run_id in row.parts[0])
            sets[row.table, row.fold, data].append(row)
    chosen = max(sets.values(), key=len, default=[])
    shown = {row.run_ids for row in chosen}
    for others in sets.values():
        for row in others:
            if row.run_ids not in shown:
                left_out.append(f"{describe_row(row)}: other test images or protocol than the rest")
    return chosen, left_out


def describe_row(row: Row) -> str:
    """A row's name and where its result is."""
    protocol = f", protocol {row.protocol} {row.version}" if row.protocol else ""
    return f"{row.name} ({', '.join(row.run_ids)}{protocol})"


def choose_metrics(rows: Sequence[Row], names: Sequence[str]) -> tuple[str, ...]:
    """The scores that the table shows: the named ones, else the usual ones that a row has.

    Raises:
        ConfigError: a name is no score of any row, or is there twice.
    """
    task = rows[0].task
    known = list(dict.fromkeys([*TABLE_SCORES[task], *(name for r in rows for name in r.scores)]))
    for name in names:
        if name not in known:
            plain = ", ".join(name for name in known if ":" not in name)
            hint = did_you_mean(name, known) or ""
            raise ConfigError(f"--metrics {name}: expected one of {plain}{hint}")
        if names.count(name) > 1:
            raise ConfigError(f"--metrics: expected {name} once, got it {names.count(name)} times")
    if names:
        return tuple(names)
    usual = [rows[0].primary, *USUAL_SCORES[task]]
    return tuple(name for name in dict.fromkeys(usual) if is_defined(rows, name))


def is_defined(rows: Iterable[Row], name: str) -> bool:
    """Whether a row has a value of a score."""
    return any(name in row.scores and row.scores[name].value is not None for row in rows)


def describe_data(rows: Sequence[Row], results: Results, folder: Path) -> EvaluatedData:
    """The images of some rows, all of the same ones: from a case table, else as results count."""
    first = results[rows[0].run_ids[0]]
    images, groups = rows[0].counts.get("test", 0), 0
    with_cases = [row for row in rows if all(results[run_id].cases for run_id in row.run_ids)]
    if with_cases:
        of_cases = groups_of_cases(next(read_case_tables(with_cases, results, folder)))
        images, groups = len(of_cases), len(set(of_cases))
    nodes = [read_settings(results[row.run_ids[0]]).dataset for row in rows]
    meanings = [node.get("unknown_groups") or node.get("groups") for node in nodes]
    return EvaluatedData(
        images=images,
        groups=groups,
        group_meaning=str(next(filter(None, meanings), "")),
        split=first.data.splits or "",
        phantom=first.data.phantom,
    )


def differences_to_best(
    rows: Sequence[Row], results: Results, folder: Path
) -> dict[tuple[str, ...], BestDifference]:
    """The differences of ranked rows to the best of them, by run ids; {} where fewer than two are.

    The tests are those that ranks come from.
    """
    ranked = [row for row in rows if row.rank is not None]
    if len(ranked) < 2:
        return {}
    owners = [str(place) for place, row in enumerate(ranked) for _ in row.parts]
    task: Task = ranked[0].task
    models = measure_models(task, owners, read_case_tables(ranked, results, folder))
    groups = groups_of_cases(next(read_case_tables(ranked, results, folder)))
    comparison = compare_models(models, groups, ranked[0].higher_is_better)
    differences = {}
    for pair, p in zip(comparison.pairs, comparison.corrected, strict=True):
        if pair.first == comparison.models[0]:
            ends: tuple[float | None, float | None] = (None, None)
            if pair.low is not None and pair.high is not None:
                ends = (-pair.high, -pair.low)
            row = ranked[int(pair.second)]
            differences[row.run_ids] = BestDifference(-pair.value, *ends, p)
    return differences
