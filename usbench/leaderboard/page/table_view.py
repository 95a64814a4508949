"""One table of the page: the rows of one protocol, with published rows whose protocol is unknown.

Published rows of an unknown protocol stand in every table of their dataset and task, marked so and
never ranked; scores of two known protocols never share a table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NotRequired, TypedDict, cast

from usbench.io.files import JsonObject
from usbench.io.numbers import format_count
from usbench.leaderboard import columns as texts
from usbench.leaderboard.commands import (
    RunCommand,
    command_notes,
    reproduce_command,
    row_command,
)
from usbench.leaderboard.page.comparison_view import ComparisonData, comparison_data
from usbench.leaderboard.page.sources import Link, find_links, iterate_slugs, short_source
from usbench.leaderboard.page.table_columns import PageColumn, page_columns
from usbench.leaderboard.ranking import Comparison
from usbench.leaderboard.rows import Row, RowScore
from usbench.metrics.pairs import PROTOCOLS
from usbench.results.format import format_value, score_title

UNKNOWN = "unknown"  # name of the protocol of scores whose evaluator wasn't read
Numbers = list[float | None]


@dataclass(frozen=True)
class Site:
    """What the rows' results are beside the rows."""

    links: Mapping[str, str]  # run id → address of its page, relative to the page
    commands: Mapping[str, RunCommand]  # run id → how to run it again
    comparisons: Mapping[tuple[str, ...], Comparison]  # a row's run ids → the tests that it is in
    names: Mapping[object, str] = field(default_factory=dict)  # `row_key` of a row → its id


class Badge(TypedDict):
    """A word on a row, with what it means."""

    text: str
    tip: str


class ColumnData(TypedDict):
    """A column: see `PageColumn`."""

    key: str
    title: str
    tip: str
    kind: str
    shown: bool


class RunData(TypedDict):
    """One result of a row."""

    id: str
    label: str
    href: NotRequired[str]
    reproduce: NotRequired[str]


class OriginData(TypedDict):
    """The results that a row is of and how to make it again; the same in all tables."""

    runs: NotRequired[list[RunData]]
    command: NotRequired[str]
    notes: NotRequired[list[str]]  # what words in the commands stand for


class RowData(TypedDict):
    """A row: texts and numbers by column, and what is drawn of it."""

    id: str
    origin: str
    name: str
    texts: list[str]
    numbers: Numbers  # of the columns; null where the text sorts
    sub: NotRequired[str]  # recipe, or the paper
    badges: NotRequired[list[Badge]]
    interval: NotRequired[Numbers]  # low, value, high
    dots: NotRequired[Numbers]  # of the seeds
    clean: NotRequired[JsonObject]  # without leaking images: text, interval
    classes: NotRequired[list[Numbers | None]]  # low, value, high of each class
    cost: NotRequired[JsonObject]  # parameters; ms on a machine
    difference: NotRequired[str]
    marks: NotRequired[list[str]]
    links: NotRequired[list[Link]]


class TableData(TypedDict):
    """A table and all that is said of it."""

    id: str
    label: str
    summary: str
    description: str
    score: str
    higher: bool
    classes: list[str]
    columns: list[ColumnData]
    rows: list[RowData]
    without: str  # which images the switch leaves out; "": no such scores
    comparisons: list[ComparisonData]


def table_data(rows: Sequence[Row], unknown: Sequence[Row], site: Site) -> TableData:
    """The table of one protocol.

    Args:
        rows: of one protocol and version, on any evaluated data; [] for a table of `unknown` alone.
        unknown: published rows of the same dataset and task, of an unknown protocol.
        site: pages, commands and tests.
    """
    merged = sorted([*rows, *unknown], key=place_in_table)
    first = (rows or unknown)[0]
    columns = page_columns(merged)
    classes = texts.table_classes(merged)
    main = texts.main_score_of(merged)
    ids = [site.names[row_key(row)] for row in merged]
    drawn = [
        row_data(row, row_id, columns, classes, main)
        for row, row_id in zip(merged, ids, strict=True)
    ]
    protocol = PROTOCOLS[first.task].get(first.protocol)
    leaking = max(row.leakage for row in merged)
    has_clean = any("clean" in row for row in drawn)
    return {
        "id": f"{first.protocol}-{first.version}" if first.old_protocol else first.protocol,
        "label": "".join(texts.table_title(replace(first, split="test"))),
        "summary": protocol.summary if protocol else "",
        "description": texts.protocol_description(rows or unknown),
        "score": score_title(main),
        "higher": texts.ours_first(merged)[0].higher_is_better,
        "classes": classes,
        "columns": [column_data(column) for column in columns],
        "rows": drawn,
        "without": f"without {format_count(leaking, 'leaking image')}" if has_clean else "",
        "comparisons": comparison_data(merged, ids, site.comparisons),
    }


def row_key(row: Row) -> object:
    """What tells a row from the others of its dataset and task, whatever the protocol."""
    return row.run_ids or (row.protocol, row.split, row.name, row.source, row.note)


def name_rows(rows: Sequence[Row]) -> dict[object, str]:
    """`row_key` → an id for addresses: a run id, or a published row's name."""
    keys = {row_key(row): row.run_ids[0] if row.run_ids else row.name for row in rows}
    return dict(zip(keys, iterate_slugs(list(keys.values())), strict=True))


def place_in_table(row: Row) -> tuple[object, ...]:
    """The best first; below them older versions and rows that lack folds, then baselines."""
    loss = math.inf
    if row.value is not None:
        loss = -row.value if row.higher_is_better else row.value
    is_stale = row.old_version or not row.has_all_folds
    return (row.origin == "baseline", is_stale, loss, row.name, row.recipe or "", row.run_ids)


def column_data(column: PageColumn) -> ColumnData:
    """A column without its functions."""
    return {
        "key": column.key,
        "title": column.title,
        "tip": column.tip,
        "kind": column.kind,
        "shown": column.is_shown,
    }


def row_data(
    row: Row,
    row_id: str,
    columns: Sequence[PageColumn],
    classes: Sequence[str],
    main: str,
) -> RowData:
    """One row. row_id: see `Site.names`; main: the score that the table is sorted by."""
    data: JsonObject = {
        "id": row_id,
        "origin": row.origin,
        "name": row.name,
        "sub": short_source(row.source) if row.origin == "published" else row.recipe_label,
        "badges": list_badges(row),
        "texts": [column.text(row) for column in columns],
        "numbers": [rounded(column.number(row)) if column.number else None for column in columns],
        "links": find_links(row.source),
        "marks": list(row.marks),
        "difference": texts.format_difference(row),
        **drawing_data(row, classes, main),
    }
    always = ("id", "origin", "name", "texts", "numbers")
    kept = {name: value for name, value in data.items() if value or name in always}
    return cast(RowData, kept)


def drawing_data(row: Row, classes: Sequence[str], main: str) -> JsonObject:
    """What is drawn of a row: its score, seeds, classes and cost."""
    score = row.scores.get(main, RowScore(()))
    clean = row.scores.get(main + texts.NO_LEAKAGE)
    cost = {
        "parameters": row.parameters,
        "ms": rounded(texts.latency_ms(row)),
        "on": row.cost.on if row.cost and row.reporting else None,
    }
    by_class = [row.per_class.get(label) for label in classes]
    return {
        "interval": interval_data(score),
        "dots": list(map(rounded, score.values)) if len(score.values) > 1 else [],
        "clean": clean_data(clean, main),
        "classes": [part and interval_data(part) for part in by_class] if any(by_class) else [],
        "cost": {name: value for name, value in cost.items() if value is not None},
    }


def clean_data(score: RowScore | None, main: str) -> JsonObject:
    """A score without leaking images; {} where there is none."""
    if score is None or score.value is None:
        return {}
    return {"text": format_value(score.value, main), "interval": interval_data(score)}


def interval_data(score: RowScore) -> Numbers:
    """Low end, value and high end; [] without a value."""
    return [] if score.value is None else list(map(rounded, (score.low, score.value, score.high)))


def origin_data(row: Row, site: Site) -> OriginData:
    """Where a row comes from; {} where nothing is known."""
    origin: OriginData = {}
    if row.run_ids:
        origin["runs"] = [run_data(row, run_id, site) for run_id in row.run_ids]
    if command := row_command(row, site.commands):
        origin["command"] = command
    if notes := command_notes(row.run_ids, site.commands):
        origin["notes"] = notes
    return origin


def run_data(row: Row, run_id: str, site: Site) -> RunData:
    """One result: what tells it from the others, its page, whether it can be run again."""
    command = site.commands.get(run_id, RunCommand(None))
    numbers = (("seed", command.seed), ("fold", command.fold))
    parts = [f"{name} {number}" for name, number in numbers if number is not None]
    run: RunData = {"id": run_id, "label": ", ".join(parts) or row.name}
    if run_id in site.links:
        run["href"] = site.links[run_id]
    if command.reproducible:
        run["reproduce"] = reproduce_command(run_id, command)
    return run


def list_badges(row: Row) -> list[Badge]:
    """What keeps a row from a rank, or a reader from comparing it."""
    badges: list[Badge] = []
    if row.origin == "published" and row.protocol == UNKNOWN:
        tip = "The evaluator behind this score wasn't read, so no difference to it is shown."
        badges.append({"text": "protocol unknown", "tip": tip})
    if row.split != "test":
        badges.append({"text": "other images", "tip": f"Evaluated on: {row.split}."})
    if row.trained_on:
        badges.append({"text": f"trained on {row.trained_on}", "tip": "Not trained on this data."})
    if row.old_version:
        tip = "Trained by an older version of the model's adapter; unranked until trained again."
        badges.append({"text": "older version", "tip": tip})
    if row.folds and not row.has_all_folds:
        text = f"{row.folds[0]} of {row.folds[1]} folds"
        badges.append({"text": text, "tip": "Unranked until all folds have finished."})
    if len(row.seeds) < row.seeds_begun:
        text = f"{len(row.seeds)} of {row.seeds_begun} seeds"
        badges.append({"text": text, "tip": "The other seeds failed or lack folds."})
    return badges


def rounded(value: float | None) -> float | None:
    """Four significant digits, enough to draw and sort."""
    return None if value is None else float(f"{value + 0.0:.4g}")
