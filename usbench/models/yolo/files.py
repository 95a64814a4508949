"""What a YOLO run keeps below its folder: grey pictures with YOLO labels for ultralytics' loader, and checkpoints.

Knows the label syntax (class, centre and size as shares of the image) and how a file is replaced whole. Ultralytics
itself isn't imported here.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from usbench.io import console
from usbench.types import Boxes, Sample, Target

Lines = Callable[
    [Target, int, int], Iterable[str]
]  # a target, its image's height and width → lines of its label


def write_split(
    folder: Path, split: str, samples: Sequence[Sample], lines_of: Lines
) -> tuple[int, int]:
    """Grey PNGs and YOLO labels below folder; the number of images and of boxes."""
    images, labels = folder / "images" / split, folder / "labels" / split
    images.mkdir(parents=True, exist_ok=True)
    labels.mkdir(parents=True, exist_ok=True)
    boxes = 0
    for number, sample in enumerate(samples, start=1):
        height, width = sample.image.shape
        lines = list(
            dict.fromkeys(lines_of(sample.target, height, width))
        )  # it drops a line said twice
        boxes += len(lines)
        Image.fromarray(sample.image).save(images / f"{number:06d}.png", compress_level=1)
        (labels / f"{number:06d}.txt").write_text("".join(lines), encoding="utf-8")
    return len(samples), boxes


def label_lines(boxes: Target, height: int, width: int) -> Iterator[str]:
    """A line per box: class, centre and size as shares of the image."""
    assert isinstance(boxes, Boxes)
    for (x1, y1, x2, y2), label in zip(boxes.xyxy.astype(np.float64), boxes.labels, strict=True):
        centre = (
            (x1 + x2) / 2 / width,
            (y1 + y2) / 2 / height,
            (x2 - x1) / width,
            (y2 - y1) / height,
        )
        yield f"{label} " + " ".join(f"{v:.9f}" for v in centre) + "\n"


def save(state: Mapping[str, Any], folder: Path) -> None:
    """A checkpoint of a finished epoch; the last two are kept."""
    write(folder / f"checkpoint-{state['epoch'] + 1:05d}.pt", state)
    for old in sorted(folder.glob("checkpoint-*.pt"))[:-2]:
        old.unlink()


def newest(folder: Path) -> dict[str, Any] | None:
    """The newest checkpoint that can be read."""
    states = (read(path) for path in sorted(folder.glob("checkpoint-*.pt"), reverse=True))
    return next((state for state in states if state is not None), None)


def write(path: Path, content: Any) -> None:
    """torch.save beside, then rename: a reader sees all of it or the file before it."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    beside = path.with_name(f"{path.name}.part")
    beside.write_bytes(buffer.getvalue())
    beside.replace(path)


def read(path: Path, tensors_only: bool = True) -> dict[str, Any] | None:
    """A file of _write, or None where there is none; a damaged one is reported and removed."""
    if not path.exists():
        return None
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=tensors_only)
    except Exception as damage:  # noqa: BLE001  (whatever the unpickler makes of any bytes)
        console.warn(
            f"{path}: damaged ({type(damage).__name__}); going on from what was written before it"
        )
        path.unlink()
        return None
    return content
