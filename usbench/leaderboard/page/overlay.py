"""Target and prediction over an image, as SVG in HTML; assets/overlay.css draws the lines.

The shapes are those of a gallery, and look as in every other picture of usbench
(results/gallery/style.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

from usbench.io.plain_text import escape_controls
from usbench.results.gallery.file import Shape, Thumbnail
from usbench.results.gallery.style import SIDES, Label, Side, class_colour, place_labels

SMALLEST = 12  # px of the frame, the height of a text


def draw_case(case: Thumbnail, classes: Sequence[str], alt: str) -> Markup:
    """An image with its outlines, as wide as its place.

    Args:
        case: a picture or thumbnail of a gallery.
        classes: the gallery's.
        alt: what the picture shows; see `describe_case`.
    """
    height, width = case["size"]
    return Markup(
        '<div class="overlay" style="aspect-ratio:{}/{}">'
        '<img src="data:image/jpeg;base64,{}" width="{}" height="{}" alt="{}">{}</div>'
    ).format(width, height, case["jpeg"], width, height, plain(alt), draw_svg(case, classes))


def draw_svg(case: Thumbnail, classes: Sequence[str]) -> Markup:
    """The outlines of a case, and their texts, in the frame that its size states."""
    height, width = case["size"]
    target, prediction = case["target"]["shapes"], case["prediction"]["shapes"]
    groups = []
    for side, shapes in zip(SIDES, (target, prediction), strict=True):
        drawn = Markup().join(
            draw_shape(shape, class_colour(shape["class"], side, len(classes)), width)
            for shape in shapes
        )
        groups.append(Markup('<g class="{}">{}</g>').format(side, drawn))
    texts = draw_labels(place_labels(target, prediction, classes, width), classes, (height, width))
    return Markup('<svg viewBox="0 0 {} {}" aria-hidden="true">{}{}</svg>').format(
        width, height, Markup().join(groups), texts
    )


def draw_shape(shape: Shape, colour: str, width: int) -> Markup:
    """One shape. width: of the frame, which decides the size of points."""
    style = Markup('style="--c:{}"').format(colour)
    if shape["kind"] == "box":
        x1, y1, x2, y2 = shape["at"][0]
        sides = format_number(x2 - x1), format_number(y2 - y1)
        return Markup('<rect {} x="{}" y="{}" width="{}" height="{}"/>').format(
            style, x1, y1, *sides
        )
    if shape["kind"] == "point":
        x, y = shape["at"][0]
        radius = format_number(max(3, width / 90))
        return Markup('<circle {} cx="{}" cy="{}" r="{}"/>').format(style, x, y, radius)
    closing = "Z" if shape["kind"] == "area" else ""
    path = "".join(f"M{' '.join(map(str, line))}{closing}" for line in shape["at"])
    return Markup('<path {} d="{}"/>').format(style, path)


def draw_labels(labels: Iterable[Label], classes: Sequence[str], size: tuple[int, int]) -> Markup:
    """The texts at the shapes, moved into the frame of (height, width) px."""
    height, width = size
    font = max(width / 26, SMALLEST)
    texts = []
    for label in labels:
        longest = max(0.0, width - 0.6 * font * len(label.text))
        x = min(max(label.x, 0), longest)
        y = min(max(label.y - font / 3, font), height - font / 4)
        colour = class_colour(label.label, label.side, len(classes))
        place = format_number(x), format_number(y), format_number(font)
        texts.append(
            Markup('<text style="--c:{}" x="{}" y="{}" font-size="{}">{}</text>').format(
                colour, *place, plain(label.text)
            )
        )
    return Markup('<g class="labels">{}</g>').format(Markup().join(texts))


def format_number(value: float) -> str:
    """A coordinate in tenths of a pixel."""
    return f"{value:.1f}".removesuffix(".0")


def plain(text: str) -> Markup:
    """A text that is no markup, with its control characters made visible."""
    return escape(escape_controls(text))


# ---- words


def describe_case(case: Thumbnail, classes: Sequence[str]) -> str:
    """What is drawn over an image, as text."""
    drawn = {side: name_classes(shapes_of(case, side), classes) for side in SIDES}
    return f"Ultrasound image. Target: {drawn['target']}; prediction: {drawn['prediction']}."


def shapes_of(case: Thumbnail, side: Side) -> Sequence[Shape]:
    """The shapes of one side."""
    return case["target"]["shapes"] if side == "target" else case["prediction"]["shapes"]


def name_classes(shapes: Iterable[Shape], classes: Sequence[str]) -> str:
    """The classes of some shapes; "nothing" without any."""
    numbers = sorted({shape["class"] for shape in shapes})
    return ", ".join(classes[number] for number in numbers) or "nothing"
