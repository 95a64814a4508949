"""Masks as people store them: index values, or white on black.

A file of one class may have it as 1, as 255, in 1 bit, or as the white of a JPEG. Several classes
have a value each. Colour files are fine where red, green and blue are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from usbench.datasets.codecs import image, label_png
from usbench.datasets.codecs.mask_files import MODES, Encoding, Planes, Size, require_size
from usbench.errors import DataError

WHITE = (1, 255)  # what a class alone may be stored as
MIDDLE = 127  # of a JPEG: above it is white


@dataclass(frozen=True)
class StoredMask:
    """The pixels of a mask file, and how they are stored."""

    index: label_png.Index  # (H, W): values; of 1 bit 0 and 1; of a JPEG its luma
    kind: str  # 1 bit | grey | palette | grey in RGB | JPEG


def read_stored_mask(path: Path) -> StoredMask:
    """Read a mask file without asking what its values stand for.

    Raises:
        DataError: the file can't be read, has colours, or more than 8 bits.
    """
    picture, depth = image.decode_image(path, "a mask of grey or palette values", MODES)
    if picture.format == "JPEG":
        return StoredMask(np.array(picture.convert("L")), "JPEG")
    if picture.mode == "1":
        return StoredMask(np.array(picture).astype(np.uint8), "1 bit")
    if picture.mode == "P":
        return StoredMask(np.array(picture), "palette")
    if picture.mode == "L":
        index = np.array(picture)
        return StoredMask(index // (255 // (2**depth - 1)) if depth < 8 else index, "grey")
    pixels = np.array(picture)[..., :3]
    if (pixels != pixels[..., :1]).any():
        raise DataError(
            f"{path}: expected a mask of grey values, got colours; save each class as a grey value"
        )
    return StoredMask(pixels[..., 0].copy(), "grey in RGB")


@dataclass(frozen=True)
class OwnMasks(Encoding):
    """See the module."""

    names: tuple[str, ...]
    values: Mapping[str, int]  # of each class; {}: 1, 2, 3 … or, of one class, WHITE
    jpegs: set[Path] = field(default_factory=set)  # files that were read

    def read(self, path: Path, size: Size) -> Planes:
        """See Encoding."""
        planes = self.read_planes(path)
        require_size(path, planes.shape[1:], size)
        return planes

    def read_planes(self, path: Path) -> Planes:
        """The planes of a file, of whatever size. Raises as `read`."""
        stored = read_stored_mask(path)
        if stored.kind == "JPEG":
            return self._read_jpeg(path, stored.index)
        index, codes = stored.index, self.codes
        alone = codes[0] if len(codes) == 1 else 0
        if stored.kind == "1 bit" and alone:
            index = index * np.uint8(alone)
        elif not self.values and alone and int(index.max(initial=0)) in WHITE:
            alone = int(index.max())
            codes = [alone]
        classes = dict(zip(self.names, codes, strict=True))
        label_png.require_values(path, index, classes, "dataset.values")
        return np.equal(index, np.array(codes, np.uint8)[:, None, None])

    def write(self, path: Path, planes: Planes) -> None:
        """See Encoding."""
        codes = np.array([0, *self.codes], np.uint8)
        image.write_picture(path, codes[label_png.planes_to_index(planes)])

    def oddities(self) -> dict[str, int]:
        """See Encoding."""
        return {f"JPEG masks, read as luma above {MIDDLE}": len(self.jpegs)}

    def name_of(self, value: int) -> str | None:
        """The class of a value that a mask stores; None where it has none."""
        if not self.values and len(self.names) == 1:
            return self.names[0] if value in WHITE else None
        return dict(zip(self.codes, self.names, strict=True)).get(value)

    @property
    def codes(self) -> Sequence[int]:
        """The value of each class."""
        if not self.values:
            return range(1, len(self.names) + 1)
        return [self.values[name] for name in self.names]

    def _read_jpeg(self, path: Path, luma: label_png.Index) -> Planes:
        """White on black: JPEG keeps no exact values."""
        if len(self.names) != 1:
            raise DataError(
                f"{path}: expected exact values for {', '.join(self.names)}, got a JPEG, which "
                "changes them; save the masks as PNG"
            )
        brightest = int(luma.max(initial=0))
        if 0 < brightest <= MIDDLE:
            raise DataError(
                f"{path}: expected white on black in a JPEG mask, got luma of at most {brightest}; "
                "save it as PNG"
            )
        self.jpegs.add(path)
        return np.asarray(luma > MIDDLE)[None]
