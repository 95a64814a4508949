"""Releases written by hand, with Pillow, SimpleITK and plain text alone, to test readers on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.conftest import Compose
from usbench.datasets import source
from usbench.datasets.config import DatasetConfig
from usbench.datasets.dataset import Dataset
from usbench.types import Task

GREY = {".": 0, "#": 255}  # how `draw` reads a drawing, unless it is told otherwise


def draw(rows: Sequence[str], values: Mapping[str, Any] = GREY) -> NDArray[np.uint8]:
    """A drawing, a character for each pixel, as an array of the characters' values."""
    return np.array([[values[character] for character in row] for row in rows], np.uint8)


def save(path: Path, pixels: NDArray[np.uint8], mode: str | None = None, **options: Any) -> None:
    """Save a picture, in one of Pillow's modes if it is given, in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(path, **options)


def save_volume(
    path: Path, voxels: NDArray[Any], mm_per_px: tuple[float, float] = (1.0, 1.0)
) -> None:
    """Save a volume (…, row, column) in the format of the suffix; mm_per_px: row, column."""
    import SimpleITK  # slow to import, and few tests need it

    path.parent.mkdir(parents=True, exist_ok=True)
    volume = SimpleITK.GetImageFromArray(voxels)
    volume.SetSpacing([*mm_per_px[::-1], *[1.0] * (volume.GetDimension() - 2)])
    SimpleITK.WriteImage(volume, str(path))


def save_text(path: Path, *lines: str, end: str = "\n") -> None:
    """Save lines of text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{line}{end}" for line in lines).encode())


def speckle(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Grey pixels of an image, of no meaning."""
    return np.random.default_rng(seed).integers(20, 236, (height, width), dtype=np.uint8)


def open_release(
    compose: Compose, name: str, task: Task, root: Path, *overrides: str, fold: int | None = None
) -> Dataset:
    """A release as a run opens it, by its YAML."""
    node = compose(f"dataset={name}", *overrides)["dataset"]
    dataset = DatasetConfig.from_mapping(node)
    if fold is None and dataset.split.released_folds:
        fold = 0
    return source.open_dataset(dataset, task, root, phantom=False, fold=fold)


def index_release(compose: Compose, name: str, task: Task, root: Path) -> list[Any]:
    """The records of a release as its layout lists them, before they are divided."""
    dataset = DatasetConfig.from_mapping(compose(f"dataset={name}")["dataset"])
    return source.build_layout(dataset, task, phantom=False).index(root)
