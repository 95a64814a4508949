"""Optimisers, learning rates over time, weights of a loss, and a batch in parts."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.models.test_loop import run, selection
from usbench.errors import ConfigError, RunError
from usbench.io.console import Bar
from usbench.models import loop
from usbench.models.arrays import Arrays
from usbench.models.loop_keys import LOOP, count_parts
from usbench.models.optimise import build_optimiser, build_schedule
from usbench.models.recipe_keys import fill_defaults
from usbench.models.segmenter import AUXILIARY, build_loss, exclusive_loss, overlapping_loss


def noise() -> tuple[torch.Tensor, torch.Tensor]:
    """Twelve images of noise, and where they are bright."""
    x = torch.randint(
        0, 255, (12, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    return x, (x[:, None] > 127).to(torch.uint8)


def plain(
    x: torch.Tensor, y: torch.Tensor, folder: Path, log: Any = None, **changes: object
) -> nn.Module:
    """Two convolutions, trained by SGD; the epoch with the smallest loss is kept."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))
    recipe = {
        "epochs": 2,
        "batch": 6,
        "lr": 0.1,
        "optimizer": "sgd",
        "momentum": 0.9,
        "weight_decay": 0,
    }
    recipe |= {"schedule": "cosine", **changes}
    loss = build_loss(True, {"ce": 1, "dice": 0})

    def score(net: nn.Module, _: Bar) -> float:
        with torch.inference_mode():
            return -loss(net(loop.normalise(x[:, None].float() / 255)), y).item()

    the_run = run(folder, **({"log": log} if log else {}))
    data, filled = Arrays(x.numpy(), y.numpy()), fill_defaults(recipe, LOOP)
    loop.fit(model, data, loop.Method(loss), score, filled, the_run)
    return model


def rates(recipe: dict, epochs: int, steps: int, scores: list[float] | None = None) -> list[float]:
    """The rate of each step, or, with scores, of each epoch."""
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=recipe["lr"])
    schedule = build_schedule(optimiser, recipe, epochs, steps)
    seen = []
    for n in range(len(scores) if scores else epochs * steps):
        seen.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step(scores[n]) if scores else schedule.step()
    return seen


def test_poly_by_hand():
    result = rates({"schedule": "poly", "lr": 2.0}, 2, 5)
    assert result == pytest.approx([2 * (1 - n / 10) ** 0.9 for n in range(10)])


def test_a_step_falls_once():
    result = rates({"schedule": "step", "lr": 1.0, "step_at": 3, "factor": 0.1}, 5, 2)
    assert result == pytest.approx([1.0] * 6 + [0.1] * 4)
    assert rates({"schedule": "step", "lr": 1.0, "step_at": 60, "factor": 0.1}, 5, 2) == [1.0] * 10


def test_a_plateau_falls_after_its_patience():
    """Best at the second epoch; patience 2: after the third that is no better the rate falls."""
    recipe = {"schedule": "plateau", "lr": 1.0, "factor": 0.1, "patience": 2}
    result = rates(recipe, 7, 1, [0.1, 0.5, 0.4, 0.5, 0.3, 0.2, 0.6])
    assert result == pytest.approx([1, 1, 1, 1, 1, 0.1, 0.1])


@pytest.mark.parametrize("change", [{"schedule": "sawtooth"}, {"optimizer": "lion"}])
def test_what_there_is_not(change):
    recipe = {"lr": 1.0, "weight_decay": 0, "schedule": "cosine", "optimizer": "adamw", **change}
    with pytest.raises(ConfigError, match=r"recipe\.(schedule|optimizer)"):
        build_schedule(build_optimiser(nn.Linear(1, 1), recipe), recipe, 1, 1)


@pytest.mark.train
@pytest.mark.parametrize(
    ("name", "optimizer"),
    [
        ("onecycle", "adamw"),
        ("cosine", "radam"),
        ("poly", "sgd"),
        ("step", "adamw"),
        ("plateau", "radam"),
    ],
)
def test_every_schedule_and_optimiser_goes_on_after_a_stop(name, optimizer, tmp_path):
    """Straight through, and stopped after the second of four epochs: the same weights."""
    x, y = noise()
    recipe = {"epochs": 4, "schedule": name, "step_at": 3, "factor": 0.1, "patience": 0}
    recipe["optimizer"] = optimizer
    straight = plain(x, y, tmp_path / "a", **recipe)

    class Enough(Exception):
        pass

    def stop(key: str, value: float, step: int) -> None:
        if key == "val/score" and step == 3:
            raise Enough

    with pytest.raises(Enough):
        plain(x, y, tmp_path / "b", log=stop, **recipe)
    again = plain(x, y, tmp_path / "b", **recipe)
    for first, other in zip(straight.parameters(), again.parameters(), strict=True):
        assert (first == other).all()


# ---- losses


CE, DICE, BOTH = {"ce": 1, "dice": 0}, {"ce": 0, "dice": 1}, {"ce": 1, "dice": 1}


def pair(classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(2, classes, 8, 8, generator=rng)
    return logits, torch.randint(0, classes, (2, 1, 8, 8), generator=rng).to(torch.uint8)


def test_the_parts_of_a_loss_add_up():
    logits, targets = pair()
    ce, dice = (build_loss(True, weights)(logits, targets) for weights in (CE, DICE))
    torch.testing.assert_close(ce, nn.functional.cross_entropy(logits, targets[:, 0].long()))
    torch.testing.assert_close(
        build_loss(True, {"ce": 0.2, "dice": 0.8})(logits, targets), 0.2 * ce + 0.8 * dice
    )
    torch.testing.assert_close(build_loss(True, BOTH)(logits, targets), ce + dice)
    torch.testing.assert_close(exclusive_loss(logits, targets), ce + dice)
    planes = (targets == torch.arange(3).view(1, 3, 1, 1)).to(torch.uint8)
    entropy = nn.functional.binary_cross_entropy_with_logits(logits, planes.float())
    torch.testing.assert_close(build_loss(False, {"ce": 2, "dice": 0})(logits, planes), 2 * entropy)
    assert overlapping_loss(logits, planes) > entropy


def test_an_auxiliary_head_counts_less():
    logits, targets = pair()
    loss = build_loss(True, BOTH)
    main, other = loss(logits, targets), loss(-logits, targets)
    torch.testing.assert_close(loss((logits, -logits), targets), main + AUXILIARY * other)


# ---- a batch in parts


@pytest.mark.parametrize(
    ("batch", "recipe", "parts"),
    [
        (8, {"batch": 8}, 1),
        (8, {"batch": 8, "micro_batch": None}, 1),
        (8, {"batch": 8, "micro_batch": 8}, 1),
        (8, {"batch": 8, "micro_batch": 2}, 4),
        (8, {"batch": 8, "micro_batch": 1}, 8),
        (5, {"batch": 8, "micro_batch": 2}, 2),  # a set of five: 3 + 2, never an image alone
        (5, {"batch": 8, "micro_batch": 1}, 5),
    ],
)
def test_the_number_of_parts(batch, recipe, parts):
    assert count_parts(batch, recipe) == parts


@pytest.mark.train
def test_parts_make_the_same_steps(tmp_path):
    """Of a net without normalisation, by cross entropy alone: parts change nothing but rounding."""
    x, y = noise()
    whole = plain(x, y, tmp_path / "whole")
    for micro in (3, 2, 1):
        parts = plain(x, y, tmp_path / str(micro), micro_batch=micro)
        for first, other in zip(whole.parameters(), parts.parameters(), strict=True):
            torch.testing.assert_close(first, other, atol=1e-5, rtol=1e-4)


def test_memory_that_runs_out_names_the_way_out(tmp_path):
    class Full(nn.Conv2d):
        def forward(self, x):
            raise torch.OutOfMemoryError("CUDA out of memory")

    images = torch.zeros(4, 8, 8, dtype=torch.uint8)
    recipe = {
        "epochs": 1,
        "batch": 4,
        "lr": 0.1,
        "weight_decay": 0,
        "schedule": "cosine",
        "micro_batch": 2,
    }
    arrays = Arrays(images.numpy(), images[:, None].numpy())
    with pytest.raises(
        RunError, match=r"out of memory with 2 images at once.*micro_batch.*the same batch of 4"
    ):
        method = loop.Method(build_loss(True, BOTH))
        loop.fit(
            Full(1, 2, 1), arrays, method, selection, fill_defaults(recipe, LOOP), run(tmp_path)
        )


def test_without_shuffling_batches_come_in_order():
    rng = torch.Generator().manual_seed(0)
    assert [chosen.tolist() for chosen in loop.batches(7, 3, rng, shuffle=False)] == [
        [0, 1, 2],
        [3, 4, 5],
    ]
    assert math.prod(len(chosen) for chosen in loop.batches(2, 3, rng, shuffle=False)) == 3
