"""Landmarks by heat maps: a plane per point and per curve, by a U-Net of smp or an HRNet of timm, trained by our loop.

The recipe is that of Unity Imaging (see points.py for the targets, paths.py for what is
read off the planes): squared error, a name that is off is a plane of zeros, a blurred one isn't in the loss.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from usbench.errors import ConfigError
from usbench.models import loop
from usbench.models.arrays import Arrays, stored
from usbench.models.geometry import image_to_net
from usbench.models.heatmap import paths, points
from usbench.models.heatmap.hrnet import HRNet
from usbench.models.smp import create, load_weights
from usbench.types import OFF, SEEN, Landmarks, Run, Sample

STRIDE = 32  # every encoder here halves five times
PRESENT = 0.5  # height of a peak from which on a name counts as seen


class UNet(nn.Module):
    """A U-Net of smp without its last block: planes at half of the image's size."""

    strides: Sequence[int] = (2,)

    def __init__(
        self, encoder: str, planes: int, imagenet: bool, options: Mapping[str, Any]
    ) -> None:
        super().__init__()
        whole: Any = create("unet", encoder, imagenet, planes, options)
        self.encoder, self.decoder = whole.encoder, whole.decoder
        channels = (
            self.decoder.blocks[-1].conv1[0].in_channels
        )  # the last block has no skip: what the one before gives
        del self.decoder.blocks[-1]
        self.head = nn.Conv2d(channels, planes, 3, padding=1)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """(B, 1, h, w) → (B, planes, h/2, w/2)."""
        return (self.head(self.decoder(self.encoder(images))),)


class Heatmap:
    """See usbench.types.Model. Which names are curves is learnt from the training truths and kept with the weights."""

    name = "heatmap"
    version = 1

    def __init__(
        self,
        encoder: str,
        weights: str | None,
        classes: int,
        exclusive: bool,
        recipe: Mapping[str, Any],
        channels_last: bool = True,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """encoder: hrnet_… of timm, else an encoder of smp under a U-Net; weights: null, imagenet or a file with a
        state dict; options: further arguments of smp's U-Net; recipe: as of `loop.fit`, with the net's size, sd_point
        and sd_curve (heat-map px). classes: how many names; exclusive means nothing for landmarks.
        """
        self.classes, self.encoder, self.weights = classes, encoder, weights
        self.channels_last, self.options = channels_last, options or {}
        self.recipe = {
            **recipe,
            "augment": {"hflip": 0.0, **recipe["augment"]},
        }  # a heart mirrored is another view
        self.size = (int(recipe["size"][0]), int(recipe["size"][1]))
        self.sd_point, self.sd_curve = float(recipe["sd_point"]), float(recipe["sd_curve"])
        if any(side % STRIDE for side in self.size):
            raise ConfigError(f"recipe.size: multiples of {STRIDE} were wanted, found {self.size}")
        if min(self.sd_point, self.sd_curve) <= 0:
            raise ConfigError(
                f"recipe: sd_point and sd_curve above 0 were wanted, found {self.sd_point, self.sd_curve}"
            )

    @property
    def parameters(self) -> int:
        """Number of parameters, once fit has built the net."""
        return sum(parameter.numel() for parameter in self.net.parameters())

    def build(self) -> nn.Module:
        """The net with its starting weights; RunError where they can't be had."""
        net = self.empty(self.weights == "imagenet")
        if self.weights not in (None, "imagenet"):
            load_weights(net, Path(str(self.weights)))
        return net

    def restore(self, run: Run) -> None:
        """See usbench.types.Model."""
        self.net, self.run = self.empty(), run
        self.net.load_state_dict(loop.read(run.dir / "best.pt"))
        loop.place(self.net, run, self.channels_last)

    def empty(self, imagenet: bool = False) -> nn.Module:
        """The net as it is before any training of ours."""
        net: nn.Module
        if self.encoder.startswith("hrnet_"):
            net = HRNet(self.encoder, self.classes, imagenet)
        else:
            net = UNet(self.encoder, self.classes, imagenet, self.options)
        net.register_buffer("curves", torch.zeros(self.classes, dtype=torch.bool))
        return net

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], run: Run) -> None:
        """See usbench.types.Model."""
        torch.manual_seed(run.seed)
        self.net, self.run = self.build(), run
        seen = stored(train, self.size, points.MARKS, run.cache, run.threads)
        unseen = stored(val, self.size, points.MARKS, run.cache, run.threads)
        curves = torch.from_numpy(points.curves_of(seen.targets))
        self.net.curves.copy_(curves)  # type: ignore[operator, union-attr]
        loop.fit(
            self.net,
            seen,
            lambda maps, marks: self.loss(maps, points.apart(marks), curves),
            lambda net: run.score(self.pairs(unseen)),
            self.recipe,
            run,
            self.channels_last,
            points.augment_marks,
        )

    def loss(self, maps: Sequence[Tensor], marks: points.Marks, curves: Tensor) -> Tensor:
        """Squared error over the planes of what is known, their mean, summed over the resolutions.

        In units of a point's own energy, Σ exp(−d²/sd²) = π·sd²: an empty plane where a point is seen costs 1. (A mean
        over pixels is the same up to a constant, but so small that Adam's ε tells: it learns many times slower.)
        maps: (B, K, h, w) each; curves: (K,) bool.
        """
        counted = points.known(marks)
        total = maps[0].new_zeros((), dtype=torch.float32)
        for planes in maps:
            heat = (planes.shape[2], planes.shape[3])
            target = points.render(marks, curves, self.size, heat, self.sd_point, self.sd_curve)
            error = ((planes.float() - target) ** 2).sum((2, 3)) / (math.pi * self.sd_point**2)
            total = total + (error * counted).sum() / counted.sum().clamp(min=1)
        return total

    def pairs(self, data: Arrays) -> Iterator[tuple[Landmarks, Landmarks]]:
        """(truth, prediction) of a decoded set, in the net's px; a curve that isn't seen isn't traced, nobody asks."""
        curves, batch = self.curves(), int(self.recipe["batch"])
        for start in range(0, len(data.images), batch):
            maps = self.maps(data.images[start : start + batch])
            for planes, marks in zip(maps, data.targets[start : start + batch], strict=True):
                truth = points.to_truth(marks, curves)
                yield truth, self.read(planes, curves & (truth.state == SEEN), self.size)

    def predict(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[Landmarks]:
        """See usbench.types.Model. A place is always there; SEEN from a score of .5 on, else OFF."""
        rest, curves = iter(images), self.curves()
        while group := list(islice(rest, int(self.recipe["batch"]))):
            maps = self.maps(np.stack([image_to_net(image, self.size) for image in group]))
            for image, planes in zip(group, maps, strict=True):
                yield self.read(planes, curves, (image.shape[0], image.shape[1]))

    def curves(self) -> NDArray[np.bool_]:
        """(K,): which names are curves."""
        known: NDArray[np.bool_] = self.net.curves.cpu().numpy()  # type: ignore[union-attr, operator]
        return known

    def read(
        self, planes: NDArray[np.float32], curves: NDArray[np.bool_], size: tuple[int, int]
    ) -> Landmarks:
        """One image's heat maps (K, h, w) as landmarks in px of an image of (height, width) `size`."""
        places, heights = paths.peaks(planes)
        heat = (planes.shape[1], planes.shape[2])
        found = [
            paths.trace(plane, self.sd_curve) if curve else place[None]
            for plane, place, curve in zip(planes, places, curves, strict=True)
        ]
        scores = heights.clip(0, 1).astype(np.float32)
        state = np.where(scores >= PRESENT, SEEN, OFF).astype(np.int8)
        native = tuple(points.stretched(path, heat, size).astype(np.float32) for path in found)
        return Landmarks(native, state, scores)

    @torch.inference_mode()
    def maps(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(B, h, w) uint8 → the finest heat maps (B, K, h/2, w/2) float32."""
        self.net.eval()
        x = loop.normalise(
            torch.from_numpy(np.array(images))[:, None].to(self.run.device).float() / 255
        )
        if self.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        with loop.autocast(self.run):
            planes: Tensor = self.net(x)[-1]
        return planes.float().contiguous().cpu().numpy()
