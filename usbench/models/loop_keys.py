"""The recipe keys of every model that our loop trains, and those of the segmentation nets.

No torch: the command reads these tables before a run. `usbench.models.augment` says what the
figures of augmentation do.
"""

from __future__ import annotations

from dataclasses import dataclass

from usbench.models import Recipe
from usbench.models.recipe_keys import Keys, RecipeKey, Section, keys_of, setting
from usbench.models.value_kinds import (
    COUNT,
    NOT_NEGATIVE,
    POSITIVE,
    SHARE,
    AnyMapping,
    Choice,
    Flag,
    ListOf,
    Number,
    OneOf,
    Text,
)

STRIDE = 32  # px: a net's height and width are multiples of it
OPTIMISERS = ("adamw", "radam", "sgd")
SCHEDULES = ("onecycle", "cosine", "poly", "step", "plateau")
DEGREES = Number(low=0, high=180)


# ---- augmentation


@dataclass(frozen=True)
class Augment:
    """Ranges of a uniform draw per image; 0 switches a step off."""

    hflip: float = setting(0.5, SHARE, "probability of a mirror image, left and right")
    vflip: float = setting(0.0, SHARE, "probability of a mirror image, up and down")
    rotate: float = setting(0.0, DEGREES, "± degrees")
    scale: float = setting(0.0, NOT_NEGATIVE, "± fraction, on a logarithmic scale")
    shift: float = setting(0.0, SHARE, "± fraction of the side")
    shear: float = setting(0.0, Number(low=0, high=80), "± degrees, along the rows")
    gamma: float = setting(0.0, NOT_NEGATIVE, "exponent between 1/(1+g) and 1+g")
    brightness: float = setting(0.0, SHARE, "± fraction of full scale")
    contrast: float = setting(0.0, SHARE, "± fraction around mid-grey")
    noise: float = setting(0.0, SHARE, "up to this SD, as a fraction of full scale")


@dataclass(frozen=True)
class Pipeline:
    """Probabilities, and ranges of a uniform draw per image; a probability of 0 switches off."""

    hflip: float = setting(0.0, SHARE, "probability of a mirror image, left and right")
    vflip: float = setting(0.0, SHARE, "probability of a mirror image, up and down")
    turn: float = setting(0.0, SHARE, "probability of a rotation by ± degrees")
    degrees: float = setting(0.0, DEGREES, "± degrees of turn")
    tilt: float = setting(0.0, SHARE, "probability of shift, scale and rotation together")
    shift: float = setting(0.0, SHARE, "of tilt: ± fraction of the side")
    scale: float = setting(0.0, Number(low=0, high=0.9), "of tilt: a factor of 1 ± this")
    tilt_degrees: float = setting(0.0, DEGREES, "of tilt: ± degrees")
    light: float = setting(0.0, SHARE, "probability of brightness and contrast together")
    brightness: float = setting(0.0, SHARE, "of light: ± fraction of full scale")
    contrast: float = setting(0.0, SHARE, "of light: a factor of 1 ± this")
    blur: float = setting(0.0, SHARE, "probability of a Gaussian with a kernel of 3, 5 or 7 px")
    elastic: float = setting(0.0, SHARE, "probability of an elastic transform (Simard et al. 2003)")
    alpha: float = setting(0.0, NOT_NEGATIVE, "of elastic, px: noise of ±1 px, smoothed, times it")
    sigma: float = setting(1.0, POSITIVE, "of elastic, px: SD of that smoothing")
    corners: float = setting(
        0.0, NOT_NEGATIVE, "of elastic, px: ± by which three points of an affine map move"
    )


# ---- rules between keys


def divides_batch(recipe: Recipe) -> str:
    """Whether micro_batch divides the batch."""
    part, batch = recipe.get("micro_batch"), recipe["batch"]
    return "" if part is None or batch % part == 0 else f"expected a divisor of batch={batch}"


def has_step(recipe: Recipe) -> str:
    """Whether the schedule that falls once says when."""
    missing = recipe["schedule"] == "step" and recipe["step_at"] is None
    return "expected the number of epochs after which the rate falls (schedule: step)" * missing


def has_one_augmentation(recipe: Recipe) -> str:
    """Whether a recipe states one kind of augmentation."""
    both = recipe["chain"] is not None and any(recipe["augment"].values())
    return "expected augment or chain, got both; set chain=null in the recipe" if both else ""


def has_loss(recipe: Recipe) -> str:
    """Whether a loss has a part that weighs something."""
    return "" if any(recipe["loss"].values()) else "expected a weight above 0 for ce or dice"


def count_parts(batch: int, recipe: Recipe) -> int:
    """Into how many parts a batch is divided whose gradients add up to one step.

    Each part has at most `micro_batch` images. A part of one image is joined to another, since
    batch normalisation needs two, unless micro_batch is 1.

    Args:
        batch: images of this batch; fewer than the recipe's where the set is smaller.
    """
    part: int | None = recipe.get("micro_batch")
    if part is None:
        return 1
    parts = -(-batch // part)
    return parts if part == 1 else max(1, min(parts, batch // 2))


# ---- the tables


def size_key(multiple: int) -> RecipeKey:
    """The key `size` of a net whose height and width are multiples of so many px."""
    side = Number(low=STRIDE, whole=True)
    exact = Number(low=STRIDE, whole=True, multiple=multiple)
    return RecipeKey(
        OneOf((side, ListOf(exact, length=2))),
        "px: [height, width] of the net's input; or a side: about its area in the dataset's "
        f"aspect ratio, in multiples of {STRIDE}",
    )


MICRO_BATCH = RecipeKey(
    COUNT,
    "images at once, a divisor of batch: the same step from smaller parts; null: the whole batch",
    None,
    rule=divides_batch,
)
OPTIONS = RecipeKey(AnyMapping(), "further arguments of the net", None, for_build=True)
LOOP: Keys = {
    "size": size_key(STRIDE),
    "epochs": RecipeKey(COUNT, "passes over the training images"),
    "batch": RecipeKey(COUNT, "images of one optimiser step"),
    "micro_batch": MICRO_BATCH,
    "optimizer": RecipeKey(Choice(OPTIMISERS), "or optimiser; weight decay is decoupled", "adamw"),
    "momentum": RecipeKey(Number(low=0, high=0.9999), "of sgd", 0.9),
    "lr": RecipeKey(POSITIVE, "learning rate, at its peak"),
    "weight_decay": RecipeKey(NOT_NEGATIVE, "of the optimiser"),
    "schedule": RecipeKey(
        Choice(SCHEDULES), "of the learning rate, see usbench/models/optimise.py"
    ),
    "step_at": RecipeKey(
        COUNT, "schedule step: epochs after which the rate falls", None, rule=has_step
    ),
    "factor": RecipeKey(SHARE, "schedules step and plateau: what the rate falls by", 0.1),
    "patience": RecipeKey(
        Number(low=0, whole=True), "schedule plateau: epochs without a better score", 5
    ),
    "shuffle": RecipeKey(Flag(), "false: batches in the order of the set", True),
    "augment": RecipeKey(
        Section(keys_of(Augment), own_class=True),
        "random changes of an image; left out: none",
        {"hflip": 0.0},
    ),
}
SEGMENTER: Keys = {
    **LOOP,
    "options": OPTIONS,
    "loss": RecipeKey(
        Section(
            {
                "ce": RecipeKey(NOT_NEGATIVE, "weight of cross entropy", 0.0),
                "dice": RecipeKey(NOT_NEGATIVE, "weight of soft Dice", 0.0),
            },
            own_class=True,
        ),
        "what is minimised",
        {"ce": 1.0, "dice": 1.0},
        rule=has_loss,
    ),
    "normalise": RecipeKey(
        Section(
            {
                "mean": RecipeKey(ListOf(Number()), "of each channel"),
                "sd": RecipeKey(ListOf(POSITIVE), "of each channel"),
            }
        ),
        "of the input, a figure per channel; null: ImageNet's, averaged",
        None,
    ),
    "chain": RecipeKey(
        Section(keys_of(Pipeline)),
        "instead of augment: steps with probabilities; null: none",
        None,
        rule=has_one_augmentation,
    ),
}
SMP: Keys = {
    "encoder": RecipeKey(Text(), "an encoder of smp", for_build=True),
    **SEGMENTER,
}
