"""The leaderboard for people: rows → Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from usbench.leaderboard import legend
from usbench.leaderboard.columns import (
    FilledColumn,
    class_columns,
    failed_columns,
    fill_columns,
    format_transfer,
    leakage_notes,
    protocol_description,
    resolution_notes,
    score_columns,
    table_title,
)
from usbench.leaderboard.published import Dataset
from usbench.leaderboard.rows import Row, transfer_tables


def to_markdown(rows: Sequence[Row], datasets: Iterable[Dataset], phantom: bool = False) -> str:
    """The leaderboard as Markdown.

    Args:
        rows: in the order of `build.build_rows`.
        datasets: for titles, licences and citations.
        phantom: whether the rows are of phantoms.
    """
    by_name = {dataset.name: dataset for dataset in reversed(list(datasets))}
    lines = head(phantom)
    for name, dataset_rows in groupby(rows, key=lambda row: row.dataset):
        lines += dataset_head(by_name.get(name, Dataset(name)), phantom)
        for task, task_rows in groupby(dataset_rows, key=lambda row: row.task):
            lines += [f"### {name} · {task}", ""]
            for _, table_rows in groupby(task_rows, key=lambda row: row.table):
                lines += table_section(list(table_rows))
    lines += transfer_section(rows)
    if not rows:
        lines += ["No result yet.", ""]
    return "\n".join(lines).replace("\n\n\n", "\n\n")


def head(phantom: bool) -> list[str]:
    """Title, introduction and legend."""
    title = legend.PHANTOM_TITLE if phantom else legend.TITLE
    text = legend.PHANTOM_INTRODUCTION if phantom else legend.INTRODUCTION
    items = legend.PHANTOM_LEGEND if phantom else legend.LEGEND
    return [f"# {title}", "", text, "", *(f"- {item}" for item in items), ""]


def dataset_head(dataset: Dataset, phantom: bool) -> list[str]:
    """The heading of a dataset, with its licence and citation where its own images are shown."""
    title = f"{dataset.name}: {escape(dataset.title)}" if dataset.title else dataset.name
    terms = []
    if dataset.licence and not phantom:
        terms.append(f"Licence: {escape(dataset.licence)}")
    if dataset.citation and not phantom:
        terms.append(f"Cite: {escape(dataset.citation)}")
    return [f"## {title}", "", " · ".join(terms), ""]


def table_section(rows: Sequence[Row]) -> list[str]:
    """The rows of one protocol with its description, or those without a score."""
    if rows[0].status != "done":
        table = fill_columns(failed_columns(), rows)
        return ["**Failed or skipped**", "", *format_table(table), ""]
    protocol, suffix = table_title(rows[0])
    description = protocol_description(rows)
    notes = [
        f"Protocol: {escape(description)}" if description else legend.NO_RESULT_BY_PROTOCOL,
        *resolution_notes(rows),
        *(f"Leakage: {escape(text)}" for text in leakage_notes(rows)),
    ]
    title = escape(f"`{protocol}`{suffix}")
    lines = [f"**Protocol {title}**", ""]
    lines += format_table(fill_columns(score_columns(rows), rows))
    lines += class_section(rows)
    for note in notes:
        lines += ["", note]
    return [*lines, ""]


def class_section(rows: Sequence[Row]) -> list[str]:
    """The primary score by class, where that says more than the overall score."""
    with_classes = [row for row in rows if row.per_class]
    table = fill_columns(class_columns(rows), with_classes)
    if not table:
        return []
    return ["", f"Per class, {with_classes[0].primary}:", "", *format_table(table)]


def transfer_section(rows: Sequence[Row]) -> list[str]:
    """The tables of trained on × tested on; [] where nothing was scored on another dataset."""
    tables = transfer_tables(rows)
    if not tables:
        return []
    lines = ["## Transfer", "", legend.TRANSFER, ""]
    for table in tables:
        titles = ["model", "recipe", "trained on", *(f"on {name}" for name in table.tested)]
        lines += [f"### {table.task}", "", table_line(titles), "|" + "---|" * len(titles)]
        for line in table.lines:
            cells = [line.model, line.recipe, line.trained_on, *map(format_transfer, line.rows)]
            lines.append(table_line(map(escape, cells)))
        lines.append("")
    return lines


def format_table(table: Sequence[FilledColumn]) -> list[str]:
    """The lines of a Markdown table."""
    titles = []
    for filled in table:
        title = escape(filled.column.title)
        titles.append(f"**{title}**" if filled.column.is_main else title)
    lines = [table_line(titles), "|" + "---|" * len(table)]
    for texts in zip(*(filled.texts for filled in table), strict=True):
        lines.append(table_line(map(escape, texts)))
    return lines


def table_line(cells: Iterable[str]) -> str:
    """One line of a Markdown table. cells: escaped texts."""
    return "| " + " | ".join(cells) + " |"


def escape(text: str) -> str:
    """Text that can't break out of a Markdown cell."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
