"""TN3K, written by hand. Evidence: haifangong/TRFE-Net-for-thyroid-nodule-segmentation@05a60256
dataloaders/tn3k.py and @1f13b314 picture/tn3k-trainval-fold0.json; chenghui-666/ACL@816101b1
dataloaders/tn3k_dataset.py (the CSV files); constantinpape/torch-em@4fa51acf
torch_em/data/datasets/medical/tn3k.py (the tree, JPEG masks).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.release_files import draw, index_release, open_release, save, save_text, speckle
from usbench.errors import DataError
from usbench.types import SPLITS

NODULE = draw(["." * 24] * 5 + ["...." + "#" * 11 + "........."] * 6 + ["." * 24] * 5)
FOLDER = "Thyroid Dataset/tn3k"
TRAINING = 6
TESTED = 2


def fold(k: int) -> str:
    """The authors' text of a fold: val before train, every fifth position."""
    chosen = list(range(k, TRAINING, 5))
    rest = [n for n in range(TRAINING) if n not in chosen]
    return json.dumps({"val": chosen, "train": rest})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / FOLDER
    for part, count in (("trainval", TRAINING), ("test", TESTED)):
        for n in range(count):
            save(folder / f"{part}-image/{n:04d}.jpg", speckle(16, 24, n), "RGB")
            save(folder / f"{part}-mask/{n:04d}.jpg", np.roll(NODULE, n, axis=1), quality=60)
        save_text(
            folder / f"label4{part}.csv",
            *(f"{n:04d}.jpg,{n % 2}" for n in range(count)),
            end="\r\n",
        )
    for k in range(5):
        save_text(folder / f"tn3k-trainval-fold{k}.json", fold(k), end="")
    save_text(folder / "tn3k-trainval.json", "{}", end="")
    save(tmp_path / "Thyroid Dataset/tg3k/thyroid-image/0000.jpg", speckle(8, 8))
    return tmp_path


def test_masks_are_as_pillow_reads_them(root, compose):
    dataset = open_release(compose, "tn3k", "segment", root)
    assert dataset.classes == ("nodule",)
    seen = 0
    for split in SPLITS:
        for sample, record in zip(getattr(dataset, split), dataset.records[split], strict=True):
            with Image.open(root / str(record.label)) as mask:
                grey = np.array(mask)
            assert not set(grey.ravel()) <= {0, 255}  # JPEG
            assert np.array_equal(sample.target.planes, (grey > 127)[None])
            number = int(sample.id.split("/")[1])
            assert np.array_equal(sample.target.planes[0], np.roll(NODULE, number, axis=1) > 0)
            assert sample.attributes["pathology"] == ("benign", "malignant")[number % 2]
            assert sample.group == sample.id and sample.mm_per_px is None
            seen += 1
    assert seen == TRAINING + TESTED


def test_boxes_are_those_of_the_components(root, compose):
    dataset = open_release(compose, "tn3k", "detect", root)
    assert dataset.classes == ("nodule",)
    boxes = {sample.id: sample.target for sample in dataset.test}
    assert boxes["test/0000"].xyxy.tolist() == [[4, 5, 15, 11]]
    assert boxes["test/0001"].xyxy.tolist() == [[5, 5, 16, 11]]


@pytest.mark.parametrize("k", range(5))
def test_folds_are_the_authors(root, compose, k):
    dataset = open_release(compose, "tn3k", "segment", root, fold=k)
    ids = {split: [record.id for record in dataset.records[split]] for split in SPLITS}
    assert ids["test"] == ["test/0000", "test/0001"]
    assert ids["val"] == (["train/0000", "train/0005"] if k == 0 else [f"train/000{k}"])
    assert sorted(ids["val"] + ids["train"]) == [f"train/{n:04d}" for n in range(TRAINING)]


def test_positions_are_in_the_order_of_the_numbers(root, compose):
    """As text 10000 would come before 9999."""
    for n in range(TRAINING):
        for kind in ("image", "mask"):
            folder = root / FOLDER / f"trainval-{kind}"
            (folder / f"{n:04d}.jpg").rename(folder / f"{9997 + n}.jpg")
    lines = [f"{9997 + n}.jpg,0" for n in range(TRAINING)]
    save_text(root / FOLDER / "label4trainval.csv", *lines)
    dataset = open_release(compose, "tn3k", "segment", root, fold=3)
    assert [record.id for record in dataset.records["val"]] == ["train/10000"]


def test_no_fold_named_is_the_first(root, compose):
    first = open_release(compose, "tn3k", "segment", root, fold=0)
    assert open_release(compose, "tn3k", "segment", root).records == first.records


BAD = {
    "an image without a mask": (
        lambda folder: (folder / "test-mask/0001.jpg").unlink(),
        r"test-image/0001.jpg: expected its label .*test-mask/0001.jpg, found none",
    ),
    "a mask without an image": (
        lambda folder: save(folder / "test-mask/0002.jpg", NODULE),
        r"test-mask/0002.jpg: expected an image for this label, found none",
    ),
    "a fold of more images": (
        lambda folder: save_text(folder / "tn3k-trainval-fold1.json", '{"train": [6], "val": []}'),
        r"fold1.json: expected each position of 0 to 5 once, got 6; is an image missing",
    ),
    "a fold with a position twice": (
        lambda folder: save_text(
            folder / "tn3k-trainval-fold1.json", '{"train": [0, 1, 2], "val": [1]}'
        ),
        r"fold1.json: expected each position of 0 to 5 once, got 1; is an image missing",
    ),
    "a fold that lacks a position": (
        lambda folder: save_text(
            folder / "tn3k-trainval-fold1.json", '{"train": [0, 1, 2, 3], "val": [5]}'
        ),
        r"fold1.json: expected each position of 0 to 5 once, found no 4",
    ),
    "an empty fold": (
        lambda folder: save_text(folder / "tn3k-trainval-fold2.json", "{}"),
        r"fold2.json: expected lists train and val, got no train",
    ),
    "a fold cut off": (
        lambda folder: save_text(folder / "tn3k-trainval-fold2.json", '{"val": [0, 5'),
        r"fold2.json: expected a fold's positions, got a file cut off or damaged",
    ),
    "no fold": (
        lambda folder: (folder / "tn3k-trainval-fold4.json").unlink(),
        r"fold4.json: expected a fold's positions, found no such file",
    ),
    "an image without a pathology": (
        lambda folder: save_text(folder / "label4test.csv", "0000.jpg,0"),
        r"test-image/0001.jpg: expected a line in .*label4test.csv, found none",
    ),
    "a pathology without an image": (
        lambda folder: save_text(folder / "label4test.csv", "0000.jpg,0", "0001.jpg,1", "7.jpg,1"),
        r"label4test.csv: expected an image of the line '7.jpg', found none",
    ),
    "a pathology twice": (
        lambda folder: save_text(
            folder / "label4test.csv", "0000.jpg,0", "0001.jpg,1", "0001.jpg,0"
        ),
        r"label4test.csv: line 3: expected every image once, got '0001.jpg' again",
    ),
    "a header, as in copies": (
        lambda folder: save_text(folder / "label4test.csv", "image,label", "0000.jpg,0"),
        r"label4test.csv: line 1: expected a file name, a comma and 0 or 1, got 'image,label'",
    ),
    "images in PNG": (
        lambda folder: save(folder / "trainval-image/0000.png", speckle(16, 24)),
        r"0000.png: this is a copy in PNG; usbench reads the Google Drive archive's folder",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_files_are_refused(root, compose, what):
    damage, message = BAD[what]
    damage(root / FOLDER)
    with pytest.raises(DataError, match=message):
        index_release(compose, "tn3k", "segment", root)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("datasets/tn3k", r"datasets/tn3k: this is the folder of TN3K.rar or datasets.rar; rename"),
        ("tn3k", r"tn3k: this is the folders of TN3K without their parents; put them into Thyroid"),
        ("picture", r"picture: this is the authors' repository, which has parts of the images in"),
    ],
)
def test_other_trees_are_named(root, compose, place, message):
    (root / place).parent.mkdir(exist_ok=True)
    (root / FOLDER).rename(root / place)
    with pytest.raises(DataError, match=message):
        index_release(compose, "tn3k", "segment", root)


def test_no_release_is_no_release(root, compose):
    shutil.rmtree(root / FOLDER)
    with pytest.raises(
        DataError, match=r"trainval-image: expected a folder with .* no such folder"
    ):
        index_release(compose, "tn3k", "segment", root)


def test_a_mask_of_another_size_is_refused(root, compose):
    save(root / FOLDER / "test-mask/0001.jpg", NODULE[:8])
    dataset = open_release(compose, "tn3k", "segment", root)
    with pytest.raises(DataError, match="expected the size of its image, 16 × 24, got 8 × 24"):
        list(dataset.test)
