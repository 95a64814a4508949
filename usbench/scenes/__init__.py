"""The phantoms' scenes by name: what is insonified. A scene knows enough anatomy to look right and where each
structure is to the pixel; no physics of the image and no file."""

from __future__ import annotations

from collections.abc import Callable

from usbench.anatomy import Body, Draw
from usbench.scenes import soft
from usbench.types import Task

SCENES: dict[str, Callable[[Draw, tuple[int, int]], Body]] = {
    "spinal": soft.spinal,
    "nerves": soft.nerves,
    "plain": soft.plain,
}
CLASSES: dict[str, dict[Task, tuple[str, ...]]] = {
    "spinal": {"segment": soft.SPINAL, "detect": ("hematoma",)},
    "nerves": {"segment": soft.NERVES, "detect": soft.NERVES},
    "plain": {"segment": soft.PLAIN, "detect": soft.PLAIN},
}
