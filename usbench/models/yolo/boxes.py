"""From grey images to boxes through a net of ultralytics: fitted in, forward, read, back to native pixels.

Knows how an image is fitted into the net's input (as ultralytics' loader does: long side resized bilinearly, centred
on grey 114; for RT-DETR stretched to the square) and what the net's output means. Non-maximum suppression is
torchvision's: ultralytics' own gives the same boxes, but leaves the rest of a batch without any when a stopwatch runs
out. Needs no ultralytics.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.ops import batched_nms, box_convert

from usbench.models.yolo.recipe import MAX_BOXES, MIN_SCORE, NMS_IOU, STRIDE
from usbench.types import Boxes, Target

PAD = 114  # grey level around a letterboxed image, as around an augmented one
CANDIDATES = 30_000  # boxes of an image that go into the suppression, the best first; as ultralytics' max_nms
CHUNK = 16  # images of one size predicted together on a GPU; on a CPU one by one, which is no slower and exact

Image8 = NDArray[np.uint8]  # (H, W)
Found = tuple[
    torch.Tensor, torch.Tensor, torch.Tensor
]  # xyxy (N, 4) in net px, scores (N,), labels (N,); best first


@dataclass(frozen=True)
class Fit:
    """How images come into the net. size: of its input, px: the long side; rect: padded to whole strides instead of to
    a square; stretched: to the square, without any padding."""

    size: int
    rect: bool
    device: str
    stretched: bool = False


@dataclass(frozen=True)
class Frame:
    """Where an image lies in the net's input: places have edges on whole numbers, in both."""

    height: int  # native px
    width: int
    offset: NDArray[np.float64]  # x, y in net px
    scale: NDArray[np.float64]  # x, y: native px per net px

    def native(self, xy: NDArray[np.floating]) -> NDArray[np.float64]:
        """Places (…, 2), or boxes (…, 4), of the net's input in the image, clipped to it."""
        pairs = xy.shape[-1] // 2
        moved = (xy - np.tile(self.offset, pairs)) * np.tile(self.scale, pairs)
        inside: NDArray[np.float64] = np.clip(moved, 0, [self.width, self.height] * pairs)
        return inside


Guess = Callable[
    [Any, Iterable[Image8]], Iterator[Target]
]  # a net in eval mode, images → a prediction of each


def outputs(net: Any, images: Iterable[Image8], fit: Fit) -> Iterator[tuple[Frame, torch.Tensor]]:
    """What the net gives for each image, in order. It doesn't depend on an image's neighbours: only images of one shape
    share a batch."""
    chunk: list[Image8] = []
    limit = 1 if fit.device == "cpu" else CHUNK
    for image in images:
        if chunk and (len(chunk) == limit or image.shape != chunk[0].shape):
            yield from _alike(net, chunk, fit)
            chunk = []
        chunk.append(image)
    if chunk:
        yield from _alike(net, chunk, fit)


@torch.no_grad()
def _alike(net: Any, images: Sequence[Image8], fit: Fit) -> list[tuple[Frame, torch.Tensor]]:
    height, width = images[0].shape
    longest = max(height, width)
    h, w = (
        fit.size if fit.stretched else min(math.ceil(s * fit.size / longest), fit.size)
        for s in (height, width)
    )
    rows, columns = (math.ceil(side / STRIDE) * STRIDE if fit.rect else fit.size for side in (h, w))
    top, left = (rows - h) // 2, (columns - w) // 2
    canvas = np.full((len(images), rows, columns), PAD, np.uint8)
    for place, image in zip(canvas, images, strict=True):
        place[top : top + h, left : left + w] = cv2.resize(
            image, (w, h), interpolation=cv2.INTER_LINEAR
        )
    pixels = torch.from_numpy(canvas).to(fit.device)[:, None].expand(-1, 3, -1, -1).float() / 255
    frame = Frame(
        height, width, np.array([left, top], np.float64), np.array([width / w, height / h])
    )
    return [(frame, output) for output in net(pixels)[0].float()]


def detect(net: Any, images: Iterable[Image8], fit: Fit) -> Iterator[Boxes]:
    """Boxes in native px, per image and in order: at most 300, score > .001, clipped; class-wise NMS at IoU .7, or the
    queries of a net that is fed stretched images as they are."""
    for frame, output in outputs(net, images, fit):
        found = queried(output, fit.size) if fit.stretched else suppress(output)
        xyxy, scores, labels = (tensor.cpu().numpy() for tensor in found)
        yield Boxes(frame.native(xyxy).astype(np.float32), labels, scores)


def suppress(output: torch.Tensor) -> Found:
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


def queried(output: torch.Tensor, size: int) -> Found:
    """RT-DETR's (Q, 6) for one image, centre x, y, width, height as shares of its square, score, class → in net px.

    Scores above .001, best first; no suppression: a query is meant to be an object.
    """
    found = output[output[:, 4] > MIN_SCORE]
    found = found[found[:, 4].argsort(descending=True, stable=True)][:MAX_BOXES]
    return box_convert(found[:, :4] * size, "cxcywh", "xyxy"), found[:, 4], found[:, 5].long()
