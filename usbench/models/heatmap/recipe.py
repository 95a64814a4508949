"""The recipe keys of the heat-map nets. No torch."""

from __future__ import annotations

from dataclasses import replace

from usbench.models.loop_keys import LOOP, OPTIONS, Augment
from usbench.models.recipe_keys import Keys, RecipeKey, Section, keys_of
from usbench.models.value_kinds import POSITIVE, SHARE, Text

# A mirrored heart is another view: nothing is mirrored unless a recipe says so.
AUGMENT: Keys = {
    **keys_of(Augment),
    "hflip": RecipeKey(SHARE, "probability of a mirror image, left and right", 0.0),
}
KEYS: Keys = {
    "encoder": RecipeKey(Text(), "an encoder of smp, or an HRNet of timm", for_build=True),
    "options": OPTIONS,
    **LOOP,
    "augment": replace(LOOP["augment"], kind=Section(AUGMENT, own_class=True)),
    "loss": RecipeKey(
        Section({}, own_class=True), "what is minimised; null: the squared error", None
    ),
    "sd_point": RecipeKey(POSITIVE, "px of the heat map, half of the net's: SD of a point's peak"),
    "sd_curve": RecipeKey(POSITIVE, "px of the heat map: SD across a curve"),
}
