"""What an nnU-Net run keeps below its folder: the raw data set in its format, its recipe, checkpoints and best weights.

Knows the raw format (Dataset001_…/imagesTr/CASE_0000.png, labelsTr/CASE.png with 0 for the background, dataset.json,
splits_final.json) and what a recipe may say. nnU-Net itself isn't imported here.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from usbench.errors import ConfigError, DataError
from usbench.io.console import track
from usbench.types import Masks, Sample

DATASET = "Dataset001_usbench"
STRIDE = 32  # px, what a size is a multiple of
MOST = 255  # classes that fit an 8-bit label beside the background
STAGES = 3  # at least: of two, nnU-Net's deep supervision would give the only loss no weight
WORDS = ("unstated", "note")  # what a recipe says to people
KNOWN = (
    "epochs",
    "iterations",
    "validate_every",
    "batch",
    "size",
    "features",
    "spacing",
    "lr",
    "weight_decay",
)


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
    mirror: tuple[int, ...] | None  # axes (0 vertical, 1 horizontal), in training and in prediction


def told(recipe: Mapping[str, Any]) -> Recipe:
    """The recipe of a YAML. Raises ConfigError naming the key that can't be."""
    known = {*KNOWN, *WORDS, "augment", "mirror"}
    for key in (key for key in recipe if key not in known):
        raise ConfigError(f"nnunet: unknown recipe key '{key}'; known: {', '.join(sorted(known))}")
    if recipe.get("augment"):
        raise ConfigError(
            f"nnunet: augment is null (nnU-Net's own) or {{}} (none), not {recipe['augment']!r}; see mirror too"
        )
    size, features, mirror = (recipe.get(key) for key in ("size", "features", "mirror"))
    given = Recipe(
        epochs=_whole(recipe, "epochs", needed=True) or 1,
        iterations=_whole(recipe, "iterations"),
        validate_every=_whole(recipe, "validate_every") or 1,
        batch=_whole(recipe, "batch"),
        size=None if size is None else _sides(size),
        features=None if features is None else tuple(int(count) for count in features),
        spacing=_figure(recipe, "spacing"),
        lr=_figure(recipe, "lr"),
        weight_decay=_figure(recipe, "weight_decay"),
        augment=recipe.get("augment") is None,
        mirror=None if mirror is None else tuple(mirror),
    )
    _check(given)
    return given


def _whole(recipe: Mapping[str, Any], key: str, needed: bool = False) -> int | None:
    value = recipe.get(key)
    if value is None and not needed:
        return None
    if type(value) is not int or value < 1:
        raise ConfigError(f"nnunet: recipe.{key} is a whole number from 1 on, not {value!r}")
    return value


def _sides(size: Any) -> tuple[int, int]:
    if isinstance(size, int) or len(size) != 2:
        raise ConfigError(f"nnunet: recipe.size: height and width were wanted, found {size!r}")
    return int(size[0]), int(size[1])


def _figure(recipe: Mapping[str, Any], key: str) -> float | None:
    value = recipe.get(key)
    if value is not None and (
        isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0
    ):
        raise ConfigError(f"nnunet: recipe.{key} is a figure of 0 or more, or null; not {value!r}")
    return None if value is None else float(value)


def _check(recipe: Recipe) -> None:
    if recipe.size is not None and (
        min(recipe.size) < STRIDE or any(side % STRIDE for side in recipe.size)
    ):
        raise ConfigError(
            f"nnunet: recipe.size: multiples of {STRIDE} were wanted, found {recipe.size}"
        )
    if recipe.features is not None and (len(recipe.features) < STAGES or min(recipe.features) < 1):
        raise ConfigError(
            f"nnunet: recipe.features: {STAGES} stages or more were wanted, found {recipe.features}"
        )
    if recipe.features is not None and recipe.size is None:
        raise ConfigError("nnunet: recipe.features: a recipe.size was wanted with them, found none")
    if recipe.spacing == 0:
        raise ConfigError(
            "nnunet: recipe.spacing: native px per px of the net were wanted, found 0"
        )
    if recipe.mirror is not None and not {*recipe.mirror} <= {0, 1}:
        raise ConfigError(
            f"nnunet: recipe.mirror: axes 0 and 1 are there, found {list(recipe.mirror)}"
        )


# ---- the raw data set


def write_raw(
    raw: Path, prepared: Path, train: Sequence[Sample], val: Sequence[Sample], classes: int
) -> None:
    """The raw data set below raw and, below prepared, the split that makes it nnU-Net's fold 0.

    Cases are named after their split and number, not after their ids. Raises DataError where there is nothing to learn
    from or to choose by, and for classes that overlap or aren't known.
    """
    folder = raw / DATASET
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    split: dict[str, list[str]] = {"train": [], "val": []}
    marked = 0
    for name, samples in (("train", train), ("val", val)):
        for number, sample in enumerate(track(samples, f"writing {name}", len(samples)), start=1):
            label = label_map(sample)
            marked += int(name == "train" and label.any())
            split[name].append(f"{name}_{number:06d}")
            Image.fromarray(sample.image).save(
                folder / f"imagesTr/{split[name][-1]}_0000.png", compress_level=1
            )
            Image.fromarray(label).save(
                folder / f"labelsTr/{split[name][-1]}.png", compress_level=1
            )
    if not marked or not split["val"]:
        raise DataError(
            f"nnunet: nothing to learn from: {marked} of {len(train)} training images have an object, "
            f"{len(split['val'])} images in val"
        )
    write_json(folder / "dataset.json", described(classes, [*split["train"], *split["val"]]))
    write_json(prepared / DATASET / "splits_final.json", [split])


def described(classes: int, cases: Iterable[str] = ()) -> dict[str, Any]:
    """A dataset.json; with its cases it names their files, relative to itself."""
    files = {
        case: {"images": [f"imagesTr/{case}_0000.png"], "label": f"labelsTr/{case}.png"}
        for case in cases
    }  # else nnU-Net lists the folder with twelve processes
    facts = {
        "channel_names": {
            "0": "ultrasound"
        },  # a name that it doesn't know: the z-score of each image
        "labels": {
            "background": 0,
            **{f"class {number}": number for number in range(1, classes + 1)},
        },
        "file_ending": ".png",
        "overwrite_image_reader_writer": "NaturalImage2DIO",
    }
    return {**facts, "numTraining": len(files), "dataset": files} if files else facts


def label_map(sample: Sample) -> NDArray[np.uint8]:
    """(H, W): 0 background, c+1 the class. DataError where two classes share a pixel or one isn't known."""
    masks = sample.target
    assert isinstance(masks, Masks)
    if masks.known is not None and not masks.known.all():
        raise DataError(
            f"{sample.id}: classes that exclude each other were wanted all known, found one that isn't"
        )
    if (masks.planes.sum(axis=0) > 1).any():
        raise DataError(
            f"{sample.id}: classes that exclude each other were wanted, found two in one pixel"
        )
    numbers = np.arange(1, len(masks.planes) + 1, dtype=np.uint8)[:, None, None]
    label: NDArray[np.uint8] = (masks.planes * numbers).max(axis=0)
    return label


def write_json(path: Path, content: Any) -> None:
    """Beside, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.part")
    beside.write_text(json.dumps(content, indent=1), encoding="utf-8")
    beside.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """What write_json, or nnU-Net, wrote."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


# ---- checkpoints


def checkpoints(folder: Path) -> list[Path]:
    """Of finished epochs, the newest first."""
    return sorted(folder.glob("checkpoint-*.pth"), reverse=True)


def best_of(folder: Path, epoch: int) -> Path:
    """Where the weights of an epoch that was the best so far lie."""
    return folder / f"epoch-{epoch:05d}.pt"


def forget(folder: Path, best: Iterable[int], keep: int = 2) -> None:
    """Remove all but so many checkpoints, and all weights but of the epochs that those call the best."""
    for old in checkpoints(folder)[keep:]:
        old.unlink()
    kept = {best_of(folder, epoch) for epoch in best}
    for weights in folder.glob("epoch-*.pt"):
        if weights not in kept:
            weights.unlink()
