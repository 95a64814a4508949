"""Open Kidney: where files lie, two annotators, copies, pixel sizes, groups, the split; and the
real label files.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from usbench.datasets import source
from usbench.datasets.codecs import image, label_png, pixel_sizes, via
from usbench.datasets.config import DatasetConfig, ViewConfig
from usbench.datasets.dataset import Dataset, open_view
from usbench.datasets.phantoms import phantom
from usbench.datasets.releases import kidney
from usbench.datasets.releases.kidney import Kidney
from usbench.datasets.releases.kidney_planes import ANATOMY
from usbench.errors import ConfigError, DataError
from usbench.io.config import conf_dir
from usbench.types import Boxes, Masks, Sample

NODE = yaml.safe_load((conf_dir() / "dataset" / "kidney.yaml").read_text())
DATASET = DatasetConfig.from_mapping(NODE)
COPIES = NODE["views"]["segment"]["layout"]["copies"]
REAL = os.environ.get("USBENCH_TEST_DATA")
HEAD = ",".join(via.COLUMNS) + "\n"
# 12_a: the capsule is a square of 5 × 5 from (1, 1); annotator 2 draws it a pixel to the right.
# 13_b: nothing drawn.
ROW = (
    '{name},9,"{{""Quality"":""Fair"",""View"":""{view}"",""Comments"":""n/a""}}",1,0,'
    '"{{""name"":""polygon"",""all_points_x"":[{xs}],""all_points_y"":[{ys}]}}",'
    '"{{""Anatomy"":""{label}""}}"\n'
)
BARE = (
    '{name},9,"{{""Quality"":""Poor"",""View"":""{view}"",""Comments"":""""}}",0,0,"{{}}","{{}}"\n'
)


def square(name: str, x: int, view: str = "Transverse", label: str = "Capsule") -> str:
    return ROW.format(
        name=name, view=view, xs=f"{x},{x + 4},{x + 4},{x}", ys="1,1,5,5", label=label
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A release by hand: two images, a copy of one, no table."""
    (tmp_path / "labels").mkdir()
    (tmp_path / "images").mkdir()
    first = (
        square("12_a_anon.png", 1)
        + BARE.format(name="13_b_anon.png", view="Other")
        + square("400_c_anon.png", 1)
    )
    second = square("12_a_anon.png", 2, "Longitudinal") + BARE.format(
        name="13_b_anon.png", view="Other"
    )
    (tmp_path / "labels" / "reviewed_labels_1.csv").write_text(HEAD + first)
    (tmp_path / "labels" / "reviewed_labels_2.csv").write_text(
        HEAD + second + square("400_c_anon.png", 1)
    )
    for name in ("12_a", "13_b", "400_c"):
        image.write_grey(tmp_path / "images" / f"{name}_anon.png", np.full((8, 10), 7, np.uint8))
    return tmp_path


def layout(**chosen: object) -> Kidney:
    return Kidney(**{"classes": ANATOMY, "copies": ["400_c"], **chosen})


def test_a_release_by_hand(root):
    records = layout().index(root)
    assert [
        (record.id, record.group, record.image, record.label, record.split) for record in records
    ] == [
        ("12_a_anon", "12", "images/12_a_anon.png", "labels/reviewed_labels_1.csv", None),
        ("13_b_anon", "13", "images/13_b_anon.png", "labels/reviewed_labels_1.csv", None),
    ]
    assert records[0].mm_per_px is None
    assert dict(records[0].attributes) == {
        **{"view": "Transverse", "quality": "Fair", "comments": "n/a"},
        "view_of_annotator_1": "Transverse",
    }
    target = layout().read(root, records[0])
    assert target.planes.shape == (4, 8, 10) and target.known is None
    assert target.planes[0, 1:6, 1:6].all() and target.planes.sum() == 25
    assert not layout().read(root, records[1]).planes.any()


def test_annotators_differ_and_both_are_two_records_of_one_image(root):
    second = layout(annotator=2)
    record = second.index(root)[0]
    assert (
        record.label == "labels/reviewed_labels_2.csv"
        and record.attributes["view"] == "Longitudinal"
    )
    assert record.attributes["view_of_annotator_1"] == "Transverse"
    assert second.read(root, record).planes[0, 1:6, 2:7].all()
    both = layout(annotator="both")
    records = both.index(root)
    assert [record.id for record in records] == [
        "1/12_a_anon",
        "1/13_b_anon",
        "2/12_a_anon",
        "2/13_b_anon",
    ]
    assert [record.group for record in records] == ["12", "13", "12", "13"] and records[
        0
    ].image == records[2].image
    first, second = both.read(root, records[0]), both.read(root, records[2])
    assert np.array_equal(first.planes[0, :, 1:9], second.planes[0, :, 2:]) and not np.array_equal(
        first.planes, second.planes
    )


def test_what_is_not_drawn_is_absent_or_unknown(root):
    unknown = layout(undrawn="unknown")
    records = unknown.index(root)
    assert unknown.read(root, records[0]).known.tolist() == [True, False, False, False]
    assert unknown.read(root, records[1]).known.tolist() == [False] * 4


def test_classes_may_be_some_in_an_order_of_ones_own(root):
    chosen = layout(classes=("Cortex", "Capsule"))
    assert [int(plane.sum()) for plane in chosen.read(root, chosen.index(root)[0]).planes] == [
        0,
        25,
    ]


def test_released_masks_are_read_by_name_and_cortex_overwrites(root):
    for annotator in (1, 2):
        for folder in ("capsule", "regions"):
            (root / f"labels/reviewed_masks_{annotator}/{folder}").mkdir(parents=True)
    capsule, regions = np.zeros((8, 10), np.uint8), np.zeros((8, 10), np.uint8)
    capsule[1:6, 1:6] = 1
    regions[2, 2], regions[3, 3], regions[4, 4] = 1, 2, 3
    for name in ("12_a_anon.png", "13_b_anon.png"):
        label_png.write_label_png(root / f"labels/reviewed_masks_1/capsule/{name}", capsule)
        label_png.write_label_png(root / f"labels/reviewed_masks_1/regions/{name}", regions)
    masks = layout(target="masks")
    records = masks.index(root)
    assert records[0].label == "labels/reviewed_masks_1/capsule/12_a_anon.png"
    assert "labels/reviewed_masks_1/regions/12_a_anon.png" in masks.shared_files(root)
    planes = masks.read(root, records[0]).planes
    assert (
        [plane.sum() for plane in planes] == [25, 1, 1, 1] and planes[2, 3, 3] and planes[3, 4, 4]
    )
    (root / "labels/reviewed_masks_1/regions/13_b_anon.png").unlink()
    with pytest.raises(DataError, match=r"regions/13_b_anon\.png: expected a released mask"):
        masks.index(root)
    sample = Sample("1_x", "1", np.zeros((8, 10), np.uint8), Masks(np.ones((4, 8, 10), bool)))
    layout().write(root / "new", [sample])
    written = label_png.read_label_png(root / "new/labels/reviewed_masks_1/regions/1_x.png", 3)
    assert (written == 3).all()  # Cortex is drawn last


def test_pixel_sizes_come_from_the_table_by_the_name_without_anon(root):
    pixel_sizes.write_transducers(root / kidney.TABLE, {"12_a": (0.3, 0.2), "13_b": None})
    chosen = layout()
    records = chosen.index(root)
    assert records[0].mm_per_px == pytest.approx((0.3, 0.2)) and records[1].mm_per_px is None
    assert kidney.TABLE in chosen.shared_files(root)
    assert (
        chosen.oddities()["images without a pixel size"] == 1
        and chosen.oddities()["copies of images, left out"] == 1
    )


def test_a_copy_may_lack_its_image(root):
    (root / "images/400_c_anon.png").unlink()
    assert len(layout().index(root)) == 2


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda r: (r / "images/13_b_anon.png").unlink(),
         r"images/13_b_anon\.png: expected an image.*1 of 2 images"),
        (lambda r: image.write_grey(r / "images/14_d.png", np.zeros((4, 4), np.uint8)),
         r"14_d\.png: expected a row in labels/"),
        (lambda r: (r / "labels/reviewed_labels_2.csv").unlink(),
         r"reviewed_labels_2\.csv: expected a VIA"),
        (lambda r: (r / "labels/reviewed_labels_2.csv").write_text(
            HEAD + square("12_a_anon.png", 2)),
         r"reviewed_labels_2\.csv: expected a row of 13_b_anon\.png"),
        (lambda r: rename(r, "12_a_anon.png", "a12.png"), "begins with the patient's number"),
    ],
    ids=["no image", "no row", "no CSV", "one annotator only", "no number"],
)  # fmt: skip
def test_a_release_that_is_not_whole_is_refused(root, damage: Callable[[Path], object], reason):
    damage(root)
    with pytest.raises(DataError, match=reason) as caught:
        layout().index(root)
    assert "\n" not in str(caught.value)


def rename(root: Path, name: str, other: str) -> None:
    (root / "images" / name).rename(root / "images" / other)
    for path in (root / "labels").glob("*.csv"):
        path.write_text(path.read_text().replace(name, other))


def test_a_vertex_outside_its_image_is_refused_and_one_on_the_edge_is_not(root):
    chosen = layout()
    record = chosen.index(root)[0]
    image.write_grey(
        root / record.image, np.zeros((5, 6), np.uint8)
    )  # vertices at x 5 and y 5: one beyond the last row
    assert chosen.read(root, record).planes.shape == (4, 5, 6)
    image.write_grey(root / record.image, np.zeros((4, 6), np.uint8))
    with pytest.raises(
        DataError,
        match=r"12_a_anon\.png: expected a polygon of Capsule inside the image \(6×4\).*x 5, y 5",
    ):
        chosen.read(root, record)


@pytest.mark.parametrize(
    "chosen",
    [{"annotator": 3}, {"undrawn": "empty"}, {"target": "mask"}, {"classes": ("Capsule", "Liver")}],
)
def test_a_choice_that_cannot_be_is_refused(chosen):
    with pytest.raises(ConfigError, match=r"expected"):
        layout(**chosen)


def test_only_numbered_masks_can_be_written(tmp_path):
    for sample, expected in (
        (
            Sample("x_1", "1", np.zeros((4, 4), np.uint8), Masks(np.zeros((4, 4, 4), bool))),
            "sample x_1: expected an id <number>_",
        ),
        (
            Sample("1_x", "1", np.zeros((4, 4), np.uint8), Boxes.empty()),
            "sample 1_x: expected masks, got Boxes",
        ),
    ):
        with pytest.raises(DataError, match=expected):
            layout().write(tmp_path / sample.id, [sample])


# ---- the YAML's split


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("kidney")
    spec = replace(
        source.phantom_spec(DATASET),
        size=(48, 64),
        counts={"train": 40, "val": 10, "test": 10},
        per_group=2,
    )
    Kidney(ANATOMY).write(folder, phantom.draw_samples(spec, "segment"))
    return folder


def opened(root: Path, annotator: object, fold: int | None = None) -> Dataset:
    return open_view(
        "kidney", "segment", ViewConfig({}), Kidney(ANATOMY, annotator), root, DATASET.split, fold
    )


@pytest.mark.parametrize("fold", [None, 0, 4])
def test_the_split_is_the_same_whoever_s_drawings_are_read(drawn, fold):
    first, second, both = (opened(drawn, annotator, fold) for annotator in (1, 2, "both"))
    for split, part in first.records.items():
        images = [record.image for record in part]
        assert [record.image for record in second.records[split]] == images
        assert [record.image for record in both.records[split]] == images * 2


def test_views_are_shared_out_alike(drawn):
    parts = opened(drawn, 1).records
    assert {split: len(part) for split, part in parts.items()} == {
        "train": 40,
        "val": 8,
        "test": 12,
    }
    views = {
        split: Counter(record.attributes["view"] for record in part)
        for split, part in parts.items()
    }
    assert views["test"] == {"Longitudinal": 6, "Transverse": 6} and len(views["val"]) == 2


def test_the_phantom_s_annotators_draw_otherwise(drawn):
    for _, first, second in Kidney(ANATOMY).agreements(drawn):
        assert first.planes.shape == second.planes.shape and (first.planes != second.planes).any()
        assert (first.planes & second.planes).sum() > 0.8 * first.planes[:1].sum()


# ---- the real label files


@pytest.mark.real
@pytest.mark.skipif(
    not REAL or not (Path(REAL) / "kidney").is_dir(),
    reason="USBENCH_TEST_DATA has no kidney folder",
)
def test_the_real_label_files_have_the_published_counts():
    folder = Path(str(REAL)) / "kidney"
    counts = {
        1: (1650, 487, 473, 346, 345),
        2: (1642, 488, 470, 347, 337),
    }  # the stray rect is 1's 487th capsule
    rows = 0
    for annotator, (total, *by_class) in counts.items():
        path = folder / kidney.labels_file(annotator)
        export = via.read_via(path, "Anatomy", ANATOMY, rects=1)
        regions = Counter(
            region.label for entry in export.entries.values() for region in entry.regions
        )
        stray = export.oddities.get("rectangles, ignored", 0)
        assert regions.total() == total and stray == (annotator == 1)
        assert [regions[c] + (stray if c == "Capsule" else 0) for c in ANATOMY] == by_class
        assert len(export.entries) == 534
        # no region at all: 47 rows each, and the image of the rect
        assert sum(not entry.regions for entry in export.entries.values()) == 47 + stray
        rows += total + stray + 47
        views = {entry.attributes["View"] for entry in export.entries.values()}
        assert views == {"Longitudinal", "Transverse", "Other"}
        stems = {name.removesuffix("_anon.png") for name in export.entries}
        assert set(COPIES) < stems and len(COPIES) == 20
        assert len({stem.split("_")[0] for stem in stems - set(COPIES)}) == 501
    assert rows == 3387
    spacings = pixel_sizes.read_transducers(folder / kidney.TABLE)
    assert len(spacings) == 514 and sum(spacing is None for spacing in spacings.values()) == 24
    assert all(0.12 < value[0] == value[1] < 0.43 for value in spacings.values() if value)


@pytest.mark.real
@pytest.mark.skipif(
    not REAL or not (Path(REAL) / "kidney").is_dir(),
    reason="USBENCH_TEST_DATA has no kidney folder",
)
def test_the_real_release_is_indexed_once_its_images_are_there(tmp_path):
    """The real labels with stand-in images: every polygon is read, the split has its shares."""
    for path in (Path(str(REAL)) / "kidney").rglob("*.*"):
        (tmp_path / path.relative_to(Path(str(REAL)) / "kidney")).parent.mkdir(
            parents=True, exist_ok=True
        )
        (tmp_path / path.relative_to(Path(str(REAL)) / "kidney")).write_bytes(path.read_bytes())
    (tmp_path / "images").mkdir()
    names = via.read_via(tmp_path / kidney.labels_file(1), "Anatomy", ANATOMY, rects=1).entries
    image.write_grey(tmp_path / "one.png", np.zeros((1080, 1920), np.uint8))
    for name in names:
        (tmp_path / "images" / name).symlink_to(tmp_path / "one.png")
    chosen = Kidney(ANATOMY, copies=COPIES, rects=1)
    dataset = open_view("kidney", "segment", ViewConfig({}), chosen, tmp_path, DATASET.split, None)
    assert sum(map(len, dataset.records.values())) == 514
    shares = {split: len(part) / 514 for split, part in dataset.records.items()}
    assert shares == pytest.approx({"train": 0.7, "val": 0.1, "test": 0.2}, abs=0.02)
    drawn = [
        chosen.read(tmp_path, record).planes.any(axis=(1, 2)) for record in dataset.records["test"]
    ]
    assert 0.85 < np.mean(drawn, axis=0)[0] < 1
