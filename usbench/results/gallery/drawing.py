"""Targets and predictions drawn on their images, as pixels: the shapes that pages draw as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from usbench.datasets.check.contact_sheet import load_font
from usbench.results.gallery.file import Shape
from usbench.results.gallery.shapes import vector_drawing
from usbench.results.gallery.style import DASH, SIDES, Side, class_colour, place_labels
from usbench.types import Target

SMOOTH = 2  # px that are drawn for each of the picture's, so that lines have no stairs
LINE = 2  # px
EDGE = 1  # px of black on both sides of a line, which a bright image would hide
POINT = 4  # px, radius
LETTER = 30  # of a picture's width, the height of a text
SMALLEST = 11  # px, the height of a text
Point = tuple[float, float]  # x, y


def draw_overlay(
    image: NDArray[np.uint8],
    classes: Sequence[str],
    target: Target | None = None,
    prediction: Target | None = None,
    width: int = 0,
) -> Image.Image:
    """Draw a target (solid), a prediction (dashed) or both on an image.

    Args:
        image: (H, W) grey.
        classes: the names of the target's and prediction's classes.
        target: in the image's pixels.
        prediction: likewise.
        width: px of the picture; 0: the image's.

    Returns:
        An RGB picture.
    """
    scale = (width or image.shape[1]) / image.shape[1]
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    fine = size[0] * SMOOTH, size[1] * SMOOTH
    canvas = Image.fromarray(image).convert("RGB").resize(fine, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(canvas)
    shapes: dict[Side, list[Shape]] = {}
    for side, drawn in zip(SIDES, (target, prediction), strict=True):
        shapes[side] = vector_drawing(drawn, target)["shapes"] if drawn is not None else []
        for shape in shapes[side]:
            colour = class_colour(shape["class"], side, len(classes))
            draw_shape(pen, shape, scale * SMOOTH, side, colour)
    picture = canvas.resize(size, Image.Resampling.BOX)
    pen, font = ImageDraw.Draw(picture), load_font(max(SMALLEST, size[0] // LETTER))
    labels = place_labels(shapes["target"], shapes["prediction"], classes, image.shape[1])
    for label in labels:
        colour = class_colour(label.label, label.side, len(classes))
        draw_text(pen, (label.x * scale, label.y * scale), label.text, colour, font, size)
    return picture


def draw_shape(
    pen: ImageDraw.ImageDraw, shape: Shape, scale: float, side: Side, colour: str
) -> None:
    """Draw one shape. scale: px of the canvas for each of the shape's frame."""
    if shape["kind"] == "point":
        x, y = (value * scale for value in shape["at"][0])
        draw_point(pen, (x, y), side, colour)
        return
    lines = [line for path in shape["at"] for line in lines_of(shape["kind"], path, scale)]
    parts = lines if side == "target" else [dash for line in lines for dash in dashes_of(line)]
    for ink, width in (("#000000", LINE + 2 * EDGE), (colour, LINE)):
        for part in parts:
            pen.line(part, fill=ink, width=width * SMOOTH, joint="curve")


def draw_point(pen: ImageDraw.ImageDraw, place: Point, side: Side, colour: str) -> None:
    """Draw a dot for a target, a ring for a prediction."""
    x, y = place
    radius = POINT * SMOOTH
    circle = (x - radius, y - radius, x + radius, y + radius)
    outer = tuple(
        edge + sign * EDGE * SMOOTH for edge, sign in zip(circle, (-1, -1, 1, 1), strict=True)
    )
    if side == "target":
        pen.ellipse(outer, fill="#000000")
        pen.ellipse(circle, fill=colour)
    else:
        pen.ellipse(outer, outline="#000000", width=(LINE + 2 * EDGE) * SMOOTH)
        pen.ellipse(circle, outline=colour, width=LINE * SMOOTH)


def lines_of(kind: str, path: Sequence[float], scale: float) -> Iterator[list[Point]]:
    """The lines of one path of a shape, on the canvas."""
    points = [(x * scale, y * scale) for x, y in zip(path[::2], path[1::2], strict=True)]
    if kind == "box":
        (x1, y1), (x2, y2) = points
        points = [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]
    yield points if kind == "line" else [*points, points[0]]


def dashes_of(line: Sequence[Point]) -> Iterator[list[Point]]:
    """The dashes along a line: parts of it that begin and end between its points."""
    points = np.array(line, np.float64)
    arc = np.concatenate(([0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))))
    dash, gap = (length * SMOOTH for length in DASH)
    for start in np.arange(0, arc[-1], dash + gap):
        end = min(start + dash, arc[-1])
        inner = (arc > start) & (arc < end)
        at = np.concatenate(([start], arc[inner], [end]))
        x, y = np.interp(at, arc, points[:, 0]), np.interp(at, arc, points[:, 1])
        yield list(zip(x.tolist(), y.tolist(), strict=True))


def draw_text(
    pen: ImageDraw.ImageDraw,
    place: Point,
    text: str,
    colour: str,
    font: ImageFont.FreeTypeFont,
    size: tuple[int, int],
) -> None:
    """Write a text above a place, within a picture of (width, height)."""
    left, _, right, bottom = pen.textbbox((0, 0), text, font=font)
    x = min(max(place[0], 2), max(2, size[0] - (right - left) - 2))
    y = min(max(place[1] - bottom - 3, 1), max(1, size[1] - bottom - 2))
    pen.text((x, y), text, fill=colour, font=font, stroke_width=2, stroke_fill="#000000")
