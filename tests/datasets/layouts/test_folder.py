"""A user's own images: every kind of label by hand, splits by folder, list and rule, groups,
spacing, what a wrong setting or file gets, and that the real usgra read as a folder is usgra.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from usbench.datasets import source
from usbench.datasets.config import DatasetConfig, SplitConfig, ViewConfig
from usbench.datasets.dataset import open_view
from usbench.datasets.layouts.folder import Folder
from usbench.errors import ConfigError, DataError
from usbench.io.config import conf_dir
from usbench.runner.identity import class_identity
from usbench.runner.resolve import resolve_config
from usbench.types import SEEN, SPLITS, Boxes, Landmarks, Layout, Masks, Sample, Target

ROWS = ["110020", "110020", "000020", "000000"]  # one: 2×2 at the top left; two: a bar of 1×3
INDEX = np.array([[int(value) for value in row] for row in ROWS], np.uint8)
BOXES = [[0, 0, 2, 2], [4, 0, 5, 3]]
YOLO = "0 0.166667 0.25 0.333333 0.5\n1 0.75 0.375 0.166667 0.75\n"  # the same boxes, on 4×6
CLASSES = ("one", "two")


def picture(path: Path, size: tuple[int, int] = (4, 6)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros(size, np.uint8)).save(path)


def lay(root: Path, kind: str, stems: tuple[str, ...] = ("a", "b", "c"), folder: str = "") -> None:
    """images/*.png and labels of a kind, written without the layout."""
    base = root / folder
    for stem in stems:
        picture(base / "images" / f"{stem}.png")
        (base / "labels").mkdir(exist_ok=True)
        if kind == "masks":
            Image.fromarray(INDEX).save(base / "labels" / f"{stem}.png")
        if kind == "yolo":
            (base / "labels" / f"{stem}.txt").write_text(YOLO)
    if kind == "coco":
        (base / "labels.json").write_text(json.dumps(coco([f"{stem}.png" for stem in stems])))


def coco(names: list[str]) -> dict[str, Any]:
    entries = []
    for number in range(1, len(names) + 1):
        for category, (x1, y1, x2, y2) in enumerate(BOXES, start=1):
            sides, corners = [x1, y1, x2 - x1, y2 - y1], [x1, y1, x2, y1, x2, y2, x1, y2]
            keypoints = [x1, y1, 2]
            entries.append(
                {
                    "image_id": number,
                    "category_id": category,
                    "bbox": sides,
                    "segmentation": [corners],
                }
            )
            entries[-1]["keypoints"] = keypoints
    images = [
        {"id": n, "file_name": name, "height": 4, "width": 6}
        for n, name in enumerate(names, start=1)
    ]
    categories = [
        {"id": n, "name": name, "keypoints": [f"{name}-top"]}
        for n, name in enumerate(CLASSES, start=1)
    ]
    return {"images": images, "annotations": entries, "categories": categories}


def folder(kind: str, task: str, classes: tuple[str, ...] = CLASSES, **settings: Any) -> Folder:
    labels = "labels.json" if kind == "coco" else "labels"
    return Folder(
        classes,
        kind,
        **{"images": "images", "labels": labels, "task": task, "min_pixels": 3, **settings},
    )


KINDS = [
    ("masks", "segment"),
    ("masks", "detect"),
    ("coco", "segment"),
    ("coco", "detect"),
    ("yolo", "detect"),
]


# ---- what is read


def test_a_missing_folder_is_named_with_those_beside_it(tmp_path: Path) -> None:
    for name in ("benign", "malignant"):
        (tmp_path / name).mkdir()
    beside = f"no such folder; {tmp_path.name} has benign, malignant; dataset.labels names"
    with pytest.raises(DataError, match=beside):
        folder("masks", "segment").index(tmp_path)


@pytest.mark.parametrize(("kind", "suffix"), [("masks", "png"), ("yolo", "txt")])
def test_labels_of_other_names_are_paired_by_a_pattern(
    tmp_path: Path, kind: str, suffix: str
) -> None:
    lay(tmp_path, kind, ("bus_01", "bus_02"))
    for stem in ("bus_01", "bus_02"):
        label = tmp_path / "labels" / f"{stem}.{suffix}"
        label.rename(label.with_stem(stem.replace("bus", "mask")))
    with pytest.raises(DataError, match="of the same name, found none"):
        folder(kind, "detect").index(tmp_path)
    layout = folder(kind, "detect", pair_by=r"(\d+)$")
    records = layout.index(tmp_path)
    assert [(record.id, record.label) for record in records] == [
        ("bus_01", f"labels/mask_01.{suffix}"),
        ("bus_02", f"labels/mask_02.{suffix}"),
    ]
    check(layout.read(tmp_path, records[1]))
    (tmp_path / "labels" / f"mask_02.{suffix}").unlink()
    with pytest.raises(DataError, match=r"bus_02\.png: expected .* found none"):
        layout.index(tmp_path)


@pytest.mark.parametrize(
    ("pair_by", "says"),
    [
        (r"x(\d+)$", r"bus_01\.png: expected a match of dataset\.pair_by=.* found none"),
        ("^(bus)", r"bus_02\.png: expected one file that .* reads as 'bus', got bus_01\.png too"),
    ],
)
def test_a_pattern_that_pairs_nothing(tmp_path: Path, pair_by: str, says: str) -> None:
    lay(tmp_path, "masks", ("bus_01", "bus_02"))
    with pytest.raises(DataError, match=says):
        folder("masks", "segment", pair_by=pair_by).index(tmp_path)


def test_coco_needs_no_pattern_to_pair() -> None:
    with pytest.raises(ConfigError, match=r"dataset\.pair_by: COCO's JSON names the images"):
        folder("coco", "segment", pair_by="(.)")


@pytest.mark.parametrize(("kind", "task"), KINDS)
def test_every_kind_of_label_by_hand(tmp_path: Path, kind: str, task: str) -> None:
    lay(tmp_path, kind)
    layout = folder(kind, task)
    records = layout.index(tmp_path)
    assert isinstance(layout, Layout) and [record.id for record in records] == ["a", "b", "c"]
    label = {"masks": "labels/b.png", "yolo": "labels/b.txt", "coco": "labels.json"}[kind]
    assert (records[1].image, records[1].label, records[1].group) == ("images/b.png", label, "b")
    assert records[1].split is None and records[1].mm_per_px is None
    check(layout.read(tmp_path, records[1]))


def check(target: Target) -> None:
    """The target is that of ROWS."""
    if isinstance(target, Masks):
        assert np.array_equal(target.planes, [INDEX == 1, INDEX == 2])
        return
    assert isinstance(target, Boxes)
    assert np.allclose(target.xyxy, BOXES, atol=1e-4) and target.labels.tolist() == [0, 1]


def test_coco_keypoints_are_landmarks(tmp_path: Path) -> None:
    lay(tmp_path, "coco")
    layout = folder("coco", "landmark", ())
    record = layout.index(tmp_path)[0]
    assert layout.classes == ("one-top", "two-top")
    target = layout.read(tmp_path, record)
    assert isinstance(target, Landmarks) and [path.tolist() for path in target.paths] == [
        [[0, 0]],
        [[4, 0]],
    ]
    assert target.state.tolist() == [SEEN, SEEN]


@pytest.mark.parametrize("suffix", ["jpg", "JPEG", "bmp"])
def test_pictures_of_other_formats_and_hidden_files(tmp_path: Path, suffix: str) -> None:
    lay(tmp_path, "masks", ("a", "b"))
    (tmp_path / "images/a.png").unlink()
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(tmp_path / "images" / f"a.{suffix}")
    for name in ("images/._a.png", "labels/._b.png", "images/Thumbs.db", "labels/notes.txt"):
        (tmp_path / name).write_bytes(b"no picture")
    assert [record.image for record in folder("masks", "segment").index(tmp_path)] == [
        f"images/a.{suffix}",
        "images/b.png",
    ]


def test_masks_may_have_values_of_their_own(tmp_path: Path) -> None:
    lay(tmp_path, "masks", ("a",))
    Image.fromarray(np.array([0, 255, 128], np.uint8)[INDEX]).save(tmp_path / "labels/a.png")
    for classes in (CLASSES, ()):  # the values name the classes, too
        layout = folder("masks", "segment", classes, values={"one": 255, "two": 128})
        (record,) = layout.index(tmp_path)
        assert layout.classes == CLASSES
        check(layout.read(tmp_path, record))
    with pytest.raises(
        DataError,
        match=r"labels/a\.png: expected 0 background, 1 one, 2 two, got value 128 in 3",
    ):
        folder("masks", "segment").read(tmp_path, record)


@pytest.mark.parametrize(
    ("kind", "task"), [("masks", "segment"), ("yolo", "detect"), ("coco", "detect")]
)
def test_the_labels_may_name_the_classes(tmp_path: Path, kind: str, task: str) -> None:
    lay(tmp_path, kind)
    if kind != "coco":
        (tmp_path / "labels/classes.txt").write_text("one\ntwo\n")
    layout = folder(kind, task, ())
    record = layout.index(tmp_path)[0]
    assert layout.classes == CLASSES
    check(layout.read(tmp_path, record))
    assert layout.shared_files(tmp_path) == ([] if kind == "coco" else ["labels/classes.txt"])


@pytest.mark.parametrize(
    ("kind", "setting"), [("masks", "dataset.values"), ("yolo", "dataset.views.detect.classes")]
)
def test_without_names_anywhere_it_says_what_to_set(
    tmp_path: Path, kind: str, setting: str
) -> None:
    lay(tmp_path, kind)
    with pytest.raises(
        DataError, match=f"classes.txt: expected the classes' names.*write it or set {setting}"
    ):
        folder(kind, "detect", ()).index(tmp_path)


def test_yolo_s_classes_txt_rules_the_numbers(tmp_path: Path) -> None:
    lay(tmp_path, "yolo", ("a",))
    (tmp_path / "labels/classes.txt").write_text("two\none\n")
    layout = folder("yolo", "detect")
    target = layout.read(tmp_path, layout.index(tmp_path)[0])
    assert isinstance(target, Boxes) and target.labels.tolist() == [1, 0]
    (tmp_path / "labels/classes.txt").write_text("two\nthree\n")
    with pytest.raises(DataError, match="classes one, two, got two, three"):
        layout.index(tmp_path)


def test_the_json_is_parsed_once_per_state(tmp_path: Path) -> None:
    lay(tmp_path, "coco")
    layout = folder("coco", "detect")
    records = layout.index(tmp_path)
    content = coco(["a.png", "b.png", "c.png"])
    content["annotations"] = []
    before = (tmp_path / "labels.json").stat()
    first = layout.reader.labels.files.read(tmp_path / "labels.json")  # type: ignore[attr-defined]
    assert layout.reader.labels.files.read(tmp_path / "labels.json") is first  # type: ignore[attr-defined]
    (tmp_path / "labels.json").write_text(json.dumps(content))
    os.utime(tmp_path / "labels.json", ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    target = layout.read(tmp_path, records[0])
    assert isinstance(target, Boxes) and not len(target.labels)


# ---- splits, groups, spacing


@pytest.mark.parametrize(("kind", "task"), KINDS)
def test_splits_by_folder(tmp_path: Path, kind: str, task: str) -> None:
    for split in SPLITS:
        lay(tmp_path, kind, ("a",), split)
    images = {split: f"{split}/images" for split in SPLITS}
    labels = {split: f"{split}/labels" + (".json" if kind == "coco" else "") for split in SPLITS}
    layout = folder(kind, task, images=images, labels=labels)
    opened = open_view(
        "mine", task, ViewConfig({}, exclusive=True), layout, tmp_path, SplitConfig(""), None
    )
    for split in SPLITS:
        (record,) = opened.records[split]
        assert (record.id, record.group, record.split) == (f"{split}/a", f"{split}/a", split)
        assert record.image == f"{split}/images/a.png"
        check(layout.read(tmp_path, record))


def test_coco_may_have_a_file_per_split_over_one_folder(tmp_path: Path) -> None:
    lay(tmp_path, "masks")
    labels = {split: f"{split}.json" for split in SPLITS}
    for split, stem in zip(SPLITS, "abc", strict=True):
        (tmp_path / f"{split}.json").write_text(json.dumps(coco([f"{stem}.png"])))
    layout = folder("coco", "detect", (), labels=labels)
    assert [(record.id, record.split) for record in layout.index(tmp_path)] == [
        ("test/c", "test"),
        ("train/a", "train"),
        ("val/b", "val"),
    ]
    (tmp_path / "val.json").write_text(json.dumps(coco(["b.png", "a.png"])))
    with pytest.raises(
        DataError, match=r"images/a\.png: expected one split, got it as train/a and val/a"
    ):
        layout.index(tmp_path)


LISTS = {"train": "train.txt", "val": "val.txt", "test": "test.txt"}


def lists(
    root: Path, train: str = "a\n", val: str = "b.png", test: str = "\ufeffimages/c.png\r\n\r\n"
) -> None:
    for name, text in zip(LISTS.values(), (train, val, test), strict=True):
        (root / name).write_bytes(text.encode())


@pytest.mark.parametrize("kind", ["masks", "coco"])
def test_splits_by_list(tmp_path: Path, kind: str) -> None:
    """Names, with or without suffix or folder; what a spreadsheet adds is fine."""
    lay(tmp_path, kind)
    lists(tmp_path)
    records = folder(kind, "segment", lists=LISTS).index(tmp_path)
    assert [(record.id, record.split) for record in records] == [
        ("a", "train"),
        ("b", "val"),
        ("c", "test"),
    ]


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (
            {"train": "a\nd\n"},
            r"train\.txt: line 2: expected the name of an image in .*images, got 'd'",
        ),
        (
            {"train": "a\na.png\n"},
            r"train\.txt: line 2: expected every image once, got 'a\.png' as in .*: line 1",
        ),
        (
            {"val": "b\na\n"},
            r"val\.txt: line 2: expected every image once, got 'a' as in .*train\.txt: line 1",
        ),
        (
            {"train": ""},
            r"images/a\.png: expected a line in one of train\.txt, val\.txt, test\.txt",
        ),
    ],
)
def test_bad_lists(tmp_path: Path, texts: dict[str, str], reason: str) -> None:
    lay(tmp_path, "masks")
    lists(tmp_path, **texts)
    with pytest.raises(DataError, match=reason):
        folder("masks", "segment", lists=LISTS).index(tmp_path)


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    lay(tmp_path, "masks")
    lists(tmp_path)
    (tmp_path / "val.txt").unlink()
    with pytest.raises(
        DataError, match=r"val\.txt: expected image names, one per line, found no such file"
    ):
        folder("masks", "segment", lists=LISTS).index(tmp_path)


def test_splits_by_rule_keep_groups_whole(tmp_path: Path) -> None:
    stems = tuple(f"p{patient:02d}_{n}" for patient in range(10) for n in range(3))
    lay(tmp_path, "masks", stems)
    layout = folder("masks", "segment", group=r"^(p\d+)_")
    split = SplitConfig("", shares={"val": 0.2, "test": 0.2}, folds=5)
    for fold in (None, 0, 4):
        opened = open_view(
            "mine", "segment", ViewConfig({}, exclusive=True), layout, tmp_path, split, fold
        )
        groups = {
            part: {record.group for record in records} for part, records in opened.records.items()
        }
        assert {part: len(names) for part, names in groups.items()} == {
            "train": 6,
            "val": 2,
            "test": 2,
        }
        assert set.union(*groups.values()) == {f"p{n:02d}" for n in range(10)}


def test_a_name_without_a_group_is_an_error(tmp_path: Path) -> None:
    lay(tmp_path, "masks", ("p1_a", "xx"))
    with pytest.raises(
        DataError,
        match=r"images/xx\.png: expected a match of dataset\.group=\^\(p\\d\+\)_ in 'xx'",
    ):
        folder("masks", "segment", group=r"^(p\d+)_").index(tmp_path)


def test_spacing_is_every_image_s(tmp_path: Path) -> None:
    lay(tmp_path, "masks")
    records = folder("masks", "segment", mm_per_px=[0.2, 0.1]).index(tmp_path)
    assert {record.mm_per_px for record in records} == {(0.2, 0.1)}


# ---- bad input


def several(root: Path) -> None:
    (root / "labels/a.png").rename(root / "labels/a_1.png")
    Image.fromarray(INDEX).save(root / "labels/a_2.png")


def smooth(root: Path) -> None:
    values = np.linspace(0, 255, 24).astype(np.uint8).reshape(4, 6)
    Image.fromarray(values).save(root / "labels/a.png")


def rewrite(name: str, change: Callable[[str], str]) -> Callable[[Path], Any]:
    return lambda root: (root / name).write_text(change((root / name).read_text()))


def remove(name: str) -> Callable[[Path], Any]:
    return lambda root: (root / name).unlink()


def save(name: str, pixels: Any) -> Callable[[Path], Any]:
    return lambda root: Image.fromarray(pixels).save(root / name)


DAMAGE: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "several masks": (
        "masks",
        several,
        r"images/a\.png: expected an index mask \(PNG\), got 2 for a\.png \(a_1\.png, a_2\.png\); "
        "make it one file",
    ),
    "one more mask": (
        "masks",
        save("labels/a-2.png", INDEX),
        r"got 2 for a\.png \(a-2\.png, a\.png\)",
    ),
    "a smooth mask": (
        "masks",
        smooth,
        r"labels/a\.png: .*got 23 other values \(11, 22, 33 …\): the grey of an anti",
    ),
    "a foreign value": (
        "masks",
        save("labels/a.png", INDEX + 1),
        r"labels/a\.png: .*got value 3 in 3 pixels",
    ),
    "a colour mask": (
        "masks",
        save("labels/a.png", np.full((4, 6, 3), (0, 255, 0), np.uint8)),
        r"labels/a\.png: expected a mask of grey values, got colours; save each class as a grey",
    ),
    "16 bits": ("masks", save("labels/a.png", np.zeros((4, 6), np.uint16)), "more than 8 bits"),
    "a mask of another size": (
        "masks",
        save("labels/a.png", INDEX[:3]),
        r"the size of a\.png \(4, 6\), got \(3, 6\)",
    ),
    "no mask": (
        "masks",
        remove("labels/a.png"),
        r"images/a\.png: expected an index mask \(PNG\) of the same name, .*1 of 3 images",
    ),
    "no image": (
        "masks",
        remove("images/c.png"),
        r"labels/c\.png: expected an image of the same name",
    ),
    "no folder": (
        "masks",
        lambda root: (root / "images").rename(root / "x"),
        r"images: expected a folder of \.png or \.jpg.*got no such folder; .* has labels, x; dataset\.images names",
    ),
    "no text": (
        "yolo",
        remove("labels/a.txt"),
        r"images/a\.png: expected a YOLO text \(empty where it has no objects\)",
    ),
    "an unknown number": (
        "yolo",
        rewrite("labels/a.txt", lambda t: t + "2 0.5 0.5 0.1 0.1"),
        r"a\.txt: line 3: .*0\.\.1",
    ),
    "pixels for fractions": (
        "yolo",
        rewrite("labels/a.txt", lambda t: "0 3 2 6 4"),
        r"a\.txt: line 1: .*fraction",
    ),
    "cut-off JSON": (
        "coco",
        rewrite("labels.json", lambda t: t[:-30]),
        r"labels\.json: .*cut off or damaged",
    ),
    "an image that isn't there": (
        "coco",
        rewrite("labels.json", lambda t: t.replace("b.png", "images/b.png")),
        r"labels\.json: expected its images' file_name below .*images, got 'images/b\.png'",
    ),
    "a path out of the folder": (
        "coco",
        rewrite("labels.json", lambda t: t.replace("b.png", "../b.png")),
        r"'\.\./b\.png'",
    ),
    "an image that the JSON lacks": (
        "coco",
        lambda root: picture(root / "images/d.png"),
        r"images/d\.png: expected a label for every image",
    ),
    "another size in the JSON": (
        "coco",
        rewrite("labels.json", lambda t: t.replace('"height": 4', '"height": 5')),
        r"\(5, 6\)",
    ),
    "an unknown class": (
        "coco",
        rewrite("labels.json", lambda t: t.replace('"two"', '"rib"')),
        "annotation 2: expected a class of one, two, got 'rib of one, rib",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damaged_labels_give_one_line_that_names_the_file(tmp_path: Path, what: str) -> None:
    kind, damage, reason = DAMAGE[what]
    lay(tmp_path, kind)
    damage(tmp_path)
    layout = folder(kind, "detect" if kind == "yolo" else "segment")
    with pytest.raises(DataError, match=reason) as caught:
        for record in layout.index(tmp_path):
            layout.read(tmp_path, record)
    assert str(caught.value).startswith(str(tmp_path)) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "task", "settings", "reason"),
    [
        ("xml", "detect", {}, "dataset.format=xml: expected masks, coco or yolo"),
        ("yolo", "segment", {}, "dataset.format=yolo: YOLO labels are boxes, not for segment"),
        ("masks", "landmark", {}, "dataset.format=masks: masks have no landmarks"),
        (
            "masks",
            "segment",
            {"images": None},
            "dataset.images=None: expected a path below dataset.root",
        ),
        (
            "masks",
            "segment",
            {"images": "/data/images"},
            "dataset.images=/data/images: expected a path below dataset.root",
        ),
        (
            "masks",
            "segment",
            {"labels": "../labels"},
            r"dataset.labels=\.\./labels: expected a path below",
        ),
        (
            "masks",
            "segment",
            {"labels": {"training": "x"}},
            r"dataset.labels=.*training.*: expected a path below",
        ),
        (
            "masks",
            "segment",
            {"images": {"train": "a"}, "labels": {"test": "b"}},
            "expected the same splits",
        ),
        (
            "masks",
            "segment",
            {"images": {"train": "a"}, "lists": LISTS},
            "dataset.lists: folders per split are set too",
        ),
        ("masks", "segment", {"lists": {"training": "a"}}, "dataset.lists="),
        ("masks", "segment", {"group": "(a"}, "dataset.group=.*: expected a regular expression"),
        ("masks", "segment", {"group": r"^p\d+"}, "dataset.group=.*: expected brackets"),
        (
            "masks",
            "segment",
            {"mm_per_px": [0.1]},
            r"dataset.mm_per_px=\[0.1\]: expected \[row, column\] in mm",
        ),
        ("masks", "segment", {"mm_per_px": [0.1, 0]}, "dataset.mm_per_px"),
        ("masks", "segment", {"mm_per_px": [0.1, float("nan")]}, "dataset.mm_per_px"),
        ("masks", "segment", {"mm_per_px": "0.1"}, "dataset.mm_per_px"),
        ("masks", "segment", {"values": [1, 2]}, "dataset.values=.*expected class: value"),
        (
            "masks",
            "segment",
            {"values": {"one": 0, "two": 1}},
            r"a value of 1\.\.255 for each class",
        ),
        (
            "masks",
            "segment",
            {"values": {"one": 1, "two": 1}},
            "expected another value for each class",
        ),
        ("masks", "segment", {"values": {"one": 1}}, "a value for each of one, two"),
        ("coco", "segment", {"values": {"one": 1}}, "values are those of masks"),
    ],
)
def test_a_wrong_setting_says_what_to_set(
    tmp_path: Path, kind: str, task: str, settings: Any, reason: str
) -> None:
    lay(tmp_path, kind if kind in ("masks", "coco", "yolo") else "masks")
    with pytest.raises(ConfigError, match=reason):
        folder(kind, task, **settings).index(tmp_path)


# ---- writing


def samples(kind: str, task: str) -> list[Sample]:
    target: Target = Masks(np.stack([INDEX == 1, INDEX == 2]))
    if task == "landmark":
        target = Landmarks(
            tuple(np.array([[n, 1.5]], np.float32) for n in range(2)), np.zeros(2, np.int8)
        )
    elif kind == "yolo" or (kind, task) == ("coco", "detect"):
        target = Boxes(np.array(BOXES, np.float32), np.array([0, 1]))
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 6)
    return [
        Sample(stem, "g", pixels, target, split=split)
        for stem, split in zip("abc", SPLITS, strict=True)
    ]


def dots(kind: str) -> dict[str, Any]:
    suffix = ".json" if kind == "coco" else ""
    per_split = {key: {split: f"{split}/{key}" for split in SPLITS} for key in ("images", "labels")}
    per_split["labels"] = {split: path + suffix for split, path in per_split["labels"].items()}
    return per_split


@pytest.mark.parametrize("way", ["rule", "folder", "list"])
@pytest.mark.parametrize(("kind", "task"), [*KINDS, ("coco", "landmark")])
def test_what_is_written_is_read(tmp_path: Path, kind: str, task: str, way: str) -> None:
    settings = {"rule": {}, "folder": dots(kind), "list": {"lists": LISTS}}[way]
    layout, again = folder(kind, task, **settings), folder(kind, task, **settings)
    assert layout.written_as == ("segment" if kind == "masks" else task)
    written = layout.write(tmp_path, iter(samples(kind, task)))
    assert written == again.index(tmp_path) == sorted(written, key=lambda record: record.id)
    splits = {record.id.rpartition("/")[2]: record.split for record in written}
    assert splits == (
        dict.fromkeys("abc") if way == "rule" else dict(zip("abc", SPLITS, strict=True))
    )
    for record in written:
        target = again.read(tmp_path, record)
        if isinstance(target, Landmarks):
            assert [path.tolist() for path in target.paths] == [[[0, 1.5]], [[1, 1.5]]]
        else:
            check(target)
        with Image.open(tmp_path / record.image) as image:
            assert np.array_equal(np.array(image).ravel(), range(24))
    assert not list(tmp_path.rglob(".*"))


def test_values_are_written_as_they_are_read(tmp_path: Path) -> None:
    layout = folder("masks", "segment", values={"one": 255, "two": 7})
    record = layout.write(tmp_path, samples("masks", "segment"))[0]
    with Image.open(tmp_path / str(record.label)) as mask:
        assert np.array_equal(np.array(mask), np.array([0, 255, 7])[INDEX])
    check(layout.read(tmp_path, record))


@pytest.mark.parametrize(("kind", "task"), KINDS)
def test_write_wants_the_format_s_target_and_a_split(tmp_path: Path, kind: str, task: str) -> None:
    (sample, *_) = samples(kind, task)
    other = Boxes.empty() if isinstance(sample.target, Masks) else Masks(np.zeros((2, 4, 6), bool))
    with pytest.raises(DataError, match=r"sample a: expected .* got"):
        folder(kind, task).write(tmp_path, [Sample("a", "g", sample.image, other)])
    for settings in (dots(kind), {"lists": LISTS}):
        with pytest.raises(DataError, match="sample a: expected a split"):
            folder(kind, task, **settings).write(
                tmp_path, [Sample("a", "g", sample.image, sample.target)]
            )


# ---- the YAML


def composed(*overrides: str) -> dict[str, Any]:
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = OmegaConf.to_container(hydra.compose("config", list(overrides)), resolve=True)
    assert isinstance(config, dict)
    return {str(key): value for key, value in config.items()}


@pytest.mark.parametrize(
    "settings",
    [
        ["model=unet"],
        ["model=yolov8"],
        ["model=yolov8", "dataset.format=yolo"],
        ["model=unet", "dataset.format=coco", "dataset.labels=truth.json"],
        ["model=unet", "dataset.values={cyst: 100, lesion: 255}", "dataset.mm_per_px=[0.1,0.2]"],
        [
            *("model=yolov8", "dataset.format=coco", "dataset.images={train: a, val: b, test: c}"),
            *(
                "dataset.labels={train: a.json, val: b.json, test: c.json}",
                "dataset.split.shares=null",
            ),
        ],
        ["model=unet", "dataset.lists={train: a, val: b, test: c}", "dataset.split.shares=null"],
        ["model=unet", r'dataset.group="^(\d\d\d)"'],
    ],
    ids=lambda settings: " ".join(settings)[:60],
)
def test_a_cell_of_every_kind(tmp_path: Path, settings: list[str]) -> None:
    """From the command line to samples, on a phantom in the same folders.

    The class names come from its files.
    """
    small = ("dataset.phantom.size=[64,96]", "dataset.phantom.counts={train: 30, val: 5, test: 5}")
    quiet = ("device=cpu", "threads=1", "precision=fp32", f"runs={tmp_path}", "source=phantom")
    config = resolve_config(composed("dataset=folder", *quiet, *small, *settings))
    opened = config.open_dataset()
    assert opened.classes == config.dataset.views[config.task].classes == ("cyst", "lesion")
    assert all(len(opened.records[split]) >= 5 for split in SPLITS)
    assert opened.samples("test")[0].image.shape == (64, 96)


def test_the_layout_s_keys_are_those_of_earlier_runs() -> None:
    """They are part of every run id: one more would make all runs on folders other runs."""
    layout = composed("dataset=folder")["dataset"]["views"]["segment"]["layout"]
    keys = "_target_ format images labels pair_by values min_pixels lists group mm_per_px exclusive"
    assert set(layout) == {*keys.split(), "task"}
    assert class_identity(layout["_target_"]) == "folder 1"


def test_folders_per_split_and_shares_contradict(tmp_path: Path) -> None:
    for split in SPLITS:
        lay(tmp_path, "masks", ("a",), split)
    layout = folder("masks", "segment", **dots("masks"))
    with pytest.raises(ConfigError, match=r"split\.shares of mine: .*leave shares out"):
        open_view(
            "mine",
            "segment",
            ViewConfig({}),
            layout,
            tmp_path,
            SplitConfig("", shares={"val": 0.1, "test": 0.2}),
            None,
        )


def test_a_lab_s_own_yaml_is_a_few_lines(tmp_path: Path) -> None:
    """The example in the comments of conf/dataset/folder.yaml, with the landmarks below it."""
    comments = [
        line.removeprefix("#").removeprefix("   ")
        for line in (conf_dir() / "dataset" / "folder.yaml").read_text().splitlines()
        if line.startswith("#   ")
        and "usbench dataset=" not in line
        and "dataset.images=" not in line
    ]
    merged, views = [], False
    for line in comments:  # the second `format:` begins the landmarks' lines
        if line.startswith(("format: coco", "labels: keypoints")):
            continue
        views |= line.startswith("views: {landmark")
        merged.append(line)
    assert views
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset/liver.yaml").write_text("\n".join(merged) + "\n")
    node = composed(f"hydra.searchpath=[file://{tmp_path}]", "dataset=liver")["dataset"]
    assert (
        node["name"] == "liver" and node["split"]["shares"] is None and node["size"] == [600, 800]
    )
    layout = node["views"]["segment"]["layout"]
    assert (
        layout["images"] == {split: f"{split}/pictures" for split in SPLITS}
        and layout["group"] == r"^(p\d+)_"
    )
    assert layout["values"] == {"liver": 128, "lesion": 255} and layout["mm_per_px"] == [0.12, 0.12]
    assert node["views"]["landmark"]["layout"]["task"] == "landmark"
    source.build_layout(DatasetConfig.from_mapping(node), "segment", phantom=False)


# ---- the real images of usgra as a folder

DATA = os.environ.get("USBENCH_TEST_DATA")
USGRA = (
    "dataset=folder",
    "dataset.images={train: dataset/images, test: dataset/test/images}",
    "dataset.labels={train: dataset/masks, test: dataset/test/masks}",
    "dataset.views.segment.classes=[nerve,vessel]",
    "dataset.views.detect.classes=[nerve,vessel]",
    "dataset.split.shares=null",
    "dataset.split.val_share=0.15",
)


@pytest.mark.real
@pytest.mark.skipif(not DATA, reason="USBENCH_TEST_DATA names no folder of real images")
@pytest.mark.parametrize("task", ["segment", "detect"])
def test_usgra_as_a_folder_is_usgra(task: str) -> None:
    root = Path(str(DATA)) / "usgra"
    theirs, ours = (
        source.build_layout(
            DatasetConfig.from_mapping(composed(*overrides)["dataset"]), task, False
        )
        for overrides in (("dataset=usgra",), USGRA)
    )
    records = theirs.index(root)
    assert ours.index(root) == records and len(records) == 244
    for record in records:
        first, second = theirs.read(root, record), ours.read(root, record)
        if isinstance(first, Masks):
            assert np.array_equal(first.planes, second.planes)
        else:
            assert np.array_equal(first.xyxy, second.xyxy) and np.array_equal(
                first.labels, second.labels
            )
