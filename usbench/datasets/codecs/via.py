"""VGG Image Annotator's CSV export (VIA 2): polygons and attributes of many images, a row per
region, JSON in cells.

The columns are filename, file_size, file_attributes, region_count, region_id,
region_shape_attributes and region_attributes. Three cells hold JSON:

    file_attributes            {"View":"Transverse"}
    region_shape_attributes    {"name":"polygon","all_points_x":[…],"all_points_y":[…]}
    region_attributes          {"Anatomy":"Capsule"}

An image without a region has one row of empty shapes. Vertices are pixels; fractions are rounded. A
spreadsheet's way of saving it (byte order mark, semicolons, any line end) is understood.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from usbench.datasets.codecs.polygons import CORNERS, Polygon
from usbench.datasets.codecs.readers import read_text
from usbench.errors import DataError
from usbench.io.files import write_atomically

COLUMNS = (
    *("filename", "file_size", "file_attributes", "region_count", "region_id"),
    *("region_shape_attributes", "region_attributes"),
)
FARTHEST = 100_000  # px: no image is as large
Row = dict[str, str]


@dataclass(frozen=True)
class ViaRegion:
    """One polygon and what it is of."""

    label: str
    polygon: Polygon  # (V, 2) x, y


@dataclass(frozen=True)
class ViaImage:
    """One image of an export."""

    attributes: Mapping[str, str]  # of the image's first row
    regions: tuple[ViaRegion, ...]


@dataclass(frozen=True)
class ViaExport:
    """A whole file; oddities: what is taken otherwise than written → how many."""

    entries: dict[str, ViaImage]  # by file name, in the file's order
    oddities: Mapping[str, int]


def read_via(path: Path, attribute: str, labels: Sequence[str], rects: int = 0) -> ViaExport:
    """Every image of an export, and its regions whose `attribute` is one of `labels`.

    rects: how many stray rectangles the file is known to have; they are ignored. One file may have
    been annotated twice under one name: then region ids come twice, its polygons are all kept and
    the first row's attributes hold. Raises DataError, naming the line, for a missing column, JSON
    that is cut off, a region that is no polygon of three vertices or more, another label, and the
    same row twice.
    """
    entries: dict[str, ViaImage] = {}
    strays: list[str] = []
    seen: dict[tuple[str, ...], int] = {}
    ids: dict[str, list[str]] = {}
    odd: Counter[str] = Counter()
    for line, row in _rows(path):
        where = f"{path}: line {line} ({row['filename']})"
        first = seen.setdefault(tuple(row.values()), line)
        if first != line:
            raise DataError(
                f"{where}: expected every row once, got that of line {first} again; remove one of "
                "them"
            )
        facts = _texts(row, "file_attributes", where)
        entry = entries.setdefault(row["filename"], ViaImage(facts, ()))
        odd["rows whose image's attributes differ from its first row's"] += (
            entry.attributes != facts
        )
        shape = _object(row, "region_shape_attributes", where)
        if not shape:
            continue
        ids.setdefault(row["filename"], []).append(row["region_id"])
        label = _label(_texts(row, "region_attributes", where), attribute, labels, where)
        if shape.get("name") == "rect":
            strays.append(where)
        else:
            region = ViaRegion(label, _polygon(shape, where))
            entries[row["filename"]] = ViaImage(entry.attributes, (*entry.regions, region))
    if len(strays) > rects:
        raise DataError(
            f"{strays[rects]}: expected polygons, got a rect ({len(strays)} in the file; {rects} "
            "are a known defect of "
            "the release); redraw it as a polygon"
        )
    odd["rectangles, ignored"] = len(strays)
    odd["images with a region id twice, all their polygons taken"] = sum(
        len(set(n)) < len(n) for n in ids.values()
    )
    return ViaExport(entries, {name: count for name, count in odd.items() if count})


def write_via(
    path: Path, entries: Mapping[str, ViaImage], attribute: str, file_sizes: Mapping[str, int]
) -> None:
    """Write an export; file_sizes: bytes of each image."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for name, entry in entries.items():
        head = [name, file_sizes[name], _compact(dict(entry.attributes)), len(entry.regions)]
        for n, region in enumerate(entry.regions):
            xs, ys = region.polygon.T.tolist()
            shape = {"name": "polygon", "all_points_x": xs, "all_points_y": ys}
            rows.writerow([*head, n, _compact(shape), _compact({attribute: region.label})])
        if not entry.regions:
            rows.writerow([*head, 0, "{}", "{}"])
    write_atomically(path, text.getvalue().encode())


def _rows(path: Path) -> list[tuple[int, Row]]:
    """(line, row) of the file. DataError for anything but such a table."""
    expected = "a VIA annotation export (CSV)"
    text = read_text(path, expected)
    head = text.split("\n", 1)[0]
    table = csv.DictReader(
        io.StringIO(text, newline=""), delimiter=";" if head.count(";") > head.count(",") else ","
    )
    found: list[tuple[int, Row]] = []
    try:
        lost = [name for name in COLUMNS if name not in (table.fieldnames or ())]
        if lost:
            raise DataError(
                f"{path}: expected {expected} with the columns {', '.join(COLUMNS)}, found no "
                f"{lost[0]}"
            )
        for row in table:
            if None in row or None in row.values() or not row["filename"]:
                where = f"{path}: line {table.line_num}"
                raise DataError(
                    f"{where}: expected a file name and {len(COLUMNS)} cells, got others; export "
                    "it from VIA again"
                )
            found.append((table.line_num, {name: row[name] for name in COLUMNS}))
    except csv.Error as error:
        raise DataError(
            f"{path}: expected {expected}, got a damaged one ({error}); export it from VIA again"
        ) from error
    return found


def _object(row: Row, column: str, where: str) -> dict[str, Any]:
    """A cell's JSON object."""
    try:
        value = json.loads(row[column], parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{where}: expected JSON as {column}, got {row[column][:40]!r}, cut off or damaged; "
            "export it again"
        ) from error
    if not isinstance(value, dict):
        raise DataError(
            f"{where}: expected a JSON object as {column}, got {row[column][:40]!r}; export it "
            "again"
        )
    return value


def _texts(row: Row, column: str, where: str) -> dict[str, str]:
    """A cell's JSON object of texts."""
    found = _object(row, column, where)
    for name, value in found.items():
        if not isinstance(value, str):
            raise DataError(
                f"{where}: expected text as {name} of {column}, got {str(value)[:40]!r}; correct it"
            )
    return found


def _label(attributes: Mapping[str, str], attribute: str, labels: Sequence[str], where: str) -> str:
    label = attributes.get(attribute)
    if label is None or label not in labels:
        found = "none" if label is None else repr(label[:40])
        raise DataError(
            f"{where}: expected {', '.join(labels)} as {attribute}, got {found}; correct the row"
        )
    return label


def _polygon(shape: Mapping[str, Any], where: str) -> Polygon:
    if shape.get("name") != "polygon":
        raise DataError(
            f"{where}: expected a polygon, got {str(shape.get('name'))[:40]!r}; redraw it as a "
            "polygon"
        )
    xs, ys = shape.get("all_points_x"), shape.get("all_points_y")
    if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys):
        raise DataError(
            f"{where}: expected as many x as y of a polygon's vertices, got others; export it again"
        )
    if len(xs) < CORNERS:
        raise DataError(
            f"{where}: expected a polygon of {CORNERS} vertices or more, got {len(xs)}; redraw it"
        )
    for value in (*xs, *ys):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not -1 <= value <= FARTHEST:  # NaN fails too
            raise DataError(
                f"{where}: expected vertices in the image, in px, got {str(value)[:40]}; correct "
                "the row"
            )
    polygon: Polygon = np.floor(np.array([xs, ys], np.float64).T + 0.5).astype(np.int32)
    return polygon


def _compact(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
