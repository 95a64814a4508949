"""Detectors trained by our loop: torchvision's (Faster R-CNN, RetinaNet, FCOS, SSD) and DETR.

An image is stretched to the net's size, as for segmentation; boxes go with it and come back by
the same two factors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from usbench.errors import ConfigError
from usbench.models import Recipe, look_up, loop
from usbench.models import backbone as resnets
from usbench.models.checkpoints import load_state, read_state
from usbench.models.detector import boxes, detr, ssd, torchvision_nets
from usbench.models.detector.recipe import KEYS, SSD
from usbench.models.loop_model import IMAGENET, LoopModel
from usbench.types import Boxes

BUILDERS: Mapping[str, Callable[..., nn.Module]] = {
    "fasterrcnn": torchvision_nets.build_fasterrcnn,
    "retinanet": torchvision_nets.build_retinanet,
    "fcos": torchvision_nets.build_fcos,
    "ssd": ssd.build_ssd,
    "detr": detr.build_detr,
}
HEADS = {**torchvision_nets.HEADS, "ssd": ssd.HEADS, "detr": detr.HEADS}


class Detector(LoopModel):
    """A detector of torchvision or transformers."""

    name = "detector"
    version = 2
    encoding = boxes.ENCODING

    def __init__(
        self,
        architecture: str,
        backbone: str,
        weights: str | None,
        classes: int,
        exclusive: bool,
        recipe: Recipe,
        channels_last: bool = True,
        options: Mapping[str, object] | None = None,
    ) -> None:
        """Check the configuration; the net itself is built by `fit` or `restore`.

        Args:
            architecture: one of `BUILDERS`.
            backbone: a ResNet of torchvision.
            weights: null, imagenet, coco, or a file with a state dict.
            exclusive: about masks; ignored.
            recipe: of `usbench.models.detector.recipe`, its size [h, w].
            options: further arguments of the builder.
        """
        super().__init__(recipe, weights, SSD if architecture == "ssd" else KEYS)
        self.build_net = partial(
            look_up(BUILDERS, architecture, "model.build.architecture"), **(options or {})
        )
        self.architecture = architecture
        self.backbone = backbone
        self.classes = classes
        self.method = loop.Method(
            loss=lambda loss_of_targets, rows: loss_of_targets(rows),
            prepare=partial(
                boxes.augment_boxes, turn=self.recipe["turn"], blur=self.recipe["blur"]
            ),
            channels_last=channels_last,
        )

    def build(self) -> nn.Module:
        """The net with its starting weights; RunError where they can't be had."""
        net: Any = self.create()
        heads: tuple[str, ...] = HEADS[self.architecture]
        if self.weights == IMAGENET:
            inner = net.net
            body = (
                inner.model.backbone.model if self.architecture == "detr" else inner.backbone.body
            )
            resnets.load_imagenet(body, self.backbone)
        elif self.weights == "coco":
            heads = tuple(name.removeprefix("net.") for name in heads)
            load_state(net.net, self.fetch_coco(), heads, "weights=coco")
        elif self.weights is not None:
            load_state(net, read_state(Path(self.weights)), heads, self.weights)
        return cast(nn.Module, net)

    def fetch_coco(self) -> dict[str, Tensor]:
        """The published weights of this net on COCO; ConfigError where there are none."""
        names = [*torchvision_nets.COCO, "detr"]
        if self.architecture not in names or self.backbone != "resnet50":
            raise ConfigError(
                f"model.build.weights=coco: there are such weights for {', '.join(names)} on "
                f"resnet50, not for {self.architecture} on {self.backbone}; "
                "take imagenet, null or a file"
            )
        if self.architecture == "detr":
            return detr.fetch_coco()
        return resnets.fetch(
            torchvision_nets.COCO[self.architecture], f"weights=coco for {self.architecture}"
        )

    def create(self, imagenet: bool = False) -> nn.Module:
        """The net before any training; ConfigError where an option isn't one of its builder's."""
        try:
            return self.build_net(
                torchvision_nets.Plan(self.backbone, self.classes, self.weights is not None)
            )
        except (TypeError, ValueError) as wrong:
            raise ConfigError(
                f"{self.architecture} on {self.backbone} can't be built: {wrong}"
            ) from wrong

    def unpack(self, output: torchvision_nets.Detections) -> list[Boxes]:
        """Predictions in the net's px: up to 300 boxes per image, with scores of at least .001."""
        return [boxes.to_prediction(*detections) for detections in output]

    def pair(self, item: Boxes, stored: NDArray[np.float32]) -> tuple[Boxes, Boxes]:
        """See LoopModel. Both in the net's px: IoU is the same there."""
        return boxes.to_target(stored), item

    def read(self, item: Boxes, size: tuple[int, ...]) -> Boxes:
        """See LoopModel."""
        return Boxes(boxes.stretch(item.xyxy, self.size, size), item.labels, item.scores)
