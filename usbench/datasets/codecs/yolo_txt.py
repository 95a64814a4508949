"""YOLO label text: the boxes of one image as `class cx cy w h`, fractions of its sides.

And `classes.txt`, the names.

A class is the number of a line of classes.txt, from 0. An empty file is an image without objects.
Nothing is rounded: x1 = (cx − w/2)·W, x2 = (cx + w/2)·W, likewise y. Fractions are often written
with few digits, so a box may stick out by a thousandth of the image's side, and is clipped; more is
an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from usbench.datasets.codecs.readers import NUMBER, read_lines, require, split_lines
from usbench.errors import DataError
from usbench.io.files import write_atomically
from usbench.types import Boxes

STICKS_OUT = 1e-3  # of the image's side: what four digits lose
# Column after the class → the side of the image that it is a fraction of.
FRACTIONS = {"cx": "width", "cy": "height", "w": "width", "h": "height"}
_CLASS = re.compile(r"\d{1,9}", re.ASCII)

Rows = NDArray[np.float64]  # (N, 5 or 6): class cx cy w h [confidence]


def read_yolo_boxes(path: Path, names: Sequence[str], size: tuple[int, int]) -> Boxes:
    """The boxes of an image of (height, width) px, native px, half-open.

    Labels are indices into `names` (classes.txt).

    Raises:
        DataError: a class without a name, a fraction outside 0..1, a box without area or outside
            the image, text for a number, the same row twice, and for rows of predictions or of
            polygons; the message names the line.
    """
    return _parse_boxes(path, read_lines(path, "YOLO labels"), names, size)


def read_yolo_predictions(path: Path, names: Sequence[str], size: tuple[int, int]) -> Boxes:
    """Predictions, `class cx cy w h confidence`, as `read_yolo_boxes` reads targets.

    A row may come twice, a box may be flat.

    Raises:
        DataError: a row without its confidence, one outside 0..1, and what
            `read_yolo_boxes` refuses of a row.
    """
    _, rows = _parse_rows(path, read_lines(path, "YOLO predictions"), names, 6)
    return Boxes(_native_corners(rows, size), rows[:, 0].astype(np.int64), rows[:, 5])


def write_yolo_boxes(path: Path, boxes: Boxes, names: Sequence[str], size: tuple[int, int]) -> None:
    """Write the boxes of an image of (height, width) px, with as many digits as bring float32 px
    back exactly (coordinates under 1e-5 px: to 1e-9 px).

    Raises:
        DataError: boxes that `read_yolo_boxes` would refuse.
    """
    xyxy, extent = boxes.xyxy.astype(np.float64), (size[1], size[0])
    centres, sides = (xyxy[:, :2] + xyxy[:, 2:]) / 2 / extent, (xyxy[:, 2:] - xyxy[:, :2]) / extent
    lines = []
    for label, row in zip(boxes.labels, np.concatenate([centres, sides], axis=1), strict=True):
        lines.append(
            " ".join([str(label), *(np.format_float_positional(x, trim="-") for x in row)])
        )
    _parse_boxes(path, lines, names, size)
    write_atomically(path, "".join(map("{}\n".format, lines)))


def read_class_names(path: Path) -> tuple[str, ...]:
    """classes.txt: one name per line.

    DataError for none at all, an empty line between names and a name that comes twice.
    """
    return _check_names(path, read_lines(path, "class names, one per line"))


def write_class_names(path: Path, names: Sequence[str]) -> None:
    """Write classes.txt.

    Raises:
        DataError: names that `read_class_names` wouldn't give back.
    """
    text = "".join(map("{}\n".format, names))
    if _check_names(path, split_lines(text)) != tuple(names):
        raise DataError(
            f"{path}: expected names that fit a line each, got {', '.join(map(repr, names))}; "
            "rename them"
        )
    write_atomically(path, text)


def class_positions(path: Path, names: Sequence[str], classes: Sequence[str]) -> NDArray[np.int64]:
    """The place in `classes` of each name of classes.txt at `path`: the order may differ, the names
    may not.

    Raises DataError with both lists where they differ.
    """
    if set(names) != set(classes):
        raise DataError(
            f"{path}: expected the configured classes {', '.join(classes)}, got "
            f"{', '.join(names)}; "
            "correct dataset.views.detect.classes or the file"
        )
    return np.array(list(map(classes.index, names)), np.int64)


def _check_names(path: Path, lines: Iterable[str]) -> tuple[str, ...]:
    names = list(map(str.strip, lines))
    while names and not names[-1]:
        names.pop()
    if not names:
        raise DataError(
            f"{path}: expected class names, one per line, found none; list them in the labels' "
            "order"
        )
    first: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        where = f"{path}: line {number}"
        if not name:
            raise DataError(
                f"{where}: expected a class name, got an empty line, which counts; remove or fill "
                "it"
            )
        if first.setdefault(name, number) != number:
            raise DataError(
                f"{where}: expected a class name of its own, got {name!r} as in line {first[name]}"
            )
    return tuple(names)


def _parse_boxes(
    path: Path, lines: Iterable[str], names: Sequence[str], size: tuple[int, int]
) -> Boxes:
    wheres, rows = _parse_rows(path, lines, names, 5)
    corners = _native_corners(rows, size)
    first: dict[tuple[float, ...], str] = {}
    for where, row, fractions, box in zip(wheres, rows, _fractions(rows), corners, strict=True):
        same = first.setdefault(tuple(row.tolist()), where)
        if same is not where:
            raise DataError(
                f"{where}: expected every object once, got {same.rpartition(': ')[2]} again; "
                "remove one of them"
            )
        near = fractions.min() >= -STICKS_OUT and fractions.max() <= 1 + STICKS_OUT
        if not near or not (box[:2] < box[2:]).all():
            kind = "a box with area" if near else "a box"
            x1, y1, x2, y2 = fractions * np.tile(size[::-1], 2)
            raise DataError(
                f"{where}: expected {kind} inside {size[1]}×{size[0]}, got {x1:g}, {y1:g}, "
                f"{x2:g}, {y2:g}; correct the file"
            )
    return Boxes(corners, rows[:, 0].astype(np.int64))


def _parse_rows(
    path: Path, lines: Iterable[str], names: Sequence[str], columns: int
) -> tuple[list[str], Rows]:
    wheres: list[str] = []
    rows: list[list[float]] = []
    for number, line in enumerate(lines, start=1):
        cells, where = line.split(), f"{path}: line {number}"
        if not cells:
            continue
        if len(cells) != columns:
            raise DataError(
                f"{where}: expected class cx cy w h{' confidence' if columns == 6 else ''}, got "
                f"{_describe_row(cells)}; take the files of boxes"
            )
        if not _CLASS.fullmatch(cells[0]) or int(cells[0]) >= len(names):
            raise DataError(
                f"{where}: expected a class number 0..{len(names) - 1} of {', '.join(names)}, got "
                f"{cells[0][:40]!r}; correct it or classes.txt"
            )
        for name, text in zip((*FRACTIONS, "confidence"), cells[1:], strict=False):
            require(NUMBER.fullmatch(text) is not None, where, f"a number as {name}", text)
            side = FRACTIONS.get(name)
            if not 0 <= float(text) <= 1 + (STICKS_OUT if name in "wh" else 0):
                raise DataError(
                    f"{where}: expected {name} as a fraction of the image's {side}, 0..1, got "
                    f"{text}; divide pixels by the {side}"
                    if side
                    else f"{where}: expected a confidence of 0..1, got {text}; correct the file"
                )
        rows.append(list(map(float, cells)))
        wheres.append(where)
    return wheres, np.array(rows, np.float64).reshape(-1, columns)


def _describe_row(cells: Sequence[str]) -> str:
    if len(cells) == 6:
        return "6 columns, a prediction with its confidence"
    polygon = ", a segmentation polygon" if len(cells) >= 7 and len(cells) % 2 else ""
    return f"{len(cells)} columns{polygon}"


def _fractions(rows: Rows) -> NDArray[np.float64]:
    """(N, 4) x1, y1, x2, y2 as fractions of the image's sides."""
    centres, halves = rows[:, 1:3], rows[:, 3:5] / 2
    return np.concatenate([centres - halves, centres + halves], axis=1)


def _native_corners(rows: Rows, size: tuple[int, int]) -> NDArray[np.float32]:
    """(N, 4) x1, y1, x2, y2 in px, clipped to the image."""
    # -0.0 + 0.0 = 0.0.
    return np.asarray(np.clip(_fractions(rows), 0, 1) * np.tile(size[::-1], 2) + 0.0, np.float32)
