"""Detectors trained by our loop: torchvision's (Faster R-CNN, RetinaNet, FCOS, SSD) and DETR.

An image is stretched to the net's size, as for segmentation; boxes go with it and come back by the same two factors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from usbench.errors import ConfigError
from usbench.models import backbone as trunk
from usbench.models import loop
from usbench.models.arrays import Arrays, stored
from usbench.models.detector import boxes, detr, ssd, torchvision_nets
from usbench.models.detector.torchvision_nets import Plan
from usbench.models.geometry import image_to_net
from usbench.types import Boxes, Run, Sample

STRIDE = 32  # anchors lie on grids of whole strides
BUILDERS: Mapping[str, Callable[..., nn.Module]] = {
    "fasterrcnn": torchvision_nets.fasterrcnn,
    "retinanet": torchvision_nets.retinanet,
    "fcos": torchvision_nets.fcos,
    "ssd": ssd.ssd,
    "detr": detr.detr,
}
HEADS = {**torchvision_nets.HEADS, "ssd": ssd.HEADS, "detr": detr.HEADS}


class Detector:
    """See usbench.types.Model."""

    name = "detector"
    version = 1

    def __init__(
        self,
        architecture: str,
        backbone: str,
        weights: str | None,
        classes: int,
        exclusive: bool,
        recipe: Mapping[str, Any],
        channels_last: bool = True,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """architecture: one of `BUILDERS`; backbone: a ResNet of torchvision; weights: null, imagenet, coco or a file
        with a state dict; options: further arguments of the builder; recipe: as of `loop.fit`, with the net's size,
        turn and blur (see `boxes.augment_boxes`). exclusive is a word about masks, ignored.
        """
        self.architecture, self.backbone, self.weights, self.options = (
            architecture,
            backbone,
            weights,
            options or {},
        )
        self.classes, self.recipe, self.channels_last = classes, recipe, channels_last
        self.size = (int(recipe["size"][0]), int(recipe["size"][1]))
        self.turn, self.blur = float(recipe.get("turn") or 0), dict(recipe.get("blur") or {})
        boxes.check(self.size, self.turn, self.blur)
        if architecture not in BUILDERS:
            raise ConfigError(
                f"model.build.architecture: {', '.join(BUILDERS)} were wanted, found {architecture!r}"
            )
        if architecture != "ssd" and any(side % STRIDE for side in self.size):
            raise ConfigError(f"recipe.size: multiples of {STRIDE} were wanted, found {self.size}")

    @property
    def parameters(self) -> int:
        """Number of parameters, once fit has built the net."""
        return sum(parameter.numel() for parameter in self.net.parameters())

    def build(self) -> nn.Module:
        """The net with its starting weights; RunError where they can't be had."""
        net = self.empty()
        if self.weights in ("imagenet", "coco"):
            self.load(net, self.weights)
        elif self.weights is not None:
            path = Path(self.weights)
            trunk.load(net, trunk.from_file(path), HEADS[self.architecture], str(path))
        return net

    def load(self, net: Any, weights: str) -> None:
        """Weights that a word names."""
        if self.architecture == "detr":
            detr.load(net, self.backbone, weights)
        else:
            torchvision_nets.load(net, self.architecture, self.backbone, weights)

    def empty(self) -> nn.Module:
        """The net as it is before any training; ConfigError where an option isn't one of its builder's."""
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
        self.net, self.run = self.build(), run
        seen = stored(train, self.size, boxes.ENCODING, run.cache, run.threads)
        unseen = stored(val, self.size, boxes.ENCODING, run.cache, run.threads)
        loop.fit(
            self.net,
            seen,
            lambda of_targets, rows: of_targets(rows),
            lambda net: run.score(self.pairs(unseen)),
            self.recipe,
            run,
            self.channels_last,
            partial(boxes.augment_boxes, turn=self.turn, blur=self.blur),
        )

    def restore(self, run: Run) -> None:
        """See usbench.types.Model."""
        self.net, self.run = self.empty(), run
        self.net.load_state_dict(loop.read(run.dir / "best.pt"))
        loop.place(self.net, run, self.channels_last)

    def pairs(self, data: Arrays) -> Iterator[tuple[Boxes, Boxes]]:
        """(truth, prediction) of a decoded set, in the net's px: IoU is the same there."""
        for images, rows in zip(
            batched(data.images, self.batch), batched(data.targets, self.batch), strict=True
        ):
            guesses = self.guesses(np.stack(images))
            yield from zip(map(boxes.to_truth, rows), guesses, strict=True)

    def predict(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[Boxes]:
        """See usbench.types.Model. At most 300 boxes per image, with a score of at least .001."""
        for group in batched(images, self.batch):
            guesses = self.guesses(np.stack([image_to_net(image, self.size) for image in group]))
            for image, guess in zip(group, guesses, strict=True):
                yield boxes.to_native(guess, self.size, (image.shape[0], image.shape[1]))

    @property
    def batch(self) -> int:
        """How many images are predicted together."""
        return int(self.recipe["batch"])

    @torch.inference_mode()
    def guesses(self, images: NDArray[np.uint8]) -> list[Boxes]:
        """(B, h, w) uint8 → predictions in the net's px."""
        self.net.eval()
        x = loop.normalise(torch.from_numpy(images)[:, None].to(self.run.device).float() / 255)
        if self.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        with loop.autocast(self.run):
            return [boxes.to_guess(*found) for found in self.net(x)]


def batched(items: Iterable[Any], n: int) -> Iterator[list[Any]]:
    """Lists of n, the last one shorter."""
    rest = iter(items)
    while group := list(islice(rest, n)):
        yield group
