"""The recipe keys of the detectors that our loop trains. No torch."""

from __future__ import annotations

from usbench.models import Recipe
from usbench.models.loop_keys import LOOP, OPTIONS, size_key
from usbench.models.recipe_keys import Keys, RecipeKey, Section
from usbench.models.value_kinds import SHARE, Text

BLURS = ("motion", "median", "plain")


def has_square(recipe: Recipe) -> str:
    """Whether an image that is turned by right angles is square."""
    size = recipe["size"]
    square = not isinstance(size, int) and size[0] == size[1]
    return "" if square or not recipe["turn"] else f"expected 0, or a square size, got {size}"


KEYS: Keys = {
    "backbone": RecipeKey(Text(), "a ResNet", for_build=True),
    "options": OPTIONS,
    **LOOP,
    "turn": RecipeKey(
        SHARE, "probability of a rotation by 0, 90, 180 or 270°, of a square", 0.0, rule=has_square
    ),
    "blur": RecipeKey(
        Section({name: RecipeKey(SHARE, "its probability", 0.0) for name in BLURS}),
        "blurs of up to 7 px",
        {},
    ),
}
SSD: Keys = {**KEYS, "size": size_key(1)}
