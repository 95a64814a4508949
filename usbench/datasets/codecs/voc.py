"""Pascal VOC XML: the boxes of one image.

The file says nothing about the origin or the end of its coordinates: they are taken as written, and
the layout converts them where its release counts otherwise. No <object> is a valid image without a
finding.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from usbench.datasets.codecs.readers import read_xml, require
from usbench.io.files import write_atomically
from usbench.types import Boxes

CORNERS = ("xmin", "ymin", "xmax", "ymax")
# float() would take 1_0 and nan.
_NUMBER = re.compile(r"[+-]?\d{1,30}(\.\d{0,60})?([eE][+-]?\d{1,3})?", re.ASCII)
_LENGTH = re.compile(r"\d{1,6}", re.ASCII)


def read_voc(path: Path, classes: Sequence[str]) -> tuple[Boxes, tuple[int, int]]:
    """The boxes as written, labels as indices into `classes`, and the (height, width) that <size>
    states.

    Raises:
        DataError: an unknown class, a box outside the image, without area or with a coordinate that
            is no number; for a missing <size>; for a cut-off file and one with a DOCTYPE (never
            expanded); the message names the object.
    """
    root = read_xml(path, "a Pascal VOC XML", "annotation")
    size = _length(path, root, "height"), _length(path, root, "width")
    corners, labels = [], []
    for number, element in enumerate(root.findall("object"), start=1):
        where, name = f"{path}: object {number}", element.findtext("name", "").strip()
        require(
            name in classes,
            where,
            f"a class of {', '.join(classes)}",
            name,
            "correct it or the class list",
        )
        labels.append(classes.index(name))
        corners.append(_corners(where, element, size))
    return Boxes(np.array(corners, np.float32).reshape(-1, 4), np.array(labels, np.int64)), size


def write_voc(
    path: Path,
    boxes: Boxes,
    classes: Sequence[str],
    size: tuple[int, int],
    filename: str,
    folder: str,
) -> None:
    """Write the boxes of an image of (height, width) px with the fields of the VOC format, in its
    order.

    float32 coordinates survive exactly.

    Raises:
        DataError: boxes that `read_voc` would refuse.
    """
    root = ET.Element("annotation")
    _fill(root, {"folder": folder, "filename": filename, "path": f"{folder}/{filename}"})
    _fill(ET.SubElement(root, "source"), {"database": "Unknown"})
    _fill(
        ET.SubElement(root, "size"), {"width": str(size[1]), "height": str(size[0]), "depth": "3"}
    )
    _fill(root, {"segmented": "0"})
    for number, (box, label) in enumerate(zip(boxes.xyxy, boxes.labels, strict=True), start=1):
        _require_inside(f"{path}: object {number}", box, size)
        element = ET.SubElement(root, "object")
        _fill(
            element,
            {"name": classes[label], "pose": "Unspecified", "truncated": "0", "difficult": "0"},
        )
        texts = (np.format_float_positional(value, trim="-") for value in box)
        _fill(ET.SubElement(element, "bndbox"), dict(zip(CORNERS, texts, strict=True)))
    ET.indent(root, "\t")
    write_atomically(path, ET.tostring(root, encoding="unicode") + "\n")


def _length(path: Path, root: ET.Element, name: str) -> int:
    text = root.findtext(f"size/{name}", "").strip()
    require(
        _LENGTH.fullmatch(text) is not None and int(text) > 0,
        str(path),
        f"<size> with a {name} in pixels",
        text,
    )
    return int(text)


def _corners(where: str, element: ET.Element, size: tuple[int, int]) -> NDArray[np.float32]:
    numbers = []
    for name in CORNERS:
        text = element.findtext(f"bndbox/{name}", "").strip()
        require(_NUMBER.fullmatch(text) is not None, where, f"a number as {name}", text)
        numbers.append(float(text))
    with np.errstate(over="ignore"):
        box = np.array(numbers).astype(np.float32)
    _require_inside(where, box, size)
    return box


def _require_inside(where: str, box: NDArray[np.float32], size: tuple[int, int]) -> None:
    height, width = size
    x1, y1, x2, y2 = box.tolist()
    require(
        0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height,
        where,
        f"a box with area inside {width}×{height}",
        f"{x1:g}, {y1:g}, {x2:g}, {y2:g}",
    )


def _fill(element: ET.Element, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        ET.SubElement(element, name).text = text
