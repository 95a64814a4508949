"""usbench reproduce: a result's run done again in a new process, and how they compare."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import cv2
import PIL
import pytest
import scipy

from tests.evaluate.test_transfer import run
from tests.helpers.paths import ROOT
from usbench.cli import phantom as phantom_script
from usbench.cli import reproduce
from usbench.errors import ConfigError, DataError, RunError
from usbench.evaluate import reproduce as reproduction
from usbench.results.result import Result
from usbench.results.store import load_result
from usbench.runner import machine
from usbench.runner.config import RunConfig

SMALL = (
    "dataset=usgra",
    "model=unet",
    "recipe=tiny",
    "tracking=none",
    "device=cpu",
    "threads=1",
    "seed=3",
)

UNET = ROOT / "results" / "usgra" / "segment" / "unet-s0-7f7b7a8aae48.json"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """The result of a small run on a phantom that was drawn for it."""
    folder = tmp_path_factory.mktemp("made")
    overrides = [
        "source=phantom",
        "dataset.phantom.size=[96,128]",
        f"runs={folder}/runs",
        f"results={folder}/results",
    ]
    assert run(*SMALL, *overrides) == 0
    (path,) = (folder / "results").glob("phantom/usgra/segment/*.json")
    return path


def changed(made: Path, folder: Path, **changes: object) -> Path:
    """A copy of the result with other values, a file of its own."""
    path = folder / made.name
    path.write_text(json.dumps({**json.loads(made.read_text()), **changes}))
    return path


@pytest.mark.process
def test_a_run_comes_out_the_same_to_the_byte(made, tmp_path, capsys):
    before = {file: file.read_bytes() for file in made.parent.iterdir()}
    assert reproduce.main([str(made), "--json", str(tmp_path / "out.json")]) == 0
    output = capsys.readouterr().out
    assert "identical: the predictions are the same bytes" in output and "differs: " not in output
    content = json.loads((tmp_path / "out.json").read_text())
    assert (
        content["verdict"] == "identical"
        and content["scores"] == {}
        and content["surroundings"] == []
    )
    assert {file: file.read_bytes() for file in made.parent.iterdir()} == before


@pytest.mark.process
def test_a_release_is_looked_for_below_data_and_must_be_the_result_s(tmp_path, capsys):
    data, places = tmp_path / "data", [f"runs={tmp_path}/runs", f"results={tmp_path}/results"]
    overrides = ["dataset=usgra", "dataset.phantom.size=[96,128]", "--out", f"{data}/usgra"]
    assert phantom_script.main([*overrides, "task=segment"]) == 0
    assert run(*SMALL, f"data={data}", *places) == 0
    (path,) = (tmp_path / "results").glob("**/usgra/segment/*.json")
    run_folder = tmp_path / "kept"
    assert reproduce.main([str(path), "--data", str(data), "--folder", str(run_folder)]) == 0
    assert "identical" in capsys.readouterr().out
    assert list((run_folder / "results").glob("**/*.json"))
    assert reproduce.main([str(path), "--data", str(tmp_path / "nowhere")]) == 1
    assert "of this result isn't here" in capsys.readouterr().err
    image = next((data / "usgra").rglob("images/*.png"))
    image.write_bytes(image.read_bytes() + b" ")
    assert reproduce.main([str(path), "--data", str(data)]) == 1
    assert "expected the data of this result" in capsys.readouterr().err


@pytest.fixture(scope="module")
def result(made) -> Result:
    return load_result(made)


def with_dice(result: Result, **changes: object) -> Result:
    """The result with another primary score."""
    name, protocol = result.primary.name, result.protocol
    figure = replace(protocol.scores[name], **changes)
    protocol = replace(protocol, scores={**protocol.scores, name: figure})
    return replace(result, protocols=(protocol, *result.protocols[1:]))


def other(result: Result, value: float) -> Result:
    """The same run with other predictions and another score."""
    predictions = replace(result.predictions, sha256="0" * 64)
    return with_dice(replace(result, predictions=predictions), value=value)


@pytest.mark.process
def test_verdicts(result):
    figure = result.scores[result.primary.name]
    inside, outside = (figure.low + figure.high) / 2, figure.high + 0.01
    assert reproduction.compare(result, result).verdict == "identical"
    near = reproduction.compare(result, other(result, inside))
    assert near.verdict == "within the interval"
    assert near.scores == {result.primary.name: (figure.value, inside)}
    assert reproduction.compare(result, other(result, outside)).verdict == "different"
    unsure = with_dice(result, low=None, high=None)
    assert reproduction.compare(unsure, other(result, inside)).verdict == "different"


@pytest.mark.process
def test_what_else_differs_is_said(result):
    packages = {**result.machine.packages, "torch": "1.0", "abacus": "2.0"}
    machine = replace(result.machine, processor="an abacus", packages=packages)
    code = replace(result.code, commit="abc")
    lines = list(
        reproduction.differences(result, replace(result, machine=machine, code=code, threads=7))
    )
    assert f"threads: {result.threads}, now 7" in lines
    assert any(line.endswith("now an abacus") for line in lines)
    assert any(line.startswith("torch: ") and line.endswith("now 1.0") for line in lines)
    assert any(line.startswith("code commit: ") for line in lines) and len(lines) == 5
    assert "abacus: not in the result, now 2.0" in lines


@pytest.mark.process
def test_different_is_exit_code_1(made, result, capsys, monkeypatch):
    worse = other(result, 0.0)
    monkeypatch.setattr(reproduction, "run_again", lambda config: worse)
    assert reproduce.main([str(made)]) == 1
    printed = capsys.readouterr().out
    assert "different: the predictions are others" in printed and "0.000000" in printed


@pytest.mark.process
@pytest.mark.parametrize(
    "changes", [{"origin": "baseline"}, {"status": "failed"}, {"trained_on": "spinal"}]
)
def test_a_result_that_no_training_made(result, tmp_path, changes):
    with pytest.raises(ConfigError, match="of a finished training"):
        reproduction.rebuild_config(replace(result, **changes), None, tmp_path)


@pytest.mark.process
def test_starting_weights_must_be_the_result_s(result, tmp_path):
    content = copy.deepcopy(dict(result.config))
    content["weights"] = {"from": "start.pt", "sha256": "f" * 64}
    content["model"]["build"]["weights"] = "start.pt"
    started = replace(result, config=content)
    (tmp_path / "start.pt").write_bytes(b"others")
    for file in (None, tmp_path / "start.pt"):
        with pytest.raises(
            RunError, match="--weights: expected the starting weights with sha256 ffffffffffff"
        ):
            reproduction.rebuild_config(started, None, tmp_path, file)


@pytest.mark.process
def test_a_phantom_that_is_drawn_otherwise_now(result, tmp_path):
    then = replace(result, data=replace(result.data, fingerprint="0" * 64))
    with pytest.raises(DataError, match=r"usbench draws another now.*isn't here"):
        reproduction.rebuild_config(then, tmp_path, tmp_path)


def test_a_release_may_lie_anywhere(tmp_path, monkeypatch):
    """Of the parts of a run's configuration only the dataset's name counts here."""
    monkeypatch.delenv("USBENCH_DATA", raising=False)
    folders = dict.fromkeys(("root", "runs", "results"), tmp_path)
    config = RunConfig.from_mapping(
        load_result(UNET).config, **folders, tracking="none", debug=False
    )
    release, other = tmp_path / "data" / "usgra", tmp_path / "elsewhere"
    with pytest.raises(DataError, match="with --data, or its own with --root"):
        reproduction.find_release(config, tmp_path / "data", None)
    release.mkdir(parents=True)
    other.mkdir()
    assert reproduction.find_release(config, tmp_path / "data", None) == release
    assert reproduction.find_release(config, tmp_path / "data", other) == other


def test_a_result_names_the_packages_that_pictures_go_through():
    """YOLO trains to other bytes by OpenCV 4.14 than by 5.0."""
    packages = machine.describe().packages
    assert packages["pillow"] == PIL.__version__ and packages["scipy"] == scipy.__version__
    opencv = packages.get("opencv-python") or packages["opencv-python-headless"]
    assert opencv.startswith(cv2.__version__)


def test_a_result_of_an_older_adapter_is_refused(tmp_path):
    result = load_result(UNET)
    model = {**result.config["model"], "version": 1}
    old = replace(result, config={**result.config, "model": model})
    with pytest.raises(RunError, match="expected version 1 of unet's adapter, got 3"):
        reproduction.rebuild_config(old, None, tmp_path)
