"""MMOTU, OTU_2d (Zhao et al. 2022), as shared on Google Drive: `pairs`.

An image whose mask has another size can't be used. It is known that the release has one, but not
which: such images are left out, up to that count.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from usbench.datasets.codecs import image
from usbench.datasets.layouts.pairs import Pairs
from usbench.datasets.layouts.problems import Problems
from usbench.types import Record


class Mmotu(Pairs):
    """See usbench.types.Layout."""

    name = "mmotu"
    version = 1

    def __init__(self, classes: Sequence[str], other_sizes: int = 0, **settings: Any) -> None:
        """Check the settings.

        Args:
            classes: of the view.
            other_sizes: how many masks are known to have another size than their image.
            settings: of `Pairs`.
        """
        super().__init__(classes, **settings)
        self.other_sizes = other_sizes
        self.left_out: set[str] = set()  # images whose mask has another size

    def index(self, root: Path) -> list[Record]:
        """See usbench.types.Layout. Reads every header, if masks of another size are known."""
        records = super().index(root)
        return self._leave_out(root, records) if self.other_sizes else records

    def oddities(self) -> dict[str, int]:
        """See usbench.types.Layout."""
        count = len(self.left_out)
        counts = {"images left out, as their mask has another size": count} if count else {}
        return {**super().oddities(), **counts}

    def _leave_out(self, root: Path, records: Sequence[Record]) -> list[Record]:
        """The records whose mask has the size of its image.

        Raises:
            DataError: more others than are known, or a file that is no picture.
        """
        fitting, problems = [], Problems()
        for record in records:
            label = root / str(record.label)
            size, expected = image.read_size(label), image.read_size(root / record.image)
            if size == expected:
                fitting.append(record)
                continue
            self.left_out.add(record.id)
            problems.add(
                f"{label}: expected the size of its image, {expected[0]} × {expected[1]}, got "
                f"{size[0]} × {size[1]} (height × width); {self.other_sizes} such are known"
            )
        if len(problems.sentences) > self.other_sizes:
            problems.raise_any()
        return fitting
