"""One cell in a child process of its own: its crash is a record, its globals never reach the next run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from usbench import cell, results, run
from usbench.console import warn

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def launch(one: cell.Cell, overwrite: bool) -> int:
    """Run the cell in a child that dies with this process; its exit code. A child killed by a signal leaves a
    failed record."""
    folder = cell.run_dir(one)
    path = folder.with_suffix(".yaml") if overwrite else folder / "cell.yaml"
    cell.write({**one, "overwrite": overwrite}, path)
    child = subprocess.Popen(
        [sys.executable, "-m", "usbench.run", str(path)], stdin=subprocess.PIPE, env=environment(one["threads"])
    )
    try:
        code = child.wait()
    except KeyboardInterrupt:
        child.wait()
        return 130
    if code < 0:
        reason = (
            f"the run's process was killed by {signal.Signals(-code).name}; "
            "the same command goes on from its last epoch"
        )
        warn(reason)
        run.save_failure(one, reason)
        return 1
    return code


def environment(threads: int) -> dict[str, str]:
    """The child's: its thread count fixed before any library reads it, Hydra's debugging switch taken out.

    A waiting thread of libgomp spins for some microseconds, then sleeps: spinning long (its default) makes two threads
    three times slower on shared cores, sleeping at once makes a small net nearly twice as slow on free ones.
    """
    kept = {name: value for name, value in os.environ.items() if name != "HYDRA_FULL_ERROR"}
    return {"GOMP_SPINCOUNT": "10000", **kept, **dict.fromkeys(THREADS, str(threads)), run.PARENT: "1"}


def finished(one: cell.Cell) -> tuple[Path, dict[str, Any]] | None:
    """The record of the same key if the run is done; DataError where it is damaged."""
    path = results.find(
        Path(one["results"]), one["dataset"]["name"], one["task"], one["model"]["name"], one["seed"], one["key"]
    )
    if path is None:
        return None
    record = results.load(path)
    return (path, record) if record["status"] == "done" else None


def resumed_threads(one: cell.Cell) -> int:
    """The thread count of a run that was begun: it decides the last bits of the result, so it is kept."""
    path = cell.run_dir(one) / "cell.yaml"
    return int(cell.read(path)["threads"]) if path.is_file() else int(one["threads"])
