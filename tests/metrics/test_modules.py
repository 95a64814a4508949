"""The torchmetrics `Metric`s give the NumPy functions' figures, to the digit."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import torch
from torchmetrics import MetricCollection
from torchmetrics.segmentation import DiceScore

from usbench.errors import ConfigError
from usbench.metrics import box_protocols, mask_overlap, mask_protocols
from usbench.metrics.modules import BoxPrecision, MaskOverlap, PerImage
from usbench.metrics.scores import figure_values
from usbench.types import Boxes, Masks


def planes(*shape: int, share: float = 0.2, seed: int = 0) -> np.ndarray:
    """Random (B, 2, H, W) masks, disjoint, the last image empty."""
    drawn = np.random.default_rng(seed).random(shape) < share
    drawn[:, 1] &= ~drawn[:, 0]
    drawn[-1] = False
    return drawn


def values(scores: dict[str, torch.Tensor]) -> dict[str, float | None]:
    """Plain numbers, None for NaN, as the NumPy functions say it."""
    return {
        name: None if math.isnan(value.item()) else value.item() for name, value in scores.items()
    }


def by_numpy(rule: str, target: np.ndarray, prediction: np.ndarray) -> dict[str, float | None]:
    chosen = mask_protocols.find_protocol(rule)
    table = np.stack([chosen.count(t, g) for t, g in zip(target, prediction, strict=True)])
    return figure_values(
        mask_protocols.score_counts(chosen, table, [str(c) for c in range(target.shape[1])]).scores
    )


ONES = torch.ones(1, 2, 4, 4, dtype=torch.bool)


@pytest.mark.parametrize("rule", sorted(mask_protocols.MASK_PROTOCOLS))
def test_masks_over_several_batches(rule):
    target, prediction = planes(5, 2, 12, 12), planes(5, 2, 12, 12, seed=1)
    metric = MaskOverlap(2, rule)
    for part in (slice(0, 2), slice(2, 2), slice(2, 5)):  # an empty batch adds nothing
        metric.update(torch.from_numpy(prediction[part]), torch.from_numpy(target[part]))
    assert values(metric.compute()) == by_numpy(rule, target, prediction)  # equal, not nearly equal
    metric.reset()
    metric.update(torch.from_numpy(prediction[:1]), torch.from_numpy(target[:1]))
    assert values(metric.compute()) == by_numpy(rule, target[:1], prediction[:1])


def test_called_it_gives_the_batch_and_keeps_the_whole():
    target, prediction = planes(4, 2, 9, 9), planes(4, 2, 9, 9, seed=1)
    metric = MaskOverlap(2)
    for n in range(4):
        alone = metric(torch.from_numpy(prediction[n : n + 1]), torch.from_numpy(target[n : n + 1]))
        assert values(alone) == by_numpy("usbench", target[n : n + 1], prediction[n : n + 1])
    assert values(metric.compute()) == by_numpy("usbench", target, prediction)


def test_masks_of_several_sizes():
    first, second = (
        (planes(2, 2, 9, 7), planes(2, 2, 9, 7, seed=1)),
        (planes(2, 2, 30, 40), planes(2, 2, 30, 40, seed=1)),
    )
    metric, table = MaskOverlap(2), []
    for target, prediction in (first, second):
        metric.update(torch.from_numpy(prediction), torch.from_numpy(target))
        table += [mask_overlap.count_pixels(t, g) for t, g in zip(target, prediction, strict=True)]
    expected = mask_protocols.score_counts(
        mask_protocols.find_protocol("usbench"), np.stack(table), ["0", "1"]
    )
    assert values(metric.compute()) == figure_values(expected.scores)


@pytest.mark.parametrize("rule", sorted(mask_protocols.MASK_PROTOCOLS))
def test_pickled_and_cloned(rule):
    """Trainers with several processes send metrics to them."""
    metric = MaskOverlap(2, rule)
    metric.update(ONES, ONES)
    assert values(pickle.loads(pickle.dumps(metric)).compute()) == values(metric.compute())
    assert values(metric.clone().compute()) == values(metric.compute())


def test_undefined_is_nan():
    metric = MaskOverlap(2)
    metric.update(~ONES, ~ONES)
    assert values(metric.compute()) == {"dice": None, "iou": None}
    actual = BoxPrecision(1)
    actual.update(
        [{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0), "scores": torch.zeros(0)}],
        [empty()],
    )
    assert values(actual.compute()) == dict.fromkeys(box_protocols.score_pairs([], ["0"]).scores)


def empty() -> dict[str, torch.Tensor]:
    return {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}


# ---- boxes


def draw(seed: int) -> tuple[Boxes, Boxes]:
    """Three targets and a near prediction of each."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 50, (3, 2))
    own = np.concatenate([corner, corner + 20], 1).astype(np.float32)
    near, labels = (own + rng.normal(0, 2, own.shape)).astype(np.float32), rng.integers(0, 2, 3)
    return Boxes(own, labels), Boxes(near, labels, rng.random(3).astype(np.float32))


def tensors(target: Boxes) -> dict[str, torch.Tensor]:
    scored = {} if target.scores is None else {"scores": torch.from_numpy(target.scores)}
    return {
        "boxes": torch.from_numpy(target.xyxy),
        "labels": torch.from_numpy(target.labels),
        **scored,
    }


def test_boxes_over_several_batches():
    pairs, metric = [draw(seed) for seed in range(5)], BoxPrecision(2)
    for batch in (pairs[:2], pairs[2:]):
        metric.update(
            [tensors(prediction) for _, prediction in batch],
            [tensors(target) for target, _ in batch],
        )
    assert values(metric.compute()) == figure_values(
        box_protocols.score_pairs(pairs, ["0", "1"]).scores
    )
    metric.reset()
    alone = metric([tensors(pairs[0][1])], [tensors(pairs[0][0])])
    assert (
        values(alone)
        == values(metric.compute())
        == figure_values(box_protocols.score_pairs(pairs[:1], ["0", "1"]).scores)
    )


def test_images_without_target_or_prediction():
    target, prediction = draw(0)
    nothing = Boxes.empty(scored=True)
    pairs, metric = (
        [(target, nothing), (Boxes.empty(), prediction), (target, prediction)],
        BoxPrecision(2),
    )
    metric.update(
        [tensors(prediction) for _, prediction in pairs], [tensors(target) for target, _ in pairs]
    )
    assert values(metric.compute()) == figure_values(
        box_protocols.score_pairs(pairs, ["0", "1"]).scores
    )


# ---- in a MetricCollection


def test_in_a_collection():
    target, prediction = planes(4, 2, 20, 20), planes(4, 2, 20, 20, seed=1)
    collection = MetricCollection(
        {rule: MaskOverlap(2, rule) for rule in mask_protocols.MASK_PROTOCOLS}
    )
    for part in (slice(0, 1), slice(1, 4)):
        collection.update(torch.from_numpy(prediction[part]), torch.from_numpy(target[part]))
    expected = {
        f"{rule}_{n}": v
        for rule in mask_protocols.MASK_PROTOCOLS
        for n, v in by_numpy(rule, target, prediction).items()
    }
    assert values(collection.compute()) == expected
    pair = draw(0)
    several = MetricCollection({"a": BoxPrecision(2), "b": BoxPrecision(2)})
    several.update([tensors(pair[1])], [tensors(pair[0])])
    assert (
        several.compute()["b_map50_95"].item()
        == box_protocols.score_pairs([pair], ["0", "1"]).scores["map50_95"].value
    )


def test_a_collection_never_takes_two_rules_for_one():
    """It feeds only one of those metrics whose states are equal after the first batch, as after an
    empty frame; the next, at 200 px, counts otherwise under a rule at 128 px than at native size.
    """
    frame = np.zeros((1, 2, 200, 200), bool)
    target, prediction = planes(2, 2, 200, 200)[:1], planes(2, 2, 200, 200, seed=1)[:1]
    rules = ("usbench", "kumar2025-transformer")
    collection = MetricCollection({rule: MaskOverlap(2, rule) for rule in rules})
    for t, g in ((frame, frame), (target, prediction)):
        collection.update(torch.from_numpy(g), torch.from_numpy(t))
    actual = values(collection.compute())
    for rule in rules:
        expected = by_numpy(
            rule, np.concatenate([frame, target]), np.concatenate([frame, prediction])
        )
        assert actual[f"{rule}_dice"] == expected["dice"]


# ---- wrong input


def test_logits_are_refused():
    """torchmetrics' own metrics take them for one-hot masks without a word."""
    logits = torch.randn(1, 2, 4, 4)
    own = DiceScore(num_classes=2, input_format="one-hot")
    own.update(logits, ONES)
    assert torch.isfinite(own.compute()).all()
    for preds, target in ((logits, ONES), (ONES, logits), (ONES.long(), ONES)):
        with pytest.raises(ValueError, match="threshold or arg-max"):
            MaskOverlap(2).update(preds, target)


@pytest.mark.parametrize(
    ("preds", "target"),
    [
        (ONES, ONES[..., :3]),  # two sizes
        (ONES, torch.cat([ONES, ONES])),  # two lengths
        (ONES[0], ONES[0]),  # no batch
        (torch.ones(4, 2, 4, dtype=torch.bool), torch.ones(4, 2, 4, dtype=torch.bool)),  # no rows
        (ONES[:, :1], ONES[:, :1]),  # a class too few
        (torch.cat([ONES, ONES], 1), torch.cat([ONES, ONES], 1)),  # two too many
    ],
)
def test_masks_of_another_shape_are_refused(preds, target):
    metric = MaskOverlap(2)
    with pytest.raises(ValueError, match=r"expected preds and target of \(B, 2, H, W\), got"):
        metric.update(preds, target)
    assert values(metric.compute()) == {"dice": None, "iou": None}  # nothing of it was kept


@pytest.mark.parametrize(
    "wrong",
    [
        {"boxes": torch.zeros(1, 5)},  # a detector's rows with score and class would lose both
        {"boxes": torch.zeros(4)},
        {"labels": torch.zeros(2)},
        {"scores": torch.zeros(1, 1)},
    ],
)
def test_boxes_of_another_shape_are_refused(wrong):
    sound = {"boxes": torch.zeros(1, 4), "labels": torch.zeros(1), "scores": torch.zeros(1)}
    metric = BoxPrecision(1)
    with pytest.raises(ValueError, match=r"\(N, 4\)"):
        metric.update([sound, {**sound, **wrong}], [empty(), empty()])
    with pytest.raises(ValueError, match="2 and 1"):
        metric.update([sound, sound], [empty()])
    assert len(metric.predictions) == len(metric.targets) == 0  # nothing of it was kept


def test_an_unknown_rule_is_a_configuration_error():
    with pytest.raises(ConfigError, match="usbench"):
        MaskOverlap(1, "dice")


def test_a_torchmetrics_metric_as_a_figure_of_each_image():
    """Masks by hand: TP 1, FP 1, FN 0, so Dice 2/3; nothing anywhere is None; boxes: one hit is an
    AP of 1.
    """
    target, prediction = np.zeros((1, 2, 2), bool), np.zeros((1, 2, 2), bool)
    target[0, 0, 0] = prediction[0, 0, :] = True
    dice = PerImage(DiceScore(num_classes=1, average="macro", input_format="one-hot"))
    assert dice(Masks(target), Masks(prediction)) == pytest.approx(2 / 3)
    assert dice(Masks(target), Masks(target)) == 1.0  # reset in between
    assert dice(Masks(target & False), Masks(target & False)) is None
    square, label = np.array([[10, 10, 20, 20]], np.float32), np.zeros(1, np.int64)
    actual = PerImage(BoxPrecision(1), "map50")(
        Boxes(square, label), Boxes(square, label, np.ones(1, np.float32))
    )
    assert actual == 1.0


def test_double_precision_is_kept():
    """An IoU of .8 of corners at a tenth of a pixel, which single precision makes .79999."""
    target = Boxes(np.array([[0.3, 0.7, 10.3, 10.7]]), np.zeros(1, np.int64))
    prediction = Boxes(np.array([[0.3, 0.7, 8.3, 10.7]]), np.zeros(1, np.int64), np.ones(1))
    metric = BoxPrecision(1)
    metric.update([tensors(prediction)], [tensors(target)])
    expected = box_protocols.score_pairs([(target, prediction)], ["0"]).scores
    assert values(metric.compute()) == figure_values(expected)
    assert expected["map50_95"].value == pytest.approx(0.7)
