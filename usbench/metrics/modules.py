"""The same scores as torchmetrics `Metric`s, equal to the NumPy functions' exactly, for a training loop of your
own; and any
torchmetrics `Metric` as one of a run's figures (`PerImage`, named in conf/metric)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from usbench.metrics import boxes, overlap
from usbench.metrics.scores import Figures
from usbench.types import Boxes, Masks, Target


class MaskOverlap(Metric):  # type: ignore[misc]
    """Dice and IoU of masks by a named rule.

    update(preds, target): both (B, C, H, W) bool, foreground planes; ValueError otherwise. compute():
    {"dice": …, "iou": …} float64 tensors, NaN where undefined. Counts are kept per image, so that averaging happens
    once, at the end, in the rule's order.
    """

    full_state_update = False

    def __init__(self, classes: int, rule: str = "usbench", **kwargs: Any) -> None:
        """rule: a name of usbench.metrics.overlap.RULES; ConfigError for another."""
        super().__init__(**kwargs)
        self.names = [str(c) for c in range(classes)]
        self.rule = overlap.rule(
            rule
        ).name  # the name alone: a rule holds functions that can't be pickled
        # A MetricCollection feeds only one of those metrics whose states are equal after the first batch, as any two
        # rules' are after an empty frame: so every rule's state has a name of its own.
        self.state = f"counts_{self.rule}"
        self.add_state(self.state, default=[], dist_reduce_fx="cat")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch."""
        if preds.dtype != torch.bool or target.dtype != torch.bool:
            raise ValueError(
                "preds and target of bool were wanted: threshold or arg-max logits first"
            )
        if preds.ndim != 4 or preds.shape != target.shape or preds.shape[1] != len(self.names):
            found = f"found {tuple(preds.shape)} and {tuple(target.shape)}"
            raise ValueError(
                f"preds and target of (B, {len(self.names)}, H, W) were wanted, {found}"
            )
        rule = overlap.rule(self.rule)
        pairs = zip(target.cpu().numpy(), preds.cpu().numpy(), strict=True)
        table = [
            torch.from_numpy(overlap.rule_counts(rule, truth, guess)) for truth, guess in pairs
        ]
        if table:
            getattr(self, self.state).append(torch.stack(table).to(self.device))

    def compute(self) -> dict[str, Tensor]:
        """Figures of all batches."""
        rule, kept = overlap.rule(self.rule), getattr(self, self.state)
        parts = (
            [kept] if isinstance(kept, Tensor) else list(kept)
        )  # a tensor after a reduction over processes
        table = overlap.stack(
            [c for part in parts for c in part.cpu().numpy()], len(self.names) + rule.background
        )
        return tensors(overlap.apply(rule, table, self.names).scores)


class BoxPrecision(Metric):  # type: ignore[misc]
    """COCO figures of boxes.

    update(preds, target): lists of {"boxes": (N, 4) xyxy, "labels": (N,), "scores": (N,)} (targets without
    scores), one an image; ValueError for other shapes. compute(): {"map50_95": …, "map50": …, …, "ar_large": …}, COCO's
    twelve, float64 tensors, NaN where undefined.
    """

    full_state_update = False

    def __init__(self, classes: int, **kwargs: Any) -> None:
        """classes: how many there are."""
        super().__init__(**kwargs)
        self.names = [str(c) for c in range(classes)]
        for name in ("guesses", "truths"):
            self.add_state(f"{name}", default=[], dist_reduce_fx=None)

    def update(
        self, preds: Sequence[Mapping[str, Tensor]], target: Sequence[Mapping[str, Tensor]]
    ) -> None:
        """Add a batch."""
        if len(preds) != len(target):
            raise ValueError(
                f"as many preds as targets were wanted, found {len(preds)} and {len(target)}"
            )
        guesses = [rows(guess, "scores") for guess in preds]
        truths = [rows(truth) for truth in target]  # all are checked before one is kept
        self.guesses += guesses  # type: ignore[operator]
        self.truths += truths  # type: ignore[operator]

    def compute(self) -> dict[str, Tensor]:
        """Figures of all batches."""
        pairs = []
        for truth, guess in zip(self.truths, self.guesses, strict=True):  # type: ignore[arg-type]
            t, g = truth.cpu().numpy(), guess.cpu().numpy()
            true = Boxes(t[:, :4], t[:, 4].astype(np.int64))
            pairs.append((true, Boxes(g[:, :4], g[:, 4].astype(np.int64), g[:, 5])))
        return tensors(boxes.apply(pairs, self.names).scores)


class PerImage:
    """A torchmetrics `Metric` as a function of one image's (truth, prediction): what `extra` of conf/metric takes.

    Masks are handed over as (1, C, H, W) bool, boxes as torchmetrics' detection dictionaries. A metric whose
    compute() is a
    dictionary needs `name`. None where the figure isn't finite.
    """

    def __init__(self, metric: Metric, name: str | None = None) -> None:
        """metric: any torchmetrics `Metric`; it is reset after each image."""
        self.metric, self.name = metric, name

    def __call__(self, truth: Target, prediction: Target) -> float | None:
        """The figure of one image."""
        self.metric.update(*(handed(target) for target in (prediction, truth)))
        found = self.metric.compute()
        self.metric.reset()
        value = float(found if self.name is None else found[self.name])
        return value if np.isfinite(value) else None


def handed(target: Target) -> Any:
    """A target as torchmetrics takes a batch of one."""
    if isinstance(target, Masks):
        return torch.from_numpy(target.planes)[None]
    assert isinstance(target, Boxes)
    entry = {"boxes": torch.from_numpy(target.xyxy), "labels": torch.from_numpy(target.labels)}
    return [
        entry if target.scores is None else {**entry, "scores": torch.from_numpy(target.scores)}
    ]


def rows(image: Mapping[str, Tensor], *scores: str) -> Tensor:
    """One image's boxes, labels and, where named, scores as (N, 5) or (N, 6) float32."""
    xyxy, columns = image["boxes"], [image[name] for name in ("labels", *scores)]
    if (
        xyxy.ndim != 2
        or xyxy.shape[1] != 4
        or any(column.shape != xyxy.shape[:1] for column in columns)
    ):
        found = [tuple(each.shape) for each in (xyxy, *columns)]
        raise ValueError(
            f"boxes of (N, 4), {', '.join(('labels', *scores))} of (N,) were wanted, found {found}"
        )
    return torch.cat([xyxy.float(), *(column[:, None].float() for column in columns)], 1)


def tensors(scores: Figures) -> dict[str, Tensor]:
    """Figures by name; NaN where undefined."""
    nan = float("nan")
    return {
        name: torch.tensor(nan if figure.value is None else figure.value, dtype=torch.float64)
        for name, figure in scores.items()
    }
