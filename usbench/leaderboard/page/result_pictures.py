"""The pictures of a result's page: shapes over an image, as pictures.html draws them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from usbench.results.gallery.file import Gallery

Json = Mapping[str, Any]  # a case or a shape of a gallery, see gallery.schema.json
COLOURS = [  # bright, because an image is dark in either theme
    "#56c1ff",
    "#ffb31a",
    "#63e08a",
    "#ff7fae",
    "#c7a6ff",
    "#f5ef6b",
    "#ff8f66",
    "#5fe3d3",
    "#c3cdd6",
    "#dba977",
]
LAYERS: Mapping[str, Literal["truth", "prediction"]] = {
    "target": "truth",
    "prediction": "prediction",
}  # on the page → in the gallery's file


@dataclass(frozen=True)
class Shape:
    """One SVG element, in native px."""

    kind: str  # area | line | box | point
    colour: str
    path: str = ""  # of an area or a line
    x: float = 0  # left edge of a box, or a point
    y: float = 0
    width: float = 0
    height: float = 0
    score: str = ""  # beside a box: its confidence
    score_y: float = 0
    font_size: float = 0
    radius: float = 0


@dataclass(frozen=True)
class Picture:
    """One case: the image with its layers of shapes."""

    caption: str
    notes: Sequence[str]
    alternative: str  # the picture in words
    width: int
    height: int
    jpeg: str  # base64
    layers: Sequence[tuple[str, Sequence[Shape]]]  # target | prediction, with its shapes


@dataclass(frozen=True)
class Pictures:
    """All pictures of a page."""

    pictures: Sequence[Picture]
    classes: Sequence[tuple[str, str]]  # drawn classes with their colours
    attribution: str


def class_colour(number: int) -> str:
    """The colour of a class; they repeat after ten."""
    return COLOURS[number % len(COLOURS)]


def show_pictures(
    gallery: Gallery, qualities: Mapping[str, str], leaking: Sequence[str]
) -> Pictures:
    """The pictures of a gallery.

    Args:
        gallery: as it is stored.
        qualities: case → how good it is, as text.
        leaking: ids of images that resemble training images.
    """
    drawn = set()
    for case in gallery["cases"]:
        for side in LAYERS.values():
            drawn |= {shape["class"] for shape in case[side]["shapes"]}
    classes = gallery["classes"]
    return Pictures(
        [
            show_case(case, classes, qualities[case["case"]], case["case"] in leaking)
            for case in gallery["cases"]
        ],
        [(classes[number], class_colour(number)) for number in sorted(drawn)],
        gallery["attribution"],
    )


def show_case(case: Json, classes: Sequence[str], quality: str, is_leaking: bool) -> Picture:
    """One picture with its caption."""
    height, width = case["size"]
    caption = f"{case['place'].capitalize()}: {case['case']}, {quality}"
    notes = ["near-duplicate of a training image"] if is_leaking else []
    unlabelled = class_names(case["truth"]["unknown"], classes)
    if unlabelled:
        notes.append(f"not labelled: {unlabelled}")
    layers = []
    contents = []
    for layer, side in LAYERS.items():
        shapes = case[side]["shapes"]
        layers.append((layer, [show_shape(shape, width) for shape in shapes]))
        names = class_names(sorted({shape["class"] for shape in shapes}), classes)
        contents.append(f"{layer}: {names or 'nothing'}")
    alternative = (
        f"{caption}. Grey ultrasound image, {width} × {height} px. "
        f"Drawn over it, {'; '.join(contents)}."
    )
    return Picture(caption, notes, alternative, width, height, case["jpeg"], layers)


def class_names(numbers: Sequence[int], classes: Sequence[str]) -> str:
    """Classes by their numbers, as a list in text."""
    return ", ".join(classes[number] for number in numbers)


def show_shape(shape: Json, width: int) -> Shape:
    """One shape. width: of the image, px; it decides the size of texts and points."""
    colour = class_colour(shape["class"])
    kind = shape["kind"]
    if kind == "box":
        return show_box(shape, colour, width)
    if kind == "point":
        x, y = shape["at"][0]
        return Shape(kind, colour, x=x, y=y, radius=round(width / 150, 1))
    end = "Z" if kind == "area" else ""
    lines = [f"M{' '.join(map(str, line))}{end}" for line in shape["at"]]
    return Shape(kind, colour, path="".join(lines))


def show_box(shape: Json, colour: str, width: int) -> Shape:
    """A box with its confidence, where it has one, above its left edge."""
    x1, y1, x2, y2 = shape["at"][0]
    font_size = round(width / 30, 1)
    return Shape(
        "box",
        colour,
        x=x1,
        y=y1,
        width=round(x2 - x1, 1),
        height=round(y2 - y1, 1),
        score=f"{shape['score']:.2f}" if "score" in shape else "",
        score_y=round(max(font_size, y1 - font_size / 4), 1),
        font_size=font_size,
    )
