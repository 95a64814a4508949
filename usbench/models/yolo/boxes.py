"""Boxes and a net of ultralytics: as labels that its loader reads, and predicted for grey images.

A label's line is the class, centre and size as shares of the image.

An image is fitted into the net's input as ultralytics' loader does: long side resized bilinearly,
centred on grey 114; for RT-DETR stretched to the square. Non-maximum suppression is torchvision's:
ultralytics' own gives the same boxes, but leaves the rest of a batch without any when its time
limit runs out. Needs no ultralytics.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.ops import batched_nms, box_convert

from usbench.models.yolo.recipe import MAX_BOXES, MIN_SCORE, NMS_IOU, STRIDE
from usbench.types import Boxes, Sample, Target

PAD = 114  # grey level around a letterboxed image, as around an augmented one
CANDIDATES = 30_000  # best boxes of an image that go into the suppression; as their max_nms
# Images of one size predicted together on a GPU. On a CPU one by one: no slower, and exact.
GPU_BATCH = 16

Image8 = NDArray[np.uint8]  # (H, W)
# xyxy (N, 4) in net px, scores (N,), labels (N,); best first
Detections = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
# A net in eval mode and images → a prediction of each.
Predict = Callable[[Any, Iterable[Image8]], Iterator[Target]]
# A target, its image's height and width → the lines of its label.
LabelLines = Callable[[Target, int, int], Iterable[str]]


@dataclass(frozen=True)
class Fit:
    """How images come into the net."""

    size: int  # of its input, px: the long side
    rect: bool  # padded to whole strides instead of to a square
    device: str
    stretched: bool = False  # to the square, without any padding


@dataclass(frozen=True)
class Frame:
    """Where an image lies in the net's input. Coordinates in both are of edges."""

    height: int  # native px
    width: int
    offset: NDArray[np.int64]  # x, y in net px
    scale: NDArray[np.float64]  # x, y: native px per net px

    def to_native(self, xy: NDArray[np.floating]) -> NDArray[np.float64]:
        """Places (…, 2), or boxes (…, 4), of the net's input in the image, clipped to it."""
        pairs = xy.shape[-1] // 2
        moved = (xy - np.tile(self.offset, pairs)) * np.tile(self.scale, pairs)
        return np.clip(moved, 0, np.array([self.width, self.height] * pairs, np.float64))


def outputs(net: Any, images: Iterable[Image8], fit: Fit) -> Iterator[tuple[Frame, torch.Tensor]]:
    """The net's output for each image, in order.

    It doesn't depend on an image's neighbours: only images of one shape share a batch.
    """

    limit = 1 if fit.device == "cpu" else GPU_BATCH
    for _, same_shape in groupby(images, key=np.shape):
        while batch := list(islice(same_shape, limit)):
            yield from outputs_of_one_shape(net, batch, fit)


@torch.no_grad()
def outputs_of_one_shape(
    net: Any, images: Sequence[Image8], fit: Fit
) -> list[tuple[Frame, torch.Tensor]]:
    """The net's outputs for images of one shape, predicted as one batch."""
    height, width = images[0].shape
    h, w = fitted_side(height, max(height, width), fit), fitted_side(width, max(height, width), fit)
    rows = math.ceil(h / STRIDE) * STRIDE if fit.rect else fit.size
    columns = math.ceil(w / STRIDE) * STRIDE if fit.rect else fit.size
    top, left = (rows - h) // 2, (columns - w) // 2
    canvas = np.full((len(images), rows, columns), PAD, np.uint8)
    for place, image in zip(canvas, images, strict=True):
        place[top : top + h, left : left + w] = cv2.resize(image, (w, h))  # bilinear
    pixels = torch.from_numpy(canvas).to(fit.device)[:, None].expand(-1, 3, -1, -1).float() / 255
    frame = Frame(height, width, np.array([left, top]), np.array([width / w, height / h]))
    return [(frame, output) for output in net(pixels)[0].float()]


def fitted_side(side: int, longest: int, fit: Fit) -> int:
    """A side of an image, px, when its longest side is resized to the net's input."""
    return fit.size if fit.stretched else min(math.ceil(side * fit.size / longest), fit.size)


def predict_boxes(net: Any, images: Iterable[Image8], fit: Fit) -> Iterator[Boxes]:
    """Yield the boxes of each image in native px, clipped: at most 300, with scores above .001.

    After suppression within a class at IoU .7; of a net that is fed stretched images, its queries
    as they are.
    """
    for frame, output in outputs(net, images, fit):
        detections = read_queries(output, fit.size) if fit.stretched else suppress(output)
        xyxy, scores, labels = (tensor.cpu().numpy() for tensor in detections)
        yield Boxes(frame.to_native(xyxy).astype(np.float32), labels, scores)


def suppress(output: torch.Tensor) -> Detections:
    """Read one image's output by non-maximum suppression within a class, best first.

    An anchor stands for each class that it scores above .001.

    Args:
        output: (4 + C, A): centre x, y, width, height and C scores.
    """
    labels, anchors = (output[4:] > MIN_SCORE).nonzero(as_tuple=True)
    scores, best = output[4:][labels, anchors].sort(descending=True, stable=True)
    scores, best = scores[:CANDIDATES], best[:CANDIDATES]
    labels = labels[best]
    xyxy = box_convert(output[:4].T[anchors[best]], "cxcywh", "xyxy")
    keep = batched_nms(xyxy, scores, labels, NMS_IOU)[:MAX_BOXES]
    return xyxy[keep], scores[keep], labels[keep]


def read_queries(output: torch.Tensor, size: int) -> Detections:
    """Read RT-DETR's output for one image: scores above .001, best first.

    No suppression: a query is meant to be an object.

    Args:
        output: (Q, 6): centre x, y, width, height as shares of the square, score, class.
        size: of the square, px.
    """
    queries = output[output[:, 4] > MIN_SCORE]
    queries = queries[queries[:, 4].argsort(descending=True, stable=True)][:MAX_BOXES]
    return box_convert(queries[:, :4] * size, "cxcywh", "xyxy"), queries[:, 4], queries[:, 5].long()


# ---- labels


def write_split(
    folder: Path, split: str, samples: Sequence[Sample], label_lines: LabelLines
) -> tuple[int, int]:
    """Write grey PNGs and YOLO labels below folder; the number of images and of boxes."""
    images, labels = folder / "images" / split, folder / "labels" / split
    images.mkdir(parents=True, exist_ok=True)
    labels.mkdir(parents=True, exist_ok=True)
    boxes = 0
    for number, sample in enumerate(samples, start=1):
        height, width = sample.image.shape
        # Without duplicates, which ultralytics drops.
        lines = list(dict.fromkeys(label_lines(sample.target, height, width)))
        boxes += len(lines)
        Image.fromarray(sample.image).save(images / f"{number:06d}.png", compress_level=1)
        (labels / f"{number:06d}.txt").write_text("".join(lines), encoding="utf-8")
    return len(samples), boxes


def box_lines(boxes: Target, height: int, width: int) -> Iterator[str]:
    """A line per box: class, centre and size as shares of the image."""
    assert isinstance(boxes, Boxes)
    for (x1, y1, x2, y2), label in zip(boxes.xyxy.astype(np.float64), boxes.labels, strict=True):
        centre = f"{(x1 + x2) / 2 / width:.9f} {(y1 + y2) / 2 / height:.9f}"
        yield f"{label} {centre} {(x2 - x1) / width:.9f} {(y2 - y1) / height:.9f}\n"
