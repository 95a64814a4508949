"""How long training waits for MLflow while many runs log at once, and whether all of it arrives.

    python scripts/bench_tracking.py [--processes 16] [--epochs 4] [--epoch-seconds 15]
                                     [--record] [--json FILE]

Processes that sleep instead of training log five values after each epoch, all at once: on a fresh
SQLite folder, on an `mlflow server` with SQLite, and on one with PostgreSQL where Debian's package
and psycopg2 are installed. wait: what an epoch's calls of log take together, the median
and the worst; % is the worst's share of the epoch. lost: values that the store doesn't have in the
end.
"""

from __future__ import annotations

import multiprocessing
import os
import shlex
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from unittest.mock import patch

import psutil

from scripts.record import Ratio, make_bench_parser, make_record, parse_options, save_record
from usbench.cli.options import Options, add_numbers, run_verb
from usbench.errors import RunError
from usbench.io.console import say, table
from usbench.runner.tracking import mlflow_store
from usbench.runner.tracking.background import BackgroundTracker

NAMES = ("train/loss", "train/lr", "val/loss", "val/dice", "val/score")
EXPERIMENT = "usbench/bench-tracking"
PEERS = ("mlflow",)
START_S = 120  # a server's first start makes its tables
SERVER = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # quicker to start
    # A request holds one connection and asks for a second: fifteen at once empty a worker's pool
    # of 15 and wait 30 s for one another. A worker has 40 threads.
    "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "40",
}


@dataclass(frozen=True)
class Waits:
    """What one process measured, in seconds."""

    mlflow_id: str
    opened: float
    epochs: Sequence[float]  # of logging and flushing after each epoch
    finished: float


Figures = dict[str, float]  # the worst and median waits in seconds; numbers of values


# ---- the stores


def postgres_missing() -> str | None:
    """What PostgreSQL lacks to be started here."""
    if not (programs() / "initdb").is_file():
        return "PostgreSQL's programs aren't there (apt-get install postgresql)"
    return None if find_spec("psycopg2") else "psycopg2 isn't there (pip install psycopg2-binary)"


def programs() -> Path:
    """The folder of the newest PostgreSQL of Debian's packages."""
    top = Path("/usr/lib/postgresql")
    return max(top.glob("*/bin"), key=lambda path: int(path.parent.name), default=top)


@contextmanager
def postgres() -> Iterator[str]:
    """The address of a fresh PostgreSQL on a Unix socket; root runs it as the user postgres."""
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []

    def run_program(program: str, arguments: str) -> None:
        command = [*user, str(programs() / program), *shlex.split(arguments)]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=START_S)
        if done.returncode:
            reason = " ".join(done.stderr.split())
            raise RunError(f"{program}: {reason}; is PostgreSQL installed whole?")

    # A short name: a socket's path holds 107 letters.
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        if user:
            shutil.chown(folder, "postgres")
        data = f"-D {folder}/data"
        run_program("initdb", f"{data} -U usbench -A trust -E UTF8 --no-sync")
        socket_only = shlex.quote(f"-k {folder} -c listen_addresses=''")
        run_program("pg_ctl", f"{data} -w -l {folder}/log -o {socket_only} start")
        try:
            run_program("createdb", f"-h {folder} -U usbench mlflow")
            yield f"postgresql+psycopg2://usbench@/mlflow?host={folder}"
        finally:
            run_program("pg_ctl", f"{data} -w -m immediate stop")


@contextmanager
def server(folder: Path, store: str) -> Iterator[str]:
    """An `mlflow server` on a free port of loopback; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri, log = f"http://127.0.0.1:{port}", folder / "server.log"
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--workers", "2"),
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--backend-store-uri", store, "--artifacts-destination", str(folder / "files")),
    ]
    environment = {**os.environ, **mlflow_store.QUIET, **SERVER}
    with log.open("w") as lines:
        process = psutil.Popen(command, stdout=lines, stderr=lines, cwd=folder, env=environment)
    try:
        wait_for(uri, process, log)
        yield uri
    finally:
        family = [*process.children(recursive=True), process]
        for member in family:
            member.kill()
        psutil.wait_procs(family, timeout=20)


def wait_for(uri: str, process: psutil.Popen, log: Path) -> None:
    """Until the server answers; RunError where it ends or START_S go by."""
    end = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"{uri}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise RunError(f"mlflow server didn't start: {log.read_text()[-300:]!r}")


# ---- the load


def run(number: int, runs: Path, options: Options, barrier: Barrier, results: Queue[Waits]) -> None:
    """One process: a run that sleeps through its epochs; puts what it measured."""
    run_id, start = f"{number:012d}", time.perf_counter()
    folder = runs / run_id
    folder.mkdir(parents=True)
    tracker = mlflow_store.open_tracker(
        runs=runs,
        config=None,
        experiment=EXPERIMENT,
        name=run_id,
        run_id=run_id,
        params={"seed": number},
        tags={},
    )
    mlflow_id, waiting = tracker.run_id, BackgroundTracker(tracker, folder)
    opened = time.perf_counter() - start
    barrier.wait()
    waits = []
    for epoch in range(1, options.epochs + 1):
        time.sleep(options.epoch_seconds)
        start = time.perf_counter()
        for n, name in enumerate(NAMES):
            waiting.log(name, number + n / 8, epoch)
        waits.append(time.perf_counter() - start)
    start = time.perf_counter()
    waiting.finish("FINISHED", None)
    results.put(Waits(mlflow_id, opened, waits, time.perf_counter() - start))


def load(runs: Path, options: Options) -> Figures:
    """All processes on the store that is set, and what they measured."""
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401  (once, before the processes part)

    fork = multiprocessing.get_context("fork")
    barrier, results = fork.Barrier(options.processes), fork.Queue()
    processes = []
    for number in range(options.processes):
        processes.append(fork.Process(target=run, args=(number, runs, options, barrier, results)))
        processes[-1].start()
    measured: list[Waits] = []
    while len(measured) < len(processes):
        if any(process.exitcode for process in processes):
            raise RunError("a process of the benchmark failed; its line above says why")
        if not results.empty():
            measured.append(results.get())
        time.sleep(0.05)
    for process in processes:
        process.join()
    return summarise(measured, runs, options.epoch_seconds)


def summarise(measured: Sequence[Waits], runs: Path, epoch_seconds: float) -> Figures:
    """The worst and median waits of all processes, and how many values arrived or are lost."""
    client, _ = mlflow_store.connect(runs)
    arrived, waits = 0, list[float]()
    for process in measured:
        waits += process.epochs
        for name in NAMES:
            arrived += len(client.get_metric_history(process.mlflow_id, name))
    return {
        "open_max": max(process.opened for process in measured),
        "wait_median": statistics.median(waits),
        "wait_max": max(waits),
        "share_max": max(waits) / epoch_seconds,
        "finish_max": max(process.finished for process in measured),
        "values": arrived,
        "lost": len(waits) * len(NAMES) - arrived,
    }


def load_store(kind: str, options: Options) -> Figures:
    """The load on a fresh store of a kind."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="usbench-")))
        store = f"sqlite:///{folder}/server.db"
        if kind == "server, PostgreSQL":
            store = stack.enter_context(postgres())
        stack.enter_context(patch.dict(os.environ))  # as it was, in the end
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        if kind != "SQLite folder":
            os.environ["MLFLOW_TRACKING_URI"] = stack.enter_context(server(folder, store))
        return load(folder / "runs", options)


def bench(options: Options) -> None:
    """Measure, show, write."""
    kinds = ["SQLite folder", "server, SQLite"]
    if reason := postgres_missing():
        say(f"without PostgreSQL: {reason}")
    else:
        kinds.append("server, PostgreSQL")
    stores = {kind: load_store(kind, options) for kind in kinds}
    rows = []
    for kind, row in stores.items():
        rows.append(
            [
                kind,
                f"{1000 * row['wait_median']:.2f}",
                f"{1000 * row['wait_max']:.2f}",
                f"{100 * row['share_max']:.3f}",
                f"{row['open_max']:.1f}",
                f"{row['finish_max']:.1f}",
                f"{row['lost']}",
            ]
        )
    title = f"{options.processes} processes, {options.epochs} epochs of {options.epoch_seconds:g} s"
    table(title, ["store", "wait, ms", "worst", "%", "open, s", "finish, s", "lost"], rows)
    measured = f"an epoch's wait for MLflow, the worst of {options.processes} processes"
    epoch = f"the epoch of {options.epoch_seconds:g} s"
    ratios = [
        Ratio(f"{measured}, {kind}", epoch, 1 / row["share_max"]) for kind, row in stores.items()
    ]
    save_record(options, make_record("bench_tracking", options, ratios, stores, PEERS))


def main(argv: list[str] | None = None) -> int:
    """The command; its exit code: 0, 1 where a store can't be started."""
    parser = make_bench_parser(__doc__)
    add_numbers(parser, processes=16, epochs=4)
    parser.add_argument("--epoch-seconds", type=float, default=15, help="default: %(default)s")
    return run_verb(bench, parse_options(parser, argv))


if __name__ == "__main__":
    raise SystemExit(main())
