"""What a recipe says of optimisation: the optimiser, its learning rate over time, and a batch in parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LambdaLR,
    LRScheduler,
    OneCycleLR,
    ReduceLROnPlateau,
)

from usbench.errors import ConfigError

POWER = 0.9  # of the polynomial decay (DeepLab's, Chen et al. 2017)
SCHEDULES = ("onecycle", "cosine", "poly", "step", "plateau")


def optimiser_of(net: nn.Module, recipe: Mapping[str, Any]) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter 2019), RAdam (Liu et al. 2020) with its weight decay likewise decoupled, or SGD."""
    name, rate, decay = (
        recipe.get("optimizer", "adamw"),
        float(recipe["lr"]),
        float(recipe["weight_decay"]),
    )
    if name == "adamw":
        return torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=decay)
    if name == "radam":
        return torch.optim.RAdam(
            net.parameters(), lr=rate, weight_decay=decay, decoupled_weight_decay=True
        )
    if name == "sgd":
        return torch.optim.SGD(
            net.parameters(), lr=rate, momentum=float(recipe["momentum"]), weight_decay=decay
        )
    raise ConfigError(f"recipe.optimizer: adamw, radam or sgd was wanted, found {name!r}")


def learning_rate(
    optimiser: torch.optim.Optimizer, recipe: Mapping[str, Any], epochs: int, steps: int
) -> LRScheduler | ReduceLROnPlateau:
    """The rate of each step; steps: of one epoch.

    onecycle: linear warm-up over the first 15 %, cosine to zero (Smith 2018). cosine: from the peak to zero. poly: the
    peak times (1 − share done)^.9. step: the peak, times `factor` once `step_at` epochs are done. plateau: times
    `factor` where `patience` epochs and one more were no better than the best; it is told the score of each epoch.
    """
    name, total = str(recipe["schedule"]), epochs * steps
    if name == "onecycle":
        cycle = not isinstance(optimiser, torch.optim.SGD)  # a stated momentum stays what it is
        return OneCycleLR(
            optimiser,
            float(recipe["lr"]),
            total_steps=total + 1,
            pct_start=0.15,
            cycle_momentum=cycle,
        )
    if name == "cosine":
        return CosineAnnealingLR(optimiser, total)
    if name == "poly":
        return LambdaLR(optimiser, lambda done: max(0.0, 1 - done / total) ** POWER)
    if name == "step":
        change, factor = int(recipe["step_at"]) * steps, float(recipe["factor"])
        return LambdaLR(optimiser, lambda done: 1.0 if done < change else factor)
    if name == "plateau":
        factor, patience = float(recipe["factor"]), int(recipe["patience"])
        return ReduceLROnPlateau(optimiser, "max", factor=factor, patience=patience)
    raise ConfigError(f"recipe.schedule: {', '.join(SCHEDULES)} were wanted, found {name!r}")


def parts_of(batch: int, recipe: Mapping[str, Any]) -> int:
    """In how many parts a batch goes through the net, each of at most `micro_batch` images; their gradients add up.

    A part of one image is joined to another one, unless single images are asked for: normalisation wants two.
    ConfigError where `micro_batch` isn't a divisor of the recipe's batch.
    """
    most = recipe.get("micro_batch")
    if most is None:
        return 1
    if not isinstance(most, int) or most < 1 or int(recipe["batch"]) % most:
        raise ConfigError(
            f"recipe.micro_batch: a divisor of batch={recipe['batch']} was wanted, found {most!r}"
        )
    parts = -(-batch // most)
    while (
        parts > 1 and most > 1 and batch // parts < 2
    ):  # only where the set is smaller than the batch
        parts -= 1
    return parts
