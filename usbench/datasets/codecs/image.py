"""Pictures: PNG, JPEG, BMP and TIFF files, and volumes of one slice ↔ (H, W) uint8 luma, and the
checks that every picture file passes.

Pillow pads a cut-off PNG when a global flag says so, accepts one whose end is missing, and turns
16-bit colour silently into 8-bit: so a PNG's chunks, checksums and bit depth are looked at here
first.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.Image import (
    open as open_image,  # bound here: ultralytics puts one of its own in Image's place
)

from usbench.datasets.codecs import volumes
from usbench.errors import DataError, in_one_line
from usbench.io.files import replacing

FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
SUFFIXES = {
    "png": "PNG",
    "jpg": "JPEG",
    "jpeg": "JPEG",
    "bmp": "BMP",
    "tif": "TIFF",
    "tiff": "TIFF",
}
GREY_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA"})
# 8192 × 8192: beyond it a header is taken for damage, before memory is asked for.
MOST_PIXELS = 2**26

_PNG = b"\x89PNG\r\n\x1a\n"
_DEEP = ("I", "I;16", "I;16B", "I;16L", "F")
_DECODER_ERRORS = (  # all that Pillow's decoders raise on damaged bytes
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    RuntimeError,
    ArithmeticError,
    EOFError,
    ImportError,  # from ultralytics, if imported first: it wants a HEIF plug-in
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


class ImageError(DataError):
    """A picture that can't be read: missing, damaged, or of another kind than expected."""

    def __init__(self, path: Path, expected: str, got: str) -> None:
        super().__init__(f"{path}: expected {expected}, {got}")
        self.path = path


def read_grey(path: Path) -> NDArray[np.uint8]:
    """Luma of a picture, (H, W) uint8: ITU-R 601, (299 R + 587 G + 114 B) / 1000, rounded.

    Alpha is ignored.

    No rotation tag is applied.

    Raises:
        DataError: a missing, damaged or 16-bit file and for one that is no picture.
    """
    if volumes.is_volume(path):
        return volumes.read_pixels(path)
    picture, _ = decode_image(path, "an 8-bit grey or colour picture", GREY_MODES)
    return np.array(picture.convert("L"))


def write_picture(
    path: Path, image: NDArray[np.uint8], mm_per_px: tuple[float, float] | None = None
) -> None:
    """Write (H, W) uint8 in the format of the path's suffix; JPEG loses a few grey levels.

    Args:
        path: its suffix names the format.
        image: the pixels.
        mm_per_px: (row, column), for a format that keeps it.

    Raises:
        ValueError: another type, or a suffix that no format has.
        RunError: the disk refuses.
    """
    if volumes.is_volume(path):
        volumes.write_pixels(path, image, mm_per_px)
        return
    kind = SUFFIXES.get(path.suffix.lower().removeprefix("."))
    if kind is None:
        raise ValueError(f"{path.name}: no picture format has this suffix")
    picture = _grey_picture(image)
    with replacing(path) as part:
        picture.save(part, format=kind, **({"quality": 95} if kind == "JPEG" else {}))


def write_grey(path: Path, image: NDArray[np.uint8]) -> None:
    """Write (H, W) uint8 as an 8-bit grey PNG.

    Raises:
        ValueError: another type.
        RunError: the disk refuses.
    """
    save_png(path, _grey_picture(image))


def write_jpeg(path: Path, image: NDArray[np.uint8]) -> None:
    """Write (H, W) uint8 as a grey JPEG of quality 95: a few grey levels are lost.

    Raises as `write_grey` does.
    """
    picture = _grey_picture(image)
    with replacing(path) as part:
        picture.save(part, format="JPEG", quality=95)


def _grey_picture(image: NDArray[np.uint8]) -> Image.Image:
    if image.ndim != 2 or image.dtype != np.uint8:
        raise ValueError(f"a grey image is (H, W) uint8, not {image.shape} {image.dtype}")
    return Image.fromarray(image)


def read_size(path: Path) -> tuple[int, int]:
    """(height, width) in px, from the header only.

    Raises:
        DataError: a missing file or one that is no picture.
    """
    expected = "a picture"
    if volumes.is_volume(path):
        (height, width), _ = volumes.read_header(path)
        _require_sane(path, expected, width, height)
        return height, width
    try:
        with open_image(path, formats=FORMATS) as picture:
            width, height = picture.size
    except _DECODER_ERRORS as error:
        raise _refused(path, expected, error) from error
    _require_sane(path, expected, width, height)
    return height, width


def require_size(label: Path, size: tuple[int, ...], picture: Path) -> None:
    """DataError where a label of (height, width) px isn't of its picture's size."""
    expected = read_size(picture)
    if size != expected:
        raise DataError(
            f"{label}: expected the size of {picture.name} {expected}, got {size} (height, width)"
        )


def decode_image(
    path: Path, expected: str, modes: Collection[str], formats: tuple[str, ...] = FORMATS
) -> tuple[Image.Image, int]:
    """The decoded picture, in one of Pillow's modes, and its bits per channel.

    `expected` is said in the error.

    Raises:
        DataError: a missing or damaged file, another format or mode, or 16 bits.
    """
    try:
        data = path.read_bytes()
        depth = _png_depth(data) if data.startswith(_PNG) else 8
        with open_image(BytesIO(data), formats=formats) as picture:
            _require_sane(path, expected, *picture.size)
            if depth > 8 or picture.mode in _DEEP:
                raise ImageError(
                    path, expected, "got more than 8 bits a channel; convert it to 8 bits"
                )
            frames = getattr(picture, "n_frames", 1) if picture.format == "TIFF" else 1
            if frames > 1:
                raise ImageError(path, expected, f"got {frames} frames; save each as a file")
            if picture.mode not in modes:
                raise ImageError(
                    path, expected, f"got a file of mode {picture.mode}; convert or replace it"
                )
            picture.load()
    except _DECODER_ERRORS as error:
        raise _refused(path, expected, error) from error
    return picture, depth


def save_png(path: Path, picture: Image.Image) -> None:
    """Write a Pillow image as PNG, whole or not at all."""
    with replacing(path) as part:
        picture.save(part, format="PNG")


def _png_depth(data: bytes) -> int:
    """Bits per channel of a PNG whose chunks are all there with the right checksums.

    ValueError where they aren't.
    """
    start = len(_PNG)
    if data[start + 4 : start + 8] != b"IHDR":
        raise ValueError("damaged PNG: no header")
    while start + 12 <= len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        if end > len(data):
            break
        if zlib.crc32(data[start + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise ValueError(f"damaged PNG: wrong checksum at byte {start}")
        if data[start + 4 : start + 8] == b"IEND":
            return data[24]
        start = end
    raise ValueError(f"PNG cut off after {len(data)} bytes")


def _require_sane(path: Path, expected: str, width: int, height: int) -> None:
    if not 0 < width * height <= MOST_PIXELS:
        raise ImageError(path, expected, f"got {width}×{height} pixels; fetch the file again")


def _refused(path: Path, expected: str, error: Exception) -> ImageError:
    match error:
        case FileNotFoundError():
            got = "found no such file; check that the release is complete"
        case UnidentifiedImageError():
            got = "got something else; fetch the file again"
        case _:
            reason = in_one_line(getattr(error, "strerror", None) or error)
            got = f"got a file that can't be decoded ({reason}); fetch it again"
    return ImageError(path, expected, got)
