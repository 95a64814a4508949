"""scripts/reproduce.py: a record's run done again in a fresh process, and what is said where it isn't the same."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import cv2
import PIL
import pytest
import scipy
from test_transfer import run

from scripts import phantom as phantom_script
from scripts import reproduce
from usbench.errors import ConfigError, DataError, RunError
from usbench.evaluate import reproduce as reproduction
from usbench.results import store as results
from usbench.runner import machine

SMALL = (
    "dataset=usgra",
    "model=unet",
    "recipe=tiny",
    "tracking=none",
    "device=cpu",
    "threads=1",
    "seed=3",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """The record of a small run on a phantom that was drawn for it."""
    folder = tmp_path_factory.mktemp("made")
    words = [
        "source=phantom",
        "dataset.phantom.size=[96,128]",
        f"runs={folder}/runs",
        f"results={folder}/results",
    ]
    assert run(*SMALL, *words) == 0
    (path,) = (folder / "results").glob("phantom/usgra/segment/*.json")
    return path


def changed(made: Path, folder: Path, **changes: object) -> Path:
    """A copy of the record with other values, a file of its own."""
    path = folder / made.name
    path.write_text(json.dumps({**json.loads(made.read_text()), **changes}))
    return path


def test_a_run_comes_out_the_same_to_the_byte(made, tmp_path, capsys):
    before = {file: file.read_bytes() for file in made.parent.iterdir()}
    assert reproduce.main([str(made), "--json", str(tmp_path / "out.json")]) == 0
    told = capsys.readouterr().out
    assert "identical: the predictions are the same bytes" in told and "differs: " not in told
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["verdict"] == "identical" and found["scores"] == {} and found["surroundings"] == []
    assert {file: file.read_bytes() for file in made.parent.iterdir()} == before


def test_a_release_is_looked_for_below_data_and_must_be_the_recorded_one(tmp_path, capsys):
    data, places = tmp_path / "data", [f"runs={tmp_path}/runs", f"results={tmp_path}/results"]
    words = ["dataset=usgra", "dataset.phantom.size=[96,128]", f"out={data}/usgra"]
    assert phantom_script.main([*words, "task=segment"]) == 0
    assert run(*SMALL, f"data={data}", *places) == 0
    (path,) = (tmp_path / "results").glob("**/usgra/segment/*.json")
    kept = tmp_path / "kept"
    assert reproduce.main([str(path), "--data", str(data), "--folder", str(kept)]) == 0
    assert "identical" in capsys.readouterr().out
    assert list((kept / "results").glob("**/*.json"))
    assert reproduce.main([str(path), "--data", str(tmp_path / "nowhere")]) == 1
    assert "that this record was made on was wanted here" in capsys.readouterr().err
    image = next((data / "usgra").rglob("images/*.png"))
    image.write_bytes(image.read_bytes() + b" ")
    assert reproduce.main([str(path), "--data", str(data)]) == 1
    assert "the data of this record were wanted" in capsys.readouterr().err


@pytest.fixture(scope="module")
def record(made) -> dict:
    return results.load(made)


def other(record: dict, value: float) -> dict:
    """The same run with other predictions and another score."""
    new = copy.deepcopy(record)
    new["predictions"]["sha256"] = "0" * 64
    new["scores"][record["primary"]["name"]]["value"] = value
    return new


def test_verdicts(record):
    figures = record["scores"][record["primary"]["name"]]
    inside, outside = (figures["low"] + figures["high"]) / 2, figures["high"] + 0.01
    assert reproduction.compared(record, record).verdict == "identical"
    near = reproduction.compared(record, other(record, inside))
    assert near.verdict == "within the interval"
    assert near.scores == {record["primary"]["name"]: (figures["value"], inside)}
    assert reproduction.compared(record, other(record, outside)).verdict == "different"
    unsure = copy.deepcopy(record)
    unsure["scores"][record["primary"]["name"]] |= {"low": None, "high": None}
    assert reproduction.compared(unsure, other(record, inside)).verdict == "different"


def test_what_else_differs_is_said(record):
    new = copy.deepcopy(record)
    new["machine"] |= {"processor": "an abacus"}
    new["machine"]["packages"] |= {"torch": "1.0", "abacus": "2.0"}
    new["code"]["commit"], new["threads"] = "abc", 7
    told = reproduction.surroundings(record, new)
    assert f"threads: {record['threads']}, now 7" in told and any(
        line.endswith("now an abacus") for line in told
    )
    assert any(line.startswith("torch: ") and line.endswith("now 1.0") for line in told)
    assert any(line.startswith("code commit: ") for line in told) and len(told) == 5
    assert "abacus: not in the record, now 2.0" in told


def test_different_is_exit_code_1(made, record, tmp_path, capsys, monkeypatch):
    worse = other(record, 0.0)
    monkeypatch.setattr(reproduction, "again", lambda one: worse)
    assert reproduce.main([str(made)]) == 1
    told = capsys.readouterr().out
    assert "different: the predictions are others" in told and "0.000000" in told


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"origin": "control"}, ConfigError, "a finished training"),
        ({"status": "failed"}, ConfigError, "a finished training"),
        ({"trained_on": "spinal"}, ConfigError, "a finished training"),
    ],
)
def test_a_record_that_no_training_made(record, tmp_path, changes, error, words):
    with pytest.raises(error, match=words):
        reproduction.rebuilt({**record, **changes}, None, tmp_path)


def test_starting_weights_must_be_the_recorded_ones(record, tmp_path):
    started = copy.deepcopy(record)
    started["config"]["weights"] = {"from": "start.pt", "sha256": "f" * 64}
    started["config"]["model"]["build"]["weights"] = "start.pt"
    (tmp_path / "start.pt").write_bytes(b"others")
    for given in (None, tmp_path / "start.pt"):
        with pytest.raises(
            RunError, match="--weights: the file of starting weights with sha256 ffffffffffff"
        ):
            reproduction.rebuilt(started, None, tmp_path, given)


def test_a_phantom_that_is_drawn_otherwise_now(record, tmp_path):
    then = {**record, "data": {**record["data"], "fingerprint": "0" * 64}}
    with pytest.raises(
        DataError, match=r"usbench draws another now.*was wanted here, found nothing"
    ):
        reproduction.rebuilt(then, tmp_path, tmp_path)


def test_a_record_names_the_packages_that_pictures_go_through():
    """YOLO trains to other bytes by OpenCV 4.14 than by 5.0."""
    packages = machine.describe()["packages"]
    assert packages["pillow"] == PIL.__version__ and packages["scipy"] == scipy.__version__
    opencv = packages.get("opencv-python") or packages["opencv-python-headless"]
    assert opencv.startswith(cv2.__version__)
