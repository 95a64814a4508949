"""TransUNet (Chen et al. 2021) on timm's hybrid of ResNet and vision transformer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import torch
from timm.layers import HybridEmbed, StdConv2dSame  # type: ignore[attr-defined]
from timm.models.resnetv2 import ResNetV2
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

STRIDE = 16  # of the backbone, one token per place
DECODER = (256, 128, 64, 16)
# Channels of the ResNet at an eighth, a quarter, half and the whole of the size.
SKIPS = (512, 256, 64, 0)


class TransUNet(nn.Module):
    """R50 + ViT-B/16 with a U-Net's decoder.

    105,323,306 parameters with 10 planes at 256 px (positions are learnt, so the size counts).
    """

    name = "transunet"
    version = 1

    def __init__(
        self,
        classes: int,
        size: tuple[int, int],
        stages: Sequence[int] = (3, 4, 9),
        width: int = 768,
        depth: int = 12,
        heads: int = 12,
    ) -> None:
        """Build the net.

        Args:
            size: (height, width) px, multiples of 16.
            stages: blocks of the ResNet's stages.
            width, depth, heads: of the transformer.
        """
        super().__init__()
        resnet = ResNetV2(
            layers=list(stages),
            num_classes=0,
            global_pool="",
            preact=False,
            stem_type="same",
            conv_layer=partial(StdConv2dSame, eps=1e-8),
        )
        self.trunk: Any = VisionTransformer(  # the backbone; stored weights have this name
            img_size=size,
            patch_size=1,
            num_classes=0,
            global_pool="",
            class_token=False,
            embed_dim=width,
            depth=depth,
            num_heads=heads,
            embed_layer=partial(HybridEmbed, backbone=resnet),
        )
        self.neck = convolution(width, 512)
        self.decoder = nn.ModuleList(
            nn.Sequential(convolution(below + skip, out), convolution(out, out))
            for below, skip, out in zip((512, *DECODER[:-1]), SKIPS, DECODER, strict=True)
        )
        self.head = nn.Conv2d(DECODER[-1], classes, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, h, w) → (B, classes, h, w)."""
        features, skips = self.features(images)
        x = self.neck(features)
        for layer, skip in zip(self.decoder, (*reversed(skips), None), strict=True):
            x = nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            x = layer(x if skip is None else torch.cat([x, skip], 1))
        return cast(Tensor, self.head(x))

    def features(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The backbone's features.

        Returns:
            The transformer's tokens as (B, width, h/16, w/16), and the ResNet's features at a
            half, a quarter and an eighth of the size.
        """
        vit = self.trunk
        net = vit.patch_embed.backbone
        stem = net.stem.norm(net.stem.conv(images))
        quarter = net.stages[0](net.stem.pool(stem))
        eighth = net.stages[1](quarter)
        last = net.norm(net.stages[2](eighth))
        tokens = vit.patch_embed.proj(last).flatten(2).transpose(1, 2)
        tokens = vit.norm(vit.blocks(vit.norm_pre(vit.pos_drop(tokens + vit.pos_embed))))
        return tokens.transpose(1, 2).unflatten(2, last.shape[2:]), [stem, quarter, eighth]


def convolution(channels: int, out: int) -> nn.Sequential:
    """A 3×3 convolution without a bias, normalised and rectified."""
    return nn.Sequential(
        nn.Conv2d(channels, out, 3, padding=1, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU(inplace=True),
    )
