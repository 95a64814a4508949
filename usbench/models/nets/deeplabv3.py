"""DeepLabv3 (Chen et al. 2017) of torchvision with its auxiliary head: another net than smp's."""

from __future__ import annotations

from typing import Any

import torchvision
from torch import Tensor, nn
from torchvision.models.segmentation.deeplabv3 import DeepLabHead
from torchvision.models.segmentation.fcn import FCNHead

from usbench.errors import ConfigError
from usbench.models import backbone as trunk

SMALL, LARGE = (trunk.NARROW, "resnet18", "resnet34"), ("resnet50", "resnet101")


class DeepLabV3(nn.Module):
    """A dilated ResNet at an eighth of the image's size, atrous pyramid pooling: 41,998,420 parameters with 10 planes
    on ResNet50. The layers have torchvision's names."""

    name = "deeplabv3"
    version = 1

    def __init__(self, classes: int, backbone: str = "resnet50") -> None:
        """backbone: resnet10w32 (for tests), resnet18, resnet34, resnet50 or resnet101; ConfigError for another."""
        super().__init__()
        self.backbone = dilated(backbone)
        wide = trunk.widths(backbone)[-1]
        self.classifier, self.aux_classifier = (
            DeepLabHead(wide, classes),
            FCNHead(wide // 2, classes),
        )

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """(B, 3, h, w) → (B, classes, h, w); in training with the auxiliary head's, read one stage before the last."""
        net: Any = self.backbone
        x = net.maxpool(net.relu(net.bn1(net.conv1(images))))
        third = net.layer3(net.layer2(net.layer1(x)))
        logits = enlarged(self.classifier(net.layer4(third)), images)
        return (logits, enlarged(self.aux_classifier(third), images)) if self.training else logits


def dilated(name: str) -> nn.Module:
    """A ResNet from scratch whose last two stages keep the size and reach 2 and 4 times as far."""
    if name not in (*SMALL, *LARGE):
        raise ConfigError(
            f"options.backbone: {', '.join((*SMALL, *LARGE))} were wanted, found {name!r}"
        )
    if name in LARGE:
        net: Any = torchvision.models.get_model(
            name, weights=None, replace_stride_with_dilation=[False, True, True]
        )
        del net.fc
    else:  # torchvision dilates none of the small ones
        net = trunk.resnet(name, "batch", False)
        dilate(net.layer3, 2)
        dilate(net.layer4, 4)
    return net  # type: ignore[no-any-return]


def dilate(stage: nn.Module, rate: int) -> None:
    """Every convolution of a stage without its stride, those of 3×3 with this dilation."""
    for layer in stage.modules():
        if isinstance(layer, nn.Conv2d):
            layer.stride = (1, 1)
            if layer.kernel_size == (3, 3):
                layer.dilation, layer.padding = (rate, rate), (rate, rate)


def enlarged(logits: Tensor, images: Tensor) -> Tensor:
    """To the images' size, bilinear between pixel centres."""
    return nn.functional.interpolate(
        logits, size=images.shape[2:], mode="bilinear", align_corners=False
    )
