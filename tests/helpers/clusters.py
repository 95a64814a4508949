"""Real clusters on this host, for tests of launchers: Slurm with one node, Ray with two. Nothing of them stays behind.

Every process of a cluster, and of its jobs, inherits a mark in its environment; what bears it at the end is killed.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

MARK, NODE = "USBENCH_TEST_CLUSTER", "USBENCH_TEST_NODE"
RAY = str(Path(sys.executable).with_name("ray"))
SLURM_PROGRAMS = (
    "munged",
    "slurmctld",
    "slurmd",
    "sbatch",
    "srun",
    "scontrol",
    "squeue",
    "scancel",
)
CPUS = 4  # that the Slurm node says it has, whatever the host has: a cell of a lab takes one
SLURM_CONF = """
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
MpiDefault=none
KillWait=3
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=100000 State=UNKNOWN
PartitionName=lab Nodes=ALL Default=YES State=UP
"""


def plugin(name: str) -> pytest.MarkDecorator:
    """Skip where one of Hydra's launchers isn't installed."""
    module = f"hydra_plugins.hydra_{name}_launcher"
    return pytest.mark.skipif(
        not importlib.util.find_spec(module), reason=f"hydra-{name}-launcher isn't installed"
    )


@dataclass
class Cluster:
    """A running cluster: its folder, what a command's environment needs to find it, its daemons."""

    folder: Path
    environment: dict[str, str]
    daemons: list[subprocess.Popen[Any]] = field(default_factory=list)

    def start(self, *words: str) -> subprocess.Popen[Any]:
        """A daemon in the foreground; its output beside the others'."""
        with (self.folder / f"{Path(words[0]).name}-{len(self.daemons)}.out").open("w") as out:
            whole = {**os.environ, **self.environment}
            process = subprocess.Popen(
                words, env=whole, stdout=out, stderr=out, stdin=subprocess.DEVNULL
            )
        self.daemons.append(process)
        return process

    def ask(self, *words: str) -> str:
        """The answer of one of the cluster's commands, "" where it fails."""
        whole = {**os.environ, **self.environment}
        done = subprocess.run(words, env=whole, capture_output=True, text=True, timeout=60)
        return done.stdout.strip() if done.returncode == 0 else ""

    @contextmanager
    def only(self, more: dict[str, str]) -> Iterator[None]:
        """Daemons started within bear a further mark."""
        before, self.environment = self.environment, self.environment | more
        yield
        self.environment = before

    def told(self) -> str:
        """Every log, for a test that fails."""
        logs = [*self.folder.glob("*.out"), *self.folder.glob("*.log")]
        return "\n".join(f"{path.name}: {path.read_text()}" for path in logs)


def until(condition: Callable[[], Any], seconds: float, words: Callable[[], str] = str) -> None:
    """Wait; AssertionError with the words after some seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {seconds:.0f} s: {words()}"
        time.sleep(0.05)


def free_ports(number: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def marked(marks: Mapping[str, str]) -> list[psutil.Process]:
    """The processes whose environment bears all of these marks."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if marks.items() <= process.environ().items():
                found.append(process)
    return found


def kill(marks: Mapping[str, str]) -> None:
    """Kill the processes with these marks, and what they start meanwhile, as a power cut would."""
    end = time.monotonic() + 20
    while left := marked(marks):
        assert time.monotonic() < end, left
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=1)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A folder and an environment for daemons, all of which are gone at the end."""
    marks = {MARK: secrets.token_hex(8)}
    made = Cluster(Path(tempfile.mkdtemp(prefix="usbench-")), dict(marks))
    try:
        yield made
    finally:
        for process in reversed(made.daemons):
            process.terminate()
        psutil.wait_procs(marked(marks), timeout=3)
        kill(marks)
        for process in made.daemons:
            process.wait(10)
        shutil.rmtree(made.folder, ignore_errors=True)


def slurm_is_missing() -> str:
    """Why no Slurm can be started here; "" where one can."""
    missing = [
        name
        for name in SLURM_PROGRAMS
        if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    ]
    if missing:
        return f"Slurm isn't installed (Debian: slurm-wlm, munge): no {', '.join(missing)}"
    return "" if os.geteuid() == 0 else "slurmd has to be started by root"


@contextmanager
def slurm() -> Iterator[Cluster]:
    """Slurm with one node of four CPUs, on this host."""
    with cluster() as made:
        folder, host = made.folder, socket.gethostname().split(".")[0]
        for name in ("state", "spool"):
            (folder / name).mkdir()
        key, conf = folder / "munge.key", folder / "slurm.conf"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        conf.write_text(SLURM_CONF.format(host=host, ports=free_ports(2), folder=folder, cpus=CPUS))
        made.environment |= {"SLURM_CONF": str(conf), "PATH": f"{os.environ['PATH']}:/usr/sbin"}
        files = [
            f"--{name}={folder}/munge.{name.partition('-')[0]}"
            for name in ("socket", "pid-file", "log-file")
        ]
        made.start(
            which("munged"),
            "--foreground",
            "--force",
            f"--key-file={key}",
            f"--seed-file={folder}/seed",
            *files,
        )
        until(lambda: (folder / "munge.socket").exists(), 20, made.told)
        made.start(which("slurmctld"), "-D", "-c")
        made.start(which("slurmd"), "-D")
        until(lambda: made.ask("sinfo", "-h", "-o", "%T") == "idle", 40, made.told)
        try:
            yield made
        finally:  # the steps' own daemons bear no mark: they end with their jobs
            until(lambda: no_jobs(made), 30, made.told)


def no_jobs(made: Cluster) -> bool:
    """Cancel every job; whether none is left."""
    made.ask("scancel", "--state=PENDING")
    made.ask("scancel", "--state=RUNNING")
    return not made.ask("squeue", "-h")


def which(name: str) -> str:
    """A daemon's path: they lie beside the administrator's programs."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    assert found, name
    return found


@contextmanager
def ray(environment: Mapping[str, str]) -> Iterator[Cluster]:
    """Ray with a head and a second node of one CPU each, on loopback. environment: what its tasks find in theirs."""
    with cluster() as made:
        port = free_ports(1)[0]
        made.environment |= {
            **environment,
            "RAY_ADDRESS": f"127.0.0.1:{port}",
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        (made.folder / "token").write_text(
            secrets.token_hex(32)
        )  # its own: the user may have one, or none
        made.environment |= {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(made.folder / "token"),
        }
        small = (
            "--num-cpus=1",
            "--num-gpus=0",
            "--object-store-memory=80000000",
            "--node-ip-address=127.0.0.1",
            "--block",
        )
        folder = f"--temp-dir={made.folder}/ray"
        made.start(
            RAY, "start", "--head", f"--port={port}", "--include-dashboard=false", folder, *small
        )
        until(lambda: "Ray runtime started" in made.told(), 90, made.told)
        with made.only({NODE: "2"}):
            made.start(RAY, "start", f"--address=127.0.0.1:{port}", *small)
        until(lambda: made.told().count("Ray runtime started") == 2, 90, made.told)
        yield made
