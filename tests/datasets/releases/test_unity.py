"""The Unity release: where its files lie, which names they go by, its splits, groups, pixel sizes
and known defect.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from usbench.datasets import source
from usbench.datasets.codecs import image
from usbench.datasets.config import DatasetConfig
from usbench.datasets.dataset import Dataset, file_fingerprint, open_view
from usbench.datasets.releases import unity
from usbench.datasets.releases.unity import Unity
from usbench.errors import ConfigError, DataError
from usbench.io.config import conf_dir
from usbench.leaderboard import published
from usbench.types import BLURRED, OFF, SEEN, SPLITS, Boxes, Landmarks, Layout, Sample

A, B, C, D = (
    digit * 2 + hashlib.sha256(digit.encode()).hexdigest()[:62] for digit in "abcd"
)  # codes of videos
NODE = yaml.safe_load((conf_dir() / "dataset" / "unity.yaml").read_text())
CONFIG = DatasetConfig.from_mapping(NODE)
APEX = {"type": "point", "x": "3.0", "y": "2.0"}
WALL = {"type": "curve", "x": "1.0 2.0 3.0", "y": "1.0 4.0 1.0"}
GONE = {"type": "off", "x": "", "y": ""}
FOGGY = {"type": "blurred", "x": "", "y": ""}
TRAIN = {
    f"01-{A}-0000.png": {"apex": APEX, "wall": GONE},
    f"01-{A}-0017.png": {"apex": FOGGY, "wall": WALL},
}
TUNE = {f"01-{B}-0003.png": {"wall": WALL}}
IVAL = {f"02-{C}-0001.png": {"apex": APEX, "wall": WALL}}


def pixels(n: int) -> np.ndarray:
    return np.full((6, 8), n, np.uint8)


def lay_image(root: Path, place: str, n: int = 0) -> None:
    path = root / "png-cache" / place
    path.parent.mkdir(parents=True, exist_ok=True)
    image.write_grey(path, pixels(n))


def lay_labels(folder: Path, **parts: dict[str, Any]) -> None:
    """labels-all and a file with its list per part, of {image: {name: label}}."""
    folder.mkdir(parents=True, exist_ok=True)
    all_labels = {name: labels for part in parts.values() for name, labels in part.items()}
    for part, part_labels in {"all": all_labels, **parts}.items():
        records = {name: {"labels": labels} for name, labels in part_labels.items()}
        (folder / f"labels-{part}.json").write_text(json.dumps(records))
        (folder / f"labels-{part}.txt").write_text("\n".join(part_labels) + "\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A release by hand: two frames of one video to train, one to tune, one of class 02 to test."""
    lay_labels(tmp_path / "labels", train=TRAIN, tune=TUNE, ival=IVAL)
    lay_image(tmp_path, f"01/{A[:2]}/{A[2:4]}/01-{A}-0000.png", 1)
    lay_image(tmp_path, f"01/{A[:2]}/{A[2:4]}/01-{A}-0017.png", 2)
    lay_image(tmp_path, f"01/{B[:2]}/{B[2:4]}/01-{B}-0003.png", 3)
    lay_image(tmp_path, f"02/{C[:2]}/{C[2:4]}/02-{C}-0001.png", 4)
    return tmp_path


def relabel(root: Path, part: str, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change what labels-PART.json holds and labels-all.json with it, not the lists."""
    for name in (part, "all"):
        path = root / "labels" / f"labels-{name}.json"
        records = json.loads(path.read_text())
        change(records)
        path.write_text(json.dumps(records))


def opened(root: Path, layout: Unity | None = None) -> Dataset:
    view, split = CONFIG.views["landmark"], CONFIG.split
    return open_view("unity", "landmark", view, layout or Unity(), root, split, None)


def lists(marks: Landmarks) -> list[list[list[float]]]:
    return [path.tolist() for path in marks.paths]


# ---- reading


def test_a_release_by_hand(root: Path) -> None:
    layout = Unity()
    assert isinstance(layout, Layout) and layout.classes == ()
    records = layout.index(root)
    assert layout.classes == ("apex", "wall")
    assert [record.id for record in records] == [
        f"test/02-{C}-0001",
        f"train/01-{A}-0000",
        f"train/01-{A}-0017",
        f"val/01-{B}-0003",
    ]
    assert [record.split for record in records] == ["test", "train", "train", "val"]
    assert [record.group for record in records] == [C, A, A, B]  # frames of one video are one group
    first = records[1]
    assert (
        first.image == f"png-cache/01/{A[:2]}/{A[2:4]}/01-{A}-0000.png"
        and first.label == "labels/labels-train.json"
    )
    assert first.mm_per_px is None
    marks = [layout.read(root, record) for record in records]
    assert [landmarks.state.tolist() for landmarks in marks] == [
        [SEEN, SEEN],
        [SEEN, OFF],
        [BLURRED, SEEN],
        [BLURRED, SEEN],
    ]
    assert lists(marks[1]) == [[[3, 2]], []] and lists(marks[2]) == [[], [[1, 1], [2, 4], [3, 1]]]


def test_the_parts_are_train_validation_and_test(root: Path) -> None:
    dataset = opened(root)
    assert {split: len(part) for split, part in dataset.records.items()} == {
        "train": 2,
        "val": 1,
        "test": 1,
    }
    sample = dataset.samples("val")[0]
    assert sample.image.tolist() == pixels(3).tolist() and lists(sample.target) == [
        [],
        [[1, 1], [2, 4], [3, 1]],
    ]
    assert dataset.classes == ("apex", "wall")


def test_names_are_read_from_the_file_and_sorted(root: Path) -> None:
    relabel(
        root,
        "ival",
        lambda records: records[f"02-{C}-0001.png"]["labels"].update(aorta=APEX, ghost=GONE),
    )
    layout = Unity()
    layout.index(root)
    assert layout.classes == ("aorta", "apex", "wall")  # a name that is nowhere seen is no class


def test_a_list_of_classes_takes_these_only(root: Path) -> None:
    layout = Unity(classes=["wall"])
    records = layout.index(root)
    assert (
        layout.classes == ("wall",)
        and [len(layout.read(root, record).paths) for record in records] == [1] * 4
    )
    with pytest.raises(
        DataError, match=r"labels-all\.json: expected labels of tricuspid, found none"
    ):
        Unity(classes=["wall", "tricuspid"]).index(root)


def test_an_index_of_another_release_has_its_own_names(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    lay_labels(other / "labels", train={f"01-{D}-0000.png": {"tip": APEX}}, tune={}, ival={})
    lay_image(other, f"01/{D[:2]}/{D[2:4]}/01-{D}-0000.png")
    layout = Unity()
    layout.index(root)
    assert [record.group for record in layout.index(other)] == [D] and layout.classes == ("tip",)


def test_a_part_may_not_know_more_than_all(root: Path) -> None:
    path = root / "labels" / "labels-tune.json"
    path.write_text(path.read_text().replace('"wall"', '"roof"'))
    with pytest.raises(DataError, match=r"labels-all\.json: expected labels of roof"):
        Unity().index(root)


@pytest.mark.parametrize(("label", "picture"), [("01-", ""), ("", "01-"), ("", ""), ("", "02-")])
def test_the_class_may_be_left_out_in_front(tmp_path: Path, label: str, picture: str) -> None:
    name = f"{D}-0000.png"
    lay_labels(tmp_path / "labels", train={f"{label}{name}": {"apex": APEX}}, tune={}, ival={})
    folder = picture.rstrip("-") or "01"
    lay_image(tmp_path, f"{folder}/{D[:2]}/{D[2:4]}/{picture}{name}")
    layout = Unity()
    (record,) = layout.index(tmp_path)
    assert record.id == f"train/{picture}{D}-0000" and record.group == D
    assert lists(layout.read(tmp_path, record)) == [[[3, 2]]]


def test_two_spellings_of_one_frame_are_refused(root: Path) -> None:
    relabel(
        root, "tune", lambda records: records.update({f"{B}-0003.png": {"labels": {"wall": WALL}}})
    )
    with pytest.raises(DataError, match=f"got 'val/01-{B}-0003' twice"):
        Unity().index(root)


def test_labels_may_lie_at_the_top(root: Path) -> None:
    before = Unity().index(root)
    for path in sorted((root / "labels").iterdir()):
        path.rename(root / path.name)
    (root / "labels").rmdir()
    layout = Unity()
    records = layout.index(root)
    assert records == [replace(record, label=Path(str(record.label)).name) for record in before]
    assert layout.read(root, records[1]).state.tolist() == [SEEN, OFF]


def test_the_json_is_parsed_once_and_again_when_it_changes(root: Path) -> None:
    layout = Unity()
    records = layout.index(root)
    path = root / "labels" / "labels-train.json"
    state, text = path.stat(), path.read_text()
    path.write_text("7" * len(text))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert lists(layout.read(root, records[1])) == [[[3, 2]], []]  # what was read stays
    path.write_text(text.replace("3.0", "4.0"))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 10))
    assert lists(layout.read(root, records[1])) == [[[4, 2]], []]
    path.unlink()
    with pytest.raises(DataError, match=r"labels-train\.json: .* no such file"):
        layout.read(root, records[1])


def test_a_record_whose_labels_are_gone_is_named(root: Path) -> None:
    layout = Unity()
    records = layout.index(root)
    (root / "labels" / "labels-train.json").write_text('{"x": {"labels": {}}}')
    with pytest.raises(DataError, match=f"expected labels of 01-{A}-0000.png, found none"):
        layout.read(root, records[1])


# ---- two values, oddities, the known defect


def test_two_values_are_unknown_or_a_line_by_the_yaml(root: Path) -> None:
    two = {"type": "curve", "x": "1 3", "y": "2 2"}
    relabel(root, "tune", lambda records: records[f"01-{B}-0003.png"]["labels"].update(wall=two))
    for layout, state, wall in (
        (Unity(), BLURRED, []),
        (Unity(two="curve"), SEEN, [[1, 2], [2, 2], [3, 2]]),
    ):
        marks = layout.read(root, layout.index(root)[3])
        assert marks.state.tolist() == [BLURRED, state] and lists(marks)[1] == wall
        assert layout.oddities() == ({"two values": 1} if state == BLURRED else {})
    with pytest.raises(ConfigError, match="two=three: expected unknown"):
        Unity(two="three")  # type: ignore[arg-type]


def test_oddities_of_all_parts_are_counted_once(root: Path) -> None:
    bad = {"type": "point", "x": "", "y": "1"}
    layout = Unity()
    assert layout.oddities() == {}
    relabel(root, "tune", lambda records: records[f"01-{B}-0003.png"]["labels"].update(apex=bad))
    relabel(
        root,
        "ival",
        lambda records: records[f"02-{C}-0001.png"]["labels"].update(
            apex=bad, wall={**APEX, "type": "curve"}
        ),
    )
    records = layout.index(root)
    assert layout.oddities() == {"curve with one value": 1, "malformed": 2}
    for record in records * 2:
        layout.read(root, record)
    assert layout.index(root) == records and layout.oddities() == {
        "curve with one value": 1,
        "malformed": 2,
    }


MALFORMED = f"01-{A}-0000_(1).png"


def add_malformed(root: Path, name: str = MALFORMED) -> None:
    relabel(root, "train", lambda records: records.update({name: {"labels": {"apex": APEX}}}))


@pytest.mark.parametrize("listed", [True, False])
def test_one_record_without_an_image_is_known(root: Path, listed: bool) -> None:
    add_malformed(root)
    if listed:
        with (root / "labels" / "labels-train.txt").open("a") as file:
            file.write(f"{MALFORMED}\n")
    layout = Unity(**NODE["views"]["landmark"]["known_defects"])
    assert len(layout.index(root)) == 4 and layout.oddities() == {"records without an image": 1}
    with pytest.raises(
        DataError,
        match=r"labels-train\.json: 01-.*_\(1\)\.png: expected an image .* \(1 such records; 0 are",
    ):
        Unity().index(root)


def test_one_record_without_an_image_more_is_an_error(root: Path) -> None:
    add_malformed(root)
    next((root / "png-cache" / "02").rglob("*.png")).unlink()
    with pytest.raises(DataError, match=r"\(2 such records; 1 are a known defect"):
        Unity(records_without_image=1).index(root)


# ---- the lists


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"01-{B}-0003.png\r\n\r\n", None),
        (f"\ufeff{B}-0003.png", None),  # without the class, from a spreadsheet
        (f"01/{B[:2]}/{B[2:4]}/01-{B}-0003.png\n01-{B}-0003.png\n", None),  # a path; twice
        (
            "",
            f"got {B}-0003.png missing in labels-tune.txt "
            "(0 only in the list, 1 only in the labels)",
        ),
        (
            f"01-{B}-0003.png\n01-{A}-0000.png",
            f"got {A}-0000.png missing in labels-tune.json (1 only in the list",
        ),
        ("\udcff", "can't be read"),
        (None, None),
    ],
)
def test_the_list_beside_the_labels_agrees(
    root: Path, text: str | None, reason: str | None
) -> None:
    path = root / "labels" / "labels-tune.txt"
    path.unlink()
    if text is not None:
        path.write_bytes(text.encode(errors="surrogateescape"))
    if reason is None:
        assert len(Unity().index(root)) == 4
        return
    with pytest.raises(DataError) as caught:
        Unity().index(root)
    assert (
        str(caught.value).startswith(f"{path}: ")
        and reason in str(caught.value)
        and "\n" not in str(caught.value)
    )


# ---- pixel sizes


def test_pixel_sizes_are_millimetres_by_row_and_column(root: Path) -> None:
    rows = f"01-{A},0.02,0.03\n{C},0.01,0.01\n01-{B},,\n01-{D},9,9\n"
    table = f"FileHash,PhysicalDeltaX,PhysicalDeltaY\n{rows}"
    (root / "01_database_physical.csv").write_text(table)
    layout = Unity()
    sizes = {record.group: record.mm_per_px for record in layout.index(root)}
    assert (
        sizes[A] == pytest.approx((0.3, 0.2))
        and sizes[C] == pytest.approx((0.1, 0.1))
        and sizes[B] is None
    )
    assert layout.oddities() == {"images without a pixel size": 1}
    assert opened(root).samples("train")[0].mm_per_px == pytest.approx((0.3, 0.2))


def test_a_table_without_its_columns_is_named(root: Path) -> None:
    (root / "01_database_physical.csv").write_text("FileHash,DeltaX\n")
    with pytest.raises(DataError, match=r"01_database_physical\.csv: .* found no PhysicalDeltaX"):
        Unity().index(root)


def test_what_records_depend_on_besides_their_files(root: Path) -> None:
    assert Unity().shared_files(root) == ["labels/labels-all.json"]
    (root / "01_database_physical.csv").write_text("FileHash,PhysicalDeltaX,PhysicalDeltaY\n")
    assert Unity().shared_files(root) == ["labels/labels-all.json", "01_database_physical.csv"]


# ---- what is missing


@pytest.mark.parametrize(
    ("gone", "reason"),
    [
        (
            "png-cache",
            "png-cache: expected the release's images here, found none; unpack png-cache.zip",
        ),
        (
            "labels/labels-all.json",
            "labels-all.json: expected Unity's label JSON, found no such file",
        ),
        (
            "labels/labels-ival.json",
            "labels-ival.json: expected Unity's label JSON, found no such file",
        ),
    ],
)
def test_what_is_missing_is_named(root: Path, gone: str, reason: str) -> None:
    (root / gone).rename(root / "elsewhere")
    with pytest.raises(DataError) as caught:
        Unity().index(root)
    assert reason in str(caught.value) and str(root) in str(caught.value)


# ---- writing


def marks(apex: list[list[float]] | None, wall: list[list[float]] | None) -> Landmarks:
    paths = tuple(np.array(path or [], np.float32).reshape(-1, 2) for path in (apex, wall))
    return Landmarks(paths, np.array([SEEN if apex else OFF, SEEN if wall else BLURRED], np.int8))


SAMPLES = [
    Sample("one", "pig 1", pixels(1), marks([[3, 2]], None), (0.25, 0.5), "train"),
    Sample(
        "two", "pig 1", pixels(2), marks(None, [[1, 1], [2.5, 4], [3, 1]]), (0.25, 0.5), "train"
    ),
    Sample("three", "pig 2", pixels(3), marks([[0.1, 5]], [[1, 1], [2, 4], [3, 1]]), None, "val"),
    Sample(f"test/02-{C}-0007", "any", pixels(4), marks([[-1, 2]], None), None, "test"),
]
NAMES = ("apex", "wall")


def test_written_as_the_release_is(tmp_path: Path) -> None:
    code = hashlib.sha256(b"pig 1").hexdigest()
    layout = Unity(classes=NAMES)
    records = layout.write(tmp_path, iter(SAMPLES))
    assert records == Unity().index(tmp_path) == layout.index(tmp_path)
    assert (
        tmp_path / f"png-cache/01/{code[:2]}/{code[2:4]}/01-{code}-0001.png"
    ).is_file()  # the second frame
    labels = json.loads((tmp_path / "labels" / "labels-train.json").read_text())
    assert labels[f"01-{code}-0000.png"] == {
        "labels": {
            "apex": {"type": "point", "y": "2.0", "x": "3.0"},
            "wall": {"type": "blurred", "y": "", "x": ""},
        }
    }
    assert labels[f"01-{code}-0001.png"]["labels"]["wall"] == {
        "type": "curve",
        "y": "1.0 4.0 1.0",
        "x": "1.0 2.5 3.0",
    }
    assert (tmp_path / "labels" / "labels-ival.txt").read_text() == f"02-{C}-0007.png\n"
    assert len((tmp_path / "labels" / "labels-all.txt").read_text().splitlines()) == 4
    table = (tmp_path / "01_database_physical.csv").read_text()
    assert table == f"FileHash,PhysicalDeltaX,PhysicalDeltaY\n01-{code},0.05,0.025\n"


def test_read_gives_what_was_written(tmp_path: Path) -> None:
    Unity(classes=NAMES).write(tmp_path, SAMPLES)
    dataset = opened(tmp_path)
    actual = [sample for split in SPLITS for sample in dataset.samples(split)]
    assert dataset.classes == NAMES and len(actual) == len(SAMPLES)
    for expected, sample in zip(SAMPLES, actual, strict=True):
        assert isinstance(sample.target, Landmarks) and isinstance(expected.target, Landmarks)
        assert sample.image.tolist() == expected.image.tolist() and lists(sample.target) == lists(
            expected.target
        )
        assert sample.target.state.tolist() == expected.target.state.tolist()
        assert sample.mm_per_px == (
            pytest.approx(expected.mm_per_px) if expected.mm_per_px else None
        )
    assert actual[0].group == actual[1].group != actual[2].group and actual[3].group == C


def test_the_same_samples_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        Unity(classes=NAMES).write(tmp_path / name, SAMPLES)
    trees = [
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*.*")
        }
        for name in ("one", "two")
    ]
    assert trees[0] == trees[1] and len(trees[0]) == 4 + 8 + 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"split": None}, "a split"),
        ({"target": Boxes.empty()}, "expected landmarks, got Boxes"),
        ({"mm_per_px": (1.0, 1.0)}, "one pixel size per video"),
        ({"target": marks([[1, 1], [2, 2]], None)}, "apex: expected one place or three or more"),
        ({"id": f"02-{C}-0007"}, "expected a frame of its own"),
    ],
)
def test_what_cannot_be_written(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError) as caught:
        Unity(classes=NAMES).write(
            tmp_path, [SAMPLES[0], SAMPLES[3], replace(SAMPLES[1], **change)]
        )
    assert reason in str(caught.value) and "\n" not in str(caught.value)


def test_writing_needs_names(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="sample one: expected names of landmarks, got none"):
        Unity().write(tmp_path, SAMPLES)


# ---- the YAML


def test_the_yaml_s_layout_is_this_one(root: Path) -> None:
    add_malformed(root)
    layout = source.build_layout(CONFIG, "landmark", phantom=False)
    assert isinstance(layout, Unity) and layout.two == "unknown"
    dataset = opened(root, layout)
    assert (
        dataset.classes == ("apex", "wall")
        and len(file_fingerprint(dataset, root / "hashes.json")) == 64
    )
    with pytest.raises(DataError, match="known defect"):  # a phantom has none
        source.build_layout(CONFIG, "landmark", phantom=True).index(root)


def test_the_yaml_says_what_a_user_must_know() -> None:
    view = NODE["views"]["landmark"]
    assert (
        view["classes"] is None and NODE["redistribute"] == "none" and "disputed" in NODE["licence"]
    )
    assert {name for part in view["measures"].values() for name in part["of"]} == {
        "lv-ivs-top", "lv-ivs-bottom", "lv-pw-top", "lv-pw-bottom"
    }  # fmt: skip
    (entry,) = [
        dataset for dataset in published.read_datasets(conf_dir()) if dataset.name == "unity"
    ]
    assert all(
        row.protocol == "unknown" and row.model is None and row.why for row in entry.published
    )
    stem = NODE["phantom"]["id"].format(group=3, n=12)
    assert stem == f"01-{'0' * 63}3-0012" and unity.FRAME.fullmatch(f"{stem}.png")
