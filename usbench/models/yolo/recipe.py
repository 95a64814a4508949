"""From a recipe of conf/model to each argument of ultralytics' trainer that affects the weights.

Knows ultralytics' names and the defaults that usbench chose for them: none is left to the package,
so that an upgrade changes nothing silently (a test compares the list with the installed package).
Doesn't import it.
"""

from __future__ import annotations

from collections.abc import Mapping

from usbench.errors import ConfigError
from usbench.models import Recipe
from usbench.models.optimise import count_parts
from usbench.models.yolo.families import FAMILIES, Family

OPTIMIZERS = ("SGD", "Adam", "AdamW", "NAdam", "RAdam", "RMSprop")  # never "auto": it ignores lr0
STRIDE = 32  # px, the coarsest grid: sides of the net's input are multiples of it
MIN_SCORE, NMS_IOU, MAX_BOXES = 0.001, 0.7, 300

REQUIRED = ("epochs", "batch", "imgsz", "optimizer", "lr0")
OPTIONAL: Mapping[str, object] = {
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
POINTS: Mapping[str, float] = {"pose": 12.0, "kobj": 1.0}  # loss weights of place and presence
MOVES = ("fliplr", "flipud", "degrees", "translate", "scale", "shear", "perspective")
SHADES = ("hsv_h", "hsv_s", "hsv_v", "bgr")
MIXES = ("mosaic", "mixup", "cutmix")  # several images in one
AUGMENT: Mapping[str, float] = {
    **dict.fromkeys((*MOVES, *SHADES, *MIXES, "multi_scale"), 0.0),
    "close_mosaic": 0,  # mosaic is off in the last so many epochs
}
FOR_PEOPLE = ("size", "unstated", "note")  # keys of a recipe that the trainer doesn't read
IGNORED: Mapping[str, tuple[str, ...]] = {  # what a kind's trainer would take and ignore
    "boxes": (),
    "queries": ("rect", "box", "cls", "dfl"),  # a stretched square; a loss with its own weights
    "points": MIXES,  # there is one instance per image
}
NOTHING = ("cfg", "time", "classes", "quantize", "distill_model", "auto_augment")
OFF = (
    *("cache", "pretrained", "cls_remap", "verbose", "single_cls", "resume", "profile"),
    *("compile", "channels_last", "plots", "save_json", "agnostic_nms"),
)
ZERO = ("dis", "cls_pw", "dropout", "copy_paste", "erasing")
FIXED: Mapping[str, object] = {
    **dict.fromkeys(NOTHING, None),
    **dict.fromkeys(OFF, False),
    **dict.fromkeys(ZERO, 0.0),
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


def training_arguments(recipe: Recipe, family: Family = FAMILIES["yolov8"]) -> Recipe:
    """The trainer's arguments but for the run's own (folder, device, seed, precision).

    The weight decay is the recipe's as it stands and each batch is a step: their scaling to a
    nominal batch of 64 is off (nbs = batch). There is no early stop (patience = epochs). The
    trainer's batch is micro_batch where the recipe has one (see `optimise.count_parts`).

    Raises:
        ConfigError: naming the key that can't be.
    """
    name, augment = family.name, dict(recipe.get("augment") or {})
    optional = {**OPTIONAL, **(POINTS if family.kind == "points" else {})}
    ignored = set(IGNORED[family.kind])
    known = {*REQUIRED, *optional, *FOR_PEOPLE, "augment", "micro_batch"} - ignored
    steps = {*AUGMENT} - ignored
    if unknown := sorted((recipe.keys() - known) | (augment.keys() - steps)):
        raise ConfigError(
            f"{name}: unknown recipe key '{unknown[0]}'; known: {', '.join(sorted(known | steps))}"
        )
    for key in REQUIRED:
        if recipe.get(key) is None:
            raise ConfigError(f"{name}: the recipe lacks '{key}'")
    stated = {key: value for key, value in recipe.items() if key in {*REQUIRED, *optional}}
    arguments = {**FIXED, **optional, **AUGMENT, **stated, **augment}
    check_arguments(arguments, name)
    batch = arguments["batch"] // count_parts(arguments["batch"], recipe)
    return {**arguments, "batch": batch, "nbs": batch, "patience": arguments["epochs"]}


def check_arguments(arguments: Recipe, name: str) -> None:
    """Raise ConfigError for a value that the trainer would misread."""
    for key in ("epochs", "batch", "imgsz"):
        if type(arguments[key]) is not int or arguments[key] < 1:
            raise ConfigError(
                f"{name}: {key}: expected a whole number from 1 on, got {arguments[key]!r}"
            )
    if arguments["imgsz"] % STRIDE or arguments["imgsz"] < 2 * STRIDE:
        raise ConfigError(
            f"{name}: imgsz: expected a multiple of {STRIDE} from {2 * STRIDE} on, "
            f"got {arguments['imgsz']}"
        )
    if arguments["optimizer"] not in OPTIMIZERS:
        raise ConfigError(
            f"{name}: optimizer: expected one of {', '.join(OPTIMIZERS)}, "
            f"got {arguments['optimizer']!r} ('auto' ignores lr0)"
        )
    if arguments["rect"] and any(arguments[key] for key in MIXES):
        raise ConfigError(
            f"{name}: rect=true silently drops mosaic, mixup and cutmix; "
            "set them to 0 or rect=false"
        )
