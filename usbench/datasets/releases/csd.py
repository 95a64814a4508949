"""Cesarean scar defect (Tian et al. 2026): `pairs`, whose masks have one value beside 0.

Which value that is, 1 or 255, is stated nowhere, so any is taken; a file with two of them is
refused, since VOC masks mark pixels of no known class by 255.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from usbench.datasets.codecs.mask_files import Planes, read_values, require_size
from usbench.datasets.layouts.pairs import Pairs
from usbench.datasets.layouts.path_templates import Fields
from usbench.errors import DataError


class Csd(Pairs):
    """See usbench.types.Layout."""

    name = "csd"
    version = 1

    def __init__(self, classes: Sequence[str], **settings: Any) -> None:
        """Take the settings of `Pairs`."""
        super().__init__(classes, **settings)
        self.other_values: set[Path] = set()  # masks whose value isn't 1

    def read_label(self, path: Path, size: tuple[int, int], fields: Fields) -> Planes:
        """See Pairs. DataError, too, for a mask of two values."""
        index = read_values(path)
        require_size(path, index.shape, size)
        values = np.flatnonzero(np.bincount(index.ravel(), minlength=256)[1:]) + 1
        if len(values) > 1:
            shown = ", ".join(map(str, values[:3])) + (" …" if len(values) > 3 else "")
            raise DataError(
                f"{path}: expected 0 background and one other value, got {len(values)} ({shown}); "
                "which of them is the scar defect?"
            )
        if len(values) and values[0] != 1:
            self.other_values.add(path)
        return np.asarray(index > 0)[None]

    def oddities(self) -> dict[str, int]:
        """See usbench.types.Layout."""
        count = len(self.other_values)
        counts = {"masks with another value than 1": count} if count else {}
        return {**super().oddities(), **counts}
