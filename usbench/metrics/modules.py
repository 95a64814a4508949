"""The same scores as torchmetrics `Metric`s, for a training loop of your own.

They equal the NumPy functions' scores, and `usbench.score`'s, exactly; README.md has an example.
`PerImage` goes the other way: it makes any torchmetrics `Metric` one of a run's figures (named in
conf/metric).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from usbench.metrics import box_protocols, mask_protocols
from usbench.metrics.mask_overlap import stack_counts
from usbench.metrics.scores import Figures
from usbench.types import Boxes, Masks, Target


class MaskOverlap(Metric):  # type: ignore[misc]
    """Dice and IoU of masks by a named protocol.

    update(preds, target): both (B, C, H, W) bool, foreground planes; ValueError otherwise.
    compute(): {"dice": …, "iou": …} float64 tensors, NaN where undefined. Counts are kept per
    image, so averaging happens once, at the end, in the protocol's order.
    """

    full_state_update = False

    def __init__(self, classes: int, protocol: str = "usbench", **kwargs: Any) -> None:
        """Set up an empty metric.

        Args:
            classes: number of foreground classes.
            protocol: a name from `mask_protocols`; ConfigError for another.
            kwargs: of torchmetrics' `Metric`.
        """
        super().__init__(**kwargs)
        self.names = [str(c) for c in range(classes)]
        # The name alone: a protocol holds functions that can't be pickled.
        self.protocol = mask_protocols.find_protocol(protocol).name
        # A MetricCollection updates only one of several metrics whose states are equal after the
        # first batch, as those of two protocols are after an empty image: so each protocol's state
        # has its own name.
        self.state = f"counts_{self.protocol}"
        self.add_state(self.state, default=[], dist_reduce_fx="cat")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch."""
        if preds.dtype != torch.bool or target.dtype != torch.bool:
            raise ValueError(
                f"expected preds and target of bool, got {preds.dtype} and {target.dtype}: "
                "threshold or arg-max logits first"
            )
        if preds.ndim != 4 or preds.shape != target.shape or preds.shape[1] != len(self.names):
            raise ValueError(
                f"expected preds and target of (B, {len(self.names)}, H, W), "
                f"got {tuple(preds.shape)} and {tuple(target.shape)}"
            )
        count = mask_protocols.MASK_PROTOCOLS[self.protocol].count
        counts = list(map(torch.from_numpy, map(count, target.cpu().numpy(), preds.cpu().numpy())))
        if counts:
            getattr(self, self.state).append(torch.stack(counts).to(self.device))

    def compute(self) -> dict[str, Tensor]:
        """The scores of all batches."""
        protocol = mask_protocols.MASK_PROTOCOLS[self.protocol]
        state = getattr(self, self.state)
        # A list of batches, or one tensor after a reduction over processes.
        batches = [state] if isinstance(state, Tensor) else state
        images = [counts for batch in batches for counts in batch.cpu().numpy()]
        stacked = stack_counts(images, len(self.names) + protocol.background)
        return _to_tensors(mask_protocols.score_counts(protocol, stacked, self.names).scores)


class BoxPrecision(Metric):  # type: ignore[misc]
    """COCO figures of boxes.

    update(preds, target): one dictionary per image, {"boxes": (N, 4) xyxy, "labels": (N,),
    "scores": (N,)}, targets without scores; ValueError for other shapes. compute(): COCO's twelve
    figures, {"map50_95": …, "map50": …, …, "ar_large": …}, float64 tensors, NaN where undefined.
    """

    full_state_update = False

    def __init__(self, classes: int, **kwargs: Any) -> None:
        """Set up an empty metric.

        Args:
            classes: number of classes.
            kwargs: of torchmetrics' `Metric`.
        """
        super().__init__(**kwargs)
        self.names = [str(c) for c in range(classes)]
        self.add_state("predictions", default=[], dist_reduce_fx=None)
        self.add_state("targets", default=[], dist_reduce_fx=None)

    def update(
        self, preds: Sequence[Mapping[str, Tensor]], target: Sequence[Mapping[str, Tensor]]
    ) -> None:
        """Add a batch."""
        if len(preds) != len(target):
            raise ValueError(
                f"expected as many preds as targets, got {len(preds)} and {len(target)}"
            )
        # Check all of them before adding any.
        predictions = [_join_columns(image, "scores") for image in preds]
        self.targets += [_join_columns(image) for image in target]  # type: ignore[operator]
        self.predictions += predictions  # type: ignore[operator]

    def compute(self) -> dict[str, Tensor]:
        """The figures of all batches."""
        pairs = zip(
            map(_to_boxes, self.targets),  # type: ignore[arg-type]
            map(_to_boxes, self.predictions),  # type: ignore[arg-type]
            strict=True,
        )
        return _to_tensors(box_protocols.score_pairs(list(pairs), self.names).scores)


class PerImage:
    """A torchmetrics `Metric` as a function of one image's (target, prediction).

    This is what `extra` of conf/metric takes. Masks are passed as (1, C, H, W) bool, boxes as
    torchmetrics' detection dictionaries. None where the figure isn't finite.
    """

    def __init__(self, metric: Metric, name: str | None = None) -> None:
        """Wrap a metric.

        Args:
            metric: any torchmetrics `Metric`; it is reset after each image.
            name: key of the figure, where the metric computes a dictionary.
        """
        self.metric = metric
        self.name = name
        self.higher_is_better = metric.higher_is_better  # None: it doesn't say

    def __call__(self, target: Target, prediction: Target) -> float | None:
        """The figure of one image."""
        self.metric.update(_to_batch(prediction), _to_batch(target))
        result = self.metric.compute()
        self.metric.reset()
        value = float(result if self.name is None else result[self.name])
        return value if np.isfinite(value) else None


def _to_batch(target: Target) -> Any:
    """A target or prediction as torchmetrics takes a batch of one image."""
    if isinstance(target, Masks):
        return torch.from_numpy(target.planes)[None]
    assert isinstance(target, Boxes)
    image = {"boxes": torch.from_numpy(target.xyxy), "labels": torch.from_numpy(target.labels)}
    if target.scores is not None:
        image["scores"] = torch.from_numpy(target.scores)
    return [image]


def _join_columns(image: Mapping[str, Tensor], *scores: str) -> Tensor:
    """One image's boxes, labels and, where named, scores as (N, 5) or (N, 6).

    In float32; in float64 where boxes or scores are, which MPS doesn't have.
    """
    names = ("boxes", "labels", *scores)
    is_double = any(image[name].dtype == torch.float64 for name in ("boxes", *scores))
    tensors = [image[name].to(torch.float64 if is_double else torch.float32) for name in names]
    shapes = [tuple(tensor.shape) for tensor in tensors]
    size = shapes[0][:1]
    if shapes != [(*size, 4), *[size] * (len(names) - 1)]:
        raise ValueError(f"expected boxes of (N, 4), {', '.join(names[1:])} of (N,), got {shapes}")
    return torch.column_stack(tensors)


def _to_boxes(columns: Tensor) -> Boxes:
    """The columns that `_join_columns` made, as boxes."""
    array = columns.cpu().numpy()
    scores = array[:, 5] if array.shape[1] > 5 else None
    return Boxes(array[:, :4], array[:, 4].astype(np.int64), scores)


def _to_tensors(figures: Figures) -> dict[str, Tensor]:
    """The figures' values by name; NaN where undefined."""
    values = np.array([figure.value for figure in figures.values()], np.float64)  # None is NaN
    return dict(zip(figures, torch.from_numpy(values), strict=True))
