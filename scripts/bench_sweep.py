"""What a sweep costs beside its training: planning, status, processes; the model does nothing.

    python scripts/bench_sweep.py [--runs N] [--begun N] [--record] [--json FILE]

1. `python -m usbench -m seed=range(0,N)` where all N runs (default 1,000) are done already: Hydra
   composes each, its status is looked up, nothing starts. The results are copies of one real one.
2. The status of those N runs alone.
3. A sweep of a few missing runs (--begun, default 8): seconds per run, beside the same runs' child
   processes started one after the other by hand, and beside a bare process that imports torch.
"""

from __future__ import annotations

import itertools
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from scripts.record import Ratio, make_bench_parser, make_record, parse_options, save_record
from usbench.cli.options import Options, add_numbers, run_verb
from usbench.errors import RunError
from usbench.io.console import table
from usbench.results.store import encode_result, load_result, result_path, table_path
from usbench.runner.config import RunAddress
from usbench.runner.status import find_result, run_statuses
from usbench.sweep.jobs import read_plan

MODEL = """
import numpy as np
from usbench.types import Masks

class Idle:
    parameters = None

    def __init__(self, classes, exclusive, recipe):
        self.classes = classes

    def fit(self, train, val, run):
        np.save(run.dir / "best.npy", 0)

    def restore(self, run):
        pass

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
RUN = "a run of a sweep"
PEERS = ("hydra-core",)
OVERRIDES = (
    "model=idle",
    "tracking=none",
    "dataset.phantom.counts={train:4,val:4,test:4}",
    "dataset.phantom.size=[64,64]",
)


def time_command(folder: Path, *arguments: str) -> float:
    """Seconds of Python in the folder, from start to end. Raises RunError where it fails."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        output = (done.stdout + done.stderr)[-400:]
        raise RunError(f"{' '.join(arguments)}: exit code {done.returncode}: {output}")
    return seconds


def time_sweep(folder: Path, seeds: str, *overrides: str) -> float:
    """Seconds of a multirun over seeds."""
    command = ("-m", "usbench", "--config-dir", "conf", "-m", f"seed={seeds}")
    return time_command(folder, *command, *OVERRIDES, *overrides)


def planned_runs(folder: Path) -> list[RunAddress]:
    """The runs of the newest plan."""
    return list(itertools.chain.from_iterable(job.runs for job in read_plan(folder / "runs")))


def copy_result(done: Path, planned: Sequence[RunAddress]) -> None:
    """Copy one result, and its case table, under the ids of runs that were never done."""
    result = load_result(done)
    for address in planned:
        copy = replace(result, seed=address.seed, run_id=address.run_id)
        path = result_path(address.results, copy)
        if not path.exists():
            cases = table_path(path)
            shutil.copyfile(table_path(done), cases)
            path.write_bytes(encode_result(replace(copy, cases=cases.name)))


def measure(folder: Path, options: Options) -> dict[str, float]:
    """Seconds by name."""
    (folder / "conf" / "model").mkdir(parents=True)
    (folder / "conf" / "model" / "idle.yaml").write_text(CONFIG)
    (folder / "idle.py").write_text(MODEL)
    time_sweep(folder, "0")
    seconds = {"a bare process that imports torch": time_command(folder, "-c", "import torch")}
    (done,) = (folder / "results").rglob("*.json")
    begun, seeds = f"range(1,{options.begun + 1})", f"range(0,{options.runs})"
    plan = time_sweep(folder, begun, "plan=true")
    seconds[RUN] = (time_sweep(folder, begun) - plan) / options.begun
    seconds["its child process alone"] = time_children(folder, planned_runs(folder))
    seconds[f"a plan of {options.runs} runs"] = time_sweep(folder, seeds, "plan=true")
    planned = planned_runs(folder)
    copy_result(done, planned)
    seconds[f"a sweep of {options.runs} runs, all done"] = time_sweep(folder, seeds)
    start = time.perf_counter()
    states = {status.state for status in run_statuses(planned)}
    seconds[f"the status of {options.runs} runs"] = time.perf_counter() - start
    if states != {"done"}:
        raise RunError(f"expected all runs done, got {', '.join(sorted(states))}")
    return seconds


def time_children(folder: Path, begun: Sequence[RunAddress]) -> float:
    """Median seconds of a run's child process without a sweep; its result is removed before."""
    took = []
    for address in begun:
        path = find_result(address)
        assert path
        path.unlink()
        config = folder / "runs" / address.run_id / "config.yaml"
        took.append(time_command(folder, "-m", "usbench.runner", str(config)))
    return statistics.median_high(took)


def bench(options: Options) -> None:
    """Measure, show, write."""
    with tempfile.TemporaryDirectory(prefix="usbench-") as folder:
        seconds = measure(Path(folder), options)
    table(
        "a sweep, beside its training",
        ["what", "seconds"],
        [[name, f"{took:.2f}"] for name, took in seconds.items()],
    )
    child = seconds["its child process alone"]
    done = seconds[f"a sweep of {options.runs} runs, all done"] / options.runs
    alone = "the same run's child process alone"
    ratios = [
        Ratio("time of a run of a sweep, without training", alone, child / seconds[RUN]),
        Ratio(f"time of a finished run in a sweep of {options.runs:,}", alone, child / done),
    ]
    save_record(options, make_record("bench_sweep", options, ratios, seconds, PEERS))


def main(argv: list[str] | None = None) -> int:
    """The command; its exit code."""
    parser = make_bench_parser(__doc__)
    add_numbers(parser, runs=1000, begun=8)
    return run_verb(bench, parse_options(parser, argv))


if __name__ == "__main__":
    raise SystemExit(main())
