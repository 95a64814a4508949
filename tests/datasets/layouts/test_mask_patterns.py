"""dataset=folder by patterns: trees as people have them, by hand, and what a wrong pattern gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.release_files import draw, save, speckle
from usbench.datasets import source
from usbench.datasets.config import DatasetConfig
from usbench.datasets.layouts.folder import Folder
from usbench.errors import ConfigError, DataError
from usbench.types import Boxes, Masks, Sample

LEFT = draw(["####....", "####....", "........"])
RIGHT = draw([".....###", ".....###", ".....###"])
NONE = LEFT * 0
GREY = speckle(3, 8)


def folder(images: Any, labels: Any, classes: Any = ("lesion",), **settings: Any) -> Folder:
    return Folder(classes, "masks", images, labels, **{"task": "segment", **settings})


def save_all(root: Path, **masks: Any) -> None:
    """Files of masks, or of an image where None is said; __ in a name is a folder's end."""
    for name, pixels in masks.items():
        stem, _, suffix = name.replace("__", "/").rpartition("_")
        save(root / f"{stem}.{suffix}", GREY if pixels is None else pixels)


def planes_of(layout: Folder, root: Path) -> dict[str, list[int]]:
    """The number of pixels of each class, by id."""
    counts = {}
    for record in layout.index(root):
        target = layout.read(root, record)
        assert isinstance(target, Masks)
        counts[record.id] = target.planes.sum((1, 2)).tolist()
    return counts


@pytest.fixture
def busi(tmp_path: Path) -> Path:
    """BUSI's tree: several masks, 1 bit, RGB, RGBA, normal images."""
    for name, mask, mode in (
        ("benign/benign (1)", LEFT, "1"),
        ("benign/benign (2)", LEFT, "RGBA"),
        ("malignant/malignant (1)", RIGHT, "1"),
        ("normal/normal (1)", NONE, "RGB"),
    ):
        save(tmp_path / f"{name}.png", GREY, "RGB")
        save(tmp_path / f"{name}_mask.png", mask, mode)
    save(tmp_path / "benign/benign (2)_mask_1.png", RIGHT, "1")
    return tmp_path


def test_several_masks_are_united(busi: Path) -> None:
    layout = folder("{kind}/{id}.png", "{kind}/{id}_mask*.png")
    assert planes_of(layout, busi) == {
        "benign/benign (1)": [8],
        "benign/benign (2)": [8 + 9],
        "malignant/malignant (1)": [9],
        "normal/normal (1)": [0],
    }
    record = layout.index(busi)[1]
    assert record.attributes == {"kind": "benign", "id": "benign (2)"}
    assert (record.group, record.split, record.mm_per_px) == (record.id, None, None)
    assert layout.mask_files(busi, record) == [
        "benign/benign (2)_mask.png",
        "benign/benign (2)_mask_1.png",
    ]
    assert layout.shared_files(busi) == ["benign/benign (2)_mask_1.png"]


def test_the_folder_is_the_class(busi: Path) -> None:
    patterns = "{class}/{id}.png", "{class}/{id}_mask*.png"
    layout = folder(*patterns, classes=("benign", "malignant"))
    assert planes_of(layout, busi)["benign/benign (1)"] == [8, 0]
    assert planes_of(layout, busi)["malignant/malignant (1)"] == [0, 9]
    assert planes_of(layout, busi)["normal/normal (1)"] == [0, 0]
    named = folder(*patterns, classes=())
    named.index(busi)
    assert named.classes == ("benign", "malignant", "normal")
    save(busi / "normal/normal (1)_mask.png", LEFT)
    with pytest.raises(DataError, match="expected an empty mask, as class is normal, got 8 pixels"):
        planes_of(layout, busi)
    with pytest.raises(DataError, match=r"expected some of benign, malignant, normal .* got cyst"):
        folder(*patterns, classes=("benign", "cyst")).index(busi)


def test_words_choose_among_folders(busi: Path) -> None:
    layout = folder("{kind:benign|malignant}/{id}.png", "{kind:benign|malignant}/{id}_mask*.png")
    assert len(layout.index(busi)) == 3


def test_boxes_of_a_pattern_s_masks(busi: Path) -> None:
    layout = folder("{kind}/{id}.png", "{kind}/{id}_mask*.png", task="detect", min_pixels=3)
    target = layout.read(busi, layout.index(busi)[1])
    assert isinstance(target, Boxes)
    assert target.xyxy.tolist() == [[0, 0, 4, 2], [5, 0, 8, 3]]


def test_a_mask_for_each_class(tmp_path: Path) -> None:
    masks = {"a_left_png": LEFT, "a_right_png": RIGHT, "b_right_png": RIGHT * 0 + 255}
    save_all(tmp_path, a_png=None, b_png=None, **masks)
    labels = {"left": "{id}_left.png", "right": "{id}_right.png"}
    layout = folder("{id:[ab]}.png", labels, classes=())
    assert layout.classes == ("left", "right")
    assert planes_of(layout, tmp_path) == {"a": [8, 9], "b": [0, 24]}
    save_all(tmp_path, b_left_png=LEFT)
    with pytest.raises(
        DataError, match=r"b\.png: expected classes that share no pixel, .* share 8"
    ):
        planes_of(layout, tmp_path)
    overlapping = folder("{id:[ab]}.png", labels, classes=(), exclusive=False)
    assert planes_of(overlapping, tmp_path)["b"] == [8, 24]
    for name in ("b_left.png", "b_right.png"):
        (tmp_path / name).unlink()
    with pytest.raises(DataError, match=r"b\.png: expected a mask of a class, found none"):
        layout.index(tmp_path)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("scans", "masks/{id}_m*.png"),
        ("scans/{id}.*", "masks/{id}_m.*"),
        ("./scans/{id}.*", "masks/{id}_m.png"),
    ],
)
def test_pictures_of_every_format(tmp_path: Path, images: str, labels: str) -> None:
    save_all(tmp_path, scans__a_tif=None, scans__b_JPG=None, scans__c_bmp=None)
    save_all(tmp_path, masks__a_m_png=LEFT, masks__b_m_png=RIGHT, masks__c_m_png=NONE)
    (tmp_path / "scans/notes.txt").write_text("no picture")
    assert planes_of(folder(images, labels), tmp_path) == {"a": [8], "b": [9], "c": [0]}


def test_a_plain_folder_of_masks_has_the_images_names(tmp_path: Path) -> None:
    save_all(tmp_path, scans__x__a_jpg=None, scans__y__b_jpg=None)
    save_all(tmp_path, masks__a_png=LEFT, masks__b_png=RIGHT)
    layout = folder("scans/{side}/{id}.jpg", "masks")
    assert planes_of(layout, tmp_path) == {"x/a": [8], "y/b": [9]}
    save_all(tmp_path, scans__y__a_jpg=None)
    with pytest.raises(DataError, match=r"masks/a\.png: expected a mask of one image, got it for"):
        layout.index(tmp_path)


def test_groups_spacing_and_values(tmp_path: Path) -> None:
    save_all(tmp_path, p1__a1_png=None, p1__a2_png=None, p2__b1_png=None)
    both = np.where(LEFT > 0, 40, np.where(RIGHT > 0, 9, 0)).astype(np.uint8)
    for name in ("p1/a1", "p1/a2", "p2/b1"):
        save(tmp_path / f"{name}_gt.png", both)
    labels, values = "{group}/{id}_gt.png", {"right": 9, "left": 40}
    layout = folder("{group}/{id}.png", labels, (), values=values, mm_per_px=[0.1, 0.2])
    records = layout.index(tmp_path)
    assert layout.classes == ("right", "left")
    assert [record.group for record in records] == ["p1", "p1", "p2"]
    assert {record.mm_per_px for record in records} == {(0.1, 0.2)}
    assert planes_of(layout, tmp_path)["p1/a1"] == [9, 8]
    by_name = folder("{p}/{id}.png", "{p}/{id}_gt.png", (), values=values, group="^([ab])")
    assert [record.group for record in by_name.index(tmp_path)] == ["a", "a", "b"]


def test_patterns_per_split_and_lists(tmp_path: Path) -> None:
    places = {"train": "fit", "val": "choose", "test": "try"}
    for place in places.values():
        save_all(tmp_path, **{f"{place}__a_png": None, f"{place}__a_m_png": LEFT})
    layout = folder(
        {split: f"{place}/{{id}}.png" for split, place in places.items()},
        {split: f"{place}/{{id}}_m.png" for split, place in places.items()},
    )
    records = layout.index(tmp_path)
    assert [(record.id, record.split) for record in records] == [
        (f"{split}/a", split) for split in ("test", "train", "val")
    ]
    assert planes_of(layout, tmp_path) == {"train/a": [8], "val/a": [8], "test/a": [8]}
    for split, place in places.items():
        (tmp_path / f"{split}.txt").write_text(f"{place}/a.png\n")
    lists = {split: f"{split}.txt" for split in places}
    listed = folder("{place}/{id}.png", "{place}/{id}_m.png", lists=lists)
    assert {record.id: record.split for record in listed.index(tmp_path)} == {
        "fit/a": "train",
        "choose/a": "val",
        "try/a": "test",
    }


@pytest.mark.parametrize(
    ("images", "labels", "settings", "says"),
    [
        ("{id}.png", "{id}.png", {}, "image and mask are the same file: give a suffix"),
        ("*/*.png", "*/*_m.png", {}, r"got a star; write \{folder\}/\{id\}\.png"),
        ("{id}.png", "{n}_m.png", {}, "expected a field that both have"),
        ("{id.png", "{id}_m.png", {}, r"expected a name between \{ and \}"),
        ("{id}.png", "/masks/{id}.png", {}, r"dataset\.labels=/masks/.*expected a path below"),
        ("{id}.png", "../{id}.png", {}, r"dataset\.labels=\.\./.*expected a path below"),
        ("{id}.png", "{id}_m.png", {"classes": ()}, r"dataset\.classes=null: expected what"),
        ("{id}.png", "{id}_m.png", {"pair_by": "(.)"}, r"dataset\.pair_by=\(\.\): expected null"),
        ("{id}.png", "{id}_m.png", {"values": {"x": 1}}, "expected a value for each of lesion"),
        ("{id}.png", "{id}_m.png", {"task": "landmark"}, "masks have no landmarks"),
        ("{group}.png", "{group}_m.png", {"group": "(.)"}, "names the group too"),
        ("{class}.png", "{class}_m.png", {"values": {"lesion": 1}}, "leave values out"),
        ({"train": "{id}.png"}, {"test": "{id}_m.png"}, {}, "expected the same splits"),
        (
            {"train": "{id}.png"},
            {"train": "{id}_m.png"},
            {"lists": {"train": "a.txt"}},
            "patterns per split are set too",
        ),
    ],
)
def test_a_wrong_setting_says_what_to_set(
    images: Any, labels: Any, settings: Any, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        folder(images, labels, **settings)


def test_patterns_are_for_masks() -> None:
    with pytest.raises(ConfigError, match=r"dataset\.format=yolo: expected masks where"):
        Folder(("a",), "yolo", "{id}.png", "{id}.txt", "detect")


@pytest.mark.parametrize(
    ("images", "labels", "says"),
    [
        (
            "",
            "{id}_m.png",
            r"no PNG, JPEG, BMP or TIFF directly in it; subfolders benign, malignant"
            r", normal aren't searched: use images='…/\{kind\}/\{id\}\.png'",
        ),
        (
            "{id}.png",
            "{id}_m.png",
            r"no \{id\}\.png directly in it; subfolders benign, malignant, n",
        ),
        ("{kind}/{id}.bmp", "{kind}/{id}_m.png", r"such as \{kind\}/\{id\}\.bmp, found none; corr"),
        ("{kind}/{id}.png", "{kind}/{id}_s.png", r"masks such as .*_s\.png, found none \(9 images"),
        ("{kind}/{id}.png", "{kind}/{id}*.png", "image and mask are the same file: give a suffix"),
        ("no/{id}.png", "{id}_m.png", "no: expected a folder with .*, got no such folder"),
        (
            "{kind}/{id}.png",
            "{kind}/{id}_mask.png",
            r"benign \(2\)_mask_1\.png: expected its label",
        ),
    ],
)
def test_a_pattern_that_finds_nothing(busi: Path, images: str, labels: str, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        folder(images or ".", labels).index(busi)
    assert str(caught.value).startswith(str(busi)) and "\n" not in str(caught.value)


def test_plain_folders_say_what_they_lack(busi: Path) -> None:
    (busi / "masks").mkdir()
    with pytest.raises(DataError, match=r"subfolders benign, malignant, masks, normal aren't sea"):
        folder(".", "masks").index(busi)
    with pytest.raises(ConfigError, match="image and mask are the same file: give a suffix"):
        folder("benign", "benign/")


def test_masks_of_plain_folders_need_no_values(tmp_path: Path) -> None:
    save_all(tmp_path, images__a_tif=None, images__b_png=None)
    save(tmp_path / "labels/a.png", LEFT)
    save(tmp_path / "labels/b.png", RIGHT, "1")
    assert planes_of(folder("images", "labels"), tmp_path) == {"a": [8], "b": [9]}
    for name in "ab":
        save(tmp_path / f"bitmaps/{name}.bmp", LEFT)
    assert planes_of(folder("images", "bitmaps"), tmp_path) == {"a": [8], "b": [8]}


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("{kind:benign|normal}/{id}.png", "{kind:benign|normal}/{id}_mask*.png"),
        ("{group}/{group} ({n}).*", "{group}/{group} ({n})_mask{k}.bmp"),
        ("images", "labels/{id}_m.png"),
    ],
)
def test_what_is_written_is_read(tmp_path: Path, images: str, labels: str) -> None:
    samples = [
        Sample(name, f"g{name}", GREY, Masks(mask[None] > 0))
        for name, mask in (("1", LEFT), ("2", NONE))
    ]
    layout = folder(images, labels)
    assert len(layout.write(tmp_path, samples)) == 2
    assert list(planes_of(layout, tmp_path).values()) == [[8], [0]]


def test_a_phantom_of_several_classes_has_no_folder_for_them(tmp_path: Path) -> None:
    planes = np.stack([LEFT > 0, RIGHT > 0])
    layout = folder("{class}/{id}.png", "{class}/{id}_m.png", ("a", "b"))
    with pytest.raises(ConfigError, match=r"expected images of one class each.*set dataset\.root"):
        layout.write(tmp_path, [Sample("1", "g", GREY, Masks(planes))])


def test_from_the_command_line_to_a_dataset(busi: Path, compose: Any) -> None:
    for n in range(2, 12):
        save(busi / f"normal/normal ({n}).png", GREY)
        save(busi / f"normal/normal ({n})_mask.png", NONE)
    patterns = "dataset.images='{kind}/{id}.png'", "dataset.labels='{kind}/{id}_mask*.png'"
    node = compose("dataset=folder", *patterns, "dataset.classes=[lesion]")["dataset"]
    dataset = source.open_dataset(DatasetConfig.from_mapping(node), "segment", busi, phantom=False)
    assert dataset.classes == ("lesion",)
    assert sum(map(len, dataset.records.values())) == 14
