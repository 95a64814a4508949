"""The plain U-Net (Ronneberger et al. 2015) with batch normalisation, as in Kumar et al. 2025."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class UNet(nn.Module):
    """Twice a convolution per level, halved by pooling, doubled by transposed convolution: 31,044,106 parameters with
    10 planes."""

    name = "unet"
    version = 1

    def __init__(self, classes: int, width: int = 64, levels: int = 5) -> None:
        """width: channels of the first level, doubled at each one below; height and width of an image: multiples of
        2 ** (levels − 1) px."""
        super().__init__()
        wide = [width * 2**level for level in range(levels)]
        self.down = nn.ModuleList(map(double, [3, *wide[:-1]], wide))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(2 * channels, channels, 2, 2) for channels in reversed(wide[:-1])
        )
        self.merge = nn.ModuleList(
            double(2 * channels, channels) for channels in reversed(wide[:-1])
        )
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, h, w) → (B, classes, h, w)."""
        x, seen = images, []
        for level, block in enumerate(self.down):
            x = block(nn.functional.max_pool2d(x, 2) if level else x)
            seen.append(x)
        for up, merge, skip in zip(self.up, self.merge, reversed(seen[:-1]), strict=True):
            x = merge(torch.cat([skip, up(x)], 1))
        logits: Tensor = self.head(x)
        return logits


def double(given: int, made: int) -> nn.Sequential:
    """Two 3×3 convolutions, each with a bias, normalised and rectified."""
    first = nn.Conv2d(given, made, 3, padding=1), nn.BatchNorm2d(made), nn.ReLU(inplace=True)
    return nn.Sequential(
        *first, nn.Conv2d(made, made, 3, padding=1), nn.BatchNorm2d(made), nn.ReLU(inplace=True)
    )
