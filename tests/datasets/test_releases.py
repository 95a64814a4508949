"""What is particular to usgra, the plain phantom and spinal, by hand-written files."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.helpers.near_duplicates import correlate_thumbnails, find_clusters
from tests.helpers.written import YAMLS, small_phantom
from usbench.datasets import source, splits
from usbench.datasets.config import DatasetConfig, SplitConfig, ViewConfig
from usbench.datasets.dataset import Dataset, open_view
from usbench.datasets.layouts.index_masks import IndexMasks
from usbench.datasets.releases.spinal import SpinalBoxes, SpinalMasks
from usbench.errors import DataError
from usbench.types import SPLITS, Boxes, Masks, Record, Sample

# ---- index masks (usgra, the plain phantom), by hand

FOLDERS = {split: (f"{split}/images", f"{split}/masks") for split in SPLITS}


def lay_pairs(root: Path, names: dict[str, list[str]]) -> None:
    """Pairs of 4×6 pictures, written without the layout."""
    for split, stems in names.items():
        for folder in FOLDERS[split]:
            (root / folder).mkdir(parents=True)
            for stem in stems:
                Image.fromarray(np.zeros((4, 6), np.uint8)).save(root / folder / f"{stem}.png")


def open_pairs(root: Path, split: SplitConfig | None = None, **arguments: Any) -> Dataset:
    layout = IndexMasks(("one", "two"), FOLDERS, **arguments)
    return open_view(
        "pairs",
        "segment",
        ViewConfig({}, exclusive=True),
        layout,
        root,
        split or SplitConfig(""),
        None,
    )


def test_index_masks_by_hand(tmp_path):
    """A 4×6 mask with boxes by hand: class 0 two lines that touch at a corner, class 1 a bar."""
    lay_pairs(tmp_path, {"train": ["a"], "val": ["b"], "test": ["c"]})
    rows = ["100020", "100020", "011020", "000000"]
    index = np.array([[int(value) for value in row] for row in rows], np.uint8)
    Image.fromarray(index).save(
        tmp_path / "train/masks/a.png"
    )  # a plain grey file is read by its values
    (masks,) = [sample.target for sample in open_pairs(tmp_path).samples("train")]
    assert isinstance(masks, Masks) and masks.planes.sum((1, 2)).tolist() == [4, 3]
    assert np.array_equal(masks.planes[1], index == 2)
    for least, boxes, labels in [
        (3, [[0, 0, 3, 3], [4, 0, 5, 3]], [0, 1]),
        (4, [[0, 0, 3, 3]], [0]),
        (5, [], []),
    ]:
        layout = IndexMasks(("one", "two"), FOLDERS, "detect", min_pixels=least)
        (target,) = [
            layout.read(tmp_path, record)
            for record in layout.index(tmp_path)
            if record.split == "train"
        ]
        assert isinstance(target, Boxes) and target.scores is None
        assert target.xyxy.tolist() == boxes and target.labels.tolist() == labels


@pytest.mark.parametrize(
    ("name", "stem", "group"),
    [
        ("phantom", "g007_0012", "g007"),
        ("phantom", "0012", "train/0012"),
        ("usgra", "0012", "train/0012"),
    ],
)
def test_groups_of_index_masks(tmp_path, compose, name, stem, group):
    dataset = DatasetConfig.from_mapping(compose(f"dataset={name}")["dataset"])
    layout = source.build_layout(dataset, "segment", phantom=False)
    for images, masks in layout.folders.values():
        for folder in (images, masks):
            (tmp_path / folder).mkdir(parents=True)
    for folder in layout.folders["train"]:
        (tmp_path / folder / f"{stem}.png").touch()
    assert [(record.id, record.group) for record in layout.index(tmp_path)] == [
        (f"train/{stem}", group)
    ]


def test_one_name_in_two_splits_is_two_images(tmp_path):
    lay_pairs(tmp_path, {"train": ["a"], "val": ["a"], "test": ["a"]})
    opened = open_pairs(tmp_path)
    assert [part[0].id for part in opened.records.values()] == ["train/a", "val/a", "test/a"]
    assert not splits.find_crossing_groups(opened.records, "train", "test")  # each is its own group


USGRA = {
    "train": ("dataset/images", "dataset/masks"),
    "test": ("dataset/test/images", "dataset/test/masks"),
}


def test_usgra_lies_where_its_release_does(compose, tmp_path):
    written = small_phantom(compose("dataset=usgra")["dataset"], "segment", tmp_path)
    files = {
        path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()
    }
    assert files == {
        f"{folder}/{sample.id}.png"
        for sample in written.samples
        for folder in USGRA[str(sample.split)]
    }
    assert (tmp_path / "dataset/images/0001.png").is_file() and (
        tmp_path / "dataset/test/masks/0009.png"
    ).is_file()
    sample = written.samples[0]
    with Image.open(tmp_path / "dataset/masks/0001.png") as mask:
        assert mask.mode == "P" and mask.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]
        pixels = np.array(mask)
    assert set(np.unique(pixels)) == {0, 1, 2}
    assert np.array_equal(pixels == 1, sample.target.planes[0]) and np.array_equal(
        pixels == 2, sample.target.planes[1]
    )


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
    sample = Sample(
        "scaled-A0212_frame1", "g", np.zeros((2, 12), np.uint8), Masks(planes), split="val"
    )
    SpinalMasks(CLASSES).write(tmp_path, [sample])
    files = [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*.png"))]
    assert files == [f"{MASKS}/val_{kind}/scaled-A0212_frame1.png" for kind in ("images", "masks")]
    with Image.open(tmp_path / files[1]) as mask:
        assert mask.mode == "RGB"
        pixels = np.array(mask)
    for n, (_, colour) in COLOURS.items():
        assert tuple(pixels[0, n]) == colour
    assert not pixels[1].any() and not pixels[0, [0, 10, 11]].any()


def lay_spinal_masks(
    root: Path, *, strays: int = 0, stray: tuple[int, int, int] = (1, 128, 0)
) -> None:
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
    dataset = DatasetConfig.from_mapping(node)
    layout = source.build_layout(dataset, task, phantom=not real)
    return open_view("spinal", task, dataset.views[task], layout, root, dataset.split, None)


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
OBJECT = """<object><name>hematoma</name><pose>Unspecified</pose><truncated>0</truncated>
<difficult>0</difficult>
<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"""


def lay_spinal_boxes(root: Path, objects: str = "") -> None:
    for n, split in enumerate(SPLITS):
        folder = root / BOXES / split
        folder.mkdir(parents=True)
        Image.fromarray(np.full((10, 20, 3), 90, np.uint8)).save(folder / f"scaled-dicom-{n}.png")
        (folder / f"scaled-dicom-{n}.xml").write_text(XML.format(objects=objects))


@pytest.mark.parametrize(
    ("objects", "boxes"),
    [
        ("", []),
        (OBJECT.format(0, 2, 20, 10), [[0, 2, 20, 10]]),
        (OBJECT.format(1, 2, 3, 4) * 2, [[1, 2, 3, 4]] * 2),
    ],
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
    sample = Sample(
        "predict3_scaled-A0212_frame7", "g", np.zeros((10, 20), np.uint8), target, split="train"
    )
    SpinalBoxes(["hematoma"]).write(tmp_path, [sample])
    files = [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*.*"))]
    assert files == [
        f"{BOXES}/train/predict3_scaled-A0212_frame7.{kind}" for kind in ("png", "xml")
    ]
    text = "".join((tmp_path / files[1]).read_text().split())
    assert "<width>20</width><height>10</height><depth>3</depth>" in text
    assert "<xmin>2</xmin><ymin>3</ymin><xmax>9</xmax><ymax>8</ymax>" in text


@pytest.mark.parametrize(
    ("spare", "real", "fits"),
    [(0, True, True), (1, True, True), (2, True, False), (1, False, False)],
)
def test_spinal_has_one_xml_without_an_image(tmp_path, spare, real, fits):
    lay_spinal_boxes(tmp_path)
    for n in range(spare):  # in different splits: the count is the release's
        (tmp_path / BOXES / SPLITS[2 - n] / "scaled-A0001_frame1.xml").write_text(
            XML.format(objects="")
        )
    if fits:
        assert len(spinal_view("detect", tmp_path, real).layout.index(tmp_path)) == 3
        return
    with pytest.raises(
        DataError, match=r"scaled-A0001_frame1\.xml: expected an image of the same name"
    ):
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
@pytest.mark.parametrize(
    "layout", [SpinalMasks(CLASSES), SpinalBoxes(["hematoma"])], ids=["masks", "boxes"]
)
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
    divided = splits.hold_out(records, 0.25, "salt")
    val = [record for record in divided if record.split == "val"]
    assert (
        len(val) == 8
        and len({record.group for record in val}) == 2
        and "a" not in {record.group for record in val}
    )
    assert (
        splits.hold_out(records[::-1], 0.25, "salt")[::-1] == divided
    )  # whatever order they come in
    assert splits.hold_out(records, 0.25, "other") != divided
    for salt in map(str, range(20)):
        assert not splits.find_crossing_groups(
            splits.divide_by_split(splits.hold_out(records, 0.25, salt), Path()), "val", "test"
        )
    assert [record.split for record in divided if record.id in "tu"] == ["test", "test"]


def test_regroup_names_a_cluster_after_its_first():
    records = [record(name) for name in "abcd"]
    assert [record.group for record in splits.regroup(records, [["c", "a"], ["d"]])] == [
        "c",
        "b",
        "c",
        "d",
    ]
    with pytest.raises(DataError, match="'x'"):
        splits.regroup(records, [["a", "x"]])


@pytest.mark.parametrize("missing", SPLITS)
def test_an_empty_split_is_named(missing):
    with pytest.raises(DataError, match=f"^somewhere: expected an image in the {missing} split"):
        splits.divide_by_split(
            [record(split, split) for split in SPLITS if split != missing], Path("somewhere")
        )


def test_an_image_without_a_split_is_named():
    with pytest.raises(DataError, match=r"^somewhere/lost\.png: expected a split"):
        splits.divide_by_split([record("a"), record("lost", None)], Path("somewhere"))


def test_correlated_thumbnails_make_clusters():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(3, 32, 32))
    pictures = np.stack(
        [
            base[0],
            2 * base[0] + 5,
            base[1],
            -base[0],
            base[2],
            base[0] + 0.1 * base[1],
            np.ones((32, 32)),
        ]
    )
    similar = correlate_thumbnails(pictures.astype(np.float32)) >= 0.95
    assert find_clusters(list("gfedcba"), similar) == [["b", "f", "g"]]


# ---- the real images of usgra

DATA = os.environ.get("USBENCH_TEST_DATA")
real = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA, reason="USBENCH_TEST_DATA names no folder of real images"),
]


def usgra(compose: Any, task: str) -> Dataset:
    node = compose("dataset=usgra")["dataset"]
    root = Path(str(DATA)) / "usgra"
    return source.open_dataset(DatasetConfig.from_mapping(node), task, root, phantom=False)


class TestRealUsgra:
    pytestmark = real

    def test_counts_and_sizes(self, compose):
        opened = usgra(compose, "segment")
        released = Counter(
            record.label.rpartition("/")[0] for part in opened.records.values() for record in part
        )
        assert released == {"dataset/masks": 204, "dataset/test/masks": 40}
        sizes, without_vessel = Counter(), 0
        for split in SPLITS:
            for sample in opened.samples(split):
                sizes[sample.image.shape] += 1
                without_vessel += not sample.target.planes[1].any()
        assert without_vessel == 25
        assert sorted(sizes.values()) == [21, 40, 183] and {
            tuple(sorted(size)) for size in sizes
        } == {
            (512, 534),
            (512, 512),
            (632, 761),
        }

    def test_splits_keep_clusters_on_one_side_but_for_the_known_leak(self, compose):
        opened = usgra(compose, "segment")
        counts = {split: len(part) for split, part in opened.records.items()}
        assert (
            counts["test"] == 40
            and counts["train"] + counts["val"] == 204
            and 31 <= counts["val"] <= 33
        )
        assert not splits.find_crossing_groups(opened.records, "train", "val")
        assert not splits.find_crossing_groups(opened.records, "val", "test")
        leak = splits.find_crossing_groups(opened.records, "train", "test")
        leaking = [record.id for record in opened.records["test"] if record.group in leak]
        assert len(leaking) == 7 and leaking == YAMLS["usgra"]["leakage"]["images"]

    def test_the_yaml_s_near_duplicates_are_those_of_the_images(self, compose):
        opened = usgra(compose, "segment")
        records = [record for part in opened.records.values() for record in part]
        ids = [
            f"{'test' if '/test/' in record.image else 'train'}/{Path(record.image).stem}"
            for record in records
        ]
        thumbnails = []
        for record in records:
            with Image.open(opened.root / record.image) as picture:
                small = picture.convert("L").resize(splits.THUMBNAIL, Image.Resampling.BILINEAR)
            thumbnails.append(np.asarray(small, np.float32))
        similar = correlate_thumbnails(np.stack(thumbnails)) >= 0.95
        assert find_clusters(ids, similar) == sorted(YAMLS["usgra"]["split"]["near_duplicates"])

    def test_the_tint_is_read_as_luma(self, compose):
        """ITU-R 601 by hand on a file that carries a colour tint."""
        opened = usgra(compose, "segment")
        for record, pixels in zip(
            opened.records["test"], opened.samples("test").images(), strict=True
        ):
            with Image.open(opened.root / record.image) as picture:
                if picture.mode != "RGB":
                    continue
                colours = np.asarray(picture, np.float64)
            if (colours.max(2) > colours.min(2)).any():
                assert np.abs(pixels - colours @ (0.299, 0.587, 0.114)).max() <= 1
                return
        pytest.fail("a tinted image was expected in the test folder")

    def test_boxes_are_those_of_components(self, compose):
        """Every box is tight on its class and of 20 pixels or more; large components have one."""
        segment, detect = usgra(compose, "segment"), usgra(compose, "detect")
        count = 0
        for masks, boxes in zip(segment.samples("test"), detect.samples("test"), strict=True):
            assert masks.id == boxes.id
            covered = np.zeros_like(masks.target.planes)
            for (x1, y1, x2, y2), label in zip(
                boxes.target.xyxy.astype(int), boxes.target.labels, strict=True
            ):
                inside = masks.target.planes[label, y1:y2, x1:x2]
                assert inside.sum() >= 20
                assert (
                    inside[0].any()
                    and inside[-1].any()
                    and inside[:, 0].any()
                    and inside[:, -1].any()
                )
                covered[label, y1:y2, x1:x2] = True
                count += 1
            assert (masks.target.planes & ~covered).sum() < 20 * 10  # specks only
        assert count >= 80
