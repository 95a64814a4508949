"""The normal-neck release: a few files by hand, what the copy's classes.txt rules, and the split
over the numbering.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from usbench.datasets import source
from usbench.datasets.codecs import image
from usbench.datasets.config import DatasetConfig
from usbench.datasets.dataset import open_view
from usbench.datasets.releases.nnus import Nnus
from usbench.errors import DataError
from usbench.io.config import conf_dir
from usbench.types import Boxes, Layout, Masks, Sample

NODE = yaml.safe_load((conf_dir() / "dataset" / "nnus.yaml").read_text())
CLASSES = (
    "Trachea",
    "Thyroid",
    "Common carotid artery",
    "Internal juglar vein",
    "Esophagus",
    "Logus coli muscle",
    "Strap muscle",
    "Sternocleidomastoid muscle",
)


def lay(
    root: Path, texts: dict[str, str], names: tuple[str, ...] = CLASSES, kind: str = "jpg"
) -> Nnus:
    """Images of 40×50 px with the given labels, written without the layout."""
    for folder in ("images", "labels"):
        (root / "NNUS" / folder).mkdir(parents=True)
    for stem, text in texts.items():
        Image.fromarray(np.full((40, 50, 3), 90, np.uint8)).save(
            root / "NNUS/images" / f"{stem}.{kind}", "JPEG"
        )
        (root / "NNUS/labels" / f"{stem}.txt").write_text(text)
    (root / "NNUS/labels/classes.txt").write_text("\n".join(names) + "\n")
    return Nnus(CLASSES)


def test_the_yaml_has_the_release_s_classes_and_states_the_assumption(compose: Any) -> None:
    assert tuple(NODE["views"]["detect"]["classes"]) == CLASSES
    assert (
        "Assumption" in NODE["views"]["detect"]["protocol_description"]
        and "assumption" in NODE["split"]["description"]
    )
    assert NODE["redistribute"] == "none" and "ask its authors" in NODE["access"]
    node = compose("dataset=nnus")["dataset"]
    layout = source.build_layout(DatasetConfig.from_mapping(node), "detect", phantom=False)
    assert (
        isinstance(layout, Layout) and layout.classes == CLASSES and layout.written_as == "detect"
    )


def test_read_by_hand(tmp_path: Path) -> None:
    """On 40×50: cx .5, w .2 → x 20..30; cy .25, h .5 → y 0..20."""
    layout = lay(tmp_path, {"0001": "2 0.5 0.25 0.2 0.5\n7 0.5 0.5 1 1\n", "0002": ""})
    first, second = layout.index(tmp_path)
    assert (first.id, first.group, first.split) == ("0001", "0001", None)
    assert (first.image, first.label) == ("NNUS/images/0001.jpg", "NNUS/labels/0001.txt")
    boxes = layout.read(tmp_path, first)
    assert np.allclose(boxes.xyxy, [[20, 0, 30, 20], [0, 0, 50, 40]], atol=1e-4)
    assert [CLASSES[label] for label in boxes.labels] == [
        "Common carotid artery",
        "Sternocleidomastoid muscle",
    ]
    assert len(layout.read(tmp_path, second).labels) == 0


def test_the_copy_s_classes_txt_rules_the_order(tmp_path: Path) -> None:
    layout = lay(tmp_path, {"0001": "0 0.5 0.5 0.5 0.5\n1 0.5 0.5 0.2 0.2\n"}, CLASSES[::-1])
    (record,) = layout.index(tmp_path)
    assert [CLASSES[label] for label in layout.read(tmp_path, record).labels] == [
        CLASSES[7],
        CLASSES[6],
    ]
    assert layout.shared_files(tmp_path) == ["NNUS/labels/classes.txt"]


def test_other_classes_show_both_lists(tmp_path: Path) -> None:
    layout = lay(tmp_path, {"0001": ""}, ("Trachea", "Internal jugular vein"))
    with pytest.raises(DataError) as caught:
        layout.index(tmp_path)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "NNUS/labels/classes.txt")) and "\n" not in message
    assert ", ".join(CLASSES) in message and "got Trachea, Internal jugular vein;" in message


@pytest.mark.parametrize("kind", ["jpg", "JPG", "jpeg"])
def test_every_spelling_of_jpg(tmp_path: Path, kind: str) -> None:
    (record,) = lay(tmp_path, {"0007": ""}, kind=kind).index(tmp_path)
    assert record.image == f"NNUS/images/0007.{kind}"


def test_ids_sort_as_the_numbers_do(tmp_path: Path) -> None:
    layout = lay(tmp_path, {"2": "", "10": "", "0100": ""})
    assert [record.id for record in layout.index(tmp_path)] == ["0002", "0010", "0100"]


def lost(root: Path, name: str) -> Path:
    (root / "NNUS" / name).unlink()
    return root / "NNUS" / name


def renamed(root: Path, new: str) -> None:
    for kind in ("images/{}.jpg", "labels/{}.txt"):
        (root / "NNUS" / kind.format("0001")).rename(root / "NNUS" / kind.format(new))


BAD = {
    "a label is missing": (
        lambda r: lost(r, "labels/0001.txt"),
        r"images/0001\.jpg: expected a label .* none \(1 of 2 images",
    ),
    "an image is missing": (
        lambda r: lost(r, "images/0001.jpg"),
        r"labels/0001\.txt: expected an image",
    ),
    "no classes.txt": (
        lambda r: lost(r, "labels/classes.txt"),
        r"labels/classes\.txt: .*no such file",
    ),
    "a name is no number": (
        lambda r: renamed(r, "neck"),
        r"images/neck\.jpg: expected a number as name",
    ),
    "a number twice": (lambda r: renamed(r, "2"), "'0002' twice"),
    "no folder": (
        lambda r: (r / "NNUS").rename(r / "nnus2"),
        r"NNUS/labels: expected a folder of \.txt files",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_a_damaged_release(tmp_path: Path, what: str) -> None:
    layout = lay(tmp_path, {"0001": "", "0002": ""})
    change, reason = BAD[what]
    change(tmp_path)
    with pytest.raises(DataError, match=reason):
        layout.index(tmp_path)


def test_a_bad_row_names_file_and_line(tmp_path: Path) -> None:
    layout = lay(tmp_path, {"0001": "8 0.5 0.5 0.5 0.5"})
    (record,) = layout.index(tmp_path)
    with pytest.raises(DataError, match=r"labels/0001\.txt: line 1: .*0\.\.7.*got '8'"):
        layout.read(tmp_path, record)


def test_write_lies_where_the_release_does(tmp_path: Path) -> None:
    pixels = np.linspace(0, 255, 40 * 50).reshape(40, 50).astype(np.uint8)
    target = Boxes(np.array([[20, 0, 30, 20]], np.float32), np.array([2]))
    samples = [Sample(f"{n:04d}", "g", pixels, target, split="train") for n in (2, 1)]
    written = Nnus(CLASSES).write(tmp_path, samples)
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    stems = {
        f"NNUS/{kind}" for n in (1, 2) for kind in (f"images/000{n}.jpg", f"labels/000{n}.txt")
    }
    assert files == {*stems, "NNUS/labels/classes.txt"}
    assert (tmp_path / "NNUS/labels/0001.txt").read_text() == "2 0.5 0.25 0.2 0.5\n"
    assert Nnus(CLASSES).index(tmp_path) == written and [record.id for record in written] == [
        "0001",
        "0002",
    ]
    again = Nnus(CLASSES).read(tmp_path, written[0])
    assert np.array_equal(again.xyxy, target.xyxy) and np.array_equal(again.labels, target.labels)
    decoded = image.read_grey(tmp_path / written[0].image)
    assert np.abs(decoded.astype(int) - pixels).max() <= 8  # JPEG of quality 95
    with pytest.raises(DataError, match="sample 0003: expected boxes"):
        Nnus(CLASSES).write(
            tmp_path, [Sample("0003", "g", pixels, Masks(np.zeros((1, 40, 50), bool)))]
        )
    with pytest.raises(DataError, match="a number as name"):
        Nnus(CLASSES).write(tmp_path, [Sample("g1_3", "g", pixels, target)])


@pytest.mark.parametrize("fold", [None, 0, 3])
def test_splits_are_runs_of_the_numbering_with_a_gap(tmp_path: Path, fold: int | None) -> None:
    layout = lay(tmp_path, {f"{n:04d}": "" for n in range(1, 133)})
    dataset = DatasetConfig.from_mapping(NODE)
    view = dataset.views["detect"]
    opened = open_view("nnus", "detect", view, layout, tmp_path, dataset.split, fold)
    split_of = {int(record.id): split for split, part in opened.records.items() for record in part}
    numbers = sorted(split_of)
    changes = [(a, b) for a, b in itertools.pairwise(numbers) if split_of[a] != split_of[b]]
    assert changes and all(b - a == 11 for a, b in changes)  # ten dropped at each border
    if fold is None:
        assert {split: len(part) for split, part in opened.records.items()} == {
            "train": 81,
            "val": 10,
            "test": 21,
        }
        assert [split_of[a] for a, _ in changes] == ["train", "val"]
