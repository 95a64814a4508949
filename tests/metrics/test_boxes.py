"""Average precision of boxes: by hand, against pycocotools and faster-coco-eval, and from the case
table's matches.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster

from tests.helpers.drawn_boxes import (
    SQUARE,
    as_coco,
    draw_prediction,
    draw_target,
    random_pairs,
    reference,
)
from usbench.metrics import box_overlap, box_protocols
from usbench.metrics.average_precision import average_precisions
from usbench.metrics.bootstrap import draw
from usbench.metrics.detect_scorer import DetectScorer, selection
from usbench.metrics.ratios import mean_defined
from usbench.metrics.scores import figure_values
from usbench.types import Boxes

NAMES = (
    *("map50_95", "map50", "map75", "map_small", "map_medium", "map_large"),
    *("ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large"),
)  # in the order of pycocotools' stats
MAIN = ("map50_95", "map50", "map75", "ar100")
COCO_RULE = box_protocols.BOX_PROTOCOLS["coco"]


def scores(
    pairs: list[tuple[Boxes, Boxes]], classes: int = 1, protocol_name: str = "coco"
) -> dict[str, float | None]:
    """The four main figures under COCO's rule; ultralytics' has no recall."""
    actual = figure_values(
        box_protocols.score_pairs(pairs, [str(c) for c in range(classes)], protocol_name).scores
    )
    return {name: actual[name] for name in MAIN if name in actual}


def hits(target: Boxes, actual: Boxes, protocol_name: str = "coco") -> list[list[bool]]:
    """One image, one class → per threshold, whether each prediction is a hit, best first."""
    return box_protocols.match_pairs(
        box_protocols.BOX_PROTOCOLS[protocol_name], [(target, actual)], 1
    )[0].hit.tolist()


def test_iou_is_of_half_open_rectangles():
    """10×10 against the same moved by 5 columns: 50 / 150."""
    target = np.array([SQUARE, SQUARE, (5, 5, 5, 5)], np.float32)
    actual = np.array([(15, 10, 25, 20), (20, 10, 30, 20), (5, 5, 5, 5)], np.float32)
    assert box_overlap.double_iou(target, actual).tolist() == [50 / 150, 0.0, 0.0]
    assert box_overlap.single_iou(target, actual).tolist() == pytest.approx([50 / 150, 0.0, 0.0])


def test_a_perfect_detector_scores_1_or_995():
    """Ultralytics' curve ends at recall 1 with 0: 99 of its 100 trapezoids are whole, the last is a
    half.
    """
    pair = [(draw_target(SQUARE), draw_prediction((*SQUARE, 0.9)))]
    assert scores(pair) == dict.fromkeys(MAIN, 1.0)
    assert scores(pair, protocol_name="ultralytics") == dict.fromkeys(
        MAIN[:3], pytest.approx(0.995, abs=1e-12)
    )


def test_two_of_three_found():
    """Recall stops at 2/3: precision 1 at 67 of the 101 recall points (0 … .66): 67/101 = .6634.

    Under ultralytics' rule 66 trapezoids are whole and the next, which falls to 0, is a half: .665.
    """
    three = draw_target(SQUARE, (30, 30, 40, 40), (50, 50, 60, 60))
    pair = [(three, draw_prediction((*SQUARE, 0.9), (30, 30, 40, 40, 0.8)))]
    assert scores(pair)["map50_95"] == pytest.approx(67 / 101) and scores(pair)[
        "ar100"
    ] == pytest.approx(2 / 3)
    assert scores(pair, protocol_name="ultralytics")["map50_95"] == pytest.approx(0.665)


def test_an_iou_of_exactly_one_half_matches_at_one_half_only():
    half = draw_prediction((10, 10, 20, 15, 0.9))
    assert scores([(draw_target(SQUARE), half)]) == {
        "map50_95": 0.1,
        "map50": 1.0,
        "map75": 0.0,
        "ar100": 0.1,
    }
    assert (
        hits(draw_target(SQUARE), half)
        == hits(draw_target(SQUARE), half, "ultralytics")
        == [[True], *[[False]] * 9]
    )


def test_the_better_scored_box_takes_the_target():
    """Two boxes on one target: the first (.9, IoU .8) takes it at .5 … .8, the second (IoU 1) only
    above.
    """
    pair = draw_prediction((*SQUARE, 0.5), (10, 10, 20, 18, 0.9))
    assert hits(draw_target(SQUARE), pair) == [[True, False]] * 7 + [[False, True]] * 3


def test_of_targets_with_equal_overlap_the_last_is_taken():
    """Three predictions on two equal targets: the first two take them, the third is left over.

    Then targets a and b, 8/10 each with the first prediction. It takes b, the last, so that a is
    left for the second prediction, which has 8/9 = .889 with a and 7/10 with b: had the first taken
    a, as it does under ultralytics' rule, the second would match up to .7 only.
    """
    twins = draw_target(SQUARE, SQUARE)
    assert (
        hits(twins, draw_prediction((*SQUARE, 0.9), (*SQUARE, 0.8), (*SQUARE, 0.7)))
        == [[True, True, False]] * 10
    )
    pair = draw_target((0, 0, 10, 8), (0, 2, 10, 10))
    actual = draw_prediction((0, 0, 10, 10, 0.9), (0, 0, 10, 9, 0.8))
    first, second = zip(*hits(pair, actual), strict=True)
    assert first == (True,) * 7 + (False,) * 3 and second == (True,) * 8 + (False,) * 2
    # float32: 56/(80 + 90 − 70 …) of b with the second is .7 by rounding or not, so .7 itself is
    # left out
    _, second = zip(*hits(pair, actual, "ultralytics"), strict=True)
    assert (
        second[:4] == (True,) * 4
        and second[5:7] == (False, False)
        and second[7]
        and not any(second[8:])
    )


def test_a_taken_target_leaves_the_next_best():
    """The second prediction prefers the target that the first has taken (IoU 9/10), and falls back
    on the other.

    With that it shares rows 4 to 8 of 10: IoU 5/10.
    """
    pair = draw_target((0, 0, 10, 10), (0, 4, 10, 10))
    first, second = zip(
        *hits(pair, draw_prediction((0, 0, 10, 10, 0.9), (0, 0, 10, 9, 0.8))), strict=True
    )
    assert all(first) and second == (True,) + (False,) * 9


def test_at_most_100_boxes_of_an_image_and_class():
    """The hit is the 100th, or the 101st, of equal score: the order given is kept. Ultralytics
    takes 300 an image.
    """
    for before, hit in ((99, True), (100, False)):
        actual = draw_prediction(*[(50, 50, 60, 60, 0.5)] * before, (*SQUARE, 0.5))
        assert scores([(draw_target(SQUARE), actual)])["ar100"] == float(hit)
        assert len(hits(draw_target(SQUARE), actual)[0]) == 100
    for before, hit in ((299, True), (300, False)):
        many = [(50, 50, 60, 60, 0.5)] * before
        actual = draw_prediction(*many, (*SQUARE, 0.5), labels=[*[n % 2 for n in range(before)], 0])
        assert (
            any(
                box_protocols.match_pairs(
                    box_protocols.BOX_PROTOCOLS["ultralytics"], [(draw_target(SQUARE), actual)], 2
                )[0].hit[0]
            )
            == hit
        )


def test_average_recall_is_of_the_best_boxes_of_each_image():
    """One target an image; its hit is the second box in the first image, the best in the other:
    AR@1 is a half.
    """
    wrong = (50, 50, 60, 60, 0.9)
    pairs = [
        (draw_target(SQUARE), draw_prediction(wrong, (*SQUARE, 0.8))),
        (draw_target(SQUARE), draw_prediction((*SQUARE, 0.8), (*wrong[:4], 0.1))),
    ]
    actual = figure_values(box_protocols.score_pairs(pairs, ["a"]).scores)
    assert (actual["ar1"], actual["ar10"], actual["ar100"]) == (0.5, 1.0, 1.0)


@pytest.mark.parametrize(
    ("side", "sizes"),
    [(32, {"small", "medium"}), (96, {"medium", "large"}), (31, {"small"}), (97, {"large"})],
)
def test_sizes_are_by_area_with_both_ends(side, sizes):
    """A square of 32 px is both small and medium, as under pycocotools."""
    actual = figure_values(
        box_protocols.score_pairs(
            [(draw_target((0, 0, side, side)), draw_prediction((0, 0, side, side, 0.9)))], ["a"]
        ).scores
    )
    message = {
        size
        for size in ("small", "medium", "large")
        if actual[f"map_{size}"] == actual[f"ar_{size}"] == 1.0
    }
    assert message == sizes and sum(value is None for value in actual.values()) == 2 * (
        3 - len(sizes)
    )


def test_a_box_of_another_size_costs_nothing_among_the_small():
    """A false positive of 40×40, better scored than the small target's hit: medium has no target,
    small is perfect.
    """
    actual = figure_values(
        box_protocols.score_pairs(
            [(draw_target(SQUARE), draw_prediction((40, 40, 80, 80, 0.9), (*SQUARE, 0.8)))], ["a"]
        ).scores
    )
    assert actual["map_small"] == 1.0 and actual["map50"] == 0.5 and actual["map_medium"] is None


def test_a_false_positive_before_the_hit_halves_the_precision():
    actual = scores([(draw_target(SQUARE), draw_prediction((50, 50, 60, 60, 0.9), (*SQUARE, 0.8)))])
    assert actual["map50"] == pytest.approx(0.5) and actual["ar100"] == 1.0


def test_a_class_without_a_target_is_left_out_and_says_so():
    """Its false positives cost nothing under COCO's rule; the figure is None with a reason, never
    -1.
    """
    protocol = box_protocols.score_pairs(
        [(draw_target(SQUARE), draw_prediction((*SQUARE, 0.9), (0, 0, 5, 5, 0.9), labels=[0, 1]))],
        ["a", "b"],
    )
    assert protocol.scores["map50_95"].value == 1.0
    assert (
        protocol.per_class["b"]["map50_95"].value is None
        and protocol.per_class["b"]["map50_95"].reason
    )


@pytest.mark.parametrize("pairs", [[], [(Boxes.empty(), draw_prediction((*SQUARE, 0.9)))]])
def test_no_target_at_all_is_undefined_with_a_reason(pairs):
    protocol = box_protocols.score_pairs(pairs, ["a"])
    for figures in (protocol.scores, protocol.per_class["a"], protocol.target_score):
        assert set(figures) == set(NAMES)
        assert all(figure.value is None and figure.reason for figure in figures.values())


def test_the_target_score_is_exactly_1():
    pairs = random_pairs(0)
    target_score = figure_values(box_protocols.score_pairs(pairs, ["a", "b", "c"]).target_score)
    assert all(
        target_score[name] == 1.0
        for name in NAMES
        if name[:3] == "map" and target_score[name] is not None
    )
    assert (
        target_score["ar100"] == 1.0 and 0 < target_score["ar1"] < 1
    )  # several targets in an image
    other = figure_values(
        box_protocols.score_pairs(pairs, ["a", "b", "c"], "ultralytics").target_score
    )
    assert other == dict.fromkeys(MAIN[:3], pytest.approx(0.995, abs=1e-12))


def test_nothing_predicted_scores_0():
    assert scores([(draw_target(SQUARE), Boxes.empty(scored=True))]) == dict.fromkeys(MAIN, 0.0)
    assert selection([(draw_target(SQUARE), Boxes.empty(scored=True))]) == 0.0
    assert selection([(Boxes.empty(), Boxes.empty(scored=True))]) == 0.0
    assert selection([(Boxes.empty(), draw_prediction((*SQUARE, 0.9)))]) == 0.0


def test_the_selection_rule_is_the_mean_over_the_classes_of_the_targets():
    """Class 2 found, class 0 not; class 1 is in no target, class 5 is only predicted: (1 + 0)/2."""
    target = draw_target(SQUARE, (30, 30, 40, 40), labels=[0, 2])
    assert (
        selection(
            iter([(target, draw_prediction((30, 30, 40, 40, 0.9), (*SQUARE, 0.9), labels=[2, 5]))])
        )
        == 0.5
    )
    assert (
        selection([(draw_target(SQUARE, labels=[3]), draw_prediction((*SQUARE, 0.9), labels=[3]))])
        == 1.0
    )


@pytest.mark.filterwarnings("ignore:Found annotation id 0")
def test_ids_start_at_1_because_0_never_matches():
    """With an annotation of id 0 the evaluator's AP of a perfect detector is 0."""
    image, category = {"id": 1, "height": 50, "width": 50}, {"id": 1, "name": "a"}
    pair = {"image_id": 1, "category_id": 1, "bbox": [10, 10, 10, 10], "area": 100}
    gt = COCO(
        {
            "images": [image],
            "categories": [category],
            "annotations": [{**pair, "id": 0, "iscrowd": 0}],
        }
    )
    evaluation = COCOeval_faster(gt, gt.loadRes([{**pair, "score": 0.9}]), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    assert evaluation.eval["precision"][:, :, :, 0, -1].mean() == 0.0
    assert scores([(draw_target(SQUARE), draw_prediction((*SQUARE, 0.9)))])["map50"] == 1.0


# ---- parity


@pytest.mark.parametrize("seed", range(5))
def test_the_twelve_figures_are_pycocotools(seed):
    pairs = random_pairs(seed)
    ours, theirs = box_protocols.score_pairs(pairs, ["a", "b", "c"]), reference(pairs, 3)
    stats = {
        name: None if value == -1 else value
        for name, value in zip(NAMES, theirs.stats, strict=True)
    }
    assert figure_values(ours.scores) == pytest.approx(stats, abs=1e-9)
    assert sum(value is not None and value > 0 for value in stats.values()) >= 8
    for c, label in enumerate("ab"):
        precision, recall = (
            theirs.eval["precision"][:, :, c, 0, -1],
            theirs.eval["recall"][:, c, 0, -1],
        )
        tables = dict(zip(MAIN, (precision, precision[0], precision[5], recall), strict=True))
        expected = {name: each.mean() for name, each in tables.items()}
        target = {
            name: value
            for name, value in figure_values(ours.per_class[label]).items()
            if name in MAIN
        }
        assert min(expected.values()) > 0 and target == pytest.approx(expected, abs=1e-9)
    assert figure_values(ours.per_class["c"]) == dict.fromkeys(NAMES)
    assert all(figure.reason for figure in ours.per_class["c"].values())


def faster(pairs: list[tuple[Boxes, Boxes]], classes: int) -> float:
    """mAP50-95 by faster-coco-eval."""
    dataset, predictions = as_coco(pairs, classes)
    gt = COCO(dataset)
    evaluation = COCOeval_faster(gt, gt.loadRes(predictions), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    table = evaluation.eval["precision"][:, :, :, 0, -1]
    return float(table[table > -1].mean())


@pytest.mark.parametrize("seed", range(3))
def test_parity_with_faster_coco_eval(seed):
    pairs = random_pairs(seed)
    assert scores(pairs, 3)["map50_95"] == pytest.approx(faster(pairs, 3), abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_a_resample_is_what_faster_coco_eval_makes_of_its_images(seed):
    """Whole groups of 4 images, drawn with replacement; no two scores are equal but those of one
    image's copies.
    """
    pairs = random_pairs(seed, 24, ties=False)
    weights = draw([str(n // 4) for n in range(24)], 3, seed).case_weights
    drawn = mean_defined(
        average_precisions(
            box_protocols.match_pairs(COCO_RULE, pairs, 3)[0], COCO_RULE.curve, weights
        ).mean(1),
        1,
    )
    for value, row in zip(drawn, weights.astype(int), strict=True):
        resample = [pair for pair, times in zip(pairs, row, strict=True) for _ in range(times)]
        assert value == pytest.approx(faster(resample, 3), abs=1e-9) and len(resample) == 24


@pytest.mark.parametrize("seed", range(5))
def test_each_match_is_pycocotools(seed):
    """Image by image, class by class, threshold by threshold, size by size."""
    pairs = random_pairs(seed)
    theirs, compared = reference(pairs, 3), 0
    assert (theirs.params.iouThrs == box_protocols.THRESHOLDS).all()
    ranges = [tuple(map(float, area)) for area in theirs.params.areaRng]
    assert ranges == [tuple(map(float, area)) for area in box_protocols.AREAS]
    ours = box_protocols.match_pairs(COCO_RULE, pairs, 3)
    for each in filter(None, theirs.evalImgs):
        target = ours[ranges.index(tuple(map(float, each["aRng"])))]
        here = np.flatnonzero(
            (target.image == each["image_id"] - 1) & (target.label == each["category_id"] - 1)
        )
        here = here[np.argsort(target.rank[here])]
        assert (target.ignored[:, here] == each["dtIgnore"]).all()
        assert (
            target.hit[:, here] == (each["dtMatches"] > 0) & ~each["dtIgnore"].astype(bool)
        ).all()
        assert (
            target.targets[each["image_id"] - 1, each["category_id"] - 1]
            == (np.array(each["gtIgnore"]) == 0).sum()
        )
        compared += len(here)
    assert compared > 1200


def average_precision(rows: list[dict[str, Any]], threshold: int) -> float:
    """101-point interpolated AP of one class from its case rows: an implementation of its own."""
    total = sum(row["truths"] or 0 for row in rows)
    actual = sorted((row for row in rows if row["matches"]), key=lambda row: -row["score"])
    hits = np.cumsum([row["matches"][1 + threshold] == "1" for row in actual])
    precision, recall = hits / np.arange(1, len(actual) + 1), hits / total
    return float(
        np.mean([max(precision[recall >= point], default=0.0) for point in np.linspace(0, 1, 101)])
    )


def average_recall(rows: list[dict[str, Any]]) -> float:
    """Share of the targets that are matched, mean over the thresholds."""
    hits = sum(row["matches"].count("1") for row in rows if row["matches"])
    return float(hits / sum(row["truths"] or 0 for row in rows) / 10)


@pytest.mark.parametrize("seed", range(3))
def test_the_case_table_gives_the_same_average_precision(seed):
    pairs = random_pairs(seed)
    scorer = DetectScorer(["a", "b", "c"])
    for n, (target, actual) in enumerate(pairs):
        scorer.update(f"{n:03d}", "g", target, actual)
    result = scorer.result()
    for label in "ab":
        rows = [row for row in result.cases if row["class"] == label]
        actual = [average_precision(rows, threshold) for threshold in range(10)]
        target = {
            "map50_95": float(np.mean(actual)),
            "map50": actual[0],
            "map75": actual[5],
            "ar100": average_recall(rows),
        }
        made = {
            name: value
            for name, value in figure_values(result.protocol.per_class[label]).items()
            if name in MAIN
        }
        assert target == pytest.approx(made, abs=1e-9)


def test_blocks_of_pairs_change_nothing(monkeypatch):
    """Overlaps are computed block by block, so that many boxes don't fill the memory."""
    pairs = random_pairs(0)
    whole = figure_values(box_protocols.score_pairs(pairs, ["a", "b", "c"]).scores)
    monkeypatch.setattr(box_overlap, "BLOCK", 7)
    assert figure_values(box_protocols.score_pairs(pairs, ["a", "b", "c"]).scores) == whole
