"""Pictures ↔ (H, W) uint8: luma by hand, and every kind of damaged file."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from usbench.datasets.codecs.image import read_grey, read_size, write_grey, write_jpeg
from usbench.errors import DataError, RunError
from usbench.io.files import replacing

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6  # PNG colour types


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, rows: list[bytes], kind: int, depth: int = 8, palette: bytes = b"") -> bytes:
    """A PNG by hand: signature, IHDR, PLTE, IDAT (filter byte 0 before each row), IEND."""
    header = struct.pack(">IIBBBBB", width, len(rows), depth, kind, 0, 0, 0)
    plte = chunk(b"PLTE", palette) if palette else b""
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + plte + pixels + chunk(b"IEND", b"")


TWO_ROWS = png(3, [bytes([0, 1, 2]), bytes([253, 254, 255])], GREY)
RED_GREEN_BLUE = bytes([255, 0, 0, 0, 255, 0, 0, 0, 255])


def noisy() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 60), dtype=np.uint8)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("image")


# ITU-R 601: .299·255 = 76.2, .587·255 = 149.7, .114·255 = 29.07
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (TWO_ROWS, [[0, 1, 2], [253, 254, 255]]),
        (png(3, [RED_GREEN_BLUE], RGB), [[76, 150, 29]]),
        (png(2, [bytes([255, 0, 0, 0, 255, 0, 0, 255])], RGBA), [[76, 76]]),
        (png(2, [bytes([9, 0, 200, 255])], GREY_ALPHA), [[9, 200]]),
        (png(3, [bytes([2, 0, 1])], PALETTE, palette=RED_GREEN_BLUE), [[29, 76, 150]]),
        (png(8, [bytes([0b10100000])], GREY, depth=1), [[255, 0, 255, 0, 0, 0, 0, 0]]),
    ],
    ids=["grey", "rgb", "rgba", "grey-alpha", "palette", "1-bit"],
)
def test_luma_by_hand(tmp_path: Path, data: bytes, expected: list[list[int]]) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(data)
    image = read_grey(path)
    assert image.dtype == np.uint8 and image.flags.writeable
    assert image.tolist() == expected
    assert read_size(path) == image.shape


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "something else"),
        (b"no picture at all", "something else"),
        (b"\x89PNG\r\n\x1a\n", "no header"),
        (TWO_ROWS[:-1], "cut off"),
        (TWO_ROWS[:-12], "cut off"),  # only the end chunk is missing: Pillow takes it
        (TWO_ROWS[:-20], "cut off"),
        (png(1, [b"\x12\x34"], GREY, depth=16), "more than 8 bits"),
        (png(1, [b"\x12\x34" * 3], RGB, depth=16), "more than 8 bits"),  # Pillow calls it plain RGB
        (png(1, [b"\x12\x34" * 4], RGBA, depth=16), "more than 8 bits"),
        (png(9, [b"\0\0"], GREY), "can't be decoded"),
        (
            png(99_999, [b"\0"], GREY).replace(b"\0" * 4 + b"\x01", b"\0\1\0\1", 1),
            "can't be decoded",
        ),
    ],
)
def test_bad_files_give_one_line(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        read_grey(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: expected ") and reason in message and "\n" not in message


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for read in (read_grey, read_size):
        with pytest.raises(DataError, match="no such file"):
            read(tmp_path / "none.png")
        with pytest.raises(DataError):
            read(tmp_path)


def test_absurd_size_is_refused_from_the_header(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 8_200, 8_200, 8, GREY, 0, 0, 0)
    data = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )
    path = tmp_path / "huge.png"
    path.write_bytes(data)
    for read in (read_grey, read_size):
        with pytest.raises(DataError, match="8200×8200"):
            read(path)


def test_a_cut_png_is_refused_even_where_pillow_shall_pad(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cut.png"
    write_grey(path, noisy())
    path.write_bytes(path.read_bytes()[:-900])
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(DataError, match="cut off"):
        read_grey(path)


def test_the_checksum_reveals_a_flipped_bit(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_grey(path, noisy())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="checksum"):
        read_grey(path)


def test_jpeg_and_bmp(tmp_path: Path) -> None:
    for name, kind in (("a.jpg", "JPEG"), ("a.bmp", "BMP")):
        path = tmp_path / name
        Image.fromarray(np.full((8, 16), 77, np.uint8)).save(path, kind)
        assert (read_grey(path) == 77).all() and read_size(path) == (8, 16)
        path.write_bytes(path.read_bytes()[:-60])
        with pytest.raises(DataError):
            read_grey(path)


def test_cmyk_is_refused(tmp_path: Path) -> None:
    Image.new("CMYK", (4, 4)).save(tmp_path / "a.jpg", "JPEG")
    with pytest.raises(DataError, match="mode CMYK"):
        read_grey(tmp_path / "a.jpg")


def test_write_is_a_grey_png_and_deterministic(tmp_path: Path) -> None:
    write_grey(tmp_path / "a.png", noisy())
    write_grey(tmp_path / "b.png", noisy())
    data = (tmp_path / "a.png").read_bytes()
    assert data == (tmp_path / "b.png").read_bytes()
    assert data[16:26] == struct.pack(">IIBB", 60, 40, 8, GREY)
    assert (read_grey(tmp_path / "a.png") == noisy()).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_write_refuses_other_arrays(tmp_path: Path) -> None:
    for image in (np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.float32)):
        with pytest.raises(ValueError, match="uint8"):
            write_grey(tmp_path / "a.png", image)
    with pytest.raises(RunError, match="can't be written"):
        write_grey(tmp_path / "no folder" / "a.png", noisy())


def test_replacing_keeps_the_old_file_until_the_block_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyError), replacing(path) as part:
        part.write_text("half")
        raise KeyError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with replacing(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_replacing_leaves_errors_of_other_files_alone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a.txt"):
        (tmp_path / "other").read_text()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.randoms(use_true_random=False))
def test_write_then_read_is_identity(scratch: Path, height: int, width: int, random: Any) -> None:
    image = np.frombuffer(random.randbytes(height * width), np.uint8).reshape(height, width)
    write_grey(scratch / "a.png", image)
    assert (read_grey(scratch / "a.png") == image).all()


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.booleans(), st.integers(0, 70))
def test_any_bytes_give_a_picture_or_our_error(
    scratch: Path, data: bytes, spliced: bool, at: int
) -> None:
    path = scratch / "any"
    path.write_bytes(TWO_ROWS[:at] + data + TWO_ROWS[at + len(data) :] if spliced else data)
    for read in (read_grey, read_size):
        try:
            read(path)
        except DataError as error:
            assert "\n" not in str(error)


def test_a_jpeg_loses_a_few_grey_levels_and_is_always_the_same(tmp_path: Path) -> None:
    pixels = np.linspace(0, 255, 40 * 60).reshape(40, 60).astype(np.uint8)
    for name in ("a.jpg", "b.jpg"):
        write_jpeg(tmp_path / name, pixels)
    assert (tmp_path / "a.jpg").read_bytes() == (tmp_path / "b.jpg").read_bytes()
    assert np.abs(read_grey(tmp_path / "a.jpg").astype(int) - pixels).max() <= 8
    with Image.open(tmp_path / "a.jpg") as picture:
        assert (picture.format, picture.mode) == ("JPEG", "L")
    for wrong in (pixels[None], pixels.astype(np.float32)):
        with pytest.raises(ValueError, match="grey image"):
            write_jpeg(tmp_path / "c.jpg", wrong)
