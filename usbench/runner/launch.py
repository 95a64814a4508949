"""One cell in a child process of its own: its crash is a record, its globals never reach the next run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from usbench.io.console import warn
from usbench.results import store as results
from usbench.runner import config as cell
from usbench.runner import experiment as run
from usbench.runner import lock as claims
from usbench.runner import resources as workers
from usbench.runner import status as ledger

INTERRUPTED = 130  # by Ctrl-C
TOLD = {
    getattr(signal, f"SIG{name}")
    for name in ("TERM", "HUP", "USR1", "USR2")
    if hasattr(signal, f"SIG{name}")
}
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def launch(one: cell.Cell, overwrite: bool, per_gpu: int = 0, where: str | None = None) -> int:
    """Run the cell in a child that dies with this process; its exit code. A child that was killed, or went without a
    word, leaves a failed record; one that was told to end leaves the cell to whoever comes next.

    per_gpu: in a sweep, how many cells share one of the GPUs that this process sees; where: the child's folder.
    """
    folder = cell.run_dir(one)
    path = folder.with_suffix(".yaml") if overwrite else folder / "cell.yaml"
    cell.write({**one, "overwrite": overwrite}, path)
    packed = workers.gpu(per_gpu) if per_gpu and one["device"] == "cuda:0" else nullcontext("")
    with packed as gpu:
        child = subprocess.Popen(
            [sys.executable, "-m", "usbench.runner.experiment", str(path)],
            stdin=subprocess.PIPE,
            env=environment(one["threads"]) | ({"CUDA_VISIBLE_DEVICES": gpu} if gpu else {}),
            cwd=where,
        )
        code = waited(one, child)
    if code == INTERRUPTED:
        return code
    if code < 0:
        name = signal.Signals(-code).name
        how = f"was killed by {name}; the same command goes on from its last epoch"
        return gone(one, child.pid, how, failed=-code not in TOLD)
    if ledger.entry(one).state in ("missing", "stale"):
        return gone(one, child.pid, f"ended with exit code {code} and left no result")
    return code


def waited(one: cell.Cell, child: subprocess.Popen[bytes]) -> int:
    """The child's exit code, once it has ended; INTERRUPTED after Ctrl-C."""
    try:
        return child.wait()
    except KeyboardInterrupt:
        child.wait()
        return INTERRUPTED
    except (
        BaseException
    ):  # a cluster's signal: this job goes back into the queue, and comes up on another host maybe
        child.kill()
        child.wait()
        unclaimed(one, child.pid)
        raise


def unclaimed(one: cell.Cell, process: int) -> bool:
    """Take back the claim of a child that is gone; whether nobody else is at its cell."""
    path = claims.path_of(cell.run_dir(one))
    holder = claims.look(path)
    mine = holder is not None and holder.stale and holder.pid == process
    return claims.give_up(path, holder.token) if holder and mine else holder is None


def gone(one: cell.Cell, process: int, how: str, failed: bool = True) -> int:
    """Record that the child didn't come to an end, unless another process is at its cell by now. The exit code."""
    reason = f"the run's process {how}"
    warn(reason)
    if unclaimed(one, process) and failed:
        run.save_failure(one, reason)
    return 1


def environment(threads: int) -> dict[str, str]:
    """The child's: its thread count fixed before any library reads it, Hydra's debugging switch taken out.

    A waiting thread of libgomp spins for a moment, then sleeps. Ten times as long makes two threads on shared
    cores up to twice as slow (libgomp's default: worse), and sleeping at once costs a small net a fifth on free ones.
    """
    kept = {name: value for name, value in os.environ.items() if name != "HYDRA_FULL_ERROR"}
    return {
        "GOMP_SPINCOUNT": "1000",
        **kept,
        **dict.fromkeys(THREADS, str(threads)),
        run.PARENT: "1",
    }


def finished(one: cell.Cell) -> tuple[Path, dict[str, Any]] | None:
    """The record of the same key if the run is done; DataError where it is damaged."""
    path = results.find(
        Path(one["results"]),
        one["dataset"]["name"],
        one["task"],
        one["model"]["name"],
        one["seed"],
        one["run_id"],
    )
    if path is None:
        return None
    record = results.load(path)
    return (path, record) if record["status"] == "done" else None


def resumed_threads(one: cell.Cell) -> int:
    """The thread count of a run that was begun: it decides the last bits of the result, so it is kept."""
    path = cell.run_dir(one) / "cell.yaml"
    return int(cell.read(path)["threads"]) if path.is_file() else int(one["threads"])
