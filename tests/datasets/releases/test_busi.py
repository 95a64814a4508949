"""BUSI, written by hand. Evidence: CAMMA-public/UltraSam@458ec794 datasets/datasets/BUSI.py;
constantinpape/torch-em@387a3e97 torch_em/data/datasets/medical/busi.py; FengheTan9/CMUNeXt issue 3
(several masks, united).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.release_files import draw, index_release, open_release, save, save_text, speckle
from usbench.errors import DataError
from usbench.types import SPLITS

FOLDER = "Dataset_BUSI_with_GT"
LEFT = draw(["##########", *["#####....."] * 4, ".........."])
RIGHT = draw([".........."] + [".....####."] * 5)
NONE = draw([".........."] * 6)
COUNTS = {"benign": 6, "malignant": 4, "normal": 3}
TWIN = ["benign (433)", "malignant (145)"]  # a known defect: the same in every pixel
NAMES = [f"{word} ({n})" for word, count in COUNTS.items() for n in range(1, count + 1)] + TWIN


def file(name: str, tail: str = "") -> str:
    return f"{FOLDER}/{name.split()[0]}/{name}{tail}.png"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for n, name in enumerate(NAMES):
        save(tmp_path / file(name), speckle(6, 10, 99 if name in TWIN else n), "RGB")
        if name.startswith("normal"):
            save(tmp_path / file(name, "_mask"), NONE, "RGB")
        else:
            save(tmp_path / file(name, "_mask"), LEFT, "RGBA" if name == "benign (2)" else "1")
    save(tmp_path / file("benign (4)", "_mask_1"), RIGHT, "1")
    save(tmp_path / file("malignant (3)", "_mask_1"), RIGHT, "1")
    save(tmp_path / file("malignant (3)", "_mask_2"), NONE, "1")
    return tmp_path


def test_masks_are_united_as_pillow_reads_them(root, compose):
    dataset = open_release(compose, "busi", "segment", root)
    assert dataset.classes == ("lesion",)
    seen = []
    for split in SPLITS:
        for sample in getattr(dataset, split):
            name = "{} ({})".format(*sample.id.split("/"))
            united = np.zeros((6, 10), bool)
            for path in (root / FOLDER / name.split()[0]).glob(f"{name}_mask*.png"):
                with Image.open(path) as mask:
                    united |= np.array(mask.convert("L")) > 127
            assert np.array_equal(sample.target.planes, united[None])
            assert sample.attributes["pathology"] == name.split()[0]
            assert sample.mm_per_px is None
            seen.append(name)
    assert sorted(seen) == sorted(NAMES)


def test_boxes_have_the_folder_s_class(root, compose):
    dataset = open_release(compose, "busi", "detect", root)
    assert dataset.classes == ("benign", "malignant")
    samples = (sample for split in SPLITS for sample in getattr(dataset, split))
    targets = {sample.id: sample.target for sample in samples}
    assert targets["benign/1"].xyxy.tolist() == [[0, 0, 10, 5]]
    assert targets["benign/1"].labels.tolist() == [0]
    assert targets["benign/4"].xyxy.tolist() == [[0, 0, 10, 6]]  # its two masks touch
    assert targets["malignant/3"].labels.tolist() == [1]
    assert len(targets["normal/1"].labels) == 0


@pytest.mark.parametrize("fold", [None, 0, 1, 2, 3, 4])
def test_the_identical_pair_stays_together(root, compose, fold):
    records = open_release(compose, "busi", "segment", root, fold=fold).records
    of_pair = {
        split: [record.id for record in records[split] if record.group == "benign/433"]
        for split in SPLITS
    }
    assert sorted(filter(None, of_pair.values())) == [["benign/433", "malignant/145"]]


def test_each_other_image_is_a_group_of_its_own(root, compose):
    records = open_release(compose, "busi", "segment", root).records
    everything = [record for split in SPLITS for record in records[split]]
    assert len(everything) == len(NAMES) == 15
    assert len({record.group for record in everything}) == 14
    assert [len(records[split]) for split in SPLITS] == [9, 2, 4]  # the pair tests


BAD = {
    "an image without a mask": (
        lambda root: (root / file("benign (1)", "_mask")).unlink(),
        r"benign \(1\).png: expected its label .*/benign/benign \(1\)_mask.png, found none",
    ),
    "a mask without an image": (
        lambda root: (root / file("benign (4)")).unlink(),
        r"benign \(4\)_mask.png: expected an image for this label, found none",
    ),
    "a folder of another class": (
        lambda root: save(root / file("unclear (1)"), LEFT),
        r"unclear/unclear \(1\).png: expected a folder benign, malignant, normal for pathology",
    ),
    "no twin": (
        lambda root: [(root / file(TWIN[0], tail)).unlink() for tail in ("", "_mask")],
        r"groups 'benign/433' with others, but the release has no such image",
    ),
    "the copy with merged masks": (
        lambda root: save(root / "busi/masks/0/benign (1).png", LEFT),
        r"busi/masks/0: this is a copy with merged masks, as in Medical-Image-Segmentation-"
        r"Benchmarks; usbench reads the authors' tree Dataset_BUSI_with_GT",
    ),
    "Curated BUSI": (
        lambda root: save(root / "Curated BUSI/images/benign_id_20.png", LEFT),
        r"this is Curated BUSI, 450 of the images; usbench reads the authors' tree",
    ),
    "MedSegBench": (
        lambda root: save_text(root / "busi_256.npz", "PK"),
        r"busi_256.npz: this is MedSegBench's copy, resized and without normal images; usbench",
    ),
    "no release": (
        lambda root: (root / FOLDER).rename(root / "Dataset_BUSI"),
        r"Dataset_BUSI_with_GT: expected a folder with .*, got no such folder",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_trees_are_refused(root, compose, what):
    damage, message = BAD[what]
    damage(root)
    with pytest.raises(DataError, match=message):
        open_release(compose, "busi", "segment", root)


@pytest.mark.parametrize(
    ("name", "mask", "message"),
    [
        ("benign (1)", LEFT[:5], r"expected the size of its image, 6 × 10, got 5 × 10"),
        ("benign (1)", LEFT // 2, r"expected 0 background, 255 lesion, got value 127 in 30 pixels"),
        ("normal (1)", LEFT, r"expected an empty mask, as pathology is normal, got 30 pixels"),
        (
            "benign (1)",
            np.stack([LEFT, NONE, NONE], axis=-1),
            r"expected a mask of grey values, got colours; is this another release\?",
        ),
    ],
)
def test_bad_masks_are_refused(root, compose, name, mask, message):
    save(root / file(name, "_mask"), mask)
    dataset = open_release(compose, "busi", "segment", root)
    with pytest.raises(DataError, match=message):
        for split in SPLITS:
            list(getattr(dataset, split))


def test_a_mask_alone_in_the_folder_is_no_image(root, compose):
    ids = [record.id for record in index_release(compose, "busi", "segment", root)]
    assert len(ids) == len(NAMES) and not any("mask" in name for name in ids)
