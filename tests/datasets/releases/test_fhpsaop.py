"""FH-PS-AOP's training set, written by hand. Evidence: constantinpape/torch-em@2943c0b5
torch_em/data/datasets/medical/jnuifm.py and CAMMA-public/UltraSam@458ec794
datasets/datasets/FH-PS-AOP.py: the tree, the channels and the values.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from tests.helpers.release_files import (
    draw,
    index_release,
    open_release,
    save_text,
    save_volume,
    speckle,
)
from usbench.errors import DataError
from usbench.types import SPLITS

TOP = "Pubic Symphysis-Fetal Head Segmentation and Angle of Progression"
SYMPHYSIS, HEAD = 1, 2
LABEL = draw(
    ["........", ".pp.....", "..p.hh..", "....hhh.", ".....h.."],
    {".": 0, "p": SYMPHYSIS, "h": HEAD},
)
GAP = "dataset.split.gap=2"  # few images: 150 would leave none


def write_pair(root: Path, number: int, label: np.ndarray = LABEL, top: str = TOP) -> None:
    """An image of three equal channels, as the release's, and its label."""
    image = np.stack([speckle(*label.shape, number)] * 3)
    save_volume(root / top / f"image_mha/{number:05d}.mha", image)
    save_volume(root / top / f"label_mha/{number:05d}.mha", np.roll(label, number % 2, axis=1))


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fhpsaop")
    for number in range(1, 21):
        write_pair(folder, number)
    return folder


@pytest.fixture
def root(release: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(release, tmp_path / "copy"))


def test_masks_are_as_simpleitk_reads_them(root, compose):
    dataset = open_release(compose, "fhpsaop", "segment", root, GAP)
    assert dataset.classes == ("pubic symphysis", "fetal head") and dataset.exclusive
    for split in SPLITS:
        for sample in getattr(dataset, split):
            read = {
                name: SimpleITK.GetArrayFromImage(
                    SimpleITK.ReadImage(str(root / TOP / f"{name}_mha/{sample.id}.mha"))
                )
                for name in ("image", "label")
            }
            assert read["image"].shape == (3, 5, 8)
            assert np.array_equal(sample.image, read["image"][0])
            assert np.array_equal(sample.target.planes[0], read["label"] == SYMPHYSIS)
            assert np.array_equal(sample.target.planes[1], read["label"] == HEAD)
            assert sample.mm_per_px is None  # the header's 1 mm is nobody's measure


def test_runs_of_the_numbering_with_gaps(root, compose):
    dataset = open_release(compose, "fhpsaop", "segment", root, GAP)
    numbers = {name: [int(record.id) for record in part] for name, part in dataset.records.items()}
    # 20 images: 65 %, 15 % and 20 %, and two dropped at each of the two borders
    assert numbers == {
        "train": list(range(1, 13)),
        "val": [15],
        "test": [18, 19, 20],
    }
    assert all(record.group == record.id for record in dataset.records["test"])


def test_folds_are_runs_too(root, compose):
    tested = []
    for fold in range(5):
        dataset = open_release(compose, "fhpsaop", "segment", root, GAP, fold=fold)
        numbers = [int(record.id) for record in dataset.records["test"]]
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        tested += numbers
    assert len(tested) == len(set(tested)) and tested == sorted(tested)


def test_the_yaml_s_gap_is_longer_than_a_video(compose):
    split = compose("dataset=fhpsaop")["dataset"]["split"]
    assert split["gap"] > 3743 / 51  # frames of a woman, on average


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda root: (root / TOP / "label_mha/00007.mha").unlink(),
            r"image_mha/00007.mha: expected its label .*/label_mha/00007.mha, found none",
        ),
        (
            lambda root: (root / TOP / "image_mha/00007.mha").unlink(),
            r"label_mha/00007.mha: expected an image for this label, found none",
        ),
        (
            lambda root: (
                (root / TOP).rename(root / "release") and write_pair(root, 5101, top="PSFHS")
            ),
            r"PSFHS/image_mha: this is PSFHS, another release, for dataset=psfhs; usbench reads "
            r"the folder 'Pubic Symphysis",
        ),
        (
            lambda root: (
                (root / TOP).rename(root / "JNU-IFM")
                and save_text(
                    root / "JNU-IFM/20190909T155747/frame_label.csv", "frame_id,frame_label"
                )
            ),
            r"frame_label.csv: this is JNU-IFM, the videos that many of its images are from; usb",
        ),
        (
            lambda root: (root / TOP).rename(root / "release"),
            r"image_mha: expected a folder with Pubic Symphysis.*, got no such folder",
        ),
    ],
    ids=["no label", "no image", "PSFHS", "JNU-IFM", "another folder"],
)
def test_bad_trees_are_refused(root, compose, damage, message):
    damage(root)
    with pytest.raises(DataError, match=message):
        index_release(compose, "fhpsaop", "segment", root)


def test_both_releases_in_one_folder_are_fine(root, compose):
    write_pair(root, 5101, top="PSFHS")
    assert len(index_release(compose, "fhpsaop", "segment", root)) == 20
    assert [record.id for record in index_release(compose, "psfhs", "segment", root)] == ["05101"]


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (LABEL[:4], r"00020.mha: expected the size of its image, 5 × 8, got 4 × 8"),
        (
            np.where(LABEL == HEAD, 8, LABEL).astype(np.uint8),  # JNU-IFM's value
            r"00020.mha: expected 0 background, 1 pubic symphysis, 2 fetal head, got value 8 in 6",
        ),
    ],
)
def test_bad_labels_are_refused(root, compose, label, message):
    save_volume(root / TOP / "label_mha/00020.mha", label)
    dataset = open_release(compose, "fhpsaop", "segment", root, GAP)
    with pytest.raises(DataError, match=message):
        list(dataset.test)


def test_a_damaged_image_is_refused(root, compose):
    path = root / TOP / "image_mha/00020.mha"
    path.write_bytes(path.read_bytes()[:-40])
    dataset = open_release(compose, "fhpsaop", "segment", root, GAP)
    with pytest.raises(
        DataError, match=r"00020.mha: expected a MetaImage .*, got a file that can't"
    ):
        list(dataset.test)
