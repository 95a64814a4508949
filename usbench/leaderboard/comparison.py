"""Results of one table → which model is better than which, from their case tables alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, filterfalse
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from usbench.errors import DataError
from usbench.leaderboard.rows import RowScore, all_if_known
from usbench.leaderboard.series import SeedResult, Series, group_by_series
from usbench.metrics import paired
from usbench.metrics.bootstrap import draw
from usbench.metrics.detect_scorer import matches_from_cases
from usbench.metrics.paired import ComparedModel, Difference, MapScores, MeanScores
from usbench.results import store
from usbench.results.format import USUAL_SCORES
from usbench.results.result import Result
from usbench.types import Task

CaseRows = list[dict[str, str]]
Item = TypeVar("Item")
DESCRIPTIONS: Mapping[Task, str] = {
    "segment": (
        "Dice, mean over cases per class, then over classes. A pair's difference is on the union "
        "of its cases: an image counts for a class if the target has it or either of the two "
        "predicts it there; a model that is rightly silent there scores 1. A model's own score "
        "doesn't count such images, so a difference may not be that of the two scores. Of several "
        "seeds the mean is taken"
    ),
    "detect": (
        "mAP50-95 by the protocol coco on all cases; a swap gives the boxes of whole groups to the "
        "other model; of several seeds the mean of their mAP is taken"
    ),
    "landmark": (
        "radial error in px of every seen point, each counted once; of several seeds the mean is "
        "taken"
    ),
}


@dataclass(frozen=True)
class Comparison:
    """Models on the same cases, best first."""

    models: tuple[str, ...]
    ranks: tuple[tuple[int, int], ...]
    pairs: tuple[Difference, ...]  # every model minus each one after it
    corrected: tuple[float | None, ...]  # Holm's p of each pair; None where it has none
    groups: int


@dataclass(frozen=True)
class ComparedResults:
    """What a comparison needs of some results, in the order given; seeds of a recipe are one."""

    models: list[ComparedModel]
    scores: Mapping[str, RowScore]  # by model, of the results: what the leaderboard shows
    groups: list[str]  # of each case
    first: Result
    run_ids: Mapping[str, list[str]]  # by model, of its seeds
    left_out: list[str]  # one reason for each result that can't be compared


def compare_models(
    models: Sequence[ComparedModel], groups: Sequence[str], higher_is_better: bool
) -> Comparison:
    """Compare two models or more on the same cases. groups: the group of each case."""
    draws = draw(groups)
    scores = {model.name: paired.score_model(model, draws) for model in models}
    best = sorted(models, key=lambda model: scores[model.name], reverse=higher_is_better)
    names = tuple(map(attrgetter("name"), best))
    pairs = paired.compare_models(best, draws)
    places = paired.rank_models(names, pairs, higher_is_better)
    p_values = all_if_known(map(attrgetter("p"), pairs))
    return Comparison(
        models=names,
        ranks=tuple(map(places.__getitem__, names)),
        pairs=tuple(pairs),
        corrected=tuple(paired.correct_holm(p_values)) or (None,) * len(pairs),
        groups=draws.groups,
    )


def load_models(paths: Sequence[Path]) -> ComparedResults:
    """Load results and their case tables; those that can't be compared are left out.

    What most results share (dataset, task, fold, data and protocol) is what is compared.

    Raises:
        DataError: no result is left.
    """
    loaded, left_out = load_each(paths)
    kinds = Counter(kind_of(result) for _, result in loaded).most_common(1)
    reference = [item for item in loaded if kind_of(item[1]) == kinds[0][0]]
    used: list[tuple[Path, Result]] = []
    tables: list[CaseRows] = []
    for path, result in loaded:
        try:
            check_comparable(path, result, *reference[0])
            table = load_table(path, result, used[0][0].name if used else "", tables[:1])
        except DataError as error:
            left_out.append(str(error))
        else:
            used.append((path, result))
            tables.append(table)
    if not used:
        raise DataError(left_out[0] if len(paths) == 1 else describe_too_few(0, left_out))
    results = [result for _, result in used]
    task = results[0].task
    names = model_names(results, results_beside(paths))
    figures = [result.scores[USUAL_SCORES[task][0]] for result in results]
    return ComparedResults(
        models=measure_models(task, names, tables),
        scores={name: RowScore.of_seeds(seeds) for name, seeds in by_name(names, figures).items()},
        groups=groups_of_cases(tables[0]),
        first=results[0],
        run_ids=by_name(names, map(attrgetter("run_id"), results)),
        left_out=left_out,
    )


def load_each(paths: Iterable[Path]) -> tuple[list[tuple[Path, Result]], list[str]]:
    """(the finished results with their paths, why each other one is left out)."""
    loaded, left_out = [], []
    for path in paths:
        try:
            loaded.append((path, store.load_finished(path)))
        except DataError as error:
            left_out.append(str(error))
    return loaded, left_out


def load_table(path: Path, result: Result, first: str, tables: Sequence[CaseRows]) -> CaseRows:
    """The case table of a result.

    Args:
        path: of the result.
        result: loaded from there.
        first: the file of the first compared result.
        tables: the first one's table, or nothing yet.

    Raises:
        DataError: there is none, it is damaged, or it has other cases than the first one.
    """
    rows = store.read_cases(path, result)
    if not rows:
        raise DataError(f"{path}: no case table found beside it; run it again")
    for table in tables:
        if comparable_cases(result.task, rows) != comparable_cases(result.task, table):
            raise DataError(
                f"{path}: expected the cases of {first}, got others; score both on the same images"
            )
    return rows


def describe_too_few(models: int, left_out: Sequence[str]) -> str:
    """The message for fewer than two models that can be compared."""
    count = {0: "none", 1: "one"}[models]
    if not left_out:
        return f"expected at least two models, got {count} (seeds of one recipe are one model)"
    return f"expected at least two models, got {count}; left out: {'; '.join(left_out)}"


def kind_of(result: Result) -> tuple[object, ...]:
    """Equal for results that can be compared with each other."""
    protocol = result.protocol
    data = (result.dataset, result.task, result.fold, result.trained_on, result.data.fingerprint)
    return (*data, protocol.name, protocol.version)


def check_comparable(path: Path, result: Result, first_path: Path, first: Result) -> None:
    """Raise DataError unless two results are of the same dataset, task, split, data, protocol."""
    pairs = {
        "dataset": (first.dataset, result.dataset),
        "task": (first.task, result.task),
        "fold": (first.fold, result.fold),
        "trained_on": (first.trained_on, result.trained_on),
        "protocol": tuple(
            f"{each.protocol.name} {each.protocol.version}" for each in (first, result)
        ),
    }
    for name, (expected, got) in pairs.items():
        if got != expected:
            raise DataError(
                f"{path}: expected a result of {name} {expected}, got {got}; compare like with like"
            )
    if result.data.fingerprint != first.data.fingerprint:
        raise DataError(f"{path}: expected a result on the files of {first_path.name}, got others")


def results_beside(paths: Iterable[Path]) -> list[Result]:
    """The finished results in the folders of some results; files that can't be read are left out.

    They have no part in a comparison. Its names have to tell models apart from them too.
    """
    results = []
    for folder in dict.fromkeys(path.parent for path in paths):
        for path in sorted(folder.glob("*.json")):
            with suppress(DataError):
                results.append(store.load_result(path))
    return list(filter(attrgetter("is_done"), results))


def model_names(results: Sequence[Result], beside: Iterable[Result] = ()) -> list[str]:
    """The name of each result's model: that of its row on the leaderboard, one for all its seeds.

    Rows that the leaderboard tells apart by their recipe's column have the recipe in their name.

    Args:
        results: those that are compared, all of one fold.
        beside: the others in their folders, which names must tell them apart from.
    """
    members: dict[tuple[str, str], Result] = {}
    for result in chain(results, beside):
        if result.fold == results[0].fold:
            members.setdefault(run_of(result), result)
    seeds = [SeedResult(member, (member.run_id,)) for member in members.values()]
    rows = {}
    for series in group_by_series(seeds, members.values()):
        rows.update({run_of(seed.result): series for seed in series.seeds})
    compared = [rows[run_of(result)] for result in results]
    return [row_name(series, compared) for series in compared]


def row_name(series: Series, compared: Iterable[Series]) -> str:
    """The series' name, with the recipe (or run id) where others have that name."""
    first = series.seeds[0].result
    namesakes = [other for other in compared if other.name == series.name and other is not series]
    if not namesakes:
        return series.name
    recipes = {other.seeds[0].result.recipe for other in namesakes}
    return f"{series.name} · {first.run_id if first.recipe in recipes else first.recipe}"


run_of = attrgetter("model", "run_id")


def groups_of_cases(rows: CaseRows) -> list[str]:
    """The group of each case, in order."""
    return list(dict(map(itemgetter("case", "group"), rows)).values())


def measure_models(
    task: Task, names: Sequence[str], tables: Iterable[CaseRows]
) -> list[ComparedModel]:
    """What paired tests need of each model, in the order of first appearance.

    Args:
        task: of all tables.
        names: the model of each table; tables of one name are its seeds.
        tables: taken one by one; only their figures stay in memory.

    Raises:
        DataError: tables that aren't of the same cases and classes.
    """
    remaining = iter(tables)
    first = next(remaining)
    classes = list(dict.fromkeys(map(itemgetter("class"), first)))
    checked = check_same_cases(task, names, chain([first], remaining))
    if task == "detect":
        matches = [matches_from_cases(rows, classes) for rows in checked]
        return [MapScores(name, tuple(seeds)) for name, seeds in by_name(names, matches).items()]
    values = map(dice_scores if task == "segment" else radial_errors, checked)
    models: list[ComparedModel] = []
    for name, tables_of_seeds in by_name(names, values).items():
        seeds = np.stack(tables_of_seeds).reshape(len(tables_of_seeds), -1, len(classes))
        sums, counts = np.nan_to_num(seeds), np.isfinite(seeds) * 1.0
        if task == "landmark":  # every point counts once, whatever its name
            sums, counts = sums.sum(axis=2, keepdims=True), counts.sum(axis=2, keepdims=True)
        models.append(MeanScores(name, sums, counts, "share" if task == "segment" else "unbounded"))
    return models


def by_name(names: Sequence[str], items: Iterable[Item]) -> dict[str, list[Item]]:
    """What belongs to each name, in the order of first appearance."""
    grouped: dict[str, list[Item]] = defaultdict(list)
    for name, item in zip(names, items, strict=True):
        grouped[name].append(item)
    return grouped


def check_same_cases(
    task: Task, names: Sequence[str], tables: Iterable[CaseRows]
) -> Iterator[CaseRows]:
    """The tables; DataError at the first that has other cases than the first one."""
    expected = None
    for name, rows in zip(names, tables, strict=True):
        cases = comparable_cases(task, rows)
        expected = expected or cases
        if cases != expected:
            raise DataError(
                f"{name}: expected the cases of {names[0]}, got others; score both on the same "
                "images"
            )
        yield rows


def comparable_cases(task: Task, rows: CaseRows) -> list[tuple[str, ...]]:
    """What compared tables share: cases and classes, and for boxes the number of targets."""
    columns = ["case", "class"]
    if task == "detect":
        columns.append("truths")
        rows = list(filterfalse(itemgetter("matches"), rows))
    return list(map(itemgetter(*columns), rows))


def dice_scores(rows: CaseRows) -> NDArray[np.float64]:
    """(rows,) Dice; NaN where neither target nor prediction has the class, or nobody knows."""
    counts = [[float(row[name] or "nan") for name in ("tp", "fp", "fn")] for row in rows]
    tp, fp, fn = np.array(counts).reshape(-1, 3).T
    total = 2 * tp + fp + fn
    return np.where(total > 0, 2 * tp / np.where(total > 0, total, 1), np.nan)


def radial_errors(rows: CaseRows) -> NDArray[np.float64]:
    """(rows,) radial error of seen points, px; NaN elsewhere."""
    return np.array(
        [float(row["error_px"] or "nan") if row["kind"] == "point" else np.nan for row in rows]
    )
