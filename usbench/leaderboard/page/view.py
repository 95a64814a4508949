"""What the page of the board shows, as plain data: pure functions of rows and datasets.

Words are board_text's, so that the page and the Markdown never disagree; numbers go along for sorting and drawing.
Two protocols never share a table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from usbench.leaderboard.markdown import (
    HEAD,
    NO_LEAK,
    TRANSFER,
    UNSEEN,
    Column,
    class_words,
    classes_of,
    columns,
    failed_columns,
    lead_of,
    others_of,
    protocol_description,
    resolutions,
    tested_words,
)
from usbench.leaderboard.page.commands import Run, of_row
from usbench.leaderboard.published import Dataset, Note
from usbench.leaderboard.rows import Figure, Row, transfers

Data = dict[str, Any]
NOTES = {  # kinds of notes, in their order on the page
    "leakage": "Leak",
    "defect": "Known defects of the release",
    "groups": "Groups",
    "split": "Split",
    "access": "How to get it",
}
MARKS = {
    "≠ protocol": "The published figure was computed by another rule, or by one that wasn't read.",
    "≠ data": "Another split, other training data or other numbers of images than the published row's.",
    "≠ model": "Another model, or another number of parameters, than the published row's.",
    "≠ recipe": "Another training recipe than the published row's, or the paper doesn't state it.",
    "no score in common": "The two rows have no score that both state.",
}


def page(
    board: Sequence[Row],
    datasets: Iterable[Dataset],
    links: Mapping[str, str],
    runs: Mapping[str, Run],
) -> Data:
    """The board's data. board: rows in the order of `leaderboard.rows`; links: a record's key → its result page;
    runs: a record's key → how it is made."""
    known = {dataset.name: dataset for dataset in reversed(list(datasets))}
    tasks = [
        _task(name, task, list(rows), known.get(name, Dataset(name)), links, runs)
        for (name, task), rows in groupby(board, key=lambda row: (row.dataset, row.task))
    ]
    legend = [line.removeprefix("- ") for line in HEAD.splitlines() if line.startswith("- ")]
    return {
        "tasks": tasks,
        "start": _start(board),
        "marks": MARKS,
        "legend": legend,
        "transfers": _transfers(board),
    }


def _start(board: Sequence[Row]) -> str:
    """Where a reader begins: where most results of ours stand."""
    counts: dict[str, int] = {}
    for row in board:
        counts[f"{row.dataset}/{row.task}"] = counts.get(f"{row.dataset}/{row.task}", 0) + (
            row.origin == "run"
        )
    return max(counts, key=lambda name: counts[name], default="")


def _task(
    name: str,
    task: str,
    rows: list[Row],
    dataset: Dataset,
    links: Mapping[str, str],
    runs: Mapping[str, Run],
) -> Data:
    """One dataset's rows of one task: a table for each protocol, then what failed."""
    tables = [list(of_table) for _, of_table in groupby(rows, key=lambda row: row.table)]
    notes = [note for note in dataset.notes if note.task in ("", task)]
    return {
        "id": f"{name}/{task}",
        "dataset": name,
        "task": task,
        "title": dataset.title,
        "licence": dataset.licence,
        "citation": dataset.citation,
        "notes": [_note(note) for kind in NOTES for note in notes if note.kind == kind],
        "tables": [
            _without(
                (_table if table[0].status == "done" else _failed)(
                    f"{name}-{task}-{n}", table, links, runs
                ),
                {note.description for note in notes},
            )
            for n, table in enumerate(tables)
        ],
    }


def _note(note: Note) -> Data:
    return {"kind": note.kind, "title": NOTES[note.kind], "words": note.description}


def _table(name: str, rows: list[Row], links: Mapping[str, str], runs: Mapping[str, Run]) -> Data:
    """The rows of one protocol on one set of images."""
    first, lead, classes = rows[0], lead_of(rows), classes_of(rows)
    shown = [_column(column, rows, lead) for column in columns(rows)]
    filled = [column for column in shown if any(column["words"])]
    return {
        "id": name,
        "failed": False,
        "protocol": first.protocol,
        "title": _title(first),
        "own": first.own and not first.old,
        "words": protocol_description(rows) or UNSEEN,
        "lead": lead,
        "higher": first.higher,
        "columns": [{k: column[k] for k in ("title", "kind")} for column in filled],
        "classes": classes,
        "notes": [
            *({"kind": "resolution", "words": words} for words in resolutions(rows)),
            *(
                {"kind": "leak", "words": text}
                for text in dict.fromkeys(row.leakage_description for row in rows)
                if text
            ),
        ],
        "rows": [
            _row(row, n, filled, links, runs)
            | _numbers(row, lead)
            | (
                {"classes": [_class(row, one) for one in classes]}
                if row.per_class and classes
                else {}
            )
            for n, row in enumerate(rows)
        ],
    }


def _without(table: Data, said: set[str]) -> Data:
    """A table without the notes that its dataset has already."""
    return {
        **table,
        "notes": [note for note in table.get("notes", ()) if note["words"] not in said],
    }


def _title(row: Row) -> str:
    """A table's protocol and the images it stands on."""
    version = "" if row.version is None else f" {row.version}"
    old = " (old protocol)" if row.old else ""
    return f"{row.protocol}{version}{old}" + (
        "" if row.split == "test" else f", evaluated on: {row.split}"
    )


def _failed(name: str, rows: list[Row], links: Mapping[str, str], runs: Mapping[str, Run]) -> Data:
    """Cells without a score."""
    shown = [_column(column, rows, "") for column in failed_columns()]
    filled = [column for column in shown if any(column["words"])]
    titles = [{k: column[k] for k in ("title", "kind")} for column in filled]
    told = [_row(row, n, filled, links, runs) for n, row in enumerate(rows)]
    return {
        "id": name,
        "failed": True,
        "title": "Failed or skipped",
        "columns": titles,
        "rows": told,
    }


def _column(column: Column, rows: list[Row], lead: str) -> Data:
    """A column's title, what it is sorted by, and every row's words and number."""
    header, words = column
    title = header.strip("*")
    number = _sorted_by(title, lead, rows)
    return {
        "title": title,
        "kind": "lead" if header.startswith("**") else "number" if number else "words",
        "words": [words(row) for row in rows],
        "numbers": [number(row) if number else None for row in rows],
    }


def _sorted_by(title: str, lead: str, rows: list[Row]) -> Any:
    """What a column's rows are sorted by, where it isn't their words: a function of a row."""
    plain = {
        "rank": lambda row: row.rank[0] if row.rank else None,
        "target_score": lambda row: row.target_score,
        "seeds": lambda row: len(row.seeds) or None,
        "groups": lambda row: row.scores[row.primary].groups if row.primary in row.scores else None,
        "parameters": lambda row: row.parameters,
        "per image": _latency,
        "training h": lambda row: row.hours if row.own else None,
        "Δ published": lambda row: row.delta,
    }
    scores = {name: name for name in (lead, *others_of(rows))} if lead else {}
    scores |= {f"{lead}, no leak": lead + NO_LEAK} if lead else {}
    if title in scores:
        return lambda row: _mean(row.scores.get(scores[title]))
    return plain.get(title)


def _mean(figure: Figure | None) -> float | None:
    return None if figure is None else figure.mean


def _latency(row: Row) -> float | None:
    """Milliseconds of one image, the median."""
    return float(row.cost["latency_ms"]["p50"]) if row.cost and row.own else None


def _round(value: float | None) -> float | None:
    """Six digits, as in the CSV."""
    return None if value is None else float(f"{value + 0.0:.6g}")


def _numbers(row: Row, lead: str) -> Data:
    """What is drawn of a row: its score with interval and seeds, and what it costs."""
    figure = row.scores.get(lead)
    drawn: Data = {"value": None}
    if figure is not None:
        drawn = {
            "value": _round(figure.mean),
            "low": _round(figure.low),
            "high": _round(figure.high),
        }
        drawn["dots"] = [_round(value) for value in figure.values] if len(figure.values) > 1 else []
    drawn |= {"target_score": _round(row.target_score), "parameters": row.parameters}
    drawn |= {"hours": _round(row.hours) if row.own else None, "ms": _round(_latency(row))}
    drawn["on"] = row.cost["on"] if row.cost and row.own else None
    return {name: value for name, value in drawn.items() if value not in (None, [])}


def _class(row: Row, name: str) -> tuple[float | None, str] | None:
    figure = row.per_class.get(name)
    return None if figure is None else (_round(figure.mean), class_words(row, name))


def _row(
    row: Row, place: int, filled: list[Data], links: Mapping[str, str], runs: Mapping[str, Run]
) -> Data:
    """A row's words and numbers by column, and where it comes from. place: among the rows of its table."""
    made = {
        "origin": row.origin,
        "name": row.name,
        "recipe": row.recipe or "",
        "words": [column["words"][place] for column in filled],
        "numbers": [_round(column["numbers"][place]) for column in filled],
        "marks": list(row.marks),
        "folds": row.pooled or bool(row.folds),
        "runs": _runs(row, links, runs),
        "command": of_row(row, runs),
    }
    return {name: value for name, value in made.items() if value not in ("", [], False)}


def _runs(row: Row, links: Mapping[str, str], runs: Mapping[str, Run]) -> list[Data]:
    """The records of a row: what tells each from the others, its key, its page, and whether it can be done again."""
    found = []
    for key in row.keys:
        run = runs.get(key, Run(None))
        told = [
            f"{what} {n}" for what, n in (("seed", run.seed), ("fold", run.fold)) if n is not None
        ]
        one = {
            "key": key,
            "label": ", ".join(told) or row.name,
            "href": links.get(key),
            "again": run.again,
        }
        found.append({name: value for name, value in one.items() if value})
    return found


def _transfers(board: Sequence[Row]) -> Data:
    """Trained on × tested on, in words."""
    tables = [
        {
            "task": one.task,
            "tested": list(one.tested),
            "lines": [
                [model, recipe, where, *map(tested_words, cells)]
                for model, recipe, where, cells in one.lines
            ],
        }
        for one in transfers(board)
    ]
    return {"words": TRANSFER, "tables": tables}
