"""Volumes of one slice: MetaImage (.mha, .mhd) and NIfTI (.nii, .nii.gz), by SimpleITK.

An array is (row, column) with the first voxel at the top left, as SimpleITK gives it. A first axis
of three is red, green and blue. The extra `volumes` installs the reader.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usbench.errors import DataError, RunError, in_one_line
from usbench.io.files import replacing

SUFFIXES = (".mha", ".mhd", ".nii", ".nii.gz")
EXPECTED = "a MetaImage or NIfTI file of one 8-bit slice"
NIFTI = (348).to_bytes(4, "little")  # how a NIfTI-1 file begins; in reverse where it is big-endian
LUMA = (299, 587, 114)  # ITU-R 601, thousandths


def is_volume(path: Path) -> bool:
    """Whether a file is one, by its suffix."""
    return path.name.lower().endswith(SUFFIXES)


def read_pixels(path: Path) -> NDArray[np.uint8]:
    """(H, W) uint8, luma where there are three channels.

    Raises:
        DataError: the file can't be read, has several slices, or values beyond 0..255.
        RunError: SimpleITK isn't installed.
    """
    itk = _import_reader()
    if not path.is_file():
        raise DataError(f"{path}: expected {EXPECTED}, found no such file")
    try:
        volume = itk.GetArrayFromImage(itk.ReadImage(str(path)))
        _require_whole(path)
    except (RuntimeError, OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, error) from error
    if volume.ndim == 3 and volume.shape[-1] == 3 and volume.shape[0] != 3:
        volume = np.moveaxis(volume, -1, 0)
    if volume.ndim == 3 and len(volume) == 1:
        volume = volume[0]
    if not (volume.ndim == 2 or (volume.ndim == 3 and len(volume) == 3)):
        raise DataError(f"{path}: expected {EXPECTED}, got an array of {volume.shape}")
    if volume.size and not (
        volume.min() >= 0 and volume.max() <= 255 and np.array_equal(volume, np.rint(volume))
    ):
        raise DataError(
            f"{path}: expected {EXPECTED}, got values of {volume.min():g} to {volume.max():g}"
        )
    if volume.ndim == 3:
        weighted = np.tensordot(np.array(LUMA), volume.astype(np.int64), axes=1)
        volume = (weighted + 500) // 1000
    return np.asarray(volume, np.uint8)


def read_header(path: Path) -> tuple[tuple[int, int], tuple[float, float]]:
    """((height, width) px, (row, column) mm per px) without reading a voxel. Raises likewise."""
    itk = _import_reader()
    if not path.is_file():
        raise DataError(f"{path}: expected {EXPECTED}, found no such file")
    reader = itk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _unreadable(path, error) from error
    (width, height), (x, y) = reader.GetSize()[:2], reader.GetSpacing()[:2]
    return (int(height), int(width)), (float(y), float(x))


def write_pixels(
    path: Path, pixels: NDArray[np.uint8], mm_per_px: tuple[float, float] | None = None
) -> None:
    """Write (H, W) uint8, compressed; mm_per_px: (row, column), 1 where unknown."""
    itk = _import_reader()
    volume = itk.GetImageFromArray(pixels)
    row, column = mm_per_px or (1.0, 1.0)
    volume.SetSpacing((column, row))
    suffix = next(
        suffix
        for suffix in sorted(SUFFIXES, key=len, reverse=True)
        if path.name.lower().endswith(suffix)
    )
    with replacing(path) as part:
        whole = part.with_name(f"{part.name}{suffix}")  # the suffix names the format
        try:
            itk.WriteImage(volume, str(whole), useCompression=True)
            whole.replace(part)
        finally:
            whole.unlink(missing_ok=True)


def _import_reader() -> Any:
    try:
        import SimpleITK
    except ImportError as error:
        raise RunError(
            "reading .mha and .nii.gz needs SimpleITK; install it: pip install 'usbench[volumes]'"
        ) from error
    return SimpleITK


def _require_whole(path: Path) -> None:
    """Raise EOFError or zlib.error for a NIfTI file cut off, where SimpleITK reads zeros."""
    name = path.name.lower()
    if not name.endswith((".nii", ".nii.gz")):
        return
    data = path.read_bytes()
    if name.endswith(".gz"):
        data = gzip.decompress(data)
    order = {NIFTI: "<", NIFTI[::-1]: ">"}.get(data[:4])
    if order is None:  # NIfTI-2
        return
    rank, *sides = struct.unpack_from(f"{order}8h", data, 40)
    (bits,) = struct.unpack_from(f"{order}h", data, 72)  # of a voxel
    (start,) = struct.unpack_from(f"{order}f", data, 108)  # of the voxels
    if len(data) < start + math.prod(sides[:rank]) * bits // 8:
        raise EOFError("cut off")


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path}: expected {EXPECTED}, got a file that can't be read "
        f"({in_one_line(error)[-120:]}); fetch it again"
    )
