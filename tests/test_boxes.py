"""Average precision of boxes: by hand, against pycocotools, and from the case table's matches."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster
from pycocotools.coco import COCO as ReferenceCOCO
from pycocotools.cocoeval import COCOeval as ReferenceEval

from usbench.errors import ConfigError
from usbench.metrics import boxes
from usbench.metrics.detect import DetectScorer, selection
from usbench.metrics.scores import flat
from usbench.types import Boxes

NAMES = ("map50_95", "map50", "map75", "ar100")


def truth(*xyxy: tuple[float, ...], labels: list[int] | None = None) -> Boxes:
    return Boxes(np.array(xyxy, np.float32).reshape(-1, 4), np.array(labels or [0] * len(xyxy), np.int64))


def guess(*scored: tuple[float, ...], labels: list[int] | None = None) -> Boxes:
    """(x1, y1, x2, y2, score) each."""
    table = np.array(scored, np.float32).reshape(-1, 5)
    return Boxes(table[:, :4], np.array(labels or [0] * len(table), np.int64), table[:, 4])


def scores(pairs: list[tuple[Boxes, Boxes]], classes: int = 1) -> dict[str, float | None]:
    return flat(boxes.apply(pairs, [str(c) for c in range(classes)]).scores)


SQUARE = (10, 10, 20, 20)


def test_iou_is_of_half_open_rectangles():
    """10×10 against the same moved by 5 columns: 50 / 150."""
    both = boxes.iou(np.array([SQUARE], np.float32), np.array([(15, 10, 25, 20), (20, 10, 30, 20)], np.float32))
    assert both.tolist() == [[50 / 150], [0.0]]


def test_a_perfect_detector_scores_exactly_1():
    """Not .995, as under ultralytics' rule (TRAPS section 1)."""
    assert scores([(truth(SQUARE), guess((*SQUARE, 0.9)))]) == dict.fromkeys(NAMES, 1.0)


def test_two_of_three_found():
    """Recall stops at 2/3: precision 1 at 67 of the 101 recall points (0 … .66): 67/101 = .6634 (TRAPS section 1)."""
    three = truth(SQUARE, (30, 30, 40, 40), (50, 50, 60, 60))
    found = scores([(three, guess((*SQUARE, 0.9), (30, 30, 40, 40, 0.8)))])
    assert found["map50_95"] == pytest.approx(67 / 101) and found["ar100"] == pytest.approx(2 / 3)


def test_an_iou_of_exactly_one_half_matches_at_one_half_only():
    half = guess((10, 10, 20, 15, 0.9))
    assert scores([(truth(SQUARE), half)]) == {"map50_95": 0.1, "map50": 1.0, "map75": 0.0, "ar100": 0.1}
    assert boxes.match(truth(SQUARE).xyxy, half.xyxy)[:, 0].tolist() == [True, *[False] * 9]


def test_the_better_scored_box_takes_the_truth():
    """Two boxes on one truth: the first (.9, IoU .8) takes it at .5 … .8, the second (IoU 1) only above."""
    pair = guess((10, 10, 20, 18, 0.9), (*SQUARE, 0.5))
    matched = boxes.match(truth(SQUARE).xyxy, pair.xyxy)
    assert matched[:7, 0].all() and not matched[7:, 0].any()
    assert not matched[:7, 1].any() and matched[7:, 1].all()


def test_a_false_positive_before_the_hit_halves_the_precision():
    found = scores([(truth(SQUARE), guess((50, 50, 60, 60, 0.9), (*SQUARE, 0.8)))])
    assert found["map50"] == pytest.approx(0.5) and found["ar100"] == 1.0


def test_a_class_without_a_truth_is_left_out_and_says_so():
    """Its false positives cost nothing under COCO's rule; the figure is None with a reason, never -1."""
    ruled = boxes.apply([(truth(SQUARE), guess((*SQUARE, 0.9), (0, 0, 5, 5, 0.9), labels=[0, 1]))], ["a", "b"])
    assert ruled.scores["map50_95"].value == 1.0
    assert ruled.per_class["b"]["map50_95"].value is None and ruled.per_class["b"]["map50_95"].reason


def test_no_truth_at_all_is_undefined_with_a_reason():
    ruled = boxes.apply([(Boxes.empty(), guess((*SQUARE, 0.9)))], ["a"])
    assert all(figure.value is None and figure.reason for figure in ruled.scores.values())


def test_nothing_predicted_scores_0():
    assert scores([(truth(SQUARE), Boxes.empty(scored=True))]) == dict.fromkeys(NAMES, 0.0)
    assert selection([(truth(SQUARE), Boxes.empty(scored=True))]) == 0.0
    assert selection([(Boxes.empty(), Boxes.empty(scored=True))]) == 0.0


def test_ids_start_at_1_because_0_never_matches():
    """TRAPS section 1b: with an annotation of id 0 the evaluator's AP of a perfect detector is 0."""
    image, category = {"id": 1, "height": 50, "width": 50}, {"id": 1, "name": "a"}
    one = {"image_id": 1, "category_id": 1, "bbox": [10, 10, 10, 10], "area": 100}
    gt = COCO({"images": [image], "categories": [category], "annotations": [{**one, "id": 0, "iscrowd": 0}]})
    evaluation = COCOeval_faster(gt, gt.loadRes([{**one, "score": 0.9}]), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    assert evaluation.eval["precision"][:, :, :, 0, -1].mean() == 0.0
    assert scores([(truth(SQUARE), guess((*SQUARE, 0.9)))])["map50"] == 1.0


# ---- parity


def random_pairs(seed: int, images: int = 30, classes: int = 3) -> list[tuple[Boxes, Boxes]]:
    """Empty images, an absent class (the last), score ties, boxes that nearly match, over 100 boxes in one image."""
    rng = np.random.default_rng(seed)
    pairs = []
    for n in range(images):
        count = int(rng.integers(0, 5)) if n % 5 else 0
        corner = rng.uniform(0, 60, (count, 2))
        own = np.concatenate([corner, corner + rng.uniform(5, 30, (count, 2))], 1)
        labels = rng.integers(0, classes - 1, count)
        near = np.concatenate([own + rng.normal(0, 2, own.shape) for _ in range(2)])
        noise = rng.uniform(0, 60, (130 if n == 1 else 6, 2))
        found = np.concatenate([near, np.concatenate([noise, noise + rng.uniform(5, 30, noise.shape)], 1)])
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        marks = np.concatenate([labels, labels, rng.integers(0, classes, len(noise))])
        score = rng.uniform(0.01, 1, len(found)).round(1).astype(np.float32)  # one digit: many ties
        pairs.append(
            (Boxes(own.astype(np.float32), labels), Boxes(found.astype(np.float32), marks.astype(np.int64), score))
        )
    return pairs


def reference(pairs: list[tuple[Boxes, Boxes]], classes: int) -> Any:
    """pycocotools' evaluation of the same boxes."""
    images = [{"id": n + 1, "height": 100, "width": 100} for n in range(len(pairs))]
    truths: list[dict[str, Any]] = []
    guesses: list[dict[str, Any]] = []
    for n, (own, found) in enumerate(pairs):
        truths += [{**entry, "iscrowd": 0} for entry in boxes.entries(own, n + 1)]
        guesses += boxes.entries(found, n + 1)
    truths = [{**entry, "id": n + 1} for n, entry in enumerate(truths)]
    with contextlib.redirect_stdout(io.StringIO()):
        gt = ReferenceCOCO()
        gt.dataset = {"images": images, "categories": [{"id": c + 1} for c in range(classes)], "annotations": truths}
        gt.createIndex()
        evaluation = ReferenceEval(gt, gt.loadRes(guesses), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


@pytest.mark.parametrize("seed", range(5))
def test_parity_with_pycocotools(seed):
    pairs = random_pairs(seed)
    ours, theirs = boxes.apply(pairs, ["a", "b", "c"]), reference(pairs, 3)
    stats = dict(zip(NAMES, (theirs.stats[0], theirs.stats[1], theirs.stats[2], theirs.stats[8]), strict=True))
    assert flat(ours.scores) == pytest.approx(stats, abs=1e-9)
    for c, label in enumerate("ab"):
        assert ours.per_class[label]["map50_95"].value == pytest.approx(
            theirs.eval["precision"][:, :, c, 0, -1].mean(), abs=1e-9
        )
        assert ours.per_class[label]["ar100"].value == pytest.approx(
            theirs.eval["recall"][:, c, 0, -1].mean(), abs=1e-9
        )
    assert ours.per_class["c"]["map50_95"].value is None


def average_precision(rows: list[dict[str, Any]], threshold: int) -> float:
    """101-point interpolated AP of one class from its case rows: an implementation of its own."""
    total = sum(row["truths"] or 0 for row in rows)
    found = sorted((row for row in rows if row["matches"]), key=lambda row: -row["score"])
    hits = np.cumsum([row["matches"][1 + threshold] == "1" for row in found])
    precision, recall = hits / np.arange(1, len(found) + 1), hits / total
    return float(np.mean([max(precision[recall >= point], default=0.0) for point in np.linspace(0, 1, 101)]))


@pytest.mark.parametrize("seed", range(3))
def test_the_case_table_gives_the_same_average_precision(seed):
    pairs = random_pairs(seed)
    scorer = DetectScorer(["a", "b", "c"])
    for n, (own, found) in enumerate(pairs):
        scorer.update(f"{n:03d}", "g", own, found)
    result = scorer.result()
    for label in "ab":
        rows = [row for row in result.cases if row["class"] == label]
        for name, threshold in (("map50", 0), ("map75", 5)):
            expected = result.ruler.per_class[label][name].value
            assert average_precision(rows, threshold) == pytest.approx(expected, abs=1e-9)


def test_the_scorer_end_to_end():
    scorer = DetectScorer(["a"], extra={"boxes": lambda t, g: float(len(g.labels))})
    scorer.update("one", "g", truth(SQUARE), guess((*SQUARE, 0.9)))
    scorer.update("two", "g", Boxes.empty(), Boxes.empty(scored=True))
    result = scorer.result()
    assert flat(result.ruler.scores) == {**dict.fromkeys(NAMES, 1.0), "boxes": 0.5}
    assert result.ruler.ceiling["map50_95"].value == 1.0
    assert [row["truths"] for row in result.cases] == [1, None, 0]
    assert result.cases[1]["matches"] == "m" + "1" * 10
    with pytest.raises(ConfigError, match="coco"):
        DetectScorer(["a"], rules=["voc"])
