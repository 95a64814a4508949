"""Landmarks by heat maps: a plane per point or curve, by a U-Net of smp or an HRNet of timm.

The recipe is that of Unity Imaging (points.py makes the targets, paths.py reads the planes):
squared error; a name that is off is a plane of zeros, a blurred one isn't in the loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from usbench.errors import ConfigError, RunError, in_one_line
from usbench.models import Recipe, custom, loop
from usbench.models.heatmap import paths, points
from usbench.models.heatmap.recipe import KEYS
from usbench.models.loop_model import LoopModel
from usbench.models.smp import create_net
from usbench.types import OFF, SEEN, Landmarks, Run

PRESENT = 0.5  # height of a peak from which on a name counts as seen
WIDTH = 128  # channels that HRNet's branches are mixed to; half of it at half the size


class Heatmap(LoopModel):
    """A heat-map net.

    Which names are curves is learnt from the training targets and kept with the weights.
    """

    name = "heatmap"
    version = 3
    encoding = points.MARKS

    def __init__(
        self,
        encoder: str,
        weights: str | None,
        classes: int,
        exclusive: bool,
        recipe: Recipe,
        channels_last: bool = True,
        options: Mapping[str, object] | None = None,
    ) -> None:
        """Check the configuration; the net itself is built by `fit` or `restore`.

        Args:
            encoder: hrnet_… of timm, else an encoder of smp under a U-Net.
            weights: null, imagenet, or a file with a state dict.
            classes: number of names.
            exclusive: about masks; ignored.
            recipe: of `usbench.models.heatmap.recipe`, its size [h, w].
            options: further arguments of smp's U-Net.
        """
        super().__init__(recipe, weights, KEYS)
        self.classes = classes
        self.encoder = encoder
        self.options = options or {}
        self.sd_point, self.sd_curve = float(recipe["sd_point"]), float(recipe["sd_curve"])
        self.curves = torch.zeros(classes, dtype=torch.bool)  # which names are curves
        self.method = loop.Method(
            loss=lambda maps, marks: self.loss(maps, marks, self.curves),
            prepare=points.augment_marks,
            channels_last=channels_last,
        )

    def create(self, imagenet: bool = False) -> nn.Module:
        """The net before any training of ours."""
        net: nn.Module = (
            HRNet(self.encoder, self.classes, imagenet)
            if self.encoder.startswith("hrnet_")
            else UNet(self.encoder, self.classes, imagenet, self.options)
        )
        net.register_buffer("curves", torch.zeros(self.classes, dtype=torch.bool))
        return net

    def learn_from(self, targets: NDArray[np.float32]) -> None:
        """Find which names are curves."""
        self.curves = torch.from_numpy(points.curves_of(targets))
        self.net.curves.copy_(self.curves)  # type: ignore[operator, union-attr]

    def restore(self, run: Run) -> None:
        """See usbench.types.Model."""
        super().restore(run)
        self.curves = self.net.curves.cpu()  # type: ignore[operator, union-attr, assignment]

    def loss(self, maps: Sequence[Tensor], marks: Tensor, curves: Tensor) -> Tensor:
        """Squared error over the planes of known names, averaged, summed over the resolutions.

        In units of a point's energy, Σ exp(−d²/sd²) = π·sd²: an empty plane where a
        point is seen costs 1. (A mean over pixels is the same up to a constant, but so small
        that Adam's ε matters: it learns many times slower.)

        Args:
            maps: (B, K, h, w) of each resolution.
            marks: as stored.
            curves: (K,) bool.
        """
        counted = points.known_names(marks)
        total = maps[0].new_zeros((), dtype=torch.float32)
        for planes in maps:
            target = self.render(marks, curves, planes)
            error = ((planes.float() - target) ** 2).sum((2, 3)) / (np.pi * self.sd_point**2)
            total = total + (error * counted).sum() / counted.sum().clamp(min=1)
        return total

    def render(self, marks: Tensor, curves: Tensor, planes: Tensor) -> Tensor:
        """The target of predicted planes (B, K, h, w). marks, curves: see `loss`."""
        heat = planes.shape[2:]
        return points.render(marks, curves, self.size, heat, self.sd_point, self.sd_curve)

    def adapt_loss(self, loss: custom.Loss) -> loop.Loss:
        """See LoopModel. It is summed over the resolutions."""

        def own_loss(maps: Sequence[Tensor], marks: Tensor) -> Tensor:
            known = points.known_names(marks).bool()
            costs = []
            for planes in maps:
                target = self.render(marks, self.curves, planes)
                costs.append(custom.call_loss(loss, planes.float(), target, known))
            return torch.stack(costs).sum()

        return own_loss

    def open_targets(self, stored: Tensor) -> Tensor:
        """See LoopModel. Places (B, K, P, 2)."""
        return stored[:, :, : points.SAMPLES]

    def close_targets(self, changed: Tensor, stored: Tensor) -> Tensor:
        """See LoopModel. States and sizes stay."""
        return torch.cat([changed, stored[:, :, points.SAMPLES :]], 2)

    def unpack(self, output: Sequence[Tensor]) -> list[NDArray[np.float32]]:
        """The finest heat maps (K, h/2, w/2) float32 of each image."""
        return list(output[-1].float().contiguous().cpu().numpy())

    def pair(
        self, item: NDArray[np.float32], stored: NDArray[np.float32]
    ) -> tuple[Landmarks, Landmarks]:
        """See LoopModel, but in native px: distances in a stretched image would weigh its axes.

        Only curves that the target has are traced: the score needs no other.
        """
        curves = self.curves.numpy()
        target = points.to_target(stored, curves, self.size)
        traced = curves & (target.state == SEEN)
        return target, self.read_maps(item, traced, points.native_size(stored))

    def read(self, item: NDArray[np.float32], size: tuple[int, ...]) -> Landmarks:
        """See LoopModel. A name always has a place; it is SEEN from a score of .5 on."""
        return self.read_maps(item, self.curves.numpy(), size)

    def read_maps(
        self, planes: NDArray[np.float32], curves: NDArray[np.bool_], size: tuple[int, ...]
    ) -> Landmarks:
        """Read one image's heat maps.

        Args:
            planes: (K, h, w).
            curves: (K,), which names to trace as curves.
            size: (height, width) of the image in whose px the landmarks are.
        """
        places, heights = paths.find_peaks(planes)

        native = []
        for plane, place, curve in zip(planes, places, curves, strict=True):
            path = paths.trace_curve(plane, self.sd_curve) if curve else place[None]
            native.append(points.stretch(path, planes.shape[1:], size).astype(np.float32))
        scores = heights.clip(0, 1).astype(np.float32)
        state = np.where(scores >= PRESENT, SEEN, OFF).astype(np.int8)
        return Landmarks(tuple(native), state, scores)


# ---- the nets


class UNet(nn.Module):
    """A U-Net of smp without its last block: planes at half of the image's size."""

    def __init__(
        self, encoder: str, planes: int, imagenet: bool, options: Mapping[str, object]
    ) -> None:
        super().__init__()
        whole: Any = create_net("unet", encoder, planes, imagenet, 1, **options)
        self.encoder, self.decoder = whole.encoder, whole.decoder
        # The last block has no skip connection: its input is what the one before gives.
        channels = self.decoder.blocks[-1].conv1[0].in_channels
        del self.decoder.blocks[-1]
        self.head = nn.Conv2d(channels, planes, 3, padding=1)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """(B, 1, h, w) → (B, planes, h/2, w/2)."""
        return (self.head(self.decoder(self.encoder(images))),)


class HRNet(nn.Module):
    """timm's backbone and two heads.

    One gives planes at a quarter of the image's size; the other, from them and the features,
    planes at half of it.
    """

    def __init__(self, name: str, planes: int, imagenet: bool) -> None:
        """Build the net.

        Args:
            name: hrnet_w32 or another HRNet of timm.
            planes: how many heat maps.
            imagenet: whether the backbone starts from ImageNet's weights.

        Raises:
            ConfigError: timm has no such net.
            RunError: its weights can't be fetched.
        """
        super().__init__()
        self.trunk: Any = build_backbone(name, imagenet)  # stored weights have this name
        channels = sum(self.trunk.feature_info.channels())
        self.mix = nn.Sequential(nn.Conv2d(channels, WIDTH, 1, bias=False), *norm(WIDTH))
        self.coarse = nn.Conv2d(WIDTH, planes, 1)
        self.up = nn.Sequential(
            nn.ConvTranspose2d(WIDTH + planes, WIDTH // 2, 4, 2, 1, bias=False),
            *norm(WIDTH // 2),
            nn.Conv2d(WIDTH // 2, WIDTH // 2, 3, padding=1, bias=False),
            *norm(WIDTH // 2),
        )
        self.fine = nn.Conv2d(WIDTH // 2, planes, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, h, w) → (B, planes, h/4, w/4) and (B, planes, h/2, w/2)."""
        branches = self.trunk(images.expand(-1, 3, -1, -1))  # the published stem has 3 channels
        size = branches[0].shape[2:]
        enlarge = partial(
            nn.functional.interpolate, size=size, mode="bilinear", align_corners=False
        )
        mixed = self.mix(torch.cat([branches[0], *map(enlarge, branches[1:])], 1))
        coarse = self.coarse(mixed)
        return coarse, self.fine(self.up(torch.cat([mixed, coarse], 1)))


def norm(channels: int) -> tuple[nn.Module, nn.Module]:
    """What follows a convolution."""
    return nn.BatchNorm2d(channels), nn.ReLU(inplace=True)


def build_backbone(name: str, imagenet: bool) -> Any:
    """The four branches of the last stage, at strides 4 to 32; hrnet_w32: 29,305,536 parameters."""
    try:
        return timm.create_model(
            name,
            pretrained=imagenet,
            features_only=True,
            feature_location="",
            out_indices=(1, 2, 3, 4),
        )
    except (RuntimeError, TypeError) as wrong:
        raise ConfigError(f"timm can't build {name}: {in_one_line(wrong)}") from wrong
    except OSError as unreachable:
        raise RunError(
            f"weights=imagenet for {name} could not be fetched ({type(unreachable).__name__}): "
            "a network is needed once; or take model.build.weights=null, "
            "or a file with a state dict"
        ) from unreachable
