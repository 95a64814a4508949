"""Data that change while a run reads them: exit code 1, no result, nothing to resume from."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from usbench.datasets import source
from usbench.datasets.config import DatasetConfig
from usbench.datasets.phantoms import phantom
from usbench.runner.child import do_run
from usbench.runner.config import RunConfig, write_config
from usbench.runner.inputs import array_cache
from usbench.runner.resolve import resolve_config
from usbench.runner.status import REFUSED, run_status
from usbench.runner.transfer import plan_transfer

pytestmark = pytest.mark.process  # a run asks for its machine

MODEL = """
import numpy as np
from usbench.types import Masks

class Threshold:
    parameters = 0
    during_fit = during_predict = staticmethod(lambda: None)

    def __init__(self, classes, **others):
        self.classes = classes

    def fit(self, train, val, run):
        run.cache.mkdir(parents=True)
        (run.cache / "decoded.npy").touch()
        (run.dir / "best.npy").touch()
        self.during_fit()

    def restore(self, run):
        pass

    def predict(self, images):
        for image in images:
            yield Masks(np.stack([image > 128] * self.classes))
        self.during_predict()
"""
UNLISTED = ("dataset.split.near_duplicates=[]", "dataset.leakage=null")
QUIET = ("device=cpu", "threads=1", "precision=fp32", "tracking=none")


@pytest.fixture(scope="module")
def pristine(compose, tmp_path_factory) -> Path:
    """A small usgra."""
    node = compose("dataset=usgra")["dataset"]
    spec = source.phantom_spec(DatasetConfig.from_mapping(node))
    spec = replace(spec, size=(32, 48), counts={"train": 8, "test": 4})
    folder = tmp_path_factory.mktemp("data")
    layout = source.build_layout(DatasetConfig.from_mapping(node), "segment", phantom=True)
    layout.write(folder / "usgra", phantom.draw_samples(spec, "segment"))
    return folder


@pytest.fixture
def resolve(compose, tmp_path, monkeypatch) -> Callable[..., RunConfig]:
    """The run of a lab's model, whose class tests may change."""
    (tmp_path / "lab_threshold.py").write_text(MODEL)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "lab_threshold", raising=False)
    monkeypatch.chdir(tmp_path)

    def composed(data: Path, *words: str) -> dict[str, Any]:
        model = "model.build._target_=lab_threshold.Threshold"
        return compose("dataset=usgra", f"data={data}", *UNLISTED, *QUIET, model, *words)

    def resolved(data: Path, trained: RunConfig | None = None) -> RunConfig:
        if trained:
            return plan_transfer(composed(data, "dataset.name=other"), trained)
        return resolve_config(composed(data))

    return resolved


@pytest.fixture
def data(pristine, tmp_path) -> Path:
    """A copy that tests may change."""
    return Path(shutil.copytree(pristine, tmp_path / "data"))


def invert(path: Path) -> None:
    pixels = np.array(Image.open(path))
    Image.fromarray(255 - pixels).save(path)


def edit_unseen(path: Path) -> None:
    """Another content of the same size and time."""
    before, content = path.stat(), path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


EDITS: dict[str, Callable[[Path], None]] = {
    "an image": invert,
    "at the same size and time": edit_unseen,
    "removed": Path.unlink,
}


def do(config: RunConfig, hook: str, change: Callable[[], object]) -> int:
    """Do a run during which something changes; its exit code."""
    import lab_threshold

    write_config(config.to_mapping(), config.path)
    setattr(lab_threshold.Threshold, hook, staticmethod(change))
    try:
        return do_run(config, overwrite=False)
    finally:
        setattr(lab_threshold.Threshold, hook, staticmethod(lambda: None))


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("hook", ["during_fit", "during_predict"])
def test_a_file_that_changes_during_a_run(data, resolve, capsys, edit, hook):
    config = resolve(data)
    image = config.root / config.open_dataset().records["train"][0].image
    once = [image]
    code = do(config, hook, lambda: once and EDITS[edit](once.pop()))
    says = capsys.readouterr().err
    assert code == 1 and says.count("\n") == 1
    assert image.stem in says and "nothing is published" in says
    assert not config.results.exists() and run_status(config.address).state == "skipped"
    assert not array_cache(config).exists()  # decoded from who knows which files
    assert [path.name for path in config.run_dir.iterdir()] == [REFUSED]
    if edit != "removed":
        again = resolve(data)
        assert again.run_id != config.run_id  # the cache of hashes knows the new bytes
        assert do(again, hook, lambda: None) == 0 and run_status(again.address).is_done


def test_a_file_that_changes_between_plan_and_start(data, resolve, capsys):
    config = resolve(data)
    array_cache(config).mkdir(parents=True)
    invert(config.root / config.open_dataset().records["test"][0].image)
    assert do(config, "during_fit", lambda: None) == 1
    assert f"{config.root}: files changed since the run was planned" in capsys.readouterr().err
    assert not config.results.exists() and array_cache(config).exists()  # nothing was read


def test_code_that_changes_between_plan_and_start(data, resolve, tmp_path, capsys):
    config = resolve(data)
    (tmp_path / "lab_threshold.py").write_text(MODEL + "# edited\n")
    assert do(config, "during_fit", lambda: None) == 1
    assert "the code changed since it was planned" in capsys.readouterr().err
    assert json.loads((config.run_dir / REFUSED).read_text()) and not config.results.exists()


def test_a_file_that_changes_during_an_evaluation_elsewhere(
    data, pristine, resolve, capsys, tmp_path
):
    trained = resolve(data)
    assert do(trained, "during_fit", lambda: None) == 0
    other = Path(shutil.copytree(pristine, tmp_path / "elsewhere"))
    (other / "usgra").rename(other / "other")
    records = trained.open_dataset().records["test"]
    invert(other / "other" / records[1].image)
    config = resolve(other, trained)
    assert do(config, "during_predict", lambda: invert(config.root / records[0].image)) == 1
    assert f"{records[0].image}: changed while" in capsys.readouterr().err
    assert not (config.results / "other").exists()
    assert run_status(trained.address).is_done and array_cache(trained).exists()
    again = resolve(other, trained)
    assert again.run_id != config.run_id and do(again, "during_predict", lambda: None) == 0
