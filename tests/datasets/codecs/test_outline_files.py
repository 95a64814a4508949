"""Outlines as releases store them: point lists and LabelMe's JSON, by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from tests.helpers.release_files import draw, save_text
from usbench.datasets.codecs.outline_files import (
    LabelMe,
    PointLists,
    make_outline_encoding,
    parse_polygon,
)
from usbench.errors import ConfigError, DataError

SIZE = (5, 7)
TRIANGLE = [[1, 1], [4, 1], [1, 4]]
FILLED = draw([".......", ".####..", ".###...", ".##....", ".#....."]) > 0
CORNER = [[5, 4], [6, 4], [6, 3]]
IN_CORNER = draw([".......", ".......", ".......", "......#", ".....##"]) > 0
LABELS = {"liver": "Liver", "mass": "tumor"}


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outlines")


def save_json(path: Path, content: object) -> Path:
    save_text(path, json.dumps(content))
    return path


# ---- point lists


def test_points_by_hand(tmp_path):
    path = save_json(tmp_path / "a.json", TRIANGLE)
    planes = make_outline_encoding("points").read(path, SIZE)
    assert planes.dtype == bool and np.array_equal(planes, [FILLED])


@pytest.mark.parametrize(
    ("points", "vertices"),
    [
        ([[1.4, 0.5], [5.49, 1], [-0.5, 3.0]], [[1, 1], [5, 1], [0, 3]]),
        ([[0.5, 1.5], [2.5, 3.5], [-1.5, -0.6]], [[1, 2], [3, 4], [-1, -1]]),
    ],
    ids=["fractions", "halves go up"],
)
def test_points_are_rounded(points, vertices):
    assert parse_polygon("a", points).tolist() == vertices


def test_what_lies_outside_the_image_is_cut_off(tmp_path):
    path = save_json(tmp_path / "a.json", [[-3, 1], [20, 1], [20, 2], [-3, 2]])
    (plane,) = PointLists().read(path, SIZE)
    assert plane.tolist() == [[row in (1, 2)] * 7 for row in range(5)]


BAD_POINTS = {
    "too few": ("[[1, 1], [5, 1]]", "expected 3 points or more, got 2; redraw it"),
    "none": ("[]", "expected 3 points or more, got 0; redraw it"),
    "no list": ('{"0": [1, 1]}', "expected points as [x, y] in px, got {'0': [1, 1]}; fetch"),
    "flat": (
        "[1, 1, 5, 1, 1, 3]",
        "expected points as [x, y] in px, got [1, 1, 5, 1, 1, 3]; fetch",
    ),
    "several polygons": (
        "[[[1, 1], [5, 1], [1, 3]]]",
        "expected points as [x, y] in px, got [[[1, 1], [5, 1], [1, 3]]]; fetch",
    ),
    "three numbers": ("[[1, 1, 0], [5, 1, 0], [1, 3, 0]]", "expected points as [x, y] in px, got"),
    "texts": ('[["1", "1"], [5, 1], [1, 3]]', "expected points as [x, y] in px, got [['1', '1']"),
    "not a number": (
        "[[NaN, 1], [5, 1], [1, 3]]",
        "expected points as [x, y] in px, got [[nan, 1]",
    ),
    "far away": ("[[1, 1], [5e9, 1], [1, 3]]", "expected points as [x, y] in px, got"),
    "true": ("[[true, 1], [5, 1], [1, 3]]", "expected points as [x, y] in px, got [[True, 1]"),
    "cut off": (
        "[[1, 1], [5, 1",
        "expected a list of an outline's points, got a file cut off or dam",
    ),
    "empty": ("", "expected a list of an outline's points, got a file cut off or damaged"),
}


@pytest.mark.parametrize("what", BAD_POINTS)
def test_bad_points_are_refused(tmp_path, what):
    text, message = BAD_POINTS[what]
    save_text(tmp_path / "a.json", text)
    with pytest.raises(DataError, match=re.escape(f"{tmp_path / 'a.json'}: {message}")):
        PointLists().read(tmp_path / "a.json", SIZE)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(
        DataError, match=r"a.json: expected a list of an outline's points, found no"
    ):
        PointLists().read(tmp_path / "a.json", SIZE)


def test_a_list_of_points_holds_one_part(tmp_path):
    PointLists().write(tmp_path / "a.json", FILLED[None])
    points = json.loads((tmp_path / "a.json").read_text())
    assert sorted(points) == sorted(TRIANGLE)
    for plane, count in ((FILLED | IN_CORNER, 2), (FILLED & False, 0)):
        with pytest.raises(ValueError, match=f"a.json: expected one part, got {count}"):
            PointLists().write(tmp_path / "a.json", plane[None])


# ---- LabelMe


def shape(label: str = "Liver", points: object = TRIANGLE, **more: Any) -> dict[str, Any]:
    """A shape as LabelMe 5 saves it."""
    stated = {"label": label, "points": points, "group_id": None, "shape_type": "polygon"}
    return {**stated, "description": "", "flags": {}, "mask": None, **more}


def annotations(*shapes: object, **more: Any) -> dict[str, Any]:
    """A file as LabelMe 5 saves it."""
    stated = {"version": "5.5.0", "flags": {}, "shapes": list(shapes), "imagePath": "a.jpg"}
    return {**stated, "imageData": None, "imageHeight": SIZE[0], "imageWidth": SIZE[1], **more}


def test_labels_by_hand(tmp_path):
    path = save_json(tmp_path / "a.json", annotations(shape("tumor", CORNER), shape("Liver")))
    encoding = make_outline_encoding({"labelme": LABELS})
    assert encoding.names == ("liver", "mass")
    assert np.array_equal(encoding.read(path, SIZE), [FILLED, IN_CORNER])


def test_polygons_of_one_label_are_united(tmp_path):
    path = save_json(
        tmp_path / "a.json", annotations(shape(), shape(points=CORNER), shape(points=TRIANGLE))
    )
    liver, mass = LabelMe(LABELS).read(path, SIZE)
    assert np.array_equal(liver, FILLED | IN_CORNER) and not mass.any()


def test_older_files_state_neither_size_nor_kind(tmp_path):
    old = {"shapes": [{"label": "Liver", "points": TRIANGLE, "fill_color": None}]}
    path = save_json(tmp_path / "a.json", old)
    assert np.array_equal(LabelMe(LABELS).read(path, SIZE)[0], FILLED)


def test_no_shape_is_no_class(tmp_path):
    path = save_json(tmp_path / "a.json", annotations())
    assert not LabelMe(LABELS).read(path, SIZE).any()


BAD_ANNOTATIONS = {
    "a list": ([TRIANGLE], "a.json: expected a JSON object, got [["),
    "another size": (
        annotations(shape(), imageHeight=7, imageWidth=5),
        "a.json: expected the image's size (5, 7), got (7, 5); correct the file",
    ),
    "no shapes": ({"version": "5.5.0"}, "a.json: expected a list of shapes, got None"),
    "shapes by name": (
        {**annotations(), "shapes": {"Liver": TRIANGLE}},
        "a.json: expected a list of shapes, got {'Liver'",
    ),
    "a shape of points alone": (
        annotations(shape(), TRIANGLE),
        "a.json: shape 1: expected a JSON object, got [[",
    ),
    "another label": (
        annotations(shape("liver")),
        "a.json: shape 0: expected a label of Liver, tumor, got 'liver'; correct the file",
    ),
    "no label": (
        annotations(shape(label=None)),
        "shape 0: expected a label of Liver, tumor, got None",
    ),
    "a rectangle": (
        annotations(shape(shape_type="rectangle", points=[[1, 1], [5, 3]])),
        "a.json: shape 0: expected a polygon, got 'rectangle'; redraw it as one",
    ),
    "two points": (
        annotations(shape(), shape(points=TRIANGLE[:2])),
        "a.json: shape 1: expected 3 points or more, got 2; redraw it",
    ),
    "no points": (annotations(shape(points=None)), "expected points as [x, y] in px, got None"),
}


@pytest.mark.parametrize("what", BAD_ANNOTATIONS)
def test_bad_annotations_are_refused(tmp_path, what):
    content, message = BAD_ANNOTATIONS[what]
    path = save_json(tmp_path / "a.json", content)
    with pytest.raises(DataError, match=re.escape(message)):
        LabelMe(LABELS).read(path, SIZE)


@pytest.mark.parametrize("text", ["", '{"shapes": [', "\x00", "[" * 100_000])
def test_damaged_annotations_are_refused(tmp_path, text):
    save_text(tmp_path / "a.json", text)
    with pytest.raises(
        DataError, match=r"a.json: expected LabelMe's annotations, got a file cut off"
    ):
        LabelMe(LABELS).read(tmp_path / "a.json", SIZE)


def test_what_is_written_is_labelme_s(tmp_path):
    LabelMe(LABELS).write(tmp_path / "0007.json", np.stack([FILLED, IN_CORNER]))
    content = json.loads((tmp_path / "0007.json").read_text())
    assert content["imagePath"] == "0007.jpg"
    assert (content["imageHeight"], content["imageWidth"]) == SIZE
    assert [(one["label"], one["shape_type"]) for one in content["shapes"]] == [
        ("Liver", "polygon"),
        ("tumor", "polygon"),
    ]
    assert sorted(content["shapes"][0]["points"]) == sorted(TRIANGLE)


rectangles = st.tuples(st.integers(0, 8), st.integers(0, 10), st.integers(1, 9), st.integers(1, 9))


@given(st.lists(st.lists(rectangles, max_size=3), min_size=2, max_size=2))
def test_planes_are_read_as_written(scratch, parts):
    planes = np.zeros((2, 14, 18), bool)
    for plane, areas in zip(planes, parts, strict=True):
        for y, x, height, width in areas:
            plane[y : y + height, x : x + width] = True
    encoding = LabelMe(LABELS)
    encoding.write(scratch / "a.json", planes)
    assert np.array_equal(encoding.read(scratch / "a.json", planes.shape[1:]), fill_holes(planes))


def fill_holes(planes: np.ndarray) -> np.ndarray:
    """What outlines alone can say: a hole belongs to what is around it."""
    return np.stack([ndimage.binary_fill_holes(plane) for plane in planes])


# ---- settings


@pytest.mark.parametrize(
    ("node", "kind"), [("points", PointLists), ({"labelme": {"liver": "Liver"}}, LabelMe)]
)
def test_good_settings(node, kind):
    assert isinstance(make_outline_encoding(node), kind)


@pytest.mark.parametrize(
    "node",
    [
        None,
        "labelme",
        "polygons",
        {},
        {"points": True},
        {"labelme": {}},
        {"labelme": ["liver"]},
        {"labelme": {"liver": "Liver"}, "threshold": 3},
        {"values": {"liver": 1}},
    ],
    ids=str,
)
def test_bad_settings_are_refused(node):
    with pytest.raises(
        ConfigError, match=r"^encoding=.*: expected points, or {labelme: {class: lab"
    ):
        make_outline_encoding(node)
