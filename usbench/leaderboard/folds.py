"""The folds of one seed → one result: which belong together, and their scores.

Results that share `fold_series` differ in fold and seed alone. The cases of a seed's folds are
scored together, because each case is tested once. Where case tables don't suffice for a protocol,
its scores are means over the folds, and the row says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TypeVar

from usbench.errors import DataError
from usbench.leaderboard.rows import mean_if_all
from usbench.leaderboard.settings import read_settings
from usbench.metrics.scores import Figure, Figures, ProtocolScores, figure_values
from usbench.results.result import Result

# Folds of one seed → the scores of all their cases, for the protocols that case tables suffice for.
Pool = Callable[[Sequence[Result]], Sequence[ProtocolScores]]
Value = TypeVar("Value")


@dataclass(frozen=True)
class SeedResult:
    """What one seed of a recipe gave: a result, or its folds joined to one."""

    result: Result
    run_ids: tuple[str, ...]
    folds: tuple[int, int] | None = None  # how many were joined, of how many there should be
    pooled: frozenset[str] = frozenset()  # protocols whose scores are of all folds' cases together


def pool_nothing(folds: Sequence[Result]) -> Sequence[ProtocolScores]:
    """The `Pool` where no case tables are at hand."""
    return ()


def join_folds(results: Iterable[Result], pool: Pool = pool_nothing) -> list[SeedResult]:
    """Finished results, with the folds of each seed joined to one.

    Of the seeds of a set only those with the most folds stay.

    Raises:
        DataError: a fold is there twice.
    """
    joined = []
    sets: dict[object, dict[int | None, list[Result]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        if result.fold_series is None:
            joined.append(SeedResult(result, (result.run_id,)))
        else:
            rule = (result.protocol.name, result.protocol.version)
            fold_set = (result.fold_series, result.model, result.recipe, rule)
            sets[fold_set][result.seed].append(result)
    for seeds in sets.values():
        most = max(map(len, seeds.values()))
        joined += [join_seed(folds, pool) for folds in seeds.values() if len(folds) == most]
    return joined


def join_seed(folds: list[Result], pool: Pool) -> SeedResult:
    """The folds of one seed as one result."""
    folds = sorted(folds, key=lambda result: (result.fold or 0, result.run_id))
    first = folds[0]
    run_ids = tuple(map(attrgetter("run_id"), folds))
    numbers = list(map(attrgetter("fold"), folds))
    if len(set(numbers)) < len(numbers):
        raise DataError(
            f"{', '.join(run_ids)}: expected each fold of a seed once, got folds {numbers}; "
            "remove the copy"
        )
    assert first.primary is not None, "a finished result has a primary score"
    pooled = by_name(pool(folds))
    reporting = pooled.get(first.protocol.name)
    if reporting is not None and first.primary.name not in reporting.scores:
        del pooled[first.protocol.name]
    protocols = []
    for name, tables in shared_entries([by_name(fold.protocols) for fold in folds]).items():
        if len(set(map(attrgetter("version"), tables))) == 1:
            protocols.append(join_protocol(tables, pooled.get(name)))
    primary = protocols[0].scores.get(first.primary.name)
    seconds = shared_entries([fold.seconds or {} for fold in folds])
    tests = sum(fold.data.counts.get("test", 0) for fold in folds)
    joined = replace(
        first,
        fold=None,
        protocols=tuple(protocols),
        primary=replace(first.primary, value=primary.value if primary else None),
        data=replace(first.data, counts={"test": tests}, leakage=None),  # of the release's split
        seconds={stage: sum(values) for stage, values in seconds.items()},
    )
    done = (len(folds), read_settings(first).folds)
    return SeedResult(joined, run_ids, done, frozenset(pooled))


def by_name(protocols: Iterable[ProtocolScores]) -> dict[str, ProtocolScores]:
    """The protocols' scores by name."""
    return {scores.name: scores for scores in protocols}


def shared_entries(tables: Sequence[Mapping[str, Value]]) -> dict[str, list[Value]]:
    """Name → its value in each table, for the names that all have, in the first table's order."""
    shared = {}
    for name in tables[0]:
        if all(name in table for table in tables):
            shared[name] = [table[name] for table in tables]
    return shared


def join_protocol(folds: Sequence[ProtocolScores], pooled: ProtocolScores | None) -> ProtocolScores:
    """One protocol's scores: pooled where that was possible, else means over the folds."""
    # The clauses that all folds' descriptions have: a threshold chosen for one fold goes.
    clauses = shared_entries([dict.fromkeys(fold.description.split("; ")) for fold in folds])
    per_class = {}
    for label, tables in shared_entries([fold.per_class for fold in folds]).items():
        pooled_class = None if pooled is None else pooled.per_class.get(label, {})
        per_class[label] = join_tables(tables, pooled_class)
    targets = [figure_values(fold.target_score) for fold in folds]
    target_score = folds[0].target_score if targets.count(targets[0]) == len(targets) else {}
    if pooled is not None and pooled.target_score:
        target_score = pooled.target_score
    return replace(
        folds[0],
        description="; ".join(clauses),
        scores=join_tables([fold.scores for fold in folds], pooled.scores if pooled else None),
        per_class=per_class,
        target_score=target_score,
    )


def join_tables(folds: Sequence[Figures], pooled: Figures | None) -> Figures:
    """The scores that every fold has: the pooled ones, else means without an interval."""
    shared = shared_entries(folds)
    if pooled is None:
        return {name: average(figures) for name, figures in shared.items()}
    return {name: pooled[name] for name in shared if name in pooled}


def average(figures: Sequence[Figure]) -> Figure:
    """The mean of one score over the folds; undefined where one of them is."""
    values = [figure.value for figure in figures]
    undefined = values.count(None)
    return Figure(
        value=mean_if_all(values),
        n=sum(figure.n or 0 for figure in figures),
        reason=f"undefined in {undefined} of {len(figures)} folds" if undefined else None,
        interval="no interval: a mean over folds",
        groups=sum(figure.groups or 0 for figure in figures),
    )
