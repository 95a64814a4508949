"""Contact sheets: pairs of images side by side, with their ids, splits and correlation."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from usbench.datasets.check.duplicates import SimilarPair
from usbench.datasets.codecs import image
from usbench.io.files import write_all

MOST = 40  # pairs
COLUMNS = 4
SIDE = (200, 160)  # width and height of an image, px
EDGE, LINE = 12, 16  # px
CELL = (2 * SIDE[0] + 4 + EDGE, SIDE[1] + 3 * LINE + EDGE)
FULL = 66  # characters of a line that fit above a pair


def draw_pairs(
    pairs: Sequence[SimilarPair], root: Path, title: str, attribution: str | None, path: Path
) -> None:
    """Write the first pairs as a PNG, in their order; attribution: whose images they are.

    Raises:
        RunError: it can't be written.
        DataError: an image can't be read.
    """
    chosen = pairs[:MOST]
    columns = min(COLUMNS, len(chosen))
    top = EDGE + LINE * (3 if attribution else 2)
    size = (max(columns, 2) * CELL[0] + EDGE, top + -(-len(chosen) // columns) * CELL[1])
    canvas = Image.new("L", size, 255)
    pen, font = ImageDraw.Draw(canvas), load_font(11)
    pen.text((EDGE, EDGE), f"{title}: {len(chosen)} of {len(pairs)} pairs", 0, load_font(13))
    if attribution:
        pen.text((EDGE, EDGE + LINE + 2), f"images: {attribution}", 0, font)
    for n, pair in enumerate(chosen):
        left, upper = EDGE + n % columns * CELL[0], top + n // columns * CELL[1]
        for line, text in enumerate(format_caption(pair)):
            pen.text((left, upper + line * LINE), text[:FULL], 0, font)
        for side, record in enumerate((pair.first, pair.second)):
            small = Image.fromarray(image.read_grey(root / record.image))
            small.thumbnail(SIDE)
            canvas.paste(small, (left + side * (SIDE[0] + 4), upper + 3 * LINE))
    save_sheet(canvas, path)


def save_sheet(canvas: Image.Image, path: Path) -> None:
    """Write a sheet as PNG. Raises RunError where it can't be written."""
    content = io.BytesIO()
    canvas.save(content, format="PNG")
    write_all({path: content.getvalue()})


def format_caption(pair: SimilarPair) -> tuple[str, str, str]:
    """Correlation and splits; then an id per line."""
    same = "identical" if pair.identical else f"r = {pair.correlation:.3f}"
    status = "   known" if pair.is_known else ""
    return f"{same}   {' | '.join(pair.split_names)}{status}", pair.first.id, pair.second.id


def load_font(size: int) -> ImageFont.FreeTypeFont:
    """Matplotlib's own copy of DejaVu Sans: the same on every machine."""
    from matplotlib import get_data_path

    return ImageFont.truetype(f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf", size)
