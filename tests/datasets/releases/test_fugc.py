"""FUGC 2025, written by hand. Evidence: constantinpape/torch-em@246d59de
torch_em/data/datasets/medical/fugc.py (the tree of Zenodo 16893174),
baijieyun/ISBI-2025-FUGC-Source-Code@9731b7bb (names, and which value is which lip). Names in val and
test are assumed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.release_files import draw, index_release, open_release, save, save_text, speckle
from usbench.errors import DataError

DATA = "FUGC (Dataset)/dataset"
FOLDERS = {"train": "train/labeled_data", "val": "val", "test": "test"}
NAMES = ["0001", "0002"]
VALUES = {".": 0, "a": 1, "p": 2}
LIPS = draw(["......", ".aaaa.", "..aa..", "..pp..", ".pppp.", "......"], VALUES)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for n, folder in enumerate(FOLDERS.values()):
        for m, name in enumerate(NAMES):
            save(tmp_path / f"{DATA}/{folder}/images/{name}.png", speckle(6, 6, 2 * n + m), "RGB")
            save(tmp_path / f"{DATA}/{folder}/labels/{name}.png", np.roll(LIPS, n - 1, axis=1))
    save(tmp_path / f"{DATA}/train/unlabeled_data/images/0001.png", speckle(6, 6), "RGB")
    return tmp_path


@pytest.mark.parametrize("split", FOLDERS)
def test_masks_are_the_values_that_pillow_reads(root, compose, split):
    dataset = open_release(compose, "fugc", "segment", root)
    assert dataset.classes == ("anterior lip", "posterior lip")
    assert [record.id for record in dataset.records[split]] == [f"{split}/{n}" for n in NAMES]
    samples = getattr(dataset, split)
    for sample, record in zip(samples, dataset.records[split], strict=True):
        label = f"{DATA}/{FOLDERS[split]}/labels/{sample.id[-4:]}.png"
        assert record.label == label and record.group == record.id
        with Image.open(root / label) as mask:
            values = np.array(mask)
        for plane, value in zip(sample.target.planes, (1, 2), strict=True):
            assert plane.any() and np.array_equal(plane, values == value)
        upper, lower = (np.argwhere(plane)[:, 0].max() for plane in sample.target.planes)
        assert upper < lower and sample.mm_per_px is None


BAD = {
    "an image without a mask": (
        lambda root: (root / f"{DATA}/val/labels/0001.png").unlink(),
        r"val/images/0001.png: expected its label FUGC \(Dataset\)/dataset/val/labels/0001.png, fo",
    ),
    "a mask without an image": (
        lambda root: save(root / f"{DATA}/test/labels/0003.png", LIPS),
        r"test/labels/0003.png: expected an image for this label, found none",
    ),
    "the challenge's release": (
        lambda root: (root / f"{DATA}/test/labels").rename(root / "hidden"),
        r"dataset/test: expected images and labels, found no labels: this is the challenge's "
        r"release \(Zenodo 14305302\); usbench reads Zenodo 16893174",
    ),
    "a team's folders": (
        lambda root: save(root / "dataset/val/labeled_data/images/0001.png", LIPS),
        r"val/labeled_data: this is a team's copy of the challenge's release \(Zenodo 14305302\); "
        r"usbench reads Zenodo 16893174",
    ),
    "a team's folders in the release's": (
        lambda root: save(root / f"{DATA}/val/labeled_data/images/0001.png", LIPS),
        r"val/labeled_data: this is a team's copy",
    ),
    "a team's arrays": (
        lambda root: save_text(root / "0001.h5"),
        r"0001.h5: this is a team's copy of the challenge's release",
    ),
    "a tree one folder up": (
        lambda root: (root / DATA).rename(root / "dataset"),
        r"labeled_data/images: expected a folder with FUGC \(Dataset\)/dataset/.*, got no such",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_files_are_refused(root, compose, what):
    damage, message = BAD[what]
    damage(root)
    with pytest.raises(DataError, match=message):
        index_release(compose, "fugc", "segment", root)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (LIPS[:, :5], r"expected the size of its image, 6 × 6, got 6 × 5"),
        (LIPS + 1, r"expected 0 background, 1 anterior lip, 2 posterior lip, got value 3 in 6 pix"),
        (LIPS * 127, r"got value 127 in 6 pixels; correct the mask or its values"),
        (np.stack([LIPS, 0 * LIPS, LIPS], -1), r"expected a mask of grey values, got colours"),
    ],
    ids=["another size", "value 3", "values for show", "colours"],
)
def test_bad_masks_are_refused(root, compose, mask, message):
    save(root / f"{DATA}/test/labels/0001.png", mask)
    dataset = open_release(compose, "fugc", "segment", root)
    with pytest.raises(DataError, match=rf"test/labels/0001.png: .*{message}"):
        list(dataset.test)
