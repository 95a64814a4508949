"""A loss and an augmentation of the user's in our loop: what they get, what they may return."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from usbench.errors import ConfigError, RunError
from usbench.metrics.segment_scorer import selection
from usbench.models import custom
from usbench.models.arrays import UNKNOWN
from usbench.models.checkpoints import load_file
from usbench.models.detector.model import Detector
from usbench.models.heatmap import points
from usbench.models.heatmap.model import Heatmap
from usbench.models.loop import explain_loss
from usbench.models.loop_keys import Augment
from usbench.models.segmenter import AUXILIARY, Segmenter, exclusive_loss
from usbench.types import BLURRED, SEEN, Masks, Run, Sample

pytestmark = pytest.mark.usefixtures("one_thread")

HERE = __name__
RECIPE: dict[str, Any] = {
    "size": [32, 32],
    "epochs": 2,
    "batch": 2,
    "lr": 1e-2,
    "weight_decay": 0.0,
    "schedule": "onecycle",
}


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def net(classes: int) -> nn.Module:
    return nn.Conv2d(1, classes, 3, padding=1)


def segmenter(exclusive: bool = True, classes: int = 2, **recipe: Any) -> Segmenter:
    return Segmenter(classes, exclusive, {**RECIPE, **recipe}, net)


def target(name: str, **arguments: Any) -> dict[str, Any]:
    """A node for a class of this file."""
    return {"_target_": f"{HERE}.{name}", **arguments}


class Recorded:
    """A loss that keeps what it gets, and returns the sum of the logits times a factor."""

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor
        self.calls: list[tuple[Tensor, Tensor, Tensor]] = []

    def __call__(self, logits: Tensor, targets: Tensor, known: Tensor) -> Tensor:
        self.calls.append((logits, targets, known))
        return logits.sum() * self.factor


class PlainLoss:
    """The loss of usbench's own for exclusive classes, by the contract for users."""

    def __call__(self, logits: Tensor, targets: Tensor, known: Tensor) -> Tensor:
        return exclusive_loss(logits, targets.argmax(1, keepdim=True))


class Mirror:
    """Mirrors everything, left and right, and makes it darker."""

    def __call__(
        self, images: Tensor, masks: Tensor, rng: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        return images.flip(3) * torch.rand(1, generator=rng), masks.flip(3)


class Undefined:
    """A loss that is nan."""

    def __call__(self, logits: Tensor, targets: Tensor, known: Tensor) -> Tensor:
        return logits.mean() * float("nan")


class Broken:
    def __init__(self) -> None:
        raise ZeroDivisionError("division\nby zero")


# ---- what a loss gets


def test_exclusive_classes_are_planes_with_the_background_first():
    loss = Recorded()
    stored = torch.tensor([[[[0, 1], [2, 2]]]], dtype=torch.uint8)
    logits = torch.zeros(1, 3, 2, 2, dtype=torch.bfloat16, requires_grad=True)
    segmenter().adapt_loss(loss)(logits, stored)
    ((seen, targets, known),) = loss.calls
    assert seen.dtype == targets.dtype == torch.float32
    assert targets.tolist() == [[[[1, 0], [0, 0]], [[0, 1], [0, 0]], [[0, 0], [1, 1]]]]
    assert known.tolist() == [[True, True, True]]


def test_an_unknown_plane_of_overlapping_classes_is_empty_and_said():
    loss = Recorded()
    stored = torch.tensor([[[[0, 1], [1, 1]], [[UNKNOWN, 0], [0, 0]]]], dtype=torch.uint8)
    logits = torch.zeros(1, 2, 2, 2, requires_grad=True)
    segmenter(exclusive=False).adapt_loss(loss)(logits, stored)
    ((_, targets, known),) = loss.calls
    assert targets.tolist() == [[[[0, 1], [1, 1]], [[0, 0], [0, 0]]]]
    assert known.tolist() == [[True, False]]


def test_an_auxiliary_head_is_trained_by_the_same_loss():
    stored = torch.zeros(1, 1, 1, 1, dtype=torch.uint8)
    main = torch.full((1, 3, 1, 1), 2.0, requires_grad=True)
    cost = segmenter().adapt_loss(Recorded())(
        (main, torch.full((1, 3, 1, 1), 10.0) + 0 * main), stored
    )
    assert cost.item() == pytest.approx(6 + AUXILIARY * 30)


def heatmap(**recipe: Any) -> Heatmap:
    whole = {**RECIPE, "sd_point": 1.0, "sd_curve": 1.0, **recipe}
    return Heatmap("resnet18", None, 2, True, whole)


def marks_of(x: float, y: float) -> Tensor:
    """(1, 2, ROWS, 2): a point that is seen and one that is blurred."""
    marks = torch.zeros(1, 2, points.ROWS, 2)
    marks[:, 0, : points.SAMPLES] = torch.tensor([x, y])
    marks[:, 0, points.STATE], marks[:, 1, points.STATE] = SEEN, BLURRED
    marks[:, :, points.NATIVE] = 32
    return marks


def test_landmarks_are_heat_maps_of_each_resolution():
    loss = Recorded()
    maps = [torch.ones(1, 2, side, side, requires_grad=True) for side in (8, 16)]
    cost = heatmap().adapt_loss(loss)(maps, marks_of(15.5, 7.5))
    assert cost.item() == 2 * (64 + 256)
    assert [targets.shape for _, targets, _ in loss.calls] == [(1, 2, 8, 8), (1, 2, 16, 16)]
    _, targets, known = loss.calls[1]
    assert known.tolist() == [[True, False]]
    assert targets[0, 0].argmax().item() in (3 * 16 + 7, 3 * 16 + 8, 4 * 16 + 7, 4 * 16 + 8)


# ---- what an augmentation gets, and what becomes of what it returns


def changed_by(model: Any, augmentation: Any, stored: Tensor) -> tuple[Tensor, Tensor]:
    """One image of 2 × 2 px with its stored target."""
    images = torch.tensor([[[0, 51], [102, 255]]], dtype=torch.uint8)
    pixels, targets = model.augment_by(images, stored, Augment(), rng(), augmentation)
    assert targets.shape == stored.shape and targets.dtype == stored.dtype
    return pixels, targets


def test_masks_move_with_the_image():
    stored = torch.tensor([[[[0, 1], [2, 2]]]], dtype=torch.uint8)
    seen: list[Tensor] = []

    def mirror(images: Tensor, masks: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        seen.extend((images, masks))
        return images.flip(3), masks.flip(3)

    pixels, targets = changed_by(segmenter(), mirror, stored)
    assert torch.allclose(pixels, torch.tensor([[[[0.2, 0.0], [1.0, 0.4]]]]))
    assert targets.tolist() == [[[[1, 0], [2, 2]]]]
    images, masks = seen
    assert images.shape == (1, 1, 2, 2) and masks.dtype == torch.float32
    assert masks.tolist() == [[[[0, 1], [0, 0]], [[0, 0], [1, 1]]]]


def test_half_is_in_and_of_exclusive_classes_the_first_counts():
    stored = torch.zeros(1, 1, 2, 2, dtype=torch.uint8)
    returned = torch.tensor([[[[0.5, 0.4], [1, 0]], [[0.9, 0.4], [0, 1]]]])
    _, targets = changed_by(segmenter(), lambda images, masks, rng: (images, returned), stored)
    assert targets.tolist() == [[[[1, 0], [1, 2]]]]


def test_an_unknown_plane_stays_unknown():
    stored = torch.tensor([[[[0, 1], [0, 0]], [[UNKNOWN] * 2] * 2]], dtype=torch.uint8)
    seen: list[Tensor] = []

    def fill(images: Tensor, masks: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        seen.append(masks)
        return images, torch.ones_like(masks)

    _, targets = changed_by(segmenter(exclusive=False), fill, stored)
    assert not seen[0][0, 1].any()
    assert targets.tolist() == [[[[1, 1], [1, 1]], [[UNKNOWN] * 2] * 2]]


def test_places_move_and_states_stay():
    stored = marks_of(3.0, 4.0)
    _, marks = changed_by(heatmap(), lambda images, places, rng: (images, places + 1), stored)
    assert marks[0, 0, 0].tolist() == [4, 5]
    assert torch.equal(marks[:, :, points.SAMPLES :], stored[:, :, points.SAMPLES :])


def test_boxes_are_rows():
    detector = Detector(
        "fasterrcnn", "resnet10w32", None, 1, True, {**RECIPE, "augment": target("Mirror")}
    )
    stored = torch.tensor([[[0.0, 0, 1, 2, 0], [0, 0, 0, 0, -1]]])
    _, rows = changed_by(detector, lambda images, boxes, rng: (images, boxes * 1), stored)
    assert torch.equal(rows, stored)
    assert detector.training_method("cpu").prepare is not detector.method.prepare


# ---- what they may not return


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        (lambda logits: logits, "a scalar tensor from loss, got shape (1, 3, 2, 2)"),
        (lambda logits: logits.mean((1, 2, 3)), "got shape (1,)"),
        (lambda logits: 1.0, "got float"),
        (lambda logits: None, "got NoneType"),
        (lambda logits: logits.detach().mean(), "from loss, got one without a gradient"),
    ],
)
def test_a_loss_is_a_scalar_that_depends_on_the_logits(returned, says):
    def loss(logits, targets, known):
        return returned(logits)

    logits = torch.zeros(1, 3, 2, 2, requires_grad=True)
    stored = torch.zeros(1, 1, 2, 2, dtype=torch.uint8)
    with pytest.raises(ConfigError) as wrong:
        segmenter().adapt_loss(loss)(logits, stored)
    assert str(wrong.value).startswith("recipe.loss: expected") and says in str(wrong.value)


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        (lambda images, masks: images, "(images, targets) from change, got shape (1, 1, 2, 2)"),
        (lambda images, masks: (images, masks, 1), "got tuple"),
        (lambda images, masks: (images[:, 0], masks), "images of shape (1, 1, 2, 2) from change, got shape (1, 2, 2)"),
        (lambda images, masks: (images, masks[:, :1]), "targets of shape (1, 2, 2, 2) from change, got shape (1, 1, 2, 2)"),
        (lambda images, masks: (images.numpy(), masks), "got ndarray"),
    ],
)  # fmt: skip
def test_an_augmentation_keeps_the_shapes(returned, says):
    def change(images, masks, rng):
        return returned(images, masks)

    stored = torch.zeros(1, 1, 2, 2, dtype=torch.uint8)
    with pytest.raises(ConfigError) as wrong:
        changed_by(segmenter(), change, stored)
    assert str(wrong.value).startswith("recipe.augment: expected") and says in str(wrong.value)


@pytest.mark.parametrize(
    ("node", "says"),
    [
        ({"_target_": "nowhere.Loss"}, "recipe.loss._target_=nowhere.Loss: ModuleNotFoundError: No module"),
        ({"_target_": "Loss"}, "recipe.loss._target_=Loss: ValueError"),
        (target("Nothing"), "has no attribute 'Nothing'"),
        (target("Recorded", weight=1), "unexpected keyword argument 'weight'"),
        (target("Broken"), "ZeroDivisionError: division by zero"),
        (target("rng"), "expected a class with __call__, or a function with _partial_: true; got Generator"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_one_line(node, says):
    with pytest.raises(ConfigError) as wrong:
        segmenter(loss=node).training_method("cpu")
    assert says in str(wrong.value) and "\n" not in str(wrong.value)


def test_a_function_is_called_with_its_arguments_by_partial():
    node = {"_target_": "torch.nn.functional.dropout", "_partial_": True, "p": 0.25}
    assert custom.make(node, "recipe.augment", "cpu").keywords == {"p": 0.25}
    assert custom.name_of(partial(F.dropout, p=0.5)) == "dropout"


def test_restoring_a_model_needs_neither_class():
    node = {"_target_": "nowhere.Mine"}
    assert segmenter(loss=node, augment=node).create()


def test_what_is_said_of_a_loss_that_is_not_finite():
    assert explain_loss(float("inf"), {"loss": None}) == (
        "the training loss is inf. Try a lower lr or precision=fp32."
    )
    assert explain_loss(float("nan"), {"loss": target("Undefined")}) == (
        f"the training loss by {HERE}.Undefined is nan. Look there for a division by 0 or a "
        "logarithm of 0, or try a lower lr or precision=fp32."
    )


# ---- a little training


def samples(n: int) -> list[Sample]:
    made = []
    for k in range(n):
        planes = np.zeros((2, 32, 32), bool)
        planes[0, 4:12, 4 + k : 12 + k], planes[1, 20:28, 4:20] = True, True
        image = (planes[0] * 90 + planes[1] * 180 + k).astype(np.uint8)
        made.append(Sample(f"{k:03d}", f"g{k}", image, Masks(planes)))
    return made


def weights_after(folder: Path, stop_after: int | None = None, **recipe: Any) -> dict[str, Tensor]:
    """The weights of a training. stop_after: end it in the epoch after this one, and resume."""
    folder.mkdir()
    run = Run(folder, "cpu", 3, "fp32", 1, selection)
    if stop_after is not None:

        def stop(name: str, value: float, epoch: int) -> None:
            if epoch > stop_after:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            segmenter(**recipe).fit(samples(4), samples(2), replace(run, log=stop))
    segmenter(**recipe).fit(samples(4), samples(2), run)
    return load_file(folder / "best.pt")


@pytest.mark.train
def test_our_own_loss_by_the_contract_trains_as_ours(tmp_path):
    ours = weights_after(tmp_path / "ours")
    theirs = weights_after(tmp_path / "theirs", loss=target("PlainLoss"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    other = weights_after(tmp_path / "other", loss=target("Recorded", factor=-1.0))
    assert not all(torch.equal(ours[name], other[name]) for name in ours)


@pytest.mark.train
@pytest.mark.usefixtures("checkpoint_each_epoch")
def test_a_resumed_training_gets_the_same_changes(tmp_path):
    recipe = {"augment": target("Mirror"), "epochs": 3}
    whole = weights_after(tmp_path / "whole", **recipe)
    resumed = weights_after(tmp_path / "resumed", stop_after=1, **recipe)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    plain = weights_after(tmp_path / "plain", epochs=3)
    assert not all(torch.equal(whole[name], plain[name]) for name in whole)


@pytest.mark.train
def test_a_loss_that_is_not_finite_ends_the_training(tmp_path):
    with pytest.raises(RunError, match=r"epoch 1: the training loss by .*Undefined is nan"):
        weights_after(tmp_path / "run", loss=target("Undefined"))
