"""What a sweep costs beside its training: planning, status, processes; the model does nothing.

    python scripts/bench_sweep.py [--runs N] [--begun N] [--json FILE]

1. `python -m usbench -m seed=range(0,N)` where all N runs (default 1,000) are done already: Hydra
   composes each, its status is looked up, nothing starts. The results are copies of one real one.
2. The status of those N runs alone.
3. A sweep of a few missing runs (--begun, default 8): seconds per run, beside the same runs' child
   processes started one after the other by hand, and beside a bare process that imports torch.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from usbench.cli.overrides import exit_code

from usbench.errors import RunError
from usbench.io.console import say, table
from usbench.io.files import write_atomically
from usbench.results.store import encode_result, load_result, result_path, table_path
from usbench.runner.config import RunAddress
from usbench.runner.status import find_result, run_statuses
from usbench.sweep.jobs import read_plan

MODEL = """
import numpy as np
from usbench.types import Masks

class Idle:
    def __init__(self, classes, exclusive, recipe):
        self.classes = classes

    def fit(self, train, val, run):
        np.save(run.dir / "best.npy", 0)

    def predict(self, images):
        for image in images:
            planes = np.zeros((self.classes, *image.shape), bool)
            planes[0] = image < 40
            yield Masks(planes, np.ones(self.classes, np.float32))
"""
CONFIG = """
defaults:
  - /metric@_global_.metric: segment
name: idle
task: segment
version: 1
pickled: false
bf16: []
build: {_target_: idle.Idle}
recipes: {quick: {epochs: 1}, standard: {epochs: 1}}
"""
WORDS = (
    "model=idle",
    "tracking=none",
    "dataset.phantom.counts={train:4,val:4,test:4}",
    "dataset.phantom.size=[64,64]",
)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--runs", type=int, default=1000, metavar="N", help="done runs; default: %(default)s"
    )
    parser.add_argument(
        "--begun", type=int, default=8, metavar="N", help="runs that are done; default: %(default)s"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON too")
    return parser.parse_args(argv)


def timed(folder: Path, *words: str) -> float:
    """Seconds of a command in the folder, from start to end. RunError where it fails."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RunError(
            f"{' '.join(words)}: exit code {done.returncode}: {(done.stdout + done.stderr)[-400:]}"
        )
    return time.perf_counter() - start


def sweep(folder: Path, seeds: str, *words: str) -> float:
    """Seconds of a multirun over seeds."""
    return timed(
        folder, "-m", "usbench", "--config-dir", "conf", "-m", f"seed={seeds}", *WORDS, *words
    )


def planned_runs(folder: Path) -> list[RunAddress]:
    """The runs of the newest plan."""
    return [address for job in read_plan(folder / "runs") for address in job.runs]


def pretend(done: Path, planned: Sequence[RunAddress]) -> None:
    """Copy one result, and its case table, under the ids of runs that were never done."""
    result = load_result(done)
    for address in planned:
        copy = replace(result, seed=address.seed, run_id=address.run_id)
        path = result_path(address.results, copy)
        if path.exists():
            continue
        table = table_path(path)
        shutil.copyfile(table_path(done), table)
        path.write_bytes(encode_result(replace(copy, cases=table.name)))


def measured(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Seconds by name."""
    (folder / "conf" / "model").mkdir(parents=True)
    (folder / "conf" / "model" / "idle.yaml").write_text(CONFIG)
    (folder / "idle.py").write_text(MODEL)
    sweep(folder, "0")
    seconds = {"a bare process that imports torch": timed(folder, "-c", "import torch")}
    (done,) = (folder / "results").rglob("*.json")
    plan = sweep(folder, f"range(1,{options.begun + 1})", "plan=true")
    whole = sweep(folder, f"range(1,{options.begun + 1})")
    seconds["a run of a sweep"] = (whole - plan) / options.begun
    begun = planned_runs(folder)
    seconds["its child process alone"] = by_hand(folder, begun)
    seconds[f"a plan of {options.runs} runs"] = sweep(
        folder, f"range(0,{options.runs})", "plan=true"
    )
    planned = planned_runs(folder)
    pretend(done, planned)
    seconds[f"a sweep of {options.runs} runs, all done"] = sweep(folder, f"range(0,{options.runs})")
    start = time.perf_counter()
    states = {status.state for status in run_statuses(planned)}
    seconds[f"the status of {options.runs} runs"] = time.perf_counter() - start
    if states != {"done"}:
        raise RunError(f"expected all runs done, got {', '.join(sorted(states))}")
    return seconds


def by_hand(folder: Path, begun: Sequence[RunAddress]) -> float:
    """Median seconds of a run's child process without a sweep; its result is removed before."""
    took = []
    for address in begun:
        path = find_result(address)
        assert path
        path.unlink()
        config = folder / "runs" / address.run_id / "config.yaml"
        took.append(timed(folder, "-m", "usbench.runner", str(config)))
    return sorted(took)[len(took) // 2]


def bench(options: argparse.Namespace) -> int:
    """Measure, show, write; the exit code."""
    with tempfile.TemporaryDirectory(prefix="usbench-") as folder:
        seconds = measured(Path(folder), options)
    table(
        "a sweep, beside its training",
        ["what", "seconds"],
        [[name, f"{s:.2f}"] for name, s in seconds.items()],
    )
    ratio = seconds["a run of a sweep"] / seconds["its child process alone"]
    say(f"a run of a sweep takes {ratio:.2f} times its child process alone")
    if options.json:
        content = {"seconds": seconds, "ratio": ratio}
        write_atomically(options.json, json.dumps(content, indent=1) + "\n")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    options = arguments(argv)
    return exit_code(lambda: bench(options))


if __name__ == "__main__":
    raise SystemExit(main())
