"""The same scores as torchmetrics `Metric`s, for a training loop of your own; figures equal the NumPy functions'
exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from usbench.metrics import boxes, overlap
from usbench.metrics.scores import flat
from usbench.types import Boxes


class MaskOverlap(Metric):  # type: ignore[misc]
    """Dice and IoU of masks by a named rule.

    update(preds, target): both (B, C, H, W) bool, foreground planes. compute(): {"dice": …, "iou": …} tensors, NaN
    where
    undefined. Counts are kept per image, so that averaging happens once, at the end, in the rule's order.
    """

    full_state_update = False
    counts: list[Tensor]

    def __init__(self, classes: int, rule: str = "usbench", **kwargs: Any) -> None:
        """rule: a name of usbench.metrics.overlap.RULES."""
        super().__init__(**kwargs)
        self.names, self.rule = [str(c) for c in range(classes)], overlap.rule(rule)
        self.add_state("counts", default=[], dist_reduce_fx="cat")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch."""
        if preds.shape != target.shape or preds.dtype != torch.bool or target.dtype != torch.bool:
            raise ValueError("preds and target are (B, C, H, W) bool of one shape: threshold or arg-max logits first")
        pairs = zip(target.cpu().numpy(), preds.cpu().numpy(), strict=True)
        table = np.stack([overlap.rule_counts(self.rule, truth, guess) for truth, guess in pairs])
        self.counts.append(torch.from_numpy(table).to(self.device))

    def compute(self) -> dict[str, Tensor]:
        """Figures of all batches."""
        table = torch.cat(list(self.counts)) if isinstance(self.counts, list) else self.counts
        scores = flat(overlap.apply(self.rule, table.cpu().numpy(), self.names).scores)
        return {name: torch.tensor(float("nan") if value is None else value) for name, value in scores.items()}


class BoxPrecision(Metric):  # type: ignore[misc]
    """COCO figures of boxes.

    update(preds, target): lists of {"boxes": (N, 4) xyxy, "labels": (N,), "scores": (N,)} (targets without
    scores), one an
    image. compute(): {"map50_95": …, "map50": …, "map75": …, "ar100": …} tensors, NaN where undefined.
    """

    full_state_update = False

    def __init__(self, classes: int, **kwargs: Any) -> None:
        """classes: how many there are."""
        super().__init__(**kwargs)
        self.names = [str(c) for c in range(classes)]
        for name in ("guesses", "truths"):
            self.add_state(f"{name}", default=[], dist_reduce_fx=None)

    def update(self, preds: Sequence[Mapping[str, Tensor]], target: Sequence[Mapping[str, Tensor]]) -> None:
        """Add a batch."""
        for guess, truth in zip(preds, target, strict=True):
            scored = torch.cat([guess["boxes"], guess["labels"][:, None], guess["scores"][:, None]], 1)
            self.guesses.append(scored.float())  # type: ignore[operator,union-attr]
            self.truths.append(torch.cat([truth["boxes"], truth["labels"][:, None]], 1).float())  # type: ignore[operator,union-attr]

    def compute(self) -> dict[str, Tensor]:
        """Figures of all batches."""
        pairs = []
        for truth, guess in zip(self.truths, self.guesses, strict=True):  # type: ignore[arg-type]
            t, g = truth.cpu().numpy(), guess.cpu().numpy()
            true = Boxes(t[:, :4], t[:, 4].astype(np.int64))
            pairs.append((true, Boxes(g[:, :4], g[:, 4].astype(np.int64), g[:, 5])))
        scores = flat(boxes.apply(pairs, self.names).scores)
        return {name: torch.tensor(float("nan") if value is None else value) for name, value in scores.items()}
