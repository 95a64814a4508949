"""How every picture of usbench is drawn: a target solid, a prediction dashed, classes by name.

Colours are bright, because an ultrasound image is dark. They tell classes apart at a glance; for
readers who can't, each class's name, or its number in the key, stands at its first shape.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from usbench.results.gallery.file import Shape

Side = Literal["target", "prediction"]
SIDES: tuple[Side, ...] = ("target", "prediction")
COLOURS = (
    *("#56c1ff", "#ffb31a", "#63e08a", "#ff7fae", "#c7a6ff"),
    *("#f5ef6b", "#ff8f66", "#5fe3d3", "#c3cdd6", "#dba977"),
)
SINGLE = {"target": "#63e08a", "prediction": "#ff7fae"}  # of the only class
DASH = (6, 4)  # px on the screen: a dash and the gap after it
APART = 0.08  # of a picture's width: nearer texts would lie over each other
MOST_NAMES, LONGEST_NAME = 4, 14  # more classes or longer names are numbered


class Label(NamedTuple):
    """A text at a shape."""

    label: int  # number of the class
    side: Side  # whose shape it stands at
    x: float  # in the shapes' frame
    y: float
    text: str


def class_colour(label: int, side: Side, classes: int) -> str:
    """The colour of a class as #rrggbb. Of an only class, target and prediction differ in it.

    Args:
        label: number of the class; colours repeat after ten.
        side: target or prediction.
        classes: how many there are.
    """
    return SINGLE[side] if classes == 1 else COLOURS[label % len(COLOURS)]


def are_numbered(classes: Sequence[str]) -> bool:
    """Whether pictures show the classes' numbers, from 1, because their names don't fit."""
    return len(classes) > MOST_NAMES or max(map(len, classes)) > LONGEST_NAME


def place_labels(
    target: Sequence[Shape], prediction: Sequence[Shape], classes: Sequence[str], width: int
) -> list[Label]:
    """The texts of a picture: each class once, at its first target, else its first prediction.

    An only class needs none. A predicted box has its confidence.

    Args:
        target: the shapes of the target.
        prediction: likewise.
        classes: the names of all classes.
        width: of the shapes' frame, which tells what is too near.
    """
    labels: dict[int, Label] = {}
    if len(classes) > 1:
        numbered = are_numbered(classes)
        for side, shapes in zip(SIDES, (target, prediction), strict=True):
            for shape in shapes:
                n = shape["class"]
                if n not in labels:
                    text = str(n + 1) if numbered else classes[n]
                    place = free_place(shape, list(labels.values()), width * APART)
                    labels[n] = Label(n, side, *place, text)
    confidences: list[Label] = []
    for shape in prediction:
        if "score" in shape:
            x1, _, _, y2 = shape["at"][0]
            text = format_score(shape["score"])
            confidences.append(Label(shape["class"], "prediction", x1, y2, text))
    return [*labels.values(), *confidences]


def free_place(shape: Shape, taken: Sequence[Label], distance: float) -> tuple[float, float]:
    """A place for a shape's text that is far enough from others; its uppermost where none is."""
    places = places_of(shape)
    for x, y in places:
        if all(math.hypot(x - other.x, y - other.y) >= distance for other in taken):
            return x, y
    return places[0]


def places_of(shape: Shape) -> list[tuple[float, float]]:
    """Where a shape's text may stand: at its uppermost, rightmost, lowest or leftmost point.

    Of a box these are three of its corners.
    """
    longest = max(shape["at"], key=len)
    points = list(zip(longest[::2], longest[1::2], strict=True))
    if shape["kind"] == "box":
        (x1, y1), (x2, y2) = points
        return [(x1, y1), (x2, y1), (x2, y2)]
    upper = min(points, key=lambda point: (point[1], point[0]))
    right = max(points, key=lambda point: (point[0], -point[1]))
    lower = max(points, key=lambda point: (point[1], point[0]))
    return [upper, right, lower, min(points)]


def format_score(score: float) -> str:
    """A confidence with two digits, such as .87."""
    return f"{score:.2f}".removeprefix("0")
