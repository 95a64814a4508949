"""COCO's JSON as a ground truth: a file by hand, the rasteriser's rule by hand and against
pycocotools, every kind of bad file, and the round trip.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as reference

from usbench.datasets.codecs import rle
from usbench.datasets.codecs.coco_targets import CocoTargets, read_coco_targets, write_coco_targets
from usbench.errors import DataError
from usbench.types import BLURRED, OFF, SEEN, Boxes, Landmarks, Masks

CLASSES = ("nerve", "vessel")
# a.png (4 rows, 6 columns): a nerve of two parts, columns 0–1 of rows 0–1 and column 5 of row 3;
# a vessel, column 3
GOOD: dict[str, Any] = {
    "info": {"description": "by hand"},
    "images": [
        {"id": 7, "file_name": "a.png", "height": 4, "width": 6},
        {"id": 3, "file_name": "deep/b.jpg", "height": 2, "width": 3, "license": 1},
    ],
    "categories": [
        {"id": 9, "name": "vessel"},
        {"id": 4, "name": "nerve", "supercategory": "tissue"},
        {"id": 0, "name": "unused"},
    ],
    "annotations": [
        {
            "id": 1,
            "image_id": 7,
            "category_id": 4,
            "bbox": [0, 0, 6, 4],
            "segmentation": [[0, 0, 2, 0, 2, 2, 0, 2], [5, 3, 6, 3, 6, 4, 5, 4]],
            "area": 5,
            "iscrowd": 0,
        },
        # column by column: 12 off, 4 on, 8 off
        {
            "image_id": 7,
            "category_id": 9,
            "bbox": [3, 0, 1.5, 4],
            "segmentation": {"size": [4, 6], "counts": [12, 4, 8]},
        },
    ],
}
NERVE = [[1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [0] * 6, [0, 0, 0, 0, 0, 1]]


def stored(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("coco")


def test_read_by_hand(tmp_path: Path) -> None:
    targets = read_coco_targets(stored(tmp_path / "t.json", GOOD))
    assert targets.names == ("nerve", "vessel")  # in order of the ids, those that objects have
    assert {name: image.size for name, image in targets.images.items()} == {
        "a.png": (4, 6),
        "deep/b.jpg": (2, 3),
    }
    boxes = targets.boxes("a.png", CLASSES)
    assert boxes.xyxy.tolist() == [[0, 0, 6, 4], [3, 0, 4.5, 4]] and boxes.xyxy.dtype == np.float64
    assert boxes.areas is not None and boxes.areas.tolist() == [5, 6]  # the second states none
    assert boxes.labels.tolist() == [0, 1] and boxes.scores is None
    assert targets.boxes("a.png", ("other", "vessel", "nerve")).labels.tolist() == [2, 1]
    masks = targets.masks("a.png", CLASSES, True)
    assert masks.planes[0].astype(int).tolist() == NERVE
    assert np.argwhere(masks.planes[1])[:, 1].tolist() == [3] * 4 and masks.known is None


def test_an_image_without_objects_is_valid(tmp_path: Path) -> None:
    targets = read_coco_targets(stored(tmp_path / "t.json", GOOD))
    assert targets.boxes("deep/b.jpg", CLASSES).xyxy.shape == (0, 4)
    planes = targets.masks("deep/b.jpg", CLASSES, True).planes
    assert planes.shape == (2, 2, 3) and not planes.any()


def test_a_byte_order_mark_and_text_ids_are_fine(tmp_path: Path) -> None:
    content = copy.deepcopy(GOOD)
    content["images"][0]["id"] = "seven"
    for entry in content["annotations"]:
        entry["image_id"] = "seven"
    path = tmp_path / "t.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(content).encode())
    assert len(read_coco_targets(path).boxes("a.png", CLASSES).labels) == 2


# ---- the rasteriser's rule


@pytest.mark.parametrize(
    ("polygon", "picture"),
    [
        ([1, 1, 4, 1, 4, 3, 1, 3], ["......", ".###..", ".###..", "......"]),  # half-open: 3 × 2 px
        ([0, 0, 6, 0, 6, 4, 0, 4], ["######"] * 4),
        (
            [0.4, 0.4, 2.6, 0.4, 2.6, 1.6, 0.4, 1.6],
            ["###...", "###...", "......", "......"],
        ),  # centres at .5, 1.5, 2.5
        ([0.6, 0.6, 2.4, 0.6, 2.4, 1.6, 0.6, 1.6], ["......", ".#....", "......", "......"]),
        (
            [0, 0, 4, 0, 0, 4],
            ["###...", "##....", "#.....", "......"],
        ),  # centres under the diagonal
        (
            [0, 0, 4, 3, 4, 0, 0, 3],
            ["#..#..", "####..", "#..#..", "......"],
        ),  # crossing itself: both halves
        ([1, 1, 2, 1, 3, 1], ["......"] * 4),  # a line
        ([2, 2, 2, 2, 2, 2], ["......"] * 4),  # a point
        (
            [-1, 0, 2, 0, 2, 1, -1, 1],
            ["##....", "......", "......", "......"],
        ),  # a pixel outside is clipped
        # a square in a square, drawn in one line that crosses itself nowhere but covers twice:
        # even-odd leaves a hole
        (
            [0, 0, 5, 0, 5, 4, 0, 4, 0, 0, 1, 1, 4, 1, 4, 3, 1, 3, 1, 1],
            ["#####.", "#...#.", "#...#.", "#####."],
        ),
    ],
)
def test_a_pixel_is_in_where_its_centre_is(polygon: list[float], picture: list[str]) -> None:
    plane = rle.fill_polygon(polygon, (4, 6))
    assert ["".join("#" if on else "." for on in row) for row in plane] == picture


@settings(max_examples=100)
@given(st.lists(st.tuples(st.floats(-1, 21), st.floats(-1, 16)), min_size=3, max_size=9))
def test_polygons_are_filled_as_pycocotools_does(vertices: list[tuple[float, float]]) -> None:
    polygon = [value for vertex in vertices for value in vertex]
    (expected,) = reference.frPyObjects([polygon], 15, 20)
    assert np.array_equal(
        rle.fill_polygon(polygon, (15, 20)), rle.decode_rle(expected["counts"].decode(), (15, 20))
    )


# ---- bad files


def put(*where: Any, value: Any) -> Callable[[Any], None]:
    def change(content: Any) -> None:
        for key in where[:-1]:
            content = content[key]
        content[where[-1]] = value

    return change


FIRST, SECOND = ("annotations", 0), ("annotations", 1)
FILE = {
    "no images": (lambda c: c.pop("images"), "found no list of images"),
    "images that are none": (put("images", value=[1]), "found no list of images"),
    "an image without a name": (
        put("images", 1, "file_name", value=None),
        "image 2: expected a file_name, got None",
    ),
    "one id twice": (
        put("images", 1, "id", value=7),
        "image 2: expected an id and a file_name of its",
    ),
    "one name twice": (
        put("images", 1, "file_name", value="a.png"),
        "image 2: expected an id and a file_name of its",
    ),
    "no height": (put("images", 0, "height", value=0), "image 1: expected a height and a width"),
    "text for a width": (
        put("images", 0, "width", value="6"),
        "image 1: expected a height and a width",
    ),
    "a picture too large": (
        put("images", 0, "width", value=10**9),
        "image 1: expected a height and a width",
    ),
    "one category twice": (
        put("categories", 1, "name", value="vessel"),
        "category 2: expected an id and a name of its",
    ),
    "a category without id": (
        put("categories", 1, "id", value=True),
        "category 2: expected id as a number or text, got True",
    ),
    "an unknown image": (put(*SECOND, "image_id", value=8), "annotation 2: expected the image_id"),
    "a list for an id": (
        put(*SECOND, "image_id", value=[7]),
        "annotation 2: expected image_id as a number or text, got [7]",
    ),
    "an unknown category": (
        put(*SECOND, "category_id", value=1),
        "annotation 2: expected the category_id",
    ),
}
BOXES = {
    "no bbox": (
        lambda c: c["annotations"][1].pop("bbox"),
        "annotation 2: expected a bbox of four finite numbers",
    ),
    "three numbers": (put(*SECOND, "bbox", value=[1, 1, 1]), "bbox of four finite numbers"),
    "text": (put(*SECOND, "bbox", value=[1, 1, "1", 1]), "bbox of four finite numbers"),
    "NaN": (put(*SECOND, "bbox", value=[1, 1, float("nan"), 1]), "bbox of four finite numbers"),
    "corners": (
        put(*SECOND, "bbox", value=[3, 0, 4.5, 4]),
        "with area inside 6×4, got [3, 0, 4.5, 4]",
    ),
    "a negative area": (put(*SECOND, "area", value=-1), "an area of 0 px² or more, got -1"),
    "no area": (put(*SECOND, "bbox", value=[3, 0, 0, 4]), "with area inside 6×4"),
    "a negative side": (put(*SECOND, "bbox", value=[3, 2, 1, -1]), "with area inside 6×4"),
    "out to the left": (put(*SECOND, "bbox", value=[-0.1, 0, 1, 1]), "with area inside 6×4"),
    "a crowd": (
        put(*FIRST, "iscrowd", value=1),
        "annotation 1: expected single objects (iscrowd 0), got 'iscrowd 1'",
    ),
    "a category of no class": (
        put("categories", 0, "name", value="rib"),
        "of nerve, vessel, got 'rib of nerve, rib'",
    ),
}
MASKS = {
    "none": (put(*FIRST, "segmentation", value=[]), "annotation 1: expected a segmentation"),
    "two vertices": (
        put(*FIRST, "segmentation", value=[[0, 0, 2, 0]]),
        "of three vertices or more, got '4 numbers'",
    ),
    "half a vertex": (
        put(*FIRST, "segmentation", value=[[0, 0, 2, 0, 2, 2, 0]]),
        "three vertices or more",
    ),
    "not in a list": (put(*FIRST, "segmentation", value=[0, 0, 2, 0, 2, 2]), "expected polygons"),
    "infinite": (
        put(*FIRST, "segmentation", value=[[0, 0, 2, 0, 2, float("inf")]]),
        "expected polygons",
    ),
    "outside": (
        put(*FIRST, "segmentation", value=[[0, 0, 2, 0, 7.5, 2]]),
        "annotation 1: expected points inside 6×4, got 'vertex 3 at 7.5, 2",
    ),
    "above": (
        put(*FIRST, "segmentation", value=[[0, -1.5, 2, 0, 2, 2]]),
        "got 'vertex 1 at 0, -1.5",
    ),
    "another size": (
        put(*SECOND, "segmentation", "size", value=[6, 4]),
        "run lengths of its image's size [4, 6]",
    ),
    "too few pixels": (
        put(*SECOND, "segmentation", "counts", value=[12, 4]),
        "16 pixels for a mask of 4×6",
    ),
    "a negative run": (
        put(*SECOND, "segmentation", "counts", value=[12, -4, 16]),
        "as text or whole numbers",
    ),
    "a run of a half": (
        put(*SECOND, "segmentation", "counts", value=[12, 3.5, 8.5]),
        "as text or whole numbers",
    ),
    "damaged text": (
        put(*SECOND, "segmentation", "counts", value="~~"),
        'annotation 2: expected run lengths, got "not COCO',
    ),
    "two classes in a pixel": (
        put(*SECOND, "segmentation", "counts", value=[0, 4, 20]),
        "t.json: 'a.png': expected one class a pixel, got nerve and vessel at row 0, column 0 "
        "(2 such pixels)",
    ),
}


@pytest.mark.parametrize("what", FILE)
def test_a_bad_file_gives_one_line(tmp_path: Path, what: str) -> None:
    refused(tmp_path, *FILE[what], lambda path: read_coco_targets(path))


@pytest.mark.parametrize("what", BOXES)
def test_a_bad_box_gives_one_line(tmp_path: Path, what: str) -> None:
    refused(tmp_path, *BOXES[what], lambda path: read_coco_targets(path).boxes("a.png", CLASSES))


@pytest.mark.parametrize("what", MASKS)
def test_a_bad_mask_gives_one_line(tmp_path: Path, what: str) -> None:
    refused(
        tmp_path, *MASKS[what], lambda path: read_coco_targets(path).masks("a.png", CLASSES, True)
    )


def refused(
    folder: Path, change: Callable[[Any], None], reason: str, reader: Callable[[Path], Any]
) -> None:
    content = copy.deepcopy(GOOD)
    change(content)
    path = stored(folder / "t.json", content)
    with pytest.raises(DataError) as caught:
        reader(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and reason in message and "\n" not in message


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (json.dumps(GOOD).encode()[:-40], "cut off or damaged"),
        (b"", "cut off or damaged"),
        (b"[" * 100_000, "cut off or damaged"),
        (b"\xff\xfe\x00", "not UTF-8 text"),
        (
            b'[{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.5}]',
            "a list of results holds no targets",
        ),
    ],
)
def test_other_files(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "t.json"
    path.write_bytes(data)
    with pytest.raises(DataError, match=reason):
        read_coco_targets(path)
    with pytest.raises(DataError, match="no such file"):
        read_coco_targets(tmp_path / "none.json")


def test_overlapping_classes_are_fine_where_the_view_says_so(tmp_path: Path) -> None:
    content = copy.deepcopy(GOOD)
    content["annotations"][1]["segmentation"]["counts"] = [0, 4, 20]
    planes = (
        read_coco_targets(stored(tmp_path / "t.json", content))
        .masks("a.png", CLASSES, False)
        .planes
    )
    assert planes[0, 0, 0] and planes[1, 0, 0]


def test_a_box_out_by_rounding_is_clipped(tmp_path: Path) -> None:
    content = copy.deepcopy(GOOD)
    content["annotations"][1]["bbox"] = [-0.005, 0.0, 6.01, 4.0]  # .001 of 6 is .006
    boxes = read_coco_targets(stored(tmp_path / "t.json", content)).boxes("a.png", CLASSES)
    assert boxes.xyxy[1].tolist() == [0, 0, 6, 4]


def test_a_crowd_is_part_of_a_mask(tmp_path: Path) -> None:
    content = copy.deepcopy(GOOD)
    content["annotations"][1]["iscrowd"] = 1  # some tools mark every run-length mask so
    assert (
        read_coco_targets(stored(tmp_path / "t.json", content))
        .masks("a.png", CLASSES, True)
        .planes[1]
        .sum()
        == 4
    )


# ---- keypoints

POINTS: dict[str, Any] = {
    "images": [{"id": 1, "file_name": "a.png", "height": 40, "width": 60}],
    "categories": [{"id": 1, "name": "heart", "keypoints": ["apex", "hinge", "wall"]}],
    "annotations": [
        {"image_id": 1, "category_id": 1, "keypoints": [10.5, 20, 2, 0, 0, 0, 59, 39.5, 1]}
    ],
}


def test_keypoints_by_hand(tmp_path: Path) -> None:
    """Labelled and visible, not labelled, labelled but hidden."""
    targets = read_coco_targets(stored(tmp_path / "t.json", POINTS))
    assert targets.points == ("apex", "hinge", "wall")
    target = targets.landmarks("a.png", ("wall", "apex", "hinge", "other"))
    assert [path.tolist() for path in target.paths] == [[[59, 39.5]], [[10.5, 20]], [], []]
    assert target.state.tolist() == [SEEN, SEEN, BLURRED, BLURRED] and target.scores is None
    assert all(path.dtype == np.float32 and path.shape[1] == 2 for path in target.paths)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (put(*FIRST, "keypoints", value=[1, 2, 2]), "keypoints of 3 times x, y and visibility"),
        (put(*FIRST, "keypoints", value=["1", 2, 2] * 3), "keypoints of 3 times"),
        (put(*FIRST, "keypoints", value=[1, 2, 3] * 3), "a visibility of 0, 1 or 2"),
        (
            put(*FIRST, "keypoints", value=[62, 2, 2] * 3),
            "points inside 60×40, got 'vertex 1 at 62, 2",
        ),
        (put("categories", 0, "keypoints", value=["a", "a", "b"]), "every keypoint once"),
        (
            put("categories", 0, "keypoints", value=["apex", "hinge", "rib"]),
            "of apex, hinge, wall, got 'rib",
        ),
        (
            lambda c: c["annotations"].append(c["annotations"][0]),
            "2: expected one object with keypoint 'apex'",
        ),
    ],
)
def test_bad_keypoints(tmp_path: Path, change: Callable[[Any], None], reason: str) -> None:
    content = copy.deepcopy(POINTS)
    change(content)
    with pytest.raises(DataError) as caught:
        read_coco_targets(stored(tmp_path / "t.json", content)).landmarks(
            "a.png", ("apex", "hinge", "wall")
        )
    assert reason in str(caught.value) and "\n" not in str(caught.value)


# ---- writing


def test_write_by_hand(tmp_path: Path) -> None:
    planes = np.zeros((2, 2, 3), bool)
    planes[1, :, 1] = True  # column by column: 2 off, 2 on, 2 off
    write_coco_targets(tmp_path / "t.json", CLASSES, [("a.png", (2, 3), Masks(planes))])
    content = json.loads((tmp_path / "t.json").read_text())
    assert content["images"] == [{"id": 1, "file_name": "a.png", "height": 2, "width": 3}]
    assert content["categories"] == [{"id": 1, "name": "nerve"}, {"id": 2, "name": "vessel"}]
    (entry,) = content["annotations"]
    assert entry == {
        "id": 1,
        "image_id": 1,
        "iscrowd": 0,
        "category_id": 2,
        "bbox": [1, 0, 1, 2],
        "area": 2,
        "segmentation": {"size": [2, 3], "counts": "222"},
    }
    assert len(list(tmp_path.iterdir())) == 1


def test_landmarks_survive_but_for_off(tmp_path: Path) -> None:
    paths = (
        np.array([[3.25, 4]], np.float32),
        np.zeros((0, 2), np.float32),
        np.zeros((0, 2), np.float32),
    )
    write_coco_targets(
        tmp_path / "t.json",
        ("a", "b", "c"),
        [("x.png", (9, 9), Landmarks(paths, np.array([SEEN, OFF, BLURRED])))],
    )
    again = read_coco_targets(tmp_path / "t.json").landmarks("x.png", ("a", "b", "c"))
    assert again.paths[0].tolist() == [[3.25, 4]] and again.state.tolist() == [
        SEEN,
        BLURRED,
        BLURRED,
    ]
    curve = Landmarks((np.zeros((3, 2), np.float32),), np.array([SEEN], np.int8))
    with pytest.raises(ValueError, match="not curves"):
        write_coco_targets(tmp_path / "u.json", ("a",), [("x.png", (9, 9), curve)])
    assert not (tmp_path / "u.json").exists()


def test_write_refuses_what_read_would_refuse(tmp_path: Path) -> None:
    for box in ([0, 0, 0, 5], [0, 0, 11, 5], [np.nan, 0, 5, 5]):
        boxes = Boxes(np.array([box], np.float32), np.array([0]))
        with pytest.raises(DataError, match="annotation 1"):
            write_coco_targets(tmp_path / "t.json", CLASSES, [("a.png", (10, 10), boxes)])
    with pytest.raises(DataError, match="of its own"):
        write_coco_targets(tmp_path / "t.json", CLASSES, [("a.png", (10, 10), Boxes.empty())] * 2)
    assert not list(tmp_path.iterdir())


COORDINATE = st.floats(0, 300, width=32)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(COORDINATE, COORDINATE, COORDINATE, COORDINATE, st.integers(0, 1)), max_size=4
    )
)
def test_boxes_survive(scratch: Path, drawn: list[tuple[float, float, float, float, int]]) -> None:
    valid = [box for box in drawn if box[0] != box[2] and box[1] != box[3]]
    corners = [[min(a, c), min(b, d), max(a, c), max(b, d)] for a, b, c, d, _ in valid]
    boxes = Boxes(
        np.array(corners, np.float32).reshape(-1, 4), np.array([box[4] for box in valid], np.int64)
    )
    write_coco_targets(scratch / "t.json", CLASSES, [("a.png", (300, 300), boxes)])
    again = read_coco_targets(scratch / "t.json").boxes("a.png", CLASSES)
    assert np.array_equal(again.xyxy, boxes.xyxy) and np.array_equal(again.labels, boxes.labels)


@settings(max_examples=60)
@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.3, 1.0]),
)
def test_masks_survive(scratch: Path, height: int, width: int, seed: int, share: float) -> None:
    planes = np.random.default_rng(seed).random((2, height, width)) < share
    write_coco_targets(scratch / "t.json", CLASSES, [("a.png", (height, width), Masks(planes))])
    assert np.array_equal(
        read_coco_targets(scratch / "t.json").masks("a.png", CLASSES, False).planes, planes
    )


TEXT = json.dumps({**GOOD, "categories": [*GOOD["categories"], *POINTS["categories"]]}).encode()


@settings(max_examples=300)
@given(st.binary(max_size=20), st.booleans(), st.integers(0, len(TEXT)), st.integers(0, 20))
def test_any_bytes_give_targets_or_our_error(
    scratch: Path, data: bytes, spliced: bool, at: int, drop: int
) -> None:
    path = scratch / "any.json"
    path.write_bytes(TEXT[:at] + data + TEXT[at + drop :] if spliced else data)
    any_target(path)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 10**20)
    | st.floats()
    | st.sampled_from(["", "a", "222", "~"]),
    lambda inner: (
        st.lists(inner, max_size=7)
        | st.dictionaries(st.sampled_from(["size", "counts", "x"]), inner)
    ),
    max_leaves=9,
)
PLACES = [
    (*start, key)
    for start, keys in [
        (("images", 0), ("id", "file_name", "height", "width")),
        (("categories", 0), ("id", "name", "keypoints")),
        (FIRST, ("image_id", "category_id", "bbox", "segmentation", "iscrowd", "keypoints")),
    ]
    for key in keys
]


@settings(max_examples=300)
@given(st.sampled_from(PLACES), VALUES)
def test_any_value_gives_targets_or_our_error(
    scratch: Path, place: tuple[Any, ...], value: Any
) -> None:
    content = copy.deepcopy(GOOD)
    put(*place, value=value)(content)
    any_target(stored(scratch / "any.json", content))


def any_target(path: Path) -> None:
    readers: list[Callable[[CocoTargets, str], Any]] = [
        lambda targets, name: targets.boxes(name, CLASSES),
        lambda targets, name: targets.masks(name, CLASSES, True),
        lambda targets, name: targets.landmarks(name, targets.points),
    ]
    try:
        targets = read_coco_targets(path)
    except DataError as error:
        assert "\n" not in str(error)
        return
    for reader in readers:
        for name in targets.images:
            try:
                reader(targets, name)
            except DataError as error:
                assert "\n" not in str(error)
