"""HC18: a release written by hand, and ten images of a public copy (see hc18/README.md).

Evidence for the release's form: constantinpape/torch-em@65f1278a torch_em/data/datasets/medical/hc18.py
and BioMedIA-MBZUAI/FetalCLIP@253a1690 probing/segmentation_hc/utils.py (thin closed contours, grey,
0 and 255), safwankdb/Automated-measurement-of-Fetal-head-circumference@debaa50c (the CSV), and for
the landmarks surgical-vision/Multicentre-Fetal-Biometry@a120aace data/annotations/HC18/Head.csv.
"""

from __future__ import annotations

import csv
import math
import re
import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.helpers.release_files import draw, index_release, open_release, save, save_text, speckle
from usbench.datasets.layouts.split_files import find_split_file, read_split_file
from usbench.errors import DataError
from usbench.types import SEEN, SPLITS

COPY = Path(__file__).parent / "hc18"
CONTOUR = [
    "...........",
    "...#####...",
    "..#.....#..",
    ".#.......#.",
    ".#.......#.",
    "..#.....#..",
    "...#####...",
    "...........",
]
HEAD = [
    "...........",
    "...#####...",
    "..#######..",
    ".#########.",
    ".#########.",
    "..#######..",
    "...#####...",
    "...........",
]
OPEN_BELOW = [*CONTOUR[:4], ".#.......#.", ".#.......#.", ".#.......#.", "..#.....#.."]
HEAD_BELOW = [*HEAD[:4], ".#########.", ".#########.", ".#########.", "..#######.."]
OPEN_IN_A_CORNER = [
    "......#....",
    "......#....",
    ".....#.....",
    "...##......",
    "###........",
    "...........",
    "...........",
    "...........",
]
HEAD_IN_A_CORNER = [
    "#######....",
    "#######....",
    "######.....",
    "#####......",
    "###........",
    "...........",
    "...........",
    "...........",
]
GAP = [*CONTOUR[:4], "...........", *CONTOUR[5:]]

SPLIT = {
    "000_HC": "test",
    "001_HC": "train",
    "010_2HC": "train",
    "010_HC": "train",
    "805_HC": "train",
    "346_HC": "test",
}
SIZES = "filename,pixel size(mm),head circumference (mm)"
LISTED = "image,split"
POINTS = (
    "image_name,scale,center_w,center_h,ofd_1_x,ofd_1_y,ofd_2_x,ofd_2_y,bpd_1_x,bpd_1_y,bpd_2_x,"
    "bpd_2_y,SubjectID,px_to_mm_rate,Algo,Split"
)


def size_row(name: str) -> str:
    return f"{name}.png,0.0691358041432,44.3"


def split_row(name: str) -> str:
    return f"{name}.png,{SPLIT[name]}"


def point_row(name: str, ends: str = "9.0,4.0,1.0,3.0,6,6,4,1") -> str:
    """Both measures with their ends in the other order than by x and by y."""
    return f"{name}.png,1.8,5.5,4.0,{ends},,0.06913580414,,{SPLIT[name].title()}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for n, name in enumerate(SPLIT):
        drawn = {"346_HC": OPEN_BELOW, "805_HC": OPEN_IN_A_CORNER}.get(name, CONTOUR)
        save(tmp_path / f"training_set/{name}.png", speckle(8, 11, n))
        save(tmp_path / f"training_set/{name}_Annotation.png", draw(drawn))
    save(tmp_path / "test_set/000_HC.png", speckle(8, 11, 99))  # of the challenge, without truth
    save_text(tmp_path / "training_set_pixel_size_and_HC.csv", SIZES, *map(size_row, SPLIT))
    save_text(tmp_path / "splits/hc18.csv", LISTED, *map(split_row, SPLIT))
    save_text(tmp_path / "landmarks/Head.csv", POINTS, *map(point_row, SPLIT))
    return tmp_path


def test_contours_are_filled(root, compose):
    dataset = open_release(compose, "hc18", "segment", root)
    assert dataset.classes == ("fetal head",)
    heads = {"346/HC": HEAD_BELOW, "805/HC": HEAD_IN_A_CORNER}
    for split in SPLITS:
        for sample, record in zip(getattr(dataset, split), dataset.records[split], strict=True):
            head = draw(heads.get(sample.id, HEAD)) > 0
            assert np.array_equal(sample.target.planes, head[None])
            with Image.open(root / str(record.label)) as mask:
                assert mask.mode == "L"
                assert not (head < (np.array(mask) > 0)).any()
            assert sample.mm_per_px == (0.0691358041432, 0.0691358041432)
            assert sample.attributes["circumference_mm"] == "44.3"
    assert dataset.layout.oddities() == {"contours closed along the image's border": 2}
    assert dataset.layout.notes(root) == []


def test_a_filled_copy_reads_the_same_and_says_so(root, compose):
    head = np.zeros((40, 50), np.uint8)
    cv2.ellipse(head, (25, 20), (20, 14), 0, 0, 360, 255, -1)
    for n, name in enumerate(SPLIT):
        save(root / f"training_set/{name}.png", speckle(40, 50, n))
        save(root / f"training_set/{name}_Annotation.png", np.stack([head] * 3, axis=-1))
    dataset = open_release(compose, "hc18", "segment", root)
    assert all(np.array_equal(sample.target.planes[0], head > 0) for sample in dataset.test)
    assert dataset.layout.notes(root) == ["a copy, not the release: its masks are filled"]


@pytest.mark.parametrize("task", ["segment", "landmark"])
def test_the_list_tests_and_the_rest_trains(root, compose, task):
    dataset = open_release(compose, "hc18", task, root)
    tested = {Path(record.image).stem for record in dataset.records["test"]}
    assert tested == {name for name, split in SPLIT.items() if split == "test"}
    assert len(dataset.records["val"]) + len(dataset.records["train"]) == 4
    groups = {Path(r.image).stem: r.group for r in dataset.indexed}
    assert groups["010_HC"] == groups["010_2HC"] == "010" and len(set(groups.values())) == 5


def test_both_views_have_one_split(root, compose):
    first, second = (open_release(compose, "hc18", task, root) for task in ("segment", "landmark"))
    for split in SPLITS:
        names = [[record.image for record in view.records[split]] for view in (first, second)]
        assert sorted(names[0]) == sorted(names[1]) != []


def test_landmarks_are_ordered_and_in_mm(root, compose):
    dataset = open_release(compose, "hc18", "landmark", root)
    assert dataset.classes == ("ofd_1", "ofd_2", "bpd_1", "bpd_2")
    sample = dataset.test[0]
    assert [path.tolist() for path in sample.target.paths] == [
        [[1, 3]],
        [[9, 4]],
        [[4, 1]],
        [[6, 6]],
    ]
    assert set(sample.target.state.tolist()) == {SEEN}
    assert sample.mm_per_px == (0.06913580414, 0.06913580414)


def test_files_that_copies_add_are_no_images(root, compose):
    save(root / "training_set/000_HC_Mask.png", draw(HEAD))
    for task in ("segment", "landmark"):
        assert len(index_release(compose, "hc18", task, root)) == len(SPLIT)


def test_the_shipped_list_is_whole(tmp_path):
    splits = read_split_file(find_split_file(tmp_path, "splits/hc18.csv"))
    assert Counter(splits.values()) == {"train": 737, "test": 262}
    numbers = {split: {name[:3] for name in splits if splits[name] == split} for split in SPLITS}
    assert numbers["train"].isdisjoint(numbers["test"])
    assert numbers["train"] | numbers["test"] == {f"{n:03d}" for n in range(806)}
    assert all(re.fullmatch(r"\d{3}_[2-4]?HC\.png", name) for name in splits)


def test_a_release_without_a_list_of_its_own_takes_the_shipped_one(root, compose):
    (root / "splits/hc18.csv").unlink()
    with pytest.raises(
        DataError, match=r"^993 problems.* \(1\) .*conf/dataset/splits/hc18.csv: expected an image"
    ):
        index_release(compose, "hc18", "segment", root)


ANNOTATION = "training_set/000_HC_Annotation.png"
BAD = {
    "an image without an annotation": (
        "segment",
        lambda root: (root / ANNOTATION).unlink(),
        rf"000_HC.png: expected its label {ANNOTATION}, found none",
    ),
    "an annotation without an image": (
        "segment",
        lambda root: save(root / "training_set/007_HC_Annotation.png", draw(CONTOUR)),
        r"007_HC_Annotation.png: expected an image for this label, found none",
    ),
    "an image without a pixel size": (
        "segment",
        lambda root: save_text(
            root / "training_set_pixel_size_and_HC.csv", SIZES, *map(size_row, list(SPLIT)[1:])
        ),
        r"000_HC.png: expected a row '000_HC.png' in training_set_pixel_size_and_HC.csv, found none",
    ),
    "the test images' table": (
        "segment",
        lambda root: save_text(
            root / "training_set_pixel_size_and_HC.csv",
            "filename,pixel size(mm)",
            "000_HC.png,0.23585714045",
        ),
        r"_and_HC.csv: expected a table of images by filename with the columns .* "
        r"found no head circumference \(mm\)",
    ),
    "a list without an image": (
        "segment",
        lambda root: save_text(root / "splits/hc18.csv", LISTED, *map(split_row, list(SPLIT)[1:])),
        r"000_HC.png: expected it in .*splits/hc18.csv, found it not",
    ),
    "a list with an image twice": (
        "segment",
        lambda root: save_text(
            root / "splits/hc18.csv", LISTED, *map(split_row, [*SPLIT, "000_HC"])
        ),
        r"splits/hc18.csv: line 8: expected every image once, got '000_HC.png' again",
    ),
    "a list of other splits": (
        "segment",
        lambda root: save_text(
            root / "splits/hc18.csv", LISTED, *(f"{name}.png,Fold1" for name in SPLIT)
        ),
        r"000_HC.png: expected train, val, test, got 'Fold1'",
    ),
    "the folder within itself": (
        "segment",
        lambda root: (root / "training_set/training_set").mkdir(),
        r"training_set/training_set: this is a training_set within another; usbench reads "
        r"training_set with the images and their _Annotation.png",
    ),
    "the tree of Di Vece et al.": (
        "segment",
        lambda root: (root / "data/images/HC18/Head").mkdir(parents=True),
        r"data/images/HC18: this is the tree of Di Vece et al., which has no annotations",
    ),
    "no landmarks": (
        "landmark",
        lambda root: (root / "landmarks/Head.csv").unlink(),
        r"landmarks/Head.csv: expected the landmarks of Di Vece et al., got no such file; it is "
        r"data/annotations/HC18/Head.csv of github.com/surgical-vision",
    ),
    "an image without landmarks": (
        "landmark",
        lambda root: save_text(
            root / "landmarks/Head.csv", POINTS, *map(point_row, list(SPLIT)[1:])
        ),
        r"000_HC.png: expected a row of it in landmarks/Head.csv, found none",
    ),
    "landmarks without an image": (
        "landmark",
        lambda root: (root / "training_set/000_HC.png").unlink(),
        r"landmarks/Head.csv: expected the image of the row '000_HC.png' in training_set, "
        r"found none",
    ),
    "landmarks of abdomens": (
        "landmark",
        lambda root: save_text(
            root / "landmarks/Head.csv", POINTS.replace("ofd", "tad").replace("bpd", "apad")
        ),
        r"Head.csv: expected a table of images by image_name .* found no ofd_1_x",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_files_are_refused(root, compose, what):
    task, damage, message = BAD[what]
    damage(root)
    with pytest.raises(DataError, match=message):
        index_release(compose, "hc18", task, root)


UNREADABLE = {
    "a contour with a gap": (
        lambda root: save(root / ANNOTATION, draw(GAP)),
        r"000_HC_Annotation.png: expected a contour that is closed, or whose two ends lie at the "
        r"image's border, got a line that encloses nothing",
    ),
    "an annotation of another size": (
        lambda root: save(root / ANNOTATION, draw(CONTOUR)[1:]),
        r"expected the size of its image, 8 × 11, got 7 × 11",
    ),
    "a damaged annotation": (
        lambda root: (root / ANNOTATION).write_bytes((root / ANNOTATION).read_bytes()[:60]),
        r"000_HC_Annotation.png: expected an 8-bit grey or colour picture",
    ),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_bad_annotations_are_refused(root, compose, what):
    damage, message = UNREADABLE[what]
    damage(root)
    with pytest.raises(DataError, match=message):
        list(open_release(compose, "hc18", "segment", root).test)


def test_a_landmark_that_is_no_number_is_refused(root, compose):
    rows = [point_row(name, "9.0,4.0,x,3.0,6,6,4,1") for name in SPLIT]
    save_text(root / "landmarks/Head.csv", POINTS, *rows)
    with pytest.raises(DataError, match=r"000_HC.png: ofd: expected a number, got 'x'"):
        list(open_release(compose, "hc18", "landmark", root).test)


# ---- ten images of a public copy


def test_circumferences_are_those_of_the_release(compose):
    """An ellipse along the mask's outline, its perimeter by Ramanujan, in mm."""
    with (COPY / "training_set_pixel_size_and_HC.csv").open(newline="") as file:
        rows = {row["filename"]: row for row in csv.DictReader(file)}
    dataset = open_release(compose, "hc18", "segment", COPY)
    samples = [sample for split in SPLITS for sample in getattr(dataset, split)]
    assert len(samples) == len(rows) == 10
    for sample in samples:
        row = rows[f"{sample.id.replace('/', '_')}.png"]
        assert sample.mm_per_px == (float(row["pixel size(mm)"]),) * 2
        plane = sample.target.planes[0].astype(np.uint8)
        (outline,), _ = cv2.findContours(plane, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        _, (first, second), _ = cv2.fitEllipse(outline)
        a, b = first / 2, second / 2
        perimeter = math.pi * (3 * (a + b) - math.sqrt((3 * a + b) * (a + 3 * b)))
        circumference = perimeter * float(row["pixel size(mm)"])
        assert circumference == pytest.approx(float(row["head circumference (mm)"]), rel=0.01)


def test_the_copy_is_read_as_pillow_reads_it(compose):
    dataset = open_release(compose, "hc18", "segment", COPY)
    for sample, record in zip(dataset.test, dataset.records["test"], strict=True):
        with Image.open(COPY / str(record.label)) as mask, Image.open(COPY / record.image) as image:
            assert image.mode == "L" and mask.mode == "RGB"
            assert np.array_equal(sample.image, np.array(image))
            assert np.array_equal(sample.target.planes[0], np.array(mask)[..., 0] == 255)
    assert dataset.layout.notes(COPY) == ["a copy, not the release: its masks are filled"]
    assert sum(map(len, dataset.records.values())) == 10
    assert {sample.image.shape for sample in dataset.train} == {(540, 800), (541, 738)}


def test_a_contour_cut_by_the_border_gives_the_copy_s_mask_back(tmp_path, compose):
    """186_HC reaches out of the image: its outline, left open at the border, is closed there."""
    with Image.open(COPY / "training_set/186_HC_Annotation.png") as mask:
        head = np.array(mask)[..., 0] > 0
    outline = head & ~cv2.erode(
        head.astype(np.uint8), np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE
    ).astype(bool)
    shutil.copytree(COPY, tmp_path, dirs_exist_ok=True)
    annotation = tmp_path / "training_set/186_HC_Annotation.png"
    save(annotation, outline.astype(np.uint8) * 255)
    dataset = open_release(compose, "hc18", "segment", tmp_path)
    sample = next(sample for sample in dataset.test if sample.id == "186/HC")
    assert np.array_equal(sample.target.planes[0], head)
    assert dataset.layout.oddities()["contours closed along the image's border"] == 1
