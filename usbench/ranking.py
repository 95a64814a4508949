"""Rows of the board → the same rows with the range of ranks that paired tests leave each, from case tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from usbench import comparison, results
from usbench.board import Row
from usbench.console import track

Records = Mapping[str, Mapping[str, Any]]  # by key


def ranked(board: Sequence[Row], records: Sequence[Mapping[str, Any]], folder: Path) -> list[Row]:
    """The board in its order. folder: where the records and their case tables lie.

    Compared are rows of ours and external ones under the ruler of their dataset, on the same data and fold; the others,
    and a row that nothing can be compared with, keep no rank.
    """
    known = {record["key"]: record for record in records}
    tables: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for place, row in enumerate(board):
        if is_ranked(row, known):
            data = known[row.keys[0]]["data"]["fingerprint"]
            tables[row.dataset, row.task, row.table, row.fold, data].append(place)
    found = list(board)
    several = [places for places in tables.values() if len(places) > 1]
    for places in track(several, "ranking", len(several)):
        for place, row in zip(places, compared([board[n] for n in places], known, folder), strict=True):
            found[place] = row
    return found


def is_ranked(row: Row, known: Records) -> bool:
    """Whether a row takes part in a comparison."""
    if row.status != "done" or row.origin not in ("run", "external") or not row.own or row.old:
        return False
    return all(known[key].get("cases") for key in row.keys)


def compared(rows: Sequence[Row], known: Records, folder: Path) -> list[Row]:
    """Rows of one table, all on the same cases, with ranks."""
    names = [str(place) for place, row in enumerate(rows) for _ in row.keys]
    paths = [results.record_path(folder, known[key]) for row in rows for key in row.keys]
    tables = [comparison.cases(path) for path in paths]
    models = comparison.measured(rows[0].task, names, tables)
    told = comparison.compared(models, comparison.groups_of(tables[0]), rows[0].higher)
    places = dict(zip(told.models, told.ranks, strict=True))
    return [
        replace(row, rank=places[str(place)], ranked=len(rows), resolution=told.resolution)
        for place, row in enumerate(rows)
    ]
