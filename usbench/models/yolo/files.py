"""What a YOLO run keeps for ultralytics' loader: grey pictures with YOLO labels.

A label's line is the class, centre and size as shares of the image. Ultralytics itself isn't
imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from usbench.types import Boxes, Sample, Target

# A target, its image's height and width → the lines of its label.
LabelLines = Callable[[Target, int, int], Iterable[str]]


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
        centre = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height)
        size = ((x2 - x1) / width, (y2 - y1) / height)
        yield f"{label} " + " ".join(f"{v:.9f}" for v in (*centre, *size)) + "\n"
