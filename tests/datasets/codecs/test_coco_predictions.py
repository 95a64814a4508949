"""Predictions in COCO's form: files by hand, bad ones, streaming, and parity with pycocotools."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.helpers.paths import ROOT
from usbench.datasets.codecs import rle
from usbench.datasets.codecs.coco import PredictionWriter, read_predictions
from usbench.errors import DataError, RunError
from usbench.types import Boxes, Masks

IMAGES = """[
{"id":1,"file_name":"a","group":"pig 1","height":2,"width":3},
{"id":2,"file_name":"b","group":"pig 2","height":10,"width":20}
]
"""
DETECTIONS = """[
{"image_id":2,"category_id":2,"bbox":[1.5,2,3.25,4],"score":0.5},
{"image_id":2,"category_id":1,"bbox":[0,0,20,10],"score":0.100000001}
]
"""
# image 1: [[0, 1, 1], [0, 0, 1]]: columns 00, 10, 11 = runs 2 1 1 2 = 2, 1, 1, then 2 - 1 = 1
SEGMENTS = """[
{"image_id":1,"category_id":2,"segmentation":{"size":[2,3],"counts":"2111"},"score":0.75}
]
"""
BOXES = Boxes(
    np.array([[1.5, 2, 4.75, 6], [0, 0, 20, 10]], np.float32),
    np.array([1, 0]),
    np.array([0.5, 0.1], np.float32),
)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("coco")


def pair(folder: Path, predictions: str, images: str = IMAGES) -> tuple[Path, Path]:
    (folder / "predictions-test.json").write_text(predictions)
    (folder / "images-test.json").write_text(images)
    return folder / "predictions-test.json", folder / "images-test.json"


def test_detections_by_hand(tmp_path: Path) -> None:
    file = read_predictions(*pair(tmp_path, DETECTIONS), "detect", classes=2)
    assert len(file) == 2 and [image["file_name"] for image in file.images] == ["a", "b"]
    first, second = file
    assert isinstance(first, Boxes) and isinstance(second, Boxes)
    assert first.xyxy.shape == (0, 4) and first.scores is not None
    assert second.xyxy.tolist() == [[1.5, 2, 4.75, 6], [0, 0, 20, 10]]
    assert second.xyxy.dtype == np.float64 and second.scores is not None
    assert second.labels.tolist() == [1, 0] and second.scores is not None
    assert (second.scores.astype(np.float32) == BOXES.scores).all()


def test_written_detections_by_hand(tmp_path: Path) -> None:
    predictions, images = tmp_path / "predictions-test.json", tmp_path / "images-test.json"
    with PredictionWriter(predictions, images) as writer:
        writer.add("a", "pig 1", (2, 3), Boxes.empty(scored=True))
        writer.add("b", "pig 2", (10, 20), BOXES)
    assert predictions.read_text() == DETECTIONS and images.read_text() == IMAGES
    assert len(list(tmp_path.iterdir())) == 2


def test_segments_by_hand(tmp_path: Path) -> None:
    file = read_predictions(*pair(tmp_path, SEGMENTS), "segment", classes=2)
    first, second = file[0], file[1]
    assert isinstance(first, Masks) and isinstance(second, Masks)
    assert first.planes.astype(int).tolist() == [[[0, 0, 0], [0, 0, 0]], [[0, 1, 1], [0, 0, 1]]]
    assert first.scores is not None and first.scores.tolist() == [0, 0.75]
    assert second.planes.shape == (2, 10, 20) and not second.planes.any()


def test_written_segments_by_hand(tmp_path: Path) -> None:
    planes = np.array([[[0, 0, 0], [0, 0, 0]], [[0, 1, 1], [0, 0, 1]]], bool)
    predictions, images = tmp_path / "predictions-test.json", tmp_path / "images-test.json"
    with PredictionWriter(predictions, images) as writer:
        writer.add("a", "pig 1", (2, 3), Masks(planes, np.array([0, 0.75], np.float32)))
        writer.add(
            "b", "pig 2", (10, 20), Masks(np.zeros((2, 10, 20), bool), np.zeros(2, np.float32))
        )
    assert predictions.read_text() == SEGMENTS and images.read_text() == IMAGES


def test_nothing_found_and_nothing_predicted(tmp_path: Path) -> None:
    predictions, images = tmp_path / "p.json", tmp_path / "i.json"
    with PredictionWriter(predictions, images):
        pass
    assert predictions.read_text() == images.read_text() == "[\n]\n"
    assert len(read_predictions(predictions, images, "detect", classes=1)) == 0


def test_a_backslash_in_the_run_lengths_survives_json(tmp_path: Path) -> None:
    # 44 zeros: 44 = 12 + 32, '\\' = 48 + 32 + 12, then '1'
    # 56 ones: 56 = 24 + 32, 'h' = 48 + 32 + 24, then '1'
    plane = (np.arange(100) >= 44).reshape(2, 50).T
    assert rle.encode_rle(plane) == "\\1h1"
    with PredictionWriter(tmp_path / "p.json", tmp_path / "i.json") as writer:
        writer.add("a", "g", (50, 2), Masks(plane[None]))
    read = read_predictions(tmp_path / "p.json", tmp_path / "i.json", "segment", classes=1)[0]
    assert (read.planes[0] == plane).all()  # type: ignore[union-attr]


def changed(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (
            '"image_id":2,"category_id":2',
            '"image_id":3,"category_id":2',
            "entry 1: expected an image_id of 1..2",
        ),
        (
            '"image_id":2,"category_id":1',
            '"image_id":0,"category_id":1',
            "entry 2: expected an image_id",
        ),
        (
            '"image_id":2,"category_id":1',
            '"image_id":"2","category_id":1',
            "entry 2: expected an image_id",
        ),
        (
            '"image_id":2,"category_id":1',
            '"image_id":true,"category_id":1',
            "entry 2: expected an image_id",
        ),
        ('"category_id":2', '"category_id":3', "category_id of 1..2, got 3"),
        ('"category_id":1', '"category_id":0', "category_id of 1..2"),
        ('"category_id":1,', "", "category_id of 1..2, got None"),
        ('"score":0.5', '"score":1.5', "score of 0..1"),
        ('"score":0.5', '"score":NaN', "score of 0..1, got nan"),
        ("[1.5,2,3.25,4]", "[NaN,2,3.25,4]", "entry 1: expected a bbox of four finite numbers"),
        ("[1.5,2,3.25,4]", "[1.5,2,1e999,4]", "finite"),
        ("[1.5,2,3.25,4]", "[1.5,2,1" + "0" * 400 + ",4]", "finite"),
        ("[1.5,2,3.25,4]", "[1.5,2,3.25]", "four"),
        ("[1.5,2,3.25,4]", '["1","2","3","4"]', "four"),
        ("[1.5,2,3.25,4]", "null", "four"),
        ("[1.5,2,3.25,4]", "[1.5,2,-3.25,4]", "negative side"),
        ("]\n", "", "cut off"),
        ("[\n{", '{"a":1}', "cut off"),
    ],
)
def test_bad_detections(tmp_path: Path, old: str, new: str, reason: str) -> None:
    predictions, images = pair(tmp_path, changed(DETECTIONS, old, new))
    with pytest.raises(DataError) as caught:
        read_predictions(predictions, images, "detect", classes=2)
    message = str(caught.value)
    assert message.startswith(f"{predictions}: ") and reason in message and "\n" not in message


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("[2,3]", "[3,2]", "mask of its image's size [2, 3], got [3, 2]"),
        ('"2111"', "[2,1,1,2]", "compressed counts"),
        ('{"size":[2,3],"counts":"2111"}', "[[0,0,1,1,1,0]]", "compressed counts"),
        ('"score":0.75}', '"score":0.75},' + SEGMENTS[2:-3], "one mask per image and class"),
    ],
)
def test_bad_segments(tmp_path: Path, old: str, new: str, reason: str) -> None:
    with pytest.raises(DataError) as caught:
        read_predictions(*pair(tmp_path, changed(SEGMENTS, old, new)), "segment", classes=2)
    assert reason in str(caught.value)


def test_damaged_run_lengths_are_found_when_decoded(tmp_path: Path) -> None:
    file = read_predictions(
        *pair(tmp_path, changed(SEGMENTS, '"2111"', '"2112"')), "segment", classes=2
    )
    with pytest.raises(
        DataError, match="image 1: expected the mask of class 2, got run lengths of 7 pixels"
    ):
        file[0]
    assert not file[1].planes.any()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"id":1', '"id":0', "entry 1: expected id 1"),
        ('"id":2', '"id":3', "entry 2: expected id 2"),
        ('"file_name":"b"', '"file_name":"a"', "file_name of its own"),
        ('"file_name":"b"', '"file_name":7', "expected a file_name, got 7"),
        ('"group":"pig 2",', "", "a group"),
        ('"height":10', '"height":0', "height and a width"),
        ('"width":20', '"width":20.5', "height and a width"),
        ('"width":20', '"width":99999999999', "height and a width"),
        ("]\n", "", "cut off"),
    ],
)
def test_bad_lists_of_images(tmp_path: Path, old: str, new: str, reason: str) -> None:
    predictions, images = pair(tmp_path, DETECTIONS, changed(IMAGES, old, new))
    with pytest.raises(DataError) as caught:
        read_predictions(predictions, images, "detect", classes=2)
    assert str(caught.value).startswith(f"{images}: ") and reason in str(caught.value)


def test_missing_half_of_a_pair(tmp_path: Path) -> None:
    predictions, images = pair(tmp_path, DETECTIONS)
    images.unlink()
    with pytest.raises(
        DataError,
        match=r"images-test\.json: expected the list of predicted images, found no such file",
    ):
        read_predictions(predictions, images, "detect", classes=2)
    predictions, images = pair(tmp_path, DETECTIONS)
    predictions.unlink()
    with pytest.raises(DataError, match=r"predictions-test\.json: .* found no such file"):
        read_predictions(predictions, images, "detect", classes=2)


def test_deep_nesting_and_binary_are_our_error(tmp_path: Path) -> None:
    predictions, images = pair(tmp_path, "[" * 200_000)
    with pytest.raises(DataError, match="cut off or damaged"):
        read_predictions(predictions, images, "detect", classes=2)
    predictions.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not UTF-8 text"):
        read_predictions(predictions, images, "detect", classes=2)


def test_boxes_are_clipped_to_the_image(tmp_path: Path) -> None:
    outside = changed(DETECTIONS, "[1.5,2,3.25,4]", "[-5,-1,100,4]")
    boxes = read_predictions(*pair(tmp_path, outside), "detect", classes=2)[1]
    assert boxes.xyxy[0].tolist() == [0, 0, 20, 3]  # type: ignore[union-attr]
    with PredictionWriter(tmp_path / "p.json", tmp_path / "i.json") as writer:
        writer.add(
            "a", "g", (10, 20), Boxes(np.array([[-5, -1, 95, 3]], np.float32), np.array([0]))
        )
    assert '"bbox":[0,0,20,3],"score":1}' in (tmp_path / "p.json").read_text()


@pytest.mark.parametrize(
    ("box", "score", "reason"),
    [
        ([np.nan, 0, 1, 1], 0.5, "finite boxes"),
        ([5, 0, 1, 1], 0.5, "x1 ≤ x2"),
        ([0, 0, 1, 1], np.nan, "0..1"),
        ([0, 0, 1, 1], 1.5, "0..1"),
        ([0, 0, 1, 1], -0.1, "0..1"),
    ],
)
def test_a_diverged_model_is_one_line_and_leaves_nothing(
    tmp_path: Path, box: list[float], score: float, reason: str
) -> None:
    target = Boxes(np.array([box], np.float32), np.array([0]), np.array([score], np.float32))
    with (
        pytest.raises(RunError) as caught,
        PredictionWriter(tmp_path / "p.json", tmp_path / "i.json") as writer,
    ):
        writer.add("a", "g", (10, 20), target)
    assert reason in str(caught.value) and not list(tmp_path.iterdir())


def test_a_second_image_of_one_name_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match="got a twice"),
        PredictionWriter(tmp_path / "p", tmp_path / "i") as writer,
    ):
        writer.add("a", "g", (10, 20), Boxes.empty())
        writer.add("a", "g", (10, 20), Boxes.empty())


def test_an_exception_keeps_the_old_pair(tmp_path: Path) -> None:
    predictions, images = pair(tmp_path, DETECTIONS)
    with pytest.raises(KeyError), PredictionWriter(predictions, images) as writer:
        writer.add("new", "g", (10, 20), BOXES)
        raise KeyError
    assert predictions.read_text() == DETECTIONS and images.read_text() == IMAGES
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with (
        pytest.raises(RunError, match="can't be written"),
        PredictionWriter(tmp_path / "no" / "p.json", tmp_path / "no" / "i.json"),
    ):
        pass


KILLED = """
import os, sys
from pathlib import Path
from usbench.datasets.codecs.coco import PredictionWriter
from usbench.types import Boxes
predictions, images = Path(sys.argv[1]), Path(sys.argv[2])
replace = Path.replace
def kill_after(self, target):
    replace(self, target)
    os.kill(os.getpid(), 9)
Path.replace = kill_after
with PredictionWriter(predictions, images) as writer:
    writer.add("new", "g", (10, 20), Boxes.empty())
"""


@pytest.mark.process
def test_a_kill_between_the_two_files_is_noticed(tmp_path: Path) -> None:
    predictions, images = pair(tmp_path, DETECTIONS)
    root = str(ROOT)
    command = [sys.executable, "-c", KILLED, str(predictions), str(images)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": root}, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    assert json.loads(predictions.read_text()) == []
    with pytest.raises(DataError, match="found no such file; predict again"):
        read_predictions(predictions, images, "detect", classes=2)


@pytest.mark.process
def test_importing_the_codec_needs_no_torch() -> None:
    names = ", ".join(
        f"usbench.datasets.codecs.{name}" for name in ("coco", "image", "label_png", "voc")
    )
    code = f"import sys, {names}; assert 'torch' not in sys.modules"
    root = str(ROOT)
    subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": root}, timeout=60, check=True
    )


UNIT = st.floats(0, 1, width=32)
CORNER = st.floats(0, 690, width=32)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(CORNER, CORNER, CORNER, CORNER, UNIT, st.integers(0, 2)), max_size=4),
        max_size=4,
    )
)
def test_boxes_written_then_read_are_identical(
    scratch: Path, drawn: list[list[tuple[float, ...]]]
) -> None:
    targets = []
    for actual in drawn:
        corners = [[min(a, c), min(b, d), max(a, c), max(b, d)] for a, b, c, d, _, _ in actual]
        xyxy = np.array(corners, np.float32).reshape(-1, 4)
        scores = np.array([box[4] for box in actual], np.float32)
        targets.append(Boxes(xyxy, np.array([box[5] for box in actual], np.int64), scores))
    paths = scratch / "p.json", scratch / "i.json"
    with PredictionWriter(*paths) as writer:
        for n, target in enumerate(targets):
            writer.add(str(n), "g", (690, 690), target)
    for expected, read in zip(targets, read_predictions(*paths, "detect", classes=3), strict=True):
        assert isinstance(read, Boxes) and read.scores is not None and expected.scores is not None
        assert (read.xyxy.astype(np.float32) == expected.xyxy).all()
        assert (read.labels == expected.labels).all()
        assert (read.scores.astype(np.float32) == expected.scores).all()


def test_float64_is_written_without_loss(scratch: Path) -> None:
    """Of .1 and .7 float32 keeps eight digits; two scores that differ by less stay apart."""
    boxes = Boxes(
        np.array([[0.1, 0.7, 8.3, 9.9], [0.1, 0.7, 8.3, 9.9]]),
        np.zeros(2, np.int64),
        np.array([0.7, 0.7 + 1e-9]),
    )
    paths = scratch / "p.json", scratch / "i.json"
    with PredictionWriter(*paths) as writer:
        writer.add("a", "g", (10, 10), boxes)
    (read,) = read_predictions(*paths, "detect", classes=1)
    assert isinstance(read, Boxes) and read.scores is not None
    assert read.scores.tolist() == [0.7, 0.7 + 1e-9]
    assert np.abs(read.xyxy - boxes.xyxy).max() < 1e-14


@settings(max_examples=60, deadline=None)
@given(st.lists(arrays(bool, (2, 5, 7)), max_size=3))
def test_masks_written_then_read_are_identical(scratch: Path, stacks: list[np.ndarray]) -> None:
    paths = scratch / "p.json", scratch / "i.json"
    with PredictionWriter(*paths) as writer:
        for n, planes in enumerate(stacks):
            writer.add(str(n), "g", (5, 7), Masks(planes, np.full(2, 0.3, np.float32)))
    for planes, read in zip(stacks, read_predictions(*paths, "segment", classes=2), strict=True):
        assert isinstance(read, Masks) and (read.planes == planes).all()


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=30),
    st.integers(0, 200),
    st.integers(0, 30),
    st.sampled_from(["p", "i"]),
    st.booleans(),
)
def test_any_bytes_give_predictions_or_our_error(
    scratch: Path, data: bytes, at: int, drop: int, which: str, detect: bool
) -> None:
    texts = {"p": (DETECTIONS if detect else SEGMENTS).encode(), "i": IMAGES.encode()}
    texts[which] = texts[which][:at] + data + texts[which][at + drop :]
    for name, text in texts.items():
        (scratch / f"{name}.json").write_bytes(text)
    try:
        list(
            read_predictions(
                scratch / "p.json", scratch / "i.json", "detect" if detect else "segment", classes=2
            )
        )
    except DataError as error:
        assert "\n" not in str(error)
