"""Pascal VOC XML: a file by hand, every kind of bad one, and the round trip."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usbench.datasets.codecs.voc import read_voc, write_voc
from usbench.errors import DataError
from usbench.types import Boxes

CLASSES = ("hematoma", "cord")
ONE_OBJECT = """<annotation>
	<folder>train</folder>
	<filename>scaled-A0212_frame1.png</filename>
	<path>train/scaled-A0212_frame1.png</path>
	<source>
		<database>Unknown</database>
	</source>
	<size>
		<width>690</width>
		<height>275</height>
		<depth>3</depth>
	</size>
	<segmented>0</segmented>
	<object>
		<name>cord</name>
		<pose>Unspecified</pose>
		<truncated>0</truncated>
		<difficult>0</difficult>
		<bndbox>
			<xmin>12</xmin>
			<ymin>0</ymin>
			<xmax>690</xmax>
			<ymax>100.25</ymax>
		</bndbox>
	</object>
</annotation>
"""


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("voc")


def test_read_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text(ONE_OBJECT)
    boxes, size = read_voc(path, CLASSES)
    assert size == (275, 690)
    assert boxes.xyxy.tolist() == [[12, 0, 690, 100.25]] and boxes.xyxy.dtype == np.float32
    assert boxes.labels.tolist() == [1] and boxes.labels.dtype == np.int64 and boxes.scores is None


def test_write_by_hand(tmp_path: Path) -> None:
    boxes = Boxes(np.array([[12, 0, 690, 100.25]], np.float32), np.array([1]))
    write_voc(tmp_path / "a.xml", boxes, CLASSES, (275, 690), "scaled-A0212_frame1.png", "train")
    assert (tmp_path / "a.xml").read_text() == ONE_OBJECT
    assert [path.name for path in tmp_path.iterdir()] == ["a.xml"]


def test_no_object_is_a_valid_empty_image(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text("<annotation><size><width>3</width><height>2</height></size></annotation>")
    boxes, size = read_voc(path, CLASSES)
    assert boxes.xyxy.shape == (0, 4) and boxes.labels.shape == (0,) and size == (2, 3)


def test_declaration_byte_order_mark_and_white_space_are_fine(tmp_path: Path) -> None:
    text = ONE_OBJECT.replace("cord</name>", "\n cord </name>").replace(">12<", "> 12 <")
    path = tmp_path / "a.xml"
    path.write_bytes(b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>\n' + text.encode())
    assert read_voc(path, CLASSES)[0].xyxy[0, 0] == 12


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("<name>cord", "<name>bone", "object 1: expected a class of hematoma, cord, got 'bone'"),
        ("<name>cord</name>", "", "object 1: expected a class"),
        (
            "<xmax>690<",
            "<xmax>691<",
            "object 1: expected a box with area inside 690×275, got '12, 0, 691",
        ),
        ("<ymax>100.25<", "<ymax>276<", "inside"),
        ("<xmin>12<", "<xmin>-1<", "inside"),
        ("<ymin>0<", "<ymin>-0.5<", "inside"),
        ("<xmin>12<", "<xmin>690<", "inside"),
        ("<xmin>12<", "<xmin>689.99999999<", "inside"),  # zero-sized once it is float32
        ("<ymax>100.25<", "<ymax>0<", "inside"),
        ("<ymax>100.25<", "<ymax>1e300<", "inside"),
        ("<xmin>12<", "<xmin>nan<", "number as xmin, got 'nan'"),
        ("<xmin>12<", "<xmin>inf<", "number as xmin"),
        ("<xmin>12<", "<xmin>1_2<", "number as xmin"),
        ("<xmin>12<", "<xmin>１２<", "number as xmin"),
        ("<xmin>12<", "<xmin><", "number as xmin, got ''"),
        ("<ymax>100.25</ymax>", "", "number as ymax"),
        ("<bndbox>", "<other>", "cut off or damaged"),
        ("<width>690<", "<width>0<", "width in pixels, got '0'"),
        ("<width>690<", "<width>-690<", "width in pixels"),
        ("<height>275</height>", "", "height in pixels, got ''"),
        ("size>", "extent>", "height in pixels"),
        ("annotation>", "html>", "got <html>"),
        ("</annotation>", "", "cut off or damaged"),
        ("<annotation>", "<!DOCTYPE annotation><annotation>", "DOCTYPE"),
    ],
)
def test_bad_files_give_one_line(tmp_path: Path, old: str, new: str, reason: str) -> None:
    assert old in ONE_OBJECT
    path = tmp_path / "bad.xml"
    path.write_text(ONE_OBJECT.replace(old, new), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_voc(path, CLASSES)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and reason in message and "\n" not in message


def test_the_second_object_is_named(tmp_path: Path) -> None:
    element = ONE_OBJECT[ONE_OBJECT.index("\t<object>") : ONE_OBJECT.index("</annotation>")]
    path = tmp_path / "bad.xml"
    path.write_text(
        ONE_OBJECT.replace("</annotation>", element.replace("cord", "rib") + "</annotation>")
    )
    with pytest.raises(DataError, match="object 2"):
        read_voc(path, CLASSES)


def test_missing_file_other_encodings_and_entities(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_voc(tmp_path / "none.xml", CLASSES)
    path = tmp_path / "a.xml"
    path.write_bytes(b'<!DOCTYPE a [<!ENTITY x "y"><!ENTITY z "&x;&x;">]>' + ONE_OBJECT.encode())
    with pytest.raises(DataError, match="DOCTYPE or entity"):
        read_voc(path, CLASSES)
    path.write_bytes(
        ('<?xml version="1.0" encoding="utf-16"?><!DOCTYPE annotation>' + ONE_OBJECT).encode(
            "utf-16"
        )
    )
    with pytest.raises(
        DataError, match="can't be read"
    ):  # a DOCTYPE can't hide in another encoding
        read_voc(path, CLASSES)


def test_write_refuses_what_read_would_refuse(tmp_path: Path) -> None:
    for box in ([0, 0, 0, 5], [0, 0, 11, 5], [np.nan, 0, 5, 5]):
        boxes = Boxes(np.array([box], np.float32), np.array([0]))
        with pytest.raises(DataError, match="object 1"):
            write_voc(tmp_path / "a.xml", boxes, CLASSES, (10, 10), "a.png", "train")
    assert not list(tmp_path.iterdir())


def test_special_characters_are_escaped(tmp_path: Path) -> None:
    classes = ("dura/pia & <complex>",)
    boxes = Boxes(np.array([[0, 0, 1, 1]], np.float32), np.array([0]))
    write_voc(tmp_path / "a.xml", boxes, classes, (10, 10), "a & b.png", "Größe")
    assert read_voc(tmp_path / "a.xml", classes)[0].labels.tolist() == [0]


COORDINATE = st.floats(0, 300, width=32)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(COORDINATE, COORDINATE, COORDINATE, COORDINATE, st.integers(0, 1)), max_size=4
    )
)
def test_write_then_read_is_identity(
    scratch: Path, drawn: list[tuple[float, float, float, float, int]]
) -> None:
    valid = [box for box in drawn if box[0] != box[2] and box[1] != box[3]]
    corners = [[min(a, c), min(b, d), max(a, c), max(b, d)] for a, b, c, d, _ in valid]
    boxes = Boxes(
        np.array(corners, np.float32).reshape(-1, 4), np.array([box[4] for box in valid], np.int64)
    )
    write_voc(scratch / "a.xml", boxes, CLASSES, (300, 300), "a.png", "train")
    again, size = read_voc(scratch / "a.xml", CLASSES)
    assert (
        (again.xyxy == boxes.xyxy).all()
        and (again.labels == boxes.labels).all()
        and size == (300, 300)
    )


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.booleans(), st.integers(0, len(ONE_OBJECT)), st.integers(0, 60))
def test_any_bytes_give_boxes_or_our_error(
    scratch: Path, data: bytes, spliced: bool, at: int, drop: int
) -> None:
    good = ONE_OBJECT.encode()
    path = scratch / "any.xml"
    path.write_bytes(good[:at] + data + good[at + drop :] if spliced else data)
    try:
        read_voc(path, CLASSES)
    except DataError as error:
        assert "\n" not in str(error)
