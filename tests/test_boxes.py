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
    """Not .995, as under ultralytics' rule, which joins a sentinel to the curve."""
    assert scores([(truth(SQUARE), guess((*SQUARE, 0.9)))]) == dict.fromkeys(NAMES, 1.0)


def test_two_of_three_found():
    """Recall stops at 2/3: precision 1 at 67 of the 101 recall points (0 … .66): 67/101 = .6634.

    Under ultralytics' rule it is .6650.
    """
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


def test_of_truths_with_equal_overlap_the_last_is_taken():
    """Three guesses on two equal truths: the first two take them, the third is left over.

    Then truths a and b, 8/10 each with the first guess. It takes b, the last, so that a is left for the second guess,
    which has 8/9 = .889 with a and 7/10 with b: had the first taken a, the second would match up to .7 only.
    """
    twins = truth(SQUARE, SQUARE).xyxy
    matched = boxes.match(twins, guess((*SQUARE, 0.9), (*SQUARE, 0.8), (*SQUARE, 0.7)).xyxy)
    assert matched.tolist() == [[True, True, False]] * 10
    pair = truth((0, 0, 10, 8), (0, 2, 10, 10)).xyxy
    both = boxes.match(pair, guess((0, 0, 10, 10, 0.9), (0, 0, 10, 9, 0.8)).xyxy)
    assert both[:, 0].tolist() == [True] * 7 + [False] * 3
    assert both[:, 1].tolist() == [True] * 8 + [False] * 2


def test_a_taken_truth_leaves_the_next_best():
    """The second guess prefers the truth that the first has taken (IoU 9/10), and falls back on the other.

    With that it shares rows 4 to 8 of 10: IoU 5/10.
    """
    pair = truth((0, 0, 10, 10), (0, 4, 10, 10)).xyxy
    matched = boxes.match(pair, guess((0, 0, 10, 10, 0.9), (0, 0, 10, 9, 0.8)).xyxy)
    assert matched[:, 0].all() and matched[:, 1].tolist() == [True] + [False] * 9


def test_at_most_100_boxes_of_an_image_and_class():
    """The hit is the 100th, or the 101st, of equal score: the order given is kept."""
    for before, hit in ((99, True), (100, False)):
        found = guess(*[(50, 50, 60, 60, 0.5)] * before, (*SQUARE, 0.5))
        assert boxes.by_score(found, 0).xyxy.shape[0] == 100
        recall = scores([(truth(SQUARE), found)])["ar100"]
        assert recall == float(hit) and boxes.match(truth(SQUARE).xyxy, boxes.by_score(found, 0).xyxy).any() == hit


def test_by_score_is_of_one_class_best_first_ties_as_given():
    found = guess((1, 0, 9, 9, 0.2), (2, 0, 9, 9, 0.9), (3, 0, 9, 9, 0.9), (4, 0, 9, 9, 0.8), labels=[0, 0, 0, 1])
    assert boxes.by_score(found, 0).xyxy[:, 0].tolist() == [2, 3, 1]
    assert len(boxes.by_score(found, 2).labels) == 0


def test_a_false_positive_before_the_hit_halves_the_precision():
    found = scores([(truth(SQUARE), guess((50, 50, 60, 60, 0.9), (*SQUARE, 0.8)))])
    assert found["map50"] == pytest.approx(0.5) and found["ar100"] == 1.0


def test_a_class_without_a_truth_is_left_out_and_says_so():
    """Its false positives cost nothing under COCO's rule; the figure is None with a reason, never -1."""
    ruled = boxes.apply([(truth(SQUARE), guess((*SQUARE, 0.9), (0, 0, 5, 5, 0.9), labels=[0, 1]))], ["a", "b"])
    assert ruled.scores["map50_95"].value == 1.0
    assert ruled.per_class["b"]["map50_95"].value is None and ruled.per_class["b"]["map50_95"].reason


@pytest.mark.parametrize("pairs", [[], [(Boxes.empty(), guess((*SQUARE, 0.9)))]])
def test_no_truth_at_all_is_undefined_with_a_reason(pairs):
    ruled = boxes.apply(pairs, ["a"])
    for figures in (ruled.scores, ruled.per_class["a"], ruled.ceiling):
        assert set(figures) == set(NAMES)
        assert all(figure.value is None and figure.reason for figure in figures.values())


def test_the_ceiling_is_exactly_1():
    pairs = random_pairs(0)
    assert flat(boxes.apply(pairs, ["a", "b", "c"]).ceiling) == dict.fromkeys(NAMES, 1.0)


def test_nothing_predicted_scores_0():
    assert scores([(truth(SQUARE), Boxes.empty(scored=True))]) == dict.fromkeys(NAMES, 0.0)
    assert selection([(truth(SQUARE), Boxes.empty(scored=True))]) == 0.0
    assert selection([(Boxes.empty(), Boxes.empty(scored=True))]) == 0.0
    assert selection([(Boxes.empty(), guess((*SQUARE, 0.9)))]) == 0.0


def test_the_selection_rule_is_the_mean_over_the_classes_of_the_truths():
    """Class 2 found, class 0 not; class 1 is in no truth, class 5 is only predicted: (1 + 0)/2."""
    own = truth(SQUARE, (30, 30, 40, 40), labels=[0, 2])
    assert selection(iter([(own, guess((30, 30, 40, 40, 0.9), (*SQUARE, 0.9), labels=[2, 5]))])) == 0.5
    assert selection([(truth(SQUARE, labels=[3]), guess((*SQUARE, 0.9), labels=[3]))]) == 1.0


@pytest.mark.filterwarnings("ignore:Found annotation id 0")
def test_ids_start_at_1_because_0_never_matches():
    """With an annotation of id 0 the evaluator's AP of a perfect detector is 0."""
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
    """Empty images, an absent class (the last), score ties, boxes that nearly match, over 100 boxes of one class in
    one image, truths and guesses that are there twice, truths without a guess."""
    rng = np.random.default_rng(seed)
    pairs = []
    for n in range(images):
        count = int(rng.integers(0, 5)) if n % 5 else 0
        corner = rng.uniform(0, 60, (count, 2))
        own = np.concatenate([corner, corner + rng.uniform(5, 30, (count, 2))], 1)
        labels = rng.integers(0, classes - 1, count)
        near = np.concatenate([own + rng.normal(0, 2, own.shape), own.round()])
        if n % 4 == 2:
            own, labels = np.concatenate([own, own]), np.concatenate([labels, labels])
            near = np.concatenate([near, near])
        noise = rng.uniform(0, 60, (400 if n == 1 else 6, 2))
        found = np.concatenate([near, np.concatenate([noise, noise + rng.uniform(5, 30, noise.shape)], 1)])
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        marks = np.concatenate([labels, labels, rng.integers(0, classes, len(noise))])
        if n % 7 == 3:
            found, marks = found[:0], marks[:0]
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
        for (x1, y1, x2, y2), label in zip(own.xyxy.tolist(), own.labels.tolist(), strict=True):
            box = {"image_id": n + 1, "category_id": label + 1, "bbox": [x1, y1, x2 - x1, y2 - y1], "iscrowd": 0}
            truths.append({**box, "area": (x2 - x1) * (y2 - y1), "id": len(truths) + 1})
        assert found.scores is not None
        for (x1, y1, x2, y2), label, score in zip(found.xyxy.tolist(), found.labels, found.scores, strict=True):
            box = {"image_id": n + 1, "category_id": int(label) + 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}
            guesses.append({**box, "score": float(score)})
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
        precision, recall = theirs.eval["precision"][:, :, c, 0, -1], theirs.eval["recall"][:, c, 0, -1]
        tables = dict(zip(NAMES, (precision, precision[0], precision[5], recall), strict=True))
        wanted = {name: each.mean() for name, each in tables.items()}
        assert min(wanted.values()) > 0 and flat(ours.per_class[label]) == pytest.approx(wanted, abs=1e-9)
    assert flat(ours.per_class["c"]) == dict.fromkeys(NAMES)
    assert all(figure.reason for figure in ours.per_class["c"].values())


@pytest.mark.parametrize("seed", range(5))
def test_each_match_is_pycocotools(seed):
    """Image by image, class by class, threshold by threshold."""
    pairs = random_pairs(seed)
    theirs = reference(pairs, 3)
    assert (theirs.params.iouThrs == boxes.THRESHOLDS).all()
    compared = 0
    for each in theirs.evalImgs:
        if each is None or each["aRng"] != theirs.params.areaRng[0]:
            continue
        (own, found), c = pairs[each["image_id"] - 1], each["category_id"] - 1
        matched = boxes.match(own.xyxy[own.labels == c], boxes.by_score(found, c).xyxy)
        assert (matched == (each["dtMatches"] > 0)).all()
        compared += matched.shape[1]
    assert compared > 300


def average_precision(rows: list[dict[str, Any]], threshold: int) -> float:
    """101-point interpolated AP of one class from its case rows: an implementation of its own."""
    total = sum(row["truths"] or 0 for row in rows)
    found = sorted((row for row in rows if row["matches"]), key=lambda row: -row["score"])
    hits = np.cumsum([row["matches"][1 + threshold] == "1" for row in found])
    precision, recall = hits / np.arange(1, len(found) + 1), hits / total
    return float(np.mean([max(precision[recall >= point], default=0.0) for point in np.linspace(0, 1, 101)]))


def average_recall(rows: list[dict[str, Any]]) -> float:
    """Share of the truths that are matched, mean over the thresholds."""
    hits = sum(row["matches"].count("1") for row in rows if row["matches"])
    return float(hits / sum(row["truths"] or 0 for row in rows) / 10)


@pytest.mark.parametrize("seed", range(3))
def test_the_case_table_gives_the_same_average_precision(seed):
    pairs = random_pairs(seed)
    scorer = DetectScorer(["a", "b", "c"])
    for n, (own, found) in enumerate(pairs):
        scorer.update(f"{n:03d}", "g", own, found)
    result = scorer.result()
    for label in "ab":
        rows = [row for row in result.cases if row["class"] == label]
        found = [average_precision(rows, threshold) for threshold in range(10)]
        own = {"map50_95": float(np.mean(found)), "map50": found[0], "map75": found[5], "ar100": average_recall(rows)}
        assert own == pytest.approx(flat(result.ruler.per_class[label]), abs=1e-9)


def test_the_scorer_end_to_end():
    scorer = DetectScorer(["a"], extra={"boxes": lambda t, g: float(len(g.labels))})
    scorer.update("one", "g", truth(SQUARE), guess((*SQUARE, 0.9)))
    scorer.update("two", "g", Boxes.empty(), Boxes.empty(scored=True))
    result = scorer.result()
    assert flat(result.ruler.scores) == {**dict.fromkeys(NAMES, 1.0), "boxes": 0.5}
    assert result.ruler.ceiling["map50_95"].value == 1.0
    head = {"class": "a", "group": "g"}
    assert result.cases == [
        {**head, "case": "one", "truths": 1, "score": None, "matches": None},
        {**head, "case": "one", "truths": None, "score": pytest.approx(0.9), "matches": "m" + "1" * 10},
        {**head, "case": "two", "truths": 0, "score": None, "matches": None},
    ]


def test_a_further_figure_is_the_mean_of_the_cases_where_it_is_defined():
    scorer = DetectScorer(["a"], extra={"first": lambda t, g: float(g.scores[0]) if len(g.labels) else None})
    scorer.update("one", "g", truth(SQUARE), guess((*SQUARE, 0.5)))
    scorer.update("two", "g", Boxes.empty(), Boxes.empty(scored=True))
    figure = scorer.result().ruler.scores["first"]
    assert figure.value == 0.5 and figure.n == 1


def test_a_set_without_a_case_is_undefined():
    assert flat(DetectScorer(["a"]).result().ruler.scores) == dict.fromkeys(NAMES)


@pytest.mark.parametrize("rules", [[], ["voc"], ["coco", "voc"]])
def test_another_rule_is_a_configuration_error(rules):
    with pytest.raises(ConfigError, match="coco"):
        DetectScorer(["a"], rules=rules)
