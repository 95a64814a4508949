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
from dataclasses import dataclass, field, replace
from typing import Any

from usbench.published import Dataset, Published
from usbench.results import lower_is_better

MAIN = {  # the scores a table shows, the one to sort by first where no record names it
    "detect": ("map50_95", "map50", "map75", "ar100"),
    "segment": ("dice", "iou", "pooled_dice", "empty_false_positive_rate", "nsd", "hd95_px", "hd95_mm", "assd_mm"),
    "landmark": ("mre_px", "mre_mm", "median_re_px", "sdr_px_4", "sdr_mm_2"),
}


@dataclass(frozen=True)
class Figure:
    """One score: its value for each seed, and the interval where there is one seed."""

    values: tuple[float | None, ...]
    low: float | None = None
    high: float | None = None

    @property
    def mean(self) -> float | None:
        """Mean over the seeds; None where one of them is undefined."""
        known = [value for value in self.values if value is not None]
        return statistics.fmean(known) if known and len(known) == len(self.values) else None

    @property
    def sd(self) -> float | None:
        """Sample standard deviation (n − 1) over the seeds."""
        known = [value for value in self.values if value is not None]
        return statistics.stdev(known) if len(known) == len(self.values) > 1 else None


@dataclass(frozen=True)
class Row:
    """One line of the board: a recipe of ours (all its seeds) under one ruler, or one published row."""

    dataset: str
    task: str
    origin: str  # run | external | human | control | published
    name: str
    status: str = "done"
    ruler: str = ""
    version: int | None = None
    split: str = "test"
    model: str | None = None
    budget: str | None = None
    fold: int | None = None
    trained_on: str | None = None
    primary: str = ""
    higher: bool = True
    scores: Mapping[str, Figure] = field(default_factory=dict)
    per_class: Mapping[str, Figure] = field(default_factory=dict)  # of the primary score
    ceiling: float | None = None
    seeds: tuple[int, ...] = ()
    keys: tuple[str, ...] = ()
    parameters: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    leak: int = 0
    leak_words: str = ""
    own: bool = False  # the ruler is the one that results on this dataset and task are reported by
    old: bool = False  # an older version of a ruler than the newest among the records
    words: str = ""
    delta: float | None = None
    delta_score: str = ""
    against: str = ""
    marks: tuple[str, ...] = ()
    source: str = ""
    verified: str = ""
    note: str = ""

    @property
    def table(self) -> tuple[Any, ...]:
        """What the rows of one table share, in the order of tables."""
        other = (not self.own, self.old, self.ruler == "unknown", self.ruler, -(self.version or 0))
        return (self.status != "done", *other, self.split != "test", self.split)

    @property
    def value(self) -> float | None:
        """The primary score."""
        return self.scores[self.primary].mean if self.primary in self.scores else None


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
    one = tables[0] if len(tables) == 1 else {}
    bounds = {name: (figure.get("low"), figure.get("high")) for name, figure in one.items()}
    names = [name for name in tables[0] if all(name in table for table in tables)]
    return {name: Figure(tuple(table[name]["value"] for table in tables), *bounds.get(name, ())) for name in names}


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
        counts=record["data"]["counts"],
        leak=leak.get("n", 0),
        leak_words=leak.get("words", ""),
        own=view is record,
        old=old,
        words=(record["ruler"] if view is record else view)["words"],
        note=_note(record, leak),
    )


def _note(record: Mapping[str, Any], leak: Mapping[str, Any]) -> str:
    """Of a row of people: on which images; else the leak."""
    if record["origin"] == "human":
        return f"unranked; {record['data'].get('splits') or 'see the record'}"
    return f"leak: {leak['n']}" if leak else ""


def _published_row(dataset: Dataset, theirs: Published) -> Row:
    scores = {name: Figure((float(value),)) for name, value in theirs.scores.items()}
    primary = _lead(theirs.task, scores)
    same = ("task", "name", "ruler", "split", "model", "budget", "parameters", "counts", "source", "verified")
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


def marks(ours: Row, theirs: Row) -> tuple[str, ...]:
    """What differs between a row of ours and a published one; empty where a difference of figures means something.

    What the paper leaves unsaid counts as another: an unknown ruler or budget, parameters that we don't know of ours.
    """
    counts = {split: ours.counts.get(split) for split in theirs.counts}
    checks = {
        "≠ ruler": ours.ruler == theirs.ruler and not ours.old,
        "≠ data": theirs.split == ours.split and ours.fold is None and not ours.trained_on and counts == theirs.counts,
        "≠ model": ours.model == theirs.model and theirs.parameters in (None, ours.parameters),
        "≠ budget": theirs.budget is not None and ours.budget == theirs.budget,
    }
    return tuple(mark for mark, same in checks.items() if not same)


def compared(ours: Row, published: Sequence[Row]) -> Row:
    """Our row with its difference to the published row of the same model, or the marks that forbid one."""
    if not published or ours.origin not in ("run", "external"):
        return ours
    named = [theirs for theirs in published if theirs.model == ours.model]
    if not named:
        return replace(ours, marks=("≠ model",))
    theirs = min(named, key=lambda row: len(marks(ours, row)))
    found = marks(ours, theirs)
    common = [name for name in (ours.primary, *theirs.scores) if name in ours.scores and name in theirs.scores]
    if found or not common:
        return replace(ours, marks=found, against=theirs.name)
    mine, published_value = ours.scores[common[0]].mean, theirs.scores[common[0]].mean
    delta = None if mine is None or published_value is None else mine - published_value
    return replace(ours, delta=delta, delta_score=common[0], against=theirs.name)


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
    matched = [compared(row, [p for p in papers if (p.dataset, p.task) == (row.dataset, row.task)]) for row in ours]
    failed = [_failed_row(record) for record in records if record["status"] != "done"]
    own = {(row.dataset, row.task, row.ruler) for row in ours if row.own}
    papers = [replace(theirs, version=newest.get(theirs.ruler)) for theirs in papers]
    board = [replace(row, own=(row.dataset, row.task, row.ruler) in own) for row in matched + papers]
    return sorted(board + failed, key=_order)
