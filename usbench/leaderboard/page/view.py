"""What the leaderboard's page shows, as plain data: pure functions of rows and datasets.

The texts are those of columns.py, as in the Markdown; numbers go along for sorting and drawing.
Scores from different protocols never share a table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter

from usbench.io.files import JsonObject
from usbench.leaderboard import legend
from usbench.leaderboard.columns import (
    Column,
    comparison_notes,
    custom_direction,
    custom_scores,
    custom_title,
    failed_columns,
    fill_columns,
    format_class,
    format_transfer,
    latency_ms,
    leakage_notes,
    main_score_of,
    protocol_description,
    score_columns,
    shown_hours,
    table_classes,
    table_title,
)
from usbench.leaderboard.page.commands import (
    RunCommand,
    command_notes,
    reproduce_command,
    row_command,
)
from usbench.leaderboard.published import DatasetSummary, datasets_by_name
from usbench.leaderboard.rows import Row, RowScore, transfer_tables

Links = Mapping[str, str]  # run id → address of its page
Commands = Mapping[str, RunCommand]  # run id → how to run it again
NOTES = {  # kinds of notes, in their order on the page
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


def page_data(
    rows: Sequence[Row], datasets: Iterable[DatasetSummary], links: Links, commands: Commands
) -> JsonObject:
    """The data of the page; the arguments are `index.render_index`'s."""
    by_name = datasets_by_name(datasets, rows)
    tasks = [
        task_data(list(task_rows), by_name[name], links, commands)
        for (name, _), task_rows in groupby(rows, key=lambda row: (row.dataset, row.task))
    ]
    ours = Counter(f"{row.dataset}/{row.task}" for row in rows if row.origin == "run")
    return {
        "tasks": tasks,
        "start": max(ours, key=lambda name: ours[name], default=tasks[0]["id"] if tasks else ""),
        "marks": MARKS,
        "legend": legend.LEGEND,
        "transfer": transfer_data(rows),
    }


def task_data(
    rows: Sequence[Row], dataset: DatasetSummary, links: Links, commands: Commands
) -> JsonObject:
    """One dataset's rows of one task: a table for each protocol, then what failed."""
    task = rows[0].task
    notes = []
    for kind, title in NOTES.items():
        for note in dataset.notes:
            if note.kind == kind and note.task in ("", task):
                notes.append({"kind": kind, "title": title, "text": note.description})
    known = set(map(itemgetter("text"), notes))
    tables = [
        {"id": f"{dataset.name}-{task}-{number}", **table_data(list(part), known, links, commands)}
        for number, (_, part) in enumerate(groupby(rows, key=lambda row: row.table))
    ]
    return {
        "id": f"{dataset.name}/{task}",
        "dataset": dataset.name,
        "task": task,
        "title": dataset.title,
        "licence": dataset.licence,
        "citation": dataset.citation,
        "notes": notes,
        "tables": tables,
    }


def table_data(
    rows: Sequence[Row], known: Container[str], links: Links, commands: Commands
) -> JsonObject:
    """The rows of one protocol on one set of images, or those without a score.

    known: notes that stand above the table already.
    """
    failed = rows[0].status != "done"
    columns = fill_columns(failed_columns() if failed else score_columns(rows), rows)
    titles = []
    for column in columns:
        kind = "text" if column.number is None else "number"
        kind = "main" if column.is_main else "custom" if column.is_custom else kind
        titles.append({"title": column.title, "kind": kind})
    drawn = [row_data(row, place, columns, links, commands) for place, row in enumerate(rows)]
    data: JsonObject = {
        "failed": failed,
        "title": "Failed or skipped",
        "columns": titles,
        "notes": [],
        "rows": drawn,
    }
    if failed:
        return data
    first, score, classes = rows[0], main_score_of(rows), table_classes(rows)
    for row_of_page, row in zip(drawn, rows, strict=True):
        row_of_page |= numbers_data(row, score)
        if row.per_class and classes:
            row_of_page["classes"] = [class_data(row, label) for label in classes]
        for custom in custom_scores(rows):
            labels = table_classes(rows, custom)
            if labels and row.classes_of(custom):
                by_class = [class_data(row, label, custom) for label in labels]
                row_of_page.setdefault("custom", {})[custom] = by_class
    notes = []
    for kind, texts in (("comparison", comparison_notes(rows)), ("leakage", leakage_notes(rows))):
        notes += [{"kind": kind, "text": text} for text in texts if text not in known]
    return data | {
        "protocol": first.protocol,
        "title": "".join(table_title(first)),
        "reporting": first.reporting and not first.old_protocol,
        "description": protocol_description(rows) or legend.NO_RESULT_BY_PROTOCOL,
        "score": score,
        "higher_is_better": first.higher_is_better,
        "classes": classes,
        "custom": custom_data(rows),
        "notes": notes,
    }


def custom_data(rows: Sequence[Row]) -> JsonObject:
    """The custom scores that have classes: name → title, direction and classes."""
    data: JsonObject = {}
    for name in custom_scores(rows):
        if classes := table_classes(rows, name):
            data[name] = {
                "title": custom_title(rows, name),
                "higher_is_better": custom_direction(rows, name),
                "classes": classes,
            }
    return data


def row_data(
    row: Row, place: int, columns: Sequence[Column], links: Links, commands: Commands
) -> JsonObject:
    """A row's texts and numbers by column, and where it comes from. place: in its table."""
    texts = [column.texts[place] for column in columns]
    numbers = [column.number and rounded(column.number(row)) for column in columns]
    runs = [run_data(row, run_id, links, commands) for run_id in row.run_ids]
    return without_none(
        {
            "origin": row.origin,
            "name": row.name,
            "recipe": row.recipe_label or None,
            "texts": texts,
            "numbers": numbers,
            "marks": row.marks or None,
            "folds": row.pooled or bool(row.folds) or None,
            "runs": runs or None,
            "command": row_command(row, commands) or None,
            "command_notes": command_notes(row.run_ids, commands) or None,
        }
    )


def run_data(row: Row, run_id: str, links: Links, commands: Commands) -> JsonObject:
    """One result of a row: what tells it from the others, its page, whether it can be run again."""
    command = commands.get(run_id, RunCommand(None))
    numbers = (("seed", command.seed), ("fold", command.fold))
    parts = [f"{name} {number}" for name, number in numbers if number is not None]
    return without_none(
        {
            "run_id": run_id,
            "label": ", ".join(parts) or row.name,
            "href": links.get(run_id),
            "reproduce": reproduce_command(run_id, command) if command.reproducible else None,
        }
    )


def numbers_data(row: Row, score: str) -> JsonObject:
    """What is drawn of a row: its score with interval and seeds, and what it costs."""
    figure = row.scores.get(score, RowScore(()))
    return without_none(
        {
            "target_score": rounded(row.target_score),
            "parameters": row.parameters,
            "hours": rounded(shown_hours(row)),
            "ms": rounded(latency_ms(row)),
            "machine": row.cost.on if row.cost and row.reporting else None,
            "value": rounded(figure.value),
            "low": rounded(figure.low),
            "high": rounded(figure.high),
            "dots": list(map(rounded, figure.values)) if len(figure.values) > 1 else None,
        }
    )


def without_none(data: JsonObject) -> JsonObject:
    """The entries that have a value."""
    return {name: value for name, value in data.items() if value is not None}


def class_data(row: Row, label: str, custom: str = "") -> tuple[float | None, str] | None:
    """(number, text) of one class; None where the row doesn't have it. custom: see `classes_of`."""
    score = row.classes_of(custom).get(label)
    return None if score is None else (rounded(score.value), format_class(row, label, custom))


def rounded(value: float | None) -> float | None:
    """Six significant digits, as in the CSV."""
    return None if value is None else float(f"{value + 0.0:.6g}")


def transfer_data(rows: Sequence[Row]) -> JsonObject:
    """Trained on × tested on, as texts."""
    tables = []
    for table in transfer_tables(rows):
        lines = [
            [*recipe, *map(format_transfer, map(by_dataset.get, table.tested))]
            for recipe, by_dataset in table.lines.items()
        ]
        tables.append({"task": table.task, "tested": table.tested, "lines": lines})
    return {"text": legend.TRANSFER, "tables": tables}
