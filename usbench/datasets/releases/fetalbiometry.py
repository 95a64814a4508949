"""Multicentre fetal biometry (Di Vece et al. 2025): `tables`, without what can't be measured.

As in the authors' code, a measure with a negative coordinate counts nowhere. Nor does one of a few
pixels, and a pixel size far below all others is unknown.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usbench.datasets.layouts.case_tables import Row
from usbench.datasets.layouts.tables import Part, Tables
from usbench.datasets.layouts.variants import refuse_variants
from usbench.types import Record, Sample

SHORTEST = 10  # px of a measure: three heads have 2 to 8, all other measures 97 or more
FINEST = 0.03  # mm per px: three images have .017 to .021, all others .049 or more
PLANES = {"Head": "Plane3", "Abdomen": "Plane2", "Femur": "Plane5"}  # in the names of FP's images
VARIANTS = {
    "FP/annotations": "the tree that the authors' README-FP.md draws",
    "HC18/annotations": "the tree that the authors' README-HC18.md draws",
    "UCL/annotations": "the tree that the authors' README-UCL.md draws",
    "data/images/FP/FL": "a folder called FL, as the authors' README-general.md has it once",
}
WANTED = "data/annotations and data/images, each with FP, HC18 and UCL of Head, Abdomen and Femur"


class FetalBiometry(Tables):
    """See usbench.types.Layout."""

    name = "fetalbiometry"
    version = 1

    def __init__(self, *settings: Any, **named: Any) -> None:
        """Take the settings of `Tables`."""
        super().__init__(*settings, **named)
        self.outside: set[str] = set()  # measures with a negative coordinate
        self.short: set[str] = set()  # measures of a few pixels
        self.fine: set[str] = set()  # images with an impossible pixel size

    def index(self, root: Path) -> list[Record]:
        """See usbench.types.Layout. MULTICENTRE, a copy of the other three, isn't read."""
        variants = dict(VARIANTS)
        if not self.present_parts(root):
            variants["data/images/MULTICENTRE"] = "the authors' joint copy of the three sources"
        refuse_variants(root, variants, WANTED)
        return super().index(root)

    def read_ends(self, where: str, measure: str, row: Row) -> NDArray[np.float64] | None:
        """See Tables."""
        ends = super().read_ends(where, measure, row)
        if ends is not None and ends.min() < 0:
            self.outside.add(f"{where} {measure}")
            return None
        if ends is not None and np.hypot(*(ends[1] - ends[0])) < SHORTEST:
            self.short.add(f"{where} {measure}")
            return None
        return ends

    def read_spacing(self, where: str, row: Row) -> tuple[float, float] | None:
        """See Tables."""
        spacing = super().read_spacing(where, row)
        if spacing is None or spacing[0] >= FINEST:
            return spacing
        self.fine.add(where)
        return None

    def oddities(self) -> dict[str, int]:
        """See usbench.types.Layout."""
        counts = {
            "measures with a negative coordinate, taken as unknown": len(self.outside),
            f"measures below {SHORTEST} px, taken as unknown": len(self.short),
            f"pixel sizes below {FINEST} mm, taken as unknown": len(self.fine),
        }
        return {name: count for name, count in counts.items() if count}

    def name_picture(self, sample: Sample, part: Part) -> str:
        """See Tables. A phantom's id names no plane."""
        plane = PLANES[Path(part.images).name]
        return super().name_picture(sample, part).replace("Plane0", plane)
