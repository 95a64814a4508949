"""Targets and predictions drawn on their images, as pixels; a run's worst, median and best case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import scipy
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from usbench.io.files import replacing
from usbench.results.gallery.cases import (
    CONFIDENCE,
    SCORES,
    choose_cases,
    parse_rows,
    rank_cases,
)
from usbench.results.predictions import StoredPredictions
from usbench.results.store import Case
from usbench.types import SEEN, Boxes, Landmarks, Masks, Target, curve_through

Colour = tuple[int, int, int]  # red, green, blue, 0..255
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
PANEL = 480  # px, the least width of a drawn image
ID_LENGTH = 36  # characters that fit over a picture
LEGEND_LIMIT = 12  # more names would hide the picture
TINT = 0.4  # share of the class's colour inside a mask


def draw_target(
    image: NDArray[np.uint8],
    target: Target,
    classes: Sequence[str],
    scale: int = 1,
    legend: bool = True,
) -> Image.Image:
    """Draw masks (tinted and outlined), boxes with their confidence, or landmarks on an image.

    Args:
        image: (H, W) grey.
        target: a target or a prediction, in the image's pixels.
        classes: the names of the target's classes.
        scale: the picture has `scale` pixels for each of the image's, so that thin lines fit.
        legend: whether the classes that are there are listed at the top left.

    Returns:
        An RGB picture of `scale` times the image's size.
    """
    colours = class_colours(len(classes))
    pixels = image.repeat(scale, axis=0).repeat(scale, axis=1)
    if isinstance(target, Masks):
        picture = Image.fromarray(
            tint_masks(pixels, target.planes.repeat(scale, axis=1).repeat(scale, axis=2), colours)
        )
    else:
        picture = Image.fromarray(pixels).convert("RGB")
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(max(10, picture.height // 40))
    if isinstance(target, Boxes):
        draw_boxes(pen, target, colours, font, scale)
    elif isinstance(target, Landmarks):
        draw_landmarks(pen, target, colours, max(3, picture.height // 120), scale)
    top = 3.0
    for n in visible_classes(target)[: LEGEND_LIMIT if legend else 0]:
        top = draw_label(pen, (3, top), classes[n], colours[n], font) + 3
    return picture


def class_colours(n: int) -> list[Colour]:
    """n colours that differ as much as they can."""
    from matplotlib import colormaps  # slow to import

    name, period = ("tab10", 10) if n <= 10 else ("tab20", 20)
    parts = np.array([colormaps[name](c % period)[:3] for c in range(n)])
    return [(r, g, b) for r, g, b in (parts * 255).round().astype(int).tolist()]


def is_drawn(target: Boxes) -> NDArray[np.bool_]:
    """(N,) which boxes are drawn: of a prediction those of a confidence of .25 or more."""
    if target.scores is None:
        return np.ones(len(target.labels), bool)
    return np.asarray(target.scores >= CONFIDENCE)


def visible_classes(target: Target) -> list[int]:
    """The numbers of the classes that are drawn, in order."""
    if isinstance(target, Boxes):
        return sorted({int(label) for label in target.labels[is_drawn(target)]})
    if isinstance(target, Landmarks):
        return [n for n, state in enumerate(target.state) if state == SEEN]
    return [int(n) for n in np.flatnonzero(target.planes.any(axis=(1, 2)))]


def tint_masks(
    image: NDArray[np.uint8], planes: NDArray[np.bool_], colours: Sequence[Colour]
) -> NDArray[np.uint8]:
    """Tint and outline masks.

    Outlines are drawn from the last class to the first: of planes that overlap, the first
    contains the others.

    Args:
        image: (H, W) grey.
        planes: (C, H, W).

    Returns:
        (H, W, 3).
    """
    picture = np.repeat(image[..., None], 3, axis=2).astype(np.float64)
    for plane, colour in zip(planes, colours, strict=True):
        picture[plane] = (1 - TINT) * picture[plane] + TINT * np.array(colour)
    for plane, colour in reversed(list(zip(planes, colours, strict=True))):
        picture[plane & ~scipy.ndimage.binary_erosion(plane)] = colour
    return picture.round().astype(np.uint8)


def draw_boxes(
    pen: ImageDraw.ImageDraw, target: Boxes, colours: Sequence[Colour], font: Font, scale: int
) -> None:
    """Draw half-open rectangles: the last pixel inside is drawn on."""
    for n in np.flatnonzero(is_drawn(target)):
        x1, y1, x2, y2 = (float(side) * scale for side in target.xyxy[n])
        colour = colours[int(target.labels[n])]
        pen.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=colour, width=2)
        if target.scores is not None:
            draw_label(pen, (x1 + 3, y1 + 3), f"{target.scores[n]:.2f}", colour, font)


def draw_landmarks(
    pen: ImageDraw.ImageDraw,
    target: Landmarks,
    colours: Sequence[Colour],
    radius: int,
    scale: int,
) -> None:
    """Draw a dot for each point that is seen, and a line for each curve. radius: of a dot, px."""
    for path, state, colour in zip(target.paths, target.state, colours, strict=True):
        if state != SEEN or not len(path):
            continue
        points = (path if len(path) == 1 else curve_through(path)) * scale + (scale - 1) / 2
        if len(path) == 1:
            x, y = points[0].tolist()
            pen.ellipse(
                (x - radius, y - radius, x + radius, y + radius), fill=colour, outline=(0, 0, 0)
            )
        else:
            pen.line([(x, y) for x, y in points.tolist()], fill=colour, width=max(1, radius // 2))


def draw_label(
    pen: ImageDraw.ImageDraw, place: tuple[float, float], text: str, colour: Colour, font: Font
) -> float:
    """Write text on a black plate; return the plate's lower edge."""
    plate = pen.textbbox(place, text, font=font)
    pen.rectangle(plate, fill=(0, 0, 0))
    pen.text(place, text, fill=colour, font=font)
    return float(plate[3])


# ---- the picture of a run


def draw_overlays(
    predictions: StoredPredictions,
    cases: Iterable[Case],
    title: str,
    attribution: str | None = None,
) -> list[Path]:
    """Write overlays.png into the run's folder and list it.

    Args:
        predictions: of the test split.
        cases: the scorer's rows, or a case table's.
        title: what was run.
        attribution: whose images these are.
    """
    path = predictions.folder / "overlays.png"
    heading = f"{title}\nimages: {attribution}" if attribution else title
    draw_figure(
        predictions,
        choose_cases(rank_cases(parse_rows(cases), predictions.samples.dataset.task)),
        heading,
        path,
    )
    return [path]


def draw_figure(
    predictions: StoredPredictions,
    chosen: Mapping[str, tuple[str, float]],
    heading: str,
    path: Path,
) -> None:
    """Draw a row per case: target and prediction. chosen: place → (case, quality)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to import
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    samples = predictions.samples
    task, classes, ids = samples.dataset.task, samples.dataset.classes, samples.ids
    height, width = samples[ids.index(chosen["worst"][0])].image.shape
    size = (9, 0.9 + len(chosen) * 4.3 * height / width)  # inches
    figure = Figure(figsize=size, layout="constrained")
    rows = figure.subplots(len(chosen), 2, squeeze=False)
    for axes, (place, (case, quality)) in zip(rows, chosen.items(), strict=True):
        n = ids.index(case)
        sample, scale = samples[n], max(1, round(PANEL / width))
        panels = {
            f"{place}: {shorten(case)}, target": sample.target,
            f"prediction, {SCORES[task]} {quality:.2f}": predictions[n],
        }
        for axis, (text, target) in zip(axes, panels.items(), strict=True):
            axis.imshow(draw_target(sample.image, target, classes, scale, legend=False))
            axis.set_title(text, fontsize=9, loc="left")
            axis.set_axis_off()
    colours = np.array(class_colours(len(classes))) / 255
    figure.legend(
        handles=[
            Patch(color=colour, label=label) for label, colour in zip(classes, colours, strict=True)
        ],
        loc="outside lower center",
        ncols=min(5, len(classes)),
        fontsize=8,
        frameon=False,
    )
    figure.suptitle(heading, fontsize=9)
    with replacing(path) as part:
        FigureCanvasAgg(figure).print_png(part)


def shorten(text: str) -> str:
    """A text without its middle where it is longer than fits."""
    if len(text) <= ID_LENGTH:
        return text
    return f"{text[: ID_LENGTH // 2]}…{text[1 - ID_LENGTH // 2 :]}"
