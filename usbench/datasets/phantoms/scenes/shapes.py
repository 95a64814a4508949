"""Scenes for any classes: they take a view's classes, and show no particular anatomy.

- lesion: one lesion, of one of the classes
- screening: likewise, but some images have none and some have two
- regions: every class an oval in a place of its own; now and then one is missing
- nested: each class an oval inside the one before
- ellipse: one large oval with a bright rim, as a fetal head; its landmarks are the ends of its
  diameters
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, cos, pi, sin, sqrt

import numpy as np

from usbench.datasets.phantoms.anatomy import (
    Body,
    Draw,
    Floats,
    Frame,
    enclose,
    paint,
    scan,
    tissue,
    wall,
)
from usbench.types import OFF, SEEN, Landmarks

REFERENCE = (256, 320)  # (height, width) that lengths are stated for
Size = tuple[int, int]


def lesion(draw: Draw, size: Size, classes: Sequence[str]) -> Body:
    """One lesion in layered tissue; each class has an echogenicity of its own."""
    frame, body = _background(draw, size, classes)
    return scan(frame, _add_lesions(frame, body, len(classes), 1), -4)


def screening(draw: Draw, size: Size, classes: Sequence[str]) -> Body:
    """No lesion in every fifth image, or one, or two of one class."""
    frame, body = _background(draw, size, classes)
    share = draw.turn(3)
    count = 0 if share < 0.2 else 2 if share > 0.85 else 1
    return scan(frame, _add_lesions(frame, body, len(classes), count), -4)


def _add_lesions(frame: Frame, body: Body, classes: int, count: int) -> Body:
    """The body with lesions of one class side by side."""
    draw = frame.draw
    label = int(draw.turn(2) * classes)
    for k in range(count):
        x = 320 * (k + 0.5) / count + draw.vary(f"x {k}", -25, 25)
        y = draw.vary(f"y {k}", 95, 165)
        radius = draw.vary(f"size {k}", 20, 40)
        distance = frame.blob(f"lesion {k}", (x, y), (radius, radius * 0.8), 0.1)
        body = _fill(frame, body, f"lesion {k}", label, distance, _echo_of(label, classes))
    return body


def regions(draw: Draw, size: Size, classes: Sequence[str]) -> Body:
    """The classes side by side in a grid, each in the same cell in every image."""
    frame, body = _background(draw, size, classes)
    columns = ceil(sqrt(len(classes) * 320 / 200))
    rows = ceil(len(classes) / columns)
    width, height = 310 / columns, 190 / rows
    for label in range(len(classes)):
        if len(classes) > 2 and _turn_of(draw, label) < 0.3:
            continue
        x = 5 + width * (label % columns + 0.5) + draw.vary(f"x {label}", -0.08, 0.08) * width
        y = 40 + height * (label // columns + 0.5) + draw.vary(f"y {label}", -0.08, 0.08) * height
        growth = draw.vary(f"size {label}", 0.28, 0.4)
        distance = frame.blob(f"region {label}", (x, y), (growth * width, growth * height), 0.05)
        echo = _echo_of(label, len(classes))
        body = _fill(frame, body, f"region {label}", label, distance, echo)
    return scan(frame, body, -4)


def nested(draw: Draw, size: Size, classes: Sequence[str]) -> Body:
    """Each class inside the one before, whose plane keeps it: planes overlap.

    A class alone is drawn as the inner of two: views of both and of one show the same images.
    """
    names = (*[""] * (2 - len(classes)), *classes)
    frame, body = _background(draw, size, names)
    centre = (draw.vary("x", 140, 180), draw.vary("y", 120, 145))
    across, down = draw.vary("across", 95, 120), draw.vary("down", 65, 85)
    planes = np.zeros((len(names), *size), bool)
    for label in range(len(names)):
        if label and _turn_of(draw, label) < 0.15:
            break
        distance = frame.blob(f"structure {label}", centre, (across, down), 0.03)
        planes[label] = distance < 1
        echo = _echo_of(label, len(names))
        body = _fill(frame, body, f"structure {label}", label, distance, echo)
        centre = (
            centre[0] + draw.vary(f"aside {label}", -0.2, 0.2) * across,
            centre[1] + draw.vary(f"below {label}", -0.15, 0.15) * down,
        )
        across, down = 0.48 * across, 0.48 * down
    return scan(frame, replace(body, planes=planes[-len(classes) :]), -4)


def ellipse(draw: Draw, size: Size, classes: Sequence[str]) -> Body:
    """One large oval with a bright rim. Its plane is the first class's.

    As landmarks the classes are the ends of its long diameter, then of its short one. With more
    than four classes an image has some of them: the first four, the next four and so on.
    """
    frame, body = _background(draw, size, classes)
    centre = (draw.vary("x", 140, 180), draw.vary("y", 120, 140))
    across, down = draw.vary("across", 85, 120), draw.vary("down", 60, 78)
    distance = frame.blob("head", centre, (across, down))
    body = paint(body, (distance < 1, -16 + 3 * frame.grain("inside", 6, 9), 0.07))
    edge = np.where(np.abs(distance - 1) * down < 2.5, np.float32(3), np.float32(0))
    rim = 12 * wall(frame, distance, centre, down, 2.0) + edge
    body = replace(enclose(body, 0, distance, rim), mm_per_px=_mm_per_px(draw))
    tilt = draw.vary("head tilt", -0.25, 0.25)  # the blob's own: a stream by its name
    marks = _ends_of_diameters(frame, len(classes), centre, (across, down), tilt)
    return scan(frame, replace(body, landmarks=marks), -4)


def _ends_of_diameters(
    frame: Frame,
    classes: int,
    centre: tuple[float, float],
    radii: tuple[float, float],
    tilt: float,
) -> Landmarks:
    """Left, right, upper and lower end; see `ellipse`."""
    sets = [range(start, min(start + 4, classes)) for start in range(0, classes, 4)]
    paths = [np.zeros((0, 2), np.float32)] * classes
    state = np.full(classes, OFF, np.int8)
    scale = np.array([frame.scale[1], frame.scale[0]])
    for n, label in enumerate(sets[int(frame.draw.turn(2) * len(sets))]):
        angle = tilt + (0.0 if n < 2 else pi / 2)
        length = radii[n // 2] * (-1 if n % 2 == 0 else 1)
        end = np.array([centre[0] + length * cos(angle), centre[1] + length * sin(angle)])
        # Scenes count from a pixel's edge, landmarks from its centre.
        paths[label] = (end * scale - 0.5).astype(np.float32)[None]
        state[label] = SEEN
    return Landmarks(tuple(paths), state)


def _mm_per_px(draw: Draw) -> tuple[float, float]:
    side = round(draw.choose("mm per px", 0.08, 0.2), 4)
    return side, side


def _background(draw: Draw, size: Size, classes: Sequence[str]) -> tuple[Frame, Body]:
    """Fat over tissue, with streaks."""
    frame = Frame(draw, REFERENCE, size)
    streaks = frame.grain("streaks", 2.0, 24, draw.vary("slope", -0.06, 0.06))
    fat = draw.vary("fat", 20, 36) + frame.wave("fat", 4, 200)
    body = paint(
        tissue(frame, tuple(classes), -4 + 3 * frame.grain("coarse", 10, 22), 0.09, 0.7),
        (frame.y < fat, -12 + 4 * streaks),
    )
    lines = frame.line(fat, 1.5, 9) + 4 * np.maximum(streaks - 1.8, 0)
    return frame, replace(body, coherent=lines.astype(np.float32))


def _turn_of(draw: Draw, label: int) -> float:
    """Decides whether a class is there. 3 more than a multiple of 4 is never a square, whose turns
    would all be the same.
    """
    return draw.turn(7 + 4 * label)


def _echo_of(label: int, classes: int) -> float:
    """dB of a class: evenly apart, all darker than the tissue or much brighter."""
    levels = np.linspace(-30, -14, classes) if classes > 1 else np.array([-20.0])
    return float(levels[label])


def _fill(frame: Frame, body: Body, name: str, label: int, distance: Floats, echo: float) -> Body:
    patches = echo + 2 * frame.grain(f"{name} patches", 5, 6)
    body = paint(body, ((distance < 1.12) & (distance >= 1), 1.0), (distance < 1, patches, 0.08))
    return enclose(body, label, distance)
