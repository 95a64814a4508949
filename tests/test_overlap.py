"""Overlap of masks: little pictures with answers computed by hand, every empty case under every rule, and parity."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.segmentation import DiceScore, MeanIoU

from usbench.errors import ConfigError
from usbench.metrics import overlap
from usbench.metrics.scores import flat
from usbench.metrics.segment import SegmentScorer, selection
from usbench.types import Masks


def plane(*rows: str) -> np.ndarray:
    """(1, H, W) from rows of 1 and . characters."""
    return np.array([[[mark == "1" for mark in row] for row in rows]])


TRUTH, GUESS = plane("11..", "11.."), plane(".11.", ".1..")  # TP 2, FP 1, FN 2: Dice 4/7, IoU 2/5
NONE = np.zeros_like(TRUTH)


def table(*pairs: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """(N, C, 3) counts of (truth, prediction) pairs."""
    return np.stack([overlap.counts(truth, guess) for truth, guess in pairs])


def score(rule: str, counted: np.ndarray, classes: int = 1) -> dict[str, float | None]:
    return flat(overlap.apply(overlap.rule(rule), counted, [str(c) for c in range(classes)]).scores)


def test_counts_by_hand():
    assert overlap.counts(TRUTH, GUESS).tolist() == [[2, 1, 2]]
    assert overlap.dice(table((TRUTH, GUESS))).tolist() == [[4 / 7]]
    assert overlap.iou(table((TRUTH, GUESS))).tolist() == [[2 / 5]]
    with pytest.raises(ValueError, match="one shape"):
        overlap.counts(TRUTH, GUESS[:, :1])


@pytest.mark.parametrize(
    ("rule", "both_empty", "only_truth", "only_prediction"),
    [
        ("usbench", None, 0.0, 0.0),
        ("pooled", None, 0.0, 0.0),
        ("kumar2025-transformer", 0.0, 0.0, 1.0),
    ],
)
def test_the_empty_cases(rule, both_empty, only_truth, only_prediction):
    pairs = ((NONE, NONE), (TRUTH, NONE), (NONE, TRUTH))
    assert [score(rule, table(pair))["dice"] for pair in pairs] == [both_empty, only_truth, only_prediction]


def test_the_empty_cases_of_the_cnn_rule():
    """Two classes, background and one more: a class in neither mask scores 0, so nothing at all scores 1/2."""
    rule = overlap.rule("kumar2025-cnn")

    def of(truth, guess):
        return flat(overlap.apply(rule, overlap.rule_counts(rule, truth, guess)[None], ["a"]).scores)["dice"]

    assert of(NONE, NONE) == 0.5
    assert of(TRUTH, TRUTH) == 1.0
    # truth: left half; prediction: nothing: background TP 1/2, FP 1/2, FN 0 of the picture: Dice 2/3; the class 0
    assert of(TRUTH, NONE) == pytest.approx((2 / 3 + 0) / 2)


def test_the_transformer_rule_gives_iou_0_where_it_gives_dice_1():
    counted = table((NONE, TRUTH))
    assert score("kumar2025-transformer", counted) == {"dice": 1.0, "iou": 0.0}


def test_a_skipped_image_is_skipped_and_counted():
    ruled = overlap.apply(overlap.rule("usbench"), table((TRUTH, GUESS), (NONE, NONE), (NONE, GUESS)), ["a"])
    assert ruled.per_class["a"]["dice"].value == pytest.approx((4 / 7 + 0) / 2) and ruled.per_class["a"]["dice"].n == 2


def test_nothing_anywhere_is_none_with_a_reason_not_nan_or_minus_one():
    ruled = overlap.apply(overlap.rule("usbench"), table((NONE, NONE)), ["a"])
    assert ruled.scores["dice"].value is None and ruled.scores["dice"].reason
    metric = DiceScore(num_classes=1, average="macro", input_format="one-hot")
    metric.update(torch.from_numpy(NONE)[None], torch.from_numpy(NONE)[None])
    assert torch.isnan(metric.compute())  # TRAPS section 2
    iou = MeanIoU(num_classes=2, per_class=True, input_format="one-hot")
    two = torch.from_numpy(np.concatenate([TRUTH, NONE]))[None]
    iou.update(two, two)
    assert iou.compute().tolist() == [1.0, -1.0]


def test_the_order_of_averaging():
    """Class a: Dice 1 in image 1, 0 in image 2; class b: only in image 1, Dice .5.

    Classes last (usbench): ((1 + 0)/2 + .5)/2 = .5; images last: ((1 + .5)/2 + 0)/2 = .375.
    """
    counted = np.array([[[4, 0, 0], [1, 1, 1]], [[0, 0, 4], [0, 0, 0]]])
    assert score("usbench", counted, 2)["dice"] == 0.5
    image_first = overlap.Rule("x", 1, "", order="image")
    assert overlap.apply(image_first, counted, ["a", "b"]).scores["dice"].value == 0.375
    # pooled: a: 8/(8+4) = 2/3, b: 2/4
    assert score("pooled", counted, 2)["dice"] == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_ceilings():
    """Exactly 1 under ours; the share of present classes under the paper's; a stray pixel can exceed the latter."""
    truth, stray = np.concatenate([TRUTH, NONE]), np.concatenate([TRUTH, NONE])
    stray[1, 0, 3] = True
    for name in ("usbench", "pooled"):
        rule = overlap.rule(name)
        assert (
            overlap.apply(rule, overlap.rule_counts(rule, truth, stray)[None], ["a", "b"]).ceiling["dice"].value == 1.0
        )
    cnn, transformer = overlap.rule("kumar2025-cnn"), overlap.rule("kumar2025-transformer")
    assert overlap.apply(cnn, overlap.rule_counts(cnn, truth, stray)[None], ["a", "b"]).ceiling[
        "dice"
    ].value == pytest.approx(2 / 3)  # background and a, of three
    ruled = overlap.apply(transformer, overlap.rule_counts(transformer, truth, stray)[None], ["a", "b"])
    assert ruled.ceiling["dice"].value == 0.5 and ruled.scores["dice"].value == 1.0


def test_the_published_ceiling_of_the_release():
    """FACTS section 1: images with each class, of 10,223, background first: a mean share of .7175."""
    present = [6385, 10223, 9814, 9839, 9613, 10223, 5756, 2732, 6099, 2671]
    counted = np.zeros((10223, 10, 3), int)
    for c, n in enumerate(present):
        counted[:n, c, 0] = 1
    ruled = overlap.apply(overlap.rule("kumar2025-cnn"), counted, [str(c) for c in range(9)])
    assert ruled.ceiling["dice"].value == pytest.approx(0.7175, abs=5e-5)


def test_nearest_takes_the_pixel_under_the_centre():
    """5 → 3 rows: centres at .83, 2.5 and 4.17, so rows 0, 2 and 4; 2 → 4 columns repeats each twice."""
    planes = np.zeros((1, 5, 2), bool)
    planes[0, 2, 0] = True
    small = overlap.nearest(planes, (3, 4))
    assert small[0].astype(int).tolist() == [[0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]


def test_false_positives_on_images_without_the_class():
    rate = overlap.empty_false_positives(table((NONE, NONE), (NONE, GUESS), (TRUTH, GUESS)))
    assert rate.tolist() == [0.5]
    assert np.isnan(overlap.empty_false_positives(table((TRUTH, GUESS)))).all()


def test_an_unknown_rule_is_a_configuration_error():
    with pytest.raises(ConfigError, match="usbench"):
        overlap.rule("dice")


masks = st.lists(st.booleans(), min_size=48, max_size=48).map(lambda bits: np.array(bits).reshape(3, 4, 4))


@given(masks, masks)
def test_dice_and_iou_agree_with_independent_counting(truth, guess):
    """By set arithmetic, class by class; IoU = Dice / (2 − Dice)."""
    counted = overlap.counts(truth, guess)
    for c in range(3):
        a, b = {*zip(*np.nonzero(truth[c]), strict=True)}, {*zip(*np.nonzero(guess[c]), strict=True)}
        dice, iou = overlap.dice(counted)[c], overlap.iou(counted)[c]
        if not a | b:
            assert np.isnan(dice) and np.isnan(iou)
            continue
        assert dice == pytest.approx(2 * len(a & b) / (len(a) + len(b))) and iou == pytest.approx(dice / (2 - dice))
        assert 0 <= dice <= 1 and overlap.dice(overlap.counts(guess, truth))[c] == dice


def test_parity_with_torchmetrics():
    """DiceScore (macro; samplewise and global) and MeanIoU are the same where the settings mean the same."""
    rng = np.random.default_rng(0)
    truth, guess = rng.random((6, 3, 8, 8)) < 0.4, rng.random((6, 3, 8, 8)) < 0.4  # no empty plane among them
    counted = np.stack([overlap.counts(t, g) for t, g in zip(truth, guess, strict=True)])
    tensors = torch.from_numpy(guess), torch.from_numpy(truth)
    for level, rule in (("samplewise", "usbench"), ("global", "pooled")):
        metric = DiceScore(num_classes=3, average="macro", input_format="one-hot", aggregation_level=level)
        metric.update(*tensors)
        assert metric.compute().mean().item() == pytest.approx(score(rule, counted, 3)["dice"], abs=1e-6)
    metric = MeanIoU(num_classes=3, input_format="one-hot")
    metric.update(*tensors)
    assert metric.compute().item() == pytest.approx(score("usbench", counted, 3)["iou"], abs=1e-6)


def test_the_scorer_end_to_end():
    scorer = SegmentScorer(["a"], extra={"area": lambda t, g: float(g.planes.sum()) if t.planes.any() else None})
    for n, (truth, guess) in enumerate(((TRUTH, GUESS), (NONE, NONE), (NONE, GUESS))):
        scorer.update(f"case{n}", "g", Masks(truth), Masks(guess))
    scores = scorer.result()
    assert [ruled.name for ruled in scores.ruled] == ["usbench", "pooled"]
    values = flat(scores.ruler.scores)
    assert values["dice"] == pytest.approx(2 / 7) and values["area"] == 3.0
    assert values["empty_false_positive_rate"] == 0.5 and values["pooled_dice"] == pytest.approx(4 / 10)
    assert scores.cases[0] == {"case": "case0", "group": "g", "class": "a", "tp": 2, "fp": 1, "fn": 2}
    assert len(scores.cases) == 3


def test_the_selection_rule():
    pairs = [(Masks(TRUTH), Masks(GUESS)), (Masks(NONE), Masks(NONE))]
    assert selection(pairs) == pytest.approx(4 / 7)
    assert selection([(Masks(NONE), Masks(NONE))]) == 0.0
