"""COCO's own files, ground truth and results, scored by COCO's rule: boxes or masks (run lengths), crowds included."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from usbench.datasets.codecs import coco_parts, coco_results, coco_targets, rle
from usbench.evaluate.files import group_of, matched
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

RULE = box_protocols.BOX_PROTOCOLS[box_protocols.COCO]


@dataclass(frozen=True)
class Instances:
    """Truths and guesses of all images, and how much they overlap."""

    classes: tuple[str, ...]
    cases: list[str]  # the images, in order
    missing: list[str]  # those without a result
    truths: TargetObjects
    guesses: PredictedObjects  # at most 100 of an image and class
    overlaps: Overlaps
    masks: bool


@dataclass(frozen=True)
class _Objects:
    """Truths or guesses of one image."""

    labels: NDArray[np.int64]
    areas: NDArray[np.float64]  # px²
    corners: NDArray[np.float64]  # (N, 4), where they are boxes
    counts: list[str]  # run lengths, where they are masks
    scores: NDArray[np.float32]
    crowd: NDArray[np.bool_]


def read(truth: Path, predictions: Path, strict: bool) -> Instances:
    """Read both files. Masks are compared where every result has a segmentation, else boxes.

    Raises DataError for files that aren't COCO's, for references that lead nowhere, and (strict) missing predictions.
    """
    parts = coco_parts.load_coco_parts(truth)
    known, found = (
        coco_targets.read_coco_targets(truth),
        coco_results.read_coco_results(predictions, parts),
    )
    ordered = sorted(parts["categories"], key=lambda entry: entry["id"])
    places = {str(entry["name"]): n for n, entry in enumerate(ordered)}
    masks = all(each.counts is not None for results in found.values() for each in results)
    cases, missing = matched(known.images, found, predictions, strict)
    own = [_truths(known, case, places, masks) for case in cases]
    theirs = [_guesses(found.get(case, []), known.images[case].size, masks) for case in cases]
    truths = TargetObjects(*_joined(own), np.concatenate([each.crowd for each in own]))
    every = PredictedObjects(*_joined(theirs), np.concatenate([each.scores for each in theirs]))
    kept = keep_best(every, RULE.max_boxes, RULE.per_class)
    overlaps = _overlaps(own, theirs, kept, [known.images[case].size for case in cases], masks)
    return Instances(tuple(places), cases, missing, truths, every.select(kept), overlaps, masks)


def _truths(
    known: coco_targets.CocoTargets, case: str, places: dict[str, int], masks: bool
) -> _Objects:
    image = known.images[case]
    labels = np.array([places[name] for _, name, _ in image.objects], np.int64)
    crowd = np.array([bool(entry.get("iscrowd")) for *_, entry in image.objects], bool)
    counts, corners, areas = [], np.zeros((len(labels), 4)), np.zeros(len(labels))
    for n, (number, _, entry) in enumerate(image.objects):
        if masks:
            counts.append(rle.encode_rle(known.region(number, entry, image.size)))
            own = float(rle.rle_area(counts[-1], image.size))
        else:
            corners[n] = known.corners(number, entry, image.size)
            own = float((corners[n, 2] - corners[n, 0]) * (corners[n, 3] - corners[n, 1]))
        stated = entry.get(
            "area"
        )  # of an object with a mask, the mask's, also where boxes are compared
        areas[n] = stated if coco_parts.within(stated, 0, 1e12) else own
    return _Objects(labels, areas, corners, counts, np.ones(len(labels), np.float32), crowd)


def _guesses(
    results: Sequence[coco_results.CocoResult], size: tuple[int, int], masks: bool
) -> _Objects:
    labels = np.array([each.label for each in results], np.int64)
    scores = np.array([each.score for each in results], np.float32)
    none = np.zeros(len(results), bool)
    if masks:
        counts = [each.counts or "" for each in results]
        areas = np.array([rle.rle_area(each, size) for each in counts], np.float64)
        return _Objects(labels, areas, np.zeros((len(results), 4)), counts, scores, none)
    xywh = np.array([each.bbox for each in results], np.float64).reshape(-1, 4)
    corners = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
    return _Objects(labels, xywh[:, 2] * xywh[:, 3], corners, [], scores, none)


def _joined(
    every: Sequence[_Objects],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """(image, label, area) of all images."""
    image = np.repeat(np.arange(len(every)), [len(each.labels) for each in every])
    return (
        image,
        np.concatenate([each.labels for each in every]),
        np.concatenate([each.areas for each in every]),
    )


def _overlaps(
    own: Sequence[_Objects],
    theirs: Sequence[_Objects],
    kept: NDArray[np.int64],
    sizes: Sequence[tuple[int, int]],
    masks: bool,
) -> Overlaps:
    """Of each image and class, the kept guesses against the truths."""
    number = np.full(sum(len(each.labels) for each in theirs), -1, np.int64)
    number[kept] = np.arange(len(kept))
    blocks, guess, truth = [], 0, 0
    for one, other, size in zip(own, theirs, sizes, strict=True):
        for label in np.intersect1d(one.labels, other.labels):
            t, g = np.flatnonzero(one.labels == label), np.flatnonzero(other.labels == label)
            g = g[number[guess + g] >= 0]
            overlap = (
                rle.rle_overlap(
                    [other.counts[n] for n in g],
                    [one.counts[n] for n in t],
                    size,
                    one.crowd[t].tolist(),
                )
                if masks
                else box_iou(other.corners[g], one.corners[t], one.crowd[t])
            )
            blocks.append((number[guess + g], truth + t, overlap))
        guess, truth = guess + len(other.labels), truth + len(one.labels)
    return Overlaps.from_blocks(blocks)


def box_iou(
    guesses: NDArray[np.float64], truths: NDArray[np.float64], crowd: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """(D, 4), (G, 4) half-open corners → (D, G) IoU; with a crowd the share of the guess that lies in it."""
    g, t = guesses[:, None], truths[None]
    sides = np.clip(
        np.minimum(g[..., 2:], t[..., 2:]) - np.maximum(g[..., :2], t[..., :2]), 0, None
    )
    both, own, theirs = (
        each[..., 0] * each[..., 1]
        for each in (sides, g[..., 2:] - g[..., :2], t[..., 2:] - t[..., :2])
    )
    ratio: NDArray[np.float64] = both / np.maximum(
        np.where(crowd[None], own, own + theirs - both), 1e-12
    )
    return ratio


def score(found: Instances, group: re.Pattern[str] | None) -> Scores:
    """COCO's figures with intervals by group, those of lesions, and the cases."""
    groups = [group_of(case, group) for case in found.cases]
    draws, size = draw(groups), (len(found.cases), len(found.classes))
    matches = match(found.truths, found.guesses, found.overlaps, RULE.thresholds, size, RULE.areas)
    scores, per_class = box_protocols.box_figures(RULE, matches, found.classes, draws)
    target_score, _ = box_protocols.box_figures(RULE, _perfect(found, size), found.classes)
    words = (
        RULE.description
        + ("; of masks (run lengths)" if found.masks else "")
        + "; crowds count nowhere"
    )
    scorer = DetectScorer(found.classes)
    scorer.images = list(zip(found.cases, groups, strict=True))
    ruled = ProtocolScores(RULE.name, RULE.version, words, scores, per_class, target_score)
    return Scores((scorer.add_figures(ruled, matches[0], draws),), scorer.case_rows(matches[0]))


def _perfect(found: Instances, size: tuple[int, int]) -> list[Matches]:
    """The truths themselves as guesses."""
    single = np.flatnonzero(~found.truths.crowd)
    own = found.truths
    guesses = PredictedObjects(
        own.image[single], own.label[single], own.area[single], np.ones(len(single), np.float32)
    )
    kept = keep_best(guesses, RULE.max_boxes, RULE.per_class)
    overlaps = Overlaps(np.arange(len(kept)), single[kept], np.ones(len(kept)))
    return match(found.truths, guesses.select(kept), overlaps, RULE.thresholds, size, RULE.areas)
