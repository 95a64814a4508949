"""Label masks as PNG: palette indices, or colours that stand for classes. Index 0 is background.

A palette file is read by its indices, never by its colours; a grey one by the values that the file
stores, also where it stores fewer than 8 bits (Pillow stretches those to 0..255).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from usbench.datasets.codecs.image import decode_image, save_png
from usbench.errors import DataError

Index = NDArray[np.uint8]  # (H, W): 0 background, 1..C the classes
Palette = NDArray[np.uint8]  # (K, 3): RGB of index 0..K-1


def voc_palette() -> Palette:
    """The Pascal VOC colour map, (256, 3): the bits of the index spread over R, G, B."""
    n = np.arange(8)[:, None, None]
    bits = np.arange(256)[:, None] >> (3 * n + np.arange(3))
    return np.asarray(((bits & 1) << (7 - n)).sum(axis=0), np.uint8)


def read_label_png(path: Path, classes: int) -> Index:
    """Class indices (H, W) uint8 of values 0..classes.

    Raises:
        DataError: a value beyond, colours, 16 bits, a damaged or missing file.
    """
    picture, depth = decode_image(
        path, f"a mask of indices 0..{classes}", ("1", "L", "P"), ("PNG",)
    )
    index = np.array(picture).astype(np.uint8)
    if picture.mode == "L" and depth < 8:
        index //= 255 // (2**depth - 1)
    if index.size and int(index.max()) > classes:
        counts = np.bincount(index.ravel(), minlength=256)
        value = classes + 1 + int(np.argmax(counts[classes + 1 :]))
        raise DataError(
            f"{path}: expected a mask of indices 0..{classes}, got value {value} in "
            f"{counts[value]} pixels; correct it or the class list"
        )
    return index


def require_values(
    path: Path, index: Index, values: Mapping[str, int], setting: str = "its values"
) -> None:
    """Raise DataError for values that are neither background nor a class.

    Args:
        path: the mask, for the error.
        index: (H, W) uint8, its values.
        values: class → value.
        setting: what else may be wrong, for the error.
    """
    counts = np.bincount(index.ravel(), minlength=256)
    counts[[0, *values.values()]] = 0
    foreign = np.flatnonzero(counts)
    if not len(foreign):
        return
    expected = ", ".join(f"{value} {name}" for name, value in values.items())
    got = (
        f"value {foreign[0]} in {counts[foreign[0]]} pixels; correct the mask or {setting}"
        if len(foreign) <= 8
        else f"{len(foreign)} other values ({', '.join(map(str, foreign[:3]))} …): the grey of an "
        "anti-aliased, resized or photographic mask; save it with class values only, without "
        "smoothing"
    )
    raise DataError(f"{path}: expected 0 background, {expected}, got {got}")


def write_label_png(path: Path, index: Index) -> None:
    """Write indices (H, W) uint8 as an 8-bit PNG with Pascal VOC's palette.

    Raises:
        ValueError: another type.
    """
    _require_index(index, 256)
    picture = Image.fromarray(index)
    picture.putpalette(voc_palette().tobytes())
    save_png(path, picture)


def read_colour_png(path: Path, palette: Palette, max_strays: int = 20) -> tuple[Index, int]:
    """Indices (H, W) uint8 of a mask of colours (row n of the palette is index n), and the number
    of stray pixels.

    A stray pixel matches no colour and goes to the nearest (Euclidean in RGB, the lower index where
    two are as near). Alpha is ignored.

    Raises:
        DataError: more than `max_strays` of them and for a file that isn't such a mask.
    """
    _require_palette(palette)
    # One 24-bit number per colour, red lowest, as four bytes in memory are read little-endian.
    red, green, blue = palette.T.astype(np.uint32)
    colours = red | (green << 8) | (blue << 16)
    expected = f"a colour mask of {len(palette)} classes"
    picture, _ = decode_image(path, expected, ("P", "RGB", "RGBA"), ("PNG",))
    pixels = np.asarray(picture.convert("RGBX")).view("<u4").ravel() & 0xFFFFFF
    # Masks are long runs of one colour.
    first = np.flatnonzero(np.concatenate(([True], pixels[1:] != pixels[:-1])))
    lengths = np.diff(first, append=pixels.size)
    runs = pixels[first]
    order = np.argsort(colours, kind="stable")
    index = order[np.searchsorted(colours, runs, sorter=order).clip(max=len(colours) - 1)]
    stray = colours[index] != runs
    strays = int(lengths[stray].sum())
    if strays > max_strays:
        raise DataError(
            f"{path}: expected {expected}, got {strays} pixels of no class, most of "
            f"{_commonest(runs[stray], lengths[stray])}; correct the mask or the palette"
        )
    difference = _unpack(runs[stray])[:, None, :] - palette.astype(np.int32)
    index[stray] = np.argmin((difference**2).sum(axis=2), axis=1)
    return np.repeat(index.astype(np.uint8), lengths).reshape(picture.height, picture.width), strays


def write_colour_png(path: Path, index: Index, palette: Palette) -> None:
    """Write indices (H, W) uint8 as an RGB PNG in the palette's colours.

    ValueError for an index without a colour.
    """
    _require_palette(palette)
    _require_index(index, len(palette))
    save_png(path, Image.fromarray(palette[index]))


def index_to_planes(index: Index, classes: int) -> NDArray[np.bool_]:
    """One plane per class, (C, H, W) bool, of indices (H, W) 0..C.

    Raises:
        ValueError: an index beyond.
    """
    _require_index(index, classes + 1)
    return np.equal(index, np.arange(1, classes + 1, dtype=np.uint8)[:, None, None])


def planes_to_index(planes: NDArray[np.bool_]) -> Index:
    """Indices (H, W) uint8 of disjoint planes (C, H, W) bool.

    Raises:
        ValueError: two are set in one pixel.
    """
    if planes.ndim != 3 or planes.dtype != bool or len(planes) > 255:
        raise ValueError(f"planes are (C ≤ 255, H, W) bool, not {planes.shape} {planes.dtype}")
    index = np.zeros(planes.shape[1:], np.uint8)
    for number, plane in enumerate(planes, start=1):
        index[plane] = number
    if np.count_nonzero(planes) != np.count_nonzero(index):
        row, column = np.argwhere(planes.sum(axis=0) > 1)[0]
        raise ValueError(
            f"planes overlap, first at row {row}, column {column}: an index mask can't hold both"
        )
    return index


def _require_index(index: Index, entries: int) -> None:
    if index.ndim != 2 or index.dtype != np.uint8:
        raise ValueError(f"an index mask is (H, W) uint8, not {index.shape} {index.dtype}")
    if index.size and int(index.max()) >= entries:
        raise ValueError(f"index {index.max()} is beyond the last, {entries - 1}")


def _require_palette(palette: Palette) -> None:
    if palette.shape[1:] != (3,) or palette.dtype != np.uint8 or not 0 < len(palette) <= 256:
        raise ValueError(f"a palette is (1..256, 3) uint8, not {palette.shape} {palette.dtype}")


def _unpack(codes: NDArray[np.uint32]) -> NDArray[np.int32]:
    return np.stack([codes & 255, (codes >> 8) & 255, codes >> 16], axis=-1).astype(np.int32)


def _commonest(codes: NDArray[np.uint32], weights: NDArray[np.intp]) -> str:
    colours, inverse = np.unique(codes, return_inverse=True)
    counts = np.bincount(inverse.ravel(), weights=weights)
    best = int(np.argmax(counts))
    return f"colour {tuple(_unpack(colours)[best].tolist())} in {int(counts[best])} pixels"
