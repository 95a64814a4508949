"""The phantoms' scenes by name: what is insonified.

A scene knows where each structure is to the pixel; no physics of the image and no file. Those of
`SCENES` know enough anatomy to look right, and have classes of their own; those of `SHAPES` take
any classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from usbench.datasets.phantoms.anatomy import Body, Draw
from usbench.datasets.phantoms.scenes import echo, kidney, neck, shapes, soft
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
SHAPES: dict[str, Callable[[Draw, tuple[int, int], Sequence[str]], Body]] = {
    "lesion": shapes.lesion,
    "screening": shapes.screening,
    "regions": shapes.regions,
    "nested": shapes.nested,
    "ellipse": shapes.ellipse,
}
SHAPE_TASKS: dict[str, tuple[Task, ...]] = {
    **dict.fromkeys(SHAPES, ("segment", "detect")),
    "ellipse": ("segment", "detect", "landmark"),
}


def draw_body(scene: str, draw: Draw, size: tuple[int, int], classes: Sequence[str]) -> Body:
    """What a scene shows; classes: of the view, for a scene of `SHAPES`."""
    if scene in SHAPES:
        return SHAPES[scene](draw, size, classes)
    return SCENES[scene](draw, size)
