"""Overlap of masks: little pictures with answers computed by hand, every empty case under every
rule, and parity.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchmetrics.segmentation import DiceScore, MeanIoU

from usbench.errors import ConfigError
from usbench.metrics import mask_overlap, mask_protocols
from usbench.metrics.scores import ProtocolScores, average, figure_values
from usbench.metrics.segment_scorer import SegmentScorer, selection
from usbench.types import Masks


def plane(*rows: str) -> np.ndarray:
    """(1, H, W) from rows of 1 and . characters."""
    return np.array([[[mark == "1" for mark in row] for row in rows]])


TARGET, PREDICTION = (
    plane("11..", "11.."),
    plane(".11.", ".1.."),
)  # TP 2, FP 1, FN 2: Dice 4/7, IoU 2/5
NONE = np.zeros_like(TARGET)


def table(*pairs: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """(N, C, 3) counts of (target, prediction) pairs."""
    return np.stack([mask_overlap.count_pixels(target, prediction) for target, prediction in pairs])


def score_pairs(name: str, *pairs: tuple[np.ndarray, np.ndarray]) -> ProtocolScores:
    """A rule's figures of pictures, at its own resolution; classes a, b …"""
    rule = mask_protocols.find_protocol(name)
    counted = np.stack([rule.count(target, prediction) for target, prediction in pairs])
    return mask_protocols.score_counts(rule, counted, "abcdefghi"[: len(pairs[0][0])])


def score(rule: str, counted: np.ndarray, classes: int = 1) -> dict[str, float | None]:
    return figure_values(
        mask_protocols.score_counts(
            mask_protocols.find_protocol(rule), counted, [str(c) for c in range(classes)]
        ).scores
    )


def test_counts_by_hand():
    assert mask_overlap.count_pixels(TARGET, PREDICTION).tolist() == [[2, 1, 2]]
    assert mask_overlap.dice(table((TARGET, PREDICTION))).tolist() == [[4 / 7]]
    assert mask_overlap.iou(table((TARGET, PREDICTION))).tolist() == [[2 / 5]]
    with pytest.raises(ValueError, match="one shape"):
        mask_overlap.count_pixels(TARGET, PREDICTION[:, :1])


@pytest.mark.parametrize(
    ("rule", "both_empty", "only_truth", "only_prediction", "both_full"),
    [  # (Dice, IoU) of one image with one class; TRUTH is the left half of the picture
        ("usbench", (None, None), (0, 0), (0, 0), (1, 1)),
        ("pooled", (None, None), (0, 0), (0, 0), (1, 1)),
        # With background, the mean of two. Nothing at all: background 1, absent class 0. In one
        # only: the class 0, the
        # background TP 1/2 and FP or FN 1/2 of the picture: Dice 2/3, IoU 1/2.
        ("kumar2025-cnn", (1 / 2, 1 / 2), (1 / 3, 1 / 4), (1 / 3, 1 / 4), (1, 1)),
        ("kumar2025-transformer", (0, 0), (0, 0), (1, 0), (1, 1)),
    ],
)
def test_the_empty_cases(rule, both_empty, only_truth, only_prediction, both_full):
    cases = ((NONE, NONE), (TARGET, NONE), (NONE, TARGET), (TARGET, TARGET))
    expected = [
        dict(zip(("dice", "iou"), each, strict=True))
        for each in (both_empty, only_truth, only_prediction, both_full)
    ]
    assert [figure_values(score_pairs(rule, case).scores) for case in cases] == [
        pytest.approx(each) for each in expected
    ]


@pytest.mark.parametrize(("rule", "size"), [("kumar2025-cnn", 256), ("kumar2025-transformer", 128)])
def test_the_papers_rules_count_at_their_own_size(rule, size):
    """2×4 pictures: each pixel becomes size/2 × size/4; TP 2, FP 1, FN 2 of 8 grow with them, as
    the background's.
    """
    grown = mask_protocols.find_protocol(rule).count(TARGET, PREDICTION) / (size // 2 * (size // 4))
    assert grown.tolist() == ([[3, 2, 1], [2, 1, 2]] if rule == "kumar2025-cnn" else [[2, 1, 2]])


def test_the_papers_size_is_not_the_native_one():
    """A line one pixel high in 512 rows is lost at 128: rows 2, 6, 10 … are looked at (centre (n +
    .5)·4).
    """
    line = np.zeros((1, 512, 512), bool)
    line[0, 1] = True
    assert figure_values(score_pairs("usbench", (line, line)).scores)["dice"] == 1.0
    assert figure_values(score_pairs("kumar2025-transformer", (line, line)).scores)["dice"] == 0.0


def test_a_skipped_image_is_skipped_and_counted():
    actual = score_pairs(
        "usbench", (TARGET, PREDICTION), (NONE, NONE), (NONE, PREDICTION)
    ).per_class["a"]
    assert actual["dice"].value == pytest.approx((4 / 7 + 0) / 2) and actual["dice"].n == 2
    assert actual["iou"].value == pytest.approx((2 / 5 + 0) / 2) and actual["iou"].n == 2


def test_nothing_anywhere_is_none_with_a_reason_not_nan_or_minus_one():
    for rule in ("usbench", "pooled"):
        actual = score_pairs(rule, (NONE, NONE), (NONE, NONE))
        for figures in (actual.scores, actual.per_class["a"], actual.target_score):
            assert all(figure.value is None and figure.reason for figure in figures.values())
    metric = DiceScore(num_classes=1, average="macro", input_format="one-hot")
    metric.update(torch.from_numpy(NONE)[None], torch.from_numpy(NONE)[None])
    assert torch.isnan(metric.compute())  # torchmetrics says NaN here, and -1 below
    iou = MeanIoU(num_classes=2, per_class=True, input_format="one-hot")
    two = torch.from_numpy(np.concatenate([TARGET, NONE]))[None]
    iou.update(two, two)
    assert iou.compute().tolist() == [1.0, -1.0]


def test_the_order_of_averaging():
    """Class a: Dice 1 in image 1, 0 in image 2; class b: only in image 1, Dice .5.

    Classes last (usbench): ((1 + 0)/2 + .5)/2 = .5; images last: ((1 + .5)/2 + 0)/2 = .375.
    """
    counted = np.array([[[4, 0, 0], [1, 1, 1]], [[0, 0, 4], [0, 0, 0]]])
    assert score("usbench", counted, 2)["dice"] == 0.5
    image_first = mask_protocols.MaskProtocol("x", 1, "", "", order="image")
    assert (
        mask_protocols.score_counts(image_first, counted, ["a", "b"]).scores["dice"].value == 0.375
    )
    # pooled: a: 8/(8+4) = 2/3, b: 2/4
    assert score("pooled", counted, 2)["dice"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    # IoU: a: 1, 0, b: 1/3: (1/2 + 1/3)/2; images last ((1 + 1/3)/2 + 0)/2; pooled a: 4/8, b: 1/3
    assert score("usbench", counted, 2)["iou"] == pytest.approx(5 / 12)
    assert mask_protocols.score_counts(image_first, counted, ["a", "b"]).scores[
        "iou"
    ].value == pytest.approx(1 / 3)
    assert score("pooled", counted, 2)["iou"] == pytest.approx(5 / 12)


def test_the_cnn_rule_averages_images_last():
    """Nothing is skipped under it, so the order can't move the mean: (1, 0) and (0, 0) are 1/4
    either way.
    """
    assert (
        mask_protocols.find_protocol("kumar2025-cnn").order == "image"
        and mask_protocols.find_protocol("kumar2025-transformer").order == "class"
    )
    counted = np.array([[[4, 0, 0], [0, 1, 1]], [[0, 0, 4], [0, 0, 0]]])
    assert score("kumar2025-cnn", counted, 1) == {"dice": 0.25, "iou": 0.25}


@pytest.mark.parametrize("figure", ["dice", "iou"])
def test_target_score(figure):
    """Exactly 1 under ours; the mean share of present classes under the paper's; nothing predicted
    doesn't move it.

    Of background, a and b the first image has two and the second, all a, one: (2/3 + 1/3)/2;
    without background 1/2.
    """
    first, second = np.concatenate([TARGET, NONE]), np.concatenate([~NONE, NONE])
    for prediction in (np.zeros_like(first), np.ones_like(first), first):
        pairs = ((first, prediction), (second, prediction))
        actual = {
            name: score_pairs(name, *pairs).target_score[figure].value
            for name in mask_protocols.MASK_PROTOCOLS
        }
        assert actual == dict.fromkeys(mask_protocols.MASK_PROTOCOLS, 1.0) | {
            "kumar2025-cnn": 0.5,
            "kumar2025-transformer": 0.5,
        }


def test_a_stray_pixel_on_an_absent_class_exceeds_the_transformers_target_score():
    target, stray = np.concatenate([TARGET, NONE]), np.concatenate([TARGET, NONE])
    stray[1, 0, 3] = True
    actual = score_pairs("kumar2025-transformer", (target, stray))
    assert actual.target_score["dice"].value == 0.5 and actual.scores["dice"].value == 1.0
    assert actual.scores["iou"].value == 0.5  # not so the IoU
    assert (
        score_pairs("kumar2025-cnn", (target, stray)).scores["dice"].value < 2 / 3
    )  # nor the other rule


@pytest.mark.parametrize("name", mask_protocols.MASK_PROTOCOLS)
def test_no_prediction_exceeds_the_upper_bound_that_the_protocol_states(name):
    """The target score, but for the transformer's Dice, whose bound is 1, as its description says."""
    rng = np.random.default_rng(4)
    targets = rng.random((3, 2, 6, 8)) < [[[[0.4]], [[0.0]]]]
    protocol = mask_protocols.find_protocol(name)
    for share in (0.0, 0.02, 0.3, 1.0):
        pairs = [(target, target ^ (rng.random(target.shape) < share)) for target in targets]
        actual = score_pairs(name, *pairs)
        for figure, of_target in actual.target_score.items():
            is_above = name == "kumar2025-transformer" and figure == "dice"
            bound = 1.0 if is_above else of_target.value
            assert actual.scores[figure].value <= bound + 1e-12
    assert ("upper bound" in protocol.description) == (name == "kumar2025-transformer")


@pytest.mark.parametrize(
    ("rule", "first", "target_score", "digits"),
    [("kumar2025-cnn", 0, 0.7175, 4), ("kumar2025-transformer", 1, 0.728, 3)],
)
def test_the_published_target_score_of_the_release(rule, first, target_score, digits):
    """Images with each class, of 10,223, background first: a mean share of .7175, without
    background .728.
    """
    present = [6385, 10223, 9814, 9839, 9613, 10223, 5756, 2732, 6099, 2671][first:]
    counted = np.zeros((10223, len(present), 3), int)
    for c, n in enumerate(present):
        counted[:n, c, 2] = 1  # nothing of it was found: the target_score is the target's alone
    actual = mask_protocols.score_counts(
        mask_protocols.find_protocol(rule), counted, [str(c) for c in range(9)]
    )
    assert actual.target_score["dice"].value == pytest.approx(sum(present) / len(present) / 10223)
    assert round(actual.target_score["dice"].value, digits) == target_score
    assert actual.scores["dice"].value == 0.0


@pytest.mark.parametrize(
    ("before", "after", "looked_at"),
    [
        (5, 3, [0, 2, 4]),  # centres at .83, 2.5, 4.17
        (7, 4, [0, 2, 4, 6]),  # .875, 2.625, 4.375, 6.125
        (2, 5, [0, 0, 1, 1, 1]),  # .2, .6, 1.0 (the border: the later pixel), 1.4, 1.8
        (3, 4, [0, 1, 1, 2]),  # .375, 1.125, 1.875, 2.625
        (4, 2, [1, 3]),  # 1.0 and 3.0: again the later pixel
        (3, 3, [0, 1, 2]),
    ],
)
def test_nearest_takes_the_pixel_under_the_centre(before, after, looked_at):
    """Row n of a picture is 1 in the n-th bit, and so is column n."""
    for n in range(before):
        lines = np.zeros((1, before, before), bool)
        lines[0, n] = True
        rows = [int(row == n) for row in looked_at]
        assert mask_overlap.resize_nearest(lines, (after, before))[0].astype(int).tolist() == [
            [bit] * before for bit in rows
        ]
        turned = mask_overlap.resize_nearest(lines.transpose(0, 2, 1), (before, after))
        assert turned[0].astype(int).tolist() == [rows] * before


@pytest.mark.parametrize("size", [(256, 256), (128, 128), (31, 77)])
def test_nearest_is_pillows(size):
    """The spinal release's 690×275, and another size."""
    for height, width in ((275, 690), (97, 41)):
        drawn = np.random.default_rng(0).random((height, width)) < 0.5
        other = Image.fromarray(drawn.astype(np.uint8)).resize(size[::-1], Image.Resampling.NEAREST)
        assert (mask_overlap.resize_nearest(drawn[None], size)[0] == np.asarray(other, bool)).all()


def test_false_positives_on_images_without_the_class():
    rate = mask_overlap.empty_false_positives(
        table((NONE, NONE), (NONE, PREDICTION), (TARGET, PREDICTION))
    )
    assert rate[:2].tolist() == [[0.0], [1.0]] and np.isnan(rate[2]).all()
    assert np.isnan(mask_overlap.empty_false_positives(table((TARGET, PREDICTION)))).all()
    assert mask_overlap.empty_false_positives(table((NONE, NONE))).tolist() == [[0.0]]


def test_an_unknown_rule_is_a_configuration_error():
    with pytest.raises(ConfigError, match="usbench"):
        mask_protocols.find_protocol("dice")


masks = st.lists(st.booleans(), min_size=48, max_size=48).map(
    lambda bits: np.array(bits).reshape(3, 4, 4)
)


@given(masks, masks)
def test_dice_and_iou_agree_with_independent_counting(target, prediction):
    """By set arithmetic, class by class; IoU = Dice / (2 − Dice)."""
    counted = mask_overlap.count_pixels(target, prediction)
    for c in range(3):
        a, b = (
            {*zip(*np.nonzero(target[c]), strict=True)},
            {*zip(*np.nonzero(prediction[c]), strict=True)},
        )
        dice, iou = mask_overlap.dice(counted)[c], mask_overlap.iou(counted)[c]
        if not a | b:
            assert np.isnan(dice) and np.isnan(iou)
            continue
        assert dice == pytest.approx(2 * len(a & b) / (len(a) + len(b))) and iou == pytest.approx(
            dice / (2 - dice)
        )
        assert (
            0 <= dice <= 1
            and mask_overlap.dice(mask_overlap.count_pixels(prediction, target))[c] == dice
        )


@given(
    st.lists(st.tuples(masks, masks), min_size=1, max_size=4),
    st.sampled_from(sorted(mask_protocols.MASK_PROTOCOLS)),
)
@settings(max_examples=40)
def test_every_rule_stays_between_0_and_its_limits(pairs, name):
    """0 ≤ IoU ≤ Dice ≤ 1 overall and per class; the target_score is what the targets score as
    predictions, 1 under ours; the order of the images is nothing; ours don't care which is target
    and which prediction.
    """
    actual = score_pairs(name, *pairs)
    for figures in (actual.scores, *actual.per_class.values()):
        dice, iou = figures["dice"].value, figures["iou"].value
        assert (dice is None and iou is None) or 0 <= iou <= dice <= 1
    perfect = figure_values(score_pairs(name, *((target, target) for target, _ in pairs)).scores)
    assert figure_values(actual.target_score) == pytest.approx(perfect)
    assert figure_values(score_pairs(name, *pairs[::-1]).scores) == pytest.approx(
        figure_values(actual.scores)
    )
    if name in ("usbench", "pooled"):
        assert set(perfect.values()) <= {1.0, None}
        assert figure_values(
            score_pairs(name, *((prediction, target) for target, prediction in pairs)).scores
        ) == figure_values(actual.scores)


def test_parity_with_torchmetrics():
    """DiceScore (macro; samplewise and global) and MeanIoU are the same where the settings mean the
    same.
    """
    rng = np.random.default_rng(0)
    target, prediction = (
        rng.random((6, 3, 8, 8)) < 0.4,
        rng.random((6, 3, 8, 8)) < 0.4,
    )  # no empty plane among them
    counted = np.stack(
        [mask_overlap.count_pixels(t, g) for t, g in zip(target, prediction, strict=True)]
    )
    tensors = torch.from_numpy(prediction), torch.from_numpy(target)
    for level, rule in (("samplewise", "usbench"), ("global", "pooled")):
        metric = DiceScore(
            num_classes=3, average="macro", input_format="one-hot", aggregation_level=level
        )
        metric.update(*tensors)
        assert metric.compute().mean().item() == pytest.approx(
            score(rule, counted, 3)["dice"], abs=1e-6
        )
    metric = MeanIoU(num_classes=3, input_format="one-hot")
    metric.update(*tensors)
    assert metric.compute().item() == pytest.approx(score("usbench", counted, 3)["iou"], abs=1e-6)


def test_the_scorer_end_to_end():
    scorer = SegmentScorer(
        ["a"], extra={"area": lambda t, g: float(g.planes.sum()) if t.planes.any() else None}
    )
    for n, (target, prediction) in enumerate(
        ((TARGET, PREDICTION), (NONE, NONE), (NONE, PREDICTION))
    ):
        scorer.update(f"case{n}", "g", Masks(target), Masks(prediction))
    scores = scorer.result()
    assert [score_pairs.name for score_pairs in scores.protocols] == ["usbench", "pooled"]
    values = figure_values(scores.protocol.scores)
    assert values["dice"] == pytest.approx(2 / 7) and values["area"] == 3.0
    assert values["empty_false_positive_rate"] == 0.5 and values["pooled_dice"] == pytest.approx(
        4 / 10
    )
    assert scores.protocol.scores["area"].n == 1  # two of the three were undefined
    assert [(row["case"], row["tp"], row["fp"], row["fn"]) for row in scores.cases] == [
        ("case0", 2, 1, 2),
        ("case1", 0, 0, 0),
        ("case2", 0, 3, 0),
    ]
    row = {"case": "case0", "group": "g", "class": "a", "tp": 2, "fp": 1, "fn": 2}
    assert {name: scores.cases[0][name] for name in row} == row
    own = scores.protocol.per_class["a"]
    assert own["empty_false_positive_rate"].value == 0.5 and own["empty_false_positive_rate"].n == 2
    assert own["pooled_dice"].value == pytest.approx(4 / 10) and own["dice"].n == 2


def test_the_scorer_with_every_rule_and_two_classes():
    """The case table is native and without background whatever the protocol; every rule has figures
    of its own.
    """
    rules = [
        "kumar2025-cnn",
        *(name for name in mask_protocols.MASK_PROTOCOLS if name != "kumar2025-cnn"),
    ]
    scorer = SegmentScorer(["a", "b"], rules, extra={"never": lambda t, g: None})
    target, prediction = np.concatenate([TARGET, NONE]), np.concatenate([PREDICTION, NONE])
    scorer.update("case", "g", Masks(target), Masks(prediction))
    scores = scorer.result()
    assert [
        each.name for each in scores.protocols
    ] == rules and scores.protocol.name == "kumar2025-cnn"
    for each in scores.protocols:
        alone = figure_values(score_pairs(each.name, (target, prediction)).scores)
        assert {name: each.scores[name].value for name in alone} == alone
    # background TP 3, FP 2, FN 1: 6/9; a: 4/7; b: 0
    assert scores.protocol.scores["dice"].value == pytest.approx((6 / 9 + 4 / 7 + 0) / 3)
    assert list(scores.protocol.per_class) == ["background", "a", "b"]
    assert [(row["class"], row["tp"], row["fp"], row["fn"]) for row in scores.cases] == [
        ("a", 2, 1, 2),
        ("b", 0, 0, 0),
    ]
    assert (
        scores.protocol.scores["never"].value is None
        and scores.protocol.scores["never"].reason == "no case to average"
    )
    assert (
        scores.protocol.per_class["b"]["pooled_dice"].value is None
        and scores.protocol.per_class["b"]["pooled_dice"].reason
    )


def test_the_scorer_brings_masks_to_the_rules_size():
    """A line that is lost at 128 (see above): the protocol doesn't see it, the case table does."""
    line = np.zeros((1, 512, 512), bool)
    line[0, 1] = True
    scorer = SegmentScorer(["a"], ["kumar2025-transformer", "usbench"])
    scorer.update("case", "g", Masks(line), Masks(line))
    scores = scorer.result()
    assert [each.scores["dice"].value for each in scores.protocols] == [0.0, 1.0] and scores.cases[
        0
    ]["tp"] == 512


def test_overlapping_planes_are_counted_each_for_itself():
    scorer = SegmentScorer(["whole", "part"])
    scorer.update(
        "case",
        "g",
        Masks(np.concatenate([TARGET, TARGET])),
        Masks(np.concatenate([TARGET, PREDICTION])),
    )
    assert scorer.result().protocol.scores["dice"].value == pytest.approx((1 + 4 / 7) / 2)


def test_n_and_groups_are_those_with_a_value_by_hand():
    """Ten images of five groups: class a is in all, b in two images of one group."""
    scorer = SegmentScorer(["a", "b"], ["usbench", "pooled", "image-first", "kidneyus"])
    for n in range(10):
        planes = np.zeros((2, 4, 4), bool)
        planes[0, 1], planes[1, 2] = True, n < 2
        scorer.update(str(n), str(n // 2), Masks(planes), Masks(planes))
    main, *others = scorer.result().protocols
    assert {
        name: (main.per_class["b"][name].n, main.per_class["b"][name].groups)
        for name in (
            "dice",
            "pooled_dice",
            "precision",
            "recall",
            "empty_false_positive_rate",
            "hd95_px",
            "hd95_px:penalty",
            "undefined_px",
            "failure_rate",
        )
    } == {
        **dict.fromkeys(("dice", "pooled_dice", "precision", "recall"), (2, 1)),
        **dict.fromkeys(("hd95_px", "hd95_px:penalty", "undefined_px", "failure_rate"), (2, 1)),
        "empty_false_positive_rate": (8, 4),
    }
    for name in ("dice", "hd95_px"):  # of the smallest class
        figure = main.scores[name]
        assert (figure.n, figure.groups) == (2, 1)
        assert figure.interval == "no interval: expected at least 5 groups, got 1"
    rate = main.scores["empty_false_positive_rate"]
    assert (rate.n, rate.groups) == (8, 4) and rate.interval.endswith("5 groups, got 4")
    of_b = {protocol.name: protocol.per_class["b"]["dice"] for protocol in others}
    assert [(figure.n, figure.groups) for figure in of_b.values()] == [(2, 1), (2, 1), (10, 5)]


def test_a_set_without_a_case_is_undefined():
    """Such as the images without the leak, where every image leaks."""
    for name in mask_protocols.MASK_PROTOCOLS:
        scores = SegmentScorer(["a"], [name]).result()
        for figures in (
            scores.protocol.scores,
            *scores.protocol.per_class.values(),
            scores.protocol.target_score,
        ):
            assert all(
                figure.value is None and figure.reason and not figure.n
                for figure in figures.values()
            )


def test_planes_of_another_number_than_the_classes_are_refused():
    with pytest.raises(ValueError):
        SegmentScorer(["a"]).update(
            "case", "g", Masks(np.concatenate([TARGET] * 2)), Masks(np.concatenate([TARGET] * 2))
        )


@pytest.mark.parametrize("rules", [[], ["usbench", "usbench"], ["usbench", "dsc"]])
def test_rules_that_make_no_protocol_are_a_configuration_error(rules):
    with pytest.raises(ConfigError, match="metric"):
        SegmentScorer(["a"], rules)


def test_the_mean_of_a_further_figure():
    """Undefined cases are skipped and not counted; an infinite one (a distance to nothing) can't be
    averaged away.
    """
    assert average([1.0, np.nan, 3.0]).value == 2.0 and average([1.0, np.nan, 3.0]).n == 2
    assert average([]).value is None and average([np.nan]).reason == "no case to average"
    lost = average([1.0, np.nan, np.inf])
    assert lost.value is None and lost.n == 2 and lost.reason == "infinite in 1 of 2 cases"


def test_the_selection_rule():
    pairs = [(Masks(TARGET), Masks(PREDICTION)), (Masks(NONE), Masks(NONE))]
    assert selection(pairs) == selection(iter(pairs)) == pytest.approx(4 / 7)
    two = [(Masks(np.concatenate([TARGET, NONE])), Masks(np.concatenate([TARGET, PREDICTION])))]
    assert selection(two) == 0.5  # a class that is only predicted scores 0
    pairs = [(Masks(TARGET), Masks(PREDICTION)), (Masks(~NONE), Masks(~NONE))]
    assert selection(pairs) == pytest.approx((4 / 7 + 1) / 2)  # not pooled, 20/23
    assert selection([(Masks(NONE), Masks(NONE))]) == 0.0


# ---- a rule of another order, the release's own, unknown classes


def test_image_first_averages_each_image_s_classes_before_the_images():
    both, single = (
        np.concatenate([TARGET, TARGET]),
        np.concatenate([PREDICTION, TARGET]),
    )  # Dice 4/7 and 1
    lone = (
        np.concatenate([TARGET, NONE]),
        np.concatenate([TARGET, NONE]),
    )  # 1, and a class in neither
    actual = score_pairs("image-first", (both, single), lone)
    assert actual.scores["dice"].value == pytest.approx(((4 / 7 + 1) / 2 + 1) / 2)
    assert score_pairs("usbench", (both, single), lone).scores["dice"].value == pytest.approx(
        ((4 / 7 + 1) / 2 + 1) / 2
    )
    more = (np.concatenate([TARGET, NONE]), np.concatenate([PREDICTION, NONE]))
    assert score_pairs("image-first", (both, single), more).scores["dice"].value == pytest.approx(
        (5.5 / 7 + 4 / 7) / 2
    )
    assert score_pairs("usbench", (both, single), more).scores["dice"].value == pytest.approx(
        (4 / 7 + 1) / 2
    )


def test_kidneyus_counts_a_class_in_neither_mask_as_1():
    actual = score_pairs(
        "kidneyus", (TARGET, PREDICTION), (NONE, NONE), (NONE, PREDICTION), (TARGET, NONE)
    )
    assert actual.scores["dice"].value == pytest.approx((4 / 7 + 1 + 0 + 0) / 4)
    assert actual.scores["iou"].value == pytest.approx((2 / 5 + 1 + 0 + 0) / 4)
    assert actual.target_score["dice"].value == 1


def test_nnunet_is_another_name_of_ours():
    assert mask_protocols.find_protocol("nnunet") is mask_protocols.find_protocol("usbench")
    with pytest.raises(ConfigError, match="different names"):
        SegmentScorer(["a"], ["usbench", "nnunet"])


@pytest.mark.parametrize("rule", list(mask_protocols.MASK_PROTOCOLS))
def test_an_unknown_class_counts_nowhere(rule):
    """The second class's target is unknown in the second image: as if that image had the first
    class only.
    """
    two = np.concatenate([TARGET, PREDICTION])
    other = np.concatenate([PREDICTION, PREDICTION])
    scorer = SegmentScorer(["a", "b"], [rule])
    scorer.update("1", "g1", Masks(two), Masks(other))
    scorer.update(
        "2",
        "g2",
        Masks(np.concatenate([TARGET, NONE]), known=np.array([True, False])),
        Masks(other),
    )
    actual = scorer.result().protocol
    alone = SegmentScorer(["a", "b"], [rule])
    alone.update("1", "g1", Masks(two), Masks(other))
    expected = alone.result().protocol
    for name in ("dice", "iou", "precision", "recall", "pooled_dice"):
        assert actual.per_class["b"][name].value == expected.per_class["b"][name].value, name
        assert actual.per_class["b"][name].n == 1
    assert actual.per_class["a"]["dice"].n == 2
    assert [scorer.cases[3][key] for key in ("class", "tp", "fp", "fn")] == ["b", None, None, None]


def test_the_selection_rule_leaves_unknown_classes_out():
    known = Masks(np.concatenate([TARGET, NONE]), known=np.array([True, False]))
    prediction = Masks(np.concatenate([PREDICTION, PREDICTION]))
    assert selection([(known, prediction)]) == pytest.approx(4 / 7)
    assert selection([(Masks(known.planes), prediction)]) == pytest.approx(2 / 7)


def test_precision_and_recall_by_hand():
    scorer = SegmentScorer(["a"])
    for n, (target, prediction) in enumerate(
        [(TARGET, PREDICTION), (NONE, PREDICTION), (TARGET, NONE), (NONE, NONE)]
    ):
        scorer.update(str(n), str(n), Masks(target), Masks(prediction))
    actual = scorer.result().protocol.scores
    assert actual["precision"].value == pytest.approx(
        (2 / 3 + 0) / 2
    )  # undefined where nothing is predicted
    assert actual["recall"].value == pytest.approx(
        (2 / 4 + 0) / 2
    )  # undefined where the target is empty
