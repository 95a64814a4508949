"""AUL, written by hand. Evidence: adamtupper/ultrabench@a795300b (process/aul.py, data/splits) and
CAMMA-public/UltraSam@458ec794 datasets/datasets/AUL.py: the tree, names and point lists.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.helpers.release_files import (
    index_release,
    open_release,
    save,
    save_text,
    speckle,
)
from usbench.errors import DataError
from usbench.types import SPLITS

LIVER = [[2, 1], [17, 1], [17, 10], [2, 10]]
MASS = [[5, 3], [9, 3], [9, 7]]
SECTOR = [[0, 0], [19, 0], [19, 11], [0, 11]]
KINDS = {"Benign": 12, "Malignant": 12, "Normal": 12}  # numbers start again in every folder


def write_image(root: Path, kind: str, number: int, **outlines: list | None) -> None:
    """An image with its outlines; None: no file."""
    stated = {"outline": SECTOR, "liver": LIVER, "mass": None if kind == "Normal" else MASS}
    save(root / kind / f"image/{number}.jpg", speckle(12, 20, number), "RGB")
    for name, points in {**stated, **outlines}.items():
        if points is not None:
            save_text(root / kind / f"segmentation/{name}/{number}.json", json.dumps(points))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for kind, count in KINDS.items():
        for number in range(1, count + 1):
            write_image(tmp_path, kind, number)
    # the known defect: livers without an outline, and in `outline` one that is the liver's
    write_image(tmp_path, "Malignant", 229, liver=None, outline=LIVER)
    write_image(tmp_path, "Malignant", 306, liver=None, outline=LIVER)
    write_image(tmp_path, "Malignant", 374, liver=None)
    save_text(tmp_path / "__MACOSX/Benign/image/._1.jpg", "junk of the archive")
    save_text(tmp_path / "Benign/segmentation/mass/._1.json", "junk of the archive")
    return tmp_path


def filled_by_pillow(path: Path) -> np.ndarray:
    """A list of points, filled with its outline."""
    picture = Image.new("1", (20, 12))
    points = [tuple(point) for point in json.loads(path.read_text())]
    ImageDraw.Draw(picture).polygon(points, fill=1, outline=1)
    return np.array(picture)


def test_outlines_are_as_pillow_fills_them(root, compose):
    dataset = open_release(compose, "aul", "segment", root)
    assert dataset.classes == ("liver", "mass") and not dataset.exclusive
    seen = set()
    for split in SPLITS:
        for sample in getattr(dataset, split):
            kind, number = sample.id.split("/")
            seen.add(kind)
            folder = root / kind / "segmentation"
            liver, mass = sample.target.planes
            assert np.array_equal(liver, filled_by_pillow(folder / f"liver/{number}.json"))
            assert liver.sum() == 16 * 10 and sample.mm_per_px is None
            if kind == "Normal":
                assert not mass.any()
            else:
                assert np.array_equal(mass, filled_by_pillow(folder / f"mass/{number}.json"))
                assert not (mass & ~liver).any()
    assert seen == set(KINDS)


def test_images_without_their_liver_are_left_out(root, compose):
    left_out = {"Malignant/229", "Malignant/306", "Malignant/374"}
    segmented = {record.id for record in index_release(compose, "aul", "segment", root)}
    detected = {record.id for record in index_release(compose, "aul", "detect", root)}
    assert len(segmented) == 36 and detected - segmented == left_out


def test_boxes_are_those_of_the_masses(root, compose):
    write_image(root, "Benign", 1, mass=[[3, 2], [11, 2], [11, 9], [3, 9]])
    dataset = open_release(compose, "aul", "detect", root)
    assert dataset.classes == ("mass",)
    boxes = {
        sample.id: sample.target.xyxy.tolist()
        for split in SPLITS
        for sample in getattr(dataset, split)
    }
    assert boxes["Benign/1"] == [[3, 2, 12, 10]]
    assert boxes["Normal/1"] == [] and boxes["Malignant/2"] == []  # 15 pixels are too few


def test_every_kind_is_in_every_split(root, compose):
    dataset = open_release(compose, "aul", "segment", root)
    assert {name: len(part) for name, part in dataset.records.items()} == {
        "train": 21,
        "val": 6,
        "test": 9,
    }
    for part in dataset.records.values():
        assert {record.attributes["kind"] for record in part} == set(KINDS)
        assert all(record.group == record.id for record in part)


def test_folds_test_every_image_once(root, compose):
    tested = [
        record.id
        for fold in range(5)
        for record in open_release(compose, "aul", "segment", root, fold=fold).records["test"]
    ]
    assert len(tested) == len(set(tested)) == 36


BAD = {
    "an image without its liver": (
        lambda root: (root / "Benign/segmentation/liver/7.json").unlink(),
        r"Benign/image/7.jpg: expected its label Benign/segmentation/liver/7.json, found none",
    ),
    "a benign image without its mass": (
        lambda root: (root / "Benign/segmentation/mass/7.json").unlink(),
        r"Benign/image/7.jpg: expected its label Benign/segmentation/mass/7.json, found none",
    ),
    "an outline without an image": (
        lambda root: (root / "Normal/image/7.jpg").unlink(),
        r"Normal/segmentation/liver/7.json: expected an image for this label, found none",
    ),
    "another kind": (
        lambda root: save(root / "Cyst/image/1.jpg", speckle(12, 20)),
        r"Cyst/image/1.jpg: expected a folder Benign, Malignant, Normal for kind, got 'Cyst'",
    ),
    "a zip that wasn't unpacked": (
        lambda root: shutil.rmtree(root / "Malignant"),
        r"Malignant: expected the folder of Malignant.zip, got no such folder; unpack it into",
    ),
    "a zip unpacked into a folder of its own": (
        lambda root: shutil.copytree(root / "Benign", root / "Benign/Benign"),
        r"Benign/Benign: expected Benign/image, got one folder more; unpack Benign.zip into .* its",
    ),
    "another copy": (
        lambda root: [
            *(shutil.rmtree(root / kind) for kind in KINDS),
            save(root / "images/normal_25.jpg", speckle(12, 20)),
        ],
        r"normal_25.jpg: this is UltraBench's copy, .*; usbench reads the folders of .* three zips",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_files_are_refused(root, compose, what):
    damage, message = BAD[what]
    damage(root)
    with pytest.raises(DataError, match=message):
        index_release(compose, "aul", "segment", root)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[2, 1], [17, 1", r"5.json: expected a list of an outline's points, got a file cut off"),
        ("[[2, 1], [17, 1]]", r"5.json: expected 3 points or more, got 2; redraw it"),
        ('{"points": [[2, 1]]}', r"5.json: expected points as \[x, y\] in px, got \{'points'"),
        ("[[[2, 1], [17, 1], [17, 10]]]", r"5.json: expected points as \[x, y\] in px, got \[\[\["),
    ],
)
def test_a_damaged_outline_is_refused(root, compose, text, message):
    save_text(root / "Benign/segmentation/liver/5.json", text)
    dataset = open_release(compose, "aul", "segment", root)
    with pytest.raises(DataError, match=message):
        for split in SPLITS:
            list(getattr(dataset, split))
