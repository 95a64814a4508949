"""From a recipe of a YAML of conf/model to every argument of ultralytics' trainer that bears on the weights.

Knows ultralytics' names and the defaults that usbench chose for them: none is left to the package, so that an upgrade
changes nothing silently (a test holds the list against the installed package's). Imports neither it nor torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from usbench.errors import ConfigError
from usbench.models.yolo.families import FAMILIES, Family

OPTIMIZERS = ("SGD", "Adam", "AdamW", "NAdam", "RAdam", "RMSprop")  # never "auto": it ignores lr0
STRIDE = 32  # px, the coarsest grid: sides of the net's input are multiples of it
MIN_SCORE, NMS_IOU, MAX_BOXES = 0.001, 0.7, 300

REQUIRED = ("epochs", "batch", "imgsz", "optimizer", "lr0")
OPTIONAL: Mapping[str, Any] = {
    "rect": False,  # letterbox into the smallest rectangle of whole strides, not into a square
    "lrf": 0.01,  # last rate / lr0
    "momentum": 0.9,  # of SGD; beta 1 of Adam
    "weight_decay": 5e-4,
    "warmup_epochs": 3.0,
    "warmup_momentum": 0.8,
    "warmup_bias_lr": 0.0,  # theirs is .1, a hundred times a rate of Adam's
    "cos_lr": False,  # else linear
    "box": 7.5,
    "cls": 0.5,
    "dfl": 1.5,
    "freeze": None,
}
POINTS: Mapping[str, Any] = {
    "pose": 12.0,
    "kobj": 1.0,
}  # weights of place and presence in the loss of points
AUGMENT: Mapping[str, Any] = {
    **dict.fromkeys(
        ("fliplr", "flipud", "degrees", "translate", "scale", "shear", "perspective"), 0.0
    ),
    **dict.fromkeys(
        ("hsv_h", "hsv_s", "hsv_v", "bgr", "mosaic", "mixup", "cutmix", "multi_scale"), 0.0
    ),
    "close_mosaic": 0,  # mosaic is off in the last so many epochs
}
SEVERAL = ("mosaic", "mixup", "cutmix")  # images in one
WORDS = ("size", "unstated", "note")  # what a recipe says to the run and to people
UNHEARD: Mapping[str, tuple[str, ...]] = {  # what a kind's trainer would take and ignore
    "boxes": (),
    "queries": (
        "rect",
        "box",
        "cls",
        "dfl",
    ),  # stretched to a square; a loss with weights of its own
    "points": SEVERAL,  # there is one instance per image
}
FIXED: Mapping[str, Any] = {
    **dict.fromkeys(("cfg", "time", "classes", "quantize", "distill_model", "auto_augment"), None),
    **dict.fromkeys(
        ("cache", "pretrained", "cls_remap", "verbose", "single_cls", "resume", "profile"), False
    ),
    **dict.fromkeys(("compile", "channels_last", "plots", "save_json", "agnostic_nms"), False),
    **dict.fromkeys(("dis", "cls_pw", "dropout", "copy_paste", "erasing"), 0.0),
    **dict.fromkeys(("save", "val", "exist_ok", "deterministic"), True),
    "task": "detect",
    "mode": "train",
    "split": "val",
    "save_period": -1,
    "workers": 0,
    "fraction": 1.0,
    "conf": MIN_SCORE,
    "iou": NMS_IOU,
    "max_det": MAX_BOXES,
    "copy_paste_mode": "flip",
    "augmentations": [],  # None would let an installed albumentations add blur and CLAHE
}


def training_arguments(
    recipe: Mapping[str, Any], family: Family = FAMILIES["yolov8"]
) -> dict[str, Any]:
    """The trainer's arguments but for the run's own (folder, device, seed, precision).

    The weight decay is the recipe's as it stands and every batch is a step: their scaling to a nominal batch
    of 64 is off (nbs = batch). No early stop (patience = epochs). The trainer's batch is micro_batch where the recipe
    has one (see `parts`). Raises ConfigError naming the key that can't be.
    """
    name, augment = family.name, dict(recipe.get("augment") or {})
    optional = {**OPTIONAL, **(POINTS if family.kind == "points" else {})}
    known = {*REQUIRED, *optional, *WORDS, "augment", "micro_batch"} - {*UNHEARD[family.kind]}
    moves = {*AUGMENT} - {*UNHEARD[family.kind]}
    for key in [*(k for k in recipe if k not in known), *(k for k in augment if k not in moves)]:
        raise ConfigError(
            f"{name}: unknown recipe key '{key}'; known: {', '.join(sorted(known | moves))}"
        )
    for key in REQUIRED:
        if recipe.get(key) is None:
            raise ConfigError(f"{name}: the recipe lacks '{key}'")
    given = {k: v for k, v in recipe.items() if k not in (*WORDS, "augment", "micro_batch")}
    arguments = {**FIXED, **optional, **AUGMENT, **given, **augment}
    _check(arguments, name)
    batch = arguments["batch"] // parts(recipe, family)
    return {**arguments, "batch": batch, "nbs": batch, "patience": arguments["epochs"]}


def parts(recipe: Mapping[str, Any], family: Family = FAMILIES["yolov8"]) -> int:
    """Into how many parts a batch is divided whose gradients add up to one step; 1 without a micro_batch.

    Raises ConfigError where batch isn't a multiple of micro_batch.
    """
    batch, part = recipe["batch"], recipe.get("micro_batch")
    if part is None:
        return 1
    if type(part) is not int or part < 1 or batch % part:
        raise ConfigError(
            f"{family.name}: micro_batch divides the batch, {batch}, without rest; {part!r} doesn't"
        )
    return int(batch) // part


def _check(arguments: Mapping[str, Any], name: str) -> None:
    for key in ("epochs", "batch", "imgsz"):
        if type(arguments[key]) is not int or arguments[key] < 1:
            raise ConfigError(f"{name}: {key} is a whole number from 1 on, not {arguments[key]!r}")
    if arguments["imgsz"] % STRIDE or arguments["imgsz"] < 2 * STRIDE:
        raise ConfigError(
            f"{name}: imgsz is a multiple of {STRIDE} from {2 * STRIDE} on, not {arguments['imgsz']}"
        )
    if arguments["optimizer"] not in OPTIMIZERS:
        raise ConfigError(
            f"{name}: optimizer is one of {', '.join(OPTIMIZERS)}, not {arguments['optimizer']!r} ('auto' ignores lr0)"
        )
    if arguments["rect"] and any(arguments[key] for key in SEVERAL):
        raise ConfigError(
            f"{name}: rect=true silently drops mosaic, mixup and cutmix; set them to 0 or rect=false"
        )
