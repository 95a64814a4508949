"""HC18 (van den Heuvel et al. 2018): `pairs` for the heads, `tables` for published landmarks.

The release has no landmarks. Those of Di Vece et al. are a table of their own, to be put beside it.
"""

from __future__ import annotations

import re
from pathlib import Path

from usbench.datasets.codecs import image
from usbench.datasets.codecs.mask_files import Contour
from usbench.datasets.layouts.pairs import Pairs
from usbench.datasets.layouts.tables import Part, Tables
from usbench.errors import DataError
from usbench.types import Record, Sample

IMAGE = re.compile(r"\d+_[2-4]?HC")  # the stem of an image's name
FEW = 3  # masks that say whether all are filled
SOURCE = "data/annotations/HC18/Head.csv of github.com/surgical-vision/Multicentre-Fetal-Biometry"


class Hc18(Pairs):
    """See usbench.types.Layout."""

    name = "hc18"
    version = 1

    def notes(self, root: Path) -> list[str]:
        """See usbench.types.Layout. The release has contours, some copies have filled masks."""
        contour = Contour(127)
        for record in self.index(root)[:FEW]:
            contour.read(root / str(record.label), image.read_size(root / record.image))
        return ["a copy, not the release: its masks are filled"] if contour.filled else []


class Hc18Landmarks(Tables):
    """See usbench.types.Layout."""

    name = "hc18-landmarks"
    version = 1

    def index(self, root: Path) -> list[Record]:
        """See usbench.types.Layout."""
        for part in self.parts:
            path = root / part.table
            if not path.is_file():
                raise DataError(
                    f"{path}: expected the landmarks of Di Vece et al., got no such file; it is "
                    f"{SOURCE}"
                )
        return super().index(root)

    def list_pictures(self, folder: Path) -> dict[str, Path]:
        """See Tables. Annotations, and what copies add to them, are no images."""
        pictures = super().list_pictures(folder)
        return {name: path for name, path in pictures.items() if IMAGE.fullmatch(path.stem)}

    def name_picture(self, sample: Sample, part: Part) -> str:
        """See Tables. The id of a phantom is that of the other view."""
        return super().name_picture(sample, part).replace("/", "_")
