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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from usbench.datasets.codecs.polygons import CORNERS, Polygon
from usbench.datasets.codecs.readers import content_error, is_number, read_rows, read_text, require
from usbench.errors import DataError
from usbench.io.files import JsonObject, write_atomically

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
    lines: dict[tuple[str, ...], int] = {}  # row → the line where it stands first
    ids: set[tuple[str, str]] = set()
    repeated: set[str] = set()  # images with a region id twice
    odd: Counter[str] = Counter()
    for line, row in _read_rows(path):
        name, where = row["filename"], f"{path}: line {line} ({row['filename']})"
        first = lines.setdefault(tuple(row.values()), line)
        if first != line:
            raise DataError(
                f"{where}: expected every row once, got that of line {first} again; remove one of "
                "them"
            )
        facts = _texts(row, "file_attributes", where)
        entry = entries.setdefault(name, ViaImage(facts, ()))
        if entry.attributes != facts:
            odd["rows whose image's attributes differ from its first row's"] += 1
        shape = _object(row, "region_shape_attributes", where)
        if not shape:
            continue
        if (name, row["region_id"]) in ids:
            repeated.add(name)
        ids.add((name, row["region_id"]))
        label = _texts(row, "region_attributes", where).get(attribute)
        if label is None or label not in labels:
            raise DataError(
                f"{where}: expected {', '.join(labels)} as {attribute}, "
                f"got {'none' if label is None else repr(label[:40])}; correct the row"
            )
        if shape.get("name") == "rect":
            strays.append(where)
        else:
            region = ViaRegion(label, _polygon(shape, where))
            entries[name] = ViaImage(entry.attributes, (*entry.regions, region))
    if len(strays) > rects:
        raise DataError(
            f"{strays[rects]}: expected polygons, got a rect ({len(strays)} in the file; {rects} "
            "are a known defect of the release); redraw it as a polygon"
        )
    odd["rectangles, ignored"] = len(strays)
    odd["images with a region id twice, all their polygons taken"] = len(repeated)
    return ViaExport(entries, dict(+odd))


def write_via(
    path: Path, entries: Mapping[str, ViaImage], attribute: str, file_sizes: Mapping[str, int]
) -> None:
    """Write an export; file_sizes: bytes of each image."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for name, entry in entries.items():
        head = [name, file_sizes[name], _compact({**entry.attributes}), len(entry.regions)]
        for n, region in enumerate(entry.regions):
            xs, ys = region.polygon.T.tolist()
            shape = {"name": "polygon", "all_points_x": xs, "all_points_y": ys}
            rows.writerow([*head, n, _compact(shape), _compact({attribute: region.label})])
        if not entry.regions:
            rows.writerow([*head, 0, "{}", "{}"])
    write_atomically(path, text.getvalue())


def _read_rows(path: Path) -> Iterator[tuple[int, Row]]:
    expected = "a VIA annotation export (CSV)"
    for line, row in read_rows(path, read_text(path, expected), COLUMNS, expected):
        if None in row or None in row.values() or not row["filename"]:
            raise DataError(
                f"{path}: line {line}: expected a file name and {len(COLUMNS)} cells, got others; "
                "export it from VIA again"
            )
        yield line, {name: row[name] for name in COLUMNS}


def _object(row: Row, column: str, where: str) -> JsonObject:
    try:
        value: JsonObject = json.loads(row[column], parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{where}: expected JSON as {column}, got {row[column][:40]!r}, cut off or damaged; "
            "export it again"
        ) from error
    require(
        isinstance(value, dict),
        where,
        f"a JSON object as {column}",
        row[column],
        "export it again",
    )
    return value


def _texts(row: Row, column: str, where: str) -> dict[str, str]:
    texts = _object(row, column, where)
    for name, value in texts.items():
        require(isinstance(value, str), where, f"text as {name} of {column}", value, "correct it")
    return texts


def _polygon(shape: JsonObject, where: str) -> Polygon:
    require(
        shape.get("name") == "polygon",
        where,
        "a polygon",
        shape.get("name"),
        "redraw it as a polygon",
    )
    xs, ys = shape.get("all_points_x"), shape.get("all_points_y")
    if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys):
        raise DataError(
            f"{where}: expected as many x as y of a polygon's vertices, got others; export it again"
        )
    require(
        len(xs) >= CORNERS,
        where,
        f"a polygon of {CORNERS} vertices or more",
        len(xs),
        "redraw it",
    )
    for value in (*xs, *ys):
        if not is_number(value, -1, FARTHEST):
            raise content_error(where, "vertices in the image, in px", value, "correct the row")
    return np.floor(np.array([xs, ys], np.float64).T + 0.5).astype(np.int32)


def _compact(value: Mapping[str, object]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
