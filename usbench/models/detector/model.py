"""Detectors trained by our loop: torchvision's (Faster R-CNN, RetinaNet, FCOS, SSD) and DETR.

An image is stretched to the net's size, as for segmentation; boxes go with it and come back by
the same two factors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from usbench.errors import ConfigError
from usbench.models import backbone as resnets
from usbench.models import loop
from usbench.models.arrays import Arrays, decode_as
from usbench.models.detector import boxes, detr, ssd, torchvision_nets
from usbench.models.detector.torchvision_nets import Plan
from usbench.models.geometry import image_to_net
from usbench.models.optimise import Recipe
from usbench.models.prediction import (
    STRIDE,
    count_parameters,
    in_batches,
    load_best,
    net_size,
    to_input,
)
from usbench.types import Boxes, Run, Sample

BUILDERS: Mapping[str, Callable[..., nn.Module]] = {
    "fasterrcnn": torchvision_nets.build_fasterrcnn,
    "retinanet": torchvision_nets.build_retinanet,
    "fcos": torchvision_nets.build_fcos,
    "ssd": ssd.build_ssd,
    "detr": detr.build_detr,
}
HEADS = {**torchvision_nets.HEADS, "ssd": ssd.HEADS, "detr": detr.HEADS}


class Detector:
    """A detector of torchvision or transformers (usbench.types.Model)."""

    name = "detector"
    version = 1

    def __init__(
        self,
        architecture: str,
        backbone: str,
        weights: str | None,
        classes: int,
        exclusive: bool,
        recipe: Recipe,
        channels_last: bool = True,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Check the configuration; the net itself is built by `fit` or `restore`.

        Args:
            architecture: one of `BUILDERS`.
            backbone: a ResNet of torchvision.
            weights: null, imagenet, coco, or a file with a state dict.
            exclusive: about masks; ignored.
            recipe: as `loop.fit` takes it, with the net's size, turn and blur (see
                `boxes.augment_boxes`).
            options: further arguments of the builder.
        """
        turn = float(recipe.get("turn") or 0)
        blur = dict(recipe.get("blur") or {})
        if architecture not in BUILDERS:
            raise ConfigError(
                f"model.build.architecture: expected one of {', '.join(BUILDERS)}, "
                f"got {architecture!r}"
            )
        self.architecture = architecture
        self.backbone = backbone
        self.weights = weights
        self.options = options or {}
        self.classes = classes
        self.recipe = recipe
        self.size = net_size(recipe, 1 if architecture == "ssd" else STRIDE)
        self.batch = int(recipe["batch"])  # images predicted together
        boxes.check_augmentation(self.size, turn, blur)
        self.method = loop.Method(
            loss=lambda loss_of_targets, rows: loss_of_targets(rows),
            prepare=partial(boxes.augment_boxes, turn=turn, blur=blur),
            channels_last=channels_last,
        )

    @property
    def parameters(self) -> int:
        """Number of parameters, once the net is built."""
        return count_parameters(self.net)

    def build(self) -> nn.Module:
        """The net with its starting weights; RunError where they can't be had."""
        net: Any = self.create()
        if self.weights in ("imagenet", "coco") and self.architecture == "detr":
            detr.load(net, self.backbone, self.weights)
        elif self.weights in ("imagenet", "coco"):
            torchvision_nets.load(net, self.architecture, self.backbone, self.weights)
        elif self.weights is not None:
            path = Path(self.weights)
            resnets.load(net, resnets.read_state(path), HEADS[self.architecture], str(path))
        return net  # type: ignore[no-any-return]

    def create(self) -> nn.Module:
        """The net before any training; ConfigError where an option isn't one of its builder's."""
        plan = Plan(self.backbone, self.classes, self.weights is not None)
        try:
            return BUILDERS[self.architecture](plan, **self.options)
        except (TypeError, ValueError) as wrong:
            raise ConfigError(
                f"{self.architecture} on {self.backbone} can't be built: {wrong}"
            ) from wrong

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], run: Run) -> None:
        """See usbench.types.Model."""
        torch.manual_seed(run.seed)
        self.net = self.build()
        self.run = run
        train_arrays = decode_as(boxes.ENCODING, train, self.size, run.cache, run.threads)
        val_arrays = decode_as(boxes.ENCODING, val, self.size, run.cache, run.threads)

        def validate(net: nn.Module) -> float:
            return run.score(self.pairs(val_arrays))

        loop.fit(self.net, train_arrays, self.method, validate, self.recipe, run)

    def restore(self, run: Run) -> None:
        """See usbench.types.Model."""
        self.net = self.create()
        self.run = run
        load_best(self.net, run, self.method.channels_last)

    def pairs(self, data: Arrays) -> Iterator[tuple[Boxes, Boxes]]:
        """(target, prediction) of a decoded set, in the net's px: IoU is the same there."""
        for start in range(0, len(data.images), self.batch):
            chosen = slice(start, start + self.batch)
            predictions = self.predict_at_net_size(data.images[chosen])
            for rows, prediction in zip(data.targets[chosen], predictions, strict=True):
                yield boxes.to_target(rows), prediction

    def predict(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[Boxes]:
        """See usbench.types.Model. At most 300 boxes per image, with scores of at least .001."""
        for group in in_batches(images, self.batch):
            small = np.stack([image_to_net(image, self.size) for image in group])
            for image, prediction in zip(group, self.predict_at_net_size(small), strict=True):
                yield boxes.to_native(prediction, self.size, (image.shape[0], image.shape[1]))

    @torch.inference_mode()
    def predict_at_net_size(self, images: NDArray[np.uint8]) -> list[Boxes]:
        """(B, h, w) uint8 → predictions in the net's px."""
        self.net.eval()
        x = to_input(images, self.method, self.run)
        with loop.autocast(self.run):
            return [boxes.to_prediction(*detections) for detections in self.net(x)]
