"""TG3K, written by hand. Evidence: constantinpape/torch-em@e1626c12
torch_em/data/datasets/medical/tg3k.py; CAMMA-public/UltraSam@458ec794 datasets/datasets/TG3K.py;
haifangong/TRFE-Net-for-thyroid-nodule-segmentation@05a60256 dataloaders/tg3k.py.
"""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.release_files import draw, index_release, open_release, save, save_text, speckle
from usbench.datasets import splits
from usbench.datasets.config import DatasetConfig
from usbench.errors import DataError
from usbench.types import SPLITS, Record

GLAND = draw(["." * 16] * 3 + ["..##########...."] * 6 + ["." * 16] * 3)
SOFT = {0: 0, 1: 60, 2: 120, 3: 135, 4: 200, 5: 255}  # columns of one mask's edge
FOLDER = "Thyroid Dataset/tg3k"
FRAMES = 12


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for n in range(FRAMES):
        save(tmp_path / FOLDER / f"thyroid-image/{n:04d}.jpg", speckle(12, 16, n), "RGB")
        save(tmp_path / FOLDER / f"thyroid-mask/{n:04d}.jpg", np.roll(GLAND, n % 4, axis=1))
    soft = np.repeat([[SOFT.get(column, 255) for column in range(16)]], 12, axis=0)
    save(tmp_path / FOLDER / "thyroid-mask/0000.jpg", soft.astype(np.uint8), quality=100)
    save_text(tmp_path / FOLDER / "tg3k-trainval.json", '{"train": [0, 1], "val": [2]}', end="")
    save(tmp_path / "Thyroid Dataset/tn3k/test-image/0000.jpg", speckle(8, 8))
    return tmp_path


def open_small(compose, root):
    """With a gap that leaves some of so few frames."""
    return open_release(compose, "tg3k", "segment", root, "dataset.split.gap=1")


def test_masks_are_as_pillow_reads_them(root, compose):
    dataset = open_small(compose, root)
    assert dataset.classes == ("thyroid gland",)
    seen = []
    for split in SPLITS:
        for sample, record in zip(getattr(dataset, split), dataset.records[split], strict=True):
            with Image.open(root / str(record.label)) as mask:
                expected = np.array(mask) > 127
            assert np.array_equal(sample.target.planes, expected[None])
            assert sample.group == sample.id and sample.mm_per_px is None
            if sample.id == "0000":
                assert np.flatnonzero(expected[0]).tolist() == list(range(3, 16))
            else:
                drawn = np.roll(GLAND, int(sample.id) % 4, axis=1) > 0
                assert np.array_equal(sample.target.planes[0], drawn)
            seen.append(sample.id)
    assert len(seen) == FRAMES - 2  # the gap


def test_splits_are_runs_of_the_numbers(root, compose):
    dataset = open_small(compose, root)
    ids = [record.id for split in SPLITS for record in dataset.records[split]]
    assert ids == sorted(ids)
    assert [record.id for record in dataset.records["test"]] == ["0011"]


@pytest.mark.parametrize("fold", [None, 0, 1, 2, 3, 4])
def test_no_video_of_330_frames_is_on_two_sides(compose, fold):
    config = DatasetConfig.from_mapping(compose("dataset=tg3k")["dataset"])
    frames = [Record(f"{n:04d}", f"{n:04d}", "", None) for n in range(3585)]
    kept = splits.assign_splits(frames, config.split, fold, "tg3k")
    borders = [
        int(after.id) - int(before.id)
        for before, after in itertools.pairwise(kept)
        if after.split != before.split
    ]
    assert len(borders) in (2, 3) and set(borders) == {331}
    if fold is None:
        assert Counter(record.split for record in kept) == {"train": 2165, "val": 208, "test": 552}


BAD = {
    "an image without a mask": (
        lambda root: (root / FOLDER / "thyroid-mask/0001.jpg").unlink(),
        r"thyroid-image/0001.jpg: expected its label .*thyroid-mask/0001.jpg, found none",
    ),
    "a mask without an image": (
        lambda root: (root / FOLDER / "thyroid-image/0001.jpg").unlink(),
        r"thyroid-mask/0001.jpg: expected an image for this label, found none",
    ),
    "folders that were moved": (
        lambda root: (root / FOLDER).rename(root / "tg3k"),
        r"tg3k: this is the folders of TG3K without their parents; put them into Thyroid",
    ),
    "the volumes": (
        lambda root: save_text(root / "D1.dcm", "DICM"),
        r"D1.dcm: this is the volumes \(OpenCAS\) that the frames of TG3K were taken from",
    ),
    "images in PNG": (
        lambda root: save(root / FOLDER / "thyroid-image/0000.png", speckle(12, 16)),
        r"0000.png: this is a copy in PNG; usbench reads the Google Drive archive's folder",
    ),
    "TN3K alone": (
        lambda root: (root / FOLDER).rename(root / "elsewhere"),
        r"thyroid-image: expected a folder with .*, got no such folder",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_files_are_refused(root, compose, what):
    damage, message = BAD[what]
    damage(root)
    with pytest.raises(DataError, match=message):
        index_release(compose, "tg3k", "segment", root)


def test_a_mask_of_another_size_is_refused(root, compose):
    save(root / FOLDER / "thyroid-mask/0011.jpg", GLAND[:8])
    with pytest.raises(DataError, match="expected the size of its image, 12 × 16, got 8 × 16"):
        list(open_small(compose, root).test)
