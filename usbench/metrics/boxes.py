"""Average precision of boxes by the COCO rule (faster-coco-eval), and the matches behind it, image by image.

Rule: 10 IoU thresholds .50:.05:.95, 101 recall points, at most 100 boxes per image and class, all areas; a class
without a
truth is left out of the mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray

from usbench.metrics.scores import Figure, Figures, Ruled
from usbench.types import Boxes

NAME, VERSION = "coco", 1
WORDS = (
    "COCO: mean over IoU .50:.05:.95 of 101-point interpolated precision, at most 100 boxes per image and "
    "class, all areas; "
    "classes without a truth are left out; boxes are taken as half-open pixel rectangles"
)
THRESHOLDS = np.linspace(0.5, 0.95, 10)  # as pycocotools makes them: arange misses .8 by a bit
MAX_BOXES = 100  # per image and class


def iou(truth: NDArray[np.float32], guess: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N, 4) and (M, 4) half-open xyxy → (M, N) intersection over union."""
    t, g = truth.astype(np.float64)[None], guess.astype(np.float64)[:, None]
    sides = np.clip(np.minimum(g[..., 2:], t[..., 2:]) - np.maximum(g[..., :2], t[..., :2]), 0, None)
    both = sides.prod(-1)
    areas = (t[..., 2:] - t[..., :2]).prod(-1) + (g[..., 2:] - g[..., :2]).prod(-1)
    ratio: NDArray[np.float64] = both / np.maximum(areas - both, 1e-12)
    return ratio


def match(truth: NDArray[np.float32], guess: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(N, 4) truths and (M, 4) guesses of one image and class, best first → (10, M): matched at each threshold.

    COCO's greedy rule: each guess takes the free truth of highest IoU that reaches the threshold; of equals the last.
    """
    matched = np.zeros((len(THRESHOLDS), len(guess)), bool)
    if not len(truth) or not len(guess):
        return matched
    overlaps = iou(truth, guess)
    for t, threshold in enumerate(THRESHOLDS):
        free = np.ones(len(truth), bool)
        for g in range(len(guess)):
            best = np.where(free, overlaps[g], -1.0)
            n = len(best) - 1 - int(best[::-1].argmax())
            if best[n] >= min(threshold, 1 - 1e-10):
                matched[t, g], free[n] = True, False
    return matched


def by_score(boxes: Boxes, label: int) -> Boxes:
    """The boxes of one class, best first, at most 100."""
    assert boxes.scores is not None
    chosen = np.flatnonzero(boxes.labels == label)
    order = chosen[np.argsort(-boxes.scores[chosen], kind="mergesort")][:MAX_BOXES]
    return Boxes(boxes.xyxy[order], boxes.labels[order], boxes.scores[order])


def coco(pairs: Sequence[tuple[Boxes, Boxes]], classes: int) -> COCOeval_faster:
    """Evaluate (truth, prediction) pairs, one an image; ids start at 1 (an annotation with id 0 would never match)."""
    images = [{"id": n + 1, "height": 1, "width": 1} for n in range(len(pairs))]
    categories = [{"id": c + 1, "name": str(c)} for c in range(classes)]
    truths: list[dict[str, Any]] = []
    guesses: list[dict[str, Any]] = []
    for n, (truth, guess) in enumerate(pairs):
        for entry in entries(truth, n + 1):
            truths.append({**entry, "id": len(truths) + 1, "iscrowd": 0})
        guesses += entries(guess, n + 1)
    gt = COCO({"images": images, "categories": categories, "annotations": truths})
    dt = gt.loadRes(guesses) if guesses else COCO({"images": images, "categories": categories, "annotations": []})
    evaluation = COCOeval_faster(gt, dt, "bbox")
    evaluation.params.maxDets = [1, 10, MAX_BOXES]
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation


def entries(boxes: Boxes, image: int) -> list[dict[str, Any]]:
    """COCO entries of one image: bbox is x, y, width, height."""
    found = []
    for n, (box, label) in enumerate(zip(boxes.xyxy.astype(float), boxes.labels, strict=True)):
        x, y, width, height = box[0], box[1], box[2] - box[0], box[3] - box[1]
        entry = {
            "image_id": image,
            "category_id": int(label) + 1,
            "bbox": [x, y, width, height],
            "area": width * height,
        }
        if boxes.scores is not None:
            entry["score"] = float(boxes.scores[n])
        found.append(entry)
    return found


def apply(pairs: Sequence[tuple[Boxes, Boxes]], classes: Sequence[str]) -> Ruled:
    """mAP50-95, mAP50, mAP75 and AR@100, overall and per class, and the ceiling."""
    scores, per_class = figures(pairs, classes)
    perfect = [(t, Boxes(t.xyxy, t.labels, np.ones(len(t.labels), np.float32))) for t, _ in pairs]
    ceiling, _ = figures(perfect, classes)
    return Ruled(NAME, VERSION, WORDS, scores, per_class, ceiling)


def figures(pairs: Sequence[tuple[Boxes, Boxes]], classes: Sequence[str]) -> tuple[Figures, dict[str, Figures]]:
    """(overall, per class) figures of (truth, prediction) pairs."""
    none = "no truth has a box"
    names = ("map50_95", "map50", "map75", "ar100")
    if not any(len(truth.labels) for truth, _ in pairs):
        empty = {name: Figure(None, len(pairs), none) for name in names}
        return empty, {label: dict(empty) for label in classes}
    evaluation = coco(pairs, len(classes)).eval
    precision, recall = evaluation["precision"][:, :, :, 0, -1], evaluation["recall"][:, :, 0, -1]  # [T,R,K], [T,K]
    overall: Figures = {}
    per_class: dict[str, Figures] = {label: {} for label in classes}
    at50, at75 = 0, 5
    for name, table in (
        ("map50_95", precision),
        ("map50", precision[at50 : at50 + 1]),
        ("map75", precision[at75 : at75 + 1]),
        ("ar100", recall[:, None, :]),
    ):
        overall[name] = Figure.of(defined_mean(table), len(pairs), none)
        for c, label in enumerate(classes):
            per_class[label][name] = Figure.of(defined_mean(table[:, :, c]), len(pairs), "no truth has this class")
    return overall, per_class


def defined_mean(table: NDArray[np.float64]) -> float:
    """Mean over what the evaluator could define: it marks the rest with -1."""
    defined = table[table > -1]
    return float(defined.mean()) if len(defined) else float("nan")
