"""From grey images to boxes through a YOLOv8 net: letterbox, forward, non-maximum suppression, back to native pixels.

Knows how an image is fitted into the net's input (as ultralytics' loader does: long side resized bilinearly, centred
on grey 114) and what the net's output means. Non-maximum suppression is torchvision's: ultralytics' own gives the
same boxes, but leaves the rest of a batch without any when a stopwatch runs out. Needs no ultralytics.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.ops import batched_nms, box_convert

from usbench.models.yolo_budget import MAX_BOXES, MIN_SCORE, NMS_IOU, STRIDE
from usbench.types import Boxes

PAD = 114  # grey level around a letterboxed image, as around an augmented one
CANDIDATES = 30_000  # boxes of an image that go into the suppression, the best first; as ultralytics' max_nms
CHUNK = 16  # images of one size predicted together on a GPU; on a CPU one by one, which is no slower and exact

Image8 = NDArray[np.uint8]  # (H, W)


def detect(net: Any, images: Iterable[Image8], size: int, *, rect: bool, device: str) -> Iterator[Boxes]:
    """Boxes in native px, per image and in order: at most 300, score > .001, class-wise NMS at IoU .7, clipped.

    net: a DetectionModel in eval mode; size: long side of its input, px; rect: padded to whole strides instead of to
    a square. An image's boxes don't depend on its neighbours: only images of one shape share a batch.
    """
    chunk: list[Image8] = []
    limit = 1 if device == "cpu" else CHUNK
    for image in images:
        if chunk and (len(chunk) == limit or image.shape != chunk[0].shape):
            yield from _detect_alike(net, chunk, size, rect, device)
            chunk = []
        chunk.append(image)
    if chunk:
        yield from _detect_alike(net, chunk, size, rect, device)


@torch.no_grad()
def _detect_alike(net: Any, images: Sequence[Image8], size: int, rect: bool, device: str) -> list[Boxes]:
    height, width = images[0].shape
    h, w = (min(math.ceil(side * size / max(height, width)), size) for side in (height, width))
    rows, columns = (math.ceil(side / STRIDE) * STRIDE if rect else size for side in (h, w))
    top, left = (rows - h) // 2, (columns - w) // 2
    canvas = np.full((len(images), rows, columns), PAD, np.uint8)
    for place, image in zip(canvas, images, strict=True):
        place[top : top + h, left : left + w] = cv2.resize(image, (w, h), interpolation=cv2.INTER_LINEAR)
    pixels = torch.from_numpy(canvas).to(device)[:, None].expand(-1, 3, -1, -1).float() / 255
    offset, scale = np.array([left, top] * 2), np.array([width / w, height / h] * 2)
    found = []
    for output in net(pixels)[0].float():
        xyxy, scores, labels = (tensor.cpu().numpy() for tensor in suppress(output))
        native = np.clip((xyxy - offset) * scale, 0, [width, height] * 2)
        found.append(Boxes(native.astype(np.float32), labels, scores))
    return found


def suppress(output: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The net's (4 + C, A) for one image, centre x, y, width, height and C scores → xyxy (N, 4), scores, labels (N,).

    An anchor stands for every class it scores above .001; suppression is within a class; best first.
    """
    labels, anchors = (output[4:] > MIN_SCORE).nonzero(as_tuple=True)
    scores, best = output[4:][labels, anchors].sort(descending=True, stable=True)
    scores, best = scores[:CANDIDATES], best[:CANDIDATES]
    labels = labels[best]
    xyxy = box_convert(output[:4].T[anchors[best]], "cxcywh", "xyxy")
    keep = batched_nms(xyxy, scores, labels, NMS_IOU)[:MAX_BOXES]
    return xyxy[keep], scores[keep], labels[keep]
