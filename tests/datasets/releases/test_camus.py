"""CAMUS's NIfTI release, written by hand. Evidence: adamtupper/ultrabench@a795300b
(process/camus.py), CAMMA-public/UltraSam@458ec794 datasets/datasets/CAMUS.py and
nathanpainchaud/vital@1fc1b25e vital/data/camus/config.py: the tree, the names and the values.
"""

from __future__ import annotations

import re
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

LABEL = draw(
    [".....mmm..", "....mvvm..", "....mvvm..", ".....aa...", "a........."],
    {".": 0, "v": 1, "m": 2, "a": 3},
)
NAMES = ["LV cavity", "myocardium", "left atrium"]
SPACING = (0.25, 0.5)  # row, column; the release's is .308 both ways
LISTS = {  # not in order: the test patients aren't the last
    "training": [1, 3, 5, 6],
    "validation": [4],
    "testing": [2],
}
VIEWS, PHASES = ("2CH", "4CH"), ("ED", "ES")


def frame(root: Path, patient: int, view: str, phase: str, label: bool = False) -> Path:
    name = f"patient{patient:04d}"
    ending = "_gt.nii.gz" if label else ".nii.gz"
    return root / f"database_nifti/{name}/{name}_{view}_{phase}{ending}"


def write_patient(root: Path, patient: int, dtype: type = np.uint8) -> None:
    for n, view in enumerate(VIEWS):
        for m, phase in enumerate(PHASES):
            seed = 4 * patient + 2 * n + m
            save_volume(
                frame(root, patient, view, phase), speckle(5, 10, seed).astype(dtype), SPACING
            )
            label = np.roll(LABEL, m, axis=1).astype(dtype)
            save_volume(frame(root, patient, view, phase, label=True), label, SPACING)
        cycle = np.stack([speckle(5, 10, seed)] * 4)
        save_volume(frame(root, patient, view, "half_sequence"), cycle, SPACING)
        save_volume(frame(root, patient, view, "half_sequence", label=True), cycle * 0, SPACING)
        text = ("ED: 1", "ES: 4", "NbFrame: 4", "Sex: F", "Age: 56", "ImageQuality: Good", "EF: 54")
        save_text(frame(root, patient, view, "ED").parent / f"Info_{view}.cfg", *text)


def write_lists(root: Path, lists: dict[str, list[int]] = LISTS) -> None:
    for name, patients in lists.items():
        lines = [f"patient{patient:04d}" for patient in patients]
        save_text(root / f"database_split/subgroup_{name}.txt", *lines)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("camus")
    for patient in range(1, 7):
        write_patient(folder, patient, np.float32 if patient == 2 else np.uint8)
    write_lists(folder)
    return folder


@pytest.fixture
def root(release: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(release, tmp_path / "copy"))


def test_frames_are_as_simpleitk_reads_them(root, compose):
    dataset = open_release(compose, "camus", "segment", root)
    assert list(dataset.classes) == NAMES and dataset.exclusive
    for split in SPLITS:
        for sample in getattr(dataset, split):
            patient, view, phase = sample.id.split("/")
            number = int(patient.removeprefix("patient"))
            read = {
                label: SimpleITK.ReadImage(str(frame(root, number, view, phase, label)))
                for label in (False, True)
            }
            pixels, values = map(SimpleITK.GetArrayFromImage, read.values())
            assert pixels.shape == (5, 10) == sample.image.shape
            assert np.array_equal(sample.image, pixels)
            assert np.array_equal(sample.target.planes, [values == n for n in (1, 2, 3)])
            assert sample.target.planes[2, 4, PHASES.index(phase)]  # the corner: no turn, no mirror
            assert sample.mm_per_px == SPACING == read[False].GetSpacing()[::-1]


def test_the_lists_divide_patients(root, compose):
    dataset = open_release(compose, "camus", "segment", root)
    patients = {
        name: {int(record.group.removeprefix("patient")) for record in part}
        for name, part in dataset.records.items()
    }
    assert patients == {"train": {1, 3, 5, 6}, "val": {4}, "test": {2}}
    assert [record.id for record in dataset.records["val"]] == [
        f"patient0004/{view}/{phase}" for view in VIEWS for phase in PHASES
    ]


def test_the_collection_s_folder_may_be_there(root, compose, tmp_path):
    whole = tmp_path / "whole"
    shutil.copytree(root, whole / "CAMUS_public")
    bare = open_release(compose, "camus", "segment", root)
    dataset = open_release(compose, "camus", "segment", whole)
    first = dataset.records["test"][0]
    assert first.image == "CAMUS_public/database_nifti/patient0002/patient0002_2CH_ED.nii.gz"
    assert first.label == first.image.replace(".nii.gz", "_gt.nii.gz")
    for name in (first.image, first.label, *dataset.layout.shared_files(whole)):
        assert (whole / name).is_file()
    for sample, expected in zip(dataset.test, bare.test, strict=True):
        assert sample.id == expected.id and sample.mm_per_px == expected.mm_per_px
        assert np.array_equal(sample.target.planes, expected.target.planes)


def test_an_older_copy_has_no_lists(root, compose):
    shutil.rmtree(root / "database_split")
    with pytest.raises(DataError) as error:
        index_release(compose, "camus", "segment", root)
    message = str(error.value)
    assert message.startswith(
        f"{root}/database_split: expected the lists of patients that are CAMUS's split, found none"
    )
    assert "before September 2024" in message and "https://humanheart-project" in message
    # what it says to do instead
    overrides = re.search(r"ours: (\S+) '(.+)'$", message).groups()
    dataset = open_release(compose, "camus", "segment", root, *overrides)
    groups = [{record.group for record in part} for part in dataset.records.values()]
    assert sum(map(len, groups)) == len(set().union(*groups)) == 6
    assert list(map(len, groups)) == [4, 1, 1]


BAD = {
    "a frame without a mask": (
        lambda root: frame(root, 3, "4CH", "ES", label=True).unlink(),
        r"patient0003_4CH_ES.nii.gz: expected its label .*patient0003_4CH_ES_gt.nii.gz, found none",
    ),
    "a mask without a frame": (
        lambda root: frame(root, 3, "4CH", "ES").unlink(),
        r"patient0003_4CH_ES_gt.nii.gz: expected an image for this label, found none",
    ),
    "a list that lacks a patient": (
        lambda root: write_lists(root, {"training": [1, 3, 5]}),
        r"4 problems: \(1\) .*patient0006_2CH_ED.nii.gz: expected it in one of database_split/",
    ),
    "a patient in two lists": (
        lambda root: write_lists(root, {"testing": [2, 3]}),
        r"subgroup_testing.txt: line 2: expected every image once, got 'patient0003' again",
    ),
    "a patient that isn't there": (
        lambda root: write_lists(root, {"testing": [2, 451]}),
        r"subgroup_testing.txt: line 2: expected the name of an image, got 'patient0451'",
    ),
    "one list missing": (
        lambda root: (root / "database_split/subgroup_testing.txt").unlink(),
        r"subgroup_testing.txt: expected names of images, one a line, found no such file",
    ),
    "the first release": (
        lambda root: [
            shutil.rmtree(root / "database_nifti"),
            save_text(root / "training/patient0001/patient0001_2CH_ED.mhd", "ObjectType = Image"),
        ],
        r"training: this is CAMUS's first release \(.mhd files .*\); usbench reads the NIfTI",
    ),
    "TED": (
        lambda root: [
            shutil.rmtree(root / "database_nifti"),
            save_text(root / "database/patient001/patient001_4CH_info.cfg", "ED: 1"),
        ],
        r"patient001_4CH_info.cfg: this is TED, another release .*; usbench reads the NIfTI",
    ),
    "the folder itself": (
        lambda root: (
            [
                shutil.move(root / "database_nifti" / name, root)
                for name in ("patient0001", "patient0002")
            ]
            + [shutil.rmtree(root / "database_nifti")]
        ),
        r"patient0001: this is database_nifti itself; name the folder above it",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_files_are_refused(root, compose, what):
    damage, message = BAD[what]
    damage(root)
    with pytest.raises(DataError, match=message):
        index_release(compose, "camus", "segment", root)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (
            LABEL[:4],
            r"patient0002_2CH_ED_gt.nii.gz: expected the size of its image, 5 × 10, got 4 ×",
        ),
        (
            np.where(LABEL == 3, 4, LABEL).astype(np.uint8),
            r"expected 0 background, 1 LV cavity, 2 myocardium, 3 left atrium, got value 4 in 3 p",
        ),
        (LABEL / 2, r"_gt.nii.gz: expected a MetaImage or NIfTI .*, got values of 0 to 1.5"),
        (
            np.stack([LABEL] * 4),
            r"_gt.nii.gz: expected .* one 8-bit slice, got an array of \(4, 5, ",
        ),
    ],
    ids=["another size", "another value", "half values", "a sequence"],
)
def test_bad_masks_are_refused(root, compose, label, message):
    save_volume(frame(root, 2, "2CH", "ED", label=True), label.astype(np.float32), SPACING)
    dataset = open_release(compose, "camus", "segment", root)
    with pytest.raises(DataError, match=message):
        list(dataset.test)
