"""The leaderboard: a pure function of result records and published figures → rows.

One table per dataset, task, protocol (name and version) and evaluated data: two protocols never share a column. Seeds of one
recipe are one row (mean; SD with n − 1), and so are the folds of each seed (folds.py). A difference to a published
figure is given only where protocol, data, model and recipe are the same; otherwise the row says which of them differ. No
dates, no order of discovery: the same records give the same bytes.
"""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from usbench.leaderboard.agreement import WITHIN, standard_error
from usbench.leaderboard.folds import Pool, Record, is_fold, joined, unpooled
from usbench.leaderboard.published import Dataset, Published
from usbench.leaderboard.rows import MAIN, Figure, Row
from usbench.leaderboard.versus import compared
from usbench.results.store import lower_is_better


def _flat(value: object, name: str = "") -> dict[str, str]:
    """Nested configuration as {dotted name: JSON}; the unused recipes are left out."""
    if not isinstance(value, Mapping):
        return {name: json.dumps(value)}
    items = (
        (f"{name}.{key}" if name else str(key), item)
        for key, item in value.items()
        if key != "recipes"
    )
    return {key: text for path, item in items for key, text in _flat(item, path).items()}


def _recipe(record: Mapping[str, Any]) -> dict[str, str]:
    """What two results share when only their seeds differ, beyond model, recipe and fold."""
    data = str(record["data"].get("fingerprint"))[:8]
    named = {"series": record["series"]} if "series" in record else {}
    return {
        **_flat(record["config"].get("model") or {}),
        "precision": str(record.get("precision")),
        "data": data,
        **named,
    }


def _identity(record: Record) -> tuple[tuple[str, ...], str]:
    """(what rows of one name share, which recipe of that name it is): alike for all seeds of a row and all folds."""
    family = tuple(
        str(record[k]) for k in ("dataset", "task", "origin", "model", "recipe", "trained_on")
    )
    if is_fold(record):
        return (*family, "folds"), record["fold_series"]
    recipe = record.get("series") or json.dumps(_recipe(record), sort_keys=True)
    return (*family, str(record["fold"])), recipe


@dataclass(frozen=True)
class _Group:
    """Records of one recipe in order of seed."""

    label: str
    records: list[Record]
    wanted: int  # seeds that there would be, had none failed


def _groups(records: Iterable[Record], begun: Iterable[Record]) -> list[_Group]:
    """Recipes of one name get what tells them apart behind it. begun: every record, failed ones too."""
    families: dict[Any, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in sorted(records, key=lambda r: (r["seed"] is None, r["seed"] or 0, r["run_id"])):
        family, recipe = _identity(record)
        families[family][recipe].append(record)
    seeds: dict[Any, set[int]] = defaultdict(set)
    for record in begun:
        seeds[_identity(record)] |= {record["seed"]} - {None}
    found = []
    for family, members in families.items():
        parts = [(part, recipe) for recipe, group in members.items() for part in _apart(group)]
        for group, recipe in parts:
            whole = (
                group if len(group) == len(members[recipe]) else None
            )  # a part of a recipe knows of no other seed
            label = _label(group, [other for other, _ in parts if other is not group])
            found.append(_Group(label, group, len(seeds[family, recipe]) if whole else len(group)))
    return found


def _apart(group: list[Record]) -> list[list[Record]]:
    """A group whole, or one by one where a seed occurs twice: their keys differ in something we don't see."""
    seeds = [record["seed"] for record in group]
    return [group] if len(set(seeds)) == len(seeds) else [[record] for record in group]


def _label(group: list[Record], others: list[list[Record]]) -> str:
    first = group[0]
    parts = [first["model"].replace("-", " ") if first["origin"] == "human" else first["model"]]
    parts += [_fold_words(first)] if first["fold"] is not None else []
    parts += [f"trained on {first['trained_on']}"] if first["trained_on"] else []
    parts += ["tuned"] if first.get("tuned") else []
    if others:
        mine, theirs = _recipe(first), [_recipe(other[0]) for other in others]
        names = sorted(
            {
                n
                for other in theirs
                for n in {*mine, *other} - {"series"}
                if other.get(n) != mine.get(n)
            }
        )
        visible = [{n: other.get(n) for n in names} for other in theirs]
        told = 1 <= len(names) <= 3 and {n: mine.get(n) for n in names} not in visible
        differences = [
            f"{n.rsplit('.', 1)[-1]}={mine.get(n, 'none')}".replace('"', "") for n in names
        ]
        parts += differences if told else [first["run_id"]]
    return " · ".join(parts)


def _fold_words(record: Record) -> str:
    """Which fold, or how many of how many."""
    if "folds" not in record:
        return f"fold {record['fold']}"
    done, every = len(record["folds"]), record["of"]
    return f"{every} folds" if done == every else f"{done} of {every} folds"


def _lead(task: str, scores: Mapping[str, Any]) -> str:
    return next((name for name in MAIN[task] if name in scores), next(iter(scores), ""))


def _by_protocol(group: Sequence[Record]) -> dict[tuple[str, int], list[tuple[Any, Any]]]:
    """{(protocol, version): (record, what it holds under that protocol)}."""
    views: dict[tuple[str, int], list[tuple[Any, Any]]] = defaultdict(list)
    for record in group:
        views[record["protocol"]["name"], record["protocol"]["version"]].append((record, record))
        for rule, view in (record.get("protocols") or {}).items():
            if rule != record["protocol"]["name"]:
                views[rule, view["version"]].append((record, view))
    return views


def _figures(tables: Sequence[Mapping[str, Any]]) -> dict[str, Figure]:
    """The scores that every seed has."""
    names = [name for name in tables[0] if all(name in table for table in tables)]
    return {name: _figure([table[name] for table in tables]) for name in names}


def _figure(seeds: Sequence[Mapping[str, Any]]) -> Figure:
    values, errors = (tuple(each["value"] for each in seeds), tuple(map(_error, seeds)))
    low, high = (_mean([each.get(end) for each in seeds]) for end in ("low", "high"))
    return Figure(values, low, high, errors, seeds[0].get("groups", 0))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known and len(known) == len(values) else None


def _error(figure: Mapping[str, Any]) -> float | None:
    low, high = figure.get("low"), figure.get("high")
    return None if low is None or high is None else standard_error(low, high, figure["groups"])


def _target_score(target_score: Any, score: str) -> float | None:
    """The target_score of one score, however the record gives it: one number, a number per score, a figure per score."""
    found = target_score.get(score) if isinstance(target_score, Mapping) else target_score
    return found["value"] if isinstance(found, Mapping) else found


def _row(
    group: _Group, protocol: str, version: int, pairs: Sequence[tuple[Any, Any]], old: bool
) -> Row:
    """Our row of one recipe under one protocol, not yet compared with anything."""
    record, view = pairs[0]
    parts = tuple(tuple(r.get("parts") or (r["run_id"],)) for r, _ in pairs)
    scores = _figures([seen["scores"] for _, seen in pairs])
    declared = record["primary"]["name"]
    primary = declared if declared in scores else _lead(record["task"], scores)
    classes = [
        c
        for c in view["per_class"]
        if all(primary in seen["per_class"].get(c, {}) for _, seen in pairs)
    ]
    leak = record["data"].get("leakage") or {}
    return Row(
        **{k: record[k] for k in ("dataset", "task", "origin", "model", "recipe", "trained_on")},
        name=group.label,
        **_folds(record, view),
        protocol=protocol,
        version=version,
        primary=primary,
        higher=record["primary"]["higher_is_better"]
        if primary == declared
        else not lower_is_better(primary),
        scores=scores,
        per_class={
            c: _figure([seen["per_class"][c][primary] for _, seen in pairs]) for c in classes
        },
        target_score=_target_score(view.get("target_score"), primary),
        seeds=tuple(r["seed"] for r, _ in pairs if r["seed"] is not None),
        wanted=group.wanted,
        keys=tuple(key for part in parts for key in part),
        parts=parts,
        parameters=record.get("parameters"),
        cost=next((r["cost"] for r, _ in pairs if r.get("cost")), None),
        hours=_hours([r for r, _ in pairs]),
        counts=record["data"]["counts"],
        leak=leak.get("n", 0),
        leakage_description=leak.get("description", ""),
        own=view is record,
        old=old,
        description=(record["protocol"] if view is record else view)["description"],
        tuned=bool(record.get("tuned")),
        note=_note(record, leak, view),
    )


def _folds(record: Record, view: Mapping[str, Any]) -> dict[str, Any]:
    """Which fold a row is of, or how many folds it joins, and how."""
    if "folds" not in record:
        return {"fold": record["fold"]}
    return {"folds": (len(record["folds"]), record["of"]), "pooled": view["pooled"]}


def _hours(records: Sequence[Mapping[str, Any]]) -> float | None:
    """Of training, the mean over the seeds; nothing was trained for an evaluation on another dataset."""
    fits = [
        record["seconds"]["fit"] for record in records if "fit" in (record.get("seconds") or {})
    ]
    return statistics.fmean(fits) / 3600 if fits and len(fits) == len(records) else None


def _note(record: Record, leak: Mapping[str, Any], view: Mapping[str, Any]) -> str:
    """Of a row of people: on which images; of a search: how many trials; of folds that can't be pooled: what they are;
    else the leak."""
    if record["origin"] == "human":
        return f"unranked; {record['data'].get('splits') or 'see the record'}"
    tuned = record.get("tuned")
    told = [f"tuned: best of {tuned['trials']} trials on validation"] if tuned else []
    if view.get("pooled") is False:
        told.append("mean over folds, not pooled")
    elif leak:
        told.append(f"leak: {leak['n']}")
    return "; ".join(told)


def _published_row(dataset: Dataset, theirs: Published) -> Row:
    scores = {name: Figure((float(value),)) for name, value in theirs.scores.items()}
    primary = _lead(theirs.task, scores)
    same = (
        "task",
        "name",
        "protocol",
        "split",
        "model",
        "recipe",
        "trained_on",
        "parameters",
        "counts",
        "source",
        "verified",
    )
    return Row(
        **{name: getattr(theirs, name) for name in same},
        dataset=dataset.name,
        origin="published",
        primary=primary,
        higher=not lower_is_better(primary),
        scores=scores,
        per_class={
            c: Figure((float(v[primary]),)) for c, v in theirs.per_class.items() if primary in v
        },
        description=dataset.protocols.get(theirs.protocol, ""),
        note="; ".join(text for text in (theirs.note, theirs.why) if text),
    )


def _failed_row(record: Mapping[str, Any]) -> Row:
    return Row(
        **{
            k: record[k]
            for k in (
                "dataset",
                "task",
                "origin",
                "status",
                "model",
                "recipe",
                "fold",
                "trained_on",
            )
        },
        name=_label([record], []),
        seeds=() if record["seed"] is None else (record["seed"],),
        keys=(record["run_id"],),
        note=record["reason"],
    )


def _order(row: Row) -> tuple[Any, ...]:
    """Tables: our own protocol first, then the others by name, test before other data; in each the best row first, rows
    that lack folds after the whole ones."""
    rank = (
        4
        if row.status != "done"
        else 3
        if row.origin in ("human", "baseline")
        else 1
        if row.whole
        else 2
    )
    value = row.value
    best = (1, 0.0) if value is None else (0, -value if row.higher else value)
    return (row.dataset, row.task, *row.table, rank, *best, row.name, row.recipe or "", row.keys)


def rows(
    records: Sequence[Record], datasets: Sequence[Dataset], pool: Pool = unpooled
) -> list[Row]:
    """Every row of the board in order. Pure: the same records (and case tables, which `pool` reads) in any order give
    the same rows."""
    groups = _groups(
        joined([record for record in records if record["status"] == "done"], pool), records
    )
    views = [
        (group, *where, pairs)
        for group in groups
        for where, pairs in _by_protocol(group.records).items()
    ]
    newest = dict(
        sorted((protocol, version) for _, protocol, version, _ in views)
    )  # of two versions the later stays
    papers = [
        _published_row(dataset, theirs) for dataset in datasets for theirs in dataset.published
    ]
    ours = [
        _row(group, protocol, version, pairs, version < newest[protocol])
        for group, protocol, version, pairs in views
    ]
    within = {dataset.name: dataset.agrees_within for dataset in datasets}
    matched = [
        compared(
            row,
            [p for p in papers if (p.dataset, p.task) == (row.dataset, row.task)],
            within.get(row.dataset, WITHIN),
        )
        for row in ours
    ]
    failed = [_failed_row(record) for record in records if record["status"] != "done"]
    own = {(row.dataset, row.task, row.protocol) for row in ours if row.own}
    papers = [replace(theirs, version=newest.get(theirs.protocol)) for theirs in papers]
    board = [
        replace(row, own=(row.dataset, row.task, row.protocol) in own) for row in matched + papers
    ]
    return sorted(board + failed, key=_order)
