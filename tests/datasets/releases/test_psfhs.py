"""PSFHS, written by hand. Evidence: constantinpape/torch-em@022e1c7f
torch_em/data/datasets/medical/psfhs.py and adamtupper/ultrabench@a795300b (process/psfhs.py,
data/splits/psfhs): the tree, the channels, the values and the numbers 03744 to 05101.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from tests.helpers.release_files import draw, index_release, open_release, save_volume, speckle
from usbench.errors import DataError
from usbench.types import SPLITS

LABEL = draw(["........", ".pp.....", "..p.hh..", "....hhh.", ".....h.."], {".": 0, "p": 1, "h": 2})
OTHER = "Pubic Symphysis-Fetal Head Segmentation and Angle of Progression"


def write_pair(root: Path, number: int, label: np.ndarray = LABEL, top: str = "PSFHS") -> None:
    """An image of three equal channels, as the release's, and its label."""
    image = np.stack([speckle(*label.shape, number)] * 3)
    save_volume(root / top / f"image_mha/{number:05d}.mha", image)
    save_volume(root / top / f"label_mha/{number:05d}.mha", np.roll(label, number % 2, axis=1))


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("psfhs")
    for number in range(3744, 3794):
        write_pair(folder, number)
    return folder


@pytest.fixture
def root(release: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(release, tmp_path / "copy"))


def test_masks_are_as_simpleitk_reads_them(root, compose):
    dataset = open_release(compose, "psfhs", "segment", root)
    assert dataset.classes == ("pubic symphysis", "fetal head") and dataset.exclusive
    for split in SPLITS:
        for sample in getattr(dataset, split)[:4]:
            path = root / f"PSFHS/label_mha/{sample.id}.mha"
            label = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
            assert np.array_equal(sample.target.planes, [label == 1, label == 2])
            assert np.array_equal(sample.image, speckle(5, 8, int(sample.id)))
            assert sample.mm_per_px is None


def test_runs_of_the_numbering_with_gaps(root, compose):
    dataset = open_release(compose, "psfhs", "segment", root)
    numbers = {name: [int(record.id) for record in part] for name, part in dataset.records.items()}
    # 50 images: 70 %, 10 % and 20 %, and four dropped at each of the two borders
    assert numbers == {
        "train": list(range(3744, 3777)),
        "val": [3781],
        "test": list(range(3786, 3794)),
    }


@pytest.mark.parametrize("fold", range(5))
def test_folds_are_runs_too(root, compose, fold):
    dataset = open_release(compose, "psfhs", "segment", root, fold=fold)
    numbers = [int(record.id) for record in dataset.records["test"]]
    start = 3744 + 10 * fold
    assert set(numbers) <= set(range(start, start + 10)) and len(numbers) in (6, 8)
    assert numbers == list(range(numbers[0], numbers[-1] + 1))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda root: (root / "PSFHS/label_mha/03750.mha").unlink(),
            r"image_mha/03750.mha: expected its label PSFHS/label_mha/03750.mha, found none",
        ),
        (
            lambda root: write_pair(root, 3743),
            r"03743.mha: expected a number of PSFHS, from 03744 on, got one of FH-PS-AOP",
        ),
        (
            lambda root: (root / "PSFHS").rename(root / OTHER),
            r"Progression/image_mha: this is FH-PS-AOP, another release, for dataset=fhpsaop; "
            r"usbench reads the folder 'PSFHS'",
        ),
        (
            lambda root: (root / "PSFHS").rename(root / "release"),
            r"PSFHS/image_mha: expected a folder with PSFHS/image_mha/.*, got no such folder",
        ),
    ],
    ids=["no label", "a number of FH-PS-AOP", "FH-PS-AOP", "another folder"],
)
def test_bad_trees_are_refused(root, compose, damage, message):
    damage(root)
    with pytest.raises(DataError, match=message):
        index_release(compose, "psfhs", "segment", root)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (LABEL[:, :7], r"03793.mha: expected the size of its image, 5 × 8, got 5 × 7"),
        (
            np.where(LABEL == 1, 3, LABEL).astype(np.uint8),
            r"03793.mha: expected 0 background, 1 pubic symphysis, 2 fetal head, got value 3 in 3",
        ),
        (
            np.stack([LABEL] * 4),
            r"03793.mha: expected a MetaImage .* of one 8-bit slice, got an array of \(4, 5, 8\)",
        ),
    ],
)
def test_bad_labels_are_refused(root, compose, label, message):
    save_volume(root / "PSFHS/label_mha/03793.mha", label)
    dataset = open_release(compose, "psfhs", "segment", root)
    with pytest.raises(DataError, match=message):
        list(dataset.test)


def test_both_yamls_name_the_images_that_both_have(compose):
    for one, other in (("psfhs", "fhpsaop"), ("fhpsaop", "psfhs")):
        overlap = compose(f"dataset={one}")["dataset"]["overlaps"][other]
        assert "257 images 03744 to 04000" in overlap
