"""DeepLabv3 (Chen et al. 2017) of torchvision with its auxiliary head: another net than smp's."""

from __future__ import annotations

from typing import Any, cast

import torchvision
from torch import Tensor, nn
from torchvision.models.segmentation.deeplabv3 import DeepLabHead
from torchvision.models.segmentation.fcn import FCNHead

from usbench.errors import ConfigError
from usbench.models import backbone as resnets

SMALL = (resnets.NARROW, "resnet18", "resnet34")  # torchvision dilates none of these
LARGE = ("resnet50", "resnet101")


class DeepLabV3(nn.Module):
    """A dilated ResNet at an eighth of the image's size, with atrous pyramid pooling.

    41,998,420 parameters with 10 planes on ResNet50. The layers have torchvision's names.
    """

    name = "deeplabv3"
    version = 1

    def __init__(self, classes: int, backbone: str = "resnet50") -> None:
        """Build the net; backbone: one of `SMALL` or `LARGE`, ConfigError for another."""
        super().__init__()
        self.backbone = build_dilated_resnet(backbone)
        width = resnets.stage_widths(backbone)[-1]
        self.classifier = DeepLabHead(width, classes)
        self.aux_classifier = FCNHead(width // 2, classes)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """(B, 3, h, w) → (B, classes, h, w); in training also the auxiliary head's.

        The auxiliary head reads the stage before the last.
        """
        net: Any = self.backbone
        x = net.maxpool(net.relu(net.bn1(net.conv1(images))))
        third = net.layer3(net.layer2(net.layer1(x)))
        logits = enlarge(self.classifier(net.layer4(third)), images)
        return (logits, enlarge(self.aux_classifier(third), images)) if self.training else logits


def build_dilated_resnet(name: str) -> nn.Module:
    """A ResNet from scratch whose last two stages keep the size and reach 2 and 4 times as far."""
    if name not in (*SMALL, *LARGE):
        raise ConfigError(
            f"options.backbone: expected one of {', '.join((*SMALL, *LARGE))}, got {name!r}"
        )
    if name in LARGE:
        net: Any = torchvision.models.get_model(
            name, weights=None, replace_stride_with_dilation=[False, True, True]
        )
        del net.fc
    else:
        net = resnets.build_resnet(name, "batch", False)
        dilate(net.layer3, 2)
        dilate(net.layer4, 4)
    return cast(nn.Module, net)


def dilate(stage: nn.Module, rate: int) -> None:
    """Remove the stride of a stage's convolutions, and dilate those of 3×3."""
    for layer in stage.modules():
        if isinstance(layer, nn.Conv2d):
            layer.stride = (1, 1)
            if layer.kernel_size == (3, 3):
                layer.dilation = layer.padding = (rate, rate)


def enlarge(logits: Tensor, images: Tensor) -> Tensor:
    """Logits at the images' size, bilinear between pixel centres."""
    return nn.functional.interpolate(logits, images.shape[2:], mode="bilinear", align_corners=False)
