"""usbench check --conformance passes a sound layout of a lab, names each fault of a broken one, and
changes nothing.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import yaml
from PIL import Image

from usbench.cli import check as verb
from usbench.datasets.check import copy_rules
from usbench.datasets.check.conformance import RULES, ViewConformance, check_conformance
from usbench.datasets.check.target_rules import same_target
from usbench.datasets.codecs import image
from usbench.datasets.config import DatasetConfig
from usbench.types import OFF, SEEN, TASKS, Boxes, Landmarks, Layout, Masks, Record

CLASSES = ("tendon", "sheath")
SIZE = (24, 32)
GROUPS, PER_GROUP = 8, 3
HERE = "tests.datasets.check.test_conformance"
SHARES = {"description": "ours", "shares": {"val": 0.25, "test": 0.25}, "folds": 4}


class Lab(Layout):
    """images/p1_0.png with <task>/p1_0.json: numbers by class, of a rectangle or a point."""

    def __init__(self, classes, task):
        self.classes, self.task = tuple(classes), task

    def index(self, root):
        names = sorted(path.stem for path in (root / "images").glob("*.png"))
        return [
            Record(
                name,
                name.split("_")[0],
                f"images/{name}.png",
                f"{self.task}/{name}.json",
                mm_per_px=(0.1, 0.2),
                attributes={"clinic": "A"},
            )
            for name in names
        ]

    def read(self, root, record):
        numbers = json.loads((root / record.label).read_text())
        rows = [numbers[name] for name in self.classes]
        if self.task == "landmark":
            paths = tuple(np.array([row] if row else [], np.float32).reshape(-1, 2) for row in rows)
            return Landmarks(paths, np.array([SEEN if row else OFF for row in rows], np.int8))
        if self.task == "detect":
            return Boxes(np.array(rows, np.float64), np.arange(len(rows)))
        planes = np.zeros((len(rows), *image.read_size(root / record.image)), bool)
        for plane, (x1, y1, x2, y2) in zip(planes, rows, strict=True):
            plane[y1:y2, x1:x2] = True
        return Masks(planes)

    def write(self, root, samples):
        (root / "images").mkdir()
        (root / self.task).mkdir()
        for sample in samples:
            image.write_grey(root / "images" / f"{sample.id}.png", sample.image)
            content = dict(zip(self.classes, self.rows(sample.target), strict=True))
            (root / self.task / f"{sample.id}.json").write_text(json.dumps(content))
        return self.index(root)

    def rows(self, target):
        if isinstance(target, Boxes):
            return target.xyxy.tolist()
        if isinstance(target, Landmarks):
            return [path[0].tolist() if len(path) else [] for path in target.paths]
        rows = []
        for plane in target.planes:
            down, across = np.nonzero(plane)
            ends = (across.min(), down.min(), across.max() + 1, down.max() + 1)
            rows.append([int(end) for end in ends])
        return rows


def lay_files(root: Path) -> Path:
    """The lab's files, written without its layout."""
    rng = np.random.default_rng(0)
    numbers = {"segment": ([2, 2, 9, 8], [12, 10, 30, 20]), "landmark": ([5.5, 7.0], [])}
    numbers["detect"] = numbers["segment"]
    for folder in ("images", *TASKS):
        (root / folder).mkdir(parents=True)
    for group, n in itertools.product(range(GROUPS), range(PER_GROUP)):
        pixels = rng.integers(0, 256, SIZE, dtype=np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"p{group}_{n}.png")
        for task in TASKS:
            content = dict(zip(CLASSES, numbers[task], strict=True))
            (root / task / f"p{group}_{n}.json").write_text(json.dumps(content))
    return root


def node_of(layout: str = f"{HERE}.Lab", split: Mapping[str, Any] = SHARES, **keys: Any) -> Any:
    """The lab's YAML, which has no phantom."""
    views = {
        task: {"classes": list(CLASSES), "layout": {"_target_": layout, "task": task}}
        for task in TASKS
    }
    views["segment"]["exclusive"] = True
    views["detect"] |= {"box_origin": 0, "box_end": "exclusive"}
    node = {"name": "mine", "size": list(SIZE), "released": True, "phantom": None, "views": views}
    return {**node, "split": dict(split), **keys}


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return lay_files(tmp_path_factory.mktemp("lab") / "mine")


def conform(root: Path, task: str, node: Any) -> ViewConformance:
    return check_conformance(DatasetConfig.from_mapping(node), root, False, task)


# ---- a sound layout


@pytest.mark.parametrize("task", TASKS)
def test_a_sound_layout_keeps_every_rule(root, task):
    before = tree(root)
    report = conform(root, task, node_of())
    assert report.findings == []
    assert {rule: report.outcome(rule) for rule in report.rules} == dict.fromkeys(
        report.rules, "ok"
    )
    of_others = {"overlap": "segment", "boxes": "detect", "landmarks": "landmark"}
    expected = [rule for rule in RULES if of_others.get(rule, task) == task]
    assert list(report.rules) == expected
    assert report.images == report.read == GROUPS * PER_GROUP and report.written == 6
    assert tree(root) == before


def test_at_most_thirty_images_are_decoded(tmp_path, monkeypatch):
    lay_files(tmp_path / "mine")
    for n, path in itertools.product(range(16), list((tmp_path / "mine").rglob("p0_0.*"))):
        path.with_stem(f"q{n:02d}_0").write_bytes(path.read_bytes())
    decoded = []
    read_grey = image.read_grey
    monkeypatch.setattr(image, "read_grey", lambda path: decoded.append(path) or read_grey(path))
    report = conform(tmp_path / "mine", "detect", node_of())
    assert (report.images, report.read, report.findings) == (40, 30, [])
    ours = [path for path in decoded if path.is_relative_to(tmp_path)]
    assert len(ours) == 30 + 6  # the targets', and those of written samples


class NoWrite(Lab):
    write = Layout.write


class WriteForLater(Lab):
    def write(self, root, samples):
        raise NotImplementedError


@pytest.mark.parametrize("layout", [NoWrite, WriteForLater])
def test_a_layout_without_write_gets_a_note(root, layout):
    report = conform(root, "segment", node_of(f"{HERE}.{layout.__name__}"))
    (finding,) = report.findings
    assert (finding.level, finding.kind) == ("note", "write") and "write" in finding.text


# ---- broken layouts: rule, words of the finding, task, layout


class SameId(Lab):
    def index(self, root):
        first, *rest = super().index(root)
        return [first, replace(rest[0], id=first.id), *rest[1:]]


class Unsorted(Lab):
    def index(self, root):
        return super().index(root)[::-1]


class Absolute(Lab):
    def index(self, root):
        return [replace(r, image=str(root / r.image)) for r in super().index(root)]


class Backslash(Lab):
    def index(self, root):
        return [replace(r, label=r.label.replace("/", "\\")) for r in super().index(root)]


class Outside(Lab):
    def index(self, root):
        return [replace(r, image=f"../{root.name}/{r.image}") for r in super().index(root)]


class NoFile(Lab):
    def index(self, root):
        return [replace(r, label=f"{r.label}.txt") for r in super().index(root)]


class Restless(Lab):
    count = itertools.count()

    def index(self, root):
        return [replace(r, group=f"{r.group}{next(self.count)}") for r in super().index(root)]


class Forgetful(Lab):
    calls: ClassVar[list[Path]] = []

    def index(self, root):
        self.calls.append(root)
        return super().index(root)[len(self.calls) % 2 :]


class NumberedGroups(Lab):
    def index(self, root):
        return [replace(r, group=int(r.group[1:])) for r in super().index(root)]


class Dictionaries(Lab):
    def index(self, root):
        return [vars(r) for r in super().index(root)]


class NoRecords(Lab):
    def index(self, root):
        return []


class Crashing(Lab):
    def index(self, root):
        return {}["splits"]


class Decoding(Lab):
    def index(self, root):
        return [r for r in super().index(root) if image.read_grey(root / r.image).any()]


class Training(Lab):
    def index(self, root):
        return [replace(r, split="training") for r in super().index(root)]


class NoSpacing(Lab):
    def index(self, root):
        return [replace(r, mm_per_px=(0.0, 0.1)) for r in super().index(root)]


class Ages(Lab):
    def index(self, root):
        return [replace(r, attributes={"age": 7}) for r in super().index(root)]


class OddFolds(Lab):
    def index(self, root):
        return [replace(r, folds=("test", "held out")) for r in super().index(root)]


class ListOfClasses(Lab):
    def __init__(self, classes, task):
        super().__init__(classes, task)
        self.classes = list(classes)


class OtherOrder(Lab):
    def __init__(self, classes, task):
        super().__init__(classes[::-1], task)


class NoLayout:
    def __init__(self, classes, task):
        self.classes = classes


class Reading(Lab):
    """Gives what `change` makes of the target."""

    def read(self, root, record):
        return self.change(super().read(root, record))


class OtherKind(Reading):
    def change(self, target):
        return Boxes.empty()


class Scored(Reading):
    def change(self, target):
        return replace(target, scores=np.ones(2, np.float32))


class Bytes(Reading):
    def change(self, target):
        return Masks(target.planes.astype(np.uint8))


class Cropped(Reading):
    def change(self, target):
        return Masks(target.planes[:, 1:])


class OnePlane(Reading):
    def change(self, target):
        return Masks(target.planes[:1])


class Overlapping(Reading):
    def change(self, target):
        planes = target.planes.copy()
        planes[1, 2:4, 2:5] = True  # 2 × 3 pixels of the first class's rectangle
        return Masks(planes)


class ShortLabels(Reading):
    def change(self, target):
        return replace(target, labels=target.labels.astype(np.int32))


class FromOne(Reading):
    def change(self, target):
        return replace(target, labels=target.labels + 1)


class WholePixels(Reading):
    def change(self, target):
        return replace(target, xyxy=target.xyxy.astype(np.int64))


class TooWide(Reading):
    def change(self, target):
        return replace(target, xyxy=target.xyxy + np.array([0, 0, 3, 0]))  # to column 33 of 32


class Inclusive(Reading):
    def change(self, target):
        return replace(target, xyxy=target.xyxy[:, [0, 1, 0, 1]])  # one pixel, its end inclusive


class NotANumber(Reading):
    def change(self, target):
        return replace(target, xyxy=target.xyxy * np.nan)


class Random(Reading):
    rng = np.random.default_rng(0)

    def change(self, target):
        return replace(target, xyxy=target.xyxy + self.rng.uniform(0, 1))


class RandomPoints(Reading):
    rng = np.random.default_rng(0)

    def change(self, target):
        return replace(target, paths=(target.paths[0] + np.float32(next(COUNT)), target.paths[1]))


COUNT = itertools.count()


class AllSeen(Reading):
    def change(self, target):
        return replace(target, state=np.zeros(2, np.int8))


class OddState(Reading):
    def change(self, target):
        return replace(target, state=np.array([SEEN, 7], np.int8))


class LongPoints(Reading):
    def change(self, target):
        return replace(target, paths=tuple(path.astype(np.float64) for path in target.paths))


class TwoKnots(Reading):
    def change(self, target):
        return replace(target, paths=(np.ones((2, 2), np.float32), target.paths[1]))


class OnePath(Reading):
    def change(self, target):
        return Landmarks(target.paths[:1], target.state[:1])


class Unreadable(Reading):
    def change(self, target):
        return target.boxes


class NoSuchFile(Lab):
    def shared_files(self, root):
        return ["table.csv"]


class FarFile(Lab):
    """A file beside the release: it is hashed, but in a copy it isn't there."""

    def shared_files(self, root):
        return [str(root / "images" / "p0_0.png")]


class Shifted(Lab):
    def rows(self, target):
        return [[x + 1 for x in row] for row in super().rows(target)]


class Losing(Lab):
    def write(self, root, samples):
        return super().write(root, list(samples)[1:])


class Dark(Lab):
    def write(self, root, samples):
        return super().write(root, [replace(s, image=s.image // 2) for s in samples])


class Tongue(Lab):
    def write(self, root, samples):
        return super().write(root, samples)[::-1]


class Respaced(Lab):
    def __init__(self, classes, task):
        super().__init__(classes, task)
        self.spacing = (0.1, 0.2)

    def index(self, root):
        return [replace(r, mm_per_px=self.spacing) for r in super().index(root)]

    def write(self, root, samples):
        self.spacing = (0.2, 0.1)
        return super().write(root, samples)


BROKEN = [
    ("layout", "inherits from usbench.types.Layout, got NoLayout", "segment", NoLayout),
    ("ids", "every id once, got 'p0_0' 2 times", "segment", SameId),
    ("ids", "sorted by id, got 'p7_1' after 'p7_2'", "segment", Unsorted),
    ("paths", "p0_0: image: expected a path relative to the root, got /", "segment", Absolute),
    ("paths", r"p0_0: label: expected forward slashes, got segment\p0_0", "segment", Backslash),
    ("paths", "p0_0: image: expected a path below the root, got ../mine", "segment", Outside),
    ("paths", "p0_0: label: expected a file, found none at segment/p0_0", "segment", NoFile),
    ("index", "the same records each time, got Record(id='p0_0'", "segment", Restless),
    ("index", "the same records each time, got 2", "segment", Forgetful),
    ("index", "record 'p0_0': the group: expected text", "segment", NumberedGroups),
    ("index", "expected usbench.types.Record, got dict", "segment", Dictionaries),
    ("index", "got an empty one", "segment", NoRecords),
    ("index", "KeyError: 'splits' (test_conformance.py, line ", "segment", Crashing),
    ("lazy", "index, where no image can be decoded: images/p0_0.png", "segment", Decoding),
    ("facts", "p0_0: split: expected train, val, test or None, got 'training'", "detect", Training),
    ("facts", "p0_0: mm_per_px: expected (row, column) above 0", "detect", NoSpacing),
    ("facts", "p0_0: attributes: expected texts by name, got {'age': 7}", "detect", Ages),
    ("facts", "p0_0: folds: expected some splits, got ('test', 'held out')", "detect", OddFolds),
    ("classes", "a tuple of different names, got ['tendon', 'sheath']", "detect", ListOfClasses),
    ("classes", "order (tendon, sheath), got sheath, tendon", "detect", OtherOrder),
    ("targets", "p0_0: expected Masks, got Boxes", "segment", OtherKind),
    ("targets", "p0_0: scores: expected None", "segment", Scored),
    ("targets", "p0_0: ValueError: planes: expected (C, H, W) bool", "segment", Bytes),
    ("targets", "the size of p0_0.png (24, 32), got (23, 32)", "segment", Cropped),
    ("targets", "p0_0: expected 2 planes, one per class, got 1", "segment", OnePlane),
    ("targets", "p0_0: AttributeError: 'Masks' object has no", "segment", Unreadable),
    ("overlap", "p0_0: expected no pixel of two classes, got 6", "segment", Overlapping),
    ("targets", "p0_0: labels: expected int64, got int32", "detect", ShortLabels),
    ("targets", "p0_0: labels: expected 0 to 1, got 2", "detect", FromOne),
    ("targets", "p0_0: xyxy: expected float32 or float64, got int64", "detect", WholePixels),
    ("boxes", "boxes inside p0_0.png (32×24), got one outside", "detect", TooWide),
    ("boxes", "expected x1 < x2 and y1 < y2, got [2.0, 2.0, 2.0, 2.0]", "detect", Inclusive),
    ("boxes", "p0_0: expected finite corners", "detect", NotANumber),
    ("repeat", "p0_0: expected the same target each time", "detect", Random),
    ("repeat", "p0_0: expected the same target each time", "landmark", RandomPoints),
    ("landmarks", "p0_0: path 1: expected points exactly where it is SEEN", "landmark", AllSeen),
    ("landmarks", "p0_0: state: expected SEEN, OFF or BLURRED, got [0, 7]", "landmark", OddState),
    (
        "targets",
        "p0_0: path 0: expected (P, 2) float32, got (1, 2) float64",
        "landmark",
        LongPoints,
    ),
    ("landmarks", "p0_0: path 0: expected one point, or three", "landmark", TwoKnots),
    ("targets", "p0_0: expected 2 paths, one per class, got 1", "landmark", OnePath),
    ("fingerprint", "FileNotFoundError", "segment", NoSuchFile),
    ("fingerprint", "a copy has another", "segment", FarFile),
    ("write", "expected the target that was written, read another", "detect", Shifted),
    ("write", "expected 6 records of as many samples, got 5", "segment", Losing),
    ("write", "expected the pixels of a written sample, got others", "segment", Dark),
    ("write", "expected write to return the records of index", "segment", Tongue),
    ("write", "expected the mm_per_px that was written, read (0.2, 0.1)", "segment", Respaced),
]


@pytest.mark.parametrize(
    ("rule", "text", "task", "layout"), BROKEN, ids=[row[-1].__name__ for row in BROKEN]
)
def test_each_fault_is_found_under_its_rule(root, rule, text, task, layout):
    before = tree(root)
    report = conform(root, task, node_of(f"{HERE}.{layout.__name__}"))
    errors = [finding for finding in report.findings if finding.level == "error"]
    assert {finding.kind for finding in errors} == {rule}
    assert text in errors[0].text
    assert report.outcome(rule) == "error" and report.number("error") == len(errors)
    assert tree(root) == before


def test_after_an_error_of_the_index_nothing_else_is_checked(root):
    report = conform(root, "segment", node_of(f"{HERE}.SameId"))
    assert (report.outcome("ids"), report.outcome("paths")) == ("error", "ok")
    assert {report.outcome(rule) for rule in ("lazy", "targets", "write")} == {"not checked"}
    assert report.read == report.written == 0


def test_points_outside_the_image_are_a_warning(root):
    report = conform(root, "landmark", node_of(f"{HERE}.Outlying"))
    assert {(item.level, item.kind) for item in report.findings} == {("warning", "landmarks")}
    assert "got [5.5, -7.0] to [5.5, -7.0]" in report.findings[0].text


class Outlying(Reading):
    """Annotators draw over the edge."""

    def change(self, target):
        return replace(target, paths=(target.paths[0] * np.float32([1, -1]), target.paths[1]))

    def rows(self, target):
        return super().rows(replace(target, paths=(abs(target.paths[0]), target.paths[1])))


# ---- splits


class Halves(Lab):
    """A release with train and test."""

    def index(self, root):
        records = super().index(root)
        return [replace(r, split="train" if r.group < "p5" else "test") for r in records]


class ByFolds(Lab):
    """Folds of the release's own; p0 is tested in the first two."""

    def index(self, root):
        records = []
        for record in super().index(root):
            number = int(record.group[1:])
            parts = ["test" if number % 4 == fold else "train" for fold in range(4)]
            parts[(number + 1) % 4] = "test" if number == 0 else "val"
            records.append(replace(record, folds=tuple(parts)))
        return records


RUNS = {"shares": {"val": 0.2, "test": 0.2}, "gap": 0}  # contiguous: borders divide groups
SPLITS_OF = {
    "a group in two splits of ours": (Lab, RUNS, "splits", "error", "every group in one split"),
    "no validation images": (Halves, {}, "splits", "error", "an image in the val split"),
    "no image to train on": (
        Lab,
        {"shares": {"val": 0.9, "test": 0.05}},
        "splits",
        "error",
        "train",
    ),
    "a group in two parts of a fold": (
        Lab,
        {**SHARES, "gap": 0, "folds": 5},
        "folds",
        "error",
        "one split",
    ),
    "too few groups for a fold": (Lab, {**SHARES, "folds": 9}, "folds", "warning", "an image in"),
    "an image tested in two folds": (
        ByFolds,
        {"folds": 4, "released_folds": True},
        "folds",
        "warning",
        "each image tested in one fold, got p0_0 in 2 (3 such images)",
    ),
}


@pytest.mark.parametrize("case", SPLITS_OF)
def test_a_split_that_misleads_is_found(root, case):
    layout, split, rule, level, text = SPLITS_OF[case]
    split = {"description": "ours", **split}
    report = conform(root, "segment", node_of(f"{HERE}.{layout.__name__}", split))
    found = [item for item in report.findings if item.kind == rule]
    assert found and found[0].level == level and text in found[0].text


@pytest.mark.parametrize(
    ("layout", "split"), [(Lab, {"test_only": True}), (Halves, {"val_share": 0.3})]
)
def test_other_splits_are_sound(root, layout, split):
    split = {"description": "ours", **split}
    report = conform(root, "segment", node_of(f"{HERE}.{layout.__name__}", split))
    assert report.findings == [] and "folds" not in report.rules


# ---- the copy


def test_a_copy_is_changed_without_the_original(root):
    before = tree(root)
    with copy_rules.copy_tree(root) as copy:
        assert {name: data for name, (data, _) in tree(copy).items()} == {
            name: data for name, (data, _) in before.items()
        }
        copy_rules.replace_file(copy, "images/p0_0.png", b"changed")
        assert (copy / "images/p0_0.png").read_bytes() == b"changed"
        for name in (str(root / "images/p0_0.png"), f"../{root.name}/../x", "/etc/hostname"):
            with pytest.raises(ValueError, match="below the root"):
                copy_rules.replace_file(copy, name, b"changed")
    assert not copy.exists() and tree(root) == before


def test_a_copy_of_linked_folders_has_folders_of_its_own(root, tmp_path):
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "images").symlink_to(root / "images")
    (tmp_path / "linked" / "again").symlink_to(tmp_path)
    before = tree(root)
    with copy_rules.copy_tree(tmp_path / "linked") as copy:
        copy_rules.replace_file(copy, "images/p0_0.png", b"changed")
        assert not (copy / "again").exists()  # it would never end
    assert tree(root) == before


def test_targets_are_the_same_but_for_rounding():
    boxes = Boxes(np.array([[1.0, 2, 3, 4]]), np.array([0]))
    assert same_target(boxes, replace(boxes, xyxy=boxes.xyxy + 1e-4))
    assert not same_target(boxes, replace(boxes, xyxy=boxes.xyxy + 0.01))
    assert not same_target(boxes, replace(boxes, labels=boxes.labels + 1))
    assert not same_target(boxes, Boxes.empty())
    masks = Masks(np.ones((2, 2, 2), bool))
    assert same_target(masks, Masks(masks.planes.copy())) and not same_target(masks, boxes)
    assert not same_target(masks, replace(masks, known=np.array([True, False])))


# ---- the verb


@pytest.fixture
def lab(root, tmp_path, monkeypatch) -> Path:
    """The working directory, with conf/dataset/mine.yaml."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("USBENCH_DATA", raising=False)
    monkeypatch.delenv("USBENCH_CONFIG", raising=False)
    write_yaml(tmp_path, node_of())
    return tmp_path


def write_yaml(folder: Path, node: Any) -> None:
    path = folder / "conf" / "dataset" / f"{node['name']}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(node))


CONFORM = ("--conformance", "--dataset", "mine", "--config-dir", "conf", "--json", "found.json")


@pytest.mark.parametrize("key", ["data", "dataset.root"])
def test_the_verb_checks_a_dataset_of_ones_own(lab, root, capsys, key):
    place = root.parent if key == "data" else root
    assert verb.main([*CONFORM, f"{key}={place}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"mine at {root}" and lines[-1] == "0 errors, 0 warnings"
    assert (
        "detect: 24 images, targets of 24 read, 6 samples written to a copy and read again" in lines
    )
    content = json.loads((lab / "found.json").read_text())
    assert (content["dataset"], content["errors"], content["findings"]) == ("mine", 0, [])
    assert content["views"]["segment"]["rules"]["overlap"] == "ok"
    assert "boxes" not in content["views"]["segment"]["rules"]
    assert {path.name for path in lab.iterdir()} == {"conf", "found.json"}  # no runs, no pictures


def test_the_verb_ends_with_1_for_an_error(lab, root, capsys):
    write_yaml(lab, node_of(f"{HERE}.TooWide"))
    assert verb.main([*CONFORM, f"dataset.root={root}", "task=detect"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "24 errors, 0 warnings"
    assert any(
        line.startswith("error: boxes: detect: detect/p0_0.json: expected") for line in lines
    )
    assert "error: boxes: … and 19 more (--json FILE has all)" in lines
    content = json.loads((lab / "found.json").read_text())
    assert list(content["views"]) == ["detect"] and len(content["findings"]) == 24
    assert content["findings"][0].keys() == {"task", "level", "kind", "text"}


@pytest.mark.parametrize("option", [("--against", "usgra"), ("--sheet", "x.png")])
def test_conformance_compares_no_images(lab, root, capsys, option):
    with pytest.raises(SystemExit) as ended:
        verb.main([*CONFORM, *option])
    assert ended.value.code == 2 and "leave --against and --sheet out" in capsys.readouterr().err
