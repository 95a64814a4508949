"""Records of one table → which model is better than which, from their case tables alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usbench.errors import DataError
from usbench.metrics import paired
from usbench.metrics.bootstrap import Interval, draw, percentile_interval
from usbench.metrics.detect_scorer import matches_from_cases
from usbench.metrics.paired import ComparedModel, Difference, MapScores, MeanScores
from usbench.results import store as results

Rows = list[dict[str, str]]
WORDS = {
    "segment": "per case and class Dice; on the union of cases: an image counts for a class if the truth has it or any "
    "compared model predicts it there, and who is rightly silent there scores 1; mean over cases per class, then "
    "over classes; cases averaged over seeds first",
    "detect": "mAP50-95 by the rule coco on all cases; a swap gives the boxes of whole groups to the other model; of "
    "several seeds the mean of their mAP",
    "landmark": "radial error in px of every seen point, each counted once; cases averaged over seeds first",
}
SAME = ("dataset", "task", "fold", "trained_on")


@dataclass(frozen=True)
class Compared:
    """The models of a table, best first."""

    models: tuple[str, ...]
    values: tuple[float, ...]
    intervals: tuple[Interval, ...]
    ranks: tuple[tuple[int, int], ...]
    pairs: tuple[Difference, ...]  # every model minus each one after it
    corrected: tuple[float | None, ...]  # Holm's p of each pair; None where it has none
    groups: int

    @property
    def resolution(self) -> float:
        """The smallest true difference of the two best that these cases would show (power 80 %, level .05)."""
        return paired.RESOLUTION * self.pairs[0].se


def compared(models: Sequence[ComparedModel], groups: Sequence[str], higher: bool) -> Compared:
    """Two models or more on the same cases. groups: the group of each case; higher: whether more is better."""
    draws = draw(groups)
    best = sorted(models, key=lambda model: paired.score_model(model, draws), reverse=higher)
    names = [model.name for model in best]
    pairs = paired.compare_models(best, draws)
    places = paired.rank_models(names, pairs, higher)
    holm = iter(paired.correct_holm([pair.p for pair in pairs if pair.p is not None]))
    return Compared(
        models=tuple(names),
        values=tuple(paired.score_model(model, draws) for model in best),
        intervals=tuple(percentile_interval(model.scores(draws), draws.groups) for model in best),
        ranks=tuple(places[name] for name in names),
        pairs=tuple(pairs),
        corrected=tuple(None if pair.p is None else next(holm) for pair in pairs),
        groups=draws.groups,
    )


def load(paths: Sequence[Path]) -> tuple[list[ComparedModel], list[str], Mapping[str, Any]]:
    """(models in the order given, seeds of one recipe together; the group of each case; the first record).

    Raises DataError for records that aren't of one dataset, task, split, data and protocol, for a missing case table and
    for other cases.
    """
    records = [results.load(path) for path in paths]
    first = records[0]
    for path, record in zip(paths, records, strict=True):
        if record["status"] != "done":
            raise DataError(f"{path}: a finished result was wanted, found {record['status']}")
        for name, wanted in {
            **{key: first[key] for key in SAME},
            "protocol": first["protocol"]["name"],
        }.items():
            found = record["protocol"]["name"] if name == "protocol" else record[name]
            if found != wanted:
                raise DataError(
                    f"{path}: a result of {name} {wanted} was wanted, found {found}; compare like with like"
                )
        if record["data"]["fingerprint"] != first["data"]["fingerprint"]:
            raise DataError(
                f"{path}: a result on the data of {paths[0].name} was wanted, found one on other files"
            )
    tables = [cases(path) for path in paths]
    return measured(first["task"], named(records), tables), groups_of(tables[0]), first


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
        own = str(record.get("series") or record["run_id"])
        if own not in recipes[label]:
            recipes[label].append(own)
    return [
        str(r["model"])
        if len(recipes[str(r["model"])]) == 1
        else f"{r['model']} {r.get('recipe') or r['run_id']}"
        for r in records
    ]


def groups_of(rows: Rows) -> list[str]:
    """The group of each case, in order."""
    return list({row["case"]: row["group"] for row in rows}.values())


def measured(task: str, names: Sequence[str], tables: Iterable[Rows]) -> list[ComparedModel]:
    """A model per different name, in the order of first appearance; tables of one name are its seeds.

    Tables are taken one by one, and only their figures are kept. DataError where they aren't of the same cases and
    classes.
    """
    every = iter(tables)
    first = next(every)
    order = list(dict.fromkeys(row["case"] for row in first))
    classes = list(dict.fromkeys(row["class"] for row in first))
    alike = checked(task, names, chain([first], every))
    if task == "detect":
        own = [matches_from_cases(rows, classes) for rows in alike]
        seeds = {
            name: tuple(m for each, m in zip(names, own, strict=True) if each == name)
            for name in names
        }
        return [MapScores(name, curves) for name, curves in seeds.items()]
    values = dices(alike) if task == "segment" else [errors(rows) for rows in alike]
    means = averaged(names, [each.reshape(len(order), len(classes)) for each in values])
    if task == "landmark":  # every point counts once, whatever its name
        return [
            MeanScores(
                n, np.nansum(v, 1, keepdims=True), np.isfinite(v).sum(1, keepdims=True) * 1.0
            )
            for n, v in means
        ]
    return [MeanScores(n, np.nan_to_num(v), np.isfinite(v) * 1.0) for n, v in means]


def checked(task: str, names: Sequence[str], tables: Iterable[Rows]) -> Iterator[Rows]:
    """The tables; DataError at the first that has other cases than the one before it."""
    wanted = None
    for name, rows in zip(names, tables, strict=True):
        head = counted(task, rows)
        wanted = wanted or head
        if head != wanted:
            raise DataError(
                f"{name}: the cases of {names[0]} were wanted, found others; score both on the same images"
            )
        yield rows


def counted(task: str, rows: Rows) -> list[tuple[str, ...]]:
    """What tables that are compared share: their cases and classes; of boxes the truths too."""
    if task == "detect":
        return [(row["case"], row["class"], row["truths"]) for row in rows if not row["matches"]]
    return [(row["case"], row["class"]) for row in rows]


def averaged(
    names: Sequence[str], values: Sequence[NDArray[np.float64]]
) -> list[tuple[str, NDArray[np.float64]]]:
    """(name, mean over its seeds) in the order of first appearance."""
    found = []
    for name in dict.fromkeys(names):
        own = [value for each, value in zip(names, values, strict=True) if each == name]
        found.append((name, np.mean(own, axis=0)))
    return found


def dices(tables: Iterable[Rows]) -> list[NDArray[np.float64]]:
    """(rows,) Dice of each table, on the union of cases; NaN where a case counts for none or nobody knows."""
    found = [overlaps(rows) for rows in tables]
    counted = np.any([below > 0 for _, below in found], axis=0)
    return [
        np.where(counted, np.where(below > 0, twice / np.where(below > 0, below, 1), 1.0), np.nan)
        for twice, below in found
    ]


def overlaps(rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(rows,) 2TP and (rows,) 2TP + FP + FN; NaN where nobody knows."""
    tp, fp, fn = (
        np.array([[float(row[name] or "nan") for name in ("tp", "fp", "fn")] for row in rows])
        .reshape(-1, 3)
        .T
    )
    return 2 * tp, 2 * tp + fp + fn


def errors(rows: Rows) -> NDArray[np.float64]:
    """(rows,) radial error of seen points; NaN elsewhere."""
    return np.array(
        [float(r["error_px"]) if r["kind"] == "point" and r["error_px"] else np.nan for r in rows]
    )
