"""The matcher: crowds and masks against pycocotools, ultralytics' own matching, and its pieces by
hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as rle

from tests.helpers.drawn_boxes import SQUARE, draw_prediction, draw_target, evaluate, random_pairs
from usbench.metrics import box_protocols
from usbench.metrics.average_precision import average_precisions, recalls
from usbench.metrics.matches import (
    Overlaps,
    PredictedObjects,
    TargetObjects,
    keep_best,
    match,
    order_by_score,
    rank_within_runs,
)
from usbench.models.yolo.package import sealed_ultralytics
from usbench.types import Run

CLASSES = 2


def numbers(*values: float) -> np.ndarray[Any, Any]:
    return np.array(values, np.int64)


def test_ranks_count_within_a_run():
    assert rank_within_runs(numbers(1, 1, 1, 2, 2, 2), numbers(0, 0, 1, 1, 1, 1)).tolist() == [
        0,
        1,
        0,
        0,
        1,
        2,
    ]
    assert rank_within_runs(numbers()).tolist() == []


@given(
    st.lists(
        st.tuples(
            st.integers(0, 70_000),
            st.sampled_from([0.0, -0.0, 1.0, 0.5]) | st.floats(allow_nan=False, width=32),
        )
    ),
    st.sampled_from([np.float32, np.float64]),
)
def test_the_order_by_score_is_that_of_a_stable_sort(pairs, dtype):
    group = np.array([number for number, _ in pairs], np.int64)
    score = np.array([value for _, value in pairs], dtype)
    assert order_by_score(group, score).tolist() == np.lexsort((-score, group)).tolist()


def test_many_groups_and_scores_are_ordered_by_keys():
    """Group, score and place don't fit 64 bits."""
    group, score = numbers(2**31, 0, 2**31), np.array([0.1, 0.2, 0.3], np.float32)
    assert order_by_score(group, score).tolist() == [1, 2, 0]


def test_the_best_of_each_image_and_class_or_of_each_image():
    """Image 0 has .2 and .9 of class 0 and .8 of class 1, image 1 two equal ones of class 0."""
    score = np.array([0.2, 0.8, 0.9, 0.5, 0.5], np.float32)
    actual = PredictedObjects(numbers(0, 0, 0, 1, 1), numbers(0, 1, 0, 0, 0), np.zeros(5), score)
    assert keep_best(actual, 1).tolist() == [2, 1, 3]
    assert keep_best(actual, 9).tolist() == [2, 0, 1, 3, 4]
    assert keep_best(actual, 2, per_class=False).tolist() == [2, 1, 3, 4]
    assert keep_best(actual, 1, per_class=False).tolist() == [2, 3]


def one_class(
    targets: int, predictions: int, crowd: Sequence[int] = (), area: float = 100.0
) -> tuple[TargetObjects, PredictedObjects]:
    """One image, scores falling."""
    crowds = np.isin(np.arange(targets), crowd)
    score = np.linspace(0.9, 0.5, predictions).astype(np.float32)
    flat = np.zeros(max(targets, predictions), np.int64)
    areas = np.full(targets, area)
    return TargetObjects(flat[:targets], flat[:targets], areas, crowds), PredictedObjects(
        flat[:predictions], flat[:predictions], np.full(predictions, area), score
    )


def test_a_crowd_takes_any_number_and_only_if_no_other_will_do():
    """Target 0 is a crowd, 1 is not.

    All three predictions lie in the crowd; the first overlaps target 1 a little less.

    It takes target 1 all the same, the second finds that taken, the third never overlapped it: both
    are ignored.
    """
    targets, predictions = one_class(2, 3, crowd=[0])
    iou = np.array([[1.0, 0.6], [1.0, 0.6], [1.0, 0.0]])
    every = numbers(0, 1, 2)
    (actual,) = match(
        targets,
        predictions,
        Overlaps.from_blocks([(every, every[:2], iou)]),
        np.array([0.5, 0.75]),
        (1, 1),
    )
    assert actual.hit.tolist() == [[True, False, False], [False] * 3]
    assert actual.ignored.tolist() == [[False, True, True], [True] * 3]
    assert actual.targets.tolist() == [[1]]


def test_a_target_of_another_size_is_taken_once():
    """Two predictions on one target outside the range: the first is ignored with it, the second is
    a false positive if its own area is inside, and ignored if not.
    """
    targets, predictions = one_class(1, 2)
    pairs = Overlaps.from_blocks([(numbers(0, 1), numbers(0), np.array([[0.9], [0.8]]))])
    own = PredictedObjects(
        predictions.image, predictions.label, np.array([100.0, 5.0]), predictions.score
    )
    for each, ignored in ((predictions, [True, True]), (own, [True, False])):
        (actual,) = match(targets, each, pairs, np.array([0.5]), (1, 1), [(0.0, 50.0)])
        assert (
            actual.ignored[0].tolist() == ignored
            and not actual.hit.any()
            and actual.targets.sum() == 0
        )


def test_nothing_at_all():
    targets, predictions = one_class(0, 0)
    (actual,) = match(targets, predictions, Overlaps.from_blocks([]), np.array([0.5]), (3, 2))
    assert (
        actual.hit.shape == (1, 0)
        and actual.targets.tolist() == [[0, 0]] * 3
        and actual.starts.tolist() == [0, 0, 0]
    )


def test_one_class_and_all_classes_as_one():
    own = draw_target(SQUARE, (30, 30, 40, 40), labels=[0, 1])
    actual = draw_prediction(
        (*SQUARE, 0.5), (30, 30, 40, 40, 0.9), (0, 0, 5, 5, 0.7), labels=[0, 1, 1]
    )
    matches = box_protocols.match_pairs(box_protocols.BOX_PROTOCOLS["coco"], [(own, actual)], 2)[0]
    assert matches.label.tolist() == [0, 1, 1] and matches.score.tolist() == pytest.approx(
        [0.5, 0.9, 0.7]
    )
    alone, every = matches.of_class(1), matches.pool_classes()
    assert alone.hit[0].tolist() == [True, False] and alone.targets.tolist() == [[1]]
    assert every.score.tolist() == pytest.approx([0.9, 0.7, 0.5]) and every.hit[0].tolist() == [
        True,
        False,
        True,
    ]
    assert every.targets.tolist() == [[2]] and every.starts.tolist() == [0, 3]


# ---- pycocotools: crowds, masks


def drawn(seed: int, images: int = 12) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(ground truth, results) of masks with their boxes: ellipses of two classes, some targets
    crowds, predictions near targets and elsewhere, ties.
    """
    rng = np.random.default_rng(seed)
    targets: list[dict[str, Any]] = []
    predictions: list[dict[str, Any]] = []
    rows, columns = np.mgrid[:120, :120]

    def ellipse(x: float, y: float, a: float, b: float) -> dict[str, Any]:
        plane = ((columns - x) / a) ** 2 + ((rows - y) / b) ** 2 <= 1
        packed = rle.encode(np.asfortranarray(plane.astype(np.uint8)))
        return {
            "segmentation": packed,
            "bbox": rle.toBbox(packed).tolist(),
            "area": float(rle.area(packed)),
        }

    for image in range(1, images + 1):
        for _ in range(int(rng.integers(0, 5)) if image % 5 else 0):
            shape, label = (
                rng.uniform((20, 20, 5, 5), (100, 100, 60, 40)),
                int(rng.integers(1, CLASSES + 1)),
            )
            head = {"image_id": image, "category_id": label}
            crowd = int(rng.random() < 0.3)
            targets.append({**ellipse(*shape), **head, "iscrowd": crowd, "id": len(targets) + 1})
            for _ in range(4 if crowd else 2):
                near = shape + rng.normal(0, 2, 4) * (1, 1, 0.5, 0.5)
                predictions.append(
                    {**ellipse(*near), **head, "score": float(rng.uniform(0.05, 1).__round__(1))}
                )
        for _ in range(3):
            head = {"image_id": image, "category_id": int(rng.integers(1, CLASSES + 1))}
            other = rng.uniform((20, 20, 5, 5), (100, 100, 60, 40))
            predictions.append(
                {**ellipse(*other), **head, "score": float(rng.uniform(0.05, 1).__round__(1))}
            )
    dataset = {
        "images": [{"id": n + 1, "height": 120, "width": 120} for n in range(images)],
        "categories": [{"id": c + 1} for c in range(CLASSES)],
        "annotations": targets,
    }
    return dataset, predictions


def column(entries: list[dict[str, Any]], name: str, kind: Any = np.int64) -> Any:
    return np.array([entry[name] for entry in entries], kind)


@pytest.mark.parametrize("kind", ["segm", "bbox"])
@pytest.mark.parametrize("seed", range(3))
def test_crowds_and_masks_score_as_under_pycocotools(seed, kind):
    dataset, results = drawn(seed)
    shape = "segmentation" if kind == "segm" else "bbox"
    results = [
        {name: each[name] for name in ("image_id", "category_id", "score", shape, "area")}
        for each in results
    ]
    own = dataset["annotations"]
    areas = column(results, "area", float)
    if kind == "bbox":
        areas = np.array([each["bbox"][2] * each["bbox"][3] for each in results])
    score = column(results, "score", np.float32)
    predictions = PredictedObjects(
        column(results, "image_id") - 1, column(results, "category_id") - 1, areas, score
    )
    order = keep_best(predictions, 100)
    predictions, results = predictions.select(order), [results[n] for n in order]
    crowd = column(own, "iscrowd", bool)
    assert crowd.sum() >= 3 and (~crowd).sum() >= 8
    targets = TargetObjects(
        column(own, "image_id") - 1,
        column(own, "category_id") - 1,
        column(own, "area", float),
        crowd,
    )
    blocks = []
    for image in range(len(dataset["images"])):
        for label in range(CLASSES):
            here = np.flatnonzero((predictions.image == image) & (predictions.label == label))
            there = np.flatnonzero((targets.image == image) & (targets.label == label))
            if len(here) and len(there):
                left, right = [results[n][shape] for n in here], [own[n][shape] for n in there]
                blocks.append(
                    (here, there, rle.iou(left, right, crowd[there].astype(int).tolist()))
                )
    ours = match(
        targets,
        predictions,
        Overlaps.from_blocks(blocks),
        box_protocols.THRESHOLDS,
        (len(dataset["images"]), CLASSES),
        box_protocols.AREAS,
    )
    theirs = evaluate(dataset, [dict(each) for each in results], kind)
    assert any(actual.ignored.any() for actual in ours)
    weights, curve = np.ones((1, len(dataset["images"]))), box_protocols.BOX_PROTOCOLS["coco"].curve
    for a, actual in enumerate(ours):
        expected = theirs.eval["precision"][:, :, :, a, -1].mean(1)
        precision = np.nan_to_num(average_precisions(actual, curve, weights)[0], nan=-1)
        assert precision == pytest.approx(expected, abs=1e-9)
        expected = theirs.eval["recall"][:, :, a, -1].mean(0)
        assert np.nan_to_num(recalls(actual, 100, weights)[0], nan=-1) == pytest.approx(
            expected, abs=1e-9
        )


# ---- ultralytics


@pytest.mark.parametrize("seed", range(3))
def test_the_rule_ultralytics_matches_and_scores_as_ultralytics(seed, tmp_path):
    """Its `match_predictions` image by image, then its `ap_per_class`; no two scores are equal,
    where its order would not be defined.
    """
    with sealed_ultralytics(Run(tmp_path, "cpu", 0, "fp32", 1, lambda pairs: 0.0)):
        from ultralytics.engine.validator import BaseValidator
        from ultralytics.utils.metrics import ap_per_class, box_iou

        thresholds = torch.linspace(0.5, 0.95, 10)
        rows = []
        pairs = random_pairs(seed, 20, ties=False)
        for own, actual in pairs:
            order = np.argsort(-actual.scores)[:300]
            true, labels = torch.from_numpy(own.xyxy), torch.from_numpy(own.labels)
            place, guessed = (
                torch.from_numpy(actual.xyxy[order]),
                torch.from_numpy(actual.labels[order]),
            )
            if len(true) and len(place):
                asked = SimpleNamespace(iouv=thresholds), guessed, labels, box_iou(true, place)
                right = BaseValidator.match_predictions(*asked).numpy()
            else:
                right = np.zeros((len(order), 10), bool)
            rows.append((right, actual.scores[order], actual.labels[order]))
        right, score, label = (np.concatenate(each) for each in zip(*rows, strict=True))
        theirs = ap_per_class(right, score, label, np.concatenate([own.labels for own, _ in pairs]))
    rule = box_protocols.BOX_PROTOCOLS["ultralytics"]
    (ours,) = box_protocols.match_pairs(rule, pairs, 3)
    assert (rule.thresholds == thresholds.numpy()).all()
    order = np.lexsort((-score, label))
    assert (
        (right[order] == ours.hit.T).all()
        and (ours.score == score[order]).all()
        and right.sum() > 100
    )
    table = average_precisions(ours, rule.curve, np.ones((1, len(pairs))))[0].T
    assert theirs[6].tolist() == [0, 1] and table[:2] == pytest.approx(theirs[5], abs=1e-9)
    assert np.isnan(table[2]).all()
    values = box_protocols.score_pairs(pairs, ["a", "b", "c"], "ultralytics").scores
    assert values["map50_95"].value == pytest.approx(theirs[5].mean(), abs=1e-9)
    assert values["map50"].value == pytest.approx(theirs[5][:, 0].mean(), abs=1e-9)
