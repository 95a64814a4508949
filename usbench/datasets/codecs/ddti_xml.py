"""DDTI's XML: what is said of a case, and the outlines of its images.

    <case><number>67</number>…<tirads>4b</tirads>…<mark><image>1</image><svg>JSON</svg></mark>…</case>

The JSON lists an image's regions: [{"points": [{"x": 291, "y": 127}, …], "annotation": {},
"regionType": "freehand"}], px of the image. A view may have several marks, or none.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from usbench.datasets.codecs.outline_files import parse_polygon
from usbench.datasets.codecs.polygons import CORNERS, Polygon
from usbench.datasets.codecs.readers import content_error, read_xml, require
from usbench.errors import DataError
from usbench.io.files import write_atomically

VIEW = re.compile(r"\d{1,6}", re.ASCII)
BEFORE = ("age", "sex", "composition", "echogenicity", "margins", "calcifications")
AFTER = ("reportbacaf", "reporteco")


@dataclass(frozen=True)
class Case:
    """One XML."""

    tirads: str  # 2, 3, 4a, 4b, 4c, 5 or nothing; of the case, not of a nodule
    outlines: Mapping[str, Sequence[Polygon]]  # view → regions; none where nothing is drawn
    short_regions: int = 0  # regions of fewer than three points, left out
    is_repaired: bool = False  # whether a JSON lacked its end


def read_case(path: Path, end: str = "") -> Case:
    """Read the XML of a case.

    Args:
        path: the file.
        end: what its JSON is known to lack at its end.

    Raises:
        DataError: the XML or the JSON in it is cut off or damaged, or holds something else.
    """
    case = read_xml(path, "the XML of a DDTI case", "case")
    outlines: dict[str, list[Polygon]] = {}
    short_regions, is_repaired = 0, False
    for n, mark in enumerate(case.findall("mark"), start=1):
        where = f"{path}: mark {n}"
        text = mark.findtext("svg", "").strip()
        if not text:
            continue
        view = mark.findtext("image", "").strip()
        require(VIEW.fullmatch(view) is not None, where, "the number of an image", view)
        if end and not text.endswith("]"):
            text, is_repaired = text + end, True
        regions = _read_regions(where, text)
        whole = [region for region in regions if len(region) >= CORNERS]
        short_regions += len(regions) - len(whole)
        known = outlines.setdefault(str(int(view)), [])
        known += [parse_polygon(where, region) for region in whole]
    tirads = case.findtext("tirads", "").strip()
    return Case(tirads, outlines, short_regions, is_repaired)


def write_case(path: Path, number: str, case: Case) -> None:
    """Write the XML of a case, without its short regions."""
    root = ET.Element("case")
    texts = {"number": number, **dict.fromkeys(BEFORE), "tirads": case.tirads or None}
    for name, text in {**texts, **dict.fromkeys(AFTER)}.items():
        ET.SubElement(root, name).text = text
    for view, polygons in case.outlines.items():
        regions = [
            {
                "points": [{"x": x, "y": y} for x, y in polygon.tolist()],
                "annotation": {},
                "regionType": "freehand",
            }
            for polygon in polygons
        ]
        mark = ET.SubElement(root, "mark")
        ET.SubElement(mark, "image").text = view
        ET.SubElement(mark, "svg").text = json.dumps(regions)
    write_atomically(path, ET.tostring(root, encoding="unicode"))


def _read_regions(where: str, text: str) -> list[list[list[object]]]:
    """The points of each region, as [x, y]."""
    try:
        regions = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{where}: expected regions as JSON in <svg>, got a text cut off or damaged "
            f"({error}); fetch the file again"
        ) from error
    require(isinstance(regions, list), where, "a list of regions", regions)
    found = []
    for region in regions:
        points = region.get("points") if isinstance(region, dict) else None
        if not isinstance(points, list) or not all(isinstance(point, dict) for point in points):
            raise content_error(where, "a region with points", region)
        found.append([[point.get("x"), point.get("y")] for point in points])
    return found
