"""Evaluation protocols for boxes: how targets and predictions are matched and become figures.

A protocol states how many boxes count, how they are matched and how a precision–recall curve
becomes a number. The same boxes differ by some thousandths between protocols (a perfect detector
scores 1 or .995), so each has a name and a version.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from usbench.metrics.average_precision import Curve, average_precisions, recalls
from usbench.metrics.bootstrap import Draws, Values
from usbench.metrics.box_overlap import (
    PairIou,
    box_areas,
    double_iou,
    find_overlaps,
    flatten_boxes,
    single_iou,
    target_areas,
)
from usbench.metrics.intervals import measure_spread
from usbench.metrics.matches import (
    ALL_AREAS,
    AreaRange,
    Matches,
    PredictedObjects,
    TargetObjects,
    keep_best,
    match,
)
from usbench.metrics.scores import (
    EvaluationProtocol,
    Figures,
    ProtocolScores,
    class_figures,
    class_mean,
)
from usbench.types import Boxes

Pairs = Sequence[tuple[Boxes, Boxes]]  # (target, prediction) of each image

COCO = "coco"
THRESHOLDS = np.linspace(0.5, 0.95, 10)  # IoU, as pycocotools makes them: arange misses .8 by a bit
MAX_BOXES = 100  # per image and class
# COCO's sizes are by area: small up to 32² px², medium up to 96² px².
AREAS = (ALL_AREAS, (0.0, 32.0**2), (32.0**2, 96.0**2), (96.0**2, ALL_AREAS[1]))
SIZES = ("", "small", "medium", "large")  # of AREAS

COCO_CURVE = Curve("left", lambda precision: np.asarray(precision.mean(-1)))
# ultralytics takes np.interp over the envelope's corners, which is flat between them and 0 where
# recall ends (at 1 too), and trapezoids, whose outer ends count half.
TRAPEZOIDS = Curve(
    "right",
    lambda precision: np.asarray((precision[..., 1:] + precision[..., :-1]).sum(-1) / 200),
)


@dataclass(frozen=True)
class BoxProtocol(EvaluationProtocol):
    """How boxes become a score."""

    curve: Curve
    max_boxes: int  # that count, per image and class or per image
    per_class: bool  # whether max_boxes is per image and class
    thresholds: NDArray[np.floating]  # (T,) IoU; in single precision, so are the scores
    iou: PairIou
    prefer_last: bool  # of targets with equal IoU, take the last; else the first
    areas: tuple[AreaRange, ...] = (ALL_AREAS,)
    recall_at: tuple[int, ...] = ()  # average recall of so many boxes per image and class
    # The version since which boxes are matched as they are now; case tables of older versions hold
    # other matches.
    matched_since: int = 1


_PROTOCOLS = (
    BoxProtocol(
        COCO,
        2,
        "COCO: mean over IoU .50:.05:.95 of 101-point interpolated precision, at most 100 boxes "
        "per image and class, all areas; classes without a truth are left out; boxes are taken as "
        "half-open pixel rectangles, in double precision; sizes by the area that a truth states, "
        "else its box's; boxes of equal score in order of the images' ids, else of the test set, "
        "then as listed",
        "COCO mAP, 100 boxes per class",
        COCO_CURVE,
        MAX_BOXES,
        True,
        THRESHOLDS,
        double_iou,
        prefer_last=True,
        areas=AREAS,
        recall_at=(1, 10, MAX_BOXES),
        matched_since=2,
    ),
    BoxProtocol(
        "ultralytics",
        1,
        "as ultralytics 8.4 validates: mean over IoU .50:.05:.95 of the area, by trapezoids at 101 "
        "points, under the interpolated precision, which is 0 where recall ends (so the "
        "target_score is .995); at most 300 boxes per image; classes without a truth are left out; "
        "boxes of equal score as listed, where its own order isn't defined",
        "mAP as ultralytics validates, at most .995",
        TRAPEZOIDS,
        300,
        False,
        THRESHOLDS.astype(np.float32),
        single_iou,
        prefer_last=False,
    ),
)
BOX_PROTOCOLS = {protocol.name: protocol for protocol in _PROTOCOLS}


def match_pairs(protocol: BoxProtocol, pairs: Pairs, classes: int) -> list[Matches]:
    """Match the predictions of N images with their targets, once per area range of the protocol.

    Args:
        protocol: states how.
        pairs: (target, prediction) of each image.
        classes: how many there are; ValueError for a label beyond them.
    """
    image, label, target_corners = flatten_boxes([target for target, _ in pairs])
    areas = target_areas([target for target, _ in pairs], target_corners)
    targets = TargetObjects(image, label, areas, np.zeros(len(image), bool))
    image, label, corners = flatten_boxes([prediction for _, prediction in pairs])
    labels = np.concatenate([targets.label, label])
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(
            f"expected labels from 0 to {classes - 1}, got {labels.min()} to {labels.max()}"
        )
    parts = [prediction.scores for _, prediction in pairs if prediction.scores is not None]
    scores = np.concatenate([np.zeros(0, np.float32), *parts])
    if protocol.thresholds.dtype == np.float32:
        scores = scores.astype(np.float32)
    predictions = PredictedObjects(image, label, box_areas(corners), scores)
    best = keep_best(predictions, protocol.max_boxes, protocol.per_class)
    predictions = predictions.select(best)
    return match(
        targets,
        predictions,
        find_overlaps(
            targets,
            predictions,
            target_corners,
            corners[best],
            protocol.iou,
            lowest=float(protocol.thresholds.min()),
        ),
        protocol.thresholds,
        (len(pairs), classes),
        protocol.areas,
        protocol.prefer_last,
    )


def measure_matches(
    protocol: BoxProtocol, matches: Sequence[Matches], weights: Values
) -> dict[str, Values]:
    """Average precision and recall of each class.

    Args:
        protocol: states the curve and how many boxes count.
        matches: per area range, all areas first.
        weights: (B, N) whole weights of the images.

    Returns:
        Name → (B, C), NaN where no target of the class has a weight.
    """
    precision = average_precisions(matches[0], protocol.curve, weights)  # (B, T, C)
    by_size = list(zip(SIZES, matches, strict=False))[1:]
    return {
        "map50_95": precision.mean(1),
        "map50": precision[:, 0],
        "map75": precision[:, 5],
        **{
            f"map_{size}": average_precisions(of_size, protocol.curve, weights).mean(1)
            for size, of_size in by_size
        },
        **{f"ar{most}": recalls(matches[0], most, weights) for most in protocol.recall_at},
        **{
            f"ar_{size}": recalls(of_size, protocol.max_boxes, weights) for size, of_size in by_size
        },
    }


def of_size(name: str, matches: Sequence[Matches]) -> Matches:
    """The matches of a figure's area range. matches: as for `measure_matches`."""
    _, _, size = name.partition("_")
    return matches[SIZES.index(size)] if size in SIZES else matches[0]


def box_figures(
    protocol: BoxProtocol,
    matches: Sequence[Matches],
    classes: Sequence[str],
    draws: Draws | None = None,
) -> tuple[Figures, dict[str, Figures]]:
    """Average precision and recall, overall and per class.

    Args:
        protocol: the one that matched.
        matches: as `match_pairs` returns them.
        classes: in order of the labels.
        draws: resamples of the images' groups, for the intervals.
    """
    images = len(matches[0].targets)
    values = measure_matches(protocol, matches, np.ones((1, images)))

    def resample(draws: Draws) -> Values:  # (B, figures, C)
        return np.stack([*measure_matches(protocol, matches, draws.case_weights).values()], axis=1)

    spread = measure_spread(resample, draws, "share", alone=False) if draws and images else None
    overall: Figures = {}
    per_class: dict[str, Figures] = {label: {} for label in classes}
    for n, (name, (class_values,)) in enumerate(values.items()):
        reason, class_reason = "no truth has a box", "no truth has this class"
        if name.endswith(SIZES[1:]):
            reason = class_reason = f"no truth is {name.split('_')[1]}"
        has_target = of_size(name, matches).targets > 0
        columns = spread.column(n) if spread else None
        overall[name] = class_mean(class_values, has_target, reason, columns, draws)
        figures = class_figures(class_values, has_target, class_reason, columns, draws)
        for label, figure in zip(classes, figures, strict=True):
            per_class[label][name] = figure
    return overall, per_class


def score_matches(
    protocol: BoxProtocol,
    matches: Sequence[Matches],
    pairs: Pairs,
    classes: Sequence[str],
    draws: Draws | None = None,
) -> ProtocolScores:
    """Score matches by their protocol, and the target itself as the prediction.

    Args:
        protocol: the one that matched.
        matches: of the pairs, as `match_pairs` returns them.
        pairs: (target, prediction) of each image.
        classes: in order of the labels.
        draws: resamples of the images' groups, for the intervals.
    """
    scores, per_class = box_figures(protocol, matches, classes, draws)
    perfect = [
        (target, replace(target, scores=np.ones(len(target.labels), np.float32)))
        for target, _ in pairs
    ]
    target_score, _ = box_figures(protocol, match_pairs(protocol, perfect, len(classes)), classes)
    return ProtocolScores(
        protocol.name, protocol.version, protocol.description, scores, per_class, target_score
    )


def score_pairs(
    pairs: Pairs, classes: Sequence[str], name: str = COCO, draws: Draws | None = None
) -> ProtocolScores:
    """Match and score pairs by the protocol of that name; arguments as for `score_matches`."""
    matches = match_pairs(BOX_PROTOCOLS[name], pairs, len(classes))
    return score_matches(BOX_PROTOCOLS[name], matches, pairs, classes, draws)
