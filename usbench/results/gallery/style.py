"""How every picture of usbench is drawn: a target solid, a prediction dashed, classes by name.

Colours are bright, because an ultrasound image is dark. They tell classes apart at a glance; for
readers who can't, each class's name, or its number in the key, stands at its first shape.
"""

from __future__ import annotations

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
    target: Sequence[Shape], prediction: Sequence[Shape], classes: Sequence[str]
) -> list[Label]:
    """The texts of a picture: each class once, at its first target, else its first prediction.

    An only class needs none. A predicted box has its confidence.
    """
    labels: dict[int, Label] = {}
    if len(classes) > 1:
        numbered = are_numbered(classes)
        for side, shapes in zip(SIDES, (target, prediction), strict=True):
            for shape in shapes:
                n, place = shape["class"], top_of(shape)
                text = str(n + 1) if numbered else classes[n]
                labels.setdefault(n, Label(n, side, *place, text))
    confidences: list[Label] = []
    for shape in prediction:
        if "score" in shape:
            x1, _, _, y2 = shape["at"][0]
            text = format_score(shape["score"])
            confidences.append(Label(shape["class"], "prediction", x1, y2, text))
    return [*labels.values(), *confidences]


def top_of(shape: Shape) -> tuple[float, float]:
    """Where a shape's text stands: a box's upper left corner, else its topmost point."""
    if shape["kind"] == "box":
        return shape["at"][0][0], shape["at"][0][1]
    longest = max(shape["at"], key=len)
    points = zip(longest[::2], longest[1::2], strict=True)
    return min(points, key=lambda point: (point[1], point[0]))


def format_score(score: float) -> str:
    """A confidence with two digits, such as .87."""
    return f"{score:.2f}".removeprefix("0")
