"""Volumes of one slice, written with SimpleITK: axes, spacing, channels and damage."""

from __future__ import annotations

import gzip
import re
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from tests.helpers.release_files import save_volume
from usbench.datasets.codecs import image
from usbench.datasets.codecs.volumes import is_volume, read_header, read_pixels, write_pixels
from usbench.errors import DataError, RunError

SUFFIXES = (".mha", ".mhd", ".nii", ".nii.gz")
PIXELS = np.arange(15, dtype=np.uint8).reshape(3, 5)  # its first corner alone is 0
SPACING = (0.25, 0.5)  # row, column


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rows_and_columns_are_as_written(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    save_volume(path, PIXELS, SPACING)
    assert is_volume(path)
    assert read_pixels(path).tolist() == PIXELS.tolist()
    assert read_pixels(path).dtype == np.uint8
    assert read_header(path) == ((3, 5), pytest.approx(SPACING))
    assert image.read_size(path) == (3, 5)
    assert np.array_equal(image.read_grey(path), PIXELS)


def test_a_header_by_hand(tmp_path):
    """MetaImage as text: DimSize and ElementSpacing are x, then y; bytes run along x."""
    header = (
        "ObjectType = Image\nNDims = 2\nBinaryData = True\nCompressedData = False\n"
        "ElementSpacing = 0.5 0.25\nDimSize = 5 3\nElementType = MET_UCHAR\n"
        "ElementDataFile = LOCAL\n"
    )
    path = tmp_path / "a.mha"
    path.write_bytes(header.encode() + bytes(range(15)))
    assert read_header(path) == ((3, 5), (0.25, 0.5))
    assert read_pixels(path).tolist() == [
        [0, 1, 2, 3, 4],
        [5, 6, 7, 8, 9],
        [10, 11, 12, 13, 14],
    ]


def test_suffixes_in_upper_case_and_others():
    assert is_volume(Path("A.MHA")) and is_volume(Path("a.Nii.gz"))
    assert not is_volume(Path("a.gz")) and not is_volume(Path("nii.png"))


# (299 R + 587 G + 114 B) / 1000, rounded
COLOURS = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[10, 20, 30], [7, 7, 7], [0, 0, 4]]])
LUMA = [[76, 150, 29], [18, 7, 0]]


def test_three_channels_first(tmp_path):
    """As PSFHS stores them: three slices of a volume, which are red, green and blue."""
    save_volume(tmp_path / "a.mha", np.moveaxis(COLOURS, -1, 0).astype(np.uint8), SPACING)
    assert read_pixels(tmp_path / "a.mha").tolist() == LUMA
    assert read_header(tmp_path / "a.mha") == ((2, 3), SPACING)


def test_three_equal_channels_first_are_one(tmp_path):
    save_volume(tmp_path / "a.mha", np.stack([PIXELS] * 3))
    assert np.array_equal(read_pixels(tmp_path / "a.mha"), PIXELS)


def test_three_channels_last(tmp_path):
    volume = SimpleITK.GetImageFromArray(COLOURS.astype(np.uint8), isVector=True)
    SimpleITK.WriteImage(volume, str(tmp_path / "a.nii.gz"))
    assert read_pixels(tmp_path / "a.nii.gz").tolist() == LUMA
    assert read_header(tmp_path / "a.nii.gz")[0] == (2, 3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.uint16])
def test_whole_values_of_any_type(tmp_path, dtype):
    save_volume(tmp_path / "a.nii.gz", (PIXELS * 18).astype(dtype))
    assert np.array_equal(read_pixels(tmp_path / "a.nii.gz"), PIXELS * 18)  # up to 252


def test_one_slice_of_a_volume(tmp_path):
    save_volume(tmp_path / "a.nii.gz", PIXELS[None], SPACING)
    assert np.array_equal(read_pixels(tmp_path / "a.nii.gz"), PIXELS)
    assert read_header(tmp_path / "a.nii.gz") == ((3, 5), pytest.approx(SPACING))


@pytest.mark.parametrize(
    ("voxels", "message"),
    [
        (np.stack([PIXELS] * 2), r"got an array of \(2, 3, 5\)"),
        (np.stack([PIXELS] * 18), r"got an array of \(18, 3, 5\)"),
        (PIXELS / np.float32(2), "got values of 0 to 7"),
        (PIXELS.astype(np.int16) - 1, "got values of -1 to 13"),
        (PIXELS.astype(np.int16) * 20, "got values of 0 to 280"),
    ],
    ids=["two slices", "a sequence", "halves", "negative", "above 255"],
)
def test_other_volumes_are_refused(tmp_path, voxels, message):
    path = tmp_path / "a.nii.gz"
    save_volume(path, voxels)
    expected = f"{path}: expected a MetaImage or NIfTI file of one 8-bit slice, "
    with pytest.raises(DataError, match=re.escape(expected) + message):
        read_pixels(path)


def test_what_is_no_number_is_refused(tmp_path):
    save_volume(tmp_path / "a.mha", np.where(PIXELS == 3, np.nan, PIXELS).astype(np.float32))
    with pytest.raises(DataError, match=r"a.mha: expected .*, got values of nan to nan"):
        read_pixels(tmp_path / "a.mha")


def test_big_endian_is_read_and_cut_off_too(tmp_path):
    """NIfTI-1 by hand: 5 × 3 voxels of uint8 after a header of 352 bytes."""
    header = bytearray(352)
    struct.pack_into(">i", header, 0, 348)
    struct.pack_into(">8h", header, 40, 2, 5, 3, 1, 1, 1, 1, 1)
    struct.pack_into(">2h", header, 70, 2, 8)  # uint8, of 8 bits
    struct.pack_into(">8f", header, 76, 1, 0.5, 0.25, 1, 1, 1, 1, 1)
    struct.pack_into(">f", header, 108, 352)
    header[344:348] = b"n+1\0"
    path = tmp_path / "a.nii"
    path.write_bytes(bytes(header) + PIXELS.tobytes())
    assert np.array_equal(read_pixels(path), PIXELS)
    assert read_header(path) == ((3, 5), SPACING)
    path.write_bytes(bytes(header) + PIXELS.tobytes()[:-1])
    with pytest.raises(DataError, match=r"a.nii: expected .* can't be read \(cut off\); fetch it"):
        read_pixels(path)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def overwrite(path: Path) -> None:
    path.write_bytes(b"no volume")


@pytest.mark.parametrize("suffix", [".mha", ".nii", ".nii.gz"])
@pytest.mark.parametrize("damage", [cut_off, overwrite])
def test_a_damaged_file_is_refused(tmp_path, suffix, damage):
    path = tmp_path / f"a{suffix}"
    save_volume(path, np.random.default_rng(0).integers(0, 255, (40, 50), dtype=np.uint8))
    damage(path)
    with pytest.raises(
        DataError, match=rf"a{suffix}: expected a MetaImage .*; fetch it again$"
    ) as e:
        read_pixels(path)
    assert "\n" not in str(e.value)
    if damage is overwrite:
        with pytest.raises(
            DataError, match=rf"a{suffix}: expected a MetaImage .*; fetch it again$"
        ):
            read_header(path)


def test_a_mhd_without_its_raw_is_refused(tmp_path):
    save_volume(tmp_path / "a.mhd", PIXELS)
    (tmp_path / "a.raw").unlink()
    with pytest.raises(DataError, match=r"a.mhd: expected a MetaImage .* can't be read"):
        read_pixels(tmp_path / "a.mhd")


@pytest.mark.parametrize("read", [read_pixels, read_header])
def test_a_missing_file_is_refused(tmp_path, read):
    with pytest.raises(DataError, match=r"a.mha: expected a MetaImage .*, found no such file$"):
        read(tmp_path / "a.mha")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("mm_per_px", [None, SPACING])
def test_what_is_written_is_read_by_simpleitk(tmp_path, suffix, mm_per_px):
    path = tmp_path / f"a{suffix}"
    write_pixels(path, PIXELS, mm_per_px)
    volume = SimpleITK.ReadImage(str(path))
    assert SimpleITK.GetArrayFromImage(volume).tolist() == PIXELS.tolist()
    assert volume.GetSpacing() == pytest.approx((mm_per_px or (1, 1))[::-1])
    if suffix == ".nii.gz":
        assert len(gzip.decompress(path.read_bytes())) == 352 + 15  # a header, and a byte a pixel


@pytest.mark.parametrize("use", [read_pixels, read_header, lambda path: write_pixels(path, PIXELS)])
def test_without_simpleitk_the_error_says_how_to_install_it(tmp_path, monkeypatch, use):
    save_volume(tmp_path / "a.mha", PIXELS)
    monkeypatch.setitem(sys.modules, "SimpleITK", None)  # as if it weren't installed
    with pytest.raises(RunError, match=r"needs SimpleITK; .* pip install 'usbench\[volumes\]'$"):
        use(tmp_path / "a.mha")
