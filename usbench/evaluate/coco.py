"""COCO's own files, ground truth and results, scored by COCO's protocol; crowds included.

Boxes or masks (run lengths) are compared.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from usbench.datasets.codecs import coco, coco_targets, rle
from usbench.evaluate.files import group_of, match_cases
from usbench.metrics import box_protocols
from usbench.metrics.bootstrap import draw
from usbench.metrics.detect_scorer import DetectScorer
from usbench.metrics.matches import (
    Matches,
    Overlaps,
    PredictedObjects,
    TargetObjects,
    keep_best,
    match,
)
from usbench.metrics.scores import ProtocolScores, Scores

PROTOCOL = box_protocols.BOX_PROTOCOLS[box_protocols.COCO]


@dataclass(frozen=True)
class Instances:
    """Target objects and predictions of all images, and how much they overlap."""

    classes: tuple[str, ...]
    cases: list[str]  # the images, in order
    missing: list[str]  # those without a result
    targets: TargetObjects
    predictions: PredictedObjects  # at most 100 of an image and class
    overlaps: Overlaps
    are_masks: bool


@dataclass(frozen=True)
class ImageObjects:
    """Target objects or predictions of one image."""

    labels: NDArray[np.int64]
    areas: NDArray[np.float64]  # px²
    bboxes: NDArray[np.float64]  # (N, 4) x, y, width, height, where they are boxes
    run_lengths: list[str]  # where they are masks
    scores: NDArray[np.float64]
    crowd: NDArray[np.bool_]


# ---- reading


def read_instances(target_file: Path, prediction_file: Path, strict: bool) -> Instances:
    """Read both files. Masks are compared where every result has a segmentation, else boxes.

    Args:
        strict: whether an image without a result is an error.

    Raises:
        DataError: a file isn't COCO's, a reference leads nowhere, or (strict) a result is missing.
    """
    known = coco_targets.read_coco_targets(target_file)
    results = coco.read_coco_results(prediction_file, known)
    numbers = {category.name: n for n, category in enumerate(known.categories.values())}
    are_masks = all(result.counts is not None for part in results.values() for result in part)
    _, missing = match_cases(known.images, results, prediction_file, strict)
    cases = order_by_id(known)
    sizes = [known.images[case].size for case in cases]
    targets = [target_objects(known, case, numbers, are_masks) for case in cases]
    predictions = [
        predicted_objects(results.get(case, []), known.images[case].size, are_masks)
        for case in cases
    ]
    crowd = np.concatenate([part.crowd for part in targets])
    all_predictions = PredictedObjects(
        *join(predictions), np.concatenate([part.scores for part in predictions])
    )
    best = keep_best(all_predictions, PROTOCOL.max_boxes, PROTOCOL.per_class)
    return Instances(
        tuple(numbers),
        cases,
        missing,
        TargetObjects(*join(targets), crowd),
        all_predictions.select(best),
        pair_overlaps(targets, predictions, best, sizes, are_masks),
        are_masks,
    )


def order_by_id(known: coco_targets.CocoTargets) -> list[str]:
    """The images in order of their ids, as pycocotools takes predictions of equal score."""
    ids = sorted(known.file_names, key=lambda key: (isinstance(key, str), key))
    return [known.file_names[image_id] for image_id in ids]


def target_objects(
    known: coco_targets.CocoTargets, case: str, numbers: Mapping[str, int], are_masks: bool
) -> ImageObjects:
    """The target objects of one image. numbers: class name → index."""
    image = known.images[case]
    n_objects = len(image.objects)
    labels, crowd = np.zeros(n_objects, np.int64), np.zeros(n_objects, bool)
    bboxes, areas = np.zeros((n_objects, 4)), np.zeros(n_objects)
    run_lengths = []
    for n, item in enumerate(image.objects):
        labels[n], crowd[n] = numbers[item.category], bool(item.entry.get("iscrowd"))
        if are_masks:
            run_lengths.append(rle.encode_rle(known.region(item, image.size)))
        else:
            known.corners(item, image.size)  # checks the bbox, which isn't clipped here
            bboxes[n] = item.entry["bbox"]
        if are_masks and "area" not in item.entry:
            areas[n] = rle.rle_area(run_lengths[-1], image.size)
        else:
            areas[n] = known.area(item)
    return ImageObjects(labels, areas, bboxes, run_lengths, np.ones(n_objects), crowd)


def predicted_objects(
    results: Sequence[coco.CocoResult], size: tuple[int, int], are_masks: bool
) -> ImageObjects:
    """The predictions of one image of (height, width)."""
    labels = np.array([result.label for result in results], np.int64)
    scores = np.array([result.score for result in results], np.float64)
    no_crowd = np.zeros(len(results), bool)
    if are_masks:
        run_lengths = [result.counts or "" for result in results]
        areas = np.array([rle.rle_area(counts, size) for counts in run_lengths], np.float64)
        no_bboxes = np.zeros((len(results), 4))
        return ImageObjects(labels, areas, no_bboxes, run_lengths, scores, no_crowd)
    bboxes = np.array([result.bbox for result in results], np.float64).reshape(-1, 4)
    return ImageObjects(labels, bboxes[:, 2] * bboxes[:, 3], bboxes, [], scores, no_crowd)


def join(
    images: Sequence[ImageObjects],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """(image number, label, area) of all objects of all images."""
    labels = [part.labels for part in images]
    numbers = np.repeat(np.arange(len(images)), [len(part) for part in labels])
    return numbers, np.concatenate(labels), np.concatenate([part.areas for part in images])


# ---- overlap


def pair_overlaps(
    targets: Sequence[ImageObjects],
    predictions: Sequence[ImageObjects],
    best: NDArray[np.int64],
    sizes: Sequence[tuple[int, int]],
    are_masks: bool,
) -> Overlaps:
    """The overlap of each prediction that counts with each target of its image and class.

    Args:
        best: numbers of the predictions that count, over all images.
        sizes: (height, width) of each image.
    """
    number = np.full(sum(len(part.labels) for part in predictions), -1, np.int64)
    number[best] = np.arange(len(best))
    blocks = []
    first_prediction = first_target = 0  # numbers of the image's first objects
    for target, predicted, size in zip(targets, predictions, sizes, strict=True):
        for label in np.intersect1d(target.labels, predicted.labels):
            t, p = np.flatnonzero(target.labels == label), np.flatnonzero(predicted.labels == label)
            p = p[number[first_prediction + p] >= 0]
            if are_masks:
                predicted_runs = [predicted.run_lengths[n] for n in p]
                target_runs = [target.run_lengths[n] for n in t]
                iou = rle.rle_overlap(predicted_runs, target_runs, size, target.crowd[t].tolist())
            else:
                iou = box_iou(predicted.bboxes[p], target.bboxes[t], target.crowd[t])
            blocks.append((number[first_prediction + p], first_target + t, iou))
        first_prediction += len(predicted.labels)
        first_target += len(target.labels)
    return Overlaps.from_blocks(blocks)


def box_iou(
    predictions: NDArray[np.float64], targets: NDArray[np.float64], crowd: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """IoU of boxes; with a crowd, the share of the prediction that lies in it.

    Every operation is pycocotools', so that an IoU that equals a threshold does so in both.

    Args:
        predictions: (D, 4) x, y, width, height.
        targets: (G, 4) x, y, width, height.
        crowd: (G,).

    Returns:
        (D, G).
    """
    p, t = predictions[:, None], targets[None]
    top_left = np.maximum(p[..., :2], t[..., :2])
    bottom_right = np.minimum(p[..., 2:] + p[..., :2], t[..., 2:] + t[..., :2])
    sides = np.clip(bottom_right - top_left, 0, None)
    both = sides[..., 0] * sides[..., 1]
    predicted_area, target_area = p[..., 2] * p[..., 3], t[..., 2] * t[..., 3]
    whole = np.where(crowd[None], predicted_area, predicted_area + target_area - both)
    ratio: NDArray[np.float64] = both / np.maximum(whole, 1e-12)
    return ratio


# ---- scoring


def score_instances(instances: Instances, group: re.Pattern[str] | None) -> Scores:
    """COCO's figures with intervals by group, those of lesions, and the cases.

    Args:
        group: a case's group is what the pattern's first group matches in its name.
    """
    groups = [group_of(case, group) for case in instances.cases]
    draws, size = draw(groups), (len(instances.cases), len(instances.classes))
    matches = match_instances(instances)
    scores, per_class = box_protocols.box_figures(PROTOCOL, matches, instances.classes, draws)
    target_score, _ = box_protocols.box_figures(
        PROTOCOL, match_targets(instances.targets, size), instances.classes
    )
    kind = "; of masks (run lengths)" if instances.are_masks else ""
    protocol = ProtocolScores(
        PROTOCOL.name,
        PROTOCOL.version,
        f"{PROTOCOL.description}{kind}; crowds count nowhere",
        scores,
        per_class,
        target_score,
    )
    scorer = DetectScorer(instances.classes)
    scorer.images = list(zip(instances.cases, groups, strict=True))
    return Scores((scorer.add_figures(protocol, matches[0], draws),), scorer.case_rows(matches[0]))


def match_instances(instances: Instances) -> list[Matches]:
    """The matches by COCO's protocol, per area range."""
    return match(
        instances.targets,
        instances.predictions,
        instances.overlaps,
        PROTOCOL.thresholds,
        (len(instances.cases), len(instances.classes)),
        PROTOCOL.areas,
    )


def match_targets(targets: TargetObjects, size: tuple[int, int]) -> list[Matches]:
    """The matches of the targets themselves as predictions. size: images and classes."""
    single = np.flatnonzero(~targets.crowd)
    predictions = PredictedObjects(
        targets.image[single],
        targets.label[single],
        targets.area[single],
        np.ones(len(single)),
    )
    best = keep_best(predictions, PROTOCOL.max_boxes, PROTOCOL.per_class)
    overlaps = Overlaps(np.arange(len(best)), single[best], np.ones(len(best)))
    thresholds, areas = PROTOCOL.thresholds, PROTOCOL.areas
    return match(targets, predictions.select(best), overlaps, thresholds, size, areas)
