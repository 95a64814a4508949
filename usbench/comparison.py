"""Records of one table → models that can be compared, from their case tables alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usbench import results
from usbench.errors import DataError
from usbench.metrics.paired import Measured

Rows = list[dict[str, str]]
WORDS = {
    "segment": "per case and class Dice; on the union of cases: an image counts for a class if the truth has it or any "
    "compared model predicts it there, and who is rightly silent there scores 1; mean over cases per class, then "
    "over classes; cases averaged over seeds first",
    "landmark": "radial error in px of every seen point, each counted once; cases averaged over seeds first",
}
SAME = ("dataset", "task", "fold", "trained_on")


def load(paths: Sequence[Path]) -> tuple[list[Measured], list[str], Mapping[str, Any]]:
    """(models in the order given, seeds of one recipe together; the group of each case; the first record).

    Raises DataError for records that aren't of one dataset, task, split, data and ruler, for a missing case table, for
    other cases, and for boxes.
    """
    records = [results.load(path) for path in paths]
    first = records[0]
    for path, record in zip(paths, records, strict=True):
        if record["status"] != "done":
            raise DataError(f"{path}: a finished result was wanted, found {record['status']}")
        for name, wanted in {**{key: first[key] for key in SAME}, "ruler": first["ruler"]["name"]}.items():
            found = record["ruler"]["name"] if name == "ruler" else record[name]
            if found != wanted:
                raise DataError(
                    f"{path}: a result of {name} {wanted} was wanted, found {found}; compare like with like"
                )
        if record["data"]["fingerprint"] != first["data"]["fingerprint"]:
            raise DataError(f"{path}: a result on the data of {paths[0].name} was wanted, found one on other files")
    if first["task"] not in WORDS:
        raise DataError(f"{paths[0]}: masks or landmarks were wanted, found {first['task']}: boxes aren't compared yet")
    tables = [cases(path) for path in paths]
    names = named(records)
    return [*measured(first["task"], names, tables)], groups_of(tables[0]), first


def cases(path: Path) -> Rows:
    """A record's case table; DataError where it has none."""
    rows = results.load_cases(path)
    if not rows:
        raise DataError(f"{path}: a case table was wanted beside it, found none; run it again")
    return rows


def named(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """What each record's model is called: seeds of one recipe alike, recipes of one name told apart by their key."""
    recipes: dict[str, list[str]] = {}
    for record in records:
        label = str(record["model"])
        recipes.setdefault(label, [])
        own = str(record.get("recipe") or record["key"])
        if own not in recipes[label]:
            recipes[label].append(own)
    return [
        str(r["model"]) if len(recipes[str(r["model"])]) == 1 else f"{r['model']} {r.get('recipe') or r['key']}"
        for r in records
    ]


def keys(rows: Rows) -> list[tuple[str, str]]:
    """(case, class) of each row."""
    return [(row["case"], row["class"]) for row in rows]


def groups_of(rows: Rows) -> list[str]:
    """The group of each case, in order."""
    return list({row["case"]: row["group"] for row in rows}.values())


def measured(task: str, names: Sequence[str], tables: Sequence[Rows]) -> list[Measured]:
    """A model per name. DataError where the tables aren't of the same cases and classes."""
    for name, rows in zip(names, tables, strict=True):
        if keys(rows) != keys(tables[0]):
            raise DataError(f"{name}: the cases of {names[0]} were wanted, found others; score both on the same images")
    order = list(dict.fromkeys(case for case, _ in keys(tables[0])))
    classes = list(dict.fromkeys(label for _, label in keys(tables[0])))
    values = dices(tables) if task == "segment" else [errors(rows) for rows in tables]
    shaped = [each.reshape(len(order), len(classes)) for each in values]
    if task == "landmark":  # every point counts once, whatever its name
        return [Measured(n, np.nansum(v, 1, keepdims=True), np.isfinite(v).sum(1, keepdims=True) * 1.0)
                for n, v in averaged(names, shaped)]  # fmt: skip
    return [Measured(n, np.nan_to_num(v), np.isfinite(v) * 1.0) for n, v in averaged(names, shaped)]


def averaged(names: Sequence[str], values: Sequence[NDArray[np.float64]]) -> list[tuple[str, NDArray[np.float64]]]:
    """(name, mean over its seeds) in the order of first appearance."""
    found = []
    for name in dict.fromkeys(names):
        own = [value for each, value in zip(names, values, strict=True) if each == name]
        found.append((name, np.mean(own, axis=0)))
    return found


def dices(tables: Sequence[Rows]) -> list[NDArray[np.float64]]:
    """(rows,) Dice of each table, on the union of cases; NaN where a case counts for none or nobody knows."""
    counts = np.array([[[float(row[n] or "nan") for n in ("tp", "fp", "fn")] for row in rows] for rows in tables])
    below = 2 * counts[..., 0] + counts[..., 1] + counts[..., 2]
    counted = (below > 0).any(axis=0)
    dice = np.where(below > 0, 2 * counts[..., 0] / np.where(below > 0, below, 1), 1.0)
    return list(np.where(counted, dice, np.nan))


def errors(rows: Rows) -> NDArray[np.float64]:
    """(rows,) radial error of seen points; NaN elsewhere."""
    return np.array([float(r["error_px"]) if r["kind"] == "point" and r["error_px"] else np.nan for r in rows])
