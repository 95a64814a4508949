"""The cleaned DDTI, written by hand. Evidence: WAMAWAMA/TNSCUI2020-Seg-Rank1st@07bb0c4a README.md;
constantinpape/torch-em@5f96049b torch_em/data/datasets/medical/ddti.py;
CAMMA-public/UltraSam@458ec794 datasets/datasets/DDTI.py.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.release_files import draw, index_release, open_release, save, save_text, speckle
from usbench.errors import DataError
from usbench.types import SPLITS

NODULE = draw(["........", ".######.", ".######.", ".######.", ".######.", "........"])  # 24 px
NAMES = [f"{n:04d}" for n in range(9)] + ["3"]  # both forms are named by readers


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "1_or_data"
    for n, name in enumerate(NAMES):
        save(folder / f"image/{name}.PNG", speckle(6, 8, n))
        # Which mode the masks have isn't known: 8 bits, 1 bit, colour
        save(folder / f"mask/{name}.PNG", np.roll(NODULE, n % 2, axis=1), ("L", "1", "RGB")[n % 3])
    save_text(folder / "category.csv", "ID,CATE", *(f"{name}.PNG,1" for name in NAMES))
    crop = tmp_path / "2_preprocessed_data/stage2/p_image/0000.PNG"
    save(crop, speckle(8, 8))
    return tmp_path


def test_masks_are_as_pillow_reads_them(root, compose):
    dataset = open_release(compose, "ddti637", "segment", root)
    assert dataset.classes == ("nodule",)
    seen = []
    for split in SPLITS:
        for sample, record in zip(getattr(dataset, split), dataset.records[split], strict=True):
            with Image.open(root / str(record.label)) as mask:
                expected = np.array(mask.convert("L")) == 255
            assert np.array_equal(sample.target.planes, expected[None])
            n = NAMES.index(sample.id)
            assert np.array_equal(sample.target.planes[0], np.roll(NODULE, n % 2, axis=1) > 0)
            assert sample.group == sample.id and sample.mm_per_px is None
            # the release says that its category.csv is forged
            assert set(sample.attributes) == {"image"}
            seen.append(sample.id)
    assert sorted(seen) == sorted(NAMES)


def test_boxes_are_those_of_the_components(root, compose):
    dataset = open_release(compose, "ddti637", "detect", root)
    assert dataset.classes == ("nodule",)
    boxes = {sample.id: sample.target for split in SPLITS for sample in getattr(dataset, split)}
    assert boxes["0000"].xyxy.tolist() == [[1, 1, 7, 5]]
    assert boxes["0001"].xyxy.tolist() == [[2, 1, 8, 5]]


def test_every_image_is_tested_in_one_fold(root, compose):
    folds = [open_release(compose, "ddti637", "segment", root, fold=fold) for fold in range(5)]
    tested = [record.id for dataset in folds for record in dataset.records["test"]]
    assert sorted(tested) == sorted(NAMES)


BAD = {
    "an image without a mask": (
        lambda root: (root / "1_or_data/mask/3.PNG").unlink(),
        r"image/3.PNG: expected its label 1_or_data/mask/3.PNG, found none",
    ),
    "a mask without an image": (
        lambda root: (root / "1_or_data/image/3.PNG").unlink(),
        r"mask/3.PNG: expected an image for this label, found none",
    ),
    "DDTI's own release": (
        lambda root: save_text(root / "67.xml", "<case></case>"),
        r"67.xml: this is DDTI's own release; run it with dataset=ddti; usbench reads the cleaned",
    ),
    "an archive in the archive": (
        lambda root: save_text(root / "Thyroid Dataset/DDTI dataset/DDTI.zip", "PK"),
        r"DDTI.zip: this is an archive that holds the cleaned set; unpack it; usbench reads",
    ),
    "stage 2 alone": (
        lambda root: (root / "2_preprocessed_data/stage2").rename(root / "stage2"),
        r"stage2: this is the preprocessed images \(stage2 is cut out round each nodule\)",
    ),
    "the folders alone": (
        lambda root: (root / "1_or_data/image").rename(root / "image"),
        r"image: this is the folders of the cleaned set without their parent; put them into 1_or",
    ),
    "nothing of it": (
        lambda root: shutil.rmtree(root / "1_or_data"),
        r"1_or_data/image: expected a folder with .*, got no such folder",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_files_are_refused(root, compose, what):
    damage, message = BAD[what]
    damage(root)
    with pytest.raises(DataError, match=message):
        index_release(compose, "ddti637", "segment", root)


@pytest.mark.parametrize(
    "parent", ["DDTI dataset/DDTI", "Thyroid Dataset/DDTI dataset/DDTI", "DDTI"]
)
def test_a_folder_above_is_named(root, compose, parent):
    (root / parent).mkdir(parents=True)
    (root / "1_or_data").rename(root / parent / "1_or_data")
    with pytest.raises(DataError, match=rf"{parent}.*: this is a folder above .* dataset.root"):
        index_release(compose, "ddti637", "segment", root)
    assert len(index_release(compose, "ddti637", "segment", root / parent)) == len(NAMES)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (NODULE[:3], "expected the size of its image, 6 × 8, got 3 × 8"),
        (NODULE // 255, "0000.PNG: expected 0 background, 255 nodule, got value 1 in 24 pixels"),
    ],
)
def test_another_mask_is_refused(root, compose, mask, message):
    save(root / "1_or_data/mask/0000.PNG", mask)
    dataset = open_release(compose, "ddti637", "segment", root)
    with pytest.raises(DataError, match=message):
        [list(getattr(dataset, split)) for split in SPLITS]
