"""STU-Hospital (Zhuang et al. 2019): `pairs`, with masks that may be larger than their image.

Such a mask is thresholded at its own size and then resized to the image by nearest neighbour.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usbench.datasets.codecs import image
from usbench.datasets.codecs.mask_files import Planes
from usbench.datasets.layouts.pairs import Pairs
from usbench.datasets.layouts.path_templates import Fields
from usbench.errors import DataError


class Stu(Pairs):
    """See usbench.types.Layout."""

    name = "stu"
    version = 1

    def __init__(self, classes: Sequence[str], **settings: Any) -> None:
        """Take the settings of `Pairs`."""
        super().__init__(classes, **settings)
        self.resized: set[Path] = set()  # masks

    def read_label(self, path: Path, size: tuple[int, int], fields: Fields) -> Planes:
        """See Pairs. DataError for a mask of another shape than its image."""
        height, width = stored = image.read_size(path)
        planes = self.encoding.read(path, stored)
        if stored == size:
            return planes
        if height * size[1] != width * size[0]:
            raise DataError(
                f"{path}: expected the shape of its image, {size[0]} × {size[1]}, or that "
                f"enlarged, got {height} × {width} (height × width); fetch both files again"
            )
        self.resized.add(path)
        return planes[:, nearest(height, size[0])[:, None], nearest(width, size[1])]

    def oddities(self) -> dict[str, int]:
        """See usbench.types.Layout."""
        counts = {"masks of another size than their image, resized": len(self.resized)}
        return {**super().oddities(), **{name: count for name, count in counts.items() if count}}


def nearest(stored: int, wanted: int) -> NDArray[np.intp]:
    """Which of the stored pixels of a row each wanted one takes: the one its centre lies in."""
    return (2 * np.arange(wanted) + 1) * stored // (2 * wanted)
