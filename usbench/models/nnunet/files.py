"""What an nnU-Net run keeps below its folder: the raw data set and its best weights.

Knows the raw format (Dataset001_…/imagesTr/CASE_0000.png, labelsTr/CASE.png with 0 for the
background, dataset.json, splits_final.json). nnU-Net itself isn't imported here.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from usbench.errors import DataError
from usbench.io.console import track
from usbench.io.files import JsonObject, write_atomically
from usbench.models.arrays import exclusive_planes, index_of
from usbench.models.checkpoints import list_checkpoints
from usbench.types import Sample

DATASET = "Dataset001_usbench"
MAX_CLASSES = 255  # that fit an 8-bit label beside the background


# ---- the raw data set


def write_raw(
    raw: Path, prepared: Path, train: Sequence[Sample], val: Sequence[Sample], classes: int
) -> None:
    """Write the raw data set below raw and, below prepared, the split that is nnU-Net's fold 0.

    Cases are named after their split and number, not after their ids.

    Raises:
        DataError: there is nothing to learn from or to choose by, or classes overlap or are
            unknown.
    """
    folder = raw / DATASET
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    split: dict[str, list[str]] = {"train": [], "val": []}
    with_object = 0  # training images
    for name, samples in (("train", train), ("val", val)):
        for number, sample in enumerate(track(samples, f"writing {name}", len(samples)), start=1):
            label = label_map(sample)
            with_object += int(name == "train" and label.any())
            case = f"{name}_{number:06d}"
            split[name].append(case)
            image_path, label_path = (folder / path for path in case_paths(case))
            Image.fromarray(sample.image).save(image_path, compress_level=1)
            Image.fromarray(label).save(label_path, compress_level=1)
    if not with_object or not split["val"]:
        raise DataError(
            f"nnunet: nothing to learn from: {with_object} of {len(train)} training images have "
            f"an object, {len(split['val'])} images in val"
        )
    write_json(folder / "dataset.json", describe_dataset(classes, chain(*split.values())))
    write_json(prepared / DATASET / "splits_final.json", [split])


def case_paths(case: str) -> tuple[str, str]:
    """A case's image and label, relative to the data set's folder."""
    return f"imagesTr/{case}_0000.png", f"labelsTr/{case}.png"


def describe_dataset(classes: int, cases: Iterable[str] = ()) -> JsonObject:
    """A dataset.json.

    Args:
        cases: their files are named in it, relative to itself; otherwise nnU-Net would list the
            folder with twelve processes.
    """
    content: JsonObject = {
        "channel_names": {"0": "ultrasound"},  # a name that it doesn't know: z-score per image
        "labels": {"background": 0, **{f"class {n}": n for n in range(1, classes + 1)}},
        "file_ending": ".png",
        "overwrite_image_reader_writer": "NaturalImage2DIO",
    }
    files = {
        case: {"images": [case_paths(case)[0]], "label": case_paths(case)[1]} for case in cases
    }
    return {**content, "numTraining": len(files), "dataset": files} if files else content


def label_map(sample: Sample) -> NDArray[np.uint8]:
    """(H, W): 0 background, c+1 the class; DataError where classes overlap or are unknown."""
    planes = exclusive_planes(sample)
    if (planes.sum(axis=0) > 1).any():
        raise DataError(f"{sample.id}: expected exclusive classes, got two in one pixel")
    return index_of(planes)


def write_json(path: Path, content: object) -> None:
    """Write a JSON file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(content, indent=1).encode())


def read_json(path: Path) -> JsonObject:
    """Read what write_json, or nnU-Net, wrote."""
    return cast(JsonObject, json.loads(path.read_text(encoding="utf-8")))


# ---- weights


def epoch_weights(folder: Path, epoch: int) -> Path:
    """Where the weights of an epoch that was the best so far lie."""
    return folder / f"epoch-{epoch:05d}.pt"


def remove_old(folder: Path, best: Iterable[int], keep: int = 2) -> None:
    """Remove all but the newest checkpoints, and all weights but those of the best epochs.

    Args:
        best: the epochs that the kept checkpoints call the best.
        keep: how many checkpoints to keep.
    """
    for old in list_checkpoints(folder, ".pth")[keep:]:
        old.unlink()
    for weights in set(folder.glob("epoch-*.pt")) - {epoch_weights(folder, n) for n in best}:
        weights.unlink()
