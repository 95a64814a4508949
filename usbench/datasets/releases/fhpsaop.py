"""FH-PS-AOP 2023, the public training set, and PSFHS (Chen et al. 2024): `volumes` of one pool of
numbered images, in two trees that only their top folder's name tells apart.

PSFHS has the numbers from 3744 on, FH-PS-AOP probably those up to 4000: some are in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from usbench.datasets.layouts.image_files import FoundImage
from usbench.datasets.layouts.problems import Problems
from usbench.datasets.layouts.variants import refuse_variants
from usbench.datasets.layouts.volumes import Volumes

FHPSAOP, PSFHS = "Pubic Symphysis-Fetal Head Segmentation and Angle of Progression", "PSFHS"
JNU_IFM = "JNU-IFM, the videos that many of its images are from"
FRAME_LISTS = ("frame_label.csv", "*/frame_label.csv", "*/*/frame_label.csv")
FIRST = 3744  # the lowest number of PSFHS


class Fhpsaop(Volumes):
    """See usbench.types.Layout."""

    name = "fhpsaop"
    version = 1

    top = FHPSAOP  # the folder that tells the releases apart
    variants: Mapping[str, str] = {
        f"{PSFHS}/image_mha": "PSFHS, another release, for dataset=psfhs",
        **dict.fromkeys(FRAME_LISTS, JNU_IFM),
    }

    def find_images(self, root: Path) -> list[FoundImage]:
        """See Pairs. DataError, too, for the other release alone, or for JNU-IFM."""
        if not (root / self.top).is_dir():
            refuse_variants(root, self.variants, f"the folder {self.top!r}")
        return super().find_images(root)


class Psfhs(Fhpsaop):
    """See usbench.types.Layout."""

    name = "psfhs"
    version = 1

    top = PSFHS
    variants: Mapping[str, str] = {
        f"{FHPSAOP}/image_mha": "FH-PS-AOP, another release, for dataset=fhpsaop",
        **dict.fromkeys(FRAME_LISTS, JNU_IFM),
    }

    def find_images(self, root: Path) -> list[FoundImage]:
        """See Pairs. DataError, too, for images of FH-PS-AOP in its folder."""
        images, problems = super().find_images(root), Problems()
        for image in images:
            if int(image.fields["number"]) < FIRST:
                problems.add(
                    f"{root / image.path}: expected a number of PSFHS, from {FIRST:05d} on, got "
                    "one of FH-PS-AOP; is this that release? dataset=fhpsaop reads it"
                )
        problems.raise_any()
        return images
