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
from typing import Any, cast

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
BATCH = 16  # images predicted together where an image's last bits may depend on its neighbours

Image8 = NDArray[np.uint8]  # (H, W)
# xyxy (N, 4) in net px, scores (N,), labels (N,); best first
Detections = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
# A target, its image's height and width → the lines of its label.
LabelLines = Callable[[Target, int, int], Iterable[str]]


@dataclass(frozen=True)
class Fit:
    """How images come into the net."""

    size: int  # of its input, px: the long side
    rect: bool  # padded to whole strides instead of to a square
    device: str
    stretched: bool = False  # to the square, without any padding

    def fitted_size(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Height and width, px, of an image of `shape` resized to the net's input, not padded."""
        if self.stretched:
            return self.size, self.size
        height, width = (min(math.ceil(n * self.size / max(shape)), self.size) for n in shape)
        return height, width


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


@dataclass(frozen=True)
class Input:
    """An image as the net reads it."""

    pixels: Image8  # padded
    frame: Frame


# A net in eval mode, inputs, and how many may share a batch → a prediction of each.
Predict = Callable[[Any, Iterable[Input], int], Iterator[Target]]


def resize(image: Image8, fit: Fit) -> Image8:
    """An image in the net's pixels, bilinear, not padded."""
    height, width = fit.fitted_size(image.shape)
    return cast(Image8, cv2.resize(image, (width, height)))


def fit_image(image: Image8, fit: Fit) -> Input:
    """An image resized and padded to the net's input."""
    resized = resize(image, fit)
    (height, width), (h, w) = image.shape, resized.shape
    rows = math.ceil(h / STRIDE) * STRIDE if fit.rect else fit.size
    columns = math.ceil(w / STRIDE) * STRIDE if fit.rect else fit.size
    top, left = (rows - h) // 2, (columns - w) // 2
    canvas = np.full((rows, columns), PAD, np.uint8)
    canvas[top : top + h, left : left + w] = resized
    offset, scale = np.array([left, top]), np.array([width / w, height / h])
    return Input(canvas, Frame(height, width, offset, scale))


def outputs(
    net: Any, inputs: Iterable[Input], device: str, batch: int
) -> Iterator[tuple[Frame, torch.Tensor]]:
    """The net's output for each input, in order.

    Args:
        batch: how many neighbours of one shape the net sees together. The last bits of an output
            may depend on them.
    """
    for _, same_shape in groupby(inputs, key=lambda item: item.pixels.shape):
        while group := list(islice(same_shape, batch)):
            pixels = np.stack([item.pixels for item in group])
            frames = (item.frame for item in group)
            yield from zip(frames, run_net(net, pixels, device), strict=True)


@torch.no_grad()
def run_net(net: Any, pixels: NDArray[np.uint8], device: str) -> torch.Tensor:
    """The net's output (B, …) float32 for grey images (B, h, w)."""
    images = torch.from_numpy(pixels).to(device)[:, None].expand(-1, 3, -1, -1).float() / 255
    output: torch.Tensor = net(images.contiguous(memory_format=torch.channels_last))[0].float()
    return output


def predict_boxes(net: Any, inputs: Iterable[Input], fit: Fit, batch: int = 1) -> Iterator[Boxes]:
    """Yield the boxes of each image in native px, clipped: at most 300, with scores above .001.

    After suppression within a class at IoU .7; of a net that is fed stretched images, its queries
    as they are.
    """
    for frame, output in outputs(net, inputs, fit.device, batch):
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
    folder: Path, split: str, samples: Sequence[Sample], label_lines: LabelLines, fit: Fit
) -> tuple[int, int]:
    """Write grey images and YOLO labels below folder; the number of images and of boxes.

    The images are in the net's pixels and not compressed: the trainer reads them in each epoch.
    """
    images, labels = folder / "images" / split, folder / "labels" / split
    images.mkdir(parents=True, exist_ok=True)
    labels.mkdir(parents=True, exist_ok=True)
    boxes = 0
    for number, sample in enumerate(samples, start=1):
        height, width = sample.image.shape
        # Without duplicates, which ultralytics drops.
        lines = list(dict.fromkeys(label_lines(sample.target, height, width)))
        boxes += len(lines)
        Image.fromarray(resize(sample.image, fit)).save(images / f"{number:06d}.bmp")
        (labels / f"{number:06d}.txt").write_text("".join(lines), encoding="utf-8")
    return len(samples), boxes


def box_lines(boxes: Target, height: int, width: int) -> Iterator[str]:
    """A line per box: class, centre and size as shares of the image."""
    assert isinstance(boxes, Boxes)
    for (x1, y1, x2, y2), label in zip(boxes.xyxy.astype(np.float64), boxes.labels, strict=True):
        centre = f"{(x1 + x2) / 2 / width:.9f} {(y1 + y2) / 2 / height:.9f}"
        yield f"{label} {centre} {(x2 - x1) / width:.9f} {(y2 - y1) / height:.9f}\n"
