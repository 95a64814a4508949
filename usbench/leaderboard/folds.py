"""Folds of one run → one record for each seed: which belong together, how many there should be, what they are worth.

Records that share `fold_series` differ in fold and seed alone. Of each seed the folds' cases are scored together, for each
case is tested once; under a rule that case tables don't suffice for it is the mean over the folds, and the row says so.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from usbench.errors import DataError

Record = Mapping[str, Any]
View = Mapping[
    str, Any
]  # what a record holds under one protocol: scores, per_class, target_score …
Pool = Callable[
    [Sequence[Record]], Mapping[str, View]
]  # a seed's folds → what their cases score together, by protocol


def is_fold(record: Record) -> bool:
    """Whether a record (a failed one too) is one of a set of folds."""
    return record.get("fold_series") is not None


def unpooled(parts: Sequence[Record]) -> Mapping[str, View]:
    """No case tables at hand: nothing is pooled."""
    return {}


def joined(records: Iterable[Record], pool: Pool = unpooled) -> list[Record]:
    """Finished records with each seed's folds as one; of a set's seeds those with the most folds stay.

    A joined record has `folds` (which), `of` (how many there should be), `parts` (their keys) and `pooled`, the last
    under every protocol. Raises DataError for a fold that is there twice.
    """
    alone: list[Record] = []
    sets: dict[tuple[Any, ...], dict[Any, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        if is_fold(record):
            protocol = record["protocol"]["name"], record["protocol"]["version"]
            sets[record["fold_series"], record["model"], record["recipe"], *protocol][
                record["seed"]
            ].append(record)
        else:
            alone.append(record)
    found = []
    for seeds in sets.values():
        most = max(map(len, seeds.values()))
        found += [_one(parts, pool) for parts in seeds.values() if len(parts) == most]
    return alone + found


def _one(parts: list[Record], pool: Pool) -> Record:
    """The folds of one seed as one record."""
    parts = sorted(parts, key=lambda part: (part["fold"], part["run_id"]))
    first, folds = parts[0], [part["fold"] for part in parts]
    if len(set(folds)) < len(folds):
        keys = ", ".join(part["run_id"] for part in parts)
        raise DataError(
            f"{keys}: folds of one seed were wanted, each once, found {folds}; remove the copy"
        )
    protocol, primary = first["protocol"]["name"], first["primary"]["name"]
    pooled = {
        name: view
        for name, view in pool(parts).items()
        if name != protocol or primary in view["scores"]
    }
    views = {name: _view(name, parts, pooled.get(name)) for name in _protocols(parts)}
    own = views.pop(protocol)
    tests = [part["data"]["counts"].get("test", 0) for part in parts]
    return {
        **first,
        **{name: own[name] for name in ("scores", "per_class", "target_score", "pooled")},
        "protocol": {**first["protocol"], "description": own["description"]},
        "primary": {**first["primary"], "value": own["scores"].get(primary, {}).get("value")},
        "protocols": views,
        "data": {
            **first["data"],
            "counts": {"test": sum(tests)},
            "leakage": None,
        },  # leaks are of the release's own split
        "seconds": _seconds(parts),
        "folds": folds,
        "of": int(first["config"]["dataset"]["split"]["folds"]),
        "parts": [part["run_id"] for part in parts],
    }


def views_of(record: Record) -> dict[str, View]:
    """What a record holds under each protocol, its own first."""
    own = {
        **record,
        "version": record["protocol"]["version"],
        "description": record["protocol"]["description"],
    }
    return {record["protocol"]["name"]: own, **(record.get("protocols") or {})}


def _protocols(parts: Sequence[Record]) -> list[str]:
    """The protocols that every fold was scored by, in one version."""
    views = [views_of(part) for part in parts]
    first = views[0]
    return [
        name
        for name in first
        if all(name in view and view[name]["version"] == first[name]["version"] for view in views)
    ]


def _view(name: str, parts: Sequence[Record], pooled: View | None) -> dict[str, Any]:
    """Under one protocol: the pooled figures of the scores that every fold has, else the mean over the folds."""
    views = [views_of(part)[name] for part in parts]
    told = [view["description"].split("; ") for view in views]
    words = "; ".join(
        text for text in told[0] if all(text in other for other in told)
    )  # a fold's own threshold goes
    labels = [c for c in views[0]["per_class"] if all(c in view["per_class"] for view in views)]
    tables = [
        [view["scores"] for view in views],
        *([view["per_class"][c] for view in views] for c in labels),
    ]
    if pooled is None:
        scores, *each = map(_means, tables)
        made = {
            "scores": scores,
            "per_class": dict(zip(labels, each, strict=True)),
            "target_score": _target_score(views),
        }
    else:
        found = [pooled["scores"], *(pooled["per_class"].get(c, {}) for c in labels)]
        scores, *each = (_known(one, table) for one, table in zip(found, tables, strict=True))
        target_score = pooled["target_score"] or _target_score(views)
        made = {
            "scores": scores,
            "per_class": dict(zip(labels, each, strict=True)),
            "target_score": target_score,
        }
    return {
        "version": views[0]["version"],
        "description": words,
        "pooled": pooled is not None,
        **made,
    }


def _known(pooled: View, folds: Sequence[View]) -> dict[str, Any]:
    """The pooled figures that every fold has too, in the folds' order."""
    return {
        name: pooled[name]
        for name in folds[0]
        if name in pooled and all(name in fold for fold in folds)
    }


def _means(folds: Sequence[View]) -> dict[str, Any]:
    """The mean over the folds of every figure that all have, without an interval."""
    return {
        name: _mean([fold[name] for fold in folds])
        for name in folds[0]
        if all(name in fold for fold in folds)
    }


def _mean(figures: Sequence[View]) -> dict[str, Any]:
    values = [figure["value"] for figure in figures]
    total = {unit: sum(figure[unit] or 0 for figure in figures) for unit in ("n", "groups")}
    made = {
        "value": None,
        "low": None,
        "high": None,
        **total,
        "interval": "no interval: a mean over folds",
    }
    if None in values:
        return {**made, "reason": f"undefined in {values.count(None)} of {len(values)} folds"}
    return {**made, "value": statistics.fmean(values)}


def _target_score(views: Sequence[View]) -> Any:
    """What all folds call the target_score (a number, or one per score), None where they differ."""
    told = [_plain(view.get("target_score")) for view in views]
    return told[0] if all(each == told[0] for each in told) else None


def _plain(target_score: Any) -> Any:
    """A target_score without all but its values."""
    if not isinstance(target_score, Mapping):
        return target_score
    return {
        name: figure["value"] if isinstance(figure, Mapping) else figure
        for name, figure in target_score.items()
    }


def _seconds(parts: Sequence[Record]) -> dict[str, float]:
    """Of all folds together, for the stages that every fold has."""
    every = [part.get("seconds") or {} for part in parts]
    names = [name for name in every[0] if all(each.get(name) is not None for each in every)]
    return {name: sum(each[name] for each in every) for name in names}
