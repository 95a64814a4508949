"""A sweep that is disturbed and repeated until it is done gives what an undisturbed one does."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.helpers import clusters, lab
from usbench.errors import UsbenchError
from usbench.io.console import say
from usbench.results import store as results
from usbench.results.result import Result

SEEDS = 24
WORDS = ("-m", "model=works", f"seed=range(0,{SEEDS})", "retry_failed=true", "tracking=mlflow")
RECIPE = ("++model.recipes.quick.epochs=6", "++model.recipes.quick.seconds=0.25")
LAUNCHERS = {
    "joblib": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=3"),
    "slurm": ("hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=1"),
}
ROUNDS = 40  # of the one command, at most
KILLS = 12  # of children, and two of the whole command


def published(folder: Path) -> dict[str, Any]:
    """What each run came to, whatever it took."""
    by_run_id = {}
    for result in [
        result.to_json() for result in results.load_results(folder / "results", phantom=True)
    ]:
        path = results.result_path(folder / "results", Result.from_json(result))
        assert result["status"] == "done" and results.load_cases(path)
        by_run_id[result["run_id"]] = {
            name: result[name] for name in ("seed", "predictions", "scores", "cases_sha256")
        }
    return by_run_id


class Trouble:
    """What happens to a sweep while it runs: `go` until nothing is left to happen."""

    def __init__(self, folder: Path, tracking: Callable[[], None]) -> None:
        self.folder, self.tracking, self.counts = folder, tracking, Counter[str]()
        self.random, self.over = random.Random(7), threading.Event()
        self.command: subprocess.Popen[bytes] | None = None
        self.inodes: dict[Path, set[int]] = {}
        self.ours: set[Path] = set()  # records that were corrupted here
        acts = [self.kill_child] * KILLS + [self.kill_command] * 2
        acts += [self.kill_tracking, self.fill, self.corrupt_checkpoint, self.corrupt_result]
        self.random.shuffle(acts)
        self.acts = acts

    def go(self) -> None:
        """Something every second or so, of what can happen now, and a look at what is published."""
        while not self.over.wait(self.random.uniform(0.4, 1.6)):
            self.look()
            for act in self.acts:
                if act():
                    self.acts.remove(act)
                    break

    def look(self) -> None:
        """Every inode that a finished result had: two mean that it was published twice."""
        for path in (self.folder / "results").rglob("*.json"):
            with suppress(UsbenchError, OSError):
                if path not in self.ours and results.load_result(path).is_done:
                    self.inodes.setdefault(path, set()).add(path.stat().st_ino)

    def children(self) -> list[psutil.Process]:
        """The processes that run runs of this sweep."""
        processes = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                line = process.cmdline()
                if "usbench.runner" in line and any(str(self.folder) in word for word in line):
                    processes.append(process)
        return processes

    def kill_child(self) -> bool:
        if not (running := self.children()):
            return False
        with suppress(psutil.NoSuchProcess):
            self.random.choice(running).kill()
            self.counts["kills of runs"] += 1
        return True

    def kill_command(self) -> bool:
        command = self.command
        if command is None or command.poll() is not None or not self.children():
            return False
        os.killpg(command.pid, signal.SIGKILL)
        self.counts["kills of the command"] += 1
        return True

    def kill_tracking(self) -> bool:
        if not self.children():
            return False
        self.tracking()
        self.counts["kills of the tracking server"] += 1
        return True

    def fill(self) -> bool:
        """No space left on the small disk of the run folders, for a while."""
        if not os.path.ismount(self.folder / "runs") or not self.children():
            return False
        big = self.folder / "runs" / "filled"
        with suppress(OSError), big.open("wb") as file:
            while True:
                file.write(bytes(1 << 16))
        time.sleep(3)
        big.unlink()
        self.counts["full disks"] += 1
        return True

    def corrupt_checkpoint(self) -> bool:
        for path in sorted((self.folder / "runs").glob("*/checkpoint-*.pt"), reverse=True):
            if (path.parent / "predictions-test.json").exists() or not (
                running := self.of(path.parent)
            ):
                continue
            running.kill()
            path.write_bytes(path.read_bytes()[:100])
            self.counts["corrupted checkpoints"] += 1
            return True
        return False

    def of(self, run: Path) -> psutil.Process | None:
        return next(
            (p for p in self.children() if any(run.name in word for word in p.cmdline())), None
        )

    def corrupt_result(self) -> bool:
        for path in sorted((self.folder / "results").rglob("*.json")):
            with suppress(UsbenchError):
                if results.load_result(path).is_done:
                    path.write_bytes(path.read_bytes()[:100])
                    self.ours.add(path)
                    self.counts["corrupted results"] += 1
                    return True
        return False


@contextmanager
def small_disk(path: Path) -> Iterator[None]:
    """A tmpfs of 64 MB there, if this user may mount one."""
    path.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "usbench", str(path)], capture_output=True
    )
    try:
        yield
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", "-l", str(path)], check=True)


class Tracking:
    """An MLflow server that can be killed and comes back."""

    def __init__(self, folder: Path) -> None:
        self.folder, (self.port,) = folder, clusters.free_ports(1)
        self.uri = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        store = [
            "--backend-store-uri",
            f"sqlite:///{self.folder}/server.db",
            "--artifacts-destination",
            str(self.folder),
        ]
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--port",
            str(self.port),
            "--workers",
            "1",
            *store,
        ]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )

    def kill(self) -> None:
        self.stop()
        self.start()

    def stop(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


def repeat(folder: Path, command: list[str], environment: dict[str, str], trouble: Trouble) -> int:
    """The one command until it is done; how often."""
    for n in range(1, ROUNDS + 1):
        with (folder / f"round-{n}.txt").open("wb") as out:
            trouble.command = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=out, stderr=out, start_new_session=True
            )
            code = trouble.command.wait(600)
        clusters.until(lambda: not trouble.children(), 60)  # of a command that was killed
        if code == 0 and trouble.corrupt_result not in trouble.acts:
            return n
        assert code in (0, 1, -signal.SIGKILL), (folder / f"round-{n}.txt").read_text()[-3000:]
    raise AssertionError(
        f"not done after {ROUNDS} times: {(folder / f'round-{ROUNDS}.txt').read_text()[-3000:]}"
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, Any]:
    """What a sweep comes to that nothing happens to."""
    folder = lab.make(tmp_path_factory.mktemp("quiet"))
    code, _, err = lab.usbench(folder, *WORDS, *LAUNCHERS["joblib"], *RECIPE, "tracking=none")
    assert code == 0, err
    return published(folder)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_the_one_command_gives_what_an_undisturbed_sweep_does(tmp_path, undisturbed, launcher):
    if launcher == "slurm" and (why := clusters.slurm_is_missing()):
        pytest.skip(why)
    folder = lab.make(tmp_path / "sweep")
    command = lab.command(*WORDS, *LAUNCHERS[launcher], *RECIPE)
    command.remove("tracking=none")
    (tmp_path / "mlflow").mkdir()
    server = Tracking(tmp_path / "mlflow")
    trouble = Trouble(folder, server.kill)
    thread = threading.Thread(target=trouble.go, daemon=True)
    with (
        small_disk(folder / "runs"),
        clusters.slurm() if launcher == "slurm" else clusters.cluster() as cluster,
    ):
        environment = {**os.environ, **cluster.environment, "MLFLOW_TRACKING_URI": server.uri}
        thread.start()
        try:
            rounds = repeat(folder, command, environment, trouble)
        finally:
            trouble.over.set()
            thread.join()
            server.stop()
        lost = len(list((folder / "runs").rglob("lost-*.json")))
    trouble.look()
    results_now = published(folder)
    twice = [
        path
        for path, inodes in trouble.inodes.items()
        if len(inodes) > 1 and path not in trouble.ours
    ]
    counts = {
        "commands": rounds,
        **trouble.counts,
        "runs lost": SEEDS - len(results_now),
        "results published twice": len(twice),
    }
    say(
        f"{launcher}: {SEEDS} runs; "
        + ", ".join(f"{what} {n}" for what, n in {**counts, "work done twice": lost}.items())
    )
    assert results_now == undisturbed and len(results_now) == SEEDS and not twice
    assert trouble.counts["kills of runs"] >= KILLS / 2 and trouble.counts["corrupted results"] == 1
