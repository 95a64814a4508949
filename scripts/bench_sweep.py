"""What a sweep costs beside its training, with a model that does nothing: planning, the ledger, a process per cell.

    python scripts/bench_sweep.py [--cells N] [--begun N] [--json FILE]

1. `python -m usbench -m seed=range(0,N)` where all N cells (default 1,000) are done already: Hydra composes each, the
   ledger looks each up, nothing starts. The results are copies of one real result under the other cells' keys.
2. The ledger's own check of those N keys.
3. A sweep of a few missing cells (--begun, default 8): seconds per cell, beside the same cells' child processes
   started one after the other by hand, and beside a bare process that imports torch.
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
from pathlib import Path
from typing import Any

from usbench.cli.overrides import exit_code
from usbench.errors import RunError
from usbench.io.console import say, table
from usbench.io.files import replacing
from usbench.results import store as results
from usbench.runner import status as ledger

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
        "--cells", type=int, default=1000, metavar="N", help="done cells; default: %(default)s"
    )
    parser.add_argument(
        "--begun", type=int, default=8, metavar="N", help="cells that are run; default: %(default)s"
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


def cells(folder: Path) -> list[dict[str, Any]]:
    """The cells of the newest plan."""
    newest = max(
        (folder / "runs" / "sweep").glob("plan-*.json"), key=lambda path: path.stat().st_mtime_ns
    )
    return [one for job in json.loads(newest.read_text())["jobs"] for one in job["cells"]]


def pretend(done: Path, planned: Sequence[dict[str, Any]]) -> None:
    """Copy one result, and its case table, under the keys of cells that were never run."""
    record = results.load(done)
    for one in planned:
        other = {**record, "seed": one["seed"], "run_id": one["run_id"]}
        path = results.record_path(Path(one["results"]), other)
        if path.exists():
            continue
        other["cases"] = path.stem + results.CASES
        shutil.copyfile(done.with_name(record["cases"]), path.with_name(other["cases"]))
        path.write_text(json.dumps(other, indent=1) + "\n", encoding="utf-8")


def measured(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Seconds by name."""
    (folder / "conf" / "model").mkdir(parents=True)
    (folder / "conf" / "model" / "idle.yaml").write_text(CONFIG)
    (folder / "idle.py").write_text(MODEL)
    sweep(folder, "0")
    found = {"a bare process that imports torch": timed(folder, "-c", "import torch")}
    (done,) = (folder / "results").rglob("*.json")
    plan = sweep(folder, f"range(1,{options.begun + 1})", "plan=true")
    whole = sweep(folder, f"range(1,{options.begun + 1})")
    found["a cell of a sweep"] = (whole - plan) / options.begun
    begun = cells(folder)
    found["its child process alone"] = by_hand(folder, begun)
    found[f"a plan of {options.cells} cells"] = sweep(
        folder, f"range(0,{options.cells})", "plan=true"
    )
    planned = cells(folder)
    pretend(done, planned)
    found[f"a sweep of {options.cells} cells, all done"] = sweep(
        folder, f"range(0,{options.cells})"
    )
    start = time.perf_counter()
    states = {entry.state for entry in ledger.entries(planned)}
    found[f"the ledger's check of {options.cells} keys"] = time.perf_counter() - start
    if states != {"done"}:
        raise RunError(f"all cells done were wanted, found {', '.join(sorted(states))}")
    return found


def by_hand(folder: Path, begun: Sequence[dict[str, Any]]) -> float:
    """Seconds of a cell's child process, without a sweep, a median; its result was removed before."""
    took = []
    for one in begun:
        path = results.find(
            Path(one["results"]),
            one["dataset"]["name"],
            one["task"],
            "idle",
            one["seed"],
            one["run_id"],
        )
        assert path
        path.unlink()
        took.append(
            timed(
                folder,
                "-m",
                "usbench.runner.experiment",
                str(folder / "runs" / one["run_id"] / "cell.yaml"),
            )
        )
    return sorted(took)[len(took) // 2]


def bench(options: argparse.Namespace) -> int:
    """Measure, show, write; the exit code."""
    with tempfile.TemporaryDirectory(prefix="usbench-") as folder:
        found = measured(Path(folder), options)
    table(
        "a sweep, beside its training",
        ["what", "seconds"],
        [[name, f"{s:.2f}"] for name, s in found.items()],
    )
    ratio = found["a cell of a sweep"] / found["its child process alone"]
    say(f"a cell of a sweep takes {ratio:.2f} times its child process alone")
    if options.json:
        with replacing(options.json) as part:
            part.write_text(
                json.dumps({"seconds": found, "ratio": ratio}, indent=1) + "\n", encoding="utf-8"
            )
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    options = arguments(argv)
    return exit_code(lambda: bench(options))


if __name__ == "__main__":
    sys.exit(main())
