"""Copies of a release that aren't the release: resized, merged, sorted anew or renamed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from usbench.errors import DataError


def refuse_variants(root: Path, variants: Mapping[str, str], read: str) -> None:
    """Refuse a tree that a file or folder gives away as another variant.

    Args:
        root: of the release.
        variants: glob below it → what has such a path.
        read: what usbench reads instead.

    Raises:
        DataError: one of the paths is there.
    """
    for pattern, variant in variants.items():
        for path in sorted(root.glob(pattern)):
            raise DataError(f"{path}: this is {variant}; usbench reads {read}")
