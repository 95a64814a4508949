"""Every dataset of conf/dataset, view by view: what its YAML says, and that its layout indexes,
reads and writes its release's exact format.

The rules are those of `usbench check --conformance`. A lab's own datasets pass the same suite where
they have a phantom: `USBENCH_CONF=lab/conf pytest tests/datasets/test_datasets.py`.
"""

from __future__ import annotations

import json
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.datasets.test_releases import lay_pairs, open_pairs
from tests.helpers.written import SCENES, SIZE, VIEWS, YAMLS, Written, small_phantom
from usbench.datasets import source
from usbench.datasets.check.conformance import check_conformance, check_folds
from usbench.datasets.check.round_trip import check_write
from usbench.datasets.config import DatasetConfig
from usbench.datasets.dataset import Dataset, file_fingerprint
from usbench.datasets.layouts.index_masks import component_boxes
from usbench.datasets.phantoms import phantom
from usbench.datasets.phantoms.scenes import CLASSES
from usbench.errors import ConfigError, DataError
from usbench.io.config import conf_dir
from usbench.types import (
    SPLITS,
    TASKS,
    Boxes,
    Masks,
    Target,
)

OURS = {path.stem for path in (conf_dir() / "dataset").glob("*.yaml")}


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
    assert node["redistribute"] in ("images", "none")
    assert node["redistribute"] == "none" or node["attribution"].strip()  # shown pictures carry it
    assert node["split"]["description"].strip()
    assert isinstance(node["released"], bool) and len(node["size"]) == 2
    for task, view in node["views"].items():
        assert all(isinstance(count, int) for count in view.get("known_defects", {}).values())
        if task == "segment":
            assert isinstance(view["exclusive"], bool)
        if task == "detect":
            assert view["box_origin"] in (0, 1) and view["box_end"] in ("inclusive", "exclusive")
    for leaking in node.get("leakage", {}).get("images", ()):
        assert leaking.startswith("test/")


@pytest.mark.parametrize("name", [name for name, scene in SCENES.items() if scene])
def test_the_yaml_s_phantom_has_every_class_of_the_views(name):
    spec = source.phantom_spec(DatasetConfig.from_mapping(YAMLS[name]))
    height, width = YAMLS[name]["size"]
    assert spec.size[0] / spec.size[1] == pytest.approx(height / width, rel=0.02) and set(
        spec.counts
    ) <= set(SPLITS)
    for task, view in YAMLS[name]["views"].items():
        # It can be drawn: a scene of `CLASSES` has as many classes, one of `SHAPES` takes any.
        phantom.draw_samples(spec, task, view["classes"])
        if name in OURS and spec.scene in CLASSES and view["classes"]:
            assert CLASSES[spec.scene][task] == tuple(view["classes"])


# ---- every view


def test_the_view_keeps_the_contract(written):
    report = check_conformance(written.dataset, written.root, True, written.task)
    assert [finding for finding in report.findings if finding.level == "error"] == []
    outcomes = {rule: report.outcome(rule) for rule in report.rules}
    # A fold of so few groups may be empty; a layout may write another view's classes.
    possible = {"folds": ("ok", "warning"), "write": ("ok", "note")}
    for rule, outcome in outcomes.items():
        assert outcome in possible.get(rule, ("ok",)), rule
    assert report.images == report.read == len(written.records)


def test_what_is_written_is_read_again(written, tmp_path):
    expected = [as_view(sample.target, written) for sample in written.samples]
    assert check_write(written.layout, written.samples, expected, tmp_path) == []


def keeps_splits(written: Written) -> bool:
    """Whether the release's format says who trains and who tests."""
    return any(record.split is not None for record in written.records)


def as_view(target: Target, written: Written) -> Target:
    """The target that a view reads: as written, or the boxes of a mask's components."""
    if isinstance(target, Masks) and written.task == "detect":
        return component_boxes(target.planes, written.view.layout.get("min_pixels", 20))
    return target


def test_opening_settles_three_splits_in_one_order(written):
    first, again = written.open(), written.open()
    assert first.records == again.records and set(first.records) == set(SPLITS)
    dropped = 2 * (written.dataset.split.gap or 0)  # at the two borders between contiguous runs
    assert sum(map(len, first.records.values())) == len(written.samples) - dropped
    only = written.dataset.split.test_only
    for split, part in first.records.items():
        assert bool(part) == (split == "test" or not only) and [
            record.id for record in part
        ] == sorted(record.id for record in part)
        assert all(record.split == split for record in part)
        assert first.samples(split).ids == [record.id for record in part]


def test_no_group_is_in_two_splits(written):
    seen: dict[str, str] = {}
    for split, part in written.open().records.items():
        for record in part:
            assert seen.setdefault(record.group, split) == split


def test_folds_keep_groups_whole_and_test_every_image_once(written):
    dataset, split = written.dataset, written.dataset.split
    if not split.folds:
        with pytest.raises(ConfigError, match=r"fold=0: .* no folds"):
            written.open(fold=0)
        return
    if not split.released_folds:
        split = replace(split, folds=3)
    assert check_folds(written.records, split, written.root, dataset.name) == []
    for fold in range(split.folds or 0):
        assert written.open(fold=fold).records["test"]


def test_samples_are_read_when_asked_for(copy):
    for record in copy.records:
        (copy.root / record.image).write_bytes(b"no pixels here")
    opened = copy.open()
    file_fingerprint(opened, copy.root / "hashes.json")
    samples = opened.samples("test")
    assert len(samples) == len(samples.ids) and len(samples[1:]) == len(samples) - 1
    with pytest.raises(DataError, match=re.escape(Path(samples.records[0].image).name)):
        samples[0]


def test_a_sample_has_its_record_s_facts(written):
    samples = written.open().samples("test")
    sample, record = samples[0], samples.records[0]
    assert (sample.id, sample.group, sample.split) == (record.id, record.group, "test")
    assert sample.image.shape == SIZE and sample.image.dtype == np.uint8
    assert [
        np.array_equal(image, sample.image)
        for image, sample in zip(samples.images(), samples, strict=True)
    ]


def test_write_wants_a_split(written, tmp_path):
    lost = replace(written.samples[0], split=None)
    if not keeps_splits(written):
        assert len(written.layout.write(tmp_path, [lost])) == 1
        return
    with pytest.raises(DataError, match=f"{lost.id}.*split"):
        written.layout.write(tmp_path, [lost])


def test_write_wants_the_format_s_target(written, tmp_path):
    sample = written.samples[0]
    other = Boxes.empty() if isinstance(sample.target, Masks) else Masks(np.zeros((1, *SIZE), bool))
    kind = type(sample.target).__name__.lower()
    got = type(other).__name__
    with pytest.raises(DataError, match=f"{sample.id}: expected {kind}.*, got {got}"):
        written.layout.write(tmp_path, [replace(sample, target=other)])


# ---- the fingerprint


def test_the_fingerprint_is_that_of_the_files_wherever_they_lie(copy, written, tmp_path):
    first = file_fingerprint(written.open(), tmp_path / "one.json")
    assert file_fingerprint(written.open(), tmp_path / "one.json") == first  # from the cache
    assert file_fingerprint(copy.open(), tmp_path / "two.json") == first
    assert len(first) == 64 and json.loads((tmp_path / "one.json").read_text())


def moved(dataset: Dataset) -> Dataset:
    """One test record counted as validation."""
    first, *rest = dataset.records["test"]
    val = (*dataset.records["val"], replace(first, split="val"))
    return replace(dataset, records={**dataset.records, "test": tuple(rest), "val": val})


def regrouped(dataset: Dataset) -> Dataset:
    first, *rest = dataset.records["test"]
    return replace(
        dataset, records={**dataset.records, "test": (replace(first, group="other"), *rest)}
    )


@pytest.mark.parametrize("change", [moved, regrouped])
def test_the_fingerprint_tells_splits_and_groups(written, tmp_path, change):
    opened = written.open()
    assert file_fingerprint(change(opened), tmp_path / "c.json") != file_fingerprint(
        opened, tmp_path / "c.json"
    )


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
    assert json.loads((tmp_path / "c.json").read_text()) == json.loads(
        (tmp_path / "whole.json").read_text()
    )
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
