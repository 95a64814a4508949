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
from usbench.models.loop_keys import MICRO_BATCH, OPTIONS, count_parts
from usbench.models.recipe_keys import FOR_PEOPLE, Keys, RecipeKey, Section, read_recipe
from usbench.models.value_kinds import (
    COUNT,
    NOT_NEGATIVE,
    POSITIVE,
    SHARE,
    Choice,
    Flag,
    ListOf,
    Number,
    OneOf,
    Text,
)

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

MIXES = ("mosaic", "mixup", "cutmix")  # several images in one
IGNORED: Mapping[str, tuple[str, ...]] = {  # what a kind's trainer would take and ignore
    "boxes": (),
    "queries": ("rect", "box", "cls", "dfl"),  # a stretched square; a loss with its own weights
    "points": MIXES,  # there is one instance per image
}


def has_no_mix(recipe: Recipe) -> str:
    """Whether a recipe that letterboxes into rectangles mixes no images."""
    mixed = recipe["rect"] and any(recipe["augment"].get(name) for name in MIXES)
    return "silently drops mosaic, mixup and cutmix; set them to 0 or rect=false" * bool(mixed)


AUGMENT: Keys = {
    "fliplr": RecipeKey(SHARE, "probability of a mirror image, left and right", 0.0),
    "flipud": RecipeKey(SHARE, "probability of a mirror image, up and down", 0.0),
    "degrees": RecipeKey(Number(low=0, high=180), "rotation by ± so much", 0.0),
    "translate": RecipeKey(SHARE, "± fraction of the side", 0.0),
    "scale": RecipeKey(SHARE, "a factor of 1 ± this", 0.0),
    "shear": RecipeKey(Number(low=0, high=180), "± degrees", 0.0),
    "perspective": RecipeKey(Number(low=0, high=0.001), "± of the projection", 0.0),
    "hsv_h": RecipeKey(SHARE, "± fraction of the hue", 0.0),
    "hsv_s": RecipeKey(SHARE, "± fraction of the saturation", 0.0),
    "hsv_v": RecipeKey(SHARE, "± fraction of the brightness", 0.0),
    "bgr": RecipeKey(SHARE, "probability of exchanged colours", 0.0),
    "mosaic": RecipeKey(SHARE, "probability of four images in one", 0.0),
    "mixup": RecipeKey(SHARE, "probability of two images blended", 0.0),
    "cutmix": RecipeKey(SHARE, "probability of a part from another image", 0.0),
    "multi_scale": RecipeKey(SHARE, "± fraction of imgsz, per batch", 0.0),
    "close_mosaic": RecipeKey(
        Number(low=0, whole=True), "mosaic is off in the last so many epochs", 0
    ),
}
TRAINING: Keys = {
    "imgsz": RecipeKey(
        Number(low=2 * STRIDE, whole=True, multiple=STRIDE), "px: long side of the net's input"
    ),
    "epochs": RecipeKey(COUNT, "passes over the training images"),
    "batch": RecipeKey(COUNT, "images of one optimiser step"),
    "micro_batch": MICRO_BATCH,
    "optimizer": RecipeKey(Choice(OPTIMIZERS), "or optimiser; 'auto' would ignore lr0"),
    "lr0": RecipeKey(POSITIVE, "learning rate at the start"),
    "rect": RecipeKey(
        Flag(), "letterbox into a rectangle of whole strides, not a square", False, rule=has_no_mix
    ),
    "lrf": RecipeKey(POSITIVE, "last learning rate / lr0", 0.01),
    "momentum": RecipeKey(SHARE, "of SGD; beta 1 of Adam", 0.9),
    "weight_decay": RecipeKey(NOT_NEGATIVE, "of the optimiser", 5e-4),
    "warmup_epochs": RecipeKey(NOT_NEGATIVE, "epochs in which the rate rises", 3.0),
    "warmup_momentum": RecipeKey(SHARE, "momentum at the start of them", 0.8),
    # Theirs is .1, a hundred times a rate of Adam's.
    "warmup_bias_lr": RecipeKey(NOT_NEGATIVE, "rate of biases at the start of them", 0.0),
    "cos_lr": RecipeKey(Flag(), "the rate falls as a cosine, not linearly", False),
    "box": RecipeKey(NOT_NEGATIVE, "weight of the boxes' loss", 7.5),
    "cls": RecipeKey(NOT_NEGATIVE, "weight of the classes' loss", 0.5),
    "dfl": RecipeKey(NOT_NEGATIVE, "weight of the edges' distribution loss", 1.5),
    "freeze": RecipeKey(
        OneOf((COUNT, ListOf(Number(low=0, whole=True)))), "layers that stay; null: none", None
    ),
}
PLACES: Keys = {
    "pose": RecipeKey(NOT_NEGATIVE, "weight of the places' loss", 12.0),
    "kobj": RecipeKey(NOT_NEGATIVE, "weight of the presence's loss", 1.0),
}
SIZE = RecipeKey(Text(), "of the net, such as n or s", for_build=True)


def keys_of_kind(kind: Kind) -> Keys:
    """The recipe keys of a family by its kind."""
    ignored = IGNORED[kind]
    steps = {name: key for name, key in AUGMENT.items() if name not in ignored}
    keys = {name: key for name, key in TRAINING.items() if name not in ignored}
    keys["augment"] = RecipeKey(Section(steps), "random changes of an image", {})
    return {
        "size": SIZE,
        **({"options": OPTIONS} if kind == "queries" else {}),
        **keys,
        **(PLACES if kind == "points" else {}),
    }


BOXES, QUERIES, POINTS = keys_of_kind("boxes"), keys_of_kind("queries"), keys_of_kind("points")
KEYS: Mapping[Kind, Keys] = {"boxes": BOXES, "queries": QUERIES, "points": POINTS}
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
    trainer's batch is micro_batch where the recipe has one (see `loop_keys.count_parts`).

    Raises:
        ConfigError: as `read_recipe`.
    """
    keys = KEYS[family.kind]
    values = read_recipe(recipe, keys, family.name)
    unread = {"micro_batch", *FOR_PEOPLE, *(name for name, key in keys.items() if key.for_build)}
    stated = {name: value for name, value in values.items() if name not in {*unread, "augment"}}
    # What a kind ignores is given to the trainer all the same, so that nothing is left to it.
    others = {**TRAINING, **AUGMENT}
    ignored = {name: others[name].default for name in IGNORED[family.kind]}
    arguments = {**FIXED, **ignored, **stated, **values["augment"]}
    batch = values["batch"] // count_parts(values["batch"], values)
    return {**arguments, "batch": batch, "nbs": batch, "patience": values["epochs"]}
