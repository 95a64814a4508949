"""Dataset B (UDIAT), written by hand. Evidence: CAMMA-public/UltraSam@458ec794
datasets/datasets/BUS.py and openmedlab/Awesome-Medical-Dataset@81da0eee
resources/Breast_Ultrasound_DatasetB.md (files); three third-party readers of the table (columns
Image, Type and Diagnosis; Benign and Malignant).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from PIL import Image

from tests.helpers.release_files import draw, index_release, open_release, save, save_text, speckle
from usbench.errors import DataError
from usbench.types import SPLITS

LESION = draw(["..........", *["..#####..."] * 5, ".........."])
NAMES = [f"{n:06d}" for n in (*range(1, 9), 301, 302)]
TABLE = "BUS/DatasetB.xlsx"
HEADER = ["Image", "Type", "Diagnosis", None, "Legend"]


def row(name: str) -> list[object]:
    kind = ["Malignant", "IDC"] if name in NAMES[::3] else ["Benign", "CYST"]
    return [name, *kind]


ROWS = [HEADER, [*row(NAMES[0]), None, "IDC: Invasive Ductal Carcinoma"], *map(row, NAMES[1:])]


def save_table(path: Path, rows: Sequence[Sequence[object]]) -> None:
    book = openpyxl.Workbook()
    for cells in rows:
        book.active.append(cells)
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for n, name in enumerate(NAMES):
        save(tmp_path / f"BUS/original/{name}.png", speckle(7, 10, n))
        save(tmp_path / f"BUS/GT/{name}.png", LESION, "1" if n % 2 else "L")
    save_table(tmp_path / TABLE, ROWS)
    return tmp_path


def test_masks_are_as_pillow_reads_them(root, compose):
    dataset = open_release(compose, "udiat", "segment", root)
    assert dataset.classes == ("lesion",)
    seen = []
    for split in SPLITS:
        for sample in getattr(dataset, split):
            with Image.open(root / f"BUS/GT/{sample.id}.png") as mask:
                assert np.array_equal(sample.target.planes[0], np.array(mask.convert("L")) > 127)
            assert [sample.attributes[key] for key in ("type", "diagnosis")] == row(sample.id)[1:]
            assert sample.mm_per_px is None
            seen.append(sample.id)
    assert sorted(seen) == NAMES


def test_boxes_have_the_table_s_type(root, compose):
    dataset = open_release(compose, "udiat", "detect", root)
    assert dataset.classes == ("benign", "malignant")
    for split in SPLITS:
        for sample in getattr(dataset, split):
            assert sample.target.xyxy.tolist() == [[2, 1, 7, 6]]
            assert sample.target.labels.tolist() == [int(row(sample.id)[1] == "Malignant")]


def test_each_image_is_a_woman_of_her_own(root, compose):
    records = open_release(compose, "udiat", "segment", root).records
    assert [len(records[split]) for split in SPLITS] == [7, 1, 2]
    groups = {record.group for split in SPLITS for record in records[split]}
    assert groups == set(NAMES)


def test_a_table_of_numbers_is_the_same(root, compose):
    before = index_release(compose, "udiat", "segment", root)
    save_table(root / TABLE, [HEADER, *([int(name), *row(name)[1:]] for name in NAMES)])
    assert index_release(compose, "udiat", "segment", root) == before


def rewrite(rows: Sequence[Sequence[object]]):
    return lambda root: save_table(root / TABLE, rows)


BAD = {
    "an image without a mask": (
        lambda root: (root / "BUS/GT/000001.png").unlink(),
        r"000001.png: expected its label BUS/GT/000001.png, found none",
    ),
    "a mask without an image": (
        lambda root: save(root / "BUS/GT/000009.png", LESION),
        r"GT/000009.png: expected an image for this label, found none",
    ),
    "an image without a row": (
        rewrite(ROWS[:-1]),
        r"original/000302.png: expected a row '000302' in DatasetB.xlsx, found none",
    ),
    "a row without an image": (
        rewrite([*ROWS, row("000303")]),
        r"DatasetB.xlsx: expected an image for the row '000303', found none",
    ),
    "a row twice": (
        rewrite([*ROWS, [1, "Benign", "CYST"]]),
        r"DatasetB.xlsx: row 12: expected every image once, got '000001' again",
    ),
    "another type": (
        rewrite([*ROWS[:-1], [NAMES[-1], "Normal", ""]]),
        r"000302.png: expected Benign, Malignant as type, got 'Normal'",
    ),
    "another table": (
        rewrite([["Image", "Class"], *([name, "Benign"] for name in NAMES)]),
        r"DatasetB.xlsx: expected a table of images by Image with the columns Image, Type, "
        r"Diagnosis, found no Type; correct the header",
    ),
    "an empty table": (
        rewrite([]),
        r"DatasetB.xlsx: expected a table of images by Image .* found no Image",
    ),
    "a damaged table": (
        lambda root: (root / TABLE).write_bytes((root / TABLE).read_bytes()[:-200]),
        r"DatasetB.xlsx: expected a table of images by Image, got a file that can't be read",
    ),
    "no table": (
        lambda root: (root / TABLE).unlink(),
        r"DatasetB.xlsx: expected a table of images by Image, got a file that can't be read",
    ),
    "a folder of another name": (
        lambda root: (root / "BUS").rename(root / "Dataset_B"),
        r"Dataset_B/DatasetB.xlsx: this is the release in a folder of another name \(call it BUS\)",
    ),
    "no folder": (
        lambda root: (root / TABLE).rename(root / "DatasetB.xlsx"),
        r"DatasetB.xlsx: this is the inside of the release's folder \(put it into a folder BUS\)",
    ),
    "a copy that was divided anew": (
        lambda root: (root / "train/images").mkdir(parents=True),
        r"train: this is a copy that was divided anew; usbench reads the authors' tree: BUS/orig",
    ),
    "a converted copy": (
        lambda root: save_text(root / "img/000001_Benign.bmp", "BM"),
        r"000001_Benign.bmp: this is a converted copy; usbench reads the authors' tree",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_files_are_refused(root, compose, what):
    damage, message = BAD[what]
    damage(root)
    with pytest.raises(DataError, match=message):
        index_release(compose, "udiat", "segment", root)


def test_a_mask_of_another_size_is_refused(root, compose):
    for name in NAMES:
        save(root / f"BUS/GT/{name}.png", LESION[:6], "1")
    dataset = open_release(compose, "udiat", "segment", root)
    with pytest.raises(DataError, match=r"expected the size of its image, 7 × 10, got 6 × 10"):
        list(dataset.test)
