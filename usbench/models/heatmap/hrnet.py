"""HRNet (Sun et al. 2019, Wang et al. 2020) of timm, with heat maps at 1/4 and 1/2 of the size."""

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
    """timm's backbone and two heads.

    One gives planes at a quarter of the image's size; the other, from them and the features,
    planes at half of it.
    """

    strides: Sequence[int] = (4, 2)

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
        features: Any = build_backbone(name, imagenet)
        self.trunk = features  # the backbone; stored weights have this name
        channels = sum(features.feature_info.channels())
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
        same_size = [branches[0]]
        for branch in branches[1:]:
            wide = F.interpolate(branch, size=size, mode="bilinear", align_corners=False)
            same_size.append(wide)
        mixed = self.mix(torch.cat(same_size, 1))
        coarse = self.coarse(mixed)
        return coarse, self.fine(self.up(torch.cat([mixed, coarse], 1)))


def norm(channels: int) -> tuple[nn.Module, nn.Module]:
    """What follows a convolution."""
    return nn.BatchNorm2d(channels), nn.ReLU(inplace=True)


def build_backbone(name: str, imagenet: bool) -> nn.Module:
    """The four branches of the last stage, at strides 4 to 32; hrnet_w32: 29,305,536 parameters."""
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
            "a network is needed once; or take model.build.weights=null, "
            "or a file with a state dict"
        ) from unreachable
    return net
