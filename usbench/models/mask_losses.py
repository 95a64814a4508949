"""The losses of masks: cross entropy and soft Dice, for exclusive and for overlapping classes."""

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


def build_loss(exclusive: bool, weights: Mapping[str, float] | None) -> Loss:
    """A recipe's loss of a net's output.

    The output is logits, or a tuple of them: the net's own, then those of its auxiliary heads.

    Args:
        weights: of ce (cross entropy; binary for overlapping classes) and dice; None: 1 and 1.

    Raises:
        ConfigError: other names, or no weight above 0.
    """
    given = {"ce": 1.0, "dice": 1.0} if weights is None else dict(weights)
    if not set(given) <= {"ce", "dice"} or not any(given.values()) or min(given.values()) < 0:
        raise ConfigError(
            f"recipe.loss: expected weights of ce and dice, as {{ce: 1, dice: 1}}, got {weights}"
        )
    base = exclusive_loss if exclusive else overlapping_loss
    loss = partial(base, ce=float(given.get("ce", 0)), dice=float(given.get("dice", 0)))

    def total_loss(output: Any, targets: Tensor) -> Tensor:
        if isinstance(output, Tensor):
            return loss(output, targets)
        main, *others = output
        auxiliary = torch.stack([loss(other, targets) for other in others]).sum()
        return loss(main, targets) + AUXILIARY * auxiliary

    return total_loss


def exclusive_loss(logits: Tensor, targets: Tensor, ce: float = 1.0, dice: float = 1.0) -> Tensor:
    """Cross entropy plus soft Dice of the foreground, weighted.

    Args:
        logits: (B, C+1, h, w), channel 0 the background.
        targets: (B, 1, h, w) class index.
    """
    index = targets[:, 0].long()
    logits = logits.float()
    planes = F.one_hot(index, logits.shape[1]).movedim(-1, 1)[:, 1:].float()
    return ce * F.cross_entropy(logits, index) + dice * soft_dice(logits.softmax(1)[:, 1:], planes)


def overlapping_loss(logits: Tensor, targets: Tensor, ce: float = 1.0, dice: float = 1.0) -> Tensor:
    """Binary cross entropy plus soft Dice, weighted.

    A plane that has `UNKNOWN` anywhere counts in neither, not even where augmentation moved
    background into it.

    Args:
        logits, targets: (B, C, h, w).
    """
    logits = logits.float()
    known = (targets.amax((2, 3), keepdim=True) != UNKNOWN).expand_as(targets)
    planes = torch.where(known, targets, 0).float()
    known_share = known.numel() / known.sum().clamp(1)  # the mean over all → over the known
    entropy = F.binary_cross_entropy_with_logits(logits, planes, known.float()) * known_share
    return ce * entropy + dice * soft_dice(logits.sigmoid() * known, planes)


def soft_dice(probability: Tensor, target: Tensor) -> Tensor:
    """1 − Dice per class over the whole batch, averaged over classes.

    Summed over the batch, so that a false positive costs something also where an image has no
    such pixel: a Dice per image with an empty target has hardly any gradient.

    Args:
        probability, target: (B, C, h, w).
    """
    dims = (0, 2, 3)
    overlap = (probability * target).sum(dims)
    size = probability.sum(dims) + target.sum(dims)
    return (1 - (2 * overlap + 1) / (size + 1)).mean()
