"""What a recipe says about optimisation: the optimiser and its learning rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

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
from usbench.models import Recipe, look_up
from usbench.models.loop_keys import SCHEDULES

POWER = 0.9  # of the polynomial decay (DeepLab's, Chen et al. 2017)
OPTIMISERS: Mapping[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": partial(torch.optim.AdamW, fused=True),
    "radam": partial(torch.optim.RAdam, decoupled_weight_decay=True),  # torch has no fused one
    "sgd": partial(torch.optim.SGD, fused=True),
}


def build_optimiser(net: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The optimiser that a recipe names.

    AdamW (Loshchilov and Hutter 2019), RAdam (Liu et al. 2020) with its weight decay decoupled as
    AdamW's, or SGD with momentum.
    """
    build = look_up(OPTIMISERS, recipe["optimizer"], "recipe.optimizer")
    further = {"momentum": float(recipe["momentum"])} if recipe["optimizer"] == "sgd" else {}
    rate, decay = float(recipe["lr"]), float(recipe["weight_decay"])
    return build(net.parameters(), lr=rate, weight_decay=decay, **further)


def build_schedule(
    optimiser: torch.optim.Optimizer, recipe: Recipe, epochs: int, steps: int
) -> LRScheduler | ReduceLROnPlateau:
    """The learning rate of each step, as a recipe's `schedule` names it.

    - onecycle: linear warm-up over the first 15 %, then cosine to zero (Smith 2018).
    - cosine: from the peak to zero.
    - poly: the peak times (1 − done/total)^0.9.
    - step: the peak, times `factor` once `step_at` epochs are done.
    - plateau: times `factor` after `patience` + 1 epochs without a better score. The loop tells
      it the score of each epoch.

    Args:
        steps: optimiser steps of one epoch.
    """
    total = epochs * steps
    match recipe["schedule"]:
        case "onecycle":
            return OneCycleLR(
                optimiser,
                float(recipe["lr"]),
                total_steps=total + 1,
                pct_start=0.15,
                cycle_momentum=not isinstance(optimiser, torch.optim.SGD),  # stated momentum stays
            )
        case "cosine":
            return CosineAnnealingLR(optimiser, total)
        case "poly":
            return LambdaLR(optimiser, lambda done: max(0.0, 1 - done / total) ** POWER)
        case "step":
            change = int(recipe["step_at"]) * steps
            factor = float(recipe["factor"])
            return LambdaLR(optimiser, lambda done: 1.0 if done < change else factor)
        case "plateau":
            return ReduceLROnPlateau(
                optimiser, "max", factor=float(recipe["factor"]), patience=int(recipe["patience"])
            )
        case other:
            raise ConfigError(
                f"recipe.schedule: expected one of {', '.join(SCHEDULES)}, got {other!r}"
            )
