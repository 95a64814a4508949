"""Detectors of torchvision, assembled so that nothing of theirs happens unseen.

Their own transform would resize and normalise once more, and they drop low scores by default.
Their class 0 is the background (or, where each class has a sigmoid, a class that never occurs).
Not all of their layers may compute in bf16: boxes and losses are made of float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import detection
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock, LastLevelMaxPool, LastLevelP6P7

from usbench.models import backbone as resnets
from usbench.models.detector.boxes import MAX_BOXES, MIN_SCORE

# Per image: xyxy (N, 4) px of the net, classes (N,), scores (N,).
Detections = list[tuple[Tensor, Tensor, Tensor]]
RATIOS = (0.5, 1.0, 2.0)  # height / width of anchors
ANCHORS = (32, 64, 128, 256, 512)  # px of the net, one per level
COCO = {
    "fasterrcnn": detection.FasterRCNN_ResNet50_FPN_Weights.COCO_V1,
    "retinanet": detection.RetinaNet_ResNet50_FPN_V2_Weights.COCO_V1,
    "fcos": detection.FCOS_ResNet50_FPN_Weights.COCO_V1,
}
HEADS = {  # layers whose shape depends on the classes
    "fasterrcnn": ("net.roi_heads.box_predictor.",),
    "retinanet": ("net.head.classification_head.cls_logits.",),
    "fcos": ("net.head.classification_head.cls_logits.",),
}


@dataclass(frozen=True)
class Plan:
    """What every detector is built from."""

    backbone: str  # a ResNet of torchvision
    classes: int
    pretrained: bool  # whether pretrained weights are loaded afterwards


class NoTransform(nn.Module):
    """Replaces GeneralizedRCNNTransform: images and boxes come at the net's size, normalised."""

    def forward(self, images: Tensor, targets: Any = None) -> tuple[ImageList, Any]:
        """(B, 3, h, w) → torchvision's list of images."""
        return ImageList(images, [(images.shape[2], images.shape[3])] * len(images)), targets

    def postprocess(self, detections: Any, *sizes: Any) -> Any:
        """Boxes stay in the net's px."""
        return detections


class Net(nn.Module):
    """A detector of torchvision for grey images of one size."""

    def __init__(self, net: Any, outputs: Sequence[nn.Module]) -> None:
        """Wrap a net.

        Args:
            outputs: the layers whose outputs boxes and losses are made of.
        """
        super().__init__()
        self.net: Any = net
        self.net.transform = NoTransform()
        for layer in outputs:
            layer.register_forward_hook(lambda layer, inputs, output: to_float(output))

    def forward(self, images: Tensor) -> Callable[[Tensor], Tensor] | Detections:
        """(B, 1, h, w) → the loss as a function of rows (B, ROWS, 5); in eval detections."""
        x = images.expand(-1, 3, -1, -1)
        if self.training:
            return partial(self.loss, x)
        return [(image["boxes"], image["labels"] - 1, image["scores"]) for image in self.net(x)]

    def loss(self, x: Tensor, rows: Tensor) -> Tensor:
        """The sum of the net's own losses. Their sampling draws from torch's global generator."""
        objects = [image[image[:, 4] >= 0] for image in rows]
        targets = [{"boxes": boxes[:, :4], "labels": boxes[:, 4].long() + 1} for boxes in objects]
        return torch.stack(list(self.net(x, targets).values())).sum()


def to_float(output: Any) -> Any:
    """A layer's output, however nested, as float32."""
    if isinstance(output, Tensor):
        return output.float()
    if isinstance(output, Mapping):
        return {name: to_float(part) for name, part in output.items()}
    return type(output)(to_float(part) for part in output)


def exclude_background(
    head: nn.Module, inputs: Any, output: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Give class 0 no chance in predictions (a forward hook).

    Its sigmoid has a score of its own, though the net is never shown a box of it, and its boxes
    would take up places.
    """
    if head.training:
        return output
    logits = output["cls_logits"][..., 1:]
    return {**output, "cls_logits": nn.functional.pad(logits, (1, 0), value=-torch.inf)}


# ---- the nets


def build_fasterrcnn(
    plan: Plan,
    norm: str = "frozen",
    channels: int = 256,
    representation: int = 1024,
    rois: int = 512,
    anchors: Sequence[int] = ANCHORS,
) -> Net:
    """Faster R-CNN (Ren et al. 2015) with a feature pyramid (Lin et al. 2017).

    41,299,161 parameters on ResNet50 with one class.

    Args:
        channels: of the pyramid.
        representation: width of the box head.
        rois: regions that it learns from per image.
        anchors: px of the net, one per level from stride 4.
    """
    fpn = build_pyramid(plan, norm, [1, 2, 3, 4], channels, LastLevelMaxPool())
    head = TwoMLPHead(channels * 7**2, representation)
    predictor = FastRCNNPredictor(representation, plan.classes + 1)
    net = detection.FasterRCNN(
        fpn,
        rpn_anchor_generator=AnchorGenerator(
            tuple((side,) for side in anchors), (RATIOS,) * len(anchors)
        ),
        box_head=head,
        box_predictor=predictor,
        box_batch_size_per_image=rois,
        box_score_thresh=MIN_SCORE,
        box_detections_per_img=MAX_BOXES,
    )
    return Net(net, [fpn, net.rpn.head, predictor])


def build_retinanet(
    plan: Plan, norm: str = "batch", channels: int = 256, anchors: Sequence[int] = ANCHORS
) -> Net:
    """RetinaNet (Lin et al. 2017) as torchvision's second version.

    That one has group normalisation in the head and generalised IoU as the boxes' loss (Zhang et
    al. 2020): 36,352,630 parameters on ResNet50 with one class.

    Args:
        channels: of the pyramid.
        anchors: px of the net, the smallest of three per level, from stride 8.
    """
    last = LastLevelP6P7(resnets.stage_widths(plan.backbone)[3], channels)
    fpn = build_pyramid(plan, norm, [2, 3, 4], channels, last)
    octaves = []
    for side in anchors:
        octaves.append(tuple(int(side * 2 ** (third / 3)) for third in range(3)))
    generator = AnchorGenerator(tuple(octaves), (RATIOS,) * len(anchors))
    head = RetinaNetHead(
        channels,
        generator.num_anchors_per_location()[0],
        plan.classes + 1,
        norm_layer=partial(nn.GroupNorm, 32),
    )
    head.regression_head._loss_type = "giou"  # as torchvision's builder: there is no argument
    head.register_forward_hook(exclude_background)
    return Net(
        detection.RetinaNet(
            fpn,
            plan.classes + 1,
            anchor_generator=generator,
            head=head,
            score_thresh=MIN_SCORE,
            detections_per_img=MAX_BOXES,
        ),
        [fpn, head],
    )


def build_fcos(plan: Plan, norm: str = "batch", channels: int = 256) -> Net:
    """FCOS (Tian et al. 2019): no anchors, a box from each place of an object, from stride 8 on."""
    fpn = build_pyramid(plan, norm, [2, 3, 4], channels, LastLevelP6P7(channels, channels))
    net = detection.FCOS(
        fpn, plan.classes + 1, score_thresh=MIN_SCORE, detections_per_img=MAX_BOXES
    )
    net.head.register_forward_hook(exclude_background)
    return Net(net, [fpn, net.head])


def build_pyramid(
    plan: Plan, norm: str, stages: Sequence[int], channels: int, extra: ExtraFPNBlock
) -> BackboneWithFPN:
    """A ResNet with a feature pyramid on some of its stages (1 to 4)."""
    widths = [resnets.stage_widths(plan.backbone)[stage - 1] for stage in stages]
    layers = {f"layer{stage}": str(n) for n, stage in enumerate(stages)}
    return BackboneWithFPN(
        resnets.build_resnet(plan.backbone, norm, plan.pretrained),
        layers,
        widths,
        channels,
        extra,
    )
