"""Outlines as releases store them, filled as OpenCV does (see `polygons`).

points                           a JSON list of [x, y]: one polygon, of one class
{labelme: {liver: Liver}}        LabelMe's JSON: polygons with labels, by class
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from usbench.datasets.codecs.mask_files import Encoding, Planes, Size
from usbench.datasets.codecs.polygons import CORNERS, Polygon, fill_polygons, trace_outlines
from usbench.datasets.codecs.readers import are_numbers, content_error, read_json, require
from usbench.errors import ConfigError
from usbench.io.files import JsonObject, write_atomically

LABELME_VERSION = "5.5.0"  # whose form is written


@dataclass(frozen=True)
class PointLists(Encoding):
    """One polygon: a JSON list of [x, y], px."""

    names: tuple[str, ...] = ()

    def read(self, path: Path, size: Size) -> Planes:
        """See Encoding."""
        content = read_json(path, "a list of an outline's points")
        return fill_polygons([parse_polygon(str(path), content)], size)[None]

    def write(self, path: Path, planes: Planes) -> None:
        """See Encoding. ValueError for a plane of several parts, which one polygon can't hold."""
        outlines = trace_outlines(planes[0])
        if len(outlines) != 1:
            raise ValueError(f"{path.name}: expected one part, got {len(outlines)}")
        write_atomically(path, json.dumps(outlines[0].tolist()))


@dataclass(frozen=True)
class LabelMe(Encoding):
    """Polygons with labels, as LabelMe saves them."""

    labels: Mapping[str, str]  # class → label in the file

    @property
    def names(self) -> tuple[str, ...]:  # type: ignore[override]
        """The classes, in the order of the setting."""
        return tuple(self.labels)

    def read(self, path: Path, size: Size) -> Planes:
        """See Encoding."""
        content = read_json(path, "LabelMe's annotations")
        require(isinstance(content, dict), str(path), "a JSON object", content)
        stated = (content.get("imageHeight"), content.get("imageWidth"))
        require(stated in (size, (None, None)), str(path), f"the image's size {size}", stated)
        shapes = content.get("shapes")
        require(isinstance(shapes, list), str(path), "a list of shapes", shapes)
        polygons: dict[str, list[Polygon]] = {label: [] for label in self.labels.values()}
        for n, shape in enumerate(shapes):
            self._add_shape(f"{path}: shape {n}", shape, polygons)
        return np.stack([fill_polygons(polygons[label], size) for label in self.labels.values()])

    def _add_shape(
        self, where: str, shape: JsonObject, polygons: Mapping[str, list[Polygon]]
    ) -> None:
        require(isinstance(shape, dict), where, "a JSON object", shape)
        label, kind = shape.get("label"), shape.get("shape_type", "polygon")
        require(label in polygons, where, f"a label of {', '.join(polygons)}", label)
        require(kind == "polygon", where, "a polygon", kind, "redraw it as one")
        polygons[str(label)].append(parse_polygon(where, shape.get("points")))

    def write(self, path: Path, planes: Planes) -> None:
        """See Encoding."""
        shapes = [
            {"label": label, "points": outline.tolist(), "shape_type": "polygon", "flags": {}}
            for label, plane in zip(self.labels.values(), planes, strict=True)
            for outline in trace_outlines(plane)
        ]
        height, width = planes.shape[1:]
        content = {
            "version": LABELME_VERSION,
            "flags": {},
            "shapes": shapes,
            "imagePath": f"{path.stem}.jpg",
            "imageHeight": height,
            "imageWidth": width,
        }
        write_atomically(path, json.dumps(content))


def parse_polygon(where: str, points: object) -> Polygon:
    """A JSON list of [x, y] as a polygon: vertices at pixels' centres, fractions rounded.

    Raises:
        DataError: anything else, or fewer than three points.
    """
    if not isinstance(points, list) or not all(are_numbers(point, 2) for point in points):
        raise content_error(where, "points as [x, y] in px", points, "fetch the file again")
    require(len(points) >= CORNERS, where, f"{CORNERS} points or more", len(points), "redraw it")
    return np.floor(np.array(points, np.float64) + 0.5).astype(np.int32)


def make_outline_encoding(node: object) -> Encoding:
    """The encoding of a layout's setting; ConfigError for another."""
    match node:
        case "points":
            return PointLists()
        case {"labelme": Mapping() as labels, **rest} if not rest and labels:
            return LabelMe(labels)
    raise ConfigError(f"encoding={node}: expected points, or {{labelme: {{class: label}}}}")
