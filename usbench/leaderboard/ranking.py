"""Rows of the board → the same rows with the range of ranks that paired tests leave each, from case tables.

A pair's test is kept by the sha256 of the case tables that it was computed from, so a board whose tables are all known
opens none of them but to take their sha256.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

from usbench.io.console import track
from usbench.leaderboard import cache, comparison
from usbench.leaderboard.cache import Cache
from usbench.leaderboard.rows import Row
from usbench.metrics import paired
from usbench.metrics.bootstrap import draw
from usbench.results import store as results

Records = Mapping[str, Mapping[str, Any]]  # by key
Pair = dict[str, Any]  # {scores: {table's name: score}, se, p}


def ranked(
    board: Sequence[Row],
    records: Sequence[Mapping[str, Any]],
    folder: Path,
    kept: Cache | None = None,
) -> list[Row]:
    """The board in its order. folder: where the records and their case tables lie; kept: pairs that are known.

    Compared are rows of ours and external ones under the protocol of their dataset, on the same data and fold or set of
    folds; the others, and a row that nothing can be compared with, keep no rank.
    """
    known = {record["run_id"]: record for record in records}
    tables: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for place, row in enumerate(board):
        if is_ranked(row, known):
            data = tuple(known[key]["data"]["fingerprint"] for key in row.parts[0])
            tables[row.dataset, row.task, row.table, row.fold, data].append(place)
    found = list(board)
    several = [places for places in tables.values() if len(places) > 1]
    for places in track(several, "ranking", len(several)):
        for place, row in zip(
            places,
            compared([board[n] for n in places], known, folder, kept or Cache()),
            strict=True,
        ):
            found[place] = row
    return found


def is_ranked(row: Row, known: Records) -> bool:
    """Whether a row takes part in a comparison."""
    if row.status != "done" or row.origin not in ("run", "external") or not row.own or row.old:
        return False
    if not row.whole or (row.folds and not row.pooled):
        return False
    return all(known[key].get("cases") for key in row.keys)


def compared(rows: Sequence[Row], known: Records, folder: Path, kept: Cache) -> list[Row]:
    """Rows of one table, all on the same cases, with ranks."""
    names = [named(row, known, folder) for row in rows]
    # of masks every table says which cases count
    context = [rows[0].task, rows[0].higher, *(sorted(names) if rows[0].task == "segment" else ())]
    keys = {
        (a, b): cache.key(*context, sorted((names[a], names[b])))
        for a, b in combinations(range(len(rows)), 2)
    }
    found: dict[tuple[int, int], Pair | None] = {pair: kept.get(key) for pair, key in keys.items()}
    new = [pair for pair, entry in found.items() if entry is None]
    if new:
        for pair, entry in tested(rows, names, new, known, folder):
            found[pair] = entry
            kept.put(keys[pair], entry)
    return placed(rows, names, {pair: entry for pair, entry in found.items() if entry is not None})


def named(row: Row, known: Records, folder: Path) -> str:
    """What a row's case tables are called: sha256 of theirs, in order. DataError where one isn't its record's."""
    paths = [[results.record_path(folder, known[key]) for key in part] for part in row.parts]
    digests = [
        [results.cases_digest(path, known[key]) for path, key in zip(of_seed, part, strict=True)]
        for of_seed, part in zip(paths, row.parts, strict=True)
    ]
    return cache.key(digests)


def tested(
    rows: Sequence[Row],
    names: Sequence[str],
    pairs: Sequence[tuple[int, int]],
    known: Records,
    folder: Path,
) -> Iterator[tuple[tuple[int, int], Pair]]:
    """The pairs (numbers of rows), each with its test: the better one minus the other."""
    first = next(tables(rows, known, folder))
    owners = [str(place) for place, row in enumerate(rows) for _ in row.parts]
    models = comparison.measured(rows[0].task, owners, tables(rows, known, folder))
    draws = draw(comparison.groups_of(first))
    scores = [paired.score_model(model, draws) for model in models]
    for a, b in pairs:
        one, other = sorted((a, b), key=lambda n: scores[n], reverse=rows[0].higher)
        test = paired.compare_pair(models[one], models[other], draws)
        yield (
            (a, b),
            {"scores": {names[a]: scores[a], names[b]: scores[b]}, "se": test.se, "p": test.p},
        )


def tables(rows: Sequence[Row], known: Records, folder: Path) -> Iterator[comparison.Rows]:
    """The case table of every seed of every row, its folds one behind the other, one at a time."""
    for row in rows:
        for part in row.parts:
            paths = [results.record_path(folder, known[key]) for key in part]
            yield [
                line
                for path, key in zip(paths, part, strict=True)
                for line in results.read_cases(path, known[key])
            ]


def placed(
    rows: Sequence[Row], names: Sequence[str], pairs: Mapping[tuple[int, int], Pair]
) -> list[Row]:
    """The rows with their ranks by the tests of all pairs."""
    scores = {n: entry["scores"][names[n]] for pair, entry in pairs.items() for n in pair}
    order = sorted(range(len(rows)), key=lambda n: scores[n], reverse=rows[0].higher)
    tests = []
    for one, other in combinations(order, 2):
        entry = pairs[min(one, other), max(one, other)]
        apart = scores[one] - scores[other]
        tests.append(
            paired.Difference(str(one), str(other), apart, None, None, entry["se"], entry["p"])
        )
    ranks = paired.rank_models([str(n) for n in order], tests, rows[0].higher)
    resolution = paired.RESOLUTION * tests[0].se
    return [
        replace(row, rank=ranks[str(n)], ranked=len(rows), resolution=resolution)
        for n, row in enumerate(rows)
    ]
