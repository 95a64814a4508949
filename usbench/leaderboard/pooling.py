"""Case tables of several folds → the scores of all their cases together, by the rules that case tables suffice for.

Each rule averages in its own order over all cases (images per class, then classes; pixels; every point once), and mAP
is of the matches of all cases: never a mean of folds. Groups are resampled for the intervals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from usbench.leaderboard import cache
from usbench.leaderboard.folds import Pool, Record, View, views_of
from usbench.metrics import detect_scorer, landmark_scorer, segment_scorer
from usbench.metrics.box_protocols import BOX_PROTOCOLS, COCO
from usbench.metrics.landmark_scorer import RADIAL
from usbench.metrics.mask_protocols import MASK_PROTOCOLS
from usbench.metrics.scores import ProtocolScores
from usbench.results import store as results
from usbench.runner import report

Rows = list[dict[str, str]]
BY_FOLD = (
    "presence_f1",
    "false_presence",
)  # at a threshold that each fold chose on its own validation


def pooling(folder: Path, kept: cache.Cache) -> Pool:
    """How folds are pooled. folder: where the records and their case tables lie."""

    def pool(parts: Sequence[Record]) -> Mapping[str, View]:
        if not all(part.get("cases") for part in parts):
            return {}
        paths = [results.record_path(folder, part) for part in parts]
        digests = [
            results.cases_digest(path, part) for path, part in zip(paths, parts, strict=True)
        ]
        key = cache.key(
            "pooled", digests, classes_of(parts[0]), usable(parts[0]), thresholds_of(parts[0])
        )
        found = kept.get(key)
        if found is None:
            tables = [
                results.read_cases(path, part) for path, part in zip(paths, parts, strict=True)
            ]
            found = together(tables, parts[0])
            kept.put(key, found)
        return dict(found)

    return pool


def together(tables: Sequence[Rows], first: Record) -> dict[str, View]:
    """Protocol → scores, per_class and target_score of all tables' cases; {} where a case is in two of them."""
    rows = [row for table in tables for row in table]
    cases = [{row["case"] for row in table} for table in tables]
    rules = usable(first)
    if not rules or len(set().union(*cases)) < sum(map(len, cases)):
        return {}
    groups = len({row["group"] for row in rows})
    return {
        one.name: {
            "scores": report.figures(one.scores, groups),
            "per_class": {
                name: report.figures(part, groups) for name, part in one.per_class.items()
            },
            "target_score": report.figures(one.target_score, groups),
        }
        for one in scored(rows, first, rules)
    }


def usable(record: Record) -> list[str]:
    """The record's protocols that a case table suffices for, as far as they are of the version that the code has."""
    views = {name: view["version"] for name, view in views_of(record).items()}
    if record["task"] == "landmark":
        return [RADIAL.name] if views.get(RADIAL.name) == RADIAL.version else []
    if record["task"] == "detect":
        coco = BOX_PROTOCOLS[COCO]
        return [coco.name] if views.get(coco.name) == coco.version else []
    native = [rule for rule in MASK_PROTOCOLS.values() if rule.is_native]
    current = {rule.name for rule in native if views.get(rule.name) == rule.version}
    return [name for name in views if name in current]


def scored(rows: Rows, record: Record, rules: Sequence[str]) -> tuple[ProtocolScores, ...]:
    """All rows by the rules."""
    classes = classes_of(record)
    if record["task"] == "segment":
        return segment_scorer.from_cases(rows, classes, rules).protocols
    if record["task"] == "detect":
        return detect_scorer.from_cases(rows, classes).protocols
    return radial(rows, classes, thresholds_of(record))


def radial(
    rows: Rows, classes: Sequence[str], thresholds: Mapping[str, Any]
) -> tuple[ProtocolScores, ...]:
    """Landmarks, without what depends on a threshold of one fold and without lengths, which the table hasn't."""
    (found,) = landmark_scorer.from_cases(rows, classes, **thresholds).protocols
    for figures in (found.scores, found.target_score, *found.per_class.values()):
        for name in BY_FOLD:
            figures.pop(name, None)
    return (found,)


def classes_of(record: Record) -> list[str]:
    """The classes of the record's view, in order."""
    classes: list[str] = list(record["config"]["dataset"]["views"][record["task"]]["classes"])
    return classes


def thresholds_of(record: Record) -> dict[str, Any]:
    """Of landmarks' detection rates."""
    metric = record["config"].get("metric") or {}
    return {name: metric[name] for name in ("thresholds_px", "thresholds_mm") if name in metric}
