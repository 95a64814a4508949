"""Public releases whose images and label maps are volumes of one slice, MetaImage or NIfTI: as
`pairs`, with the pixel size of the header.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from usbench.datasets.codecs import volumes
from usbench.datasets.layouts.pairs import Pairs
from usbench.errors import DataError
from usbench.types import Record


class Volumes(Pairs):
    """See usbench.types.Layout."""

    name = "volumes"
    version = 1

    def __init__(self, classes: Sequence[str], spacing: bool = True, **settings: Any) -> None:
        """Take the settings of `Pairs`.

        Args:
            classes: of the view.
            spacing: whether the headers state a pixel's true size in mm.
            **settings: see `Pairs`.
        """
        super().__init__(classes, **settings)
        self.spacing = spacing

    def index(self, root: Path) -> list[Record]:
        """See usbench.types.Layout. Reads every image's header where it states a pixel's size."""
        records = super().index(root)
        if not self.spacing:
            return records
        return [replace(record, mm_per_px=_read_spacing(root / record.image)) for record in records]


def _read_spacing(path: Path) -> tuple[float, float] | None:
    """(row, column) mm per px; None of a damaged file, which an error names once it is read."""
    try:
        return volumes.read_header(path)[1]
    except DataError:
        return None
