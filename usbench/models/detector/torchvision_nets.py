"""Detectors of torchvision, assembled so that nothing of theirs happens behind one's back.

Knows that their own transform would resize and normalise once more, that they drop low scores by default, that their
class 0 is the background (or, where each class has a sigmoid, a class that never occurs), which weights exist, and
which of their layers may compute in bf16: what they give is taken as float32 before a box or a loss is made of it.
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

from usbench.errors import ConfigError
from usbench.models import backbone as trunk
from usbench.models.detector.boxes import MAX_BOXES, MIN_SCORE

Found = list[
    tuple[Tensor, Tensor, Tensor]
]  # per image: xyxy (N, 4) px of the net, classes (N,), scores (N,)
RATIOS = (0.5, 1.0, 2.0)  # height / width of anchors
COCO = {
    "fasterrcnn": detection.FasterRCNN_ResNet50_FPN_Weights.COCO_V1,
    "retinanet": detection.RetinaNet_ResNet50_FPN_V2_Weights.COCO_V1,
    "fcos": detection.FCOS_ResNet50_FPN_Weights.COCO_V1,
}


@dataclass(frozen=True)
class Plan:
    """What every detector is built from."""

    backbone: str  # a ResNet of torchvision
    classes: int
    pretrained: bool  # whether weights of others are to come


class AsGiven(nn.Module):
    """In the place of GeneralizedRCNNTransform: images come at the net's size and normalised, boxes likewise."""

    def forward(self, images: Tensor, targets: Any = None) -> tuple[ImageList, Any]:
        """(B, 3, h, w) → torchvision's list of images."""
        return ImageList(images, [(images.shape[2], images.shape[3])] * len(images)), targets

    def postprocess(self, found: Any, *sizes: Any) -> Any:
        """Boxes stay in the net's px."""
        return found


class Net(nn.Module):
    """A detector of torchvision for grey images of one size."""

    def __init__(self, net: Any, outputs: Sequence[nn.Module]) -> None:
        """outputs: the layers whose outputs boxes and losses are made of."""
        super().__init__()
        self.net: Any = net
        self.net.transform = AsGiven()
        for layer in outputs:
            layer.register_forward_hook(lambda layer, inputs, output: as_float(output))

    def forward(self, images: Tensor) -> Callable[[Tensor], Tensor] | Found:
        """(B, 1, h, w) → in training the loss as a function of the targets (B, ROWS, 5), else what is found."""
        x = images.expand(-1, 3, -1, -1)
        if self.training:
            return partial(self.loss, x)
        return [(found["boxes"], found["labels"] - 1, found["scores"]) for found in self.net(x)]

    def loss(self, x: Tensor, rows: Tensor) -> Tensor:
        """The sum of the net's own losses. Their sampling draws from torch's global generator."""
        boxes = [image[image[:, 4] >= 0] for image in rows]
        losses = self.net(
            x, [{"boxes": found[:, :4], "labels": found[:, 4].long() + 1} for found in boxes]
        )
        return torch.stack(list(losses.values())).sum()


def as_float(output: Any) -> Any:
    """What a layer gives, as float32."""
    if isinstance(output, Tensor):
        return output.float()
    if isinstance(output, Mapping):
        return {name: as_float(part) for name, part in output.items()}
    return type(output)(as_float(part) for part in output)


def without_background(
    head: nn.Module, inputs: Any, output: dict[str, Tensor]
) -> dict[str, Tensor]:
    """When predicting, class 0 has no chance.

    Its sigmoid has a score of its own, though the net is never shown a box of it, and its boxes would take up places.
    """
    if head.training:
        return output
    logits = output["cls_logits"]
    return {
        **output,
        "cls_logits": torch.cat(
            [torch.full_like(logits[..., :1], -torch.inf), logits[..., 1:]], -1
        ),
    }


# ---- the nets


def fasterrcnn(
    plan: Plan,
    norm: str = "frozen",
    channels: int = 256,
    representation: int = 1024,
    rois: int = 512,
    anchors: Sequence[int] = (32, 64, 128, 256, 512),
) -> Net:
    """Faster R-CNN (Ren et al. 2015) with a feature pyramid (Lin et al. 2017): 41,299,161 parameters on ResNet50 with
    one class. channels: of the pyramid; representation: of the box head; rois: that it learns from per image; anchors:
    px of the net, one per level from stride 4.
    """
    fpn = pyramid(plan, norm, [1, 2, 3, 4], channels, LastLevelMaxPool())
    head, predictor = (
        TwoMLPHead(channels * 7**2, representation),
        FastRCNNPredictor(representation, plan.classes + 1),
    )
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


def retinanet(
    plan: Plan,
    norm: str = "batch",
    channels: int = 256,
    anchors: Sequence[int] = (32, 64, 128, 256, 512),
) -> Net:
    """RetinaNet (Lin et al. 2017) as torchvision's second version (group normalisation in the head, generalised IoU as
    the boxes' loss; Zhang et al. 2020): 36,352,630 parameters on ResNet50 with one class. anchors: px of the net, the
    smallest of three per level, from stride 8.
    """
    fpn = pyramid(
        plan, norm, [2, 3, 4], channels, LastLevelP6P7(trunk.widths(plan.backbone)[3], channels)
    )
    octave = tuple(tuple(int(side * 2 ** (third / 3)) for third in range(3)) for side in anchors)
    generator = AnchorGenerator(octave, (RATIOS,) * len(anchors))
    per_place = generator.num_anchors_per_location()[0]
    head = RetinaNetHead(
        channels, per_place, plan.classes + 1, norm_layer=partial(nn.GroupNorm, 32)
    )
    head.regression_head._loss_type = (
        "giou"  # as torchvision's own builder does; it has no argument for it
    )
    limits = {"score_thresh": MIN_SCORE, "detections_per_img": MAX_BOXES}
    net = detection.RetinaNet(
        fpn, plan.classes + 1, anchor_generator=generator, head=head, **limits
    )
    head.register_forward_hook(without_background)
    return Net(net, [fpn, head])


def fcos(plan: Plan, norm: str = "batch", channels: int = 256) -> Net:
    """FCOS (Tian et al. 2019): no anchors, a box from every place of an object, from stride 8 on."""
    fpn = pyramid(plan, norm, [2, 3, 4], channels, LastLevelP6P7(channels, channels))
    net = detection.FCOS(
        fpn, plan.classes + 1, score_thresh=MIN_SCORE, detections_per_img=MAX_BOXES
    )
    net.head.register_forward_hook(without_background)
    return Net(net, [fpn, net.head])


def pyramid(
    plan: Plan, norm: str, stages: Sequence[int], channels: int, extra: ExtraFPNBlock
) -> BackboneWithFPN:
    """A ResNet with a feature pyramid on some of its stages (1 to 4)."""
    widths = trunk.widths(plan.backbone)
    layers = {f"layer{stage}": str(n) for n, stage in enumerate(stages)}
    net = trunk.resnet(plan.backbone, norm, plan.pretrained)
    return BackboneWithFPN(net, layers, [widths[stage - 1] for stage in stages], channels, extra)


def load(net: Net, architecture: str, backbone: str, weights: str) -> None:
    """Fill a net with the weights imagenet (the trunk's) or coco (all but what depends on the classes).

    ConfigError where torchvision has none such, RunError where they can't be fetched.
    """
    if weights == "imagenet":
        state = trunk.imagenet(backbone)
        trunk.load(net.net.backbone.body, state, (), "weights=imagenet")
        return
    if architecture not in COCO or backbone != "resnet50":
        have = ", ".join(f"{name} on resnet50" for name in COCO)
        raise ConfigError(
            f"model.build.weights=coco: there are such weights for {have}, not for {architecture} on {backbone}; "
            f"take imagenet, null or a file"
        )
    state = trunk.fetched(COCO[architecture], f"weights=coco for {architecture}")
    trunk.load(
        net.net,
        state,
        tuple(name.removeprefix("net.") for name in HEADS[architecture]),
        "weights=coco",
    )


HEADS = {  # layers whose shape depends on the classes
    "fasterrcnn": ("net.roi_heads.box_predictor.",),
    "retinanet": ("net.head.classification_head.cls_logits.",),
    "fcos": ("net.head.classification_head.cls_logits.",),
}
