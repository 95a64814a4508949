"""Annotated ultrasound liver images (Xu et al. 2022): `polygons`, with a folder for each kind.

Benign, Malignant and Normal come in a zip each and number their images from 1. A Normal image has
no mass, so no file of one. `outline` is the scanned sector, which is no class.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from zlib import crc32

from usbench.datasets.layouts.folders import require_target
from usbench.datasets.layouts.image_files import FoundImage
from usbench.datasets.layouts.polygons import Polygons
from usbench.datasets.layouts.problems import Problems
from usbench.datasets.layouts.variants import refuse_variants
from usbench.types import Masks, Record, Sample

MASS = "mass"  # the class
NORMAL = "Normal"  # the folder of images without one
WITH_MASS = ("Benign", "Malignant")
KINDS = (*WITH_MASS, NORMAL)

VARIANTS = {"images/normal_*": "UltraBench's copy, with masks as pictures"}
READ = "the folders of the release's three zips, Benign, Malignant and Normal (Zenodo 7272660)"


class Aul(Polygons):
    """See usbench.types.Layout."""

    name = "aul"
    version = 1

    def find_images(self, root: Path) -> list[FoundImage]:
        """See Pairs. DataError, too, for the tree of a copy, and where a zip wasn't unpacked."""
        if not any((root / kind).is_dir() for kind in KINDS):
            refuse_variants(root, VARIANTS, READ)
        problems = Problems()
        for kind in KINDS:
            if (root / kind / kind).is_dir():
                problems.add(
                    f"{root / kind / kind}: expected {kind}/image, got one folder more; unpack "
                    f"{kind}.zip into {root} itself, or move the inner folder's content up"
                )
            elif not (root / kind).is_dir():
                problems.add(
                    f"{root / kind}: expected the folder of {kind}.zip, got no such folder; "
                    f"unpack it into {root}"
                )
        problems.raise_any()
        return super().find_images(root)

    def may_lack(self, picture: FoundImage, name: str) -> bool:
        """See Pairs."""
        return name == MASS and picture.fields["kind"] == NORMAL

    def write(self, root: Path, samples: Iterable[Sample]) -> list[Record]:
        """See usbench.types.Layout. An id is the number; every kind has its folder."""
        for kind in KINDS:
            (root / kind / "image").mkdir(parents=True, exist_ok=True)
        return super().write(root, map(self._with_kind, samples))

    def _with_kind(self, sample: Sample) -> Sample:
        """The sample with the id of its kind; one with a mass is benign or malignant, by group."""
        planes = require_target(sample, Masks).planes
        kind = NORMAL
        if planes[self.classes.index(MASS)].any():
            kind = WITH_MASS[crc32(sample.group.encode()) % len(WITH_MASS)]
        return replace(sample, id=f"{kind}/{sample.id}")
