"""How long training waits for MLflow while many runs log at once, and whether all of it arrives.

    python scripts/bench_tracking.py [--processes 16] [--epochs 4] [--epoch-seconds 15]
                                     [--json FILE]

Processes that sleep instead of training log five values after each epoch, all at once: on a fresh
SQLite folder, on an `mlflow server` with SQLite, and on one with PostgreSQL where Debian's package
and psycopg2 are installed. wait: what an epoch's calls of log and flush take together, the median
and the worst; % is the worst's share of the epoch. lost: values that the store doesn't have in the
end.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
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
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
from usbench.cli.overrides import exit_code

from usbench.errors import RunError
from usbench.io.console import say, table
from usbench.io.files import replacing
from usbench.runner.tracking import mlflow_store as track
from usbench.runner.tracking.background import in_background

NAMES = ("train/loss", "train/lr", "val/loss", "val/dice", "val/score")
EXPERIMENT = "usbench/bench-tracking"
START_S = 120  # a server's first start makes its tables
SERVER = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # quicker to start
    # A request holds one connection and asks for a second: fifteen at once empty a worker's pool
    # of 15 and wait 30 s.
    # for one another. A worker has 40 threads
    "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "40",
}


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--processes", type=int, default=16, metavar="N", help="default: %(default)s"
    )
    parser.add_argument("--epochs", type=int, default=4, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--epoch-seconds", type=float, default=15, metavar="S", help="default: %(default)s"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON too")
    return parser.parse_args(argv)


# ---- the stores


def postgres_missing() -> str | None:
    """What PostgreSQL lacks to be started here."""
    if not (programs() / "initdb").is_file():
        return "PostgreSQL's programs aren't there (apt-get install postgresql)"
    return None if find_spec("psycopg2") else "psycopg2 isn't there (pip install psycopg2-binary)"


def programs() -> Path:
    """The folder of the newest PostgreSQL of Debian's packages."""
    found = Path("/usr/lib/postgresql").glob("*/bin")
    return max(found, key=lambda path: int(path.parent.name), default=Path("/usr/lib/postgresql"))


@contextmanager
def postgres() -> Iterator[str]:
    """The address of a fresh PostgreSQL on a Unix socket; root runs it as the user postgres."""
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(
        prefix="pg-"
    ) as folder:  # short: a socket's path holds 107 letters
        if user:
            shutil.chown(folder, "postgres")

        def do(program: str, *words: str) -> None:
            command = [*user, str(programs() / program), *words]
            done = subprocess.run(
                command, cwd="/", capture_output=True, text=True, timeout=START_S, check=False
            )
            if done.returncode:
                raise RunError(
                    f"{program}: {' '.join(done.stderr.split())}; is PostgreSQL installed whole?"
                )

        do(
            "initdb",
            "-D",
            f"{folder}/data",
            "-U",
            "usbench",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
        )
        socket_only = f"-k {folder} -c listen_addresses=''"
        do(
            "pg_ctl",
            "-D",
            f"{folder}/data",
            "-w",
            "-l",
            f"{folder}/log",
            "-o",
            socket_only,
            "start",
        )
        try:
            do("createdb", "-h", folder, "-U", "usbench", "mlflow")
            yield f"postgresql+psycopg2://usbench@/mlflow?host={folder}"
        finally:
            do("pg_ctl", "-D", f"{folder}/data", "-w", "-m", "immediate", "stop")


@contextmanager
def server(folder: Path, store: str) -> Iterator[str]:
    """An `mlflow server` on a free port of loopback; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri, log = f"http://127.0.0.1:{port}", folder / "server.log"
    place = [
        "--artifacts-destination",
        str(folder / "files"),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        store,
        *place,
        "--workers",
        "2",
    ]
    with log.open("w") as lines:
        process = psutil.Popen(
            command,
            stdout=lines,
            stderr=lines,
            cwd=folder,
            env={**os.environ, **track.QUIET, **SERVER},
        )
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

# MLflow's run id; seconds to open, waited after each epoch, and to finish
Waits = tuple[str, float, list[float], float]


def run(number: int, runs: Path, options: argparse.Namespace, barrier: Any, results: Any) -> None:
    """One process: a run that sleeps through its epochs; puts what it measured."""
    key, begun = f"{number:012d}", time.perf_counter()
    folder = runs / key
    folder.mkdir(parents=True)
    named: dict[str, Any] = {
        "experiment": EXPERIMENT,
        "name": key,
        "key": key,
        "params": {"seed": number},
        "tags": {},
    }
    tracker = track.open_tracker("mlflow", runs=runs, config=None, **named)
    assert isinstance(tracker, track.MlflowTracker)
    run_id, waited = tracker.run_id, in_background(tracker, folder)
    opened = time.perf_counter() - begun
    barrier.wait()
    waits = []
    for epoch in range(1, options.epochs + 1):
        time.sleep(options.epoch_seconds)
        begun = time.perf_counter()
        for n, name in enumerate(NAMES):
            waited.log(name, number + n / 8, epoch)
        waited.flush()
        waits.append(time.perf_counter() - begun)
    begun = time.perf_counter()
    waited.finish("FINISHED", None)
    results.put((run_id, opened, waits, time.perf_counter() - begun))


def load(runs: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All processes on the store that is set, and what they measured."""
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401  (once, before the processes part)

    fork = multiprocessing.get_context("fork")
    barrier, results = fork.Barrier(options.processes), fork.Queue()
    processes = [
        fork.Process(target=run, args=(n, runs, options, barrier, results))
        for n in range(options.processes)
    ]
    for process in processes:
        process.start()
    measured: list[Waits] = []
    while len(measured) < len(processes):
        if any(process.exitcode for process in processes):
            raise RunError("a process of the benchmark failed; its line above says why")
        if not results.empty():
            measured.append(results.get())
        time.sleep(0.05)
    for process in processes:
        process.join()
    return figures(measured, runs, options.epoch_seconds)


def figures(measured: Sequence[Waits], runs: Path, epoch_seconds: float) -> dict[str, Any]:
    """The worst and median wait of all processes in seconds; how many values arrived or are lost."""
    waits = [wait for _, _, waits, _ in measured for wait in waits]
    client, _ = track.connect(runs)
    there = sum(
        len(client.get_metric_history(run_id, name)) for run_id, *_ in measured for name in NAMES
    )
    return {
        "open_max": max(opened for _, opened, _, _ in measured),
        "wait_median": statistics.median(waits),
        "wait_max": max(waits),
        "share_max": max(waits) / epoch_seconds,
        "finish_max": max(finished for *_, finished in measured),
        "values": there,
        "lost": len(waits) * len(NAMES) - there,
    }


def on_store(kind: str, options: argparse.Namespace) -> dict[str, Any]:
    """The load on a fresh store of a kind."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="usbench-")))
        uri = None
        if kind != "SQLite folder":
            store = (
                f"sqlite:///{folder}/server.db"
                if kind == "server, SQLite"
                else stack.enter_context(postgres())
            )
            uri = stack.enter_context(server(folder, store))
        stack.enter_context(environment(uri))
        return load(folder / "runs", options)


@contextmanager
def environment(uri: str | None) -> Iterator[None]:
    """MLFLOW_TRACKING_URI for a while; None: not set."""
    before = os.environ.pop("MLFLOW_TRACKING_URI", None)
    if uri:
        os.environ["MLFLOW_TRACKING_URI"] = uri
    try:
        yield
    finally:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        if before:
            os.environ["MLFLOW_TRACKING_URI"] = before


def bench(options: argparse.Namespace) -> int:
    """Measure, show, write; the exit code."""
    kinds = ["SQLite folder", "server, SQLite"]
    if reason := postgres_missing():
        say(f"without PostgreSQL: {reason}")
    else:
        kinds.append("server, PostgreSQL")
    found = {kind: on_store(kind, options) for kind in kinds}
    rows = [
        [
            kind,
            f"{1000 * one['wait_median']:.2f}",
            f"{1000 * one['wait_max']:.2f}",
            f"{100 * one['share_max']:.3f}",
            f"{one['open_max']:.1f}",
            f"{one['finish_max']:.1f}",
            f"{one['lost']}",
        ]
        for kind, one in found.items()
    ]
    title = f"{options.processes} processes, {options.epochs} epochs of {options.epoch_seconds:g} s"
    table(title, ["store", "wait, ms", "worst", "%", "open, s", "finish, s", "lost"], rows)
    if options.json:
        with replacing(options.json) as part:
            part.write_text(
                json.dumps({**vars(options), "json": None, "stores": found}, indent=1) + "\n"
            )
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit code: 0, 1 where a store can't be started."""
    options = arguments(argv)
    return exit_code(lambda: bench(options))


if __name__ == "__main__":
    raise SystemExit(main())
