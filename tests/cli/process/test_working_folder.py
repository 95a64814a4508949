"""Every command writes below the working folder, and nothing into the installation."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers import lab
from tests.helpers.paths import ROOT
from usbench.cli.verbs import VERBS

# Runs the verbs of a JSON list one after the other in one process: that is quicker.
VERBS_PROGRAM = """
import json, sys
from usbench.cli.options import add_working_directory
from usbench.cli.verbs import dispatch

add_working_directory()
codes = []
for arguments in json.loads(sys.argv[1]):
    try:
        codes.append(dispatch(arguments))
    except SystemExit as error:
        codes.append(error.code)
print("codes", json.dumps(codes))
"""
CONF = ["--config-dir", "conf"]
SMALL = list(lab.SMALL[1:])
PHANTOM = ["dataset=phantom", "source=phantom", *SMALL]
# What each verb is tried with, and its exit code; a verb that isn't here is tried without arguments.
ARGUMENTS = {
    "list": (0, [*CONF]),
    "keys": (0, ["model=works", *CONF]),
    "prepare": (0, ["dataset=usgra"]),
    "check": (1, ["dataset=usgra", "data=nowhere"]),
    "phantom": (0, ["--out", "drawn", "dataset=phantom", "task=segment", *SMALL]),
    "score": (0, ["--task=segment", "--targets=masks", "--predictions=masks", "--classes=head"]),
    "sanity": (0, [*PHANTOM, "task=segment"]),
    "interrater": (1, ["dataset=kidney", "data=nowhere", "source=real"]),
    "catalogue": (0, []),
    "leaderboard": (0, [*CONF, "--phantom"]),
    "status": (0, []),
    "sync": (0, []),
    "explain": (0, ["RUN"]),
    "predict": (0, ["RUN", "--images", "masks", "--out", "predicted"]),
    "reproduce": (0, ["RUN"]),
    "compare": (0, ["RUN", "OTHER"]),
    "evaluate": (2, ["RUN", *PHANTOM]),  # the dataset that it was trained on
    "gallery": (2, ["RUN"]),  # of a phantom
}
WAITS = {"serve"}  # verbs that don't end by themselves


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Relative path → (size, time of the last change) of everything in a folder."""
    states = {path: path.stat() for path in [folder, *folder.rglob("*")]}
    return {
        str(path.relative_to(folder)): (state.st_size, state.st_mtime_ns)
        for path, state in states.items()
    }


@pytest.fixture
def installation(tmp_path):
    """The package with its configuration, as a wheel installs it."""
    site = tmp_path / "site"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "usbench", site / "usbench", ignore=ignored)
    shutil.copytree(ROOT / "conf", site / "usbench" / "conf", ignore=ignored)
    return site


def test_nothing_is_written_into_the_installation(installation, tmp_path):
    place = lab.make(tmp_path / "place", "works", "other")
    (place / "masks").mkdir()
    for n in range(2):
        pixels = np.zeros((64, 64), np.uint8)
        pixels[8:24, 8:40] = 255
        Image.fromarray(pixels).save(place / "masks" / f"{n}.png")
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in ("USBENCH_DATA", "USBENCH_CONFIG", "MLFLOW_TRACKING_URI")
    }
    paths = {"PYTHONPATH": str(installation), "PYTHONDONTWRITEBYTECODE": "1"}
    before = snapshot(installation)

    def run(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=place,
            env={**clean, **paths},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    here = run("-c", "import usbench; print(usbench.__file__)").strip()
    assert Path(here).is_relative_to(installation)
    model = [*CONF, "dataset=phantom", "tracking=none", *SMALL]
    run("-m", "usbench", *model, "model=works", "plan=true")
    assert not (place / "results").exists()
    run("-m", "usbench", "-m", *model, "model=works,other")
    results = place / "results/phantom/phantom/segment"
    (works,), (other,) = (list(results.glob(f"{name}-*.json")) for name in ("works", "other"))
    names = {"RUN": works.stem, "OTHER": other.stem}
    tried = []
    for verb in sorted(VERBS - WAITS):
        code, arguments = ARGUMENTS.get(verb, (None, []))
        tried.append((code, [verb, *(names.get(argument, argument) for argument in arguments)]))
    output = run("-c", VERBS_PROGRAM, json.dumps([arguments for _, arguments in tried]))
    codes = json.loads(output.rpartition("codes ")[2])
    for (expected, arguments), code in zip(tried, codes, strict=True):
        assert code in ((0, 1, 2) if expected is None else (expected,)), (arguments, output)

    assert snapshot(installation) == before
    made = {path.name for path in place.iterdir()} - {"__pycache__", "conf", "fakes.py", "masks"}
    assert made == {"results", "runs", "drawn", "predicted"}
