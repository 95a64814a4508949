"""The leaderboard's rows: a pure function of results and published figures.

One table per dataset, task, protocol (name and version) and evaluated data: scores from different
protocols never share a column. The seeds of one recipe are one row (mean; SD with n − 1), and so
are the folds of each seed (series.py). A difference to a published score is given only where
protocol, data, model and recipe are the same; otherwise the row says which of them differ. No
dates, no order of discovery: the same results give the same bytes.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, filterfalse
from operator import attrgetter
from types import MappingProxyType

from usbench.leaderboard.agreement import compare_with_published
from usbench.leaderboard.published import DatasetSummary, Published
from usbench.leaderboard.rows import TABLE_SCORES, Row, RowScore, mean_if_all
from usbench.leaderboard.series import (
    Pool,
    SeedResult,
    Series,
    group_by_series,
    join_folds,
    pool_nothing,
    series_name,
    shared_entries,
)
from usbench.leaderboard.settings import version_of
from usbench.metrics.scores import ProtocolScores
from usbench.results.result import Result
from usbench.results.store import lower_is_better
from usbench.types import Task


def build_rows(
    results: Sequence[Result],
    datasets: Sequence[DatasetSummary],
    pool: Pool = pool_nothing,
    altered: Mapping[str, str] = MappingProxyType({}),
    versions: Mapping[str, int] = MappingProxyType({}),
) -> list[Row]:
    """Every row of the leaderboard in its order.

    Args:
        results: in any order.
        datasets: with the published rows.
        pool: how folds are pooled (`pooling.pool_cases`).
        altered: run id → what tells it from its recipe (`recipes.describe_alterations`).
        versions: of the models' adapters, by model; a result of an older one is unranked.
    """
    ours = our_rows(
        group_by_series(join_folds(filter(attrgetter("is_done"), results), pool), results), versions
    )
    newest: dict[str, int] = {}  # version of each protocol among our rows
    for row in ours:
        newest[row.protocol] = max(newest.get(row.protocol, 0), row.version or 0)
    reporting = {(row.dataset, row.task, row.protocol) for row in ours if row.reporting}
    papers = defaultdict(list)
    for dataset in datasets:
        for published in dataset.published:
            row = published_row(dataset, published, newest)
            papers[row.dataset, row.task].append(row)
    by_name = {dataset.name: dataset for dataset in datasets}
    rows = []
    for row in ours:
        row = replace(
            row,
            old_protocol=(row.version or 0) < newest[row.protocol],
            altered=altered.get(row.run_ids[0], ""),
        )
        dataset = by_name.get(row.dataset, DatasetSummary(row.dataset))
        if row.leakage:
            row = replace(row, similar=dataset.count_similar())
        row = compare_with_published(row, papers[row.dataset, row.task], dataset.agrees_within)
        rows.append(row)
    rows += chain.from_iterable(papers.values())
    for place, row in enumerate(rows):
        if (row.dataset, row.task, row.protocol) in reporting:
            rows[place] = replace(row, reporting=True)
    for result in filterfalse(attrgetter("is_done"), results):
        rows.append(replace(failed_row(result), altered=altered.get(result.run_id, "")))
    return sorted(rows, key=row_order)


def our_rows(series: Sequence[Series], versions: Mapping[str, int]) -> list[Row]:
    """A row of each series under each of its protocols, not yet compared with anything."""
    rows = []
    for group in series:
        by_protocol: dict[tuple[str, int], list[tuple[SeedResult, ProtocolScores]]]
        by_protocol = defaultdict(list)
        for seed_result in group.seeds:
            for scores in seed_result.result.protocols:
                by_protocol[scores.name, scores.version].append((seed_result, scores))
        for pairs in by_protocol.values():
            row = our_row(group, *zip(*pairs, strict=True))
            rows.append(mark_old_version(row, group.seeds[0].result, versions))
    return rows


def our_row(series: Series, seeds: Sequence[SeedResult], tables: Sequence[ProtocolScores]) -> Row:
    """The row of one series under one protocol. tables: the scores of each seed."""
    first, protocol = seeds[0], tables[0]
    result = first.result
    assert result.primary is not None, "a finished result has a primary score"
    shared_scores = shared_entries([table.scores for table in tables])
    scores = dict(zip(shared_scores, map(RowScore.of_seeds, shared_scores.values()), strict=True))
    primary = main_score(result.task, scores, result.primary.name)
    target = protocol.target_score.get(primary)
    leakage = result.data.leakage
    members: list[Result] = list(map(attrgetter("result"), seeds))
    parts: tuple[tuple[str, ...], ...] = tuple(map(attrgetter("run_ids"), seeds))
    seconds = mean_if_all((member.seconds or {}).get("fit") for member in members)
    return Row(
        dataset=result.dataset,
        task=result.task,
        origin=result.origin,
        name=series.name,
        protocol=protocol.name,
        version=protocol.version,
        model=result.model,
        recipe=result.recipe,
        fold=result.fold,
        trained_on=result.trained_on,
        primary=primary,
        higher_is_better=result.primary.higher_is_better
        if primary == result.primary.name
        else not lower_is_better(primary),
        scores=scores,
        per_class=scores_by_class(tables, primary),
        custom={
            name: scores_by_class(tables, name) for name in result.custom_scores if name in scores
        },
        target_score=target.value if target else None,
        seeds=tuple(member.seed for member in members if member.seed is not None),
        seeds_begun=series.seeds_begun,
        folds=first.folds,
        pooled=protocol.name in first.pooled,
        run_ids=tuple(chain(*parts)),
        parts=parts,
        parameters=result.parameters,
        cost=next(filter(None, map(attrgetter("cost"), members)), None),
        training_hours=None if seconds is None else seconds / 3600,
        counts=result.data.counts,
        leakage=leakage.n if leakage else 0,
        leakage_description=leakage.description if leakage else "",
        reporting=protocol is result.protocol,
        tuned=result.tuned is not None,
        description=protocol.description,
        note=our_note(first, protocol),
    )


def scores_by_class(tables: Sequence[ProtocolScores], name: str) -> dict[str, RowScore]:
    """One score by class. tables: the scores of each seed."""
    by_class = {}
    for label, classes in shared_entries([table.per_class for table in tables]).items():
        if all(name in figures for figures in classes):
            by_class[label] = RowScore.of_seeds([figures[name] for figures in classes])
    return by_class


def mark_old_version(row: Row, result: Result, versions: Mapping[str, int]) -> Row:
    """The row, marked if its model was trained by an older version of the adapter.

    Its name says an older version only.
    """
    version, current = version_of(result), versions.get(result.model)
    if result.origin != "run" or version is None or current is None:
        return row
    if version >= current:
        return replace(row, name=row.name.replace(f" · version={current}", ""))
    note = f"older version ({version}, now {current})"
    return replace(row, old_version=True, note="; ".join(filter(None, [note, row.note])))


def main_score(task: Task, scores: Mapping[str, RowScore], declared: str = "") -> str:
    """The score that rows are sorted by: the declared one, else the first that tables show."""
    return next((name for name in (declared, *TABLE_SCORES[task], *scores) if name in scores), "")


def our_note(seed_result: SeedResult, protocol: ProtocolScores) -> str:
    """On which images people agreed; how a search chose; whether folds are pooled; the leakage."""
    result = seed_result.result
    if result.origin == "human":
        return f"unranked; {result.data.splits or 'see the result'}"
    notes = []
    if result.tuned:
        notes.append(f"tuned: best of {result.tuned.trials} trials on validation")
    if seed_result.folds and protocol.name not in seed_result.pooled:
        notes.append("mean over folds, not pooled")
    elif result.data.leakage:
        notes.append(f"leakage: at least {result.data.leakage.n} images")
    return "; ".join([*notes, *result.data.notes])


def published_row(dataset: DatasetSummary, published: Published, newest: Mapping[str, int]) -> Row:
    """A row of a paper. newest: the newest version of each protocol of ours."""
    scores = {name: RowScore((float(value),)) for name, value in published.scores.items()}
    primary = main_score(published.task, scores)
    per_class = {
        label: RowScore((float(values[primary]),))
        for label, values in published.per_class.items()
        if primary in values
    }
    return Row(
        dataset=dataset.name,
        task=published.task,
        origin="published",
        name=published.name,
        protocol=published.protocol,
        version=newest.get(published.protocol),
        split=published.split,
        model=published.model,
        recipe=published.recipe,
        trained_on=published.trained_on,
        primary=primary,
        higher_is_better=not lower_is_better(primary),
        scores=scores,
        per_class=per_class,
        parameters=published.parameters,
        counts=published.counts,
        description=dataset.protocols.get(published.protocol, ""),
        source=published.source,
        verified=published.verified,
        note="; ".join(filter(None, (published.note, published.why))),
    )


def failed_row(result: Result) -> Row:
    """A result without scores, with the reason."""
    return Row(
        dataset=result.dataset,
        task=result.task,
        origin=result.origin,
        name=series_name(SeedResult(result, (result.run_id,)), ()),
        status=result.status,
        model=result.model,
        recipe=result.recipe,
        fold=result.fold,
        trained_on=result.trained_on,
        seeds=() if result.seed is None else (result.seed,),
        run_ids=(result.run_id,),
        note=result.reason or "",
    )


def row_order(row: Row) -> tuple[object, ...]:
    """By table, the best row first; below those older versions and rows that lack folds; people."""
    loss = math.inf
    if row.value is not None:
        loss = -row.value if row.higher_is_better else row.value
    table = (row.dataset, row.task, *row.table)
    is_reference = row.origin in ("human", "baseline")  # these have no folds
    order = (is_reference, row.old_version, not row.has_all_folds, loss)
    return (*table, *order, row.name, row.recipe or "", row.run_ids)
