"""One image with what is drawn on it, as pixels: masks tinted, boxes with their confidence, landmarks, a legend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from usbench.results.gallery.overlay import CONFIDENCE, paint, palette
from usbench.types import (
    SEEN,
    Boxes,
    Landmarks,
    Target,
    curve_through,
)

Colour = tuple[int, ...]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
LEGEND_MOST = 12  # more names would hide the picture


def annotated(image: NDArray[np.uint8], target: Target, classes: Sequence[str]) -> Image.Image:
    """(H, W) grey and a truth or prediction in its pixels → an RGB picture of the same size."""
    picture = Image.fromarray((paint(image, target) * 255).round().astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    many = len(target.paths) if isinstance(target, Landmarks) else len(classes)
    colours = [tuple(round(255 * part) for part in colour) for colour in palette(many)]
    font = ImageFont.load_default(max(10, image.shape[0] // 40))
    if isinstance(target, Boxes):
        boxes(pen, target, colours, font)
        seen = sorted({int(label) for label in target.labels[sure(target)]})
    elif isinstance(target, Landmarks):
        marks(pen, target, colours, max(2, image.shape[0] // 150))
        seen = [n for n, state in enumerate(target.state) if state == SEEN]
    else:
        seen = np.flatnonzero(target.planes.any((1, 2))).tolist()
    legend(pen, [(classes[n], colours[n]) for n in seen], font)
    return picture


def sure(target: Boxes) -> NDArray[np.bool_]:
    """(N,) which boxes are drawn: of a prediction those of a confidence of .25 at least."""
    return (
        np.ones(len(target.labels), bool) if target.scores is None else target.scores >= CONFIDENCE
    )


def boxes(pen: ImageDraw.ImageDraw, target: Boxes, colours: Sequence[Colour], font: Font) -> None:
    """Half-open rectangles: the last pixel inside is drawn on."""
    for n in np.flatnonzero(sure(target)):
        x1, y1, x2, y2 = (float(side) for side in target.xyxy[n])
        colour = colours[int(target.labels[n])]
        pen.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=colour, width=2)
        if target.scores is not None:
            word = f"{target.scores[n]:.2f}"
            plate = pen.textbbox((x1 + 3, y1 + 3), word, font=font)
            pen.rectangle(plate, fill=(0, 0, 0))
            pen.text((x1 + 3, y1 + 3), word, fill=colour, font=font)


def marks(
    pen: ImageDraw.ImageDraw, target: Landmarks, colours: Sequence[Colour], radius: int
) -> None:
    """A dot per point that is seen, a line per curve."""
    for path, state, colour in zip(target.paths, target.state, colours, strict=True):
        if state != SEEN or not len(path):
            continue
        if len(path) == 1:
            x, y = (float(part) for part in path[0])
            pen.ellipse(
                (x - radius, y - radius, x + radius, y + radius), fill=colour, outline=(0, 0, 0)
            )
        else:
            pen.line(
                [(float(x), float(y)) for x, y in curve_through(path)],
                fill=colour,
                width=max(1, radius // 2),
            )


def legend(pen: ImageDraw.ImageDraw, names: Sequence[tuple[str, Colour]], font: Font) -> None:
    """The classes that are there, at the top left."""
    top = 3.0
    for name, colour in names[:LEGEND_MOST]:
        plate = pen.textbbox((3, top), name, font=font)
        pen.rectangle(plate, fill=(0, 0, 0))
        pen.text((3, top), name, fill=colour, font=font)
        top = plate[3] + 3
