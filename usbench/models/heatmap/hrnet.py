"""HRNet (Sun et al. 2019, Wang et al. 2020) of timm, with heat maps at a quarter and at half of the image's size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from usbench.errors import ConfigError, RunError

WIDTH = 128  # channels that the four branches are mixed to; half of it at half the image's size


class HRNet(nn.Module):
    """timm's trunk and two heads: planes at a quarter of the image's size, and from them and the features at half."""

    strides: Sequence[int] = (4, 2)

    def __init__(self, name: str, planes: int, imagenet: bool) -> None:
        """name: hrnet_w32 or another HRNet of timm; planes: how many heat maps.

        ConfigError where timm has no such net, RunError where its weights can't be had.
        """
        super().__init__()
        features: Any = trunk(name, imagenet)
        self.trunk = features
        self.mix = nn.Sequential(
            nn.Conv2d(sum(features.feature_info.channels()), WIDTH, 1, bias=False), *norm(WIDTH)
        )
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
        branches = self.trunk(
            images.expand(-1, 3, -1, -1)
        )  # the stem has three channels, as published
        size = branches[0].shape[2:]
        wide = [
            F.interpolate(branch, size=size, mode="bilinear", align_corners=False)
            for branch in branches[1:]
        ]
        mixed = self.mix(torch.cat([branches[0], *wide], 1))
        coarse = self.coarse(mixed)
        return coarse, self.fine(self.up(torch.cat([mixed, coarse], 1)))


def norm(channels: int) -> tuple[nn.Module, nn.Module]:
    """What follows a convolution."""
    return nn.BatchNorm2d(channels), nn.ReLU(inplace=True)


def trunk(name: str, imagenet: bool) -> nn.Module:
    """The four branches of the last stage, at strides 4, 8, 16, 32; hrnet_w32 has 29,305,536 parameters."""
    try:
        net: nn.Module = timm.create_model(
            name,
            pretrained=imagenet,
            features_only=True,
            feature_location="",
            out_indices=(1, 2, 3, 4),
        )
    except (RuntimeError, TypeError) as wrong:
        raise ConfigError(f"timm can't build {name}: {' '.join(str(wrong).split())}") from wrong
    except OSError as unreachable:
        raise RunError(
            f"weights=imagenet for {name} could not be fetched ({type(unreachable).__name__}): "
            "a network is needed once; or take model.build.weights=null, or a file with a state dict"
        ) from unreachable
    return net
