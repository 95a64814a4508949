"""Swin-UNet (Cao et al. 2021): a U-Net of shifted windows (Liu et al. 2021) on timm's blocks.

Features are (B, h, w, channels) throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from timm.layers import PatchEmbed  # type: ignore[attr-defined]
from timm.models.swin_transformer import PatchMerging, SwinTransformerBlock
from torch import Tensor, nn

PATCH = 4  # px of a side


class SwinUNet(nn.Module):
    """Four stages down, four up.

    27,153,156 parameters with 10 planes from 128 px on. (On smaller images the deepest windows,
    and with them their tables of positions, shrink.)
    """

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
        """Build the net.

        Args:
            size: (height, width) px, multiples of 32.
            heads: of each stage's attention.
            depth: blocks of each stage.
            window: of attention, places of a side.
            drop_path: how often the deepest block is left out in training; the others in
                proportion to their depth.
        """
        super().__init__()
        self.embed = PatchEmbed(size, PATCH, 3, width, norm_layer=nn.LayerNorm, output_fmt="NHWC")
        widths = [width << level for level in range(len(heads))]
        above = widths[-2::-1]  # of the stages above the deepest one, the deepest first
        last_block = max(1, depth * len(heads) - 1)

        def build_stage(level: int) -> nn.Sequential:
            # Blocks at one resolution; every other one has windows shifted by half a side.
            return nn.Sequential(
                *(
                    SwinTransformerBlock(
                        widths[level],
                        (size[0] // (PATCH << level), size[1] // (PATCH << level)),
                        heads[level],
                        window_size=window,
                        shift_size=n % 2 * (window // 2),
                        drop_path=drop_path * (level * depth + n) / last_block,
                    )
                    for n in range(depth)
                )
            )

        levels = range(len(heads))
        self.down = nn.ModuleList(map(build_stage, levels))
        self.halve = nn.ModuleList(map(PatchMerging, widths[:-1]))
        self.norm = nn.LayerNorm(widths[-1])
        self.expand = nn.ModuleList(Expand(2 * wide, 2, wide) for wide in above)
        self.merge = nn.ModuleList(nn.Linear(2 * wide, wide) for wide in above)
        self.up = nn.ModuleList(map(build_stage, levels[-2::-1]))
        self.norm_up = nn.LayerNorm(width)
        self.whole = Expand(width, PATCH, width)
        self.head = nn.Conv2d(width, classes, 1, bias=False)
        self.apply(initialise)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, h, w) → (B, classes, h, w)."""
        x = self.embed(images)
        skips: list[Tensor] = []
        for level, blocks in enumerate(self.down):
            x = blocks(self.halve[level - 1](x) if level else x)
            skips.append(x)
        x = self.norm(x)
        for expand, merge, blocks, skip in zip(
            self.expand, self.merge, self.up, skips[-2::-1], strict=True
        ):
            x = blocks(merge(torch.cat([expand(x), skip], 3)))
        return cast(Tensor, self.head(self.whole(self.norm_up(x)).movedim(3, 1)))


class Expand(nn.Module):
    """Turns each place into `times` × `times` places: a linear layer deals out its channels."""

    def __init__(self, channels: int, times: int, out: int) -> None:
        super().__init__()
        self.times = times
        self.linear = nn.Linear(channels, times**2 * out, bias=False)
        self.norm = nn.LayerNorm(out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, h, w, channels) → (B, times·h, times·w, out)."""
        split = self.linear(x).unflatten(3, (self.times, self.times, -1))
        return cast(Tensor, self.norm(split.transpose(2, 3).flatten(3, 4).flatten(1, 2)))


def initialise(layer: nn.Module) -> None:
    """Weights of a linear layer: normal, SD .02, cut at ±2; no bias."""
    if isinstance(layer, nn.Linear):
        nn.init.trunc_normal_(layer.weight, std=0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
