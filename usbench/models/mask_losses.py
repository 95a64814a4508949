"""The losses of masks: cross entropy and soft Dice, for classes that exclude each other and for overlapping ones."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from usbench.errors import ConfigError
from usbench.models.arrays import UNKNOWN
from usbench.models.loop import Loss

AUXILIARY = 0.4  # weight of an auxiliary head's loss (PSPNet's, Zhao et al. 2017)


def loss_of(exclusive: bool, weights: Mapping[str, float] | None) -> Loss:
    """A recipe's loss of a net's output, which may be logits or a tuple of them, the auxiliary heads' after its own.

    weights: of ce (cross entropy; binary for overlapping classes) and dice; 1 and 1 where there are none. ConfigError
    for others.
    """
    given = {"ce": 1.0, "dice": 1.0} if weights is None else dict(weights)
    if not set(given) <= {"ce", "dice"} or not any(given.values()) or min(given.values()) < 0:
        raise ConfigError(
            f"recipe.loss: weights of ce and dice, as {{ce: 1, dice: 1}}, were wanted, found {weights}"
        )
    ce, dice = float(given.get("ce", 0)), float(given.get("dice", 0))
    loss: Loss = partial(exclusive_loss if exclusive else overlapping_loss, ce=ce, dice=dice)

    def total(output: Any, targets: Tensor) -> Tensor:
        if isinstance(output, Tensor):
            return loss(output, targets)
        main, *others = output
        return (
            loss(main, targets)
            + AUXILIARY * torch.stack([loss(other, targets) for other in others]).sum()
        )

    return total


def exclusive_loss(logits: Tensor, targets: Tensor, ce: float = 1.0, dice: float = 1.0) -> Tensor:
    """Cross entropy plus soft Dice of the foreground, weighted.

    logits: (B, C+1, h, w), channel 0 background; targets: (B, 1, h, w) class index.
    """
    index = targets[:, 0].long()
    logits = logits.float()
    truth = F.one_hot(index, logits.shape[1]).movedim(-1, 1)[:, 1:].float()
    return ce * F.cross_entropy(logits, index) + dice * soft_dice(logits.softmax(1)[:, 1:], truth)


def overlapping_loss(logits: Tensor, targets: Tensor, ce: float = 1.0, dice: float = 1.0) -> Tensor:
    """Binary cross entropy plus soft Dice, weighted. logits and targets: (B, C, h, w).

    A plane that has `UNKNOWN` anywhere counts in neither (nor does the background that augmentation moved into it).
    """
    logits, known = (
        logits.float(),
        (targets.amax((2, 3), keepdim=True) != UNKNOWN).expand_as(targets),
    )
    truth = torch.where(known, targets, 0).float()
    entropy = F.binary_cross_entropy_with_logits(logits, truth, known.float()) * (
        known.numel() / known.sum().clamp(1)
    )
    return ce * entropy + dice * soft_dice(logits.sigmoid() * known, truth)


def soft_dice(probability: Tensor, truth: Tensor) -> Tensor:
    """1 − Dice per class over the whole batch, averaged over classes; both (B, C, h, w).

    Summed over the batch, so a false positive costs something also where one image has no such pixel (a Dice per image
    with an empty truth has no gradient to speak of).
    """
    dims = (0, 2, 3)
    overlap, size = (probability * truth).sum(dims), probability.sum(dims) + truth.sum(dims)
    return (1 - (2 * overlap + 1) / (size + 1)).mean()
