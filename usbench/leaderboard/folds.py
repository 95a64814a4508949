"""The folds of one seed → one result: which belong together, and their scores.

Results that share `fold_series` differ in fold and seed alone. The cases of a seed's folds are
scored together, because each case is tested once. Where case tables don't suffice for a protocol,
its scores are means over the folds, and the row says so.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from usbench.errors import DataError
from usbench.leaderboard.settings import read_settings
from usbench.metrics.scores import Figure, Figures, ProtocolScores
from usbench.results.result import Result

# Folds of one seed → the scores of all their cases, for the protocols that case tables suffice for.
Pool = Callable[[Sequence[Result]], Sequence[ProtocolScores]]


@dataclass(frozen=True)
class SeedResult:
    """What one seed of a recipe gave: a result, or its folds joined to one."""

    result: Result
    run_ids: tuple[str, ...]
    folds: tuple[int, int] | None = None  # how many were joined, of how many there should be
    pooled: frozenset[str] = frozenset()  # protocols whose scores are of all folds' cases together


def is_fold(result: Result) -> bool:
    """Whether a result, finished or not, is one of a set of folds."""
    return result.fold_series is not None


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
        if is_fold(result):
            rule = (result.protocol.name, result.protocol.version)
            key = (result.fold_series, result.model, result.recipe, rule)
            sets[key][result.seed].append(result)
        else:
            joined.append(SeedResult(result, (result.run_id,)))
    for seeds in sets.values():
        most = max(map(len, seeds.values()))
        joined += [join_seed(folds, pool) for folds in seeds.values() if len(folds) == most]
    return joined


def join_seed(folds: list[Result], pool: Pool) -> SeedResult:
    """The folds of one seed as one result."""
    folds = sorted(folds, key=lambda result: (result.fold or 0, result.run_id))
    first = folds[0]
    run_ids = tuple(result.run_id for result in folds)
    numbers = [result.fold for result in folds]
    if len(set(numbers)) < len(numbers):
        raise DataError(
            f"{', '.join(run_ids)}: expected each fold of a seed once, got folds {numbers}; "
            "remove the copy"
        )
    assert first.primary is not None, "a finished result has a primary score"
    pooled = {scores.name: scores for scores in pool(folds)}
    reporting = pooled.get(first.protocol.name)
    if reporting is not None and first.primary.name not in reporting.scores:
        del pooled[first.protocol.name]
    protocols = tuple(
        join_protocol([scores_by(result, name) for result in folds], pooled.get(name))
        for name in shared_protocols(folds)
    )
    primary = protocols[0].scores.get(first.primary.name)
    tests = sum(result.data.counts.get("test", 0) for result in folds)
    joined = replace(
        first,
        fold=None,
        protocols=protocols,
        primary=replace(first.primary, value=None if primary is None else primary.value),
        data=replace(first.data, counts={"test": tests}, leakage=None),  # of the release's split
        seconds=total_seconds(folds),
    )
    done = (len(folds), read_settings(first).folds)
    return SeedResult(joined, run_ids, done, frozenset(pooled))


def scores_by(result: Result, protocol: str) -> ProtocolScores:
    """The scores of a result by a protocol that it has."""
    return next(scores for scores in result.protocols if scores.name == protocol)


def shared_protocols(folds: Sequence[Result]) -> list[str]:
    """The protocols that every fold was scored by, in one version."""
    versions = [{scores.name: scores.version for scores in fold.protocols} for fold in folds]
    first = versions[0]
    return [
        name
        for name, version in first.items()
        if all(other.get(name) == version for other in versions)
    ]


def join_protocol(folds: Sequence[ProtocolScores], pooled: ProtocolScores | None) -> ProtocolScores:
    """One protocol's scores: pooled where that was possible, else means over the folds."""
    first = folds[0]
    scores = [fold.scores for fold in folds]
    per_class = {}
    for label in first.per_class:
        if all(label in fold.per_class for fold in folds):
            per_class[label] = [fold.per_class[label] for fold in folds]
    target_score = shared_target_score(folds)
    if pooled is None:
        joined = average_figures(scores)
        by_class = {label: average_figures(tables) for label, tables in per_class.items()}
    else:
        joined = choose_figures(pooled.scores, scores)
        by_class = {
            label: choose_figures(pooled.per_class.get(label, {}), tables)
            for label, tables in per_class.items()
        }
        target_score = pooled.target_score or target_score
    description = shared_description([fold.description for fold in folds])
    return ProtocolScores(first.name, first.version, description, joined, by_class, target_score)


def shared_description(descriptions: Sequence[str]) -> str:
    """The clauses that all folds' descriptions have: a threshold chosen for one fold goes."""
    clauses = [description.split("; ") for description in descriptions]
    return "; ".join(text for text in clauses[0] if all(text in other for other in clauses))


def shared_scores(folds: Sequence[Figures]) -> list[str]:
    """The scores that every fold has, in the first one's order."""
    return [name for name in folds[0] if all(name in fold for fold in folds)]


def choose_figures(pooled: Figures, folds: Sequence[Figures]) -> Figures:
    """The pooled figures that every fold has too."""
    return {name: pooled[name] for name in shared_scores(folds) if name in pooled}


def average_figures(folds: Sequence[Figures]) -> Figures:
    """The mean over the folds of every figure that all have, without an interval."""
    return {name: average([fold[name] for fold in folds]) for name in shared_scores(folds)}


def average(figures: Sequence[Figure]) -> Figure:
    """The mean of one score over the folds; undefined where one of them is."""
    known = [figure.value for figure in figures if figure.value is not None]
    undefined = len(figures) - len(known)
    return Figure(
        value=None if undefined else statistics.fmean(known),
        n=sum(figure.n or 0 for figure in figures),
        reason=f"undefined in {undefined} of {len(figures)} folds" if undefined else None,
        interval="no interval: a mean over folds",
        groups=sum(figure.groups or 0 for figure in figures),
    )


def shared_target_score(folds: Sequence[ProtocolScores]) -> Figures:
    """The target's own scores where all folds have the same; else {}."""
    values = [{name: figure.value for name, figure in fold.target_score.items()} for fold in folds]
    return folds[0].target_score if all(other == values[0] for other in values) else {}


def total_seconds(folds: Sequence[Result]) -> dict[str, float]:
    """The folds' seconds added up, for the stages that every fold has."""
    seconds = [result.seconds or {} for result in folds]
    stages = [stage for stage in seconds[0] if all(stage in other for other in seconds)]
    return {stage: sum(other[stage] for other in seconds) for stage in stages}
