"""YOLO text and classes.txt: rows by hand, every kind of bad one, and the round trip."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usbench.datasets.codecs.yolo_txt import (
    class_positions,
    read_class_names,
    read_yolo_boxes,
    write_class_names,
    write_yolo_boxes,
)
from usbench.errors import DataError
from usbench.types import Boxes

NAMES = ("Trachea", "Common carotid artery", "Esophagus")
SIZE = (100, 200)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("yolo")


@pytest.mark.parametrize(
    ("text", "boxes", "labels"),
    [
        ("", [], []),
        ("\n \r\n", [], []),
        (
            "2 0.5 0.5 0.25 0.5\n",
            [[75, 25, 125, 75]],
            [2],
        ),  # (.5 − .125)·200 = 75; (.5 − .25)·100 = 25
        ("0 0.25 0.05 0.5 0.1", [[0, 0, 100, 10]], [0]),  # no line end
        ("1 .5 .5 1 1", [[0, 0, 200, 100]], [1]),
        ("1 0.001 0.5 0.004 1e-1\n", [[0, 45, 0.6, 55]], [1]),  # sticks out by .001: clipped
        ("0 0.2505 0.5 0.5 1.0004", [[0.1, 0, 100.1, 100]], [0]),
        ("0 0.5 0.5 0.5 0.5\r\n2 0.5 0.5 0.5 0.5\r\n", [[50, 25, 150, 75]] * 2, [0, 2]),
        ("\ufeff1\t0.5  0.5 0.5 0.5 \n", [[50, 25, 150, 75]], [1]),
        ("0 0.5 0.5 0.5 0.5\r1 0.5 0.5 0.5 0.5", [[50, 25, 150, 75]] * 2, [0, 1]),
    ],
)
def test_read_by_hand(
    tmp_path: Path, text: str, boxes: list[list[float]], labels: list[int]
) -> None:
    path = tmp_path / "0001.txt"
    path.write_bytes(text.encode())
    actual = read_yolo_boxes(path, NAMES, SIZE)
    assert (
        actual.xyxy.shape == (len(boxes), 4)
        and actual.xyxy.dtype == np.float32
        and actual.scores is None
    )
    assert np.allclose(actual.xyxy, np.reshape(boxes, (-1, 4)), atol=1e-4)
    assert actual.labels.tolist() == labels and actual.labels.dtype == np.int64


def test_six_digits_are_not_rounded_to_whole_pixels(tmp_path: Path) -> None:
    """10..23 of 494 columns: cx 16.5/494 = .033401, w 13/494 = .026316.

    x1 = (.033401 − .013158)·494 = 10.000042.
    """
    path = tmp_path / "0001.txt"
    path.write_text("0 0.033401 0.5 0.026316 0.5\n")
    x1, _, x2, _ = read_yolo_boxes(path, NAMES, (447, 494)).xyxy[0].tolist()
    assert abs(x1 - 10.000042) < 2e-6 and abs(x2 - 23.000146) < 2e-6


def test_write_by_hand(tmp_path: Path) -> None:
    boxes = Boxes(np.array([[75, 25, 125, 75], [0, 0, 200, 100]], np.float32), np.array([2, 0]))
    write_yolo_boxes(tmp_path / "0001.txt", boxes, NAMES, SIZE)
    assert (tmp_path / "0001.txt").read_bytes() == b"2 0.5 0.5 0.25 0.5\n0 0.5 0.5 1 1\n"
    write_yolo_boxes(tmp_path / "0002.txt", Boxes.empty(), NAMES, SIZE)
    assert (tmp_path / "0002.txt").read_bytes() == b""
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            "3 0.5 0.5 0.5 0.5",
            "class number 0..2 of Trachea, Common carotid artery, Esophagus, got '3'",
        ),
        ("-1 0.5 0.5 0.5 0.5", "class number 0..2"),
        ("1.0 0.5 0.5 0.5 0.5", "class number 0..2"),
        ("Trachea 0.5 0.5 0.5 0.5", "class number 0..2"),
        (
            "0 1.5 0.5 0.5 0.5",
            "cx as a fraction of the image's width, 0..1, got 1.5; divide pixels by the width",
        ),
        ("0 0.5 120 0.5 0.5", "cy as a fraction of the image's height, 0..1, got 120"),
        ("0 0.5 0.5 1.01 0.5", "w as a fraction of the image's width"),
        ("0 -0.1 0.5 0.5 0.5", "cx as a fraction"),
        ("0 0.5 0.5 0.5 -0.5", "h as a fraction"),
        ("0 0.5 0.5 1e999 0.5", "w as a fraction"),
        ("0 nan 0.5 0.5 0.5", "number as cx, got 'nan'"),
        ("0 0.5 inf 0.5 0.5", "number as cy"),
        ("0 0.5 0.5 1_0 0.5", "number as w"),
        ("0 0.5 0.5 0,5 0.5", "number as w"),
        ("0 0.5 0.5 0.5 ０", "number as h"),
        ("0 0.5 0.5 0 0.5", "box with area inside 200×100, got 100, 25, 100, 75"),
        ("0 0.5 0.5 1e-12 0.5", "box with area"),  # zero-sized once it is float32
        (
            "0 0.1 0.5 0.21 0.5",
            "box inside 200×100, got -1, 25, 41, 75",
        ),  # out by .005 of the width
        ("0 0.5 0.9 0.5 0.21", "box inside"),
        ("0 0.5 0.5 0.5", "class cx cy w h, got 4 columns"),
        ("0 0.5 0.5 0.5 0.5 0.93", "6 columns, a prediction with its confidence"),
        ("0 0.1 0.1 0.5 0.1 0.5 0.5", "7 columns, a segmentation polygon"),
        ("0 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5", "9 columns, a segmentation polygon"),
        ("0 0.1 0.1 0.5 0.1 0.5 0.5 1", "got 8 columns"),
        ("0;0.5;0.5;0.5;0.5", "got 1 columns"),
    ],
)
def test_bad_rows_give_one_line_that_names_theirs(tmp_path: Path, row: str, reason: str) -> None:
    path = tmp_path / "bad.txt"
    path.write_text(f"0 0.5 0.5 0.5 0.5\n\n{row}\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_yolo_boxes(path, NAMES, SIZE)
    message = str(caught.value)
    assert (
        message.startswith(f"{path}: line 3: expected")
        and reason in message
        and "\n" not in message
    )


def test_one_object_twice_names_both_lines(tmp_path: Path) -> None:
    path = tmp_path / "bad.txt"
    path.write_text("0 0.5 0.5 0.5 0.5\n1 0.5 0.5 0.5 0.5\n0 0.50 0.5 0.5 .5\n")
    with pytest.raises(DataError, match=r"line 3: expected every object once, got line 1 again"):
        read_yolo_boxes(path, NAMES, SIZE)


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_yolo_boxes(tmp_path / "none.txt", NAMES, SIZE)
    path = tmp_path / "utf16.txt"
    path.write_bytes("0 0.5 0.5 0.5 0.5".encode("utf-16"))
    with pytest.raises(DataError, match="not UTF-8 text"):
        read_yolo_boxes(path, NAMES, SIZE)


def test_write_refuses_what_read_would_refuse(tmp_path: Path) -> None:
    for box in ([0, 0, 0, 5], [0, 0, 211, 5], [np.nan, 0, 5, 5], [9, 0, 5, 5]):
        with pytest.raises(DataError, match="line 1"):
            write_yolo_boxes(
                tmp_path / "a.txt", Boxes(np.array([box], np.float32), np.array([0])), NAMES, SIZE
            )
    for label in (3, -1):
        with pytest.raises(DataError, match="class number"):
            write_yolo_boxes(
                tmp_path / "a.txt",
                Boxes(np.array([[0, 0, 5, 5]], np.float32), np.array([label])),
                NAMES,
                SIZE,
            )
    assert not list(tmp_path.iterdir())


# ---- classes.txt


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_names_by_hand(tmp_path: Path, ends: str, mark: str) -> None:
    path = tmp_path / "classes.txt"
    path.write_bytes(
        (mark + ends.join(["Trachea", " Common carotid artery ", "Œsophage", "", ""])).encode()
    )
    assert read_class_names(path) == ("Trachea", "Common carotid artery", "Œsophage")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "found none"),
        ("\n\n", "found none"),
        ("a\n\nb\n", "line 2: expected a class name, got an empty line, which counts"),
        ("\na\n", "line 1"),
        ("a\nb\na\n", "line 3: expected a class name of its own, got 'a' as in line 1"),
    ],
)
def test_bad_names(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "classes.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=reason):
        read_class_names(path)
    with pytest.raises(DataError, match="no such file"):
        read_class_names(tmp_path / "none.txt")


def test_the_copy_s_order_rules_and_its_names_must_be_known(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    assert class_positions(path, ("Esophagus", "Trachea"), ("Trachea", "Esophagus")).tolist() == [
        1,
        0,
    ]
    for names in (("Esophagus", "Trachea", "Larynx"), ("Trachea",), ("trachea", "Esophagus")):
        with pytest.raises(DataError) as caught:
            class_positions(path, names, ("Trachea", "Esophagus"))
        assert f"classes Trachea, Esophagus, got {', '.join(names)};" in str(caught.value)


def test_names_are_written_as_they_are_read(tmp_path: Path) -> None:
    write_class_names(tmp_path / "classes.txt", NAMES)
    assert (tmp_path / "classes.txt").read_bytes() == b"Trachea\nCommon carotid artery\nEsophagus\n"
    for names in (["a\nb"], ["a", "a"], [" a"], [""], []):
        with pytest.raises(DataError):
            write_class_names(tmp_path / "other.txt", names)
    assert not (tmp_path / "other.txt").exists()


# ---- properties

COORDINATE = st.floats(0, 300, width=32).filter(lambda value: value == 0 or value > 1e-3)


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(COORDINATE, COORDINATE, COORDINATE, COORDINATE, st.integers(0, 2)), max_size=4
    )
)
def test_write_then_read_is_identity(
    scratch: Path, drawn: list[tuple[float, float, float, float, int]]
) -> None:
    valid = {
        (min(a, c), min(b, d), max(a, c), max(b, d), n)
        for a, b, c, d, n in drawn
        if a != c and b != d
    }
    rows = sorted(valid)
    boxes = Boxes(
        np.array([row[:4] for row in rows], np.float32).reshape(-1, 4),
        np.array([r[4] for r in rows], int),
    )
    write_yolo_boxes(scratch / "a.txt", boxes, NAMES, (301, 307))
    again = read_yolo_boxes(scratch / "a.txt", NAMES, (301, 307))
    assert np.array_equal(again.xyxy, boxes.xyxy) and np.array_equal(again.labels, boxes.labels)


GOOD = b"2 0.5 0.5 0.25 0.5\r\n0 0.033401 0.5 0.026316 0.5\r\n"


@settings(max_examples=200)
@given(st.binary(max_size=40), st.booleans(), st.integers(0, len(GOOD)), st.integers(0, 30))
def test_any_bytes_give_boxes_or_our_error(
    scratch: Path, data: bytes, spliced: bool, at: int, drop: int
) -> None:
    path = scratch / "any.txt"
    path.write_bytes(GOOD[:at] + data + GOOD[at + drop :] if spliced else data)
    for reader in (lambda: read_yolo_boxes(path, NAMES, SIZE), lambda: read_class_names(path)):
        try:
            reader()
        except DataError as error:
            assert "\n" not in str(error)
