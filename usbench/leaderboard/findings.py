"""What the leaderboard says of each dataset and task: a sentence made from ranks and intervals.

A finding rests on the table of the reporting protocol: on the rows of ours that paired tests ranked
there, else on a row that nothing was compared with, on older versions, on people or on papers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from usbench.io.numbers import format_count
from usbench.leaderboard import caveats
from usbench.leaderboard.commands import published_command
from usbench.leaderboard.published import DatasetSummary, datasets_by_name
from usbench.leaderboard.rows import Row
from usbench.leaderboard.sentences import (
    describe_agreement,
    describe_others,
    describe_paper,
    describe_papers,
    describe_places,
    describe_resolution,
    describe_tied,
    score_of,
    score_range,
    title_row,
)
from usbench.results.format import TASK_TITLES
from usbench.types import Task

Kind = Literal["leader", "tie", "single", "published", "older", "nothing"]
MODELS = ("run", "external")  # origins of rows of models that we scored
DIFFERENCES: Mapping[str, str] = {  # of `find_marks`, as a sentence says them
    "≠ protocol": "another or an unknown protocol",
    "≠ data": "other test or training images",
    "≠ model": "other models",
    "≠ recipe": "another or an unstated recipe",
}
FIRST_MODELS: Mapping[Task, str] = {"segment": "unet", "detect": "yolov8", "landmark": "heatmap"}


@dataclass(frozen=True)
class Finding:
    """What is known of one dataset and task.

    kind: leader, one model ranks first; tie, several do; single, no test compares the model;
    published, there are scores of papers only; older, all results are of older versions; nothing,
    there is neither a model of ours nor of a paper.
    """

    dataset: str
    task: Task
    kind: Kind
    headline: str
    detail: str = ""
    caveats: tuple[str, ...] = ()  # the worst first
    rows: tuple[Row, ...] = ()  # that it is about, the best first
    command: str = ""  # that gives a first result of ours, where there is none

    @property
    def caveat(self) -> str:
        """The worst caveat; "" where there is none."""
        return self.caveats[0] if self.caveats else ""

    @property
    def title(self) -> str:
        """The dataset and what is predicted, for people: usgra · masks."""
        return f"{self.dataset} · {TASK_TITLES[self.task]}"

    @property
    def is_ours(self) -> bool:
        """Whether it rests on more than published scores: on models or people that we scored."""
        return any(row.origin != "published" for row in self.rows)

    @property
    def has_results(self) -> bool:
        """Whether it rests on results of ours: models, whatever their version."""
        return self.kind in ("leader", "tie", "single", "older")


def state_findings(rows: Sequence[Row], datasets: Iterable[DatasetSummary]) -> list[Finding]:
    """A finding for each dataset and task: first those with the most results of ours.

    Then come those where people's agreement is known, then those of published scores alone.

    Args:
        rows: in the order of `build.build_rows`, with their ranks.
        datasets: with their tasks and notes.
    """
    by_name = datasets_by_name(datasets, rows)
    by_task: dict[tuple[str, Task], list[Row]] = defaultdict(list)
    for row in rows:
        by_task[row.dataset, row.task].append(row)
    for dataset in by_name.values():
        for task in dataset.tasks:
            by_task.setdefault((dataset.name, task), [])
    order = {
        (name, task): (-len(reported(part, MODELS)), not reported(part, ("human",)), not part)
        for (name, task), part in by_task.items()
    }
    return [
        state_finding(by_task[name, task], by_name[name], task)
        for name, task in sorted(by_task, key=lambda pair: (order[pair], pair))
    ]


def reported(rows: Iterable[Row], origins: Sequence[str]) -> list[Row]:
    """The rows of some origins that have a score by the protocol that results are reported by."""
    return [
        row
        for row in rows
        if row.origin in origins
        and row.status == "done"
        and row.reporting
        and row.value is not None
    ]


def is_current(row: Row) -> bool:
    """Whether a row is whole, and of today's protocol and adapter."""
    return not (row.old_protocol or row.old_version) and row.has_all_folds


def state_finding(rows: Sequence[Row], dataset: DatasetSummary, task: Task) -> Finding:
    """The finding of one dataset and task. rows: all that there are of it."""
    ours = reported(rows, MODELS)
    current = list(filter(is_current, ours))
    if current:
        finding = state_results(current, rows)
    elif ours:
        finding = state_older(ours)
    else:
        finding = state_without_results(rows, dataset, task)
    if finding.has_results:
        found = caveats.find_caveats(finding.rows, rows, dataset)
        finding = replace(finding, caveats=tuple(found))
    return finding


# ---- results of ours


def state_results(current: Sequence[Row], rows: Sequence[Row]) -> Finding:
    """The finding where there are current results. rows: all of the dataset and task."""
    ranked = largest_comparison(current)
    if not ranked:
        return state_single(current, rows)
    first = [row for row in ranked if row.rank is not None and row.rank[0] == 1]
    kind: Kind = "leader" if len(first) == 1 else "tie"
    if kind == "leader":
        headline = f"{title_row(first[0], ranked)} leads: {score_of(first[0])}"
        details = [describe_places(ranked)]
    else:
        headline = f"{describe_tied(first, ranked)}: {score_range(first)}"
        details = [describe_resolution(first[0])]
    details += [*describe_others(len(ranked), current), *describe_published(first, rows)]
    others = ranked[len(first) :]
    names = [title_row(row, ranked) for row in others]
    details += caveats.describe_unbeaten(others, rows, names)
    return make_finding(kind, headline, details, first)


def make_finding(
    kind: Kind, headline: str, details: Iterable[str], rows: Sequence[Row], command: str = ""
) -> Finding:
    """A finding without its caveats, of the rows' dataset and task."""
    detail = "; ".join(filter(None, details))
    first = rows[0]
    return Finding(first.dataset, first.task, kind, headline, detail, (), tuple(rows), command)


def largest_comparison(rows: Iterable[Row]) -> list[Row]:
    """The ranked rows of the largest group that was compared, by rank; [] where none was.

    Rows on other data or folds are ranked among themselves.
    """
    groups: dict[object, list[Row]] = defaultdict(list)
    for row in rows:
        if row.rank is not None:
            # Rows that were compared share these; the floats tell groups of equal sizes apart.
            tests = (row.ranked, row.compared_groups, row.significant_from, row.resolution)
            groups[row.table, row.fold, row.folds, tests].append(row)
    largest = max(groups.values(), key=len, default=[])
    return sorted(largest, key=lambda row: row.rank or (0, 0))


def state_single(current: Sequence[Row], rows: Sequence[Row]) -> Finding:
    """The finding of a row that no test compares with another."""
    first, *others = current
    name = title_row(first, current)
    older = len(reported(rows, MODELS)) - len(current)
    details = []
    if others:
        headline = f"{name} is the best of {len(current)}, untested: {score_of(first)}"
        details = ["no paired test compares them"]
    else:
        only = "the only current model" if older else "the only model so far"
        headline = f"{name}, {only}: {score_of(first)}"
    if older:
        details.append(f"{format_count(older, 'older result')} unranked")
    return make_finding("single", headline, [*details, *describe_published([first], rows)], current)


def state_older(ours: Sequence[Row]) -> Finding:
    """The finding where every result is of an older version, or lacks folds."""
    first = ours[0]
    headline = f"Older versions only: {title_row(first, ours)} {score_of(first)}"
    detail = f"{format_count(len(ours), 'result')} unranked until trained again"
    if not any(row.old_version or row.old_protocol for row in ours):
        headline = f"Incomplete: {title_row(first, ours)} {score_of(first)}"
        detail = f"{format_count(len(ours), 'result')} unranked until all folds are trained"
    return make_finding("older", headline, [detail], ours)


# ---- people and papers


def state_without_results(rows: Sequence[Row], dataset: DatasetSummary, task: Task) -> Finding:
    """The finding where no model of ours has a score: people, papers, or nothing."""
    published, people = best_published(rows), reported(rows, ("human",))
    command = suggest_command(published, dataset, task)
    kind: Kind = "published" if published else "nothing"
    if people:
        headline = f"No model of ours yet; people agree at {score_of(people[0])}"
        details = ["best published: " + describe_paper(published[0])] if published else []
        return make_finding(kind, headline, details, [*people, *published], command)
    if published:
        found = make_finding(
            kind,
            f"Published only: {describe_paper(published[0])}",
            describe_papers(published),
            published,
            command,
        )
        return replace(found, caveats=tuple(caveats.find_doubts(published[0])))
    failed = sum(row.status != "done" for row in rows)
    detail = f"{format_count(failed, 'run')} failed or skipped" if failed else ""
    return Finding(dataset.name, task, kind, "No result yet", detail, command=command)


def best_published(rows: Iterable[Row]) -> list[Row]:
    """The best published row of each protocol and evaluated data; rows: of one dataset and task."""
    best: dict[object, Row] = {}
    for row in rows:  # the best one of a table comes first
        if row.origin == "published" and row.value is not None:
            best.setdefault((row.protocol, row.split), row)
    return list(best.values())


def suggest_command(published: Iterable[Row], dataset: DatasetSummary, task: Task) -> str:
    """What gives a first result: the model of a published row, else the task's usual one."""
    of_papers = next(filter(None, map(published_command, published)), "")
    if of_papers or dataset.test_only:
        return of_papers
    return f"python -m usbench dataset={dataset.name} source=real model={FIRST_MODELS[task]}"


def describe_published(first: Sequence[Row], rows: Sequence[Row]) -> Iterator[str]:
    """How results compare with published ones, or that they can't be compared.

    Args:
        first: the best rows.
        rows: of the same dataset and task, under every protocol.
    """
    ours = [row for row in rows if row.origin in MODELS and is_current(row)]
    compared = next((row for row in (*first, *ours) if row.delta is not None), None)
    if compared is not None:
        yield describe_agreement(compared)
    elif first[0].marks:
        differences = " and ".join(DIFFERENCES[mark] for mark in first[0].marks)
        yield f"no published score is comparable: {differences}"
