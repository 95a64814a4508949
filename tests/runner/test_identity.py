"""What identifies a class in run ids, and which arrays a run may share with others."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from usbench.datasets.config import DatasetConfig
from usbench.errors import ConfigError
from usbench.runner.config import RunConfig
from usbench.runner.identity import class_identity
from usbench.runner.inputs import array_cache
from usbench.runner.resolve import resolve_config

SOURCES = {
    "lab/__init__.py": "from lab.layouts import Mine\n",
    "lab/layouts.py": "from .reading import Base\nimport lab.tools, numpy\nclass Mine(Base): pass\n",
    "lab/reading.py": "class Base: pass\n",
    "lab/tools.py": "from usbench import errors\n",
    "lab/unrelated.py": "",
    "single.py": "import json, beside\nclass Mine: pass\n",
    "beside.py": "",
}


@pytest.fixture
def lab(tmp_path, monkeypatch) -> Path:
    """A lab's package and two modules of its own on the search path."""
    for name, content in SOURCES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return tmp_path


@pytest.mark.parametrize(
    ("target", "edited", "changes"),
    [
        ("lab.layouts.Mine", "lab/layouts.py", True),
        ("lab.layouts.Mine", "lab/reading.py", True),  # its base class
        ("lab.layouts.Mine", "lab/tools.py", True),
        ("lab.layouts.Mine", "lab/unrelated.py", False),
        ("lab.Mine", "lab/layouts.py", True),  # where the class really is
        ("lab.Mine", "lab/reading.py", True),
        ("single.Mine", "single.py", True),
        ("single.Mine", "beside.py", True),
        ("single.Mine", "lab/layouts.py", False),
    ],
)
def test_an_edited_source_is_another_class_in_the_same_process_too(lab, target, edited, changes):
    before = class_identity(target)
    (lab / edited).write_text((lab / edited).read_text() + "edited = True\n")
    assert (class_identity(target) != before) == changes


def test_a_module_alone_is_its_path_and_the_sha256_of_its_source(lab):
    sha256 = hashlib.sha256(SOURCES["lab/reading.py"].encode()).hexdigest()
    assert class_identity("lab.reading.Base") == f"lab.reading.Base {sha256}"


def test_a_class_of_usbench_is_its_name_and_version():
    assert class_identity("usbench.models.smp.SmpSegmenter") == "segmenter 3"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (
            "nowhere.Mine",
            r"no module nowhere; looked in the working directory \(/.*\) and on PYTHON",
        ),
        ("lab.nowhere.Mine", "no module lab.nowhere"),
        ("single.Mine.method", "no module single.Mine"),
        ("usbench.models.smp.Nothing", "with a name and a version"),
    ],
)
def test_what_is_not_there_is_one_line(lab, target, reason):
    with pytest.raises(ConfigError, match=reason):
        class_identity(target)


def test_a_source_that_is_no_python_is_one_line(lab):
    (lab / "single.py").write_text("class Mine(:\n")
    with pytest.raises(ConfigError, match=r"single\.py: expected Python") as caught:
        class_identity("single.Mine")
    assert "\n" not in str(caught.value)


LAYOUT = (
    "from usbench.datasets.layouts.index_masks import IndexMasks\nclass Mine(IndexMasks): pass\n"
)


@pytest.fixture
def config(compose, lab, monkeypatch) -> RunConfig:
    """A run on a phantom that a lab's layout reads."""
    (lab / "mine.py").write_text(LAYOUT)
    monkeypatch.chdir(lab)
    return resolve(compose)


def resolve(compose) -> RunConfig:
    words = ["dataset=usgra", "source=phantom", "dataset.phantom.size=[32,32]", "device=cpu"]
    words += [f"dataset.phantom.counts.{split}=8" for split in ("train", "test")]
    return resolve_config(compose(*words, "dataset.views.segment.layout._target_=mine.Mine"))


def test_an_edited_layout_gives_another_run_and_reads_no_array_of_the_old_one(compose, lab, config):
    before = array_cache(config)
    (lab / "mine.py").write_text(LAYOUT + "# read() was edited\n")
    assert resolve(compose).run_id != config.run_id and array_cache(config) != before


def test_arrays_are_shared_by_runs_that_read_the_data_alike(config):
    def cache_of(**view: object) -> Path:
        views = {**config.dataset.views, "segment": replace(config.view, **view)}
        dataset: DatasetConfig = replace(config.dataset, views=views)
        return array_cache(replace(config, dataset=dataset))

    assert array_cache(replace(config, seed=7, run_id="other")) == array_cache(config)
    assert cache_of(protocols=("pooled",)) == array_cache(config)
    assert cache_of(classes=("vessel", "nerve")) != array_cache(config)
    assert cache_of(known_defects={"odd": ["a"]}) != array_cache(config)


# ---- folds of a release's own


def resolve_phantom(compose, folder: Path, *overrides: str) -> RunConfig:
    places = (f"runs={folder}/runs", f"results={folder}/results")
    small = ("dataset.phantom.size=[64,66]", "dataset.phantom.counts.train=24")
    common = ("source=phantom", "tracking=none", "device=cpu", "threads=1", "recipe=tiny")
    return resolve_config(compose(*places, *small, *common, *overrides))


@pytest.mark.parametrize(("dataset", "folds"), [("busbra", 5), ("ctrus", 5), ("tn3k", 5)])
def test_no_fold_is_fold_0_where_the_release_has_folds(compose, tmp_path, dataset, folds):
    """The same run id and the same series of folds; another fold is another run."""
    none, first, second = (
        resolve_phantom(compose, tmp_path, f"dataset={dataset}", "model=unet", fold)
        for fold in ("fold=null", "fold=0", "fold=1")
    )
    assert none.fold == 0 and (none.run_id, none.series) == (first.run_id, first.series)
    assert second.run_id != first.run_id and second.fold_series == first.fold_series
    with pytest.raises(ConfigError, match=f"expected 0 to {folds - 1}"):
        resolve_phantom(compose, tmp_path, f"dataset={dataset}", "model=unet", f"fold={folds}")


def test_no_fold_is_the_fixed_split_where_the_folds_are_ours(compose, tmp_path):
    config = resolve_phantom(compose, tmp_path, "dataset=busi", "model=unet")
    assert config.fold is None and config.fold_series is None
