"""One run, from the command line to the leaderboard: if this passes, the parts fit together."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

RUN = (
    *("dataset=phantom", "model=unet", "recipe=tiny", "tracking=none"),
    *("device=cpu", "threads=2", "dataset.phantom.counts={train:8,val:4,test:4}"),
)


def run_command(folder: Path, *arguments: str) -> str:
    """`python -m usbench …` in a folder; what it prints."""
    command = [sys.executable, "-m", "usbench", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_run_leaves_a_result_that_the_same_command_and_the_leaderboard_find(tmp_path):
    printed = run_command(tmp_path, *RUN)
    (path,) = tmp_path.glob("results/phantom/phantom/segment/unet-s0-*.json")
    result = json.loads(path.read_text())
    assert result["status"] == "done" and result["data"]["counts"] == {
        "train": 8,
        "val": 4,
        "test": 4,
    }
    assert 0 <= result["scores"]["dice"]["value"] <= 1
    assert result["target_score"]["dice"]["value"] == 1  # the target, scored as the prediction
    assert result["run_id"] in printed and str(path.name) in printed
    overlays = np.asarray(Image.open(tmp_path / "runs" / result["run_id"] / "overlays.png"))
    assert overlays.std() > 10  # a picture, not a blank sheet
    assert not list((tmp_path / "runs").glob("*/checkpoint-*"))
    before = path.read_bytes()
    again = run_command(tmp_path, *RUN)
    assert "done already" in again and path.read_bytes() == before
    run_command(tmp_path, "leaderboard", "--phantom")
    leaderboard = (tmp_path / "results" / "phantom" / "LEADERBOARD.csv").read_text()
    assert result["run_id"] in leaderboard
