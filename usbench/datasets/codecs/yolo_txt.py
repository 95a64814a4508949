"""YOLO label text: the boxes of one image as `class cx cy w h`, fractions of its sides.

And `classes.txt`, the names.

A class is the number of a line of classes.txt, from 0. An empty file is an image without objects.
Nothing is rounded: x1 = (cx − w/2)·W, x2 = (cx + w/2)·W, likewise y. Fractions are often written
with few digits, so a box may stick out by a thousandth of the image's side, and is clipped; more is
an error.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from usbench.datasets.codecs.readers import read_lines, split_lines
from usbench.errors import DataError
from usbench.io.files import write_atomically
from usbench.types import Boxes

STICKS_OUT = 1e-3  # of the image's side: what four digits lose
FRACTIONS = ("cx", "cy", "w", "h")
# float() would take nan.
_NUMBER = re.compile(r"[+-]?(\d{1,30}(\.\d{0,60})?|\.\d{1,60})([eE][+-]?\d{1,3})?", re.ASCII)
_CLASS = re.compile(r"\d{1,9}", re.ASCII)

Row = tuple[int, float, float, float, float]


def read_yolo_boxes(path: Path, names: Sequence[str], size: tuple[int, int]) -> Boxes:
    """The boxes of an image of (height, width) px, native px, half-open.

    Labels are indices into `names` (classes.txt).

    Raises:
        DataError: a class without a name, a fraction outside 0..1, a box without area or outside
            the image, text for a number, the same row twice, and for rows of predictions or of
            polygons; the message names the line.
    """
    return _boxes(path, read_lines(path, "YOLO labels"), names, size)


def read_yolo_predictions(path: Path, names: Sequence[str], size: tuple[int, int]) -> Boxes:
    """Predictions, `class cx cy w h confidence`, as `read_yolo_boxes` reads truths.

    A row may come twice, a box may be flat.

    Raises:
        DataError: a row without its confidence, one outside 0..1, and what
            `read_yolo_boxes` refuses of a row.
    """
    corners, labels, scores = [], [], []
    for number, line in enumerate(read_lines(path, "YOLO predictions"), start=1):
        columns = line.split()
        if not columns:
            continue
        where = f"{path}: line {number}"
        if len(columns) != 6:
            raise DataError(
                f"{where}: expected class cx cy w h confidence, got {len(columns)} columns; save "
                "them so"
            )
        if not _NUMBER.fullmatch(columns[5]) or not 0 <= float(columns[5]) <= 1:
            raise DataError(
                f"{where}: expected a confidence of 0..1, got {columns[5][:40]!r}; correct the file"
            )
        label, cx, cy, w, h = _row(where, columns[:5], names)
        corners.append(np.clip([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], 0, 1))
        labels.append(label)
        scores.append(float(columns[5]))
    sides = np.array([size[1], size[0], size[1], size[0]])
    xyxy = (np.array(corners).reshape(-1, 4) * sides).astype(np.float32)
    return Boxes(xyxy, np.array(labels, np.int64), np.array(scores, np.float32))


def write_yolo_boxes(path: Path, boxes: Boxes, names: Sequence[str], size: tuple[int, int]) -> None:
    """Write the boxes of an image of (height, width) px, with as many digits as bring float32 px
    back exactly (coordinates under 1e-5 px: to 1e-9 px).

    Raises:
        DataError: boxes that `read_yolo_boxes` would refuse.
    """
    xyxy, extent = boxes.xyxy.astype(np.float64), (size[1], size[0])
    centres, sides = (xyxy[:, :2] + xyxy[:, 2:]) / 2 / extent, (xyxy[:, 2:] - xyxy[:, :2]) / extent
    lines = []
    for label, row in zip(
        boxes.labels.tolist(), np.concatenate([centres, sides], axis=1), strict=True
    ):
        lines.append(
            " ".join([str(label), *(np.format_float_positional(value, trim="-") for value in row)])
        )
    _boxes(path, lines, names, size)
    write_atomically(path, "".join(f"{line}\n" for line in lines).encode("ascii"))


def read_class_names(path: Path) -> tuple[str, ...]:
    """classes.txt: one name per line.

    DataError for none at all, an empty line between names and a name that comes twice.
    """
    return _names(path, read_lines(path, "class names, one per line"))


def write_class_names(path: Path, names: Sequence[str]) -> None:
    """Write classes.txt.

    Raises:
        DataError: names that `read_class_names` wouldn't give back.
    """
    text = "".join(f"{name}\n" for name in names)
    if _names(path, split_lines(text)) != tuple(names):
        raise DataError(
            f"{path}: expected names that fit a line each, got {', '.join(map(repr, names))}; "
            "rename them"
        )
    write_atomically(path, text.encode())


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
    return np.array([classes.index(name) for name in names], np.int64)


def _names(path: Path, lines: list[str]) -> tuple[str, ...]:
    names = [line.strip() for line in lines]
    while names and not names[-1]:
        names.pop()
    first: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        where = f"{path}: line {number}"
        if not name:
            raise DataError(
                f"{where}: expected a class name, got an empty line, which counts; remove or fill "
                "it"
            )
        if name in first:
            raise DataError(
                f"{where}: expected a class name of its own, got {name!r} as in line {first[name]}"
            )
        first[name] = number
    if not names:
        raise DataError(
            f"{path}: expected class names, one per line, found none; list them in the labels' "
            "order"
        )
    return tuple(names)


def _boxes(path: Path, lines: list[str], names: Sequence[str], size: tuple[int, int]) -> Boxes:
    found: dict[Row, int] = {}
    corners, labels = [], []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}: line {number}"
        row = _row(where, line.split(), names)
        if row in found:
            raise DataError(
                f"{where}: expected every object once, got line {found[row]} again; remove one of "
                "them"
            )
        found[row] = number
        corners.append(_corners(where, row, size))
        labels.append(row[0])
    return Boxes(np.array(corners, np.float32).reshape(-1, 4), np.array(labels, np.int64))


def _row(where: str, columns: list[str], names: Sequence[str]) -> Row:
    if len(columns) != 5:
        raise DataError(
            f"{where}: expected class cx cy w h, got {_other(columns)}; take the files of boxes"
        )
    if not _CLASS.fullmatch(columns[0]) or int(columns[0]) >= len(names):
        known = f"a class number 0..{len(names) - 1} of {', '.join(names)}"
        raise DataError(
            f"{where}: expected {known}, got {columns[0][:40]!r}; correct it or classes.txt"
        )
    for name, text in zip(FRACTIONS, columns[1:], strict=True):
        if not _NUMBER.fullmatch(text):
            raise DataError(
                f"{where}: expected a number as {name}, got {text[:40]!r}; correct the file"
            )
        if not 0 <= float(text) <= 1 + (STICKS_OUT if name in "wh" else 0):
            side = "width" if name in ("cx", "w") else "height"
            wanted = f"{name} as a fraction of the image's {side}, 0..1"
            raise DataError(f"{where}: expected {wanted}, got {text}; divide pixels by the {side}")
    cx, cy, w, h = (float(text) for text in columns[1:])
    return int(columns[0]), cx, cy, w, h


def _other(columns: list[str]) -> str:
    """What a row of another length is."""
    if len(columns) == 6:
        return "6 columns, a prediction with its confidence"
    if len(columns) >= 7 and len(columns) % 2:
        return f"{len(columns)} columns, a segmentation polygon"
    return f"{len(columns)} columns"


def _corners(where: str, row: Row, size: tuple[int, int]) -> NDArray[np.float32]:
    _, cx, cy, w, h = row
    fractions = np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2])
    sides = np.array([size[1], size[0], size[1], size[0]])
    found = ", ".join(f"{value:g}" for value in fractions * sides)
    if fractions.min() < -STICKS_OUT or fractions.max() > 1 + STICKS_OUT:
        raise DataError(
            f"{where}: expected a box inside {size[1]}×{size[0]}, got {found}; correct the file"
        )
    # -0.0 + 0.0 = 0.0.
    box: NDArray[np.float32] = (np.clip(fractions, 0, 1) * sides + 0.0).astype(np.float32)
    if not (box[:2] < box[2:]).all():
        raise DataError(
            f"{where}: expected a box with area inside {size[1]}×{size[0]}, got {found}; correct "
            "the file"
        )
    return box
