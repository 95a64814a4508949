"""Swin-UNet (Cao et al. 2021): a U-Net of shifted-window attention (Liu et al. 2021) on timm's blocks.

Features lie as (B, h, w, channels) throughout.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from timm.layers import PatchEmbed  # type: ignore[attr-defined]
from timm.models.swin_transformer import PatchMerging, SwinTransformerBlock
from torch import Tensor, nn

PATCH = 4  # px of a side


class SwinUNet(nn.Module):
    """Four stages down, four up: 27,153,156 parameters with 10 planes from 128 px on (on smaller images the deepest
    windows, and with them their tables of positions, shrink)."""

    name = "swinunet"
    version = 1

    def __init__(
        self,
        classes: int,
        size: tuple[int, int],
        width: int = 96,
        heads: Sequence[int] = (3, 6, 12, 24),
        depth: int = 2,
        window: int = 4,
        drop_path: float = 0.1,
    ) -> None:
        """size: (height, width) px, multiples of 32; heads: of the stages; depth: blocks of each; window: of
        attention, places of a side; drop_path: how often the deepest block is left out in training, the others in
        proportion."""
        super().__init__()
        self.embed = PatchEmbed(size, PATCH, 3, width, norm_layer=nn.LayerNorm, output_fmt="NHWC")
        grids = [
            (size[0] // (PATCH << level), size[1] // (PATCH << level))
            for level in range(len(heads))
        ]
        wide = [width << level for level in range(len(heads))]
        last = max(1, depth * len(heads) - 1)
        drops = [
            [drop_path * (level * depth + n) / last for n in range(depth)]
            for level in range(len(heads))
        ]
        levels = list(zip(wide, grids, heads, drops, strict=True))
        self.down = nn.ModuleList(stage(*level, window) for level in levels)
        self.halve = nn.ModuleList(PatchMerging(channels) for channels in wide[:-1])
        self.norm = nn.LayerNorm(wide[-1])
        self.expand = nn.ModuleList(
            Expand(channels, 2, channels // 2) for channels in reversed(wide[1:])
        )
        self.merge = nn.ModuleList(
            nn.Linear(2 * channels, channels) for channels in reversed(wide[:-1])
        )
        self.up = nn.ModuleList(stage(*level, window) for level in reversed(levels[:-1]))
        self.norm_up = nn.LayerNorm(width)
        self.whole = Expand(width, PATCH, width)
        self.head = nn.Conv2d(width, classes, 1, bias=False)
        self.apply(start)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, h, w) → (B, classes, h, w)."""
        x, seen = self.embed(images), []
        for level, blocks in enumerate(self.down):
            x = blocks(self.halve[level - 1](x) if level else x)
            seen.append(x)
        x = self.norm(x)
        for expand, merge, blocks, skip in zip(
            self.expand, self.merge, self.up, reversed(seen[:-1]), strict=True
        ):
            x = blocks(merge(torch.cat([expand(x), skip], 3)))
        logits: Tensor = self.head(self.whole(self.norm_up(x)).movedim(3, 1))
        return logits


class Expand(nn.Module):
    """A place becomes `times` × `times` places: a linear layer deals out its channels."""

    def __init__(self, given: int, times: int, made: int) -> None:
        super().__init__()
        self.times = times
        self.linear = nn.Linear(given, times**2 * made, bias=False)
        self.norm = nn.LayerNorm(made)

    def forward(self, x: Tensor) -> Tensor:
        """(B, h, w, given) → (B, times·h, times·w, made)."""
        apart = self.linear(x).unflatten(3, (self.times, self.times, -1))
        placed: Tensor = self.norm(apart.transpose(2, 3).flatten(3, 4).flatten(1, 2))
        return placed


def stage(
    channels: int, grid: tuple[int, int], heads: int, drops: Sequence[float], window: int
) -> nn.Sequential:
    """Blocks at one resolution; every other one's windows are shifted by half of their side."""
    return nn.Sequential(
        *(
            SwinTransformerBlock(
                channels,
                grid,
                heads,
                window_size=window,
                shift_size=n % 2 * (window // 2),
                drop_path=drop,
            )
            for n, drop in enumerate(drops)
        )
    )


def start(layer: nn.Module) -> None:
    """Weights of a linear layer: normal, SD .02, cut at ±2; no bias."""
    if isinstance(layer, nn.Linear):
        nn.init.trunc_normal_(layer.weight, std=0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
