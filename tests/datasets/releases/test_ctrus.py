"""C-TRUS, written by hand. Evidence: wwu-mmll/c-trus@ad3ce4d4 README.md, c-trus.csv and tree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.release_files import draw, index_release, open_release, save, save_text, speckle
from usbench.errors import DataError
from usbench.types import SPLITS

TREE = "c-trus-ad3ce4d4bbc4b89792f757c7aeb83f31f9a229bd"
TABLE = f"{TREE}/c-trus.csv"
HEADER = "file,quality,quality_name,patient,testitem_in_fold"
ROWS = [  # of the release
    "9U3YBUK.jpg,1,medium,1,0",
    "E26MT6C.jpg,0,high,2,1",
    "D1K2TQS.jpg,2,low,3,4",
    "6BO305B.jpg,1,medium,8,2",
    "KPSYG05.jpg,0,high,4,4",
    "V2QOT4V.jpg,2,low,12,4",
    "4CC73BZ.jpg,2,low,4,3",
]
NAMES = [row[:7] for row in ROWS]
EMPTY = "V2QOT4V"
WALL = draw(["." * 16] * 5 + [".." + "#" * n + "." * (14 - n) for n in range(4, 14)] + ["." * 16])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for n, name in enumerate(NAMES):
        save(tmp_path / TREE / f"original/{name}.jpg", speckle(16, 16, n))
        wall = np.zeros_like(WALL) if name == EMPTY else WALL
        save(tmp_path / TREE / f"labels/{name}.jpg", wall, quality=75)
    save_text(tmp_path / TABLE, HEADER, *ROWS)
    save_text(tmp_path / TREE / "README.md", "# The C-TRUS Dataset")
    return tmp_path


def test_masks_are_what_pillow_reads_above_127(root, compose):
    dataset = open_release(compose, "ctrus", "segment", root)
    assert dataset.classes == ("colon wall",)
    for split in SPLITS:
        for sample in getattr(dataset, split):
            with Image.open(root / TREE / f"labels/{sample.id}.jpg") as label:
                grey = np.array(label)
            assert np.array_equal(sample.target.planes[0], grey > 127)
            assert sample.mm_per_px is None
            if sample.id == EMPTY:
                assert not sample.target.planes.any()
            else:
                assert len(np.unique(grey)) > 2  # the greys of JPEG
                assert np.array_equal(sample.target.planes[0], WALL > 0)


@pytest.mark.parametrize("fold", range(5))
def test_folds_are_the_table_s(root, compose, fold):
    dataset = open_release(compose, "ctrus", "segment", root, fold=fold)
    number = {row[:7]: int(row[-1]) for row in ROWS}
    expected = {
        "test": {fold},
        "val": {(fold + 1) % 5},
        "train": {(fold + n) % 5 for n in (2, 3, 4)},
    }
    for split in SPLITS:
        found = {record.id for record in dataset.records[split]}
        assert found == {name for name in NAMES if number[name] in expected[split]}


def test_a_patient_may_be_in_two_folds_as_released(root, compose):
    dataset = open_release(compose, "ctrus", "segment", root, fold=3)
    groups = {record.id: record.group for part in dataset.records.values() for record in part}
    assert groups["4CC73BZ"] == groups["KPSYG05"] == "4"
    assert [record.id for record in dataset.records["test"]] == ["4CC73BZ"]
    assert "KPSYG05" in {record.id for record in dataset.records["val"]}


def test_no_fold_named_is_the_first(root, compose):
    first = open_release(compose, "ctrus", "segment", root, fold=0)
    assert [record.id for record in first.records["test"]] == ["9U3YBUK"]
    assert first.records["test"][0].attributes["quality"] == "medium"
    assert open_release(compose, "ctrus", "segment", root).records == first.records


BAD = {
    "an image without a mask": (
        lambda root: (root / TREE / "labels/9U3YBUK.jpg").unlink(),
        rf"original/9U3YBUK.jpg: expected its label {TREE}/labels/9U3YBUK.jpg, found none",
    ),
    "a mask without an image": (
        lambda root: save(root / TREE / "labels/AAAAAAA.jpg", WALL),
        r"labels/AAAAAAA.jpg: expected an image for this label, found none",
    ),
    "the table of the images with a wall alone": (  # ctrus.filtered.csv of another project
        lambda root: save_text(root / TABLE, HEADER, *(row for row in ROWS if EMPTY not in row)),
        r"original/V2QOT4V.jpg: expected a row 'V2QOT4V.jpg' in c-trus.csv, found none",
    ),
    "a row without an image": (
        lambda root: save_text(root / TABLE, HEADER, *ROWS, "AAAAAAA.jpg,1,medium,1,0"),
        r"c-trus.csv: expected an image for the row 'AAAAAAA.jpg', found none",
    ),
    "a row twice": (
        lambda root: save_text(root / TABLE, HEADER, *ROWS, ROWS[0]),
        r"c-trus.csv: line 9: expected every image once, got '9U3YBUK.jpg' again",
    ),
    "a fold that isn't": (
        lambda root: save_text(root / TABLE, HEADER, ROWS[0][:-1] + "5", *ROWS[1:]),
        r"original/9U3YBUK.jpg: expected a fold of 0 to 4 as fold, got '5'",
    ),
    "no patient": (
        lambda root: save_text(root / TABLE, HEADER, "9U3YBUK.jpg,1,medium,,0", *ROWS[1:]),
        r"original/9U3YBUK.jpg: expected a patient for its group, got none",
    ),
    "a table without folds": (
        lambda root: save_text(root / TABLE, "file,quality,quality_name,patient"),
        r"c-trus.csv: expected a table of images by file .* found no testitem_in_fold",
    ),
    "the tree of a branch's zip": (
        lambda root: (root / TREE).rename(root / "c-trus-main"),
        rf"{TREE}/original: expected a folder with .*, got no such folder",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_files_are_refused(root, compose, what):
    damage, message = BAD[what]
    damage(root)
    with pytest.raises(DataError, match=message):
        index_release(compose, "ctrus", "segment", root)


def test_a_mask_of_another_size_is_refused(root, compose):
    save(root / TREE / "labels/9U3YBUK.jpg", WALL[:8])
    dataset = open_release(compose, "ctrus", "segment", root)
    with pytest.raises(DataError, match="expected the size of its image, 16 × 16, got 8 × 16"):
        list(dataset.test)
