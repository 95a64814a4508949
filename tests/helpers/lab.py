"""A lab's own model in a folder of its own, quick and well or badly behaved as its recipe says, for tests of sweeps."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

MODEL = """
import ctypes, os, signal, sys, time
from pathlib import Path
import numpy as np
from usbench.models import checkpoints
from usbench.types import Masks


class Fake:
    '''Everything darker than a level that comes of all its epochs; how it behaves in training is told by its name.'''

    parameters = 1  # the level

    def __init__(self, classes, exclusive, recipe, behaves):
        self.classes, self.recipe, self.behaves = classes, recipe, behaves

    def fit(self, train, val, run):
        import torch
        with open(os.environ.get("FAKE_LOG", os.devnull), "a") as log:
            log.write(f"{run.dir.name} {os.getpid()} {torch.get_num_threads()} {getattr(np, 'changed', None)}\\n")
        np.changed = "by another cell"
        torch.set_num_threads(1)
        {
            "exits": lambda: sys.exit(3),
            "goes": lambda: os._exit(0),
            "segfaults": lambda: ctypes.string_at(0),
            "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
            "raises": lambda: 1 / 0,
        }.get(self.behaves, lambda: None)()
        state = {"epoch": 0, "value": run.seed}
        for path in sorted(run.dir.glob("checkpoint-*.pt"), reverse=True):
            try:
                state = checkpoints.load_file(path)
                break
            except Exception:
                path.unlink()
        for epoch in range(state["epoch"] + 1, self.recipe["epochs"] + 1):
            time.sleep(self.recipe["seconds"])
            state = {"epoch": epoch, "value": (1103515245 * state["value"] + epoch) % 2**31}  # as weights go on
            checkpoints.save_file(run.dir / f"checkpoint-{epoch:05d}.pt", state)
            run.log("train/loss", 1 / epoch, epoch)  # last: a test reads it and kills after a whole epoch
            for old in sorted(run.dir.glob("checkpoint-*.pt"))[:-2]:
                old.unlink()
        self.level = self.recipe.get("level") or 40 + state["value"] % 16
        np.save(run.dir / "best.npy", self.level)

    def restore(self, run):
        self.level = float(np.load(run.dir / "best.npy"))

    def predict(self, images):
        for image in images:
            planes = np.zeros((self.classes, *image.shape), bool)
            planes[0] = image < self.level
            yield Masks(planes, np.ones(self.classes, np.float32))
"""
CONFIG = """
defaults:
  - /metric@_global_.metric: segment
name: {name}
task: segment
version: 1
pickled: false
bf16: []
build: {{_target_: fakes.Fake, behaves: {name}}}
recipes: {{quick: {{epochs: 2, seconds: 0.0}}, standard: {{epochs: 2, seconds: 0.0, level: null}}}}
"""
SMALL = (
    "tracking=none",
    "dataset.phantom.counts={train:4,val:4,test:4}",
    "dataset.phantom.size=[64,64]",
)


def make(folder: Path, *names: str) -> Path:
    """A lab with one model for each way to behave; its folder."""
    (folder / "conf" / "model").mkdir(parents=True)
    (folder / "fakes.py").write_text(MODEL)
    for name in names or ("works",):
        (folder / "conf" / "model" / f"{name}.yaml").write_text(CONFIG.format(name=name))
    return folder


def command(*words: str) -> list[str]:
    """`python -m usbench` with the lab's configuration, from within its folder."""
    return [sys.executable, "-m", "usbench", "--config-dir", "conf", *words, *SMALL]


def usbench(folder: Path, *words: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in ("USBENCH_DATA", "MLFLOW_TRACKING_URI")
    }
    done = subprocess.run(
        command(*words),
        cwd=folder,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=240,
    )
    return done.returncode, done.stdout, done.stderr
