"""What an nnU-Net run keeps below its folder: the raw data set, its recipe, its best weights.

Knows the raw format (Dataset001_…/imagesTr/CASE_0000.png, labelsTr/CASE.png with 0 for the
background, dataset.json, splits_final.json) and what a recipe may say. nnU-Net itself isn't
imported here.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import chain
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from usbench.errors import ConfigError, DataError
from usbench.io.console import track
from usbench.io.files import JsonObject, write_atomically
from usbench.models import Recipe as StatedRecipe
from usbench.models.arrays import exclusive_planes, index_of
from usbench.models.checkpoints import list_checkpoints
from usbench.types import Sample

DATASET = "Dataset001_usbench"
STRIDE = 32  # px, what a size is a multiple of
MAX_CLASSES = 255  # that fit an 8-bit label beside the background
STAGES = 3  # at least: of two, nnU-Net's deep supervision would give the only loss no weight


@dataclass(frozen=True)
class Recipe:
    """A recipe that was checked; None is nnU-Net's own value, or its planner's."""

    epochs: int
    iterations: int | None  # of an epoch; nnU-Net's own: 250
    validate_every: int  # epochs
    batch: int | None
    size: tuple[int, int] | None  # of a patch, height and width
    features: tuple[int, ...] | None  # of each stage, the finest first
    spacing: float | None  # native px per px of the net; the planner's own: 1
    lr: float | None
    weight_decay: float | None
    augment: bool  # nnU-Net's own augmentation, or none
    mirror: tuple[int, ...] | None  # axes (0 vertical, 1 horizontal), in training and prediction


KNOWN = {field.name for field in fields(Recipe)} | {"unstated", "note"}  # keys of a recipe


def parse_recipe(recipe: StatedRecipe) -> Recipe:
    """Check the recipe of a YAML; ConfigError naming the key that can't be."""
    if unknown := sorted(recipe.keys() - KNOWN):
        raise ConfigError(
            f"nnunet: unknown recipe key '{unknown[0]}'; known: {', '.join(sorted(KNOWN))}"
        )
    if recipe.get("augment"):
        raise ConfigError(
            "nnunet: recipe.augment: expected null (nnU-Net's own) or {} (none), "
            f"got {recipe['augment']!r}; see mirror too"
        )
    for key in ("epochs", "iterations", "validate_every", "batch"):
        value = recipe.get(key)
        if (value is not None or key == "epochs") and (type(value) is not int or value < 1):
            raise ConfigError(
                f"nnunet: recipe.{key}: expected a whole number from 1 on, got {value!r}"
            )
    size, features, mirror = recipe.get("size"), recipe.get("features"), recipe.get("mirror")
    if size is not None and (isinstance(size, int) or len(size) != 2):
        raise ConfigError(f"nnunet: recipe.size: expected height and width, got {size!r}")
    parsed = Recipe(
        epochs=int(recipe["epochs"]),
        iterations=recipe.get("iterations"),
        validate_every=recipe.get("validate_every") or 1,
        batch=recipe.get("batch"),
        size=None if size is None else (int(size[0]), int(size[1])),
        features=None if features is None else tuple(int(count) for count in features),
        spacing=parse_number(recipe, "spacing"),
        lr=parse_number(recipe, "lr"),
        weight_decay=parse_number(recipe, "weight_decay"),
        augment=recipe.get("augment") is None,
        mirror=None if mirror is None else tuple(mirror),
    )
    check_recipe(parsed)
    return parsed


def parse_number(recipe: StatedRecipe, key: str) -> float | None:
    """A number of 0 or more, or None where it isn't stated."""
    value = recipe.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise ConfigError(
            f"nnunet: recipe.{key}: expected a number of 0 or more, or null, got {value!r}"
        )
    return float(value)


def check_recipe(recipe: Recipe) -> None:
    """Raise ConfigError for values that don't fit nnU-Net or one another."""
    size, features, mirror = recipe.size, recipe.features, recipe.mirror
    faults = {
        f"size: expected multiples of {STRIDE}, got {size}": (
            size is not None and (min(size) < STRIDE or any(side % STRIDE for side in size))
        ),
        f"features: expected {STAGES} stages or more, got {features}": (
            features is not None and (len(features) < STAGES or min(features) < 1)
        ),
        "features: state recipe.size with it": features is not None and size is None,
        "spacing: expected native px per px of the net, got 0": recipe.spacing == 0,
        f"mirror: expected axes of 0 and 1, got {mirror}": not {*(mirror or ())} <= {0, 1},
    }
    for fault, present in faults.items():
        if present:
            raise ConfigError(f"nnunet: recipe.{fault}")


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
