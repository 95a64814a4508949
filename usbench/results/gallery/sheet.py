"""Sheets of pictures as PNG: a run's worst, median and best case, or a folder's first images."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from usbench.datasets.check.contact_sheet import load_font, save_sheet
from usbench.results.gallery.cases import (
    choose_cases,
    describe_quality,
    empty_cases,
    parse_rows,
    rank_cases,
)
from usbench.results.gallery.drawing import draw_overlay
from usbench.results.gallery.style import SIDES, Side, are_numbered, class_colour
from usbench.results.predictions import StoredPredictions
from usbench.results.store import Case

EDGE, LINE = 14, 18  # px around a picture, and of a line of text
PANEL = 420  # px, the width of a case's picture
TITLE, TEXT = 15, 12  # px, sizes of letters
INK, MUTED = "#1a2530", "#52616f"
PLATE = "#10161c"  # behind the colours of the key, which are made for dark images
ID_LENGTH = 34  # characters that fit over a picture


def draw_overlays(
    predictions: StoredPredictions,
    cases: Iterable[Case],
    title: str,
    attribution: str | None = None,
    leaking: Collection[str] = (),
) -> list[Path]:
    """Write the worst, median and best case into the run's folder, as overlays.png, and list it.

    Args:
        predictions: of the test split.
        cases: the scorer's rows, or a case table's.
        title: what was run.
        attribution: whose images these are.
        leaking: ids of images that resemble training images, which aren't drawn.
    """
    samples = predictions.samples
    task, classes, ids = samples.dataset.task, samples.dataset.classes, samples.ids
    rows = parse_rows(cases)
    ranked = [item for item in rank_cases(rows, task) if item[0] not in leaking]
    pictures = []
    for place, (case, quality) in choose_cases(ranked, empty_cases(rows, task)).items():
        n = ids.index(case)
        sample = samples[n]
        picture = draw_overlay(sample.image, classes, sample.target, predictions[n], PANEL)
        caption = f"{place}: {shorten(case)}", describe_quality(quality, task)
        pictures.append((caption, picture))
    path = predictions.folder / "overlays.png"
    lines = [title, f"images: {attribution}"] if attribution else [title]
    draw_sheet(pictures, lines, classes, path, len(pictures) or 1, SIDES)
    return [path]


def draw_sheet(
    pictures: Sequence[tuple[Sequence[str], Image.Image]],
    title: Sequence[str],
    classes: Sequence[str],
    path: Path,
    columns: int,
    sides: Sequence[Side],
) -> None:
    """Write pictures in a grid, each below its caption, with a title and a key.

    Args:
        pictures: (lines of its caption, picture); the pictures have one width.
        title: its lines.
        classes: names of the key.
        path: of the PNG.
        columns: pictures in a row.
        sides: what is drawn: targets, predictions or both.

    Raises:
        RunError: it can't be written.
    """
    columns = min(columns, len(pictures)) or 1
    cells = [pictures[n : n + columns] for n in range(0, len(pictures), columns)]
    width = max(2 * PANEL, columns * (widest(pictures) + EDGE) + EDGE)
    heights = [max(EDGE + LINE * len(text) + image.height for text, image in row) for row in cells]
    top = EDGE + LINE * len(title) + EDGE
    key = draw_key(classes, sides, width - 2 * EDGE)
    canvas = Image.new("RGB", (width, top + sum(heights) + 2 * EDGE + key.height), "#ffffff")
    pen = ImageDraw.Draw(canvas)
    for n, line in enumerate(title):
        pen.text((EDGE, EDGE + n * LINE), line, INK, load_font(TEXT if n else TITLE))
    for row, height in zip(cells, heights, strict=True):
        for column, (text, image) in enumerate(row):
            left = EDGE + column * (widest(pictures) + EDGE)
            for n, line in enumerate(text):
                pen.text((left, top + n * LINE), line, MUTED if n else INK, load_font(TEXT))
            canvas.paste(image, (left, top + LINE * len(text)))
        top += height
    canvas.paste(key, (EDGE, top + EDGE))
    save_sheet(canvas, path)


def widest(pictures: Sequence[tuple[Sequence[str], Image.Image]]) -> int:
    """Width of the widest picture; 0 without any."""
    return max((image.width for _, image in pictures), default=0)


def draw_key(classes: Sequence[str], sides: Sequence[Side], width: int) -> Image.Image:
    """What lines and colours mean, in as many rows as it takes."""
    font = load_font(TEXT)
    entries: list[tuple[str, Side, str]] = []  # text, side, colour
    text: str
    if len(sides) > 1 or len(classes) == 1:
        for side in sides:
            text, colour = side, "#ffffff"
            if len(classes) == 1:
                text = f"{side}: {classes[0]}" if len(sides) > 1 else classes[0]
                colour = class_colour(0, side, 1)
            entries.append((text, side, colour))
    for n, name in enumerate(classes if len(classes) > 1 else ()):
        text = f"{n + 1} {name}" if are_numbered(classes) else name
        entries.append((text, sides[0], class_colour(n, sides[0], len(classes))))
    probe = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    places, x, y = [], EDGE, 0
    for text, _, _ in entries:
        needed = 34 + int(probe.textlength(text, font)) + EDGE
        if x + needed > width and x > EDGE:
            x, y = EDGE, y + LINE + 4
        places.append((x, y))
        x += needed
    key = Image.new("RGB", (width, y + LINE + 8), PLATE)
    pen = ImageDraw.Draw(key)
    for (text, side, colour), (left, upper) in zip(entries, places, strict=True):
        middle = upper + LINE // 2 + 3
        for start in (0, 10, 20) if side == "prediction" else (0,):
            end = 26 if side == "target" else start + 6
            pen.line((left + start, middle, left + end, middle), fill=colour, width=2)
        pen.text((left + 34, upper + 4), text, "#ffffff", font)
    return key


def shorten(text: str) -> str:
    """A text without its middle where it is longer than fits."""
    if len(text) <= ID_LENGTH:
        return text
    return f"{text[: ID_LENGTH // 2]}…{text[1 - ID_LENGTH // 2 :]}"
