"""A case table → scores again, of any task: for pooled folds, strata, and results without files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from usbench.metrics import detect_scorer, landmark_scorer, segment_scorer
from usbench.metrics.box_protocols import BOX_PROTOCOLS, COCO
from usbench.metrics.landmark_scorer import RADIAL
from usbench.metrics.mask_protocols import MASK_PROTOCOLS
from usbench.metrics.measures.measurements import MEASURE
from usbench.metrics.scores import EvaluationProtocol, Scores
from usbench.types import Task

THRESHOLDS = ("thresholds_px", "thresholds_mm")  # arguments of a metric for landmarks
ARGUMENTS = (*THRESHOLDS, "measures")  # those that scores from a case table depend on


def scorable_protocols(task: Task) -> dict[str, EvaluationProtocol]:
    """The protocols that a case table suffices for, by name."""
    if task == "landmark":
        return {part.name: part for part in (RADIAL, MEASURE)}
    if task == "detect":
        return {COCO: BOX_PROTOCOLS[COCO]}
    native = {name: rule for name, rule in MASK_PROTOCOLS.items() if rule.is_native}
    return {**native, MEASURE.name: MEASURE}


def score_case_table(
    rows: Sequence[Mapping[str, str]],
    task: Task,
    classes: Sequence[str],
    protocols: Sequence[str],
    metric: Mapping[str, object],
) -> Scores:
    """Scores of the rows of a case table.

    Args:
        rows: as text, "" for null.
        task: of the table.
        classes: in order.
        protocols: names of `scorable_protocols`, the main one first.
        metric: the scorer's arguments, of which thresholds and measurements are taken.
    """
    node = metric.get("measures") if MEASURE.name in protocols else None
    measures = node if isinstance(node, Mapping) else None
    if task == "segment":
        native = [name for name in protocols if name != MEASURE.name]
        return segment_scorer.from_cases(rows, classes, native, measures)
    if task == "detect":
        return detect_scorer.from_cases(rows, classes)
    arguments: dict[str, Any] = {
        name: metric[name] for name in THRESHOLDS if isinstance(metric.get(name), list)
    }
    return landmark_scorer.from_cases(rows, classes, measures=measures, **arguments)
