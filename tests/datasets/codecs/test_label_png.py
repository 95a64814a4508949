"""Label masks: indices and colours by hand, strays, planes."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from usbench.datasets.codecs.label_png import (
    index_to_planes,
    planes_to_index,
    read_colour_png,
    read_label_png,
    voc_palette,
    write_colour_png,
    write_label_png,
)
from usbench.errors import DataError

GREY, RGB, PALETTE = 0, 2, 3  # PNG colour types
CORD = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0], [0, 0, 128]], np.uint8)


def png(width: int, rows: list[bytes], kind: int, depth: int = 8, palette: bytes = b"") -> bytes:
    """A PNG by hand: signature, IHDR, PLTE, IDAT (filter byte 0 before each row), IEND."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, len(rows), depth, kind, 0, 0, 0)
    plte = chunk(b"PLTE", palette) if palette else b""
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + plte + pixels + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("label")


def written(folder: Path, data: bytes) -> Path:
    path = folder / "mask.png"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "data",
    [
        png(4, [bytes([0, 1, 2, 3]), bytes([3, 0, 0, 1])], GREY),
        png(4, [bytes([0, 1, 2, 3]), bytes([3, 0, 0, 1])], PALETTE, palette=bytes([200, 9, 9] * 4)),
        png(
            4, [bytes([0b00011011]), bytes([0b11000001])], GREY, depth=2
        ),  # Pillow stretches it to 0, 85, 170, 255
        png(4, [bytes([0x01, 0x23]), bytes([0x30, 0x01])], GREY, depth=4),
        png(4, [bytes([0b00011011]), bytes([0b11000001])], PALETTE, depth=2, palette=bytes(12)),
    ],
    ids=["grey", "palette", "grey 2-bit", "grey 4-bit", "palette 2-bit"],
)
def test_indices_by_hand(tmp_path: Path, data: bytes) -> None:
    index = read_label_png(written(tmp_path, data), classes=3)
    assert index.dtype == np.uint8 and index.tolist() == [[0, 1, 2, 3], [3, 0, 0, 1]]


def test_one_bit_mask(tmp_path: Path) -> None:
    path = written(tmp_path, png(4, [bytes([0b01100000])], GREY, depth=1))
    assert read_label_png(path, classes=1).tolist() == [[0, 1, 1, 0]]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (png(3, [bytes([0, 7, 7])], GREY), "value 7 in 2 pixels"),
        (png(4, [bytes([255, 3, 255, 2])], GREY), "value 255 in 2 pixels"),
        (png(3, [bytes([0, 4, 1])], PALETTE, palette=bytes(15)), "value 4 in 1 pixels"),
        (png(1, [bytes([0, 0, 0])], RGB), "mode RGB"),
        (png(1, [b"\0\1"], GREY, depth=16), "more than 8 bits"),
        (png(3, [bytes([0, 1, 2])], GREY)[:-13], "cut off"),
        (b"BM" + bytes(60), "something else"),
    ],
)
def test_bad_index_masks(tmp_path: Path, data: bytes, reason: str) -> None:
    path = written(tmp_path, data)
    with pytest.raises(DataError) as caught:
        read_label_png(path, classes=2)
    message = str(caught.value)
    assert message.startswith(f"{path}: expected ") and reason in message and "\n" not in message


def test_a_lossy_mask_is_refused(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "a.jpg", "JPEG")
    with pytest.raises(DataError, match="something else"):
        read_label_png(tmp_path / "a.jpg", classes=2)


def test_written_index_is_an_8_bit_palette_file(tmp_path: Path) -> None:
    index = np.array([[0, 1], [2, 1]], np.uint8)
    write_label_png(tmp_path / "a.png", index)
    data = (tmp_path / "a.png").read_bytes()
    assert data[16:26] == struct.pack(">IIBB", 2, 2, 8, PALETTE)
    with Image.open(tmp_path / "a.png") as picture:
        assert np.asarray(picture).tolist() == index.tolist()
        assert np.asarray(picture.convert("RGB")).tolist() == CORD[index].tolist()
    with pytest.raises(ValueError, match="index 3"):
        write_colour_png(tmp_path / "a.png", np.full((1, 1), 3, np.uint8), CORD[:3])


def test_voc_palette_by_hand() -> None:
    # the colours that the VOC devkit's colour map gives for these indices
    known = {
        0: (0, 0, 0),
        1: (128, 0, 0),
        2: (0, 128, 0),
        4: (0, 0, 128),
        8: (64, 0, 0),
        15: (192, 128, 128),
    }
    for index, colour in known.items():
        assert tuple(voc_palette()[index].tolist()) == colour
    assert tuple(voc_palette()[255].tolist()) == (224, 224, 192)


def test_colours_by_hand_with_a_stray(tmp_path: Path) -> None:
    rows = [bytes([0, 0, 0, 128, 0, 0, 0, 0, 128]), bytes([0, 128, 0, 1, 128, 0, 128, 0, 0])]
    index, strays = read_colour_png(written(tmp_path, png(3, rows, RGB)), CORD)
    assert index.dtype == np.uint8 and index.tolist() == [[0, 1, 3], [2, 2, 1]]
    assert strays == 1  # (1, 128, 0)


@pytest.mark.parametrize(
    ("colour", "expected"),
    [
        ((64, 0, 0), 0),
        ((65, 0, 0), 1),
        ((255, 255, 255), 1),
        ((64, 64, 0), 0),
        ((0, 70, 90), 3),
        ((0, 90, 70), 2),
    ],
)
def test_the_nearest_colour_and_ties_go_to_the_lower_index(
    tmp_path: Path, colour: tuple[int, int, int], expected: int
) -> None:
    index, strays = read_colour_png(written(tmp_path, png(1, [bytes(colour)], RGB)), CORD)
    assert (index.tolist(), strays) == ([[expected]], 1)


def test_too_many_strays_name_the_commonest(tmp_path: Path) -> None:
    row = bytes([9, 9, 9] * 3 + [7, 7, 7] * 2 + [9, 9, 9] + [0, 0, 0] * 4)
    path = written(tmp_path, png(10, [row], RGB))
    assert read_colour_png(path, CORD, max_strays=6)[1] == 6
    with pytest.raises(
        DataError, match=r"6 pixels of no class, most of colour \(9, 9, 9\) in 4 pixels"
    ):
        read_colour_png(path, CORD, max_strays=5)


def test_default_limit_is_twenty_strays(tmp_path: Path) -> None:
    for count, fits in ((20, True), (21, False)):
        path = written(tmp_path, png(count, [bytes([5, 5, 5] * count)], RGB))
        if fits:
            assert read_colour_png(path, CORD)[1] == 20
        else:
            with pytest.raises(DataError):
                read_colour_png(path, CORD)


def test_colour_mask_of_other_modes(tmp_path: Path) -> None:
    palette_file = png(2, [bytes([1, 0])], PALETTE, palette=bytes([0, 0, 128, 128, 0, 0]))
    assert read_colour_png(written(tmp_path, palette_file), CORD)[0].tolist() == [[1, 3]]
    Image.new("RGBA", (1, 1), (0, 128, 0, 3)).save(tmp_path / "a.png")
    assert read_colour_png(tmp_path / "a.png", CORD)[0].tolist() == [[2]]
    with pytest.raises(DataError, match="mode L"):
        read_colour_png(written(tmp_path, png(1, [b"\1"], GREY)), CORD)
    with pytest.raises(DataError, match="more than 8 bits"):
        read_colour_png(written(tmp_path, png(1, [bytes(6)], RGB, depth=16)), CORD)


def test_palettes_are_checked(tmp_path: Path) -> None:
    for palette in (np.zeros((0, 3), np.uint8), np.zeros((2, 4), np.uint8), np.zeros((2, 3), int)):
        with pytest.raises(ValueError, match="palette"):
            read_colour_png(tmp_path / "a.png", palette)


def test_planes_by_hand() -> None:
    stack = index_to_planes(np.array([[0, 1, 1], [2, 0, 2]], np.uint8), classes=3)
    assert stack.dtype == bool
    assert stack.astype(int).tolist() == [
        [[0, 1, 1], [0, 0, 0]],
        [[0, 0, 0], [1, 0, 1]],
        [[0, 0, 0], [0, 0, 0]],
    ]
    with pytest.raises(ValueError, match="index 2"):
        index_to_planes(np.full((1, 1), 2, np.uint8), classes=1)


def test_overlapping_planes_are_refused() -> None:
    stack = np.zeros((2, 2, 3), bool)
    stack[0, 1, :2] = True
    stack[1, 1, 1:] = True
    with pytest.raises(ValueError, match="row 1, column 1"):
        planes_to_index(stack)
    stack[1, 1, 1] = False
    assert planes_to_index(stack).tolist() == [[0, 0, 0], [1, 1, 2]]


INDEX = arrays(
    np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 9)
)


@settings(max_examples=80, deadline=None)
@given(INDEX)
def test_write_then_read_is_identity(scratch: Path, index: np.ndarray) -> None:
    palette = voc_palette()[:10]
    write_label_png(scratch / "i.png", index)
    assert (read_label_png(scratch / "i.png", classes=9) == index).all()
    write_colour_png(scratch / "c.png", index, palette)
    read, strays = read_colour_png(scratch / "c.png", palette)
    assert (read == index).all() and strays == 0
    assert (planes_to_index(index_to_planes(index, 9)) == index).all()


@settings(max_examples=80, deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(3))))
def test_nearest_colour_equals_the_plain_search(scratch: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(scratch / "n.png")
    index, strays = read_colour_png(scratch / "n.png", CORD, max_strays=36)
    distance = ((pixels[:, :, None, :].astype(int) - CORD.astype(int)) ** 2).sum(axis=-1)
    assert (index == distance.argmin(axis=-1)).all() and strays == int(
        (distance.min(axis=-1) > 0).sum()
    )


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=80), st.booleans(), st.integers(0, 80))
def test_any_bytes_give_a_mask_or_our_error(
    scratch: Path, data: bytes, spliced: bool, at: int
) -> None:
    good = png(3, [bytes([0, 1, 2])], PALETTE, palette=CORD.tobytes())
    path = written(scratch, good[:at] + data + good[at + len(data) :] if spliced else data)
    for read in (lambda: read_label_png(path, 3), lambda: read_colour_png(path, CORD)):
        try:
            read()
        except DataError as error:
            assert "\n" not in str(error)
