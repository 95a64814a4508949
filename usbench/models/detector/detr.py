"""DETR (Carion et al. 2020) of transformers: a set of queries, each a box or nothing, without suppression.

Knows that the package freezes its ResNet's normalisation, which only weights of others can bear, and the loss: every
object is given to one query, at the least total cost. The only module that imports transformers,
and only inside functions: it is an extra.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torchvision.ops import box_convert, generalized_box_iou, generalized_box_iou_loss

from usbench.errors import ConfigError, RunError
from usbench.models import backbone as trunk
from usbench.models.detector.torchvision_nets import Found, Plan

HUB = "facebook/detr-resnet-50"
LABELS = 91  # of COCO's net; the published one kept them and put a layer from 92 outputs to its own on top
NOTHING = (
    0.1  # weight of the class "no object" in the cross entropy (the paper's, as the following)
)
DISTANCE, OVERLAP = (
    5.0,
    2.0,
)  # weights of the L1 distance (shares of the image) and of 1 − generalised IoU
HEADS = ("classes.",)


class Net(nn.Module):
    """DETR for grey images of one size."""

    def __init__(self, net: Any, classes: int) -> None:
        super().__init__()
        self.net: Any = net
        self.classes = nn.Linear(LABELS + 1, classes + 1)  # the last one: no object

    def forward(self, images: Tensor) -> Callable[[Tensor], Tensor] | Found:
        """(B, 1, h, w) → in training the loss as a function of the targets (B, ROWS, 5), else what is found."""
        side = images.new_tensor([images.shape[3], images.shape[2]] * 2)
        output = self.net(pixel_values=images.expand(-1, 3, -1, -1).contiguous())
        logits, boxes = self.classes(output.logits).float(), output.pred_boxes.float()
        if self.training:
            return partial(set_loss, logits, boxes, side)
        return [found(*each, side) for each in zip(logits, boxes, strict=True)]


def found(logits: Tensor, boxes: Tensor, side: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One image's queries, (Q, C+1) and (Q, 4) → xyxy px, classes, scores, a query standing for each of its classes."""
    scores = logits.softmax(1)[:, :-1]
    classes = torch.arange(scores.shape[1], device=scores.device).expand_as(scores)
    xyxy = box_convert(boxes, "cxcywh", "xyxy") * side
    inside = xyxy.clamp(min=0).minimum(side.roll(2)[[0, 1, 0, 1]])
    return inside.repeat_interleave(scores.shape[1], 0), classes.flatten(), scores.flatten()


def set_loss(logits: Tensor, boxes: Tensor, side: Tensor, rows: Tensor) -> Tensor:
    """Cross entropy of all queries, distance and overlap of those that were given an object (eq. 1 to 3, appendix A.2).

    logits: (B, Q, C+1); boxes: (B, Q, 4) centre and size as shares of the image; side: (4,) width, height, width,
    height px; rows: (B, ROWS, 5) px.
    """
    nothing = logits.shape[2] - 1
    labels = torch.full(logits.shape[:2], nothing, device=logits.device)
    guesses, truths = [], []
    for n, image in enumerate(rows):
        there = image[image[:, 4] >= 0]
        truth = box_convert(there[:, :4] / side, "xyxy", "cxcywh")
        query, own = assigned(logits[n], boxes[n], there[:, 4].long(), truth)
        labels[n, query] = there[own, 4].long()
        guesses.append(boxes[n, query])
        truths.append(truth[own])
    weight = logits.new_ones(nothing + 1)
    weight[nothing] = NOTHING
    entropy = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), weight)
    guess, truth = torch.cat(guesses), torch.cat(truths)
    corners = (box_convert(each, "cxcywh", "xyxy") for each in (guess, truth))
    overlap: Tensor = generalized_box_iou_loss(*corners, reduction="sum")
    return entropy + (
        DISTANCE * F.l1_loss(guess, truth, reduction="sum") + OVERLAP * overlap
    ) / max(1, len(truth))


@torch.no_grad()
def assigned(logits: Tensor, boxes: Tensor, labels: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """(queries, objects) of one image, each object once, at the least total cost (the Hungarian method)."""
    distance = torch.cdist(boxes, truth, p=1)
    overlap = generalized_box_iou(
        box_convert(boxes, "cxcywh", "xyxy"), box_convert(truth, "cxcywh", "xyxy")
    )
    cost = DISTANCE * distance - OVERLAP * overlap - logits.softmax(1)[:, labels]
    if not cost.isfinite().all():  # the loop ends such a run, with its reason
        cost = torch.zeros_like(cost)
    return tuple(
        torch.as_tensor(part, device=logits.device)
        for part in linear_sum_assignment(cost.cpu().numpy())
    )  # type: ignore[return-value]


# ---- the net and its weights


def detr(
    plan: Plan,
    queries: int = 100,
    width: int = 256,
    layers: int = 6,
    feedforward: int = 2048,
    heads: int = 8,
    dropout: float = 0.1,
) -> Net:
    """41,524,954 parameters on ResNet50 with one class. layers: of the encoder and of the decoder.

    RunError where transformers isn't installed.
    """
    classes = transformers()
    config = classes.DetrConfig(
        num_labels=LABELS,
        backbone=plan.backbone,
        num_queries=queries,
        d_model=width,
        dropout=dropout,
        **dict.fromkeys(("encoder_layers", "decoder_layers"), layers),
        **dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), feedforward),
        **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), heads),
    )
    net = classes.DetrForObjectDetection(config)
    for part in (net.model.encoder, net.model.decoder):
        for parameter in part.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(
                    parameter
                )  # as the paper; the package draws them with an SD of .02
    if plan.pretrained:
        trunk.fix(net.model.backbone.model)
    else:
        frozen = next(
            type(each)
            for each in net.model.backbone.modules()
            if "FrozenBatchNorm" in type(each).__name__
        )
        trunk.unfreeze(net.model.backbone, frozen)
    return Net(net, plan.classes)


def load(net: Net, backbone: str, weights: str) -> None:
    """Fill a net with the weights imagenet (torchvision's of the ResNet) or coco (the authors' whole DETR).

    ConfigError where there are none such, RunError where they can't be fetched.
    """
    if weights == "imagenet":
        trunk.load(net.net.model.backbone.model, trunk.imagenet(backbone), (), "weights=imagenet")
        return
    if backbone != "resnet50":
        raise ConfigError(
            f"model.build.weights=coco: there are such weights for detr on resnet50, not on {backbone}; "
            f"take imagenet, null or a file"
        )
    try:
        source = transformers().DetrForObjectDetection.from_pretrained(HUB, use_safetensors=True)
    except (OSError, RuntimeError, ValueError) as unreachable:
        raise RunError(
            f"weights=coco for detr ({HUB}) could not be fetched ({type(unreachable).__name__}): {trunk.ADVICE}"
        ) from unreachable
    trunk.load(net.net, source.state_dict(), (), "weights=coco")


def transformers() -> Any:
    """The package; RunError where it isn't installed."""
    try:
        import transformers as package
    except ImportError as missing:
        raise RunError(
            f"model=detr needs the package transformers, which can't be imported ({missing}); "
            "pip install 'usbench[transformers]'"
        ) from missing
    return package
