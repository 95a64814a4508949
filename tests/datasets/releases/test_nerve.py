"""Kaggle's Ultrasound Nerve Segmentation, written by hand. Evidence: CAMMA-public/UltraSam@458ec794
datasets/datasets/Ultrasound_Nerve_Segmentation.py, jocicmarko/ultrasound-nerve-segmentation@7c7ce16a
data.py, openmedlab/Awesome-Medical-Dataset@81da0eee resources/UNS.md.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.release_files import draw, index_release, open_release, save, save_text, speckle
from usbench.errors import DataError
from usbench.types import SPLITS

NERVE = draw(["........", "..#####.", ".######.", ".######.", "..#####.", "........"])  # 22 px
EMPTY = np.zeros_like(NERVE)
PATIENTS = ("1", "2", "10", "33", "47")
NAMES = [f"{patient}_{n}" for patient in PATIENTS for n in (1, 120)]


def has_nerve(name: str) -> bool:
    return name.endswith("_1")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for n, name in enumerate(NAMES):
        save(tmp_path / f"train/{name}.tif", speckle(6, 8, n))
        save(tmp_path / f"train/{name}_mask.tif", NERVE if has_nerve(name) else EMPTY)
    save(tmp_path / "test/9.tif", speckle(6, 8))  # without a mask, so it isn't read
    save_text(tmp_path / "train_masks.csv", "subject,img,pixels", "1,120,")
    save_text(tmp_path / "sample_submission.csv", "img,pixels", "1,1 1")
    return tmp_path


def test_masks_are_as_pillow_reads_them(root, compose):
    dataset = open_release(compose, "nerve", "segment", root)
    assert dataset.classes == ("brachial plexus",)
    seen = set()
    for split in SPLITS:
        for sample, record in zip(getattr(dataset, split), dataset.records[split], strict=True):
            name = sample.id.replace("/", "_")
            with Image.open(root / f"train/{name}_mask.tif") as mask:
                assert np.array_equal(sample.target.planes[0], np.array(mask) == 255)
            assert sample.target.planes.any() == has_nerve(name)
            assert record.image == f"train/{name}.tif" and record.mm_per_px is None
            seen.add(name)
    assert seen == set(NAMES)


def test_boxes_are_those_of_the_masks(root, compose):
    dataset = open_release(compose, "nerve", "detect", root)
    for split in SPLITS:
        for sample in getattr(dataset, split):
            expected = [[1, 1, 7, 5]] if sample.id.endswith("/1") else []
            assert sample.target.xyxy.tolist() == expected


def test_a_patient_is_in_one_split(root, compose):
    dataset = open_release(compose, "nerve", "segment", root)
    groups = {
        split: sorted({record.group for record in dataset.records[split]}) for split in SPLITS
    }
    assert sorted(groups["train"] + groups["val"] + groups["test"]) == sorted(PATIENTS)
    assert {split: len(part) for split, part in groups.items()} == {"train": 3, "val": 1, "test": 1}


def test_each_patient_is_tested_in_one_fold(root, compose):
    tested = []
    for fold in range(5):
        records = open_release(compose, "nerve", "segment", root, fold=fold).records["test"]
        assert {record.image for record in records} == {
            f"train/{records[0].group}_{n}.tif" for n in (1, 120)
        }
        tested.append(records[0].group)
    assert sorted(tested) == sorted(PATIENTS)


BAD = {
    "an image without a mask": (
        lambda root: (root / "train/33_1_mask.tif").unlink(),
        r"train/33_1.tif: expected its label train/33_1_mask.tif, found none",
    ),
    "a mask without an image": (
        lambda root: save(root / "train/48_7_mask.tif", NERVE),
        r"train/48_7_mask.tif: expected an image for this label, found none",
    ),
    "no training images": (
        lambda root: (root / "train").rename(root / "training"),
        r"train: expected a folder with train/.*\.tif, got no such folder",
    ),
    "a mirror with a folder of masks": (
        lambda root: save(root / "train_masks/1_1.png", NERVE),
        r"train_masks: this is a mirror with masks in a folder of their own; usbench reads the "
        r"competition's own files, train/<subject>_<image>.tif",
    ),
    "a mirror in PNG": (
        lambda root: save(root / "train/1_1.png", NERVE),
        r"train/1_1.png: this is a mirror in PNG; usbench reads the competition's own files",
    ),
    "MedSegBench's copy": (
        lambda root: save_text(root / "ultrasoundnerve_256.npz"),
        r"ultrasoundnerve_256.npz: this is MedSegBench's copy \(frames with a nerve only",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_files_are_refused(root, compose, what):
    damage, message = BAD[what]
    damage(root)
    with pytest.raises(DataError, match=message):
        index_release(compose, "nerve", "segment", root)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (NERVE[:, :5], r"expected the size of its image, 6 × 8, got 6 × 5"),
        (NERVE // 255, r"expected 0 background, 255 brachial plexus, got value 1 in 22 pixels"),
        (np.stack([NERVE, EMPTY, EMPTY], -1), r"expected a mask of grey values, got colours"),
    ],
    ids=["another size", "0 and 1", "colours"],
)
def test_bad_masks_are_refused(root, compose, mask, message):
    for name in NAMES:
        save(root / f"train/{name}_mask.tif", mask)
    dataset = open_release(compose, "nerve", "segment", root)
    with pytest.raises(DataError, match=f"_mask.tif: {message}"):
        dataset.test[0]
