"""scripts/bench_gpu.py: its stages on the CPU, and what it says where something is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from scripts import bench_gpu, gpu_checks
from scripts.bench_gpu import Findings
from scripts.gpu_checks import Check
from scripts.record import Ratio
from tests.helpers.paths import ROOT
from usbench.runner import machine
from usbench.types import Boxes, Masks

pytestmark = pytest.mark.usefixtures("one_thread")

RECORD = ROOT / "scripts" / "records" / "bench_gpu.json"


@pytest.mark.process
def test_a_dry_run_does_every_stage_but_the_real_one(tmp_path):
    before = RECORD.exists() and RECORD.read_bytes()
    path = tmp_path / "record.json"
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "bench_gpu.py"), "--dry-run", "--json", str(path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads(path.read_text())
    figures = record["figures"]
    assert figures.pop("problems") == []
    assert list(figures) == ["facts", "correct", "speed", "yolo"]
    assert figures["facts"]["device=auto"] == machine.resolve_device("auto")
    checks = [part for part in figures["correct"].values() if isinstance(part, dict)]
    assert len(checks) == 10 and sum(bool(check["found"]) for check in checks) == 9
    rates = figures["speed"]["batch 4"]["images_per_second"]
    assert len(rates) == 4 and min(rates.values()) > 0
    assert min(figures["yolo"]["tiny"][name] for name in ("usbench", "ultralytics")) > 0
    assert len(record["ratios"]) == 4 and min(row["ratio"] for row in record["ratios"]) > 0
    assert record["gpu"] is None and record["arguments"]["dry_run"] is True
    for name in figures:
        assert f"\n{name}: " in done.stdout  # its seconds, below its table
    assert (RECORD.exists() and RECORD.read_bytes()) == before


# ---- options


def test_without_a_gpu_it_says_so_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(machine, "cuda_capabilities", list)
    assert bench_gpu.main([]) == 1
    output, errors = capsys.readouterr()
    assert not output
    assert errors.splitlines() == [
        "--device cuda:0: expected a CUDA device, this machine has none; "
        "--dry-run tries the script on the CPU"
    ]


def test_a_device_that_is_not_there_is_named(monkeypatch, capsys):
    monkeypatch.setattr(machine, "cuda_capabilities", lambda: [(9, 0)])
    assert bench_gpu.main(["--device", "cuda:3"]) == 1
    assert "device=cuda:3: this machine has 1 CUDA devices" in capsys.readouterr().err
    assert bench_gpu.main(["--device", "cpu"]) == 2
    assert "--device cpu: expected a CUDA device" in capsys.readouterr().err


def test_a_dry_run_is_never_recorded(capsys):
    assert bench_gpu.main(["--dry-run", "--record"]) == 2
    assert "expected a measurement, got --dry-run" in capsys.readouterr().err


def test_data_without_the_release_is_refused(tmp_path, capsys):
    assert bench_gpu.main(["--data", str(tmp_path)]) == 1
    assert "expected a folder that holds usgra, found none" in capsys.readouterr().err


# ---- findings


def break_stage(bench: object) -> Findings:
    raise RuntimeError("out of\nmemory")


def test_findings_are_listed_at_the_end(tmp_path, monkeypatch, capsys):
    """What breaks one stage doesn't end the others, and nothing is recorded."""
    stages = {
        "facts": break_stage,
        "speed": lambda bench: Findings({"rate": 2.0}, [Ratio("time", "a loop", 2.0)], ["slow"]),
    }
    monkeypatch.setattr(bench_gpu, "STAGES", stages)
    path = tmp_path / "record.json"
    assert bench_gpu.main(["--dry-run", "--json", str(path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3:] == [
        "time, against a loop: 2.00",
        "not as it should be: facts: RuntimeError: out of memory",
        "not as it should be: speed: slow",
    ]
    assert json.loads(path.read_text())["figures"]["speed"]["rate"] == 2


def test_a_check_names_the_figure_that_is_above_its_limit():
    found = {"weights": 0.5, "epochs": 0.0, "score": float("nan")}
    check = Check("unet: resuming", found, {"weights": 0.1, "epochs": 0, "score": 1})
    assert check.problems() == [
        "unet: resuming: expected weights ≤ 0.1, got 0.5",
        "unet: resuming: expected score ≤ 1, got nan",
    ]
    assert bench_gpu.finite(found)["score"] is None
    assert Check("a", {}, {}, error="no memory").problems() == ["a: no memory"]


def boxes(*rows: tuple[float, float, float, float, int, float]) -> Boxes:
    table = np.array(rows, np.float64).reshape(-1, 6)
    return Boxes(table[:, :4], table[:, 4].astype(np.int64), table[:, 5].astype(np.float32))


def test_boxes_are_compared_with_the_nearest_of_their_class():
    """The second box is the first one's again, with another score."""
    one = boxes((0, 0, 8, 8, 0, 0.9), (0, 0, 8, 8, 0, 0.2), (4, 4, 6, 6, 1, 0.1))
    other = boxes((4, 4, 6, 6.5, 1, 0.1), (0, 0, 8, 8, 0, 0.2), (0, 0, 8, 8, 0, 0.8))
    distances = gpu_checks.box_distances(one, other)
    assert distances["box, px"] == [0, 0, 0.5]
    assert np.allclose(distances["score"], [0.1, 0, 0], atol=1e-6)
    missing = gpu_checks.box_distances(one, boxes())
    assert missing == {"box, px": [gpu_checks.OTHER_CLASS], "score": [1.0]}
    assert gpu_checks.box_distances(boxes(), boxes()) == {"box, px": [0.0], "score": [0.0]}


def test_masks_are_compared_at_their_worst():
    probabilities = np.full((1, 2, 2), 0.5, np.float32)
    plane = np.array([[[True, False], [False, False]]])
    one = Masks(plane, probabilities=probabilities)
    other = Masks(~plane, probabilities=probabilities + 0.25)
    assert gpu_checks.differences([one, one], [one, other]) == {
        "share of pixels": 1,
        "probability": 0.25,
    }
