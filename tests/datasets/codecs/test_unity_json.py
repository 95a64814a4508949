"""Unity label JSON: files by hand, what is unknown, bad ones; predictions in the same form; the
pixels' sizes.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.paths import ROOT
from usbench.datasets.codecs import pixel_sizes, unity_labels
from usbench.datasets.codecs.unity_predictions import LandmarkWriter, read_landmark_predictions
from usbench.errors import DataError, RunError
from usbench.types import BLURRED, OFF, SEEN, Landmarks

TARGETS = """{
"a.png": {"labels": {
  "apex": {"type": "point", "y": "200.0", "x": "100.5"},
  "wall": {"type": "curve", "y": "310.2 250.0 190", "x": "190.4 201.0 210.25"},
  "ring": {"type": "blurred", "y": "", "x": ""},
  "leaf": {"type": "off", "y": "", "x": ""}}},
"b.png": {"labels": {
  "apex": {"type": "off", "y": "1", "x": "2"},
  "ring": {"type": "blurred", "y": "1", "x": "2"}}}
}
"""
NAMES = ("apex", "leaf", "ring", "wall")


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("unity")


def laid(folder: Path, text: str) -> Path:
    (folder / "labels.json").write_text(text)
    return folder / "labels.json"


def changed(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


def lists(marks: Landmarks) -> list[list[list[float]]]:
    return [path.tolist() for path in marks.paths]


def only(
    folder: Path, entry: Any, two: unity_labels.Two = "unknown"
) -> tuple[int, list[list[float]], dict[str, int]]:
    """(state, path, oddities) of a file with one label."""
    file = unity_labels.read_unity_labels(
        laid(folder, json.dumps({"a.png": {"labels": {"apex": entry}}})), two
    )
    marks = file.landmarks("a.png", ["apex"])
    assert marks.paths[0].dtype == np.float32 and marks.paths[0].shape[1] == 2
    return int(marks.state[0]), marks.paths[0].tolist(), dict(file.oddities)


# ---- truths


def test_a_file_by_hand(tmp_path: Path) -> None:
    file = unity_labels.read_unity_labels(laid(tmp_path, TARGETS))
    marks = file.landmarks("a.png", NAMES)
    assert (
        marks.state.tolist() == [SEEN, OFF, BLURRED, SEEN]
        and marks.state.dtype == np.int8
        and marks.scores is None
    )
    wall = np.array([[190.4, 310.2], [201, 250], [210.25, 190]], np.float32).tolist()  # x before y
    assert lists(marks) == [[[100.5, 200]], [], [], wall]
    assert list(file.images) == ["a.png", "b.png"] and not file.oddities


def test_a_name_that_is_missing_is_unknown_and_off_is_not(tmp_path: Path) -> None:
    marks = unity_labels.read_unity_labels(laid(tmp_path, TARGETS)).landmarks("b.png", NAMES)
    assert marks.state.tolist() == [OFF, BLURRED, BLURRED, BLURRED] and lists(marks) == [
        [],
        [],
        [],
        [],
    ]


def test_names_are_those_that_are_somewhere_a_point_or_a_curve(tmp_path: Path) -> None:
    file = unity_labels.read_unity_labels(laid(tmp_path, TARGETS))
    assert file.seen == {"apex", "wall"} and file.named == {"apex", "wall", "ring", "leaf"}
    broken = {"type": "point", "x": "", "y": ""}
    assert unity_labels.read_unity_labels(
        laid(tmp_path, json.dumps({"a": {"labels": {"tip": broken}}}))
    ).seen == {"tip"}


def point(x: Any, y: Any, kind: Any = "point") -> dict[str, Any]:
    return {"type": kind, "x": x, "y": y}


@pytest.mark.parametrize(
    ("entry", "state", "path", "odd"),
    [
        (point("1.5", "2"), SEEN, [[1.5, 2]], None),
        (point(" 1.5\n", "\t2e0 "), SEEN, [[1.5, 2]], None),
        (point(1.5, 2), SEEN, [[1.5, 2]], None),  # numbers, which Unity's own code takes too
        (point("-3.5", "+.5"), SEEN, [[-3.5, 0.5]], None),  # a little outside: kept
        (point("1 2 3", "4 5 6", "curve"), SEEN, [[1, 4], [2, 5], [3, 6]], None),
        # the number of values rules, whatever the type says
        (point("1", "2", "curve"), SEEN, [[1, 2]], "curve with one value"),
        (
            point("1 2 3", "4 5 6", "point"),
            SEEN,
            [[1, 4], [2, 5], [3, 6]],
            "point with several values",
        ),
        (point("1 2", "3 4", "curve"), BLURRED, [], "two values"),
        (point("1 2", "3 4", "point"), BLURRED, [], "two values"),
        # unknown, masked and counted
        (point("", ""), BLURRED, [], "malformed"),
        (point("", "", "curve"), BLURRED, [], "malformed"),
        (point("1", ""), BLURRED, [], "malformed"),
        (point("1 2 3", "1 2 3 4", "curve"), BLURRED, [], "malformed"),
        (point("1,5", "2"), BLURRED, [], "malformed"),
        (point("1_0", "2"), BLURRED, [], "malformed"),
        (point("x", "2"), BLURRED, [], "malformed"),
        (point("nan", "2"), BLURRED, [], "malformed"),
        (point("inf", "2"), BLURRED, [], "malformed"),
        (point("1 -Infinity 3", "1 2 3", "curve"), BLURRED, [], "malformed"),
        (point(float("nan"), 1), BLURRED, [], "malformed"),
        (point(None, "2"), BLURRED, [], "malformed"),
        (point(True, "2"), BLURRED, [], "malformed"),
        (point(["1"], "2"), BLURRED, [], "malformed"),
        ({"type": "point", "x": "1"}, BLURRED, [], "malformed"),
        ({"type": "", "x": "1", "y": "1"}, BLURRED, [], "without a type"),
        ({"type": None}, BLURRED, [], "without a type"),
        ({}, BLURRED, [], "without a type"),
        # a spline through identical points is none; one knot written twice is left out
        (point("5 5 5", "7 7 7", "curve"), BLURRED, [], "malformed"),
        (point("5 5 6", "7 7 8", "curve"), BLURRED, [], "malformed"),
        (point("1 2 2 3", "1 2 2 3", "curve"), SEEN, [[1, 1], [2, 2], [3, 3]], "knots repeated"),
        (
            point("1 2 1", "1 2 1", "curve"),
            SEEN,
            [[1, 1], [2, 2], [1, 1]],
            None,
        ),  # closed: not one after the other
    ],
)
def test_what_a_label_is_taken_for(
    tmp_path: Path, entry: dict[str, Any], state: int, path: list[list[float]], odd: str | None
) -> None:
    assert only(tmp_path, entry) == (state, path, {odd: 1} if odd else {})


def test_two_values_may_be_a_line_with_its_middle_as_third_knot(tmp_path: Path) -> None:
    assert only(tmp_path, point("1 4", "2 8", "curve"), two="curve") == (
        SEEN,
        [[1, 2], [2.5, 5], [4, 8]],
        {},
    )
    assert only(tmp_path, point("1 1", "2 2", "curve"), two="curve") == (
        BLURRED,
        [],
        {"malformed": 1},
    )


def test_oddities_are_counted_over_the_file(tmp_path: Path) -> None:
    labels = {
        "p": point("", ""),
        "q": point("x", "1"),
        "r": point("1 2", "1 2"),
        "s": point("1", "1"),
    }
    file = unity_labels.read_unity_labels(
        laid(tmp_path, json.dumps({"a": {"labels": labels}, "b": {"labels": labels}}))
    )
    assert file.oddities == {"malformed": 4, "two values": 2}


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (
            '"type": "off", "y": "", "x": ""',
            '"type": "hidden"',
            "a.png: leaf: expected a type of point, curve, off, blurred",
        ),
        ('"type": "off", "y": "", "x": ""', '"type": ["off"]', "a.png: leaf: expected a type"),
        (
            '{"type": "off", "y": "", "x": ""}',
            "7",
            "a.png: leaf: expected a label with type, x and y, got 7",
        ),
        ('{"type": "off", "y": "", "x": ""}', "null", "a.png: leaf: expected a label"),
        ('"100.5"', '"100001"', "a.png: apex: expected places in pixels, got '100001'"),
        ('"100.5"', '"-1e999"', "a.png: apex: expected places in pixels, got 'inf'"),
        ('"b.png"', '"a.png"', "expected every image and name once, got 'a.png twice'"),
        ('"ring": {"type": "blurred", "y": "", "x": ""}', '"apex": {}', "got 'apex twice'"),
        ('"b.png": {"labels"', '"b.png": {"label"', "b.png: expected a record with labels"),
        ('"a.png"', '"a\\u2028\\n": 7, "a.png"', ": a : expected a record with labels"),
        ('"b.png": {', '"c.png": [], "b.png": {', "c.png: expected a record with labels, got []"),
        (
            '"b.png": {',
            '"c.png": {"labels": []}, "b.png": {',
            "c.png: expected a record with labels",
        ),
        ('"x": "2"}}}\n}', '"x": "2"}}}', "cut off"),
        ('{\n"a.png"', '"a.png"', "cut off or damaged"),
    ],
)
def test_bad_files(tmp_path: Path, old: str, new: str, reason: str) -> None:
    path = laid(tmp_path, changed(TARGETS, old, new))
    with pytest.raises(DataError) as caught:
        unity_labels.read_unity_labels(path)
    assert (
        str(caught.value).startswith(f"{path}: ")
        and reason in str(caught.value)
        and "\n" not in str(caught.value)
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "found no such file"),
        (b"", "cut off"),
        (b"[]", "other JSON"),
        (b"7", "other JSON"),
        (b"[" * 200_000, "cut off or damaged"),
        (b"\xff\xfe\x00", "not UTF-8 text"),
        (
            b'{"a": {"labels": {"p": {"type": "point", "x": ' + b"1" * 5000 + b', "y": 1}}}}',
            "cut off or damaged",
        ),
    ],
)
def test_what_is_no_label_file(tmp_path: Path, data: bytes | None, reason: str) -> None:
    path = tmp_path / "labels.json"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        unity_labels.read_unity_labels(path)
    assert (
        str(caught.value).startswith(f"{path}: ")
        and reason in str(caught.value)
        and "\n" not in str(caught.value)
    )


def test_a_byte_order_mark_is_no_matter(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_bytes(TARGETS.encode("utf-8-sig"))
    assert len(unity_labels.read_unity_labels(tmp_path / "labels.json").images) == 2


def make_target(paths: list[list[list[float]]], state: list[int]) -> Landmarks:
    return Landmarks(
        tuple(np.array(path, np.float32).reshape(-1, 2) for path in paths), np.array(state, np.int8)
    )


WRITTEN = """{
"a.png": {"labels": {"apex": {"type": "point", "y": "2.0", "x": "100.1"}, \
"wall": {"type": "off", "y": "", "x": ""}}},
"b.png": {"labels": {"apex": {"type": "blurred", "y": "", "x": ""}, \
"wall": {"type": "curve", "y": "4.0 5.0 6.0", "x": "1.0 -2.5 3.0"}}}
}
"""


def test_written_targets_by_hand(tmp_path: Path) -> None:
    images = {
        "a.png": make_target([[[100.1, 2]], []], [SEEN, OFF]),
        "b.png": make_target([[], [[1, 4], [-2.5, 5], [3, 6]]], [BLURRED, SEEN]),
    }
    unity_labels.write_unity_labels(tmp_path / "labels.json", images, ["apex", "wall"])
    assert (tmp_path / "labels.json").read_text() == WRITTEN


@pytest.mark.parametrize(
    "path",
    [
        [],
        [[1, 1], [2, 2]],
        [[1, 1], [1, 1], [2, 2], [3, 3]],
        [[5, 5], [5, 5], [5, 5]],
        [[np.nan, 1]],
        [[2e5, 1]],
    ],
)
def test_what_cannot_be_read_again_is_not_written(tmp_path: Path, path: list[list[float]]) -> None:
    with pytest.raises(DataError, match="apex: expected"):
        unity_labels.write_unity_labels(
            tmp_path / "labels.json", {"a.png": make_target([path], [SEEN])}, ["apex"]
        )
    assert not list(tmp_path.iterdir())


COORDINATE = st.floats(-1e5, 1e5, width=32)
PLACE = st.tuples(COORDINATE, COORDINATE)
CURVE = st.lists(PLACE, min_size=3, max_size=6, unique=True)
MARK = st.one_of(
    st.tuples(st.just(SEEN), st.lists(PLACE, min_size=1, max_size=1)),
    st.tuples(st.just(SEEN), CURVE),
    st.tuples(st.sampled_from([OFF, BLURRED]), st.just([])),
)


@settings(max_examples=80)
@given(st.lists(st.tuples(MARK, MARK), max_size=3))
def test_targets_written_then_read_are_identical(scratch: Path, drawn: list[Any]) -> None:
    images = {
        f"{n}.png": make_target([path for _, path in marks], [state for state, _ in marks])
        for n, marks in enumerate(drawn)
    }
    unity_labels.write_unity_labels(scratch / "labels.json", images, ["apex", "wall"])
    file = unity_labels.read_unity_labels(scratch / "labels.json")
    assert list(file.images) == list(images) and not file.oddities
    for name, expected in images.items():
        actual = file.landmarks(name, ["apex", "wall"])
        assert actual.state.tolist() == expected.state.tolist() and lists(actual) == lists(expected)


@settings(max_examples=150)
@given(st.binary(max_size=30), st.integers(0, 420), st.integers(0, 30))
def test_any_bytes_give_labels_or_our_error(scratch: Path, data: bytes, at: int, drop: int) -> None:
    text = TARGETS.encode()
    (scratch / "labels.json").write_bytes(text[:at] + data + text[at + drop :])
    try:
        file = unity_labels.read_unity_labels(scratch / "labels.json")
        marks = [file.landmarks(name, NAMES) for name in file.images]
    except DataError as error:
        assert "\n" not in str(error)
    else:
        assert all(
            len(path) not in (0, 2)
            for target in marks
            for path, s in zip(target.paths, target.state, strict=True)
            if s == SEEN
        )


VALUE = st.one_of(
    st.text(alphabet="0123456789 .-+eE,naif", max_size=12), st.floats(), st.integers(), st.none()
)


@settings(max_examples=300)
@given(VALUE, VALUE, st.sampled_from(["point", "curve", "off", "blurred", "", None]))
def test_any_values_give_a_label_or_our_error(
    scratch: Path, x: Any, y: Any, kind: str | None
) -> None:
    try:
        state, path, _ = only(scratch, {"type": kind, "x": x, "y": y})
    except DataError as error:
        assert "100,000" not in str(error) and "expected places in pixels" in str(error)
    else:
        assert (state == SEEN) == bool(path) and np.isfinite(np.array(path)).all()


# ---- predictions

IMAGES = """[
{"id":1,"file_name":"test/a","group":"v1","height":480,"width":640},
{"id":2,"file_name":"test/b","group":"v2","height":10,"width":20}
]
"""
PREDICTIONS = """{
"test/a":{"labels":{"apex":{"type":"point","x":"1.5","y":"2","score":0.5,"state":"seen"},\
"wall":{"type":"curve","x":"1 2.25 3","y":"4 5 6","score":0.100000001,"state":"off"}}},
"test/b":{"labels":{"apex":{"type":"point","x":"0","y":"-0.25","score":0.0,"state":"blurred"},\
"wall":{"type":"off","x":"","y":"","score":1.0,"state":"off"}}}
}
"""
EXPECTED = [
    Landmarks(
        (np.array([[1.5, 2]], np.float32), np.array([[1, 4], [2.25, 5], [3, 6]], np.float32)),
        np.array([SEEN, OFF], np.int8),
        np.array([0.5, 0.1], np.float32),
    ),
    Landmarks(
        (np.array([[-0.0, -0.25]], np.float32), np.zeros((0, 2), np.float32)),
        np.array([BLURRED, OFF], np.int8),
        np.array([0, 1], np.float32),
    ),
]
PAIR = ("apex", "wall")


def pair(folder: Path, predictions: str = PREDICTIONS, images: str = IMAGES) -> tuple[Path, Path]:
    (folder / "predictions-test.json").write_text(predictions)
    (folder / "images-test.json").write_text(images)
    return folder / "predictions-test.json", folder / "images-test.json"


def scored(points: Any, state: int = SEEN, score: float = 0.5) -> Landmarks:
    path = np.array(points, np.float32).reshape(-1, 2)
    return Landmarks((path,), np.array([state], np.int8), np.array([score], np.float32))


def test_predictions_by_hand(tmp_path: Path) -> None:
    paths = pair(tmp_path)
    file = read_landmark_predictions(*paths, PAIR)
    assert file.path == paths[0] and len(file) == 2
    assert [image["file_name"] for image in file.images] == ["test/a", "test/b"] and file.images[0][
        "height"
    ] == 480
    for expected, actual in zip(EXPECTED, file, strict=True):
        assert lists(actual) == lists(expected) and actual.state.tolist() == expected.state.tolist()
        assert actual.scores is not None and expected.scores is not None
        assert (
            actual.scores.tolist() == expected.scores.tolist() and actual.scores.dtype == np.float32
        )
        assert (
            all(path.dtype == np.float32 for path in actual.paths) and actual.state.dtype == np.int8
        )
    assert file[1] is file.predictions[1]


def test_written_predictions_by_hand(tmp_path: Path) -> None:
    predictions, images = tmp_path / "predictions-test.json", tmp_path / "images-test.json"
    with LandmarkWriter(predictions, images, PAIR) as writer:
        writer.add("test/a", "v1", (480, 640), EXPECTED[0])
        writer.add("test/b", "v2", (10, 20), EXPECTED[1])
    assert predictions.read_text() == PREDICTIONS and images.read_text() == IMAGES
    assert len(list(tmp_path.iterdir())) == 2


def test_a_place_survives_whatever_the_state_and_two_of_them_too(tmp_path: Path) -> None:
    paths = tmp_path / "p.json", tmp_path / "i.json"
    with LandmarkWriter(*paths, ["apex"]) as writer:
        for n, state in enumerate((SEEN, OFF, BLURRED)):
            writer.add(str(n), "g", (9, 9), scored([[1, 2], [1, 2]], state))
    file = read_landmark_predictions(*paths, ["apex"])
    assert [lists(actual) for actual in file] == [[[[1, 2], [1, 2]]]] * 3
    assert [int(actual.state[0]) for actual in file] == [SEEN, OFF, BLURRED]


def test_nothing_predicted(tmp_path: Path) -> None:
    predictions, images = tmp_path / "p.json", tmp_path / "i.json"
    with LandmarkWriter(predictions, images, PAIR):
        pass
    assert predictions.read_text() == "{\n}\n" and images.read_text() == "[\n]\n"
    assert len(read_landmark_predictions(predictions, images, PAIR)) == 0


def test_a_target_as_prediction_has_score_one(tmp_path: Path) -> None:
    paths = tmp_path / "p.json", tmp_path / "i.json"
    with LandmarkWriter(*paths, ["apex"]) as writer:
        writer.add("a", "g", (9, 9), make_target([[[1, 2]]], [SEEN]))
    assert read_landmark_predictions(*paths, ["apex"])[0].scores.tolist() == [1]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"test/a":', '"test/c":', "expected the images of images-test.json in their order"),
        (
            '"score":0.5',
            '"score":1.5',
            "test/a: apex: expected a state of seen, off, blurred and a score of 0..1",
        ),
        ('"score":0.5', '"score":NaN', "score of 0..1"),
        ('"score":0.5', '"score":true', "score of 0..1"),
        ('"score":0.5', '"score":"0.5"', "score of 0..1"),
        ('"score":0.5,', "", "score of 0..1"),
        (',"state":"seen"', "", "expected a state of seen, off, blurred"),
        ('"state":"seen"', '"state":["seen"]', "expected a state"),
        ('"state":"seen"', '"state":"here"', "expected a state"),
        ('"x":"1.5"', '"x":"nan"', "test/a: apex: expected a point or a curve and its places"),
        ('"x":"1.5"', '"x":"1.5 2"', "expected a point or a curve"),
        ('"x":"1.5"', '"x":"2e5"', "expected a point or a curve"),
        ('"x":"1.5","y":"2"', '"x":"","y":""', "expected a point or a curve"),
        (
            '"x":"1.5","y":"2"',
            '"x":"1 2","y":"1 2"',
            "expected a point or a curve",
        ),  # of type point
        ('"type":"off"', '"type":"blurred"', "test/b: wall: expected a point or a curve"),
        (
            '{"type":"off","x":"","y":"","score":1.0,"state":"off"}',
            '{"type":"seen","x":"","y":"","score":1.0,"state":"seen"}',
            "wall: expected a point",
        ),
        ('"wall"', '"roof"', "test/a: expected labels of apex, wall"),
        ('"type":"curve"', '"type":"curve","type":"curve"', "got 'type twice'"),
        ('"test/b"', '"test/a"', "got 'test/a twice'"),
        ("}\n", "\n", "cut off"),
        ("{\n", "7{\n", "cut off or damaged"),
    ],
)
def test_bad_predictions(tmp_path: Path, old: str, new: str, reason: str) -> None:
    predictions, images = pair(tmp_path, changed(PREDICTIONS, old, new))
    with pytest.raises(DataError) as caught:
        read_landmark_predictions(predictions, images, PAIR)
    assert str(caught.value).startswith(f"{predictions}: ") and reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_images_in_another_order_or_number_are_refused(tmp_path: Path) -> None:
    first, second = PREDICTIONS.splitlines()[1].rstrip(","), PREDICTIONS.splitlines()[2]
    for lines in (f"{second},\n{first}", first):
        predictions, images = pair(tmp_path, f"{{\n{lines}\n}}\n")
        with pytest.raises(DataError, match="in their order"):
            read_landmark_predictions(predictions, images, PAIR)


def test_missing_half_of_a_pair(tmp_path: Path) -> None:
    predictions, images = pair(tmp_path)
    images.unlink()
    with pytest.raises(
        DataError,
        match=r"images-test\.json: expected the list of predicted images, found no such file",
    ):
        read_landmark_predictions(predictions, images, PAIR)
    predictions, images = pair(tmp_path)
    predictions.unlink()
    with pytest.raises(DataError, match=r"predictions-test\.json: .* found no such file"):
        read_landmark_predictions(predictions, images, PAIR)


@pytest.mark.parametrize(
    ("prediction", "reason"),
    [
        (scored([[np.nan, 1]]), "apex: expected finite places"),
        (scored([[np.inf, 1]], OFF), "finite places"),
        (scored([[1, 1], [2, 2], [-2e5, 3]]), "finite places"),
        (scored([[1, 1]], score=np.nan), "scores in 0..1"),
        (scored([[1, 1]], score=1.5), "scores in 0..1"),
        (scored([[1, 1]], score=-0.1), "scores in 0..1"),
    ],
)
def test_a_diverged_model_is_one_line_and_leaves_nothing(
    tmp_path: Path, prediction: Landmarks, reason: str
) -> None:
    with (
        pytest.raises(RunError) as caught,
        LandmarkWriter(tmp_path / "p.json", tmp_path / "i.json", ["apex"]) as writer,
    ):
        writer.add("a", "g", (10, 20), prediction)
    assert (
        reason in str(caught.value)
        and "\n" not in str(caught.value)
        and not list(tmp_path.iterdir())
    )


def test_what_is_seen_is_somewhere_and_has_a_name(tmp_path: Path) -> None:
    for prediction, names in ((scored([]), ["apex"]), (scored([[1, 1]]), ["apex", "wall"])):
        with (
            pytest.raises(ValueError),
            LandmarkWriter(tmp_path / "p.json", tmp_path / "i.json", names) as writer,
        ):
            writer.add("a", "g", (10, 20), prediction)
    assert not list(tmp_path.iterdir())


def test_a_second_image_of_one_name_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match="got a twice"),
        LandmarkWriter(tmp_path / "p", tmp_path / "i", ["q"]) as writer,
    ):
        writer.add("a", "g", (10, 20), scored([[1, 1]]))
        writer.add("a", "g", (10, 20), scored([[1, 1]]))


def test_an_exception_keeps_the_old_pair(tmp_path: Path) -> None:
    predictions, images = pair(tmp_path)
    with pytest.raises(KeyError), LandmarkWriter(predictions, images, ["q"]) as writer:
        writer.add("new", "g", (10, 20), scored([[1, 1]]))
        raise KeyError
    assert predictions.read_text() == PREDICTIONS and images.read_text() == IMAGES
    assert len(list(tmp_path.iterdir())) == 2


KILLED = """
import os, sys
from pathlib import Path
from usbench.datasets.codecs.unity_predictions import LandmarkWriter
predictions, images = Path(sys.argv[1]), Path(sys.argv[2])
replace = Path.replace
def kill_after(self, target):
    replace(self, target)
    os.kill(os.getpid(), 9)
Path.replace = kill_after
with LandmarkWriter(predictions, images, []):
    pass
assert "torch" not in sys.modules
"""


@pytest.mark.process
def test_a_kill_between_the_two_files_is_noticed(tmp_path: Path) -> None:
    predictions, images = pair(tmp_path)
    root = str(ROOT)
    command = [sys.executable, "-c", KILLED, str(predictions), str(images)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": root}, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL and json.loads(predictions.read_text()) == {}
    with pytest.raises(DataError, match="found no such file; predict again"):
        read_landmark_predictions(predictions, images, PAIR)


UNIT = st.floats(0, 1, width=32)
GUESS = st.tuples(
    st.sampled_from([SEEN, OFF, BLURRED]), st.lists(PLACE, min_size=1, max_size=5), UNIT
)


@settings(max_examples=80)
@given(st.lists(st.tuples(GUESS, GUESS), max_size=3))
def test_predictions_written_then_read_are_identical(scratch: Path, drawn: list[Any]) -> None:
    predictions = []
    for marks in drawn:
        paths = tuple(np.array(path, np.float32) for _, path, _ in marks)
        state, score = (
            np.array([m[0] for m in marks], np.int8),
            np.array([m[2] for m in marks], np.float32),
        )
        predictions.append(Landmarks(paths, state, score))
    paths = scratch / "p.json", scratch / "i.json"
    with LandmarkWriter(*paths, PAIR) as writer:
        for n, prediction in enumerate(predictions):
            writer.add(str(n), "g", (690, 690), prediction)
    for expected, actual in zip(predictions, read_landmark_predictions(*paths, PAIR), strict=True):
        assert lists(actual) == lists(expected) and actual.state.tolist() == expected.state.tolist()
        assert actual.scores.tolist() == expected.scores.tolist()  # type: ignore[union-attr]


@settings(max_examples=150)
@given(st.binary(max_size=30), st.integers(0, 420), st.integers(0, 30), st.booleans())
def test_any_bytes_give_predictions_or_our_error(
    scratch: Path, data: bytes, at: int, drop: int, first: bool
) -> None:
    texts = [PREDICTIONS.encode(), IMAGES.encode()]
    texts[not first] = texts[not first][:at] + data + texts[not first][at + drop :]
    (scratch / "p.json").write_bytes(texts[0])
    (scratch / "i.json").write_bytes(texts[1])
    try:
        actual = list(read_landmark_predictions(scratch / "p.json", scratch / "i.json", PAIR))
    except DataError as error:
        assert "\n" not in str(error)
    else:
        assert all(np.isfinite(path).all() for prediction in actual for path in prediction.paths)


# ---- the table of pixel sizes

TABLE = """FileHash,Manufacturer,PhysicalDeltaY,PhysicalDeltaX
01-aa,"Maker, Inc.",0.03,0.025
01-bb,M,,
01-cc,M,nan,0.02
01-dd,M,0.02,0
01-ee,M,1,1
01-ff,M,-0.02,0.02
01-aa,again,0.03,0.025
"""


def test_pixel_sizes_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "sizes.csv"
    path.write_text(TABLE)
    actual = pixel_sizes.read_spacings(path)
    assert actual["01-aa"] == pytest.approx((0.3, 0.25))  # cm → mm; row = Y, column = X
    assert [actual[f"01-{code}"] for code in ("bb", "cc", "dd", "ee", "ff")] == [None] * 5 and len(
        actual
    ) == 6


def test_a_spreadsheet_s_way_of_saving_it(tmp_path: Path) -> None:
    text = (
        TABLE.replace('"Maker, Inc."', "Maker")
        .replace(",", ";")
        .replace("0.", "0,")
        .replace("\n", "\r\n")
    )
    (tmp_path / "sizes.csv").write_bytes(text.encode("utf-8-sig"))
    assert pixel_sizes.read_spacings(tmp_path / "sizes.csv")["01-aa"] == pytest.approx((0.3, 0.25))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "found no FileHash"),
        (b"FileHash,PhysicalDeltaX\naa,1\n", "found no PhysicalDeltaY"),
        (
            b"FileHash,PhysicalDeltaX,PhysicalDeltaY\naa,.1,.1\naa,.2,.1\n",
            "line 3: expected one size of 'aa'",
        ),
        (b"\xff\xfe\x00", "can't be read"),
        (b"FileHash,PhysicalDeltaX,PhysicalDeltaY\n" + b"a" * 200_000, "damaged CSV"),
        (None, "no such file"),
    ],
)
def test_bad_tables(tmp_path: Path, data: bytes | None, reason: str) -> None:
    path = tmp_path / "sizes.csv"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        pixel_sizes.read_spacings(path)
    assert (
        str(caught.value).startswith(f"{path}: ")
        and reason in str(caught.value)
        and "\n" not in str(caught.value)
    )


def test_written_sizes_by_hand(tmp_path: Path) -> None:
    pixel_sizes.write_spacings(tmp_path / "sizes.csv", {"01-aa": (0.25, 0.5)})
    assert (
        tmp_path / "sizes.csv"
    ).read_text() == "FileHash,PhysicalDeltaX,PhysicalDeltaY\n01-aa,0.05,0.025\n"


@settings(max_examples=150)
@given(st.binary(max_size=30), st.integers(0, 200), st.integers(0, 30))
def test_any_bytes_give_sizes_or_our_error(scratch: Path, data: bytes, at: int, drop: int) -> None:
    text = TABLE.encode()
    (scratch / "sizes.csv").write_bytes(text[:at] + data + text[at + drop :])
    try:
        actual = pixel_sizes.read_spacings(scratch / "sizes.csv")
    except DataError as error:
        assert "\n" not in str(error)
    else:
        assert all(
            size is None or (0 < size[0] < 10 and 0 < size[1] < 10) for size in actual.values()
        )
