"""The phantoms' scenes by name: what is insonified.

A scene knows enough anatomy to look right and where each structure is to the pixel; no physics of
the image and no file.
"""

from __future__ import annotations

from collections.abc import Callable

from usbench.datasets.phantoms.anatomy import Body, Draw
from usbench.datasets.phantoms.scenes import echo, kidney, neck, soft
from usbench.types import Task

SCENES: dict[str, Callable[[Draw, tuple[int, int]], Body]] = {
    "spinal": soft.spinal,
    "nerves": soft.nerves,
    "plain": soft.plain,
    "kidney": kidney.kidney,
    "neck": neck.neck,
    "echo": echo.echo,
}
CLASSES: dict[str, dict[Task, tuple[str, ...]]] = {
    "spinal": {"segment": soft.SPINAL, "detect": ("hematoma",)},
    "nerves": {"segment": soft.NERVES, "detect": soft.NERVES},
    "plain": {"segment": soft.PLAIN, "detect": soft.PLAIN},
    "kidney": {"segment": kidney.KIDNEY},
    "neck": {"segment": neck.NECK, "detect": neck.NECK},
    "echo": {"landmark": echo.ECHO},
}
