"""Where a run's images come from, for a dataset without a phantom; and phantoms of any classes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from usbench.cli import api, keys, listing, prepare
from usbench.cli import check as check_verb
from usbench.cli import phantom as phantom_verb
from usbench.datasets import source
from usbench.datasets.config import DatasetConfig
from usbench.datasets.phantoms.scenes import SHAPES
from usbench.errors import ConfigError, DataError
from usbench.io.config import compose_alone
from usbench.runner.resolve import resolve_config

SIZE = (64, 96)
SPEC = {"scene": "regions", "size": list(SIZE), "counts": {"train": 8, "test": 4}, "seed": 0}
NO_PHANTOM = "dataset=mine: its YAML has no phantom; name its images with data= or dataset.root="


def node_of(*classes: str, **keys: Any) -> dict[str, Any]:
    """A YAML of index masks; it has no phantom unless one is given."""
    view = {
        "classes": list(classes or ("tendon", "sheath", "bone")),
        "exclusive": True,
        "layout": {
            "_target_": "usbench.datasets.layouts.index_masks.IndexMasks",
            "folders": {s: [f"{s}/images", f"{s}/masks"] for s in ("train", "test")},
        },
    }
    node = {"name": "mine", "size": list(SIZE), "released": True, "views": {"segment": view}}
    return {**node, "split": {"description": "ours", "val_share": 0.25}, **keys}


@pytest.fixture
def lab(tmp_path, monkeypatch) -> Path:
    """The working directory of a lab, whose conf/dataset/mine.yaml has phantom: null."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("USBENCH_DATA", raising=False)
    monkeypatch.delenv("USBENCH_CONFIG", raising=False)
    write_yaml(tmp_path, node_of(phantom=None))
    return tmp_path


def write_yaml(folder: Path, node: dict[str, Any]) -> None:
    path = folder / "conf" / "dataset" / f"{node['name']}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(node))


def lay_release(root: Path) -> None:
    rng = np.random.default_rng(0)
    for split, count in (("train", 8), ("test", 4)):
        for folder in ("images", "masks"):
            (root / split / folder).mkdir(parents=True)
        for n in range(count):
            index = np.zeros(SIZE, np.uint8)
            index[10:30, 10:40] = 1 + n % 3
            Image.fromarray(index).save(root / split / "masks" / f"{n:02d}.png")
            pixels = rng.integers(0, 256, SIZE, dtype=np.uint8)
            Image.fromarray(pixels).save(root / split / "images" / f"{n:02d}.png")


def compose(*overrides: str) -> dict[str, Any]:
    return compose_alone([*overrides, "device=cpu", "threads=1"], Path("conf"))


# ---- no phantom


@pytest.mark.parametrize("keys", [{}, {"phantom": None}, {"phantom": {}}])
def test_a_yaml_may_state_no_phantom(keys):
    dataset = DatasetConfig.from_mapping(node_of(**keys))
    assert not dataset.phantom and not DatasetConfig.from_mapping(dataset.to_mapping()).phantom


ABSENT = "no mine release found"
LOCATED = [  # keys of the dataset, data, source, error, its words
    ({}, None, "auto", DataError, f"{ABSENT}, and it has no phantom; name its folder with data="),
    ({"access": "ask us"}, None, "auto", DataError, "has no phantom; how to get it: ask us"),
    ({}, None, "real", DataError, f"{ABSENT}; name its folder with data= or dataset.root="),
    ({}, "elsewhere", "auto", DataError, f"{ABSENT}; name its folder with data= or dataset.root="),
    ({"root": "gone"}, None, "auto", DataError, "no such folder; name its folder with"),
    ({}, None, "phantom", ConfigError, NO_PHANTOM),
    ({"released": False}, None, "phantom", ConfigError, "expected a release or a phantom"),
    ({"released": False}, None, "real", ConfigError, "mine has no release"),
]


@pytest.mark.parametrize(("keys", "data", "asked", "error", "text"), LOCATED)
def test_a_missing_release_without_a_phantom_is_one_clear_line(lab, keys, data, asked, error, text):
    dataset = DatasetConfig.from_mapping(node_of(**keys))
    with pytest.raises(error, match=re.escape(text)) as caught:
        source.locate(dataset, data, asked)
    assert "\n" not in str(caught.value)


def test_a_run_takes_the_release(lab):
    lay_release(lab / "data" / "mine")
    config = resolve_config(compose("dataset=mine", "model=unet", "recipe=quick"))
    assert not config.phantom and config.root == lab / "data" / "mine"
    assert config.classes == ("tendon", "sheath", "bone")
    dataset = api.load_dataset("mine", config_dir="conf")
    assert {split: len(dataset.samples(split)) for split in dataset.records} == {
        "train": 6,
        "val": 2,
        "test": 4,
    }


def test_a_run_without_the_release_says_so(lab):
    with pytest.raises(DataError, match="has no phantom"):
        resolve_config(compose("dataset=mine", "model=unet"))
    with pytest.raises(ConfigError, match="has no phantom"):
        resolve_config(compose("dataset=mine", "model=unet", "source=phantom"))
    assert not (lab / "runs").exists()


CONF = ("--config-dir", "conf")
VERBS = [  # verb, arguments, exit code, stderr, line of stdout
    (listing, (), 0, "", r"mine +segment +not here +\?"),
    (keys, ("dataset=mine", "model=unet"), 0, "", r"model=unet: keys model\.…"),
    (prepare, ("dataset=mine",), 0, "", "place: .*/data/mine"),
    (check_verb, ("dataset=mine",), 1, f"{ABSENT}; name its folder with", ""),
    (check_verb, ("dataset=mine", "--conformance"), 1, f"{ABSENT}; name its folder with", ""),
    (check_verb, ("dataset=mine", "source=phantom"), 2, "expected files to check", ""),
    (phantom_verb, ("dataset=mine", "--out", "drawn"), 2, NO_PHANTOM, ""),
]


@pytest.mark.parametrize(("module", "arguments", "code", "error", "line"), VERBS)
def test_verbs_meet_a_dataset_without_a_phantom(lab, capsys, module, arguments, code, error, line):
    assert module.main([*arguments, *CONF]) == code
    output = capsys.readouterr()
    assert error in output.err and (output.err.count("\n") == 1 if error else not output.err)
    assert re.search(line, output.out) and "None" not in output.out.partition("models")[0]
    assert not (lab / "drawn").exists()


def test_a_release_without_a_phantom_is_checked(lab, capsys):
    lay_release(lab / "data" / "mine")
    assert check_verb.main(["dataset=mine", *CONF]) == 0
    assert check_verb.main(["--conformance", "dataset=mine", *CONF]) == 0
    assert "0 errors, 0 warnings" in capsys.readouterr().out


# ---- phantoms


@pytest.mark.parametrize("scene", SHAPES)
def test_a_shape_s_scene_takes_any_classes(lab, scene, capsys):
    """A lab's own class names: the phantom is written, and keeps the contract."""
    classes = ("Sehne", "Hülle")[: 1 if scene == "nested" else 2]  # nested ones overlap
    write_yaml(lab, node_of(*classes, phantom={**SPEC, "scene": scene, "per_group": 1}))
    assert phantom_verb.main(["dataset=mine", "--out", "drawn", *CONF]) == 0
    assert check_verb.main(["--conformance", "dataset=mine", "dataset.root=drawn", *CONF]) == 0
    assert "12 images, targets of 12 read" in capsys.readouterr().out


def test_a_scene_with_classes_of_its_own_needs_as_many(lab, capsys):
    plain = {**SPEC, "scene": "plain"}
    write_yaml(lab, node_of("tendon", "sheath", phantom=plain))  # other names
    assert phantom_verb.main(["dataset=mine", "--out", "two", *CONF]) == 0
    write_yaml(lab, node_of("tendon", phantom=plain))
    assert phantom_verb.main(["dataset=mine", "--out", "one", *CONF]) == 2
    error = capsys.readouterr().err
    assert "phantom scene 'plain': expected 2 classes, got 1 (tendon)" in error
    assert "lesion, screening, regions, nested, ellipse take any" in error


def test_images_that_are_nowhere_are_named_before_a_phantom_that_cannot_be(lab, compose):
    """A lab's images of one class, whose folder the command forgot to name."""
    composed = compose("dataset=folder", "dataset.name=mine", "dataset.classes=[tendon]")
    with pytest.raises(ConfigError) as caught:
        resolve_config(composed)
    error = str(caught.value)
    assert error.startswith(f"{lab / 'data/mine'}: no images of mine found here")
    assert "dataset.root=DIR" in error and "expected 2 classes, got 1 (tendon)" in error


SPECS = [
    ({"scene": "regions"}, "got no key 'counts'"),
    ({**SPEC, "sede": 1}, "got an unknown key 'sede'"),
    ({**SPEC, "seed": None}, "expected whole numbers"),
]


@pytest.mark.parametrize(("spec", "text"), SPECS)
def test_a_phantom_that_can_t_be_drawn_is_refused(spec, text):
    dataset = DatasetConfig.from_mapping(node_of(phantom=spec))
    with pytest.raises(ConfigError, match=re.escape(text)):
        source.phantom_spec(dataset)


def test_a_phantom_s_groups_have_four_images_unless_it_says_more():
    dataset = DatasetConfig.from_mapping(node_of(phantom=SPEC))
    assert source.phantom_spec(dataset).per_group == 4
    more = replace(dataset, phantom={**SPEC, "per_group": 2})
    assert source.phantom_spec(more).per_group == 2
