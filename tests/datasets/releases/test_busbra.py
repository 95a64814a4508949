"""BUS-BRA, written by hand. Evidence: the release's own files (Zenodo 8231412)."""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.release_files import draw, index_release, open_release, save, save_text, speckle
from usbench.errors import DataError
from usbench.types import SPLITS

LESION = draw(["......", "..##..", ".###..", "......"])  # box [2,2,3,2] from 1
NAMES = [f"{case:04d}-{side}" for case in range(1, 6) for side in "lr"]
CASES = "ID,Case,Histology,Pathology,BIRADS,Device,Width,Height,Side,BBOX"
FOLDS = "ID,Pathology,kFold,valid_1,valid_2,valid_3,valid_4,valid_5"


def pathology(name: str) -> str:
    return "malignant" if name < "0003" else "benign"


def case_row(name: str, box: str = "[2,2,3,2]", width: int = 6) -> str:
    head = f"bus_{name},{int(name[:4])},fibroadenoma,{pathology(name)},4"
    return f'{head},GE Logiq 7 @10-14MHz,{width},4,left,"{box}"'


def fold_row(name: str) -> str:
    """Case k is tested in fold k; of the next case the right image alone is validation."""
    tested = int(name[:4])
    chosen = tested % 5 + 1 if name.endswith("r") else 0
    words = ["NaN" if k == tested else "0" if k == chosen else "1" for k in range(1, 6)]
    return f"bus_{name},{pathology(name)},{tested},{','.join(words)}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for n, name in enumerate(NAMES):
        save(tmp_path / f"BUSBRA/Images/bus_{name}.png", speckle(4, 6, n))
        save(tmp_path / f"BUSBRA/Masks/mask_{name}.png", LESION, "1")
    rows = [case_row(name) for name in NAMES]
    rows[1] = case_row(NAMES[1], width=7)  # a known defect: another size in the table
    rows[2] = case_row(NAMES[2], box="[2,2,5,2]")  # … and a box that isn't the mask's
    save_text(tmp_path / "BUSBRA/bus_data.csv", CASES, *rows, end="\r\n")
    save_text(tmp_path / "BUSBRA/5-fold-cv.csv", FOLDS, *map(fold_row, NAMES), end="\r\n")
    return tmp_path


def test_masks_are_as_pillow_reads_them(root, compose):
    dataset = open_release(compose, "busbra", "segment", root)
    assert dataset.classes == ("lesion",)
    for split in SPLITS:
        for sample, record in zip(getattr(dataset, split), dataset.records[split], strict=True):
            with Image.open(root / str(record.label)) as mask:
                assert mask.mode == "1"
                assert np.array_equal(sample.target.planes[0], np.array(mask))
            assert sample.attributes["pathology"] == pathology(sample.id)
    assert dataset.layout.oddities() == {
        "images of another size than in bus_data.csv": 1,
        "boxes that differ from their mask's by more than 1 px": 1,
    }


def test_boxes_are_the_table_s(root, compose):
    dataset = open_release(compose, "busbra", "detect", root)
    assert dataset.classes == ("benign", "malignant")
    targets = {sample.id: sample.target for sample in dataset.test}  # fold 0 tests kFold 1
    assert targets["0001-l"].xyxy.tolist() == [[1, 1, 4, 3]]
    assert targets["0001-l"].labels.tolist() == [1]
    sample = next(sample for sample in dataset.train if sample.id == "0002-l")
    assert sample.target.xyxy.tolist() == [[1, 1, 6, 3]]


@pytest.mark.parametrize("fold", range(5))
def test_folds_are_the_release_s(root, compose, fold):
    dataset = open_release(compose, "busbra", "segment", root, fold=fold)
    by_split = {split: [record.id for record in dataset.records[split]] for split in SPLITS}
    case = f"{fold + 1:04d}"
    before = f"{(fold - 1) % 5 + 1:04d}"  # the case whose right image chooses in this fold
    assert by_split["test"] == [f"{case}-l", f"{case}-r"]
    assert by_split["val"] == [f"{before}-r"]
    assert len(by_split["train"]) == 7
    assert {record.group for record in dataset.records["test"]} == {str(fold + 1)}


def test_no_fold_named_is_the_first(root, compose):
    first = open_release(compose, "busbra", "segment", root, fold=0)
    assert open_release(compose, "busbra", "segment", root).records == first.records


BAD = {
    "an image without a mask": (
        lambda root: (root / "BUSBRA/Masks/mask_0001-l.png").unlink(),
        r"bus_0001-l.png: expected its label BUSBRA/Masks/mask_0001-l.png, found none",
    ),
    "a mask without an image": (
        lambda root: save(root / "BUSBRA/Masks/mask_0009-l.png", LESION, "1"),
        r"mask_0009-l.png: expected an image for this label, found none",
    ),
    "an image without a row": (
        lambda root: save_text(root / "BUSBRA/bus_data.csv", CASES, *map(case_row, NAMES[1:])),
        r"bus_0001-l.png: expected a row 'bus_0001-l' in bus_data.csv, found none",
    ),
    "a row twice": (
        lambda root: save_text(
            root / "BUSBRA/bus_data.csv", CASES, *map(case_row, [*NAMES, NAMES[0]])
        ),
        r"bus_data.csv: line 12: expected every image once, got 'bus_0001-l' again",
    ),
    "an image without a fold": (
        lambda root: save_text(root / "BUSBRA/5-fold-cv.csv", FOLDS, *map(fold_row, NAMES[1:])),
        r"5-fold-cv.csv: expected a row of BUSBRA/Images/bus_0001-l.png, found none",
    ),
    "a fold that contradicts itself": (
        lambda root: save_text(
            root / "BUSBRA/5-fold-cv.csv",
            FOLDS,
            *(fold_row(name).replace(",NaN,", ",1,") for name in NAMES),
        ),
        r"bus_0001-l: expected 1, 0, and NaN for fold 1 alone, got 1, 1, 1, 1, 1",
    ),
    "another pathology": (
        lambda root: save_text(
            root / "BUSBRA/bus_data.csv",
            CASES,
            *(case_row(name).replace("benign", "unclear") for name in NAMES),
        ),
        r"bus_0003-l.png: expected benign, malignant as pathology, got 'unclear'",
    ),
    "another release's table": (
        lambda root: save_text(root / "BUSBRA/bus_data.csv", "ID,Class", "bus_0001-l,benign"),
        r"bus_data.csv: expected a table of images by ID with the columns .* found no Case",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_files_are_refused(root, compose, what):
    damage, message = BAD[what]
    damage(root)
    with pytest.raises(DataError, match=message):
        index_release(compose, "busbra", "segment", root)


def test_ten_problems_are_named_at_most(root, compose):
    for name in NAMES[:2]:
        (root / f"BUSBRA/Masks/mask_{name}.png").unlink()
    for n in range(20):
        save(root / f"BUSBRA/Masks/mask_1{n:03d}-l.png", LESION, "1")
    with pytest.raises(DataError, match=r"^22 problems, the first 10: \(1\) .* \(10\) ") as error:
        index_release(compose, "busbra", "segment", root)
    assert "(11)" not in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("box", "message"),
    [("2,2,3,2", r"BBOX in bus_data.csv: expected \[x,y,width,height\], got '2,2,3,2'")],
)
def test_a_bad_box_is_refused(root, compose, box, message):
    rows = [case_row(name, box) for name in NAMES]
    save_text(root / "BUSBRA/bus_data.csv", CASES, *rows)
    dataset = open_release(compose, "busbra", "detect", root)
    with pytest.raises(DataError, match=message):
        list(dataset.test)


def test_a_mask_of_another_size_is_refused(root, compose):
    save(root / "BUSBRA/Masks/mask_0001-l.png", LESION[:3], "1")
    dataset = open_release(compose, "busbra", "segment", root)
    with pytest.raises(
        DataError, match=re.escape("expected the size of its image, 4 × 6, got 3 × 6")
    ):
        list(dataset.test)


# ---- the real release


@pytest.fixture(scope="module")
def real() -> Path:
    folder = Path(os.environ.get("USBENCH_TEST_DATA", ""), "busbra")
    if not (folder / "BUSBRA").is_dir():
        pytest.skip("USBENCH_TEST_DATA has no folder busbra/BUSBRA")
    return folder


@pytest.mark.real
@pytest.mark.parametrize("fold", range(5))
def test_the_real_folds_are_those_of_its_csv(real, compose, fold):
    dataset = open_release(compose, "busbra", "segment", real, fold=fold)
    with (real / "BUSBRA/5-fold-cv.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    ours = {split: {f"bus_{record.id}" for record in dataset.records[split]} for split in SPLITS}
    words = {row["ID"]: row[f"valid_{fold + 1}"] for row in rows}
    assert ours["test"] == {row["ID"] for row in rows if row["kFold"] == str(fold + 1)}
    assert ours["test"] == {name for name, word in words.items() if word == "NaN"}
    assert ours["val"] == {name for name, word in words.items() if word == "0"}
    assert ours["train"] == {name for name, word in words.items() if word == "1"}
    assert sum(map(len, ours.values())) == 1875


@pytest.mark.real
def test_no_real_patient_is_tested_in_two_folds(real, compose):
    tested: dict[str, set[int]] = {}
    for record in index_release(compose, "busbra", "segment", real):
        tested.setdefault(record.group, set()).update(
            fold for fold, split in enumerate(record.folds) if split == "test"
        )
    assert len(tested) == 1064 and all(len(folds) == 1 for folds in tested.values())


@pytest.mark.real
def test_the_real_defects_are_found(real, compose):
    """The four images of another size than in the table, and the one box."""
    dataset = open_release(compose, "busbra", "segment", real)
    for split in SPLITS:
        for record in dataset.records[split]:
            dataset.layout.read(real, record)
    assert dataset.layout.oddities() == {
        "images of another size than in bus_data.csv": 4,
        "boxes that differ from their mask's by more than 1 px": 1,
    }
    assert dataset.layout.other_sizes == {"0856-l", "0857-r", "0912-l", "0990-l"}
