"""The recipe keys of nnU-Net, and a recipe that was read by them. No torch."""

from __future__ import annotations

from dataclasses import dataclass, fields

from usbench.models import Recipe as StatedRecipe
from usbench.models.loop_keys import STRIDE, size_key
from usbench.models.recipe_keys import Keys, RecipeKey, Section, read_recipe
from usbench.models.value_kinds import COUNT, NOT_NEGATIVE, POSITIVE, ListOf, Number

STAGES = 3  # at least: of two, nnU-Net's deep supervision would give the only loss no weight


@dataclass(frozen=True)
class Recipe:
    """A recipe that was checked; None is nnU-Net's own value, or its planner's."""

    epochs: int
    iterations: int | None
    validate_every: int
    batch: int | None
    size: tuple[int, int] | None
    features: tuple[int, ...] | None
    spacing: float | None
    lr: float | None
    weight_decay: float | None
    augment: bool
    mirror: tuple[int, ...] | None


def has_size(recipe: StatedRecipe) -> str:
    """Whether a recipe that states the stages' features states the patch's size, too."""
    alone = recipe["features"] is not None and recipe["size"] is None
    return "expected null; or state size with it" if alone else ""


KEYS: Keys = {
    "epochs": RecipeKey(COUNT, "of nnU-Net: so many iterations each"),
    "iterations": RecipeKey(COUNT, "batches of an epoch, drawn at random; null: 250", None),
    "validate_every": RecipeKey(COUNT, "epochs between two validations; and after the last", 1),
    "batch": RecipeKey(COUNT, "patches of one step; null: the planner's", None),
    "size": RecipeKey(
        size_key(STRIDE).kind,
        "px: [height, width] or a side of the patch; null: the planner's",
        None,
    ),
    "features": RecipeKey(
        ListOf(COUNT, shortest=STAGES),
        "channels of each stage, the finest first; null: the planner's",
        None,
        rule=has_size,
    ),
    "spacing": RecipeKey(POSITIVE, "native px per px of the net; null: 1", None),
    "lr": RecipeKey(NOT_NEGATIVE, "learning rate at the start; null: 0.01", None),
    "weight_decay": RecipeKey(NOT_NEGATIVE, "of SGD; null: 3e-5", None),
    "augment": RecipeKey(Section({}), "null: nnU-Net's own; {}: none", None),
    "mirror": RecipeKey(
        ListOf(Number(low=0, high=1, whole=True), shortest=0),
        "axes (0 vertical, 1 horizontal), in training and prediction; null: both",
        None,
    ),
}


def parse_recipe(recipe: StatedRecipe) -> Recipe:
    """Read the recipe of a YAML, whose size is [height, width]. Raises as `read_recipe`."""
    values = read_recipe(recipe, KEYS, "nnunet")
    values["augment"] = values["augment"] is None
    for name in ("size", "features", "mirror"):
        values[name] = None if values[name] is None else tuple(values[name])
    return Recipe(**{item.name: values[item.name] for item in fields(Recipe)})
