"""STU-Hospital, written by hand. Evidence: the authors' repository xbhlk/STU-Hospital@ba4a898d;
CAMMA-public/UltraSam@458ec794 datasets/datasets/STU-Hospital.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.release_files import index_release, open_release, save, speckle
from usbench.errors import DataError

SIDES = {1: 420, 2: 512, 10: 500, 16: 400, 35: 128, 42: 480}  # of the masks, as in the release


def disc(side: int, middle: float = 0.4) -> np.ndarray:
    """A lesion of a soft edge, so that a few pixels lie between 0 and 255."""
    y, x = (np.mgrid[:side, :side] + 0.5) / side - middle
    return np.clip((0.25 - np.hypot(x, 1.5 * y)) * side * 255 + 128, 0, 255).astype(np.uint8)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for n, side in SIDES.items():
        save(tmp_path / f"Hospital/Test_Image_{n}.png", speckle(128, 128, n))
        save(tmp_path / f"Hospital/mask_{n}.png", disc(side))
    return tmp_path


def test_masks_are_thresholded_then_resized_as_pillow_does(root, compose):
    dataset = open_release(compose, "stu", "segment", root)
    assert dataset.classes == ("lesion",)
    for sample in dataset.test:
        with Image.open(root / f"Hospital/mask_{sample.id}.png") as mask:
            assert mask.mode == "L" and mask.size == (SIDES[int(sample.id)],) * 2
            binary = Image.fromarray((np.array(mask) > 127).astype(np.uint8))
        small = np.array(binary.resize((128, 128), Image.Resampling.NEAREST))
        assert np.array_equal(sample.target.planes, small[None] == 1)
        assert sample.target.planes.mean() == pytest.approx(np.pi * 0.25**2 / 1.5, rel=0.02)
        assert sample.mm_per_px is None
    assert dataset.layout.oddities() == {"masks of another size than their image, resized": 5}


def test_boxes_are_those_of_the_resized_masks(root, compose):
    dataset = open_release(compose, "stu", "detect", root)
    for sample in dataset.test:
        (box,) = sample.target.xyxy.tolist()
        # a disc of .15 to .65 of the width and .4 ± .167 of the height
        assert box == pytest.approx([19.2, 29.9, 83.2, 72.5], abs=1)
        assert sample.target.labels.tolist() == [0]


def test_every_image_tests_and_is_a_group_of_its_own(root, compose):
    records = open_release(compose, "stu", "segment", root).records
    assert [record.id for record in records["test"]] == ["1", "10", "16", "2", "35", "42"]
    assert len({record.group for record in records["test"]}) == 6
    assert not records["train"] and not records["val"]


BAD = {
    "an image without a mask": (
        lambda root: (root / "Hospital/mask_1.png").unlink(),
        r"Test_Image_1.png: expected its label Hospital/mask_1.png, found none",
    ),
    "a mask without an image": (
        lambda root: (root / "Hospital/Test_Image_1.png").unlink(),
        r"mask_1.png: expected an image for this label, found none",
    ),
    "the archive's outer folder": (
        lambda root: (root / "Hospital").rename(root / "STU-Hospital-master/Hospital"),
        r"Hospital: this is still in the archive's outer folder \(move it up one\); usbench reads",
    ),
    "an older commit": (
        lambda root: (root / "demo").mkdir(),
        r"demo: this is an older commit, without masks; usbench reads the tree of https://github",
    ),
    "a copy that was divided anew": (
        lambda root: (root / "train/images").mkdir(parents=True),
        r"train: this is a copy that was divided anew; usbench reads the tree of https://github",
    ),
    "UltraSam's copy": (
        lambda root: save(root / "images/STU-Hospital__00000.png", speckle(128, 128)),
        r"STU-Hospital__00000.png: this is UltraSam's copy, renumbered; usbench reads the tree",
    ),
    "no release": (
        lambda root: (root / "Hospital").rename(root / "other"),
        r"Hospital: expected a folder with Hospital/Test_Image_{n}.png, got no such folder",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_trees_are_refused(root, compose, what):
    damage, message = BAD[what]
    (root / "STU-Hospital-master").mkdir()
    damage(root)
    with pytest.raises(DataError, match=message):
        index_release(compose, "stu", "segment", root)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (
            disc(420)[:400],
            r"expected the shape of its image, 128 × 128, or that enlarged, got 400 × 420",
        ),
        (disc(420).astype(np.uint16) * 257, r"got more than 8 bits a channel"),
    ],
)
def test_bad_masks_are_refused(root, compose, mask, message):
    save(root / "Hospital/mask_1.png", mask)
    dataset = open_release(compose, "stu", "segment", root)
    with pytest.raises(DataError, match=f"mask_1.png: .*{message}"):
        list(dataset.test)
