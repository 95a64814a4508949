"""DETR (Carion et al. 2020) of transformers: a set of queries, each a box or nothing, unsuppressed.

The package freezes its ResNet's normalisation, which only pretrained weights can bear; undone
here. The loss gives each object to one query, at the least total cost.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torchvision.ops import box_convert, generalized_box_iou, generalized_box_iou_loss

from usbench.errors import RunError
from usbench.models import backbone as resnets
from usbench.models.detector.torchvision_nets import Detections, Plan
from usbench.models.device import constant

HUB = "facebook/detr-resnet-50"
LABELS = 91  # of COCO's net; the published one kept them and put a layer on its 92 outputs
NOTHING = 0.1  # weight of the class "no object" in the cross entropy (the paper's, like the next)
DISTANCE = 5.0  # weight of the L1 distance, in shares of the image
OVERLAP = 2.0  # weight of 1 − generalised IoU
HEADS = ("classes.",)


class Net(nn.Module):
    """DETR for grey images of one size."""

    def __init__(self, net: Any, classes: int) -> None:
        super().__init__()
        self.net: Any = net
        self.classes = nn.Linear(LABELS + 1, classes + 1)  # the last one: no object

    def forward(self, images: Tensor) -> Callable[[Tensor], Tensor] | Detections:
        """(B, 1, h, w) → the loss as a function of rows (B, ROWS, 5); in eval detections."""
        side = constant([images.shape[3], images.shape[2]] * 2, images)
        output = self.net(pixel_values=images.expand(-1, 3, -1, -1).contiguous())
        logits, boxes = self.classes(output.logits).float(), output.pred_boxes.float()
        if self.training:
            return partial(set_loss, logits, boxes, side)
        return [to_detections(*image, side) for image in zip(logits, boxes, strict=True)]


def to_detections(logits: Tensor, boxes: Tensor, side: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One image's queries as boxes, a query standing for each of its classes.

    Args:
        logits: (Q, C+1).
        boxes: (Q, 4) centre and size as shares of the image.
        side: (4,) width, height, width, height px.

    Returns:
        xyxy (Q·C, 4) px, classes and scores (Q·C,).
    """
    scores = logits.softmax(1)[:, :-1]
    classes = torch.arange(scores.shape[1], device=scores.device).expand_as(scores)
    whole = (box_convert(boxes, "cxcywh", "xyxy") * side).clamp(min=0)
    inside = whole.minimum(side.roll(2)[[0, 1, 0, 1]])
    return inside.repeat_interleave(scores.shape[1], 0), classes.flatten(), scores.flatten()


def set_loss(logits: Tensor, boxes: Tensor, side: Tensor, rows: Tensor) -> Tensor:
    """Cross entropy of all queries; distance and overlap of those that were given an object.

    Equations 1 to 3 and appendix A.2 of the paper.

    Args:
        logits: (B, Q, C+1).
        boxes: (B, Q, 4) centre and size as shares of the image.
        side: (4,) width, height, width, height px.
        rows: (B, ROWS, 5) px.
    """
    nothing = logits.shape[2] - 1
    labels = torch.full(logits.shape[:2], nothing, device=logits.device)
    predictions, targets = [], []
    for n, image in enumerate(rows):
        objects = image[image[:, 4] >= 0]
        target = box_convert(objects[:, :4] / side, "xyxy", "cxcywh")
        query, chosen = assign_queries(logits[n], boxes[n], objects[:, 4].long(), target)
        labels[n, query] = objects[chosen, 4].long()
        predictions.append(boxes[n, query])
        targets.append(target[chosen])
    weight = logits.new_ones(nothing + 1)
    weight[nothing] = NOTHING
    entropy = nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), weight)
    prediction, target = torch.cat(predictions), torch.cat(targets)
    distance = nn.functional.l1_loss(prediction, target, reduction="sum")
    overlap: Tensor = generalized_box_iou_loss(
        box_convert(prediction, "cxcywh", "xyxy"),
        box_convert(target, "cxcywh", "xyxy"),
        reduction="sum",
    )
    return entropy + (DISTANCE * distance + OVERLAP * overlap) / max(1, len(target))


@torch.no_grad()
def assign_queries(
    logits: Tensor, boxes: Tensor, labels: Tensor, target: Tensor
) -> tuple[Tensor, Tensor]:
    """Give each object of one image to a query, at the least total cost (Hungarian method).

    Returns:
        (queries, objects), each object once.
    """
    distance = torch.cdist(boxes, target, p=1)
    overlap = generalized_box_iou(
        box_convert(boxes, "cxcywh", "xyxy"), box_convert(target, "cxcywh", "xyxy")
    )
    cost = DISTANCE * distance - OVERLAP * overlap - logits.softmax(1)[:, labels]
    # Of a cost that isn't finite any choice will do: the loop ends such a run with its reason.
    finite = cost if cost.isfinite().all() else torch.zeros_like(cost)
    queries, objects = linear_sum_assignment(finite.cpu().numpy())
    return torch.as_tensor(queries).to(cost.device), torch.as_tensor(objects).to(cost.device)


# ---- the net and its weights


def build_detr(
    plan: Plan,
    queries: int = 100,
    width: int = 256,
    layers: int = 6,
    feedforward: int = 2048,
    heads: int = 8,
    dropout: float = 0.1,
) -> Net:
    """DETR: 41,524,954 parameters on ResNet50 with one class.

    Args:
        layers: of the encoder, and as many of the decoder.

    Raises:
        RunError: transformers isn't installed.
    """
    transformers = resnets.import_transformers("detr")
    net = transformers.DetrForObjectDetection(
        transformers.DetrConfig(
            num_labels=LABELS,
            backbone=plan.backbone,
            num_queries=queries,
            d_model=width,
            dropout=dropout,
            encoder_layers=layers,
            decoder_layers=layers,
            encoder_ffn_dim=feedforward,
            decoder_ffn_dim=feedforward,
            encoder_attention_heads=heads,
            decoder_attention_heads=heads,
        )
    )
    for parameter in (*net.model.encoder.parameters(), *net.model.decoder.parameters()):
        if parameter.dim() > 1:  # as the paper; the package draws them with an SD of .02
            nn.init.xavier_uniform_(parameter)
    if plan.pretrained:
        resnets.fix_first_layers(net.model.backbone.model)
    else:
        frozen = transformers.models.detr.modeling_detr.DetrFrozenBatchNorm2d
        resnets.unfreeze(net.model.backbone, frozen)
    return Net(net, plan.classes)


def fetch_coco() -> dict[str, Tensor]:
    """The state dict of the authors' DETR on ResNet50; RunError where it can't be fetched."""
    transformers = resnets.import_transformers("detr")
    try:
        source = transformers.DetrForObjectDetection.from_pretrained(HUB, use_safetensors=True)
    except (OSError, RuntimeError, ValueError) as unreachable:
        raise RunError(
            f"weights=coco for detr ({HUB}) could not be fetched "
            f"({type(unreachable).__name__}): {resnets.ADVICE}"
        ) from unreachable
    return cast(dict[str, Tensor], source.state_dict())
