"""Cesarean scar defects, written by hand. Evidence: constantinpape/torch-em@8a405e18
torch_em/data/datasets/medical/cesarean_scar_defect.py. File names and the values of the masks are
stated nowhere; numbers, and 1 in a palette, are assumed here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.helpers.release_files import draw, index_release, open_release, save, save_text, speckle
from usbench.errors import DataError
from usbench.types import SPLITS

VOC = "VOCdevkit_CSD/VOCdevkit_CSD/VOC2007"
LISTS = f"{VOC}/ImageSets/Segmentation"
DEFECT = draw(
    ["........", "..#####.", ".######.", ".######.", "..#####.", "........"], {".": 0, "#": 1}
)
TRAIN = ["1", "2", "3", "10", "11", "12", "13"]
TEST = ["4", "5", "6"]
ABSENT = ["801", "802", "803"]  # a known defect: ids of the lists without a file


def save_palette(path: Path, index: NDArray[np.uint8]) -> None:
    """Indices with the VOC colours: 1 is red, 255 a border."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(index)
    picture.putpalette([0, 0, 0, 128, 0, 0, *[0, 0, 0] * 253, 224, 224, 192])
    picture.save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for n, name in enumerate([*TRAIN, *TEST]):
        save(tmp_path / f"{VOC}/JPEGImages/{name}.jpg", speckle(6, 8, n), "RGB")
        save_palette(tmp_path / f"{VOC}/SegmentationClass/{name}.png", DEFECT)
    save_text(tmp_path / f"{LISTS}/train.txt", *TRAIN, *ABSENT[:2])
    save_text(tmp_path / f"{LISTS}/val.txt", *TEST, f"{ABSENT[2]} ", "")
    return tmp_path


def test_masks_are_the_indices_that_pillow_reads(root, compose):
    dataset = open_release(compose, "csd", "segment", root)
    assert dataset.classes == ("scar defect",)
    for split in SPLITS:
        for sample in getattr(dataset, split):
            with Image.open(root / f"{VOC}/SegmentationClass/{sample.id}.png") as mask:
                assert mask.mode == "P"
                assert np.array_equal(sample.target.planes[0], np.array(mask) == 1)
            assert sample.target.planes.sum() == 22
    assert dataset.layout.oddities() == {}


def test_masks_of_255_are_read_and_counted(root, compose):
    for name in TEST[:2]:
        save(root / f"{VOC}/SegmentationClass/{name}.png", DEFECT * 255)
    dataset = open_release(compose, "csd", "segment", root)
    for sample in dataset.test:
        assert np.array_equal(sample.target.planes[0], DEFECT == 1)
    assert dataset.layout.oddities() == {"masks with another value than 1": 2}


def test_boxes_are_those_of_the_masks(root, compose):
    for sample in open_release(compose, "csd", "detect", root).test:
        assert sample.target.xyxy.tolist() == [[1, 1, 7, 5]]


def test_val_txt_tests_and_train_txt_is_divided(root, compose):
    records = open_release(compose, "csd", "segment", root).records
    names = {split: {record.id for record in records[split]} for split in SPLITS}
    assert names["test"] == set(TEST)
    assert names["train"] | names["val"] == set(TRAIN)
    assert len(names["val"]) == 2  # the first count of at least 15 %
    assert all(record.group == record.id for part in records.values() for record in part)


def test_more_absent_names_than_known_are_refused(root, compose):
    known = "dataset.views.segment.known_defects.absent_names"
    assert open_release(compose, "csd", "segment", root, f"{known}=3").records["test"]
    with pytest.raises(
        DataError, match=r"3 problems: .*line 8: expected the name of an image, got '801'"
    ):
        open_release(compose, "csd", "segment", root, f"{known}=2")


BAD = {
    "an image without a mask": (
        lambda root: (root / f"{VOC}/SegmentationClass/1.png").unlink(),
        rf"JPEGImages/1.jpg: expected its label {VOC}/SegmentationClass/1.png, found none",
    ),
    "a mask without an image": (
        lambda root: save(root / f"{VOC}/SegmentationClass/7.png", DEFECT),
        r"SegmentationClass/7.png: expected an image for this label, found none",
    ),
    "an image in no list": (
        lambda root: save_text(root / f"{LISTS}/val.txt", *TEST[1:]),
        rf"JPEGImages/4.jpg: expected it in one of {LISTS}/train.txt, {LISTS}/val.txt, found it in",
    ),
    "an image in both lists": (
        lambda root: save_text(root / f"{LISTS}/val.txt", *TEST, TRAIN[0]),
        r"val.txt: line 4: expected every image once, got '1' again",
    ),
    "no list": (
        lambda root: (root / f"{LISTS}/val.txt").unlink(),
        r"val.txt: expected names of images, one a line, found no such file",
    ),
    "a tree that isn't doubled": (
        lambda root: (root / "VOCdevkit_CSD").rename(root / "VOCdevkit"),
        r"JPEGImages: expected a folder with VOCdevkit_CSD/VOCdevkit_CSD/.*, got no such folder",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_files_are_refused(root, compose, what):
    damage, message = BAD[what]
    damage(root)
    with pytest.raises(DataError, match=message):
        index_release(compose, "csd", "segment", root)


BORDERED = DEFECT.copy()
BORDERED[2, 1] = 255
GREYS = DEFECT * np.arange(1, 9, dtype=np.uint8)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (DEFECT[:5], r"expected the size of its image, 6 × 8, got 5 × 8"),
        (BORDERED, r"expected 0 background and one other value, got 2 \(1, 255\); which of them"),
        (GREYS, r"expected 0 background and one other value, got 6 \(2, 3, 4 …\); which of them"),
    ],
    ids=["another size", "a border", "greys"],
)
def test_bad_masks_are_refused(root, compose, mask, message):
    save_palette(root / f"{VOC}/SegmentationClass/4.png", mask)
    dataset = open_release(compose, "csd", "segment", root)
    with pytest.raises(DataError, match=f"SegmentationClass/4.png: {message}"):
        list(dataset.test)


def test_a_mask_in_colours_is_refused(root, compose):
    red = np.stack([DEFECT * 128, DEFECT * 0, DEFECT * 0], -1)
    save(root / f"{VOC}/SegmentationClass/4.png", red)
    dataset = open_release(compose, "csd", "segment", root)
    with pytest.raises(DataError, match=r"4.png: expected a mask of grey values, got colours"):
        list(dataset.test)
