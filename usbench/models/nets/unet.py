"""The plain U-Net (Ronneberger et al. 2015) with batch normalisation, as in Kumar et al. 2025."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn


class UNet(nn.Module):
    """Two convolutions per level, halved by pooling, doubled by transposed convolution.

    31,044,106 parameters with 10 planes.
    """

    name = "unet"
    version = 1

    def __init__(self, classes: int, width: int = 64, levels: int = 5) -> None:
        """Build the net.

        Args:
            width: channels of the first level, doubled at each one below.
            levels: height and width of an image are multiples of 2 ** (levels − 1) px.
        """
        super().__init__()
        widths = [width * 2**level for level in range(levels)]
        above = widths[-2::-1]  # of the levels above the deepest one, the deepest first
        self.down = nn.ModuleList(map(double_convolution, [3, *widths[:-1]], widths))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * wide, wide, 2, 2) for wide in above)
        self.merge = nn.ModuleList(double_convolution(2 * wide, wide) for wide in above)
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, h, w) → (B, classes, h, w)."""
        x = images
        skips: list[Tensor] = []
        for block in self.down:
            x = block(nn.functional.max_pool2d(x, 2) if skips else x)
            skips.append(x)
        for up, merge, skip in zip(self.up, self.merge, skips[-2::-1], strict=True):
            x = merge(torch.cat([skip, up(x)], 1))
        return cast(Tensor, self.head(x))


def double_convolution(channels: int, out: int) -> nn.Sequential:
    """Two 3×3 convolutions, each with a bias, normalised and rectified."""
    return nn.Sequential(
        nn.Conv2d(channels, out, 3, padding=1),
        nn.BatchNorm2d(out),
        nn.ReLU(inplace=True),
        nn.Conv2d(out, out, 3, padding=1),
        nn.BatchNorm2d(out),
        nn.ReLU(inplace=True),
    )
