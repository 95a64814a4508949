"""FUGC 2025 (Zenodo 16893174): `pairs`, and no copy of the challenge's own release.

That one (Zenodo 14305302) has no labels of the test images.
"""

from __future__ import annotations

from pathlib import Path

from usbench.datasets.layouts.image_files import FoundImage
from usbench.datasets.layouts.pairs import Pairs
from usbench.errors import DataError

DATA = "FUGC (Dataset)/dataset"
WANTED = f"Zenodo 16893174, {DATA} with labels of train, val and test"
CHALLENGE = "the challenge's release (Zenodo 14305302)"


class Fugc(Pairs):
    """See usbench.types.Layout."""

    name = "fugc"
    version = 1

    def find_images(self, root: Path) -> list[FoundImage]:
        """See Pairs."""
        folder = root / DATA / "test"
        if folder.is_dir() and not (folder / "labels").is_dir():
            raise DataError(
                f"{folder}: expected images and labels, found no labels: this is {CHALLENGE}; "
                f"usbench reads {WANTED}"
            )
        return super().find_images(root)
