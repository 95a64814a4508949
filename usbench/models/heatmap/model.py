"""Landmarks by heat maps: a plane per point or curve, by a U-Net of smp or an HRNet of timm.

The recipe is that of Unity Imaging (points.py makes the targets, paths.py reads the planes):
squared error; a name that is off is a plane of zeros, a blurred one isn't in the loss.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from usbench.errors import ConfigError
from usbench.models import loop
from usbench.models.arrays import Arrays, decode_as
from usbench.models.geometry import image_to_net
from usbench.models.heatmap import paths, points
from usbench.models.heatmap.hrnet import HRNet
from usbench.models.optimise import Recipe
from usbench.models.prediction import count_parameters, in_batches, load_best, net_size, to_input
from usbench.models.segmenter import IMAGENET, load_weights
from usbench.models.smp import create_net
from usbench.types import OFF, SEEN, Landmarks, Run, Sample

PRESENT = 0.5  # height of a peak from which on a name counts as seen


class UNet(nn.Module):
    """A U-Net of smp without its last block: planes at half of the image's size."""

    strides: Sequence[int] = (2,)

    def __init__(
        self, encoder: str, planes: int, imagenet: bool, options: Mapping[str, Any]
    ) -> None:
        super().__init__()
        whole: Any = create_net("unet", encoder, planes, imagenet, **options)
        self.encoder, self.decoder = whole.encoder, whole.decoder
        # The last block has no skip connection: its input is what the one before gives.
        channels = self.decoder.blocks[-1].conv1[0].in_channels
        del self.decoder.blocks[-1]
        self.head = nn.Conv2d(channels, planes, 3, padding=1)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """(B, 1, h, w) → (B, planes, h/2, w/2)."""
        return (self.head(self.decoder(self.encoder(images))),)


class Heatmap:
    """A heat-map net (usbench.types.Model).

    Which names are curves is learnt from the training targets and kept with the weights.
    """

    name = "heatmap"
    version = 1

    def __init__(
        self,
        encoder: str,
        weights: str | None,
        classes: int,
        exclusive: bool,
        recipe: Recipe,
        channels_last: bool = True,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Check the configuration; the net itself is built by `fit` or `restore`.

        Args:
            encoder: hrnet_… of timm, else an encoder of smp under a U-Net.
            weights: null, imagenet, or a file with a state dict.
            classes: number of names.
            exclusive: about masks; ignored.
            recipe: as `loop.fit` takes it, with the net's size, sd_point and sd_curve (heat-map
                px). Nothing is mirrored unless it says so: a mirrored heart is another view.
            options: further arguments of smp's U-Net.
        """
        self.classes = classes
        self.encoder = encoder
        self.weights = weights
        self.options = options or {}
        self.recipe = {**recipe, "augment": {"hflip": 0.0, **recipe["augment"]}}
        self.size = net_size(recipe)
        self.batch = int(recipe["batch"])  # images predicted together
        self.sd_point, self.sd_curve = float(recipe["sd_point"]), float(recipe["sd_curve"])
        self.curves = torch.zeros(classes, dtype=torch.bool)  # which names are curves
        if min(self.sd_point, self.sd_curve) <= 0:
            raise ConfigError(
                "recipe: expected sd_point and sd_curve above 0, "
                f"got {self.sd_point, self.sd_curve}"
            )
        self.method = loop.Method(
            loss=lambda maps, marks: self.loss(maps, points.unpack_marks(marks), self.curves),
            prepare=points.augment_marks,
            channels_last=channels_last,
        )

    @property
    def parameters(self) -> int:
        """Number of parameters, once the net is built."""
        return count_parameters(self.net)

    def build(self) -> nn.Module:
        """The net with its starting weights; RunError where they can't be had."""
        net = self.create(self.weights == IMAGENET)
        if self.weights not in (None, IMAGENET):
            load_weights(net, Path(str(self.weights)))
        return net

    def create(self, imagenet: bool = False) -> nn.Module:
        """The net before any training of ours."""
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
        self.net = self.build()
        self.run = run
        train_arrays = decode_as(points.MARKS, train, self.size, run.cache, run.threads)
        val_arrays = decode_as(points.MARKS, val, self.size, run.cache, run.threads)
        self.curves = torch.from_numpy(points.curves_of(train_arrays.targets))
        self.net.curves.copy_(self.curves)  # type: ignore[operator, union-attr]

        def validate(net: nn.Module) -> float:
            return run.score(self.pairs(val_arrays))

        loop.fit(self.net, train_arrays, self.method, validate, self.recipe, run)

    def restore(self, run: Run) -> None:
        """See usbench.types.Model."""
        self.net = self.create()
        self.run = run
        load_best(self.net, run, self.method.channels_last)
        self.curves = self.net.curves.cpu()  # type: ignore[operator, union-attr, assignment]

    def loss(self, maps: Sequence[Tensor], marks: points.Marks, curves: Tensor) -> Tensor:
        """Squared error over the planes of known names, averaged, summed over the resolutions.

        In units of a point's energy, Σ exp(−d²/sd²) = π·sd²: an empty plane where a
        point is seen costs 1. (A mean over pixels is the same up to a constant, but so small
        that Adam's ε matters: it learns many times slower.)

        Args:
            maps: (B, K, h, w) of each resolution.
            curves: (K,) bool.
        """
        counted = points.known_names(marks)
        total = maps[0].new_zeros((), dtype=torch.float32)
        for planes in maps:
            heat = (planes.shape[2], planes.shape[3])
            target = points.render(marks, curves, self.size, heat, self.sd_point, self.sd_curve)
            error = ((planes.float() - target) ** 2).sum((2, 3)) / (math.pi * self.sd_point**2)
            total = total + (error * counted).sum() / counted.sum().clamp(min=1)
        return total

    def pairs(self, data: Arrays) -> Iterator[tuple[Landmarks, Landmarks]]:
        """(target, prediction) of a decoded set, in the net's px.

        Only curves that the target has are traced: the score asks for no other.
        """
        curves = self.curves.numpy()
        for start in range(0, len(data.images), self.batch):
            chosen = slice(start, start + self.batch)
            maps = self.maps(data.images[chosen])
            for planes, marks in zip(maps, data.targets[chosen], strict=True):
                target = points.to_target(marks, curves)
                yield target, self.read(planes, curves & (target.state == SEEN), self.size)

    def predict(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[Landmarks]:
        """See usbench.types.Model. A name always has a place; it is SEEN from a score of .5 on."""
        for group in in_batches(images, self.batch):
            maps = self.maps(np.stack([image_to_net(image, self.size) for image in group]))
            for image, planes in zip(group, maps, strict=True):
                yield self.read(planes, self.curves.numpy(), (image.shape[0], image.shape[1]))

    def read(
        self, planes: NDArray[np.float32], curves: NDArray[np.bool_], size: tuple[int, int]
    ) -> Landmarks:
        """Read one image's heat maps.

        Args:
            planes: (K, h, w).
            curves: (K,), which names to trace as curves.
            size: (height, width) of the image in whose px the landmarks are.
        """
        places, heights = paths.find_peaks(planes)
        heat = (planes.shape[1], planes.shape[2])
        native = []
        for plane, place, curve in zip(planes, places, curves, strict=True):
            path = paths.trace_curve(plane, self.sd_curve) if curve else place[None]
            native.append(points.stretch(path, heat, size).astype(np.float32))
        scores = heights.clip(0, 1).astype(np.float32)
        state = np.where(scores >= PRESENT, SEEN, OFF).astype(np.int8)
        return Landmarks(tuple(native), state, scores)

    @torch.inference_mode()
    def maps(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(B, h, w) uint8 → the finest heat maps (B, K, h/2, w/2) float32."""
        self.net.eval()
        x = to_input(images, self.method, self.run)
        with loop.autocast(self.run):
            planes: Tensor = self.net(x)[-1]
        return planes.float().contiguous().cpu().numpy()
