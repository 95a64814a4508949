"""Every dataset of conf/dataset, view by view: what its YAML says, and that its layout indexes, reads and writes its
release's exact format. Then what is particular to a release, by hand-written names, pixels and files."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from usbench import phantom, source
from usbench.__main__ import conf_dir
from usbench.codecs import image
from usbench.datasets import splits
from usbench.datasets.dataset import Dataset, file_fingerprint, open_view
from usbench.datasets.index_masks import IndexMasks, component_boxes
from usbench.datasets.spinal import SpinalBoxes, SpinalMasks
from usbench.errors import ConfigError, DataError
from usbench.types import SPLITS, TASKS, Boxes, Layout, Masks, Record, Sample, Target

SIZE = (64, 96)
COUNTS = {"train": 8, "val": 4, "test": 4}
YAMLS = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((conf_dir() / "dataset").glob("*.yaml"))}
VIEWS = [(name, task) for name, node in YAMLS.items() for task in node["views"]]


@dataclass(frozen=True)
class Written:
    """A small phantom of one view, as its layout wrote it."""

    node: dict[str, Any]  # the dataset's YAML, as a phantom's
    view: dict[str, Any]
    task: str
    layout: Layout
    root: Path
    samples: list[Sample]
    records: list[Record]

    def open(self, root: Path | None = None) -> Dataset:
        split = self.node["split"]
        return open_view(self.node["name"], self.task, self.view, self.layout, root or self.root, split, None)


def small_phantom(node: dict[str, Any], task: str, root: Path) -> Written:
    node = source.without_release(node)
    layout = source.layout_of({"dataset": node, "task": task, "phantom": True})
    counts = {split: COUNTS[split] for split in node["phantom"]["counts"]}
    spec = replace(source.spec_of(node), size=SIZE, counts=counts)
    drawn = list(phantom.samples(spec, getattr(layout, "written_as", task)))
    return Written(node, node["views"][task], task, layout, root, drawn, layout.write(root, drawn))


@pytest.fixture(scope="module", params=VIEWS, ids=["-".join(view) for view in VIEWS])
def written(request, compose, tmp_path_factory) -> Written:
    name, task = request.param
    return small_phantom(compose(f"dataset={name}")["dataset"], task, tmp_path_factory.mktemp(name))


@pytest.fixture
def copy(written, tmp_path) -> Written:
    """The same files where a test may damage them."""
    assert {*written.layout.write(tmp_path / "copy", written.samples)} == {*written.records}
    return replace(written, root=tmp_path / "copy")


# ---- what the YAML says


@pytest.mark.parametrize("name", YAMLS)
def test_the_yaml_says_what_a_user_must_know(name):
    node = YAMLS[name]
    assert node["name"] == name and node["views"] and set(node["views"]) <= set(TASKS)
    for key in ("title", "licence", "access", "citation"):
        assert isinstance(node[key], str) and node[key].strip(), key
    assert node["share"] in ("open", "none")
    assert node["share"] == "none" or node["attribution"].strip()  # shown pictures carry it
    assert node["split"]["words"].strip()
    assert isinstance(node["released"], bool) and len(node["size"]) == 2
    for task, view in node["views"].items():
        assert view["classes"] and len(set(view["classes"])) == len(view["classes"])
        assert all(isinstance(count, int) for count in view.get("known_defects", {}).values())
        if task == "segment":
            assert isinstance(view["exclusive"], bool)
        if task == "detect":
            assert view["box_origin"] in (0, 1) and view["box_end"] in ("inclusive", "exclusive")
    for leaking in node.get("leak", {}).get("images", ()):
        assert leaking.startswith("test/")


@pytest.mark.parametrize("name", YAMLS)
def test_the_yaml_s_phantom_has_every_class_of_the_views(name):
    spec = source.spec_of(YAMLS[name])
    assert spec.size == tuple(YAMLS[name]["size"]) and set(spec.counts) <= set(SPLITS)
    for task, view in YAMLS[name]["views"].items():
        assert phantom.CLASSES[spec.scene][task] == tuple(view["classes"])
        phantom.samples(spec, task)  # it can be drawn


# ---- every view


def test_the_layout_is_one(written):
    assert isinstance(written.layout, Layout) and written.layout.classes == tuple(written.view["classes"])


def test_index_gives_the_records_that_write_returned(written):
    assert written.layout.index(written.root) == written.records == sorted(written.records, key=lambda one: one.id)
    assert len({record.id for record in written.records}) == len(written.samples) == len(written.records)
    assert Counter(record.split for record in written.records) == Counter(one.split for one in written.samples)
    for record in written.records:
        for path in (record.image, record.label):
            assert (written.root / path).is_file() and "\\" not in path and not Path(path).is_absolute()


def test_read_gives_what_was_written(written):
    records = {Path(record.image).stem: record for record in written.records}
    for sample in written.samples:
        record = records[sample.id]
        assert np.array_equal(image.read_grey(written.root / record.image), sample.image)
        assert same(written.layout.read(written.root, record), as_view(sample.target, written))


def as_view(target: Target, written: Written) -> Target:
    """What a view makes of the target that was written: itself, or the boxes of a mask's components."""
    if isinstance(target, Masks) and written.task == "detect":
        return component_boxes(target.planes, written.view["layout"]["min_pixels"])
    return target


def same(one: Target, other: Target) -> bool:
    if isinstance(one, Masks):
        return isinstance(other, Masks) and np.array_equal(one.planes, other.planes)
    assert isinstance(one, Boxes) and isinstance(other, Boxes)
    return np.array_equal(one.xyxy, other.xyxy) and np.array_equal(one.labels, other.labels)


def test_opening_settles_three_splits_in_one_order(written):
    first, again = written.open(), written.open()
    assert first.records == again.records and set(first.records) == set(SPLITS)
    assert sum(map(len, first.records.values())) == len(written.samples)
    for split, part in first.records.items():
        assert part and [one.id for one in part] == sorted(one.id for one in part)
        assert all(record.split == split for record in part)
        assert first.samples(split).ids == [record.id for record in part]


def test_no_group_is_in_two_splits(written):
    seen: dict[str, str] = {}
    for split, part in written.open().records.items():
        for record in part:
            assert seen.setdefault(record.group, split) == split


def test_folds_keep_groups_whole_and_test_every_image_once(written):
    node, tested = written.node, []
    folds = node["split"].get("folds")
    if not folds:
        with pytest.raises(ConfigError, match=r"fold=0: .* no folds"):
            open_view(node["name"], written.task, written.view, written.layout, written.root, node["split"], 0)
        return
    names = {f"{n:02d}": record.group for n, record in enumerate(written.records)}
    assert len(set(names.values())) >= 3
    for fold in range(3):
        few = {**node["split"], "folds": 3}
        opened = open_view(node["name"], written.task, written.view, written.layout, written.root, few, fold)
        for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
            assert not splits.crossing(opened.records, one, other)
        tested += [record.id for record in opened.records["test"]]
    assert sorted(tested) == [record.id for record in written.records]


def test_samples_are_read_when_asked_for(copy):
    for record in copy.records:
        (copy.root / record.image).write_bytes(b"no pixels here")
    opened = copy.open()
    file_fingerprint(opened, copy.root / "hashes.json")
    samples = opened.samples("train")
    assert len(samples) == len(samples.ids) and len(samples[1:]) == len(samples) - 1
    with pytest.raises(DataError, match=Path(samples.records[0].image).name):
        samples[0]


def test_a_sample_has_its_record_s_facts(written):
    samples = written.open().samples("val")
    sample, record = samples[0], samples.records[0]
    assert (sample.id, sample.group, sample.split) == (record.id, record.group, "val")
    assert sample.image.shape == SIZE and sample.image.dtype == np.uint8
    assert [np.array_equal(one, two.image) for one, two in zip(samples.images(), samples, strict=True)]


def test_write_wants_a_split(written, tmp_path):
    lost = replace(written.samples[0], split=None)
    with pytest.raises(DataError, match=f"{lost.id}.*split"):
        written.layout.write(tmp_path, [lost])


def test_write_wants_the_format_s_target(written, tmp_path):
    sample = written.samples[0]
    other = Boxes.empty() if isinstance(sample.target, Masks) else Masks(np.zeros((1, *SIZE), bool))
    with pytest.raises(DataError, match=f"{sample.id}.*wanted"):
        written.layout.write(tmp_path, [replace(sample, target=other)])


# ---- the fingerprint


def test_the_fingerprint_is_that_of_the_files_wherever_they_lie(copy, written, tmp_path):
    first = file_fingerprint(written.open(), tmp_path / "one.json")
    assert file_fingerprint(written.open(), tmp_path / "one.json") == first  # from the cache
    assert file_fingerprint(copy.open(), tmp_path / "two.json") == first
    assert len(first) == 64 and json.loads((tmp_path / "one.json").read_text())


def moved(dataset: Dataset) -> Dataset:
    """One training record counted as validation."""
    first, *rest = dataset.records["train"]
    val = (*dataset.records["val"], replace(first, split="val"))
    return replace(dataset, records={**dataset.records, "train": tuple(rest), "val": val})


def regrouped(dataset: Dataset) -> Dataset:
    first, *rest = dataset.records["test"]
    return replace(dataset, records={**dataset.records, "test": (replace(first, group="other"), *rest)})


@pytest.mark.parametrize("change", [moved, regrouped])
def test_the_fingerprint_tells_splits_and_groups(written, tmp_path, change):
    opened = written.open()
    assert file_fingerprint(change(opened), tmp_path / "c.json") != file_fingerprint(opened, tmp_path / "c.json")


@pytest.mark.parametrize("which", ["image", "label"])
def test_the_fingerprint_tells_a_byte(copy, tmp_path, which):
    before = file_fingerprint(copy.open(), tmp_path / "c.json")
    path = copy.root / getattr(copy.records[0], which)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(0, 10**18))  # a clock may be too coarse to show the write
    assert file_fingerprint(copy.open(), tmp_path / "c.json") != before


def test_a_file_is_read_again_only_when_its_size_or_time_changed(copy, tmp_path):
    cache = tmp_path / "c.json"
    before = file_fingerprint(copy.open(), cache)
    path = copy.root / copy.records[0].image
    state, data = path.stat(), path.read_bytes()
    path.write_bytes(data[:-1] + b"X")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert file_fingerprint(copy.open(), cache) == before  # not read: the cache answered
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    changed = file_fingerprint(copy.open(), cache)
    assert changed != before
    path.write_bytes(data)
    assert file_fingerprint(copy.open(), cache) == before


def test_several_processes_may_keep_one_cache(tmp_path):
    """Runs started at one instant hash the same files into the same cache."""
    lay_pairs(tmp_path, {"train": [f"{n}" for n in range(30)], "val": ["c"], "test": ["d"]})
    opened, together = open_pairs(tmp_path), threading.Barrier(8)

    def fingerprint(n: int) -> str:
        together.wait()
        return file_fingerprint(opened, tmp_path / f"cache-{n}.json")

    with ThreadPoolExecutor(8) as pool:
        for n in range(8):
            assert len(set(pool.map(fingerprint, [n] * 8))) == 1
    assert len(list(tmp_path.glob("cache-*"))) == 8


@pytest.mark.parametrize("damage", ["", '{"cut off', "[]", "\xff"])
def test_a_damaged_cache_is_only_a_cache(tmp_path, damage):
    lay_pairs(tmp_path, {"train": ["a", "b"], "val": ["c"], "test": ["d"]})
    opened = open_pairs(tmp_path)
    whole = file_fingerprint(opened, tmp_path / "whole.json")
    (tmp_path / "c.json").write_text(damage, encoding="latin-1")
    assert file_fingerprint(opened, tmp_path / "c.json") == whole
    assert json.loads((tmp_path / "c.json").read_text()) == json.loads((tmp_path / "whole.json").read_text())
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


# ---- index masks (usgra, the plain phantom), by hand

FOLDERS = {split: (f"{split}/images", f"{split}/masks") for split in SPLITS}


def lay_pairs(root: Path, names: dict[str, list[str]]) -> None:
    """Pairs of 4×6 pictures, written without the layout."""
    for split, stems in names.items():
        for folder in FOLDERS[split]:
            (root / folder).mkdir(parents=True)
            for stem in stems:
                Image.fromarray(np.zeros((4, 6), np.uint8)).save(root / folder / f"{stem}.png")


def open_pairs(root: Path, split: dict[str, Any] | None = None, **arguments: Any) -> Dataset:
    layout = IndexMasks(("one", "two"), FOLDERS, **arguments)
    return open_view("pairs", "segment", {"exclusive": True}, layout, root, split or {"words": ""}, None)


def test_index_masks_by_hand(tmp_path):
    """A 4×6 mask whose boxes are computed by hand: class 0 two lines that touch at a corner, class 1 a bar."""
    lay_pairs(tmp_path, {"train": ["a"], "val": ["b"], "test": ["c"]})
    rows = ["100020", "100020", "011020", "000000"]
    index = np.array([[int(value) for value in row] for row in rows], np.uint8)
    Image.fromarray(index).save(tmp_path / "train/masks/a.png")  # a plain grey file is read by its values
    (masks,) = [sample.target for sample in open_pairs(tmp_path).samples("train")]
    assert isinstance(masks, Masks) and masks.planes.sum((1, 2)).tolist() == [4, 3]
    assert np.array_equal(masks.planes[1], index == 2)
    for least, boxes, labels in [
        (3, [[0, 0, 3, 3], [4, 0, 5, 3]], [0, 1]),
        (4, [[0, 0, 3, 3]], [0]),
        (5, [], []),
    ]:
        layout = IndexMasks(("one", "two"), FOLDERS, "detect", min_pixels=least)
        (found,) = [layout.read(tmp_path, record) for record in layout.index(tmp_path) if record.split == "train"]
        assert isinstance(found, Boxes) and found.scores is None
        assert found.xyxy.tolist() == boxes and found.labels.tolist() == labels


@pytest.mark.parametrize(
    ("name", "stem", "group"),
    [("phantom", "g007_0012", "g007"), ("phantom", "0012", "train/0012"), ("usgra", "0012", "train/0012")],
)
def test_groups_of_index_masks(tmp_path, compose, name, stem, group):
    layout = source.layout_of({"dataset": compose(f"dataset={name}")["dataset"], "task": "segment", "phantom": False})
    for images, masks in layout.folders.values():
        for folder in (images, masks):
            (tmp_path / folder).mkdir(parents=True)
    for folder in layout.folders["train"]:
        (tmp_path / folder / f"{stem}.png").touch()
    assert [(record.id, record.group) for record in layout.index(tmp_path)] == [(f"train/{stem}", group)]


def test_one_name_in_two_splits_is_two_images(tmp_path):
    lay_pairs(tmp_path, {"train": ["a"], "val": ["a"], "test": ["a"]})
    opened = open_pairs(tmp_path)
    assert [part[0].id for part in opened.records.values()] == ["train/a", "val/a", "test/a"]
    assert not splits.crossing(opened.records, "train", "test")  # each is its own group


USGRA = {
    "train": ("dataset/images", "dataset/masks"),
    "test": ("dataset/test/images", "dataset/test/masks"),
}


def test_usgra_lies_where_its_release_does(compose, tmp_path):
    written = small_phantom(compose("dataset=usgra")["dataset"], "segment", tmp_path)
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {f"{folder}/{sample.id}.png" for sample in written.samples for folder in USGRA[str(sample.split)]}
    assert (tmp_path / "dataset/images/0001.png").is_file() and (tmp_path / "dataset/test/masks/0009.png").is_file()
    sample = written.samples[0]
    with Image.open(tmp_path / "dataset/masks/0001.png") as mask:
        assert mask.mode == "P" and mask.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]
        pixels = np.array(mask)
    assert set(np.unique(pixels)) == {0, 1, 2}
    assert np.array_equal(pixels == 1, sample.target.planes[0]) and np.array_equal(pixels == 2, sample.target.planes[1])


def test_usgra_s_validation_is_of_its_training_folder(compose, tmp_path):
    opened = small_phantom(compose("dataset=usgra")["dataset"], "segment", tmp_path).open()
    assert [len(opened.records[split]) for split in SPLITS] == [6, 2, 4]  # 15 % of 8, rounded up
    assert all(record.image.startswith("dataset/images/") for record in opened.records["val"])


# ---- spinal, by hand

COLOURS = {  # the authors' code: index → class, RGB
    1: ("blood/saline", (128, 0, 128)),
    2: ("dura", (128, 0, 0)),
    3: ("pia", (0, 128, 0)),
    4: ("csf", (128, 128, 0)),
    5: ("spinal cord", (0, 0, 128)),
    6: ("hematoma", (0, 128, 128)),
    7: ("dura/pia complex", (64, 0, 0)),
    8: ("extradural space", (128, 128, 128)),
    9: ("dura/extradural space", (192, 0, 0)),
}
CLASSES = [name for name, _ in COLOURS.values()]
MASKS, BOXES = "SegmentationDataset", "Final dataset for object detection"


def test_spinal_has_the_paper_s_classes():
    assert YAMLS["spinal"]["views"]["segment"]["classes"] == CLASSES
    assert YAMLS["spinal"]["views"]["detect"]["classes"] == ["hematoma"]


def test_spinal_masks_are_written_in_the_release_s_colours(tmp_path):
    """One pixel of each class in one row."""
    planes = np.zeros((9, 2, 12), bool)
    for n in range(9):
        planes[n, 0, n + 1] = True
    sample = Sample("scaled-A0212_frame1", "g", np.zeros((2, 12), np.uint8), Masks(planes), split="val")
    SpinalMasks(CLASSES).write(tmp_path, [sample])
    files = [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*.png"))]
    assert files == [f"{MASKS}/val_{kind}/scaled-A0212_frame1.png" for kind in ("images", "masks")]
    with Image.open(tmp_path / files[1]) as mask:
        assert mask.mode == "RGB"
        pixels = np.array(mask)
    for n, (_, colour) in COLOURS.items():
        assert tuple(pixels[0, n]) == colour
    assert not pixels[1].any() and not pixels[0, [0, 10, 11]].any()


def lay_spinal_masks(root: Path, *, strays: int = 0, stray: tuple[int, int, int] = (1, 128, 0)) -> None:
    """One image per split by hand: pia left, cord right, and some pixels of a foreign colour."""
    for n, split in enumerate(SPLITS):
        pixels = np.zeros((10, 20, 3), np.uint8)
        pixels[:, :5], pixels[:, 10:] = (0, 128, 0), (0, 0, 128)
        pixels.reshape(-1, 3)[:strays] = stray
        for kind, picture in (("images", np.full((10, 20), 90, np.uint8)), ("masks", pixels)):
            folder = root / MASKS / f"{split}_{kind}"
            folder.mkdir(parents=True)
            Image.fromarray(picture).save(folder / f"scaled-dicom-{n}.png")


def spinal_view(task: str, root: Path, real: bool = True) -> Dataset:
    node = YAMLS["spinal"]
    layout = source.layout_of({"dataset": node, "task": task, "phantom": not real})
    return open_view("spinal", task, node["views"][task], layout, root, node["split"], None)


def test_spinal_stray_pixels_up_to_the_known_count_go_to_the_nearest_colour(tmp_path):
    """4 + 4 + 4 ≤ 13 in the whole release; reading a file twice counts it once."""
    lay_spinal_masks(tmp_path, strays=4)
    opened = spinal_view("segment", tmp_path)
    for split in (*SPLITS, *SPLITS):
        for sample in opened.samples(split):
            assert sample.target.planes[CLASSES.index("pia")].sum() == 50  # (1, 128, 0) is pia's
            assert sample.target.planes[CLASSES.index("spinal cord")].sum() == 100


def test_spinal_one_stray_pixel_more_than_known_is_an_error(tmp_path):
    lay_spinal_masks(tmp_path, strays=5)  # 5 + 5 + 5 > 13
    opened = spinal_view("segment", tmp_path)
    with pytest.raises(DataError, match=r"test_masks/scaled-dicom-2\.png: 5 pixels .*15.*13"):
        for split in SPLITS:
            list(opened.samples(split))


def test_a_phantom_has_no_known_defects(tmp_path):
    lay_spinal_masks(tmp_path, strays=1)
    with pytest.raises(DataError, match="1 pixels of no class colour"):
        spinal_view("segment", tmp_path, real=False).samples("train")[0]


XML = """<annotation>
	<folder>train</folder><filename>x.png</filename><path>C:/x.png</path>
	<source><database>Unknown</database></source>
	<size><width>20</width><height>10</height><depth>3</depth></size><segmented>0</segmented>{objects}
</annotation>"""
OBJECT = """<object><name>hematoma</name><pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>
<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"""


def lay_spinal_boxes(root: Path, objects: str = "") -> None:
    for n, split in enumerate(SPLITS):
        folder = root / BOXES / split
        folder.mkdir(parents=True)
        Image.fromarray(np.full((10, 20, 3), 90, np.uint8)).save(folder / f"scaled-dicom-{n}.png")
        (folder / f"scaled-dicom-{n}.xml").write_text(XML.format(objects=objects))


@pytest.mark.parametrize(
    ("objects", "boxes"),
    [("", []), (OBJECT.format(0, 2, 20, 10), [[0, 2, 20, 10]]), (OBJECT.format(1, 2, 3, 4) * 2, [[1, 2, 3, 4]] * 2)],
)
def test_spinal_boxes_are_taken_as_written(tmp_path, objects, boxes):
    lay_spinal_boxes(tmp_path, objects)
    opened = spinal_view("detect", tmp_path)
    for split in SPLITS:
        (sample,) = opened.samples(split)
        assert sample.target.xyxy.tolist() == boxes and sample.target.xyxy.shape == (len(boxes), 4)
        assert sample.target.labels.tolist() == [0] * len(boxes)


def test_spinal_boxes_lie_where_the_release_has_them(tmp_path):
    target = Boxes(np.array([[2, 3, 9, 8]], np.float32), np.zeros(1, np.int64))
    sample = Sample("predict3_scaled-A0212_frame7", "g", np.zeros((10, 20), np.uint8), target, split="train")
    SpinalBoxes(["hematoma"]).write(tmp_path, [sample])
    files = [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*.*"))]
    assert files == [f"{BOXES}/train/predict3_scaled-A0212_frame7.{kind}" for kind in ("png", "xml")]
    text = "".join((tmp_path / files[1]).read_text().split())
    assert "<width>20</width><height>10</height><depth>3</depth>" in text
    assert "<xmin>2</xmin><ymin>3</ymin><xmax>9</xmax><ymax>8</ymax>" in text


@pytest.mark.parametrize(
    ("spare", "real", "fits"), [(0, True, True), (1, True, True), (2, True, False), (1, False, False)]
)
def test_spinal_has_one_xml_without_an_image(tmp_path, spare, real, fits):
    lay_spinal_boxes(tmp_path)
    for n in range(spare):  # in different splits: the count is the release's
        (tmp_path / BOXES / SPLITS[2 - n] / "scaled-A0001_frame1.xml").write_text(XML.format(objects=""))
    if fits:
        assert len(spinal_view("detect", tmp_path, real).layout.index(tmp_path)) == 3
        return
    with pytest.raises(DataError, match=r"scaled-A0001_frame1\.xml: an image of the same name was wanted"):
        spinal_view("detect", tmp_path, real)


@pytest.mark.parametrize(
    ("stem", "group"),
    [
        ("predict3_scaled-A0212_frame7", "A0212"),
        ("scaled-A0212_frame1", "A0212"),
        ("scaled-A0213_frame1", "A0213"),
        ("scaled-dicom-12", "train/scaled-dicom-12"),
        ("scaled-A021_frame1", "train/scaled-A021_frame1"),  # three digits are no token
    ],
)
@pytest.mark.parametrize("layout", [SpinalMasks(CLASSES), SpinalBoxes(["hematoma"])], ids=["masks", "boxes"])
def test_spinal_groups_are_sweep_tokens(tmp_path, stem, group, layout):
    target = Masks(np.zeros((9, 4, 6), bool)) if isinstance(layout, SpinalMasks) else Boxes.empty()
    sample = Sample(stem, "ignored", np.zeros((4, 6), np.uint8), target, split="train")
    assert [record.group for record in layout.write(tmp_path, [sample])] == [group]
    assert [record.group for record in layout.index(tmp_path)] == [group]


def test_spinal_knows_its_classes():
    with pytest.raises(DataError, match="no class 'kidney'"):
        SpinalMasks(["dura", "kidney"])


# ---- splits, by hand


def record(name: str, split: str | None = "train", group: str = "") -> Record:
    return Record(name, group or name, f"{name}.png", None, split)


def test_hold_out_moves_whole_groups_and_leaves_the_leaking_ones():
    records = [record(f"{group}{n}", "train", group) for group in "abcdefgh" for n in range(4)]
    records += [record("t", "test", "a"), record("u", "test", "z")]
    held = splits.hold_out(records, 0.25, "salt")
    val = [one for one in held if one.split == "val"]
    assert len(val) == 8 and len({one.group for one in val}) == 2 and "a" not in {one.group for one in val}
    assert splits.hold_out(records[::-1], 0.25, "salt")[::-1] == held  # whatever order they come in
    assert splits.hold_out(records, 0.25, "other") != held
    for salt in map(str, range(20)):
        assert not splits.crossing(splits.divide(splits.hold_out(records, 0.25, salt), Path()), "val", "test")
    assert [one.split for one in held if one.id in "tu"] == ["test", "test"]


def test_regroup_names_a_cluster_after_its_first():
    records = [record(name) for name in "abcd"]
    assert [one.group for one in splits.regroup(records, [["c", "a"], ["d"]])] == ["c", "b", "c", "d"]
    with pytest.raises(DataError, match="'x'"):
        splits.regroup(records, [["a", "x"]])


@pytest.mark.parametrize("missing", SPLITS)
def test_an_empty_split_is_named(missing):
    with pytest.raises(DataError, match=f"^somewhere: an image in the {missing} split was wanted"):
        splits.divide([record(split, split) for split in SPLITS if split != missing], Path("somewhere"))


def test_an_image_without_a_split_is_named():
    with pytest.raises(DataError, match=r"^somewhere/lost\.png: a split was wanted"):
        splits.divide([record("a"), record("lost", None)], Path("somewhere"))


def test_correlated_thumbnails_make_clusters():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(3, 32, 32))
    pictures = np.stack(
        [base[0], 2 * base[0] + 5, base[1], -base[0], base[2], base[0] + 0.1 * base[1], np.ones((32, 32))]
    )
    similar = splits.correlations(pictures.astype(np.float32)) >= 0.95
    assert splits.clusters(list("gfedcba"), similar) == [["b", "f", "g"]]


# ---- the real images of usgra

DATA = os.environ.get("USBENCH_TEST_DATA")
real = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA, reason="USBENCH_TEST_DATA names no folder of real images"),
]


def usgra(compose: Any, task: str) -> Dataset:
    node = compose("dataset=usgra")["dataset"]
    layout = source.layout_of({"dataset": node, "task": task, "phantom": False})
    return open_view("usgra", task, node["views"][task], layout, Path(str(DATA)) / "usgra", node["split"], None)


class TestRealUsgra:
    pytestmark = real

    def test_counts_and_sizes(self, compose):
        opened = usgra(compose, "segment")
        released = Counter(one.label.rpartition("/")[0] for part in opened.records.values() for one in part)
        assert released == {"dataset/masks": 204, "dataset/test/masks": 40}
        sizes, without_vessel = Counter(), 0
        for split in SPLITS:
            for sample in opened.samples(split):
                sizes[sample.image.shape] += 1
                without_vessel += not sample.target.planes[1].any()
        assert without_vessel == 25
        assert sorted(sizes.values()) == [21, 40, 183] and {tuple(sorted(size)) for size in sizes} == {
            (512, 534),
            (512, 512),
            (632, 761),
        }

    def test_splits_keep_clusters_on_one_side_but_for_the_known_leak(self, compose):
        opened = usgra(compose, "segment")
        counts = {split: len(part) for split, part in opened.records.items()}
        assert counts["test"] == 40 and counts["train"] + counts["val"] == 204 and 31 <= counts["val"] <= 33
        assert not splits.crossing(opened.records, "train", "val")
        assert not splits.crossing(opened.records, "val", "test")
        leak = splits.crossing(opened.records, "train", "test")
        leaking = [one.id for one in opened.records["test"] if one.group in leak]
        assert len(leaking) == 7 and leaking == YAMLS["usgra"]["leak"]["images"]

    def test_the_yaml_s_near_duplicates_are_those_of_the_images(self, compose):
        opened = usgra(compose, "segment")
        records = [one for part in opened.records.values() for one in part]
        ids = [f"{'test' if '/test/' in one.image else 'train'}/{Path(one.image).stem}" for one in records]
        thumbnails = []
        for one in records:
            with Image.open(opened.root / one.image) as picture:
                small = picture.convert("L").resize(splits.THUMBNAIL, Image.Resampling.BILINEAR)
            thumbnails.append(np.asarray(small, np.float32))
        similar = splits.correlations(np.stack(thumbnails)) >= 0.95
        assert splits.clusters(ids, similar) == sorted(YAMLS["usgra"]["split"]["near_duplicates"])

    def test_the_tint_is_read_as_luma(self, compose):
        """ITU-R 601 by hand on a file that carries a colour tint."""
        opened = usgra(compose, "segment")
        for one, pixels in zip(opened.records["test"], opened.samples("test").images(), strict=True):
            with Image.open(opened.root / one.image) as picture:
                if picture.mode != "RGB":
                    continue
                colours = np.asarray(picture, np.float64)
            if (colours.max(2) > colours.min(2)).any():
                assert np.abs(pixels - colours @ (0.299, 0.587, 0.114)).max() <= 1
                return
        pytest.fail("a tinted image was expected in the test folder")

    def test_boxes_are_those_of_components(self, compose):
        """Every box is tight on its class, none is of fewer than 20 pixels, and every large component has one."""
        segment, detect = usgra(compose, "segment"), usgra(compose, "detect")
        count = 0
        for masks, boxes in zip(segment.samples("test"), detect.samples("test"), strict=True):
            assert masks.id == boxes.id
            covered = np.zeros_like(masks.target.planes)
            for (x1, y1, x2, y2), label in zip(boxes.target.xyxy.astype(int), boxes.target.labels, strict=True):
                inside = masks.target.planes[label, y1:y2, x1:x2]
                assert inside.sum() >= 20
                assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()
                covered[label, y1:y2, x1:x2] = True
                count += 1
            assert (masks.target.planes & ~covered).sum() < 20 * 10  # specks only
        assert count >= 80
