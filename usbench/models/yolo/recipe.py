"""What a configuration may say: the families of ultralytics' nets, their sizes, their recipes.

A recipe becomes each argument of ultralytics' trainer that affects the weights. Where it is silent
usbench's own defaults hold: none is left to the package, so that an upgrade changes nothing
silently (a test compares the list with the installed package). Ultralytics isn't imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from usbench.errors import ConfigError
from usbench.models import Recipe, look_up
from usbench.models.optimise import count_parts

Kind = Literal["boxes", "queries", "points"]
Plans = Mapping[str, tuple[str, str]]  # size → (plan below the package's cfg/models, scale in it)


@dataclass(frozen=True)
class Family:
    """One architecture in several sizes.

    What its net gives is its kind:
    - boxes: of each cell of its grids, thinned out by non-maximum suppression.
    - queries: a fixed number of boxes, meant to be one per object, from an image stretched to a
      square.
    - points: one instance per image, with a place and a presence for each name.
    """

    name: str
    kind: Kind
    plans: Plans
    file: str  # of the published weights, with the size as {}


@dataclass(frozen=True)
class Net:
    """One architecture, fully determined."""

    family: Family
    size: str
    classes: int  # of the boxes, or how many names the points have
    options: Mapping[str, int] = field(default_factory=dict)  # of DECODER

    @property
    def label(self) -> str:
        """What the package calls this net, such as yolov5su."""
        return self.family.file.format(self.size).removesuffix(".pt")


def five_sizes(plan: str) -> Plans:
    """The plans of a family in the sizes n, s, m, l and x."""
    return {size: (plan, size) for size in "nsmlx"}


YOLOV8_RTDETR = "v8/yolov8-rtdetr.yaml"  # YOLOv8's backbone, RT-DETR's decoder
RTDETR_PLANS: Plans = {
    "n": (YOLOV8_RTDETR, "n"),
    "s": (YOLOV8_RTDETR, "s"),
    "m": (YOLOV8_RTDETR, "m"),
    "l": ("rt-detr/rtdetr-l.yaml", "l"),  # as published, on HGNetv2, and x
    "x": ("rt-detr/rtdetr-x.yaml", "x"),
    "resnet50": ("rt-detr/rtdetr-resnet50.yaml", "l"),
    "resnet101": ("rt-detr/rtdetr-resnet101.yaml", "l"),
}
FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family("yolov8", "boxes", five_sizes("v8/yolov8.yaml"), "yolov8{}.pt"),
        # Anchor-free: not YOLOv5 v7.0.
        Family("yolov5u", "boxes", five_sizes("v5/yolov5.yaml"), "yolov5{}u.pt"),
        Family("yolo11", "boxes", five_sizes("11/yolo11.yaml"), "yolo11{}.pt"),
        Family("yolo26", "boxes", five_sizes("26/yolo26.yaml"), "yolo26{}.pt"),
        Family("rtdetr", "queries", RTDETR_PLANS, "rtdetr-{}.pt"),
        Family("yolov8_pose", "points", five_sizes("v8/yolov8-pose.yaml"), "yolov8{}-pose.pt"),
    )
}
DECODER: Mapping[str, int] = {  # of RT-DETR, in the package's order, as published
    "width": 256,
    "queries": 300,
    "points": 4,
    "heads": 8,
    "layers": 6,
    "feedforward": 1024,
}


def choose_net(family: str, size: str, classes: int, options: Mapping[str, int] | None) -> Net:
    """The net that a configuration names.

    Raises:
        ConfigError: a family, size, number or option that doesn't exist.
    """
    chosen = look_up(FAMILIES, family, "model.build.family")
    look_up(chosen.plans, size, f"{family}: size")
    if classes < 1:
        raise ConfigError(f"{family}: expected at least one class, got {classes}")
    known = DECODER if chosen.kind == "queries" else {}

    for key, value in (options or {}).items():
        if key not in known or type(value) is not int or value < 1:
            raise ConfigError(
                f"{family}: options: expected whole numbers from 1 on for "
                f"{', '.join(known) or 'none'}, got {key}={value}"
            )
    return Net(chosen, size, classes, options or {})


# ---- recipes

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
MIXES = ("mosaic", "mixup", "cutmix")  # several images in one
AUGMENT: Mapping[str, float] = {
    **dict.fromkeys(("fliplr", "flipud", "degrees", "translate", "scale", "shear"), 0.0),
    **dict.fromkeys(("perspective", "hsv_h", "hsv_s", "hsv_v", "bgr"), 0.0),
    **dict.fromkeys((*MIXES, "multi_scale"), 0.0),
    "close_mosaic": 0,  # mosaic is off in the last so many epochs
}
FOR_PEOPLE = ("size", "unstated", "note")  # keys of a recipe that the trainer doesn't read
IGNORED: Mapping[str, tuple[str, ...]] = {  # what a kind's trainer would take and ignore
    "boxes": (),
    "queries": ("rect", "box", "cls", "dfl"),  # a stretched square; a loss with its own weights
    "points": MIXES,  # there is one instance per image
}
FIXED: Mapping[str, object] = {
    **dict.fromkeys(("cfg", "time", "classes", "quantize", "distill_model", "auto_augment"), None),
    **dict.fromkeys(("cache", "pretrained", "cls_remap", "verbose", "single_cls"), False),
    **dict.fromkeys(("resume", "profile", "compile", "channels_last", "plots"), False),
    **dict.fromkeys(("save_json", "agnostic_nms"), False),
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
    if missing := [key for key in REQUIRED if recipe.get(key) is None]:
        raise ConfigError(f"{name}: the recipe lacks '{missing[0]}'")
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
