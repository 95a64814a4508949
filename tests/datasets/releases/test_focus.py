"""FOCUS, written by hand.

Evidence: constantinpape/torch-em@65f1278a torch_em/data/datasets/medical/focus.py and
lukaznj/fetal-ctr-detection@205ed0bb dataset/ (names, ellipses, thresholds).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.release_files import draw, index_release, open_release, save, save_text, speckle
from usbench.datasets.config import DatasetConfig
from usbench.errors import DataError
from usbench.types import SPLITS

THORAX = ["........", ".######.", ".######.", ".######.", ".######.", "........"]
HEART = ["........", "........", "..##....", "..###...", "...##...", "........"]
FOLDERS = {"train": "training", "val": "validation", "test": "testing"}
ELLIPSE = "403.1 350.0 141.6 100.8 51.7 cardiac\n466.0 384.4 243.3 243.9 27.0 thorax"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for seed, folder in enumerate(FOLDERS.values()):
        for name in ("001", "002"):  # the numbers begin again in each split
            save(tmp_path / f"{folder}/images/{name}.png", speckle(6, 8, seed))
            mode = "RGB" if name == "002" else None  # a reader says so; others say grey
            save(tmp_path / f"{folder}/annfiles_mask/{name}-thorax.png", draw(THORAX), mode)
            save(tmp_path / f"{folder}/annfiles_mask/{name}-cardiac.png", draw(HEART), mode)
            save_text(tmp_path / f"{folder}/annfiles_ellipse/{name}.txt", ELLIPSE)
            save_text(
                tmp_path / f"{folder}/annfiles_rectangle/{name}.txt", "0 0 1 0 1 1 0 1 thorax 0"
            )
    return tmp_path


def test_masks_are_as_pillow_reads_them(root, compose):
    dataset = open_release(compose, "focus", "segment", root)
    assert dataset.classes == ("thorax", "cardiac") and not dataset.exclusive
    for split, folder in FOLDERS.items():
        samples = getattr(dataset, split)
        assert samples.ids == [f"{split}/001", f"{split}/002"]
        for sample in samples:
            for plane, name in zip(sample.target.planes, dataset.classes, strict=True):
                path = root / folder / "annfiles_mask" / f"{sample.id[-3:]}-{name}.png"
                with Image.open(path) as mask:
                    assert np.array_equal(plane, np.array(mask.convert("L")) > 127)
            thorax, heart = sample.target.planes
            assert heart.any() and not (heart & ~thorax).any()  # the thorax has the heart in it
            assert sample.mm_per_px is None


def test_soft_edges_are_cut_at_127(root, compose):
    mask = draw(HEART)
    mask[1, 1:4] = (126, 127, 128)
    save(root / "testing/annfiles_mask/001-cardiac.png", mask)
    sample = open_release(compose, "focus", "segment", root).test[0]
    assert sample.target.planes[1][1, 1:4].tolist() == [False, False, True]


def test_the_split_is_the_release_s_folders(root, compose):
    dataset = open_release(compose, "focus", "segment", root)
    for split in SPLITS:
        for record in dataset.records[split]:
            assert record.image.startswith(f"{FOLDERS[split]}/images/")
            assert record.group == record.id  # no file says whose an image is
    config = DatasetConfig.from_mapping(compose("dataset=focus")["dataset"])
    assert config.groups == "unknown" and config.unknown_groups


def test_torch_em_s_own_files_are_left_alone(root, compose):
    save(root / "training/annfiles_semantic/001.tif", draw(THORAX))
    assert len(index_release(compose, "focus", "segment", root)) == 6


BAD = {
    "an image without its thorax": (
        lambda root: (root / "testing/annfiles_mask/001-thorax.png").unlink(),
        r"testing/images/001.png: expected its label testing/annfiles_mask/001-thorax.png, found "
        r"none",
    ),
    "an image without its heart": (
        lambda root: (root / "testing/annfiles_mask/001-cardiac.png").unlink(),
        r"testing/images/001.png: expected its label testing/annfiles_mask/001-cardiac.png, found "
        r"none",
    ),
    "a mask without an image": (
        lambda root: save(root / "testing/annfiles_mask/009-thorax.png", draw(THORAX)),
        r"testing/annfiles_mask/009-thorax.png: expected an image for this label, found none",
    ),
    "a split that isn't there": (
        lambda root: (root / "validation").rename(root / "val"),
        r"validation/images: expected a folder with validation/images/.*, got no such folder",
    ),
    "a copy with other masks": (
        lambda root: [
            path.rename(path.with_name(f"{path.name[:3]}_mask.png"))
            for path in sorted((root / "training/annfiles_mask").glob("*-thorax.png"))
        ],
        r"training/images/001.png: expected its label training/annfiles_mask/001-thorax.png, found "
        r"none",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_files_are_refused(root, compose, what):
    damage, message = BAD[what]
    damage(root)
    with pytest.raises(DataError, match=message):
        index_release(compose, "focus", "segment", root)


UNREADABLE = {
    "a mask of another size": (
        lambda path: save(path, draw(HEART)[:5]),
        r"001-cardiac.png: expected the size of its image, 6 × 8, got 5 × 8",
    ),
    "a mask of 16 bits": (
        lambda path: Image.fromarray(draw(HEART).astype(np.uint16) * 257).save(path),
        r"001-cardiac.png: expected an 8-bit grey or colour picture",
    ),
    "a damaged mask": (
        lambda path: path.write_bytes(path.read_bytes()[:50]),
        r"001-cardiac.png: expected an 8-bit grey or colour picture",
    ),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_bad_masks_are_refused(root, compose, what):
    damage, message = UNREADABLE[what]
    damage(root / "testing/annfiles_mask/001-cardiac.png")
    with pytest.raises(DataError, match=message):
        list(open_release(compose, "focus", "segment", root).test)
