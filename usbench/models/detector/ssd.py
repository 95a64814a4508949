"""SSD (Liu et al. 2016) on a ResNet, with as many feature maps as its heads see.

Not the published net: that one (24,641,780 parameters for SSD300 and SSD512 alike) gives a single
feature map to six or seven heads, of which all but the first never get a gradient.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.ssd import SSD as TorchvisionSSD

from usbench.models import backbone as resnets
from usbench.models.detector.boxes import MAX_BOXES, MIN_SCORE
from usbench.models.detector.torchvision_nets import Net, Plan

HEADS = ("net.head.classification_head.",)
STAGES = 3  # of the ResNet that give a map, at strides 8, 16, 32; a further map halves the last
NEGATIVES = 3  # background boxes that count per object box


class FeatureMaps(nn.Module):
    """The last three stages of a ResNet and further maps, each half as large as the one before."""

    def __init__(self, plan: Plan, norm: str, extras: Sequence[int]) -> None:
        super().__init__()
        self.body: Any = resnets.build_resnet(plan.backbone, norm, plan.pretrained)
        self.out_channels = [*resnets.stage_widths(plan.backbone)[1:], *extras]
        self.extras = nn.ModuleList(map(halving_block, self.out_channels[STAGES - 1 : -1], extras))

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        """(B, 3, h, w) → maps by name, the finest first."""
        body = self.body
        x = body.layer1(body.maxpool(body.relu(body.bn1(body.conv1(images)))))
        maps: OrderedDict[str, Tensor] = OrderedDict()
        for block in (body.layer2, body.layer3, body.layer4, *self.extras):
            x = block(x)
            maps[str(len(maps))] = x
        return maps


def halving_block(channels: int, out: int) -> nn.Sequential:
    """1×1 and 3×3 convolutions, as the paper's extra layers.

    Without normalisation, so that a map of one pixel and a batch of one image are no trouble.
    """
    inner = nn.Conv2d(channels, out // 2, 1)
    outer = nn.Conv2d(out // 2, out, 3, stride=2, padding=1)
    for layer in (inner, outer):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return nn.Sequential(inner, nn.ReLU(), outer, nn.ReLU())


class SSD(TorchvisionSSD):  # type: ignore[misc]
    """torchvision's SSD with hard negatives mined over the batch.

    Mined per image, as there, an image without any object has none, and nothing ever speaks
    against a false alarm in it (877 of the 2,245 images of `spinal` are such).
    """

    def compute_loss(
        self,
        targets: Sequence[Mapping[str, Tensor]],
        head_outputs: Mapping[str, Tensor],
        anchors: Sequence[Tensor],
        matched_idxs: Sequence[Tensor],
    ) -> dict[str, Tensor]:
        """Smooth L1 of matched boxes; cross entropy of them and of hard background ones.

        Args:
            head_outputs: bbox_regression (B, A, 4), cls_logits (B, A, C+1).
            anchors: (A, 4) of each image.
            matched_idxs: (A,) of each image: a box of the target, or below 0.
        """
        regression, logits = head_outputs["bbox_regression"], head_outputs["cls_logits"]
        labels = torch.zeros(logits.shape[:2], dtype=torch.long, device=logits.device)
        distance = regression.sum() * 0
        for n, (target, match) in enumerate(zip(targets, matched_idxs, strict=True)):
            matched = match >= 0
            chosen = match[matched]
            labels[n, matched] = target["labels"][chosen]
            goal = self.box_coder.encode_single(target["boxes"][chosen], anchors[n][matched])
            distance = distance + nn.functional.smooth_l1_loss(
                regression[n, matched], goal, reduction="sum"
            )
        entropy = nn.functional.cross_entropy(
            logits.flatten(0, 1), labels.flatten(), reduction="none"
        )
        objects = labels.flatten() > 0
        count = max(1, int(objects.sum()))
        background = entropy.detach().masked_fill(objects, -torch.inf)
        hard = background.topk(min(NEGATIVES * count, int((~objects).sum()))).indices
        return {
            "bbox_regression": distance / count,
            "classification": (entropy[objects].sum() + entropy[hard].sum()) / count,
        }


def build_ssd(
    plan: Plan,
    scales: Sequence[float],
    norm: str = "batch",
    extras: Sequence[int] = (512, 256, 256),
) -> Net:
    """SSD. A place has boxes of ratio 1, 1 (a size between), 2 and 1/2; maps 2 to 4 also 3 and 1/3.

    Args:
        scales: of the default boxes, as shares of the image's side, one per map and one more,
            rising.
        extras: channels of the maps after the ResNet's three.
    """
    ratios = [[2, 3] if 0 < n < 4 else [2] for n in range(STAGES + len(extras))]
    features = FeatureMaps(plan, norm, extras)
    net = SSD(
        features,
        DefaultBoxGenerator(ratios, scales=list(scales)),
        (1, 1),  # its own resizing, which Net switches off
        plan.classes + 1,
        score_thresh=MIN_SCORE,
        detections_per_img=MAX_BOXES,
    )
    return Net(net, [features, net.head])
