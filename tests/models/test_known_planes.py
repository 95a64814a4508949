"""A class of which nobody knows whether it is there: out of the loss, marked for the selection
rule.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from usbench.errors import DataError
from usbench.models import arrays
from usbench.models.augment import augment
from usbench.models.loop_keys import Augment
from usbench.models.segmenter import overlapping_loss, soft_dice
from usbench.models.smp import SmpSegmenter
from usbench.types import Masks, Run, Sample

RECIPE = {
    "size": [32, 64],
    "epochs": 1,
    "batch": 2,
    "lr": 1e-3,
    "weight_decay": 0.0,
    "schedule": "onecycle",
    "augment": {"rotate": 10},
}


def sample(n: int, known: list[bool] | None) -> Sample:
    planes = np.zeros((2, 32, 64), bool)
    planes[0, 4:20, 5:30] = True
    if known is None or known[1]:
        planes[1, 8:24, 20:60] = True
    image = (planes.sum(0) * 90).astype(np.uint8)
    return Sample(
        f"{n:03d}", f"g{n}", image, Masks(planes, known=None if known is None else np.array(known))
    )


def test_an_unknown_plane_is_stored_as_unknown_and_the_others_as_they_are():
    result = arrays.decode(
        arrays.PLANES,
        [sample(0, None), sample(1, [True, False]), sample(2, [True, True])],
        (32, 64),
        None,
    )
    assert set(np.unique(result.targets[1, 1])) == {arrays.UNKNOWN}
    assert (result.targets[1, 0] == sample(1, None).target.planes[0]).all()
    assert set(np.unique(result.targets[[0, 2]])) == {0, 1}


def test_classes_that_exclude_each_other_are_all_known_or_refused():
    assert arrays.decode(arrays.INDEX, [sample(0, [True, True])], (32, 64), None).targets.max() == 2
    with pytest.raises(DataError, match=r"001: .*exclusive: false") as wrong:
        arrays.decode(arrays.INDEX, [sample(0, None), sample(1, [True, False])], (32, 64), None)
    assert "\n" not in str(wrong.value)


@pytest.mark.train
def test_an_unknown_plane_has_no_gradient_and_costs_nothing():
    targets = torch.zeros(2, 2, 8, 8, dtype=torch.uint8)
    targets[:, :, :4] = 1
    targets[1, 1] = arrays.UNKNOWN
    logits = torch.randn(2, 2, 8, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    cost = overlapping_loss(logits, targets)
    cost.backward()
    assert (logits.grad[1, 1] == 0).all() and (logits.grad[0].abs().sum((1, 2)) > 0).all()
    other = logits.detach().clone()
    other[1, 1] = 30.0
    assert torch.equal(overlapping_loss(other, targets), cost)
    nothing = torch.full((2, 2, 8, 8), arrays.UNKNOWN, dtype=torch.uint8)
    assert overlapping_loss(logits, nothing).item() == 0


def test_what_augmentation_moves_into_an_unknown_plane_counts_as_little():
    targets = torch.full((1, 1, 16, 16), arrays.UNKNOWN, dtype=torch.uint8)
    image = torch.zeros(1, 16, 16, dtype=torch.uint8)
    _, moved = augment(
        image, targets, Augment(shift=0.4, rotate=30), torch.Generator().manual_seed(1)
    )
    assert (moved == 0).any() and (moved == arrays.UNKNOWN).any()
    assert overlapping_loss(torch.full((1, 1, 16, 16), 5.0), moved).item() == 0


@pytest.mark.train
def test_where_all_is_known_the_loss_is_what_it_was_to_the_last_bit():
    rng = torch.Generator().manual_seed(0)
    targets = torch.randint(0, 2, (3, 4, 33, 29), dtype=torch.uint8, generator=rng)
    values = torch.randn(3, 4, 33, 29, generator=rng)
    now, before = values.clone().requires_grad_(), values.clone().requires_grad_()
    cost = overlapping_loss(now, targets)
    target = targets.float()
    plain = F.binary_cross_entropy_with_logits(before, target) + soft_dice(before.sigmoid(), target)
    cost.backward(), plain.backward()
    assert torch.equal(cost, plain) and torch.equal(now.grad, before.grad)


@pytest.mark.train
def test_the_selection_rule_receives_what_is_known(tmp_path: Path):
    seen: list[Masks] = []

    def score(pairs):
        seen.extend(target for target, _ in pairs)
        return 0.0

    data = [sample(0, None), sample(1, [True, False])]
    run = replace(Run(tmp_path, "cpu", 0, "fp32", 1, score))
    options = {"decoder_channels": [16, 16, 8, 8, 8]}
    SmpSegmenter("unet", "resnet18", None, 2, False, RECIPE, True, options).fit(data, data, run)
    assert [target.known.tolist() for target in seen] == [[True, True], [True, False]]
    assert not seen[1].planes[1].any() and (seen[1].planes[0] == data[1].target.planes[0]).all()
