"""Multicentre fetal biometry, written by hand: headers and names are the release's.

Evidence: surgical-vision/Multicentre-Fetal-Biometry@a120aace data/annotations/*/*.csv,
data/README-general.md, lib/datasets/fetal.py.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.release_files import index_release, open_release, save, save_text, speckle
from usbench.datasets.splits import find_crossing_groups
from usbench.errors import DataError
from usbench.types import BLURRED, OFF, SEEN, SPLITS

START = "image_name,scale,center_w,center_h"
HEAD = (
    f"{START},ofd_1_x,ofd_1_y,ofd_2_x,ofd_2_y,bpd_1_x,bpd_1_y,bpd_2_x,bpd_2_y,"
    "SubjectID,px_to_mm_rate,Algo,Split"
)
ABDOMEN = (
    f"{START},tad_1_x,tad_1_y,tad_2_x,tad_2_y,apad_1_x,apad_1_y,apad_2_x,apad_2_y,"
    "px_to_mm_rate,mm_dist,Algo,SubjectID,Split"
)
FEMUR = f"{START},fl_1_x,fl_1_y,fl_2_x,fl_2_y,px_to_mm_rate,mm_dist,Patient,Split,Algo"
TABLES = {
    "FP/Head": [
        HEAD,
        "Patient00683_Plane3_1_of_2.png,3.4,45,30,73,31,15.0,23.0,47,2.0,40,52,683,0.18,,Train",
        "Patient00704_Plane3_3_of_5.png,4.2,45,30,15,31,86,33,51,-3,50,55,704,0.15,,Test",
        "Patient00723_Plane3_2_of_4.png,3.1,45,30,19,36,71,22,51,52,39,6,723,,,Test",
        "Patient00955_Plane3_2_of_3.png,3.1,45,30,40,30,44,30,41,29,41,31,955,0.12,,Train",
    ],
    "FP/Abdomen": [
        ABDOMEN,
        "Patient00168_Plane2_1_of_2.png,1.4,45,30,33.0,58.0,38.0,3.0,19,24,50,16,0.13,0,AlokaFit,168,Train",
        "Patient00683_Plane2_1_of_1.png,2.6,45,30,54,18,71,55,82,32,38,50,0.19,5,,683,Test",
    ],
    "FP/Femur": [
        FEMUR,
        "Patient00168_Plane5_1_of_2.png,1.4,45,30,14,14,50,9,0.14,0,168,Train,AlokaFit",
        "Patient00627_Plane5_1_of_1.png,2.6,45,30,30,24,86,25,0.11,5,627.0,Test,",
    ],
    "HC18/Head": [
        HEAD,
        "005_HC.png,1.8,45,30,37.0,14.0,58.0,48.0,64,17,30,46,,0.12,,Train",
        "055_HC.png,1.8,45,30,54.0,1.0,44.0,57.0,64,33,34,25,,0.07,,Test",
    ],
    "UCL/Head": [
        HEAD,
        "005_HC.jpeg,2.2,45,30,69,42,22,34,48,20,42.0,56.0,,0.17,,Train",
        "001_HC.jpg,2.6,45,30,77,28,35,28,56,11,58.0,46.0,,,,Test",
    ],
    "UCL/Abdomen": [
        ABDOMEN,
        "001_AC.jpg,2.6,45,30,58,19,37,45,65,40,33.0,22.0,,,,,Train",
        "011_AC.png,2.2,45,30,48,46,59,24,43,30,64.0,40.0,0.0165,,,,Test",
    ],
    "UCL/Femur": [
        FEMUR,
        "002_FL.jpeg,2.2,45,30,56,44,22,37,0.14,,,Train,",
        "004_FL.jpeg,2.2,45,30,51,27,23,29,0.13,,,Test,",
    ],
}
MEASURES = {"Head": ("ofd", "bpd"), "Abdomen": ("apad", "tad"), "Femur": ("fl",)}


def write_part(root: Path, part: str) -> None:
    header, *rows = TABLES[part]
    save_text(root / f"data/annotations/{part}.csv", header, *rows)
    for n, row in enumerate(rows):
        save(root / f"data/images/{part}/{row.split(',')[0]}", speckle(60, 90, n))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for part in TABLES:
        write_part(tmp_path, part)
    return tmp_path


def points_of(root: Path, image: str) -> dict[str, list[tuple[float, float]]]:
    """The ends of each measure of an image, as the csv module reads them."""
    part, name = image.removeprefix("data/images/").rsplit("/", 1)
    with (root / f"data/annotations/{part}.csv").open(newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["image_name"] == name)
    return {
        measure: [(float(row[f"{measure}_{n}_x"]), float(row[f"{measure}_{n}_y"])) for n in "12"]
        for measure in MEASURES[part.rpartition("/")[2]]
    }


def test_ends_are_the_table_s_in_order(root, compose):
    dataset = open_release(compose, "fetalbiometry", "landmark", root)
    assert dataset.classes == tuple(
        f"{measure}_{n}" for measure in ("ofd", "bpd", "apad", "tad", "fl") for n in (1, 2)
    )
    by_axis = {"ofd": 0, "bpd": 1, "apad": 0, "tad": 1, "fl": 0}
    seen = 0
    for split in SPLITS:
        for sample, record in zip(getattr(dataset, split), dataset.records[split], strict=True):
            stated = points_of(root, record.image)
            for measure, axis in by_axis.items():
                numbers = [dataset.classes.index(f"{measure}_{n}") for n in (1, 2)]
                states = set(sample.target.state[numbers].tolist())
                if measure not in stated:
                    assert states == {OFF}
                elif states == {SEEN}:
                    read = [tuple(sample.target.paths[n][0].tolist()) for n in numbers]
                    assert read == sorted(stated[measure], key=lambda point: point[axis])
                    seen += 1
                else:
                    assert states == {BLURRED}
    assert seen == 28 - 3  # one is negative, two are short


def test_what_cannot_be_measured_is_unknown(root, compose):
    dataset = open_release(compose, "fetalbiometry", "landmark", root)
    records = dataset.indexed
    targets = {
        Path(record.image).name: dataset.layout.read(root, record).state for record in records
    }
    blurred = {name: np.flatnonzero(state == BLURRED).tolist() for name, state in targets.items()}
    assert {name: classes for name, classes in blurred.items() if classes} == {
        "Patient00704_Plane3_3_of_5.png": [2, 3],  # bpd
        "Patient00955_Plane3_2_of_3.png": [0, 1, 2, 3],
    }
    unknown = {Path(record.image).name for record in records if record.mm_per_px is None}
    assert unknown == {
        "Patient00723_Plane3_2_of_4.png",
        "001_HC.jpg",
        "001_AC.jpg",
        "011_AC.png",  # .0165 mm
    }
    assert dataset.layout.oddities() == {
        "measures with a negative coordinate, taken as unknown": 1,
        "measures below 10 px, taken as unknown": 2,
        "pixel sizes below 0.03 mm, taken as unknown": 1,
    }
    assert dataset.layout.notes(root) == []


def test_the_split_is_the_release_s_and_people_cross_it(root, compose):
    dataset = open_release(compose, "fetalbiometry", "landmark", root)
    tested = {Path(record.image).name for record in dataset.records["test"]}
    assert tested == {
        row.split(",")[0] for header, *rows in TABLES.values() for row in rows if "Test" in row
    }
    assert find_crossing_groups(dataset.records, "train", "test") == {
        "FP/00683",
        "UCL/001",
    }
    assert not find_crossing_groups(dataset.records, "train", "val")
    assert not find_crossing_groups(dataset.records, "val", "test")
    assert dataset.records["val"]


def test_one_number_of_two_sources_is_two_people(root, compose):
    groups = {
        record.image.removeprefix("data/images/"): record.group
        for record in index_release(compose, "fetalbiometry", "landmark", root)
    }
    assert groups["HC18/Head/005_HC.png"] == "HC18/005"
    assert groups["UCL/Head/005_HC.jpeg"] == "UCL/005"
    assert groups["UCL/Head/001_HC.jpg"] == groups["UCL/Abdomen/001_AC.jpg"] == "UCL/001"
    assert groups["FP/Femur/Patient00627_Plane5_1_of_1.png"] == "FP/00627"


def test_the_joint_copy_is_not_read_too(root, compose):
    save(root / "data/images/MULTICENTRE/Head/005_HC.png", speckle(60, 90))
    save_text(root / "data/annotations/MULTICENTRE/Head.csv", f"{HEAD},index")
    assert len(index_release(compose, "fetalbiometry", "landmark", root)) == 16


def test_sources_may_be_left_out(tmp_path, compose):
    write_part(tmp_path, "HC18/Head")
    write_part(tmp_path, "UCL/Femur")
    dataset = open_release(compose, "fetalbiometry", "landmark", tmp_path)
    assert len(dataset.indexed) == 4
    (note,) = dataset.layout.notes(tmp_path)
    assert note.startswith("without the images of data/images/FP/Head, data/images/FP/Abdomen")


def rewrite(part: str, **cells: str) -> object:
    """Damage that sets cells of a table's first row."""

    def damage(root: Path) -> None:
        header, first, *rows = TABLES[part]
        row = dict(zip(header.split(","), first.split(","), strict=True)) | cells
        path = root / f"data/annotations/{part}.csv"
        save_text(path, header, ",".join(row.values()), *rows)

    return damage


BAD = {
    "an image without a row": (
        lambda root: save(root / "data/images/UCL/Head/009_HC.jpeg", speckle(60, 90)),
        r"009_HC.jpeg: expected a row of it in data/annotations/UCL/Head.csv, found none",
    ),
    "a row without an image": (
        lambda root: (root / "data/images/UCL/Head/001_HC.jpg").unlink(),
        r"UCL/Head.csv: expected the image of the row '001_HC.jpg' in data/images/UCL/Head, found "
        r"none",
    ),
    "a row twice": (
        lambda root: save_text(
            root / "data/annotations/UCL/Femur.csv", *TABLES["UCL/Femur"], TABLES["UCL/Femur"][1]
        ),
        r"UCL/Femur.csv: line 4: expected every image once, got '002_FL.jpeg' again",
    ),
    "no table": (
        lambda root: (root / "data/annotations/FP/Head.csv").unlink(),
        r"FP/Head.csv: expected a table of images by image_name",
    ),
    "a table of another anatomy": (
        lambda root: save_text(root / "data/annotations/FP/Head.csv", FEMUR),
        r"FP/Head.csv: expected a table of images by image_name .* found no ofd_1_x",
    ),
    "another split": (
        rewrite("FP/Head", Split="Validation"),
        r"Patient00683_Plane3_1_of_2.png: expected Train, Test as Split, got 'Validation'",
    ),
    "an impossible pixel size": (
        rewrite("FP/Head", px_to_mm_rate="-0.1"),
        r"Patient00683_Plane3_1_of_2.png: expected mm per pixel as px_to_mm_rate, got -0.1",
    ),
    "a pixel size that is no number": (
        rewrite("FP/Head", px_to_mm_rate="n/a"),
        r"Patient00683_Plane3_1_of_2.png: px_to_mm_rate: expected a number, got 'n/a'",
    ),
    "nothing but the joint copy": (
        lambda root: (
            (root / "data/images").rename(root / "data/MULTICENTRE")
            and (root / "data/images/MULTICENTRE/Head").mkdir(parents=True)
        ),
        r"data/images/MULTICENTRE: this is the authors' joint copy of the three sources; usbench "
        r"reads data/annotations and data/images, each with FP, HC18 and UCL",
    ),
    "no images": (
        lambda root: (root / "data/images").rename(root / "images"),
        r"expected images in one of data/images/FP/Head, .*, found no such folder",
    ),
    "the tree of a README": (
        lambda root: (root / "FP/annotations").mkdir(parents=True),
        r"FP/annotations: this is the tree that the authors' README-FP.md draws; usbench reads",
    ),
    "femurs in a folder FL": (
        lambda root: (root / "data/images/FP/Femur").rename(root / "data/images/FP/FL"),
        r"FP/FL: this is a folder called FL, as the authors' README-general.md has it once; usbench",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_files_are_refused(root, compose, what):
    damage, message = BAD[what]
    damage(root)
    with pytest.raises(DataError, match=message):
        index_release(compose, "fetalbiometry", "landmark", root)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("left", r"Patient00683_Plane3_1_of_2.png: ofd: expected a number, got 'left'"),
        ("", r"Patient00683_Plane3_1_of_2.png: expected both ends of ofd, got \['', '31'"),
    ],
)
def test_bad_points_are_refused(root, compose, cell, message):
    rewrite("FP/Head", ofd_1_x=cell)(root)
    dataset = open_release(compose, "fetalbiometry", "landmark", root)
    record = next(record for record in dataset.indexed if "00683_Plane3" in record.image)
    with pytest.raises(DataError, match=message):
        dataset.layout.read(root, record)
