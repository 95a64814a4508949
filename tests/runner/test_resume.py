"""Killed at ten moments and started again: the result is the uninterrupted run's, to the byte."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

WORDS = (
    *("recipe=tiny", "tracking=none", "threads=1", "model.recipes.tiny.epochs=12"),
    *(
        "dataset.phantom.counts={train:8,val:4,test:8}",
        "+model.recipes.tiny.augment={hflip:0.5,rotate:10}",
    ),
)
MOMENTS = [  # what is being written, or how many seconds after the first figure of this start
    *(0.3, 1.1, "checkpoint-*.pt.part", 2.3, "best.pt.part", "checkpoint-*.pt.part"),
    *("predictions-val.json", "predictions-test.json", ".*.cases.csv.gz.*.part", ".*.json.*.part"),
]


def start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "usbench", *WORDS],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def child_of(process: subprocess.Popen[bytes]) -> int:
    """The process that does the run."""
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None:
        fields = path.read_text().split()
        if fields:
            return int(fields[0])
    raise AssertionError(process.stderr.read() if process.stderr else "")


def caught(process: subprocess.Popen[bytes], child: int, come: Callable[[], bool]) -> bool:
    """Whether the run and its parent were killed at their moment; False where they ended before."""
    while process.poll() is None:
        if come():
            os.kill(child, signal.SIGKILL)
            process.kill()
            process.communicate()
            return True
    return False


def moment(folder: Path, what: str | float, begun: float) -> Callable[[], bool]:
    """Whether it has come: a part of a file, or a time after the first figure since `begun`."""
    runs, results = folder / "runs", folder / "results"
    if isinstance(what, float):

        def logs() -> list[Path]:
            return [path for path in runs.glob("*/log.csv") if path.stat().st_mtime > begun]

        first: list[float] = []

        def late() -> bool:
            if not first and logs():
                first.append(time.monotonic())
            return bool(first) and time.monotonic() - first[0] >= what

        return late
    old = set(find_files(runs, results, what))
    return lambda: bool(set(find_files(runs, results, what)) - old)


def find_files(runs: Path, results: Path, pattern: str) -> Iterator[Path]:
    yield from (
        results.glob(f"phantom/phantom/segment/{pattern}")
        if pattern[0] == "."
        else runs.glob(f"*/{pattern}")
    )


def outcome(folder: Path) -> dict[str, object]:
    """All that must be the same: predictions, case table, scores, weights."""
    (run,) = [path.parent for path in (folder / "runs").glob("*/config.yaml")]
    files = [
        *sorted(run.glob("predictions-*.json")),
        *sorted((folder / "results").rglob("*.cases.csv.gz")),
    ]
    weights = torch.load(run / "best.pt", weights_only=True)
    return {
        **{path.name: path.read_bytes() for path in files},
        **{name: tensor.numpy().tobytes() for name, tensor in weights.items()},
    }


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the child process in /proc")
def test_ten_kills_and_the_same_bytes(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    assert start(whole).wait(300) == 0
    kills = 0
    for what in MOMENTS:
        begun = time.time()
        process = start(broken)
        child = child_of(process)
        assert caught(process, child, moment(broken, what, begun)), (
            f"{what}: the run ended before, {kills} kills"
        )
        kills += 1
    assert start(broken).wait(300) == 0
    assert kills == 10 and outcome(broken) == outcome(whole)
    assert not list((broken / "results").rglob(".*")) and not list(
        (broken / "runs").glob("*.lock*")
    )
