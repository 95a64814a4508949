"""Masks as releases store them: values, colours, thresholds and contours, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from scipy import ndimage

from tests.helpers.release_files import draw, save, save_volume
from usbench.datasets.codecs import mask_files
from usbench.datasets.codecs.mask_files import make_encoding, read_values
from usbench.errors import ConfigError, DataError

DRAWING = ["......", ".aab..", ".ab..."]
SIZE = (3, 6)
INDEX = draw(DRAWING, {".": 0, "a": 1, "b": 2})
A, B = draw(DRAWING, {".": 0, "a": 1, "b": 0}) > 0, draw(DRAWING, {".": 0, "a": 0, "b": 1}) > 0
TWO = {"values": {"nerve": 1, "vessel": 2}}
GREEN_RED = {"colours": {"benign": [0, 255, 0], "malignant": [255, 0, 0]}}
COLOURS = {".": (0, 0, 0), "a": (0, 255, 0), "b": (255, 0, 0), "s": (250, 9, 0)}


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("masks")


# ---- values


def save_palette(path: Path, index: np.ndarray = INDEX, bits: int = 8) -> None:
    """A PNG of palette indices whose colours say nothing of the classes."""
    picture = Image.fromarray(index)
    picture.putpalette([7, 9, 200, 255, 255, 255, 0, 0, 0] * 2)
    picture.save(path, bits=bits)


STORED_AS = {
    "grey PNG": lambda path: save(path, INDEX),
    "grey BMP": lambda path: save(path, INDEX, format="BMP"),
    "grey TIFF": lambda path: save(path, INDEX, format="TIFF"),
    "palette": save_palette,
    "palette of 2 bits": lambda path: save_palette(path, bits=2),
    "RGB of equal channels": lambda path: save(path, INDEX, "RGB"),
    "RGBA": lambda path: save(path, np.dstack([INDEX] * 3 + [255 - 40 * INDEX])),
}


@pytest.mark.parametrize("kind", STORED_AS)
def test_values_by_hand(tmp_path, kind):
    path = tmp_path / "mask.png"
    STORED_AS[kind](path)
    assert read_values(path).tolist() == INDEX.tolist()
    encoding = make_encoding(TWO)
    assert encoding.names == ("nerve", "vessel")
    planes = encoding.read(path, SIZE)
    assert planes.dtype == bool and np.array_equal(planes, [A, B])


def test_the_order_of_classes_is_the_setting_s(tmp_path):
    save(tmp_path / "mask.png", INDEX)
    encoding = make_encoding({"values": {"vessel": 2, "nerve": 1}})
    assert np.array_equal(encoding.read(tmp_path / "mask.png", SIZE), [B, A])


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P"])
def test_one_class_of_255(tmp_path, mode):
    save(tmp_path / "mask.png", A.astype(np.uint8) * 255, mode)
    with Image.open(tmp_path / "mask.png") as picture:
        assert picture.mode == mode
    encoding = make_encoding({"values": {"lesion": 255}})
    planes = encoding.read(tmp_path / "mask.png", SIZE)
    assert np.array_equal(planes, [A])


def test_a_volume_s_values(tmp_path):
    save_volume(tmp_path / "mask.nii.gz", INDEX.astype(np.float32))
    assert np.array_equal(make_encoding(TWO).read(tmp_path / "mask.nii.gz", SIZE), [A, B])


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (INDEX * 2, r"expected 0 background, 1 nerve, 2 vessel, got value 4 in 2 pixels; correct"),
        (
            np.arange(18, dtype=np.uint8).reshape(3, 6),
            r"expected 0 .* vessel, got 15 other values \(3, 4, 5 …\): the grey",
        ),
        (
            INDEX.T,
            r"expected the size of its image, 3 × 6, got 6 × 3 \(height × width\); fetch both",
        ),
        (np.dstack([INDEX, INDEX, B]), r"expected a mask of grey values, got colours; is this"),
        (
            INDEX.astype(np.uint16),
            r"expected a mask of grey or palette values, got more than 8 bits",
        ),
        (
            np.dstack([INDEX, INDEX]),
            r"expected a mask of .* values, got a file of mode LA; convert",
        ),
    ],
    ids=["a foreign value", "many values", "another size", "colours", "16 bits", "grey and alpha"],
)
def test_bad_values_are_refused(tmp_path, pixels, message):
    path = tmp_path / "mask.png"
    save(path, np.asarray(pixels, pixels.dtype if pixels.dtype == np.uint16 else np.uint8))
    with pytest.raises(DataError, match=rf"^{path}: {message}"):
        make_encoding(TWO).read(path, SIZE)


def test_a_missing_and_a_damaged_mask_are_refused(tmp_path):
    path = tmp_path / "mask.png"
    with pytest.raises(
        DataError, match=r"mask.png: expected a mask of grey or palette values, found"
    ):
        make_encoding(TWO).read(path, SIZE)
    save(path, INDEX)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(
        DataError, match=r"mask.png: expected a mask of grey or palette values, got"
    ):
        make_encoding(TWO).read(path, SIZE)


def test_the_only_class_of_255_is_written_in_one_bit(tmp_path):
    encoding = make_encoding({"values": {"lesion": 255}})
    for name, mode in (("mask.png", "1"), ("mask.bmp", "L")):
        encoding.write(tmp_path / name, A[None])
        with Image.open(tmp_path / name) as picture:
            assert picture.mode == mode and np.array_equal(np.array(picture) > 0, A)
    make_encoding(TWO).write(tmp_path / "two.png", np.stack([A, B]))
    with Image.open(tmp_path / "two.png") as picture:
        assert picture.mode == "L" and np.array(picture).tolist() == INDEX.tolist()


# ---- colours


def test_colours_by_hand(tmp_path):
    path = tmp_path / "mask.png"
    save(path, draw(DRAWING, COLOURS))
    encoding = make_encoding(GREEN_RED)
    assert encoding.names == ("benign", "malignant")
    assert np.array_equal(encoding.read(path, SIZE), [A, B])
    assert encoding.oddities() == {"pixels of no class colour, taken for the nearest": 0}


def test_strays_go_to_the_nearest_colour(tmp_path):
    path = tmp_path / "mask.png"
    save(path, draw(["......", ".aas..", ".as..."], COLOURS))
    with pytest.raises(DataError, match=r"got 2 pixels of no class, most of colour \(250, 9, 0\)"):
        make_encoding(GREEN_RED).read(path, SIZE)
    encoding = make_encoding({**GREEN_RED, "strays": 2})
    for _ in range(2):  # read twice, counted once
        assert np.array_equal(encoding.read(path, SIZE), [A, B])
    assert encoding.oddities() == {"pixels of no class colour, taken for the nearest": 2}


def test_colours_of_another_size_are_refused(tmp_path):
    save(tmp_path / "mask.png", draw(DRAWING[:2], COLOURS))
    with pytest.raises(DataError, match=r"expected the size of its image, 3 × 6, got 2 × 6"):
        make_encoding(GREEN_RED).read(tmp_path / "mask.png", SIZE)


# ---- a threshold


@pytest.mark.parametrize(("grey", "inside"), [(127, False), (128, True), (255, True)])
def test_a_threshold_is_exceeded(tmp_path, grey, inside):
    save(tmp_path / "mask.png", A.astype(np.uint8) * grey)
    planes = make_encoding({"threshold": 127}).read(tmp_path / "mask.png", SIZE)
    assert np.array_equal(planes, [A & inside])


def test_a_threshold_is_of_the_luma(tmp_path):
    save(tmp_path / "mask.png", draw(["rg"], {"r": (255, 0, 0), "g": (0, 255, 0)}))
    planes = make_encoding({"threshold": 127}).read(tmp_path / "mask.png", (1, 2))
    assert planes.tolist() == [[[False, True]]]  # red has the luma 76, green 150


def test_a_threshold_cleans_a_jpeg(tmp_path):
    plane = np.zeros((24, 40), bool)
    plane[6:17, 9:30] = True
    save(tmp_path / "mask.jpg", plane.astype(np.uint8) * 255, quality=60)
    with Image.open(tmp_path / "mask.jpg") as picture:
        assert len(np.unique(np.array(picture))) > 2
    planes = make_encoding({"threshold": 127}).read(tmp_path / "mask.jpg", (24, 40))
    assert np.array_equal(planes, [plane])
    with pytest.raises(DataError, match=r"expected the size of its image, 40 × 24, got 24 × 40"):
        make_encoding({"threshold": 127}).read(tmp_path / "mask.jpg", (40, 24))


# ---- a contour

LINE = ["........", ".####...", ".#..#...", ".#..###.", ".#####..", "........"]
FILLED = ["........", ".####...", ".####...", ".######.", ".#####..", "........"]


def test_a_contour_is_filled(tmp_path):
    save(tmp_path / "mask.png", draw(LINE))
    planes = make_encoding({"contour": 127}).read(tmp_path / "mask.png", (6, 8))
    assert np.array_equal(planes, [draw(FILLED) > 0])


def test_no_contour_is_no_class(tmp_path):
    save(tmp_path / "mask.png", np.zeros((6, 8), np.uint8))
    assert not make_encoding({"contour": 127}).read(tmp_path / "mask.png", (6, 8)).any()


def test_an_open_contour_is_refused(tmp_path):
    pixels = draw(LINE)
    pixels[2, 1] = 0  # the gap
    save(tmp_path / "mask.png", pixels)
    with pytest.raises(
        DataError, match=r"mask.png: expected a contour that is closed, or whose two"
    ):
        make_encoding({"contour": 127}).read(tmp_path / "mask.png", (6, 8))


@pytest.mark.parametrize("turns", range(4))
def test_a_contour_that_ends_at_the_border_is_closed_along_it(tmp_path, turns):
    line = np.rot90(draw(["..#...#...", "..#...#...", "...###....", ".........."]), turns)
    filled = np.rot90(draw(["..#####...", "..#####...", "...###....", ".........."]), turns)
    save(tmp_path / "mask.png", line)
    encoding = make_encoding({"contour": 127})
    assert np.array_equal(encoding.read(tmp_path / "mask.png", line.shape), [filled > 0])
    assert encoding.oddities()["contours closed along the image's border"] == 1


@pytest.mark.parametrize(("side", "is_line"), [(15, True), (17, False)])
def test_a_filled_mask_is_taken_as_it_is(tmp_path, side, is_line):
    """A filled shape is told from an open line by its thickness: more than 8 px to its edge."""
    plane = np.zeros((40, 40), bool)
    plane[5 : 5 + side, 10 : 10 + side] = True
    plane[9:11, 20:36] = True
    save(tmp_path / "mask.png", plane.astype(np.uint8) * 255)
    encoding = make_encoding({"contour": 127})
    if is_line:
        with pytest.raises(DataError, match=r"got a line that encloses nothing; close the gap or"):
            encoding.read(tmp_path / "mask.png", (40, 40))
        return
    assert np.array_equal(encoding.read(tmp_path / "mask.png", (40, 40)), [plane])
    assert encoding.oddities()["masks that were filled already, taken as they are"] == 1


def test_a_contour_of_another_size_is_refused(tmp_path):
    save(tmp_path / "mask.png", draw(LINE))
    with pytest.raises(DataError, match=r"expected the size of its image, 8 × 6, got 6 × 8"):
        make_encoding({"contour": 127}).read(tmp_path / "mask.png", (8, 6))


# ---- what is written is read again

PLANES = arrays(bool, (2, 5, 7))


@given(PLANES)
def test_values_and_colours_are_read_as_written(scratch, planes):
    planes[1] &= ~planes[0]
    for name, node in (("values.png", TWO), ("values.bmp", TWO), ("colours.png", GREEN_RED)):
        encoding = make_encoding(node)
        encoding.write(scratch / name, planes)
        assert np.array_equal(encoding.read(scratch / name, (5, 7)), planes)


@given(PLANES)
def test_one_plane_is_read_as_written(scratch, planes):
    for name, node in (("threshold.png", {"threshold": 9}), ("one.png", {"values": {"one": 255}})):
        encoding = make_encoding(node)
        encoding.write(scratch / name, planes[:1])
        assert np.array_equal(encoding.read(scratch / name, (5, 7)), planes[:1])


@given(st.integers(2, 9), st.integers(2, 9), st.integers(0, 5), st.integers(0, 5))
def test_a_contour_is_read_as_written(scratch, rows, columns, top, left):
    grid = np.ogrid[-rows : rows + 1, -columns : columns + 1]
    oval = (grid[0] / rows) ** 2 + (grid[1] / columns) ** 2 <= 1
    plane = np.pad(oval, ((top, 3), (left, 0)))
    encoding = make_encoding({"contour": 127})
    encoding.write(scratch / "contour.png", plane[None])
    with Image.open(scratch / "contour.png") as picture:
        line = np.array(picture.convert("L")) > 127
    assert not (line & ndimage.binary_erosion(plane)).any()  # a line, no filled mask
    assert np.array_equal(encoding.read(scratch / "contour.png", plane.shape), [plane])


# ---- settings


@pytest.mark.parametrize(
    ("node", "kind"),
    [
        ({"values": {"nerve": 1, "vessel": 255}}, mask_files.Values),
        ({"colours": {"benign": [0, 255, 0]}}, mask_files.Colours),
        ({"colours": {"benign": [0, 255, 0]}, "strays": 40}, mask_files.Colours),
        ({"threshold": 0}, mask_files.Threshold),
        ({"contour": 127}, mask_files.Contour),
    ],
)
def test_good_settings(node, kind):
    assert isinstance(make_encoding(node), kind)


@pytest.mark.parametrize(
    "node",
    [
        None,
        "points",
        {},
        {"values": {}},
        {"values": {"nerve": 0}},
        {"values": {"nerve": 256}},
        {"values": {"nerve": 1.0}},
        {"values": {"nerve": True}},
        {"values": {"nerve": 1, "vessel": 1}},
        {"values": ["nerve"]},
        {"values": {"nerve": 1}, "strays": 3},
        {"threshold": "127"},
        {"threshold": 127, "names": ["lesion"]},
        {"contour": None},
        {"colours": {}},
        {"colours": {"benign": [0, 0, 0]}},
        {"colours": {"benign": [0, 300, 0]}},
        {"colours": {"benign": [0, 255]}},
        {"colours": {"benign": "green"}},
        {"colours": {"benign": [0, 255, 0], "malignant": [0, 255, 0]}},
        {"colours": {"benign": [0, 255, 0]}, "strays": "some"},
        {"colours": {"benign": [0, 255, 0]}, "stray": 3},
        {"palette": {"benign": [0, 255, 0]}},
    ],
    ids=str,
)
def test_bad_settings_are_refused(node):
    with pytest.raises(
        ConfigError, match=r"^encoding=.*: expected values of 1..255, colours, a thr"
    ):
        make_encoding(node)
