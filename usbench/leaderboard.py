"""The leaderboard: a pure function of result records and published figures → rows.

One table per dataset, task, ruler (name and version) and evaluated data: two rulers never share a column. Seeds of one
recipe are one row (mean; SD with n − 1). A difference to a published figure is given only where ruler, data, model and
budget are the same; otherwise the row says which of them differ. No dates, no order of discovery: the same records
give the same bytes.
"""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from usbench.agreement import WITHIN, standard_error
from usbench.board import MAIN, Figure, Row
from usbench.published import Dataset, Published
from usbench.results import lower_is_better
from usbench.versus import compared


def _flat(value: object, name: str = "") -> dict[str, str]:
    """Nested configuration as {dotted name: JSON}; the unused budgets are left out."""
    if not isinstance(value, Mapping):
        return {name: json.dumps(value)}
    items = ((f"{name}.{key}" if name else str(key), item) for key, item in value.items() if key != "budgets")
    return {key: text for path, item in items for key, text in _flat(item, path).items()}


def _recipe(record: Mapping[str, Any]) -> dict[str, str]:
    """What two results share when only their seeds differ, beyond model, budget and fold."""
    data = str(record["data"].get("fingerprint"))[:8]
    named = {"recipe": record["recipe"]} if "recipe" in record else {}
    return {
        **_flat(record["config"].get("model") or {}),
        "precision": str(record.get("precision")),
        "data": data,
        **named,
    }


def _groups(records: Iterable[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """(label, records of one recipe in order of seed); recipes of one name get what tells them apart behind it."""
    families: dict[tuple[str, ...], dict[str, list[Mapping[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for record in sorted(records, key=lambda r: (r["seed"] is None, r["seed"] or 0, r["key"])):
        family = tuple(str(record[k]) for k in ("dataset", "task", "origin", "model", "budget", "fold", "trained_on"))
        recipe = _recipe(record)
        families[family][record.get("recipe") or json.dumps(recipe, sort_keys=True)].append(record)
    found = []
    for members in families.values():
        groups = [part for group in members.values() for part in _apart(group)]
        found += [(_label(group, [other for other in groups if other is not group]), group) for group in groups]
    return found


def _apart(group: list[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """A group whole, or one by one where a seed occurs twice: their keys differ in something we don't see."""
    seeds = [record["seed"] for record in group]
    return [group] if len(set(seeds)) == len(seeds) else [[record] for record in group]


def _label(group: list[Mapping[str, Any]], others: list[list[Mapping[str, Any]]]) -> str:
    first = group[0]
    parts = [first["model"].replace("-", " ") if first["origin"] == "human" else first["model"]]
    parts += [f"fold {first['fold']}"] if first["fold"] is not None else []
    parts += [f"trained on {first['trained_on']}"] if first["trained_on"] else []
    if others:
        mine, theirs = _recipe(first), [_recipe(other[0]) for other in others]
        names = sorted({n for other in theirs for n in {*mine, *other} - {"recipe"} if other.get(n) != mine.get(n)})
        visible = [{n: other.get(n) for n in names} for other in theirs]
        told = 1 <= len(names) <= 3 and {n: mine.get(n) for n in names} not in visible
        differences = [f"{n.rsplit('.', 1)[-1]}={mine.get(n, 'none')}".replace('"', "") for n in names]
        parts += differences if told else [first["key"]]
    return " · ".join(parts)


def _lead(task: str, scores: Mapping[str, Any]) -> str:
    return next((name for name in MAIN[task] if name in scores), next(iter(scores), ""))


def _by_ruler(group: Sequence[Mapping[str, Any]]) -> dict[tuple[str, int], list[tuple[Any, Any]]]:
    """{(ruler, version): (record, what it holds under that ruler)}."""
    views: dict[tuple[str, int], list[tuple[Any, Any]]] = defaultdict(list)
    for record in group:
        views[record["ruler"]["name"], record["ruler"]["version"]].append((record, record))
        for rule, view in (record.get("rulers") or {}).items():
            if rule != record["ruler"]["name"]:
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


def _ceiling(ceiling: Any, score: str) -> float | None:
    """The ceiling of one score, however the record gives it: one number, a number per score, a figure per score."""
    found = ceiling.get(score) if isinstance(ceiling, Mapping) else ceiling
    return found["value"] if isinstance(found, Mapping) else found


def _row(label: str, ruler: str, version: int, pairs: Sequence[tuple[Any, Any]], old: bool) -> Row:
    """Our row of one recipe under one ruler, not yet compared with anything."""
    record, view = pairs[0]
    scores = _figures([seen["scores"] for _, seen in pairs])
    declared = record["primary"]["name"]
    primary = declared if declared in scores else _lead(record["task"], scores)
    classes = [c for c in view["per_class"] if all(primary in seen["per_class"].get(c, {}) for _, seen in pairs)]
    leak = record["data"].get("leak") or {}
    return Row(
        **{k: record[k] for k in ("dataset", "task", "origin", "model", "budget", "fold", "trained_on")},
        name=label,
        ruler=ruler,
        version=version,
        primary=primary,
        higher=record["primary"]["higher_is_better"] if primary == declared else not lower_is_better(primary),
        scores=scores,
        per_class={c: _figures([seen["per_class"][c] for _, seen in pairs])[primary] for c in classes},
        ceiling=_ceiling(view.get("ceiling"), primary),
        seeds=tuple(r["seed"] for r, _ in pairs if r["seed"] is not None),
        keys=tuple(r["key"] for r, _ in pairs),
        parameters=record.get("parameters"),
        cost=next((r["cost"] for r, _ in pairs if r.get("cost")), None),
        hours=_hours([r for r, _ in pairs]),
        counts=record["data"]["counts"],
        leak=leak.get("n", 0),
        leak_words=leak.get("words", ""),
        own=view is record,
        old=old,
        words=(record["ruler"] if view is record else view)["words"],
        note=_note(record, leak),
    )


def _hours(records: Sequence[Mapping[str, Any]]) -> float | None:
    """Of training, the mean over the seeds; nothing was trained for an evaluation on another dataset."""
    fits = [record["seconds"]["fit"] for record in records if "fit" in (record.get("seconds") or {})]
    return statistics.fmean(fits) / 3600 if fits and len(fits) == len(records) else None


def _note(record: Mapping[str, Any], leak: Mapping[str, Any]) -> str:
    """Of a row of people: on which images; else the leak."""
    if record["origin"] == "human":
        return f"unranked; {record['data'].get('splits') or 'see the record'}"
    return f"leak: {leak['n']}" if leak else ""


def _published_row(dataset: Dataset, theirs: Published) -> Row:
    scores = {name: Figure((float(value),)) for name, value in theirs.scores.items()}
    primary = _lead(theirs.task, scores)
    same = (
        "task",
        "name",
        "ruler",
        "split",
        "model",
        "budget",
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
        per_class={c: Figure((float(v[primary]),)) for c, v in theirs.per_class.items() if primary in v},
        words=dataset.rulers.get(theirs.ruler, ""),
        note="; ".join(text for text in (theirs.note, theirs.why) if text),
    )


def _failed_row(record: Mapping[str, Any]) -> Row:
    return Row(
        **{k: record[k] for k in ("dataset", "task", "origin", "status", "model", "budget", "fold", "trained_on")},
        name=_label([record], []),
        seeds=() if record["seed"] is None else (record["seed"],),
        keys=(record["key"],),
        note=record["reason"],
    )


def _order(row: Row) -> tuple[Any, ...]:
    """Tables: our own ruler first, then the others by name, test before other data; in each the best row first."""
    rank = 3 if row.status != "done" else 2 if row.origin in ("human", "control") else 1
    value = row.value
    best = (1, 0.0) if value is None else (0, -value if row.higher else value)
    return (row.dataset, row.task, *row.table, rank, *best, row.name, row.budget or "", row.keys)


def rows(records: Sequence[Mapping[str, Any]], datasets: Sequence[Dataset]) -> list[Row]:
    """Every row of the board in order. Pure: the same records in any order give the same rows."""
    groups = _groups(record for record in records if record["status"] == "done")
    views = [(label, *where, pairs) for label, group in groups for where, pairs in _by_ruler(group).items()]
    newest = dict(sorted((ruler, version) for _, ruler, version, _ in views))  # of two versions the later stays
    papers = [_published_row(dataset, theirs) for dataset in datasets for theirs in dataset.published]
    ours = [_row(label, ruler, version, pairs, version < newest[ruler]) for label, ruler, version, pairs in views]
    within = {dataset.name: dataset.agrees_within for dataset in datasets}
    matched = [
        compared(
            row, [p for p in papers if (p.dataset, p.task) == (row.dataset, row.task)], within.get(row.dataset, WITHIN)
        )
        for row in ours
    ]
    failed = [_failed_row(record) for record in records if record["status"] != "done"]
    own = {(row.dataset, row.task, row.ruler) for row in ours if row.own}
    papers = [replace(theirs, version=newest.get(theirs.ruler)) for theirs in papers]
    board = [replace(row, own=(row.dataset, row.task, row.ruler) in own) for row in matched + papers]
    return sorted(board + failed, key=_order)
