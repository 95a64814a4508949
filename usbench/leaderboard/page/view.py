"""What the leaderboard's page shows, as plain data: pure functions of rows and datasets.

Texts are those of the Markdown; numbers go along for sorting and drawing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TypedDict

from usbench.io.files import JsonObject
from usbench.leaderboard import columns as texts
from usbench.leaderboard import legend
from usbench.leaderboard.caveats import find_caveats, find_doubts
from usbench.leaderboard.commands import RunCommand, other_command
from usbench.leaderboard.findings import Finding
from usbench.leaderboard.page.compare_cases import CardPicture
from usbench.leaderboard.page.sources import Link, find_links, short_title
from usbench.leaderboard.page.table_view import (
    UNKNOWN,
    OriginData,
    Site,
    TableData,
    name_rows,
    origin_data,
    row_key,
    table_data,
)
from usbench.leaderboard.published import DatasetSummary
from usbench.leaderboard.ranking import Comparison
from usbench.leaderboard.rows import Row, transfer_tables
from usbench.results.format import TASK_TITLES

NOTES = {  # kinds of a dataset's notes, the worst first
    "leakage": "Train–test leakage",
    "overlap": "Images that other datasets have too",
    "defect": "Known defects of the release",
    "groups": "Groups",
    "split": "Split",
    "access": "How to get it",
}
MARKS = {
    "≠ protocol": (
        "The published score was computed by another protocol, or by one that wasn't read."
    ),
    "≠ data": (
        "Another split, other training data or other numbers of images than the published row's."
    ),
    "≠ model": "Another model, or another number of parameters, than the published row's.",
    "≠ recipe": (
        "Another training recipe than the published row's, or the paper doesn't state it."
    ),
    "no score in common": "The two rows have no score that both state.",
}


@dataclass(frozen=True)
class PageContent:
    """All that the page shows, beside the catalogue."""

    rows: Sequence[Row]  # in the order of `build.build_rows`, ranked
    datasets: Mapping[str, DatasetSummary]  # by name; every row's is there
    findings: Sequence[Finding]
    links: Mapping[str, str]  # run id → address of its page, relative to the page
    commands: Mapping[str, RunCommand]  # run id → how to run it again
    comparisons: Sequence[Comparison] = ()
    cases: Collection[str] = ()  # dataset/task of those that have a cases.js
    updated: str = ""  # the newest result's day, YYYY-MM-DD; "": not recorded
    pictures: Mapping[str, CardPicture] = field(default_factory=dict)  # dataset/task → its card's


class NoteData(TypedDict):
    """What a reader should know of the data."""

    title: str
    text: str


class TaskData(TypedDict):
    """One dataset's rows of one task: a table for each known protocol."""

    id: str
    dataset: str
    task: str
    name: str  # short
    title: str
    licence: str
    links: list[Link]
    bibtex: str
    caveats: list[str]  # the worst first
    notes: list[NoteData]
    tables: list[TableData]
    origins: dict[str, OriginData]  # by row id
    failed: list[list[str]]  # model, recipe, status, reason
    cases: bool
    run: str  # commands that add a result
    score: str


def page_data(content: PageContent) -> JsonObject:
    """The data of the page."""
    comparisons = {ids: one for one in content.comparisons for ids in one.rows}
    site = Site(content.links, content.commands, comparisons)
    of_task = {
        key: list(part)
        for key, part in groupby(content.rows, key=lambda row: (row.dataset, row.task))
    }
    ordered = [
        finding for finding in content.findings if (finding.dataset, finding.task) in of_task
    ]
    tasks = []
    for finding in ordered:
        rows = of_task[finding.dataset, finding.task]
        dataset = content.datasets[finding.dataset]
        tasks.append(task_data(rows, dataset, finding, site, content.cases))
    return {
        "tasks": tasks,
        "marks": MARKS,
        "transfer": transfer_data(content.rows),
        "glossary": legend.GLOSSARY,
    }


def task_data(
    rows: Sequence[Row],
    dataset: DatasetSummary,
    finding: Finding,
    site: Site,
    cases: Collection[str],
) -> TaskData:
    """One dataset's rows of one task."""
    task, name = rows[0].task, f"{dataset.name}/{rows[0].task}"
    done = [row for row in rows if row.status == "done"]
    site = replace(site, names=name_rows(done))
    return {
        "id": name,
        "dataset": dataset.name,
        "task": TASK_TITLES[task],
        "name": short_title(dataset.title, dataset.name),
        "title": dataset.title or dataset.name,
        "licence": dataset.licence,
        "links": find_links(dataset.citation),
        "bibtex": dataset.bibtex,
        "caveats": list_caveats(done, dataset, finding),
        "notes": list_notes(done, dataset, task),
        "tables": list_tables(done, site),
        "origins": list_origins(done, site),
        "failed": list_failed(rows),
        "cases": name in cases,
        "run": finding.command
        or f"python -m usbench dataset={dataset.name} source=real model=NAME",
        "score": other_command("external", dataset.name, task, "NAME"),
    }


def list_tables(done: Sequence[Row], site: Site) -> list[TableData]:
    """A table of each known protocol and version; one of published rows alone where there is none.

    done: the rows of one dataset and task that have scores.
    """
    unknown = [row for row in done if row.protocol == UNKNOWN]
    known: dict[object, list[Row]] = {}
    for row in done:
        if row.protocol != UNKNOWN:
            known.setdefault((row.protocol, row.version, row.old_protocol), []).append(row)
    tables = [table_data(part, unknown, site) for part in known.values()]
    return tables or ([table_data([], unknown, site)] if unknown else [])


def list_origins(done: Sequence[Row], site: Site) -> dict[str, OriginData]:
    """Where the rows come from, by their id."""
    origins = {}
    for row in done:
        name = site.names[row_key(row)]
        if name not in origins and (origin := origin_data(row, site)):
            origins[name] = origin
    return origins


def list_failed(rows: Sequence[Row]) -> list[list[str]]:
    """Model, recipe and seeds, status and reason of what failed or was skipped."""
    return [
        [row.name, row.recipe_label, ", ".join(map(str, row.seeds)), row.status, row.note]
        for row in rows
        if row.status != "done"
    ]


def list_caveats(rows: Sequence[Row], dataset: DatasetSummary, finding: Finding) -> list[str]:
    """What a reader should know before trusting a table: the finding's caveats first."""
    ours = [row for row in rows if row.origin in ("run", "external") and row.reporting]
    caveats = list(finding.caveats)
    if not caveats and ours:
        caveats = list(find_caveats(ours, rows, dataset))
    if not ours:
        caveats += [text for row in finding.rows for text in find_doubts(row)]
    return list(dict.fromkeys(caveats))


def list_notes(rows: Sequence[Row], dataset: DatasetSummary, task: str) -> list[NoteData]:
    """All notes on the data, the worst first, each once. rows: that have scores."""
    notes = [("leakage", text) for text in (texts.leakage_notes(rows) if rows else ())]
    notes += [(note.kind, note.description) for note in dataset.notes if note.task in ("", task)]
    unique = dict.fromkeys(notes)
    return [
        {"title": title, "text": text}
        for kind, title in NOTES.items()
        for own_kind, text in unique
        if own_kind == kind
    ]


def transfer_data(rows: Sequence[Row]) -> JsonObject:
    """Trained on × tested on, as texts."""
    tables = []
    for table in transfer_tables(rows):
        lines = [
            [*recipe, *map(texts.format_transfer, map(by_dataset.get, table.tested))]
            for recipe, by_dataset in table.lines.items()
        ]
        tables.append({"task": table.task, "tested": table.tested, "lines": lines})
    return {"text": legend.TRANSFER, "tables": tables}
