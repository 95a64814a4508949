"""DDTI (Pedraza et al. 2015), the release of one XML a case: `pairs`, with outlines by view.

An image whose XML draws nothing for its view has no known nodule: that isn't said to mean that
there is none, so it isn't used. Two XMLs lack the end of their JSON after the last outline; that
end is added. What other XMLs lack is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from usbench.datasets.codecs.ddti_xml import Case, read_case, write_case
from usbench.datasets.codecs.mask_files import Planes
from usbench.datasets.codecs.polygons import fill_polygons, trace_outlines
from usbench.datasets.layouts.folders import ParsedFiles
from usbench.datasets.layouts.image_files import FoundImage
from usbench.datasets.layouts.pairs import Pairs
from usbench.datasets.layouts.path_templates import Fields
from usbench.datasets.layouts.problems import Problems
from usbench.types import Record

ENDS = {"197": 'pe": "freehand"}]', "205": 'ype": "freehand"}]'}  # that these cases' JSON lacks


class Ddti(Pairs):
    """See usbench.types.Layout. Images have the attribute tirads, that of their case."""

    name = "ddti"
    version = 1

    def __init__(self, classes: Sequence[str], **settings: Any) -> None:
        """Take the settings of `Pairs`, without an encoding."""
        # The outlines are read here, so no encoding reads a mask.
        super().__init__(classes, encoding={"threshold": 127}, **settings)
        self.cases = ParsedFiles(lambda path: read_case(path, ENDS.get(path.stem, "")))
        self.undrawn: set[str] = set()  # images that nothing is drawn for
        self.used: dict[str, Case] = {}  # path of an XML → what it says

    def index(self, root: Path) -> list[Record]:
        """See usbench.types.Layout. Reads every XML."""
        records, self.undrawn, self.used = [], set(), {}
        problems = Problems()
        for record in super().index(root):
            label = str(record.label)
            case = self.used[label] = self.cases.read(root / label)
            if not case.outlines.get(record.attributes["view"]):
                self.undrawn.add(record.id)
                continue
            attributes = {**record.attributes, "tirads": case.tirads}
            records.append(replace(record, attributes=attributes))
        pictured = self._labels(root).keys()
        for label, case in self.used.items():
            for view, outlines in case.outlines.items():
                if outlines and f"{Path(label).stem}/{view}" not in pictured:
                    problems.add(
                        f"{root / label}: expected an image of view {view}, which has an outline, "
                        "found none"
                    )
        problems.raise_any()
        return records

    def read_label(self, path: Path, size: tuple[int, int], fields: Fields) -> Planes:
        """See Pairs."""
        polygons = self.cases.read(path).outlines[fields["view"]]
        return np.asarray(fill_polygons(polygons, size))[None]

    def oddities(self) -> dict[str, int]:
        """See usbench.types.Layout."""
        cases = self.used.values()
        counts = {
            "images without an outline, left out": len(self.undrawn),
            "XMLs whose JSON lacked its end": sum(case.is_repaired for case in cases),
            "regions of fewer than three points, left out": sum(
                case.short_regions for case in cases
            ),
        }
        return {**super().oddities(), **{name: count for name, count in counts.items() if count}}

    # ---- writing

    def write_label(self, path: Path, planes: Planes, picture: FoundImage) -> None:
        """See Pairs. Adds the view to its case's XML."""
        case = read_case(path) if path.is_file() else Case("", {})
        outlines = {**case.outlines, picture.fields["view"]: trace_outlines(planes[0])}
        write_case(path, picture.fields["case"], replace(case, outlines=outlines))
