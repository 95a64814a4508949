"""Boxes that several tests draw: by hand, at random with everything that trips an evaluator, and
pycocotools' view.
"""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from usbench.types import Boxes

SQUARE = (10, 10, 20, 20)
Pairs = list[tuple[Boxes, Boxes]]


def draw_target(*xyxy: tuple[float, ...], labels: list[int] | None = None) -> Boxes:
    return Boxes(
        np.array(xyxy, np.float32).reshape(-1, 4), np.array(labels or [0] * len(xyxy), np.int64)
    )


def draw_prediction(*scored: tuple[float, ...], labels: list[int] | None = None) -> Boxes:
    """(x1, y1, x2, y2, score) each."""
    table = np.array(scored, np.float32).reshape(-1, 5)
    return Boxes(table[:, :4], np.array(labels or [0] * len(table), np.int64), table[:, 4])


def random_pairs(seed: int, images: int = 30, classes: int = 3, ties: bool = True) -> Pairs:
    """Empty images, an absent class (the last), score ties, boxes that nearly match, over 100 boxes
    of one class in one image, targets and predictions that are there twice, targets without a
    prediction. ties=False: no two scores are equal.
    """
    rng = np.random.default_rng(seed)
    pairs = []
    for n in range(images):
        count = int(rng.integers(0, 5)) if n % 5 else 0
        corner = rng.uniform(0, 60, (count, 2))
        targets = np.concatenate([corner, corner + rng.uniform(5, 30, (count, 2))], 1)
        labels = rng.integers(0, classes - 1, count)
        near = np.concatenate([targets + rng.normal(0, 2, targets.shape), targets.round()])
        if n % 4 == 2:
            targets, labels = np.concatenate([targets, targets]), np.concatenate([labels, labels])
            near = np.concatenate([near, near])
        noise = rng.uniform(0, 60, (400 if n == 1 else 6, 2))
        predicted = np.concatenate(
            [near, np.concatenate([noise, noise + rng.uniform(5, 30, noise.shape)], 1)]
        )
        predicted[:, 2:] = np.maximum(predicted[:, 2:], predicted[:, :2] + 1)
        marks = np.concatenate([labels, labels, rng.integers(0, classes, len(noise))])
        if n % 7 == 3:
            predicted, marks = predicted[:0], marks[:0]
        score = rng.uniform(0.01, 1, len(predicted)).astype(np.float32)
        score = score.round(1) if ties else score  # one digit: many
        pairs.append(
            (
                Boxes(targets.astype(np.float32), labels),
                Boxes(predicted.astype(np.float32), marks.astype(np.int64), score),
            )
        )
    return pairs


def as_coco(pairs: Pairs, classes: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(ground truth, results) in COCO's form; ids start at 1."""
    images = [{"id": n + 1, "height": 100, "width": 100} for n in range(len(pairs))]
    annotations: list[dict[str, Any]] = []
    predictions: list[dict[str, Any]] = []
    for n, (target, prediction) in enumerate(pairs):
        for (x1, y1, x2, y2), label in zip(
            target.xyxy.tolist(), target.labels.tolist(), strict=True
        ):
            box = {
                "image_id": n + 1,
                "category_id": label + 1,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "iscrowd": 0,
            }
            annotations.append({**box, "area": (x2 - x1) * (y2 - y1), "id": len(annotations) + 1})
        assert prediction.scores is not None
        for (x1, y1, x2, y2), label, score in zip(
            prediction.xyxy.tolist(), prediction.labels, prediction.scores, strict=True
        ):
            box = {
                "image_id": n + 1,
                "category_id": int(label) + 1,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
            }
            predictions.append({**box, "score": float(score)})
    categories = [{"id": c + 1, "name": str(c)} for c in range(classes)]
    return {"images": images, "categories": categories, "annotations": annotations}, predictions


def evaluate(dataset: dict[str, Any], predictions: list[dict[str, Any]], kind: str = "bbox") -> Any:
    """pycocotools' evaluation."""
    with contextlib.redirect_stdout(io.StringIO()):
        gt = COCO()
        gt.dataset = dataset
        gt.createIndex()
        evaluation = COCOeval(gt, gt.loadRes(predictions), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def reference(pairs: Pairs, classes: int) -> Any:
    """pycocotools' evaluation of the same boxes."""
    return evaluate(*as_coco(pairs, classes))
