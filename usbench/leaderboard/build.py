"""The leaderboard's rows: a pure function of results and published figures.

One table per dataset, task, protocol (name and version) and evaluated data: scores from different
protocols never share a column. The seeds of one recipe are one row (mean; SD with n − 1), and so
are the folds of each seed (folds.py). A difference to a published score is given only where
protocol, data, model and recipe are the same; otherwise the row says which of them differ. No
dates, no order of discovery: the same results give the same bytes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from usbench.leaderboard.agreement import TOLERANCE, standard_error
from usbench.leaderboard.folds import Pool, SeedResult, join_folds, pool_nothing
from usbench.leaderboard.published import Dataset, Published
from usbench.leaderboard.rows import TABLE_SCORES, Row, RowScore, mean_if_all
from usbench.leaderboard.series import Series, failed_name, group_by_series
from usbench.leaderboard.versus import compare_with_published
from usbench.metrics.scores import Figure, Figures, ProtocolScores
from usbench.results.result import Result
from usbench.results.store import lower_is_better
from usbench.types import Task

Scored = Sequence[tuple[SeedResult, ProtocolScores]]  # the seeds of a series by one protocol


def build_rows(
    results: Sequence[Result], datasets: Sequence[Dataset], pool: Pool = pool_nothing
) -> list[Row]:
    """Every row of the leaderboard in its order.

    Args:
        results: in any order.
        datasets: with the published rows.
        pool: how folds are pooled (`pooling.pool_cases`).
    """
    done = [result for result in results if result.is_done]
    ours = our_rows(group_by_series(join_folds(done, pool), results))
    newest = newest_versions(ours)
    ours = [replace(row, old_protocol=(row.version or 0) < newest[row.protocol]) for row in ours]
    papers = [
        published_row(dataset, published, newest)
        for dataset in datasets
        for published in dataset.published
    ]
    tolerance = {dataset.name: dataset.agrees_within for dataset in datasets}
    rows = []
    for row in ours:
        same_task = [p for p in papers if (p.dataset, p.task) == (row.dataset, row.task)]
        rows.append(compare_with_published(row, same_task, tolerance.get(row.dataset, TOLERANCE)))
    reporting = {(row.dataset, row.task, row.protocol) for row in ours if row.reporting}
    for row in papers:
        is_reporting = (row.dataset, row.task, row.protocol) in reporting
        rows.append(replace(row, reporting=is_reporting))
    rows += [failed_row(result) for result in results if not result.is_done]
    return sorted(rows, key=row_order)


def our_rows(series: Sequence[Series]) -> list[Row]:
    """A row of each series under each of its protocols, not yet compared with anything."""
    rows = []
    for group in series:
        by_protocol: dict[tuple[str, int], list[tuple[SeedResult, ProtocolScores]]]
        by_protocol = defaultdict(list)
        for seed_result in group.seeds:
            for scores in seed_result.result.protocols:
                by_protocol[scores.name, scores.version].append((seed_result, scores))
        rows += [our_row(group, seeds) for seeds in by_protocol.values()]
    reporting = {(row.dataset, row.task, row.protocol) for row in rows if row.reporting}
    return [
        replace(row, reporting=(row.dataset, row.task, row.protocol) in reporting) for row in rows
    ]


def newest_versions(rows: Sequence[Row]) -> dict[str, int]:
    """The newest version of each protocol among our rows."""
    newest: dict[str, int] = {}
    for row in rows:
        newest[row.protocol] = max(newest.get(row.protocol, 0), row.version or 0)
    return newest


def our_row(series: Series, seeds: Scored) -> Row:
    """The row of one series under one protocol."""
    first, protocol = seeds[0]
    result = first.result
    assert result.primary is not None, "a finished result has a primary score"
    scores = join_seeds([table.scores for _, table in seeds])
    declared = result.primary.name
    primary = declared if declared in scores else main_score(result.task, scores)
    higher_is_better = not lower_is_better(primary)
    if primary == declared:
        higher_is_better = result.primary.higher_is_better
    target = protocol.target_score.get(primary)
    leakage = result.data.leakage
    members = [seed_result.result for seed_result, _ in seeds]
    parts = tuple(seed_result.run_ids for seed_result, _ in seeds)
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
        higher_is_better=higher_is_better,
        scores=scores,
        per_class=class_scores(seeds, primary),
        target_score=None if target is None else target.value,
        seeds=tuple(member.seed for member in members if member.seed is not None),
        seeds_begun=series.seeds_begun,
        folds=first.folds,
        pooled=protocol.name in first.pooled,
        run_ids=tuple(run_id for part in parts for run_id in part),
        parts=parts,
        parameters=result.parameters,
        cost=next((member.cost for member in members if member.cost), None),
        training_hours=training_hours(members),
        counts=result.data.counts,
        leakage=0 if leakage is None else leakage.n,
        leakage_description="" if leakage is None else leakage.description,
        reporting=protocol is result.protocol,
        tuned=result.tuned is not None,
        description=protocol.description,
        note=our_note(first, protocol),
    )


def main_score(task: Task, scores: Mapping[str, RowScore]) -> str:
    """The score that rows without a declared one are sorted by."""
    for name in TABLE_SCORES[task]:
        if name in scores:
            return name
    return next(iter(scores), "")


def join_seeds(tables: Sequence[Figures]) -> dict[str, RowScore]:
    """The scores that every seed has."""
    names = [name for name in tables[0] if all(name in table for table in tables)]
    return {name: join_figures([table[name] for table in tables]) for name in names}


def class_scores(seeds: Scored, primary: str) -> dict[str, RowScore]:
    """The primary score of every class that all seeds have it for."""
    scores = {}
    for label in seeds[0][1].per_class:
        figures = [table.per_class.get(label, {}).get(primary) for _, table in seeds]
        known = [figure for figure in figures if figure is not None]
        if len(known) == len(figures):
            scores[label] = join_figures(known)
    return scores


def join_figures(seeds: Sequence[Figure]) -> RowScore:
    """One score of all seeds."""
    return RowScore(
        values=tuple(figure.value for figure in seeds),
        low=mean_if_all([figure.low for figure in seeds]),
        high=mean_if_all([figure.high for figure in seeds]),
        errors=tuple(figure_error(figure) for figure in seeds),
        groups=seeds[0].groups or 0,
    )


def figure_error(figure: Figure) -> float | None:
    """The standard error over groups; None without an interval."""
    if figure.low is None or figure.high is None or figure.groups is None:
        return None
    return standard_error(figure.low, figure.high, figure.groups)


def training_hours(seeds: Sequence[Result]) -> float | None:
    """The mean over the seeds; None where nothing was trained, as for another dataset's model."""
    seconds = mean_if_all([(result.seconds or {}).get("fit") for result in seeds])
    return None if seconds is None else seconds / 3600


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
        notes.append(f"leakage: {result.data.leakage.n} images")
    return "; ".join(notes)


def published_row(dataset: Dataset, published: Published, newest: Mapping[str, int]) -> Row:
    """A row of a paper. newest: the newest version of each protocol of ours."""
    scores = {name: RowScore((float(value),)) for name, value in published.scores.items()}
    primary = main_score(published.task, scores)
    per_class = {}
    for label, values in published.per_class.items():
        if primary in values:
            per_class[label] = RowScore((float(values[primary]),))
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
        note="; ".join(text for text in (published.note, published.why) if text),
    )


def failed_row(result: Result) -> Row:
    """A result without scores, with the reason."""
    return Row(
        dataset=result.dataset,
        task=result.task,
        origin=result.origin,
        name=failed_name(result),
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
    """By table, the best row first; rows that lack folds below whole ones, then people."""
    value = row.value
    best: tuple[float, ...] = (1, 0.0)
    if value is not None:
        best = (0, -value if row.higher_is_better else value)
    place = (row.dataset, row.task, *row.table, kind_order(row), *best)
    return (*place, row.name, row.recipe or "", row.run_ids)


def kind_order(row: Row) -> int:
    """Which rows stand above which, whatever their score."""
    if row.status != "done":
        return 3
    if row.origin in ("human", "baseline"):
        return 2
    return 0 if row.has_all_folds else 1
