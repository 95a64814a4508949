"""usbench check finds every planted defect, none in a sound release, and changes nothing."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.helpers.written import ALIKE, TRAINABLE, UNLIKE, VIEWS, YAMLS, small_phantom
from usbench.cli import check as verb
from usbench.datasets import source
from usbench.datasets.check import contact_sheet, counts, findings, leakage
from usbench.datasets.check.release import CheckReport, open_views
from usbench.datasets.codecs import image, label_png, volumes
from usbench.datasets.config import DatasetConfig
from usbench.errors import ConfigError
from usbench.io.numbers import format_count
from usbench.types import BLURRED, OFF, SEEN, Boxes, Landmarks, Masks, Record

SPINAL_BOXES = Path("Final dataset for object detection")
SPINAL_MASKS = Path("SegmentationDataset")
USGRA = Path("dataset")
UNLISTED = (
    "dataset.split.near_duplicates=[]",
    "dataset.leakage=null",
    "dataset.published_counts=null",
)
REAL = os.environ.get("USBENCH_TEST_DATA", "")


@dataclass(frozen=True)
class Outcome:
    """What the command did."""

    code: int
    out: str
    err: str
    facts: dict[str, Any]  # its JSON

    def texts(self, level: str, kind: str = "") -> list[str]:
        rows = self.facts["findings"]
        return [
            row["text"] for row in rows if row["level"] == level and row["kind"].startswith(kind)
        ]


Check = Callable[..., Outcome]


@pytest.fixture
def check(tmp_path, monkeypatch, capsys) -> Check:
    """`check(*words)`: the verb in an empty folder, run in this process."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("USBENCH_DATA", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path / "here"))  # the verb puts it there too, for good

    def command(*arguments: str) -> Outcome:
        code = verb.main([*arguments, "--json", "found.json"])
        output = capsys.readouterr()
        path = Path("found.json")
        facts = {}
        if path.is_file():
            facts = json.loads(path.read_text())
            path.unlink()
        return Outcome(code, output.out, output.err, facts)

    return command


@pytest.fixture(scope="module")
def pristine(compose, tmp_path_factory) -> Callable[[str], Path]:
    """Small whole phantoms of every dataset, all views of one below one root, written once."""
    written: dict[str, Path] = {}

    def of(name: str) -> Path:
        if name not in written:
            root = tmp_path_factory.mktemp("releases") / name
            root.mkdir()
            node = compose(f"dataset={name}")["dataset"]
            for task in node["views"]:
                small_phantom(node, task, root)
            (root / source.MARK).write_text("{}")
            written[name] = root
        return written[name]

    return of


@pytest.fixture
def release(pristine, tmp_path) -> Callable[..., Path]:
    """`release(name, real=False)`: a copy to damage; real: without the mark of a phantom."""

    def copied(name: str, real: bool = False) -> Path:
        root = Path(shutil.copytree(pristine(name), tmp_path / "a folder" / name))
        if real:
            (root / source.MARK).unlink()
        return root

    return copied


def point_at(name: str, root: Path) -> list[str]:
    """The overrides that point at a small phantom."""
    gap = ["dataset.split.gap=1"] if "gap" in YAMLS[name]["split"] else []
    return [f"dataset={name}", f"dataset.root='{root}'", *gap]


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def views_of(name: str) -> list[str]:
    return [task for dataset, task in VIEWS if dataset == name]


# ---- every dataset


def test_every_dataset_has_a_phantom_to_be_checked():
    assert {"usgra", "spinal"} <= set(YAMLS) and all(node["phantom"] for node in YAMLS.values())


@pytest.mark.parametrize("name", YAMLS)
def test_a_whole_release_has_no_errors(name, release, check):
    root = release(name)
    before = tree(root)
    done = check(*point_at(name, root))
    assert (done.code, done.err, done.texts("error")) == (0, "", [])
    assert set(done.facts["views"]) == set(views_of(name)) and done.facts["phantom"]
    assert all(sum(view["images"].values()) > 0 for view in done.facts["views"].values())
    assert done.out.splitlines()[-1] == f"0 errors, {done.facts['warnings']} warnings"
    assert tree(root) == before


def opened(name: str, root: Path, compose) -> list[Record]:
    """The records of the dataset's first view as a run has them."""
    node = DatasetConfig.from_mapping(compose(*point_at(name, root))["dataset"]).without_release()
    task = next(iter(node.views))
    report = CheckReport()
    (view,) = open_views(node, root, True, [task], report)
    assert not [finding for finding in report.findings if finding.level == "error"]
    return list(view.run_records)


@pytest.mark.parametrize("name", UNLIKE)
def test_a_truncated_image_is_found_and_the_rest_still_checked(name, release, check, compose):
    root = release(name)
    record = opened(name, root, compose)[0]
    path = root / record.image
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    done = check(*point_at(name, root))
    assert done.code == 1
    (text,) = done.texts("error", "unreadable image")
    if volumes.is_volume(path):
        expected, got = "a MetaImage or NIfTI file", "can't be read"
    else:
        expected, got = "an 8-bit grey or colour picture", "can't be decoded"
    assert text.startswith(f"{record.image}: expected {expected}") and got in text
    assert not [
        text for text in done.texts("error", "label") if record.image in text
    ]  # one defect, one line
    assert set(done.facts["views"]) == set(views_of(name))
    assert done.out.splitlines()[-1].startswith(
        f"{format_count(len(done.texts('error')), 'error')}, "
    )


@pytest.mark.parametrize("name", sorted({name for name, _ in TRAINABLE} - ALIKE))
def test_a_training_image_copied_over_a_test_image_is_an_error(name, release, check, compose):
    root = release(name)
    records = opened(name, root, compose)
    train, test = (
        next(record for record in records if record.split == split) for split in ("train", "test")
    )
    (root / test.image).write_bytes((root / train.image).read_bytes())
    done = check(*point_at(name, root))
    assert done.code == 1
    first = done.texts("error", "identical across splits")
    assert any(
        f"{test.id} and {train.id} (test and train) are the same in every pixel" in text
        for text in first
    )
    pair = next(iter(done.facts["pairs"].values()))[0]
    assert (pair["one"], pair["other"], pair["splits"]) == (test.id, train.id, ["test", "train"])
    assert pair["identical"] and test.id in done.facts["leaking"]
    drawn = Path("runs") / "check" / f"{name}-pairs.png"
    assert (
        done.facts["sheet"] == str(drawn) and Image.open(drawn).size[0] > 2 * contact_sheet.SIDE[0]
    )


# ---- defects of one release


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def first(folder: Path, suffix: str = ".png") -> Path:
    return sorted(path for path in folder.iterdir() if path.suffix == suffix)[0]


def missing_mask(root: Path) -> str:
    path = first(root / USGRA / "masks")
    path.unlink()
    return f"dataset/images/{path.name}: expected a label of the same name"


def two_of_one_name(root: Path) -> str:
    path = first(root / USGRA / "images")
    shutil.copy(path, path.with_suffix(".PNG"))
    return f"{path.stem!r} twice"


def mask_of_another_size(root: Path) -> str:
    path = first(root / USGRA / "masks")
    label_png.write_label_png(path, np.zeros((32, 32), np.uint8))
    return f"dataset/masks/{path.name}: expected the size of {path.name} (64, 96), got (32, 32)"


def mask_of_foreign_values(root: Path) -> str:
    path = first(root / USGRA / "masks")
    label_png.write_label_png(path, np.full((64, 96), 7, np.uint8))
    return f"dataset/masks/{path.name}: expected a mask of indices 0..2, got value 7"


def cut_off_mask(root: Path) -> str:
    path = first(root / USGRA / "test" / "masks")
    cut(path)
    return f"dataset/test/masks/{path.name}: expected a mask"


def box_outside(root: Path) -> str:
    path = next(
        p
        for p in sorted((root / SPINAL_BOXES / "train").glob("*.xml"))
        if "<xmax>" in p.read_text()
    )
    head, _, tail = path.read_text().partition("<xmax>")
    path.write_text(f"{head}<xmax>200{tail[tail.index('</xmax>') :]}")
    return path.name


def missing_xml(root: Path) -> str:
    path = first(root / SPINAL_BOXES / "val", ".xml")
    path.unlink()
    return f"{path.stem}.png: expected a label of the same name"


def not_a_picture(root: Path) -> str:
    path = first(root / SPINAL_BOXES / "test")
    path.write_text("<html>")
    return f"{path.name}: expected an 8-bit grey or colour picture, got something else"


def vertex_outside(root: Path) -> str:
    path = root / "labels/reviewed_labels_1.csv"
    head, _, tail = path.read_text().partition('""all_points_x"":[')
    path.write_text(f'{head}""all_points_x"":[9{tail}')
    return "expected a polygon of Capsule inside the image (96×64)"


def row_lost(root: Path) -> str:
    path = root / "labels/reviewed_labels_2.csv"
    lines = path.read_text().splitlines(keepends=True)
    lost = lines[-1].partition(",")[0]
    path.write_text("".join(line for line in lines if not line.startswith(lost)))
    return f"reviewed_labels_2.csv: expected a row of {lost}"


def cell_cut_off(root: Path) -> str:
    path = root / "labels/reviewed_labels_1.csv"
    path.write_text(path.read_text().replace("]}", "]", 1))
    return "expected JSON as region_shape_attributes, got"


def class_unnamed(root: Path) -> str:
    path = first(root / "NNUS" / "labels", ".txt")
    path.write_text("31 .5 .5 .1 .1\n")
    return f"{path.name}: line 1: expected a class number 0..7"


def frame_lost(root: Path) -> str:
    path = next(iter(sorted((root / "png-cache").rglob("*.png"))))
    path.unlink()
    return f"{path.name}: expected an image below png-cache, found none"


@pytest.mark.parametrize(
    ("name", "plant", "kind"),
    [
        ("kidney", vertex_outside, "label of segment"),
        ("kidney", row_lost, "index of segment"),
        ("kidney", cell_cut_off, "index of segment"),
        ("nnus", class_unnamed, "label of detect"),
        ("unity", frame_lost, "index of landmark"),
        ("usgra", missing_mask, "index of segment"),
        ("usgra", two_of_one_name, "index of detect"),
        ("usgra", mask_of_another_size, "label of segment"),
        ("usgra", mask_of_foreign_values, "label of detect"),
        ("usgra", cut_off_mask, "label of segment"),
        ("spinal", box_outside, "label of detect"),
        ("spinal", missing_xml, "index of detect"),
        ("spinal", not_a_picture, "unreadable image"),
    ],
)
def test_a_planted_defect_is_found(name, plant, kind, release, check):
    root = release(name)
    expected = plant(root)
    done = check(*point_at(name, root))
    assert done.code == 1 and str(root) not in json.dumps(done.facts)
    assert any(expected in text for text in done.texts("error", kind)), done.texts("error")
    if kind == "unreadable image":
        assert len(done.texts("error")) == 1  # not again as a label that wants the image's size
    if name == "spinal":  # the other archive's view is checked all the same
        assert "segment" in done.facts["views"] and not done.texts("error", "label of segment")


def test_two_targets_of_one_image_are_no_duplicates(release, check):
    done = check(*point_at("kidney", release("kidney")), "dataset.annotator=both")
    assert (done.code, done.texts("error")) == (0, [])
    view, pairs = done.facts["views"]["segment"], next(iter(done.facts["pairs"].values()))
    assert sum(view["images"].values()) == 2 * done.facts["images"]["images"]
    assert all(pair["one"].partition("/")[2] != pair["other"].partition("/")[2] for pair in pairs)


def test_every_bad_label_is_listed_not_only_the_first(release, check):
    root = release("usgra")
    for path in (root / USGRA / "masks").iterdir():
        cut(path)
    done = check(*point_at("usgra", root), "task=segment")
    assert len(done.texts("error", "label of segment")) == 8
    assert done.facts["views"]["segment"]["empty"] == {"train": 0, "val": 0, "test": 0}
    assert "segment" in done.out and list(done.facts["views"]) == ["segment"]


def test_a_clean_mask_after_stray_pixels_is_no_error(release, check):
    """The layout counts stray pixels over all masks: only those that have some are to blame."""
    root = release("spinal")
    path = first(root / SPINAL_MASKS / "train_masks")
    pixels = np.array(Image.open(path))
    pixels[0, :3] = (1, 128, 0)
    Image.fromarray(pixels).save(path)
    done = check(*point_at("spinal", root), "task=segment")
    (text,) = done.texts("error")
    assert f"{path.name}: 3 pixels of no class colour" in text
    assert done.texts("note", "oddity") == [
        "segment: pixels of no class colour, taken for the nearest: 3"
    ]


def test_images_without_content_are_odd(release, check):
    root = release("usgra")
    paths = sorted((root / USGRA / "images").iterdir())[:4]
    levels = (0, 90, (40, 60), (0, 255))
    for path, level in zip(paths, levels, strict=True):
        image.write_grey(path, np.resize(np.array(level, np.uint8), (64, 96)))
    done = check(*point_at("usgra", root))
    names = [f"dataset/images/{path.name}" for path in paths]
    assert done.code == 0 and sorted(done.texts("warning", "odd")) == [
        f"{names[0]}: all black",
        f"{names[1]}: every pixel is 90",
        f"{names[2]}: grey levels of 40..60 only",
    ]


def test_sizes_and_tinted_images_are_counted(release, check):
    root = release("usgra")
    red, blue, grey = sorted((root / USGRA / "images").iterdir())[:3]
    for path, channel in ((red, 0), (blue, 2)):
        pixels = np.array(Image.open(path).convert("RGB"))
        pixels[..., channel] //= 2
        Image.fromarray(pixels).save(path)
    Image.open(grey).convert("RGB").save(grey)  # three equal channels are no tint
    done = check(*point_at("usgra", root))
    assert done.code == 0 and done.facts["images"]["tinted"] == 2
    assert done.facts["images"]["sizes"] == {"64×96": 12} and "64×96" in done.out


def gained(source_path: Path, target: Path, gain: float) -> None:
    pixels = np.array(Image.open(source_path)).astype(float)
    image.write_grey(target, np.clip(pixels * gain + 3, 0, 255).astype(np.uint8))


def test_a_near_duplicate_is_a_leak_and_the_yaml_s_lines_make_it_a_known_one(release, check):
    root = release("usgra", real=True)
    train, test = first(root / USGRA / "images"), first(root / USGRA / "test" / "images")
    gained(train, test, 0.8)
    done = check(*point_at("usgra", root), *UNLISTED)
    names = f"test/{test.stem}", f"train/{train.stem}"
    assert done.code == 0 and done.facts["leaking"] == [names[0]]
    (text,) = done.texts("warning", "leak")
    assert "1 of 4 test images" in text and f"1 new ({names[0]})" in text
    lines = done.facts["paste"].splitlines()
    correlations = yaml.safe_load(done.facts["paste"])["leakage"]["correlations"]
    assert correlations[names[0]] >= 0.95 and min(correlations.values()) >= 0.85
    assert lines[:-1] == [
        "split:",
        "  near_duplicates:",
        f"    - [{', '.join(names)}]",
        "leakage:",
        '  description: "1 of the 4 test images are near-duplicates '
        "(correlation ≥ 0.95 at 32×32) of one in train or val; "
        'scores on all 4 are optimistic"',
        f"  images: [{names[0]}]",
    ]
    assert "to be written into the dataset's YAML" in done.out
    pasted = (
        f"dataset.split.near_duplicates=[[{','.join(names)}]]",
        f"dataset.leakage={{images:[{names[0]}],correlations:null}}",
    )
    again = check(*point_at("usgra", root), "dataset.published_counts=null", *pasted)
    assert "all known to leakage.images" in again.texts("warning", "leak")[0]
    assert again.facts["paste"].splitlines() == ["leakage:", lines[-1]] and again.code == 0
    assert next(iter(again.facts["pairs"].values()))[0]["known"]


def test_a_leak_that_is_none_is_said(release, check):
    root = release("usgra", real=True)
    name = first(root / USGRA / "test" / "images").stem
    done = check(
        *point_at("usgra", root),
        *UNLISTED[::2],
        f"dataset.leakage={{images:[test/{name}]}}",
        "dataset.leakage.correlations=null",
    )
    assert done.code == 0
    assert done.texts("warning", "leak") == [
        f"leakage.images in the dataset's YAML has test/{name}, "
        "but no near-duplicate in train or val was found"
    ]


def test_identical_images_that_are_annotated_differently(release, check):
    root = release("usgra", real=True)
    first, second, third = sorted((root / USGRA / "images").iterdir())[:3]
    for path in (second, third):
        path.write_bytes(first.read_bytes())
    masks = root / USGRA / "masks"
    index = label_png.read_label_png(masks / first.name, 2)
    label_png.write_label_png(masks / third.name, index)
    changed = index.copy()
    changed[index == 1] = 0
    label_png.write_label_png(masks / second.name, changed)
    ids = [f"train/{path.stem}" for path in (first, second, third)]
    listed = f"dataset.split.near_duplicates=[[{','.join(ids)}]]"
    done = check(*point_at("usgra", root), *UNLISTED[1:], listed, "task=segment")
    assert done.code == 0  # one group: on one side
    lines = done.texts("warning", "identical")
    assert any(
        f"{ids[0]} and {ids[1]}" in text and "annotated differently (nerve)" in text
        for text in lines
    )
    assert any(f"{ids[0]} and {ids[2]}" in text and "annotated alike" in text for text in lines)
    assert len(lines) == 3


# ---- groups and splits


def test_a_group_in_two_splits_of_the_release_is_counted_and_kept(release, check):
    root = release("spinal")
    for split in ("train", "test"):
        folder = root / SPINAL_BOXES / split
        for path in sorted(folder.iterdir())[:2]:  # an image and its XML
            path.rename(folder / f"scaled-A0777_frame{split}{path.suffix}")
    done = check(*point_at("spinal", root), "task=detect")
    assert done.code == 0
    assert done.texts("warning", "group") == [
        "detect: 1 groups are in train and test of the release, such as A0777; kept as released"
    ]
    assert done.facts["views"]["detect"]["images"] == {"train": 8, "val": 4, "test": 4}


def test_a_group_on_two_sides_of_our_split_is_an_error(release, check, compose):
    """Contiguous runs go by the numbers alone, so images that are listed as one group may part."""
    root = release("nnus", real=True)
    records = opened("nnus", root, compose)
    train, test = (
        next(record.id for record in records if record.split == split)
        for split in ("train", "test")
    )
    done = check(*point_at("nnus", root), f"+dataset.split.near_duplicates=[['{train}','{test}']]")
    assert done.code == 1
    (text,) = done.texts("error", "split of detect")
    assert "expected every group in one split, got" in text and "train and test" in text
    assert done.texts("error", "fold 0 of detect")


def test_near_duplicates_across_contiguous_runs_can_only_be_marked_as_a_leak(
    release, check, compose
):
    root = release("nnus", real=True)
    records = opened("nnus", root, compose)
    train, test = (
        next(record for record in records if record.split == split) for split in ("train", "test")
    )
    pixels = np.array(Image.open(root / train.image).convert("L")).astype(float) * 0.9
    Image.fromarray(pixels.astype(np.uint8)).save(root / test.image, quality=95)
    done = check(*point_at("nnus", root))
    assert done.code == 0 and done.facts["leaking"] == [test.id]
    assert (
        done.facts["paste"].startswith("leakage:")
        and f"images: ['{test.id}']" in done.facts["paste"]
    )


def test_an_unknown_id_in_the_yaml_is_said_and_the_check_goes_on(release, check):
    done = check(*point_at("usgra", release("usgra", real=True)), *UNLISTED[1:])
    assert done.code == 1
    assert "groups 'test/0004' with others" in done.texts("error", "split of segment")[0]
    assert done.facts["views"]["segment"]["images"] == {"train": 8, "test": 4}  # as released


def test_a_fold_with_nobody_to_test_is_only_a_warning(release, check):
    root = release("phantom")  # of four groups
    done = check(*point_at("phantom", root), "dataset.split.folds=4")
    assert done.code == 0 and not done.texts("warning", "fold")
    done = check(*point_at("phantom", root), "dataset.split.folds=9")
    assert done.code == 0 and done.texts("warning", "fold 8 of detect")


# ---- published counts


def test_published_counts_are_compared(release, check):
    root = release("usgra", real=True)
    key = "dataset.published_counts"
    met = [
        f"{key}.segment.train=8",
        f"{key}.segment.test=5",
        f"{key}.detect.train=8",
        f"{key}.detect.test=4",
    ]
    more = [
        f"+{key}.segment.images=12",
        f"+{key}.segment.classes={{nerve:11}}",
        f"+{key}.detect.instances={{vessel:3}}",
    ]
    done = check(*point_at("usgra", root), *UNLISTED[:2], *met, *more)
    assert done.code == 0  # a user's copy may be another version
    assert done.texts("note", "count") == [
        "segment: train: 8 published, 8 found",
        "segment: images: 12 published, 12 found",
        "detect: train: 8 published, 8 found",
        "detect: test: 4 published, 4 found",
    ]
    lines = done.texts("warning", "count")
    assert lines[:2] == [
        "segment: test: 5 published, 4 found; is this another version?",
        "segment: classes.nerve: 11 published, 12 found; is this another version?",
    ]
    boxes = sum(done.facts["views"]["detect"]["classes"]["vessel"]["boxes"].values())
    assert lines[2:] == [
        f"detect: instances.vessel: 3 published, {boxes} found; is this another version?"
    ]


def test_a_phantom_is_not_compared_with_the_real_release(release, check):
    done = check(*point_at("usgra", release("usgra")))  # nor do its lists of near-duplicates hold
    assert done.code == 0 and not done.texts("note", "count") and not done.texts("warning", "count")


@pytest.mark.parametrize("name", YAMLS)
def test_the_yaml_s_published_counts_are_of_its_views(name, compose):
    node = compose(f"dataset={name}")["dataset"]
    for task, published in (node.get("published_counts") or {}).items():
        empty = counts.ClassCounts(tuple(node["views"][task]["classes"]))
        assert published and list(counts.compare_published(published, empty, [], task))


def test_counts_by_hand():
    table = counts.ClassCounts(("a", "b"))
    records = [
        Record(str(n), f"g{n // 2}", f"{n}.png", None, split)
        for n, split in enumerate(["train"] * 3 + [None])
    ]
    planes = np.zeros((2, 4, 5), bool)
    planes[0, 1:3, 1:3] = True
    table.add(records[0], Masks(planes))
    table.add(records[1], Masks(~planes, known=np.array([True, False])))
    table.add(records[2], None)  # this label couldn't be read
    table.add(records[3], Masks(np.zeros((2, 4, 5), bool)))
    assert list(counts.table_rows(table, "segment")) == [
        ["(all images)", "3", "1", "4", "", ""],
        ["(groups)", "2", "1", "2", "", ""],
        ["(no class)", "0", "1", "1", "", ""],
        ["a", "2", "0", "2", "33.33 %", "0"],  # 4 + 16 of 60
        ["b", "1", "0", "1", "33.33 %", "1"],
    ]
    assert counts.table_header(table, "segment") == [
        "images with",
        "train",
        "unused",
        "all",
        "share of pixels",
        "unknown",
    ]


def test_landmarks_and_boxes_by_hand():
    none = np.zeros((0, 2), np.float32)
    marks = Landmarks(
        (np.ones((1, 2), np.float32), none, none), np.array([SEEN, OFF, BLURRED], np.int8)
    )
    amount, unknown = counts.count_parts(marks, 3)
    assert amount.tolist() == [1, 0, 0] and unknown.tolist() == [False, False, True]
    boxes = Boxes(np.zeros((3, 4), np.float32), np.array([2, 0, 2], np.int64))
    amount, unknown = counts.count_parts(boxes, 3)
    assert amount.tolist() == [1, 0, 2] and not unknown.any()


@pytest.mark.parametrize(
    "published",
    [
        {"trian": 3},
        {"train": "many"},
        {"classes": {"c": 1}},
        {"sizes": {"a": 1}},
        {"instances": {"a": 1}},
    ],
)
def test_a_published_count_of_nothing_is_a_configuration_error(published):
    with pytest.raises(ConfigError, match="published_counts"):
        list(counts.compare_published(published, counts.ClassCounts(("a",)), [], "segment"))


# ---- what is shown and written


def test_many_findings_of_a_kind_are_cut_short():
    many = [findings.Finding("warning", "odd image", f"{n}.png") for n in range(5)]
    lines = findings.format_findings([*many, findings.Finding("error", "label", "x")], 2)
    assert lines == [
        "warning: odd image: 0.png",
        "warning: odd image: 1.png",
        "warning: odd image: … and 3 more (--json FILE has all)",
        "error: label: x",
    ]


def test_an_old_sheet_goes_when_there_are_no_pairs(release, check):
    stale = Path("runs/check/usgra-pairs.png")
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"of an earlier check")
    done = check(*point_at("usgra", release("usgra")))
    assert done.facts["sheet"] is None and not stale.exists()


def test_the_sheet_s_own_place(release, check):
    root = release("usgra")
    first, second = sorted((root / USGRA / "images").iterdir())[:2]
    second.write_bytes(first.read_bytes())
    done = check(*point_at("usgra", root), "--sheet", "mine.png")
    assert (
        Path("mine.png").is_file()
        and not Path("runs").exists()
        and done.facts["sheet"] == "mine.png"
    )


# ---- the command


def test_one_archive_of_two_will_do(release, check):
    root = release("spinal")
    shutil.rmtree(root / SPINAL_MASKS)
    done = check(*point_at("spinal", root))
    assert done.code == 0 and list(done.facts["views"]) == ["detect"]
    assert done.texts("note", "view") == [
        "segment: not checked; SegmentationDataset: expected the release's files here, found none"
    ]


def test_a_view_that_cannot_be_built_is_a_warning_while_another_can(release, check):
    wrong = "dataset.views.segment.layout._target_=usbench.datasets.releases.spinal.Nothing"
    root = release("spinal")
    done = check(*point_at("spinal", root), wrong)
    assert done.code == 0 and list(done.facts["views"]) == ["detect"]
    assert (
        "segment: not checked; usbench.datasets.releases.spinal.Nothing"
        in done.texts("warning", "view")[0]
    )
    assert check(*point_at("spinal", root), wrong, "task=segment").code == 2


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        ((), 2, "expected dataset=…"),
        (("dataset=nodata",), 2, "nodata"),
        (
            ("dataset=usgra", "task=landmark"),
            2,
            "task=landmark: expected all or one of segment, detect (usgra)",
        ),
        (("dataset=usgra", "source=phantom"), 2, "usbench phantom"),
        (
            ("dataset=usgra",),
            1,
            "data/usgra: no usgra release found; ",
        ),
        (("dataset=usgra", "data=nowhere"), 1, "nowhere/usgra"),
        (("dataset=phantom",), 1, "usbench phantom dataset=phantom --out "),
        (("dataset=spinal", "dataset.root=."), 1, "expected the release's files here, found none"),
        (("dataset=usgra", "nonsense"), 2, "nonsense"),
    ],
)
def test_a_wrong_command_is_one_line(check, command, code, says):
    done = check(*command)
    assert done.code == code and says in done.err and not done.facts
    assert len(done.err.strip().splitlines()) == 1 and "Traceback" not in done.err


def test_own_masks_are_checked_under_both_tasks_and_what_lacks_is_said(check, tmp_path):
    for n in range(8):
        rng = np.random.default_rng(n)
        for name, pixels in (
            (f"images/p{n // 2}_{n}.png", rng.integers(0, 255, (40, 50))),
            (f"labels/p{n // 2}_{n}.png", np.pad(np.full((20, 20), 2), ((5, 15), (5, 25)))),
        ):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / name)
    own = ["dataset=folder", "dataset.name=own", f"dataset.root='{tmp_path}'"]
    own.append("dataset.views.segment.classes=[cyst,lesion]")
    done = check(*own, "dataset.split.folds=null")
    assert list(done.facts["views"]) == ["segment", "detect"]
    absent = done.texts("warning", "class")
    assert absent == ["segment: no image has cyst", "detect: no image has cyst"]
    assert "every image is a group of its own" in done.texts("warning", "group")[0]
    grouped = check(*own, "dataset.split.folds=null", 'dataset.group="^(p\\d)_"')
    assert grouped.texts("warning", "group") == []
    done = check("dataset=folder", "dataset.root=/nowhere")
    assert done.err.startswith("/nowhere: no such folder; ")


def test_a_share_that_cannot_be_is_a_configuration_error(release, check):
    done = check(*point_at("folder", release("folder")), "dataset.split.shares={val:.9,test:.2}")
    assert done.code == 2 and "split.shares" in done.err


PLUGIN = """
from pathlib import Path
import numpy as np
from usbench.errors import DataError
from usbench.types import Layout, Masks, Record


class Rows(Layout):
    def __init__(self, classes):
        self.classes = tuple(classes)

    def index(self, root):
        names = sorted(path.name for path in root.glob("*.png"))
        return [
            Record(name, name, name, None, ("train", "val", "test")[n % 3])
            for n, name in enumerate(names)
        ]

    def read(self, root, record):
        if record.id == "4.png":
            raise DataError(f"{root / record.id}: expected a label, found none")
        return Masks(np.ones((1, 40, 50), bool))

    def oddities(self):
        return {"rows without a name": 2, "others": 0}
"""
NODE = """
name: rows
title: Rows
size: [40, 50]
released: true
views: {segment: {classes: [all], exclusive: true, layout: {_target_: lab_rows.Rows}}}
split: {description: released}
licence: ours
redistribute: none
access: ours
citation: ours
attribution: null
"""


def test_a_plug_in_s_dataset_is_checked_like_any_other(tmp_path, check):
    Path("lab_rows.py").write_text(PLUGIN)
    Path("lab/dataset").mkdir(parents=True)
    Path("lab/dataset/rows.yaml").write_text(NODE)
    Path("files/rows").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for n in range(6):
        size = (40, 60) if n == 5 else (40, 50)
        image.write_grey(Path(f"files/rows/{n}.png"), rng.integers(0, 256, size).astype(np.uint8))
    done = check("dataset=rows", "data=files", "+dataset.root=null", "--config-dir", "lab")
    assert done.code == 1 and done.texts("error") == [
        "4.png: expected a label, found none",
        "5.png: expected the size of 5.png (40, 60), got (40, 50)",
    ]
    assert done.facts["views"]["segment"]["images"] == {"train": 2, "val": 2, "test": 2}
    assert done.texts("note", "oddity") == ["segment: rows without a name: 2"]


def test_nothing_is_left_of_a_release_that_cannot_be_indexed(release, check):
    root = release("nnus")
    (root / "NNUS" / "labels" / "classes.txt").unlink()
    done = check(*point_at("nnus", root))
    assert done.code == 1 and done.facts["views"] == {} and done.facts["images"]["images"] == 0
    assert "classes.txt" in done.texts("error", "index of detect")[0]


def test_a_json_that_cannot_be_written_is_one_line(release, check):
    Path("found.json").mkdir()
    done = check(*point_at("usgra", release("usgra")))
    assert (
        done.code == 1
        and "found.json: can't be written" in done.err
        and len(done.err.strip().splitlines()) == 1
    )


# ---- the real images


@pytest.mark.real
@pytest.mark.skipif(
    not (Path(REAL) / "usgra").is_dir() or not REAL, reason="USBENCH_TEST_DATA has no usgra"
)
def test_the_real_usgra_has_the_identical_pair_and_the_seven_leaking_images(check):
    done = check("dataset=usgra", f"data='{REAL}'")
    assert (done.code, done.err) == (0, "") and done.facts["paste"] == ""
    assert done.facts["leaking"] == [
        f"test/{n}" for n in ("0004", "0017", "0024", "0047", "0068", "0114", "0143")
    ]
    assert "7 of 40 test images" in done.texts("warning", "leak")[0]
    assert "all known" in done.texts("warning", "leak")[0]
    assert len(done.texts("warning", "leak")) == 1  # the correlations of the YAML are right
    assert "7 ≥ 0.95, 10 ≥ 0.9, 19 ≥ 0.85, of 40 test images" in done.texts("note", "leak")[0]
    lines = done.texts("warning", "identical")
    assert len(lines) == 2 and all("train/0043 and train/0077 (train)" in text for text in lines)
    assert all("annotated differently (nerve, vessel)" in text for text in lines)
    (pairs,) = done.facts["pairs"].values()
    assert len(pairs) == 22 and all(pair["known"] for pair in pairs)
    assert done.facts["images"]["sizes"] == {"512×534": 183, "512×512": 40, "632×761": 21}
    assert done.facts["images"]["tinted"] == 204 and not done.texts("warning", "count")


@pytest.mark.real
@pytest.mark.skipif(
    not (Path(REAL) / "usgra").is_dir() or not REAL, reason="USBENCH_TEST_DATA has no usgra"
)
def test_without_the_yaml_s_lists_the_real_usgra_gives_the_same_lists(check, compose):
    done = check("dataset=usgra", f"data='{REAL}'", *UNLISTED, "task=segment")
    node = compose("dataset=usgra")["dataset"]
    lines = [line.strip() for line in done.facts["paste"].splitlines()]
    listed = [line.removeprefix("- ") for line in lines if line.startswith("- ")]
    assert listed == [
        leakage.format_list(sorted(ids))
        for ids in sorted(map(sorted, node["split"]["near_duplicates"]))
    ]
    assert lines[-2:] == [
        f"images: {leakage.format_list(node['leakage']['images'])}",
        f"correlations: {leakage.format_flow(node['leakage']['correlations'])}",
    ]
