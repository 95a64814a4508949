"""Masks as releases store them: what in a file's pixels stands for a class.

    {values: {nerve: 1, vessel: 2}}                 grey or palette values; others are errors
    {colours: {benign: [0, 255, 0]}, strays: 40}    colours; a stray pixel goes to the nearest one
    {threshold: 127}                                one class, where the luma is above
    {contour: 127}                                  one class, within the closed line above

Pictures of every format that images have, and volumes of one slice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import scipy
from numpy.typing import NDArray
from PIL import Image

from usbench.datasets.codecs import image, label_png, volumes
from usbench.errors import ConfigError, DataError

Planes = NDArray[np.bool_]  # (C, H, W)
Size = tuple[int, int]  # (height, width) px
MODES = ("1", "L", "P", "RGB", "RGBA")
THICKEST = 8  # px from a contour's middle to its edge; a mask that is thicker is filled already


class Encoding(Protocol):
    """One way to store classes in a file."""

    names: tuple[str, ...]  # the classes of its planes; () has one plane, of no stated class

    def read(self, path: Path, size: Size) -> Planes:
        """The planes of a file, (C, H, W) with C = max(1, names).

        Args:
            path: the file.
            size: of the image.

        Raises:
            DataError: the file can't be read, has another size, or values that stand for nothing.
        """
        ...

    def write(self, path: Path, planes: Planes) -> None:
        """Write planes so that `read` gives them back."""
        ...

    def oddities(self) -> dict[str, int]:
        """What was read otherwise than written, by description."""
        return {}


@dataclass(frozen=True)
class Values(Encoding):
    """Grey or palette values; 0 is background."""

    values: Mapping[str, int]

    @property
    def names(self) -> tuple[str, ...]:  # type: ignore[override]
        """The classes, in the order of the setting."""
        return tuple(self.values)

    def read(self, path: Path, size: Size) -> Planes:
        """See Encoding."""
        index = read_values(path)
        require_size(path, index.shape, size)
        label_png.require_values(path, index, self.values)
        return np.equal(index, self._codes[:, None, None])

    def write(self, path: Path, planes: Planes) -> None:
        """See Encoding. One class of value 255 becomes a 1-bit PNG."""
        index = np.append(np.uint8(0), self._codes)[label_png.planes_to_index(planes)]
        if path.suffix.lower() == ".png" and list(self.values.values()) == [255]:
            image.save_png(path, Image.fromarray(index).convert("1"))
        else:
            image.write_picture(path, index)

    @property
    def _codes(self) -> NDArray[np.uint8]:
        return np.array(list(self.values.values()), np.uint8)


@dataclass(frozen=True)
class Colours(Encoding):
    """RGB colours in a PNG; black is background."""

    colours: Mapping[str, tuple[int, int, int]]
    strays: int = 0  # pixels of a file that may have no class's colour
    found: dict[Path, int] = field(default_factory=dict)  # file → such pixels, as read so far

    @property
    def names(self) -> tuple[str, ...]:  # type: ignore[override]
        """The classes, in the order of the setting."""
        return tuple(self.colours)

    def read(self, path: Path, size: Size) -> Planes:
        """See Encoding."""
        index, self.found[path] = label_png.read_colour_png(path, self._palette, self.strays)
        require_size(path, index.shape, size)
        return label_png.index_to_planes(index, len(self.colours))

    def write(self, path: Path, planes: Planes) -> None:
        """See Encoding."""
        label_png.write_colour_png(path, label_png.planes_to_index(planes), self._palette)

    def oddities(self) -> dict[str, int]:
        """See Encoding."""
        return {"pixels of no class colour, taken for the nearest": sum(self.found.values())}

    @property
    def _palette(self) -> label_png.Palette:
        return np.array([(0, 0, 0), *self.colours.values()], np.uint8)


@dataclass(frozen=True)
class Threshold(Encoding):
    """One class, where the luma is above a threshold: JPEG masks, and smoothed ones."""

    threshold: int
    names: tuple[str, ...] = ()

    def read(self, path: Path, size: Size) -> Planes:
        """See Encoding."""
        grey = image.read_grey(path)
        require_size(path, grey.shape, size)
        return np.asarray(grey > self.threshold)[None]

    def write(self, path: Path, planes: Planes) -> None:
        """See Encoding."""
        image.write_picture(path, planes[0].astype(np.uint8) * 255)


@dataclass(frozen=True)
class Contour(Encoding):
    """One class: the closed line where the luma is above a threshold, and what it encloses.

    A line that ends at the image's border is closed along the border. A mask that is filled already
    is taken as it is.
    """

    threshold: int
    names: tuple[str, ...] = ()
    filled: set[Path] = field(default_factory=set)  # files that were filled already
    closed: set[Path] = field(default_factory=set)  # files whose line ends at the border

    def read(self, path: Path, size: Size) -> Planes:
        """See Encoding. DataError, too, for a line that doesn't close."""
        grey = image.read_grey(path)
        require_size(path, grey.shape, size)
        line = np.asarray(grey > self.threshold)
        parts, _ = scipy.ndimage.label(~line)
        edge = np.concatenate([parts[0], parts[-1], parts[1:-1, 0], parts[1:-1, -1]])
        lengths = np.bincount(edge, minlength=parts.max() + 1)  # of the border in each part
        lengths[0] = 0  # the line
        inside = (lengths == 0)[parts]
        if line.any() and np.array_equal(inside, line):
            if is_thick(line):
                self.filled.add(path)
            else:
                _require_two_parts(path, len(lengths) - 1)
                self.closed.add(path)
                # Most of the border is outside of an object that reaches out of the image.
                inside = np.asarray(parts != lengths.argmax())
        return np.asarray(inside[None])

    def write(self, path: Path, planes: Planes) -> None:
        """See Encoding. The line is the plane's border of one pixel."""
        plane = planes[0]
        line = plane & ~scipy.ndimage.binary_erosion(plane, border_value=0)
        image.write_picture(path, line.astype(np.uint8) * 255)

    def oddities(self) -> dict[str, int]:
        """See Encoding."""
        return {
            "masks that were filled already, taken as they are": len(self.filled),
            "contours closed along the image's border": len(self.closed),
        }


def is_thick(line: NDArray[np.bool_]) -> bool:
    """Whether a line (H, W) is too thick to be one: an area that is filled."""
    depth = scipy.ndimage.distance_transform_cdt(np.pad(line, 1), "chessboard")
    return bool(depth.max() > THICKEST)


def _require_two_parts(path: Path, count: int) -> None:
    """DataError for an open line that doesn't cut its image in two."""
    if count != 2:
        raise DataError(
            f"{path}: expected a contour that is closed, or whose two ends lie at the image's "
            "border, got a line that encloses nothing; close the gap or fetch the file again"
        )


def make_encoding(node: object) -> Encoding:
    """The encoding of a layout's setting.

    Raises:
        ConfigError: it is none of those above.
    """
    match node:
        case {"values": Mapping() as values, **rest} if not rest and _are_values(values):
            return Values(values)
        case {"colours": Mapping() as colours, **rest} if _are_colours(colours):
            strays = rest.pop("strays", 0)
            if type(strays) is int and not rest:
                return Colours({name: tuple(rgb) for name, rgb in colours.items()}, strays)
        case {"threshold": int(threshold), **rest} if not rest:
            return Threshold(threshold)
        case {"contour": int(threshold), **rest} if not rest:
            return Contour(threshold)
    raise ConfigError(
        f"encoding={node}: expected values of 1..255, colours, a threshold or a contour, such as "
        "{values: {lesion: 255}} or {threshold: 127}"
    )


def _are_values(values: Mapping[str, object]) -> bool:
    numbers = list(values.values())
    whole = all(type(value) is int and 0 < value < 256 for value in numbers)
    return bool(numbers) and whole and len(set(numbers)) == len(numbers)


def _are_colours(colours: Mapping[str, object]) -> bool:
    found = [tuple(rgb) if isinstance(rgb, Sequence) else () for rgb in colours.values()]
    channels = [value for rgb in found for value in rgb]
    whole = all(type(value) is int and 0 <= value < 256 for value in channels)
    triples = bool(found) and all(len(rgb) == 3 for rgb in found)
    return triples and whole and len({(0, 0, 0), *found}) == 1 + len(found)


def read_values(path: Path) -> label_png.Index:
    """The values (H, W) uint8 that a mask stores: of a palette its indices, of 1 bit 0 and 255.

    Raises:
        DataError: the file can't be read, has colours, or more than 8 bits.
    """
    if volumes.is_volume(path):
        return volumes.read_pixels(path)
    picture, depth = image.decode_image(path, "a mask of grey or palette values", MODES)
    if picture.mode in ("RGB", "RGBA"):
        red, green, blue = picture.split()[:3]
        if red.tobytes() != green.tobytes() or red.tobytes() != blue.tobytes():
            raise DataError(
                f"{path}: expected a mask of grey values, got colours; is this another release?"
            )
        picture = red
    if picture.mode == "1":
        picture = picture.convert("L")
    index = np.array(picture)
    return index // (255 // (2**depth - 1)) if picture.mode == "L" and 1 < depth < 8 else index


def require_size(path: Path, size: tuple[int, ...], expected: Size) -> None:
    """DataError for a mask of another size than its image."""
    if size != expected:
        raise DataError(
            f"{path}: expected the size of its image, {expected[0]} × {expected[1]}, got "
            f"{' × '.join(map(str, size))} (height × width); fetch both files again"
        )
