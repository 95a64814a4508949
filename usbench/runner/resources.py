"""How much of which machine a cell of a sweep gets: by the launcher's own configuration, settled when it is planned."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from usbench.errors import RunError
from usbench.runner import machine


@dataclass(frozen=True)
class Room:
    """places: cells at once; threads: of each; remote: where and on which GPUs is the launcher's affair; gpus: that
    each is given there; per_gpu: cells that share a GPU here, 0 where the launcher hands them out."""

    places: int = 1
    threads: int = 1
    remote: bool = False
    gpus: float = 0
    per_gpu: int = 1


def room(launcher: Mapping[str, Any]) -> Room:
    """What a launcher's configuration says: basic, joblib, submitit (Slurm or local) or Ray."""
    kind, cores = str(launcher["_target_"]).rsplit(".", 1)[-1], machine.cores()
    if kind == "SlurmLauncher":
        return of_slurm(launcher)
    if kind == "RayLauncher":
        return of_ray(launcher["ray"], cores)
    if (
        kind == "LocalLauncher"
    ):  # submitit's without Slurm: all cells at once, and it says which GPUs they see
        threads = int(launcher.get("cpus_per_task") or 1)
        return Room(
            max(1, cores // threads), threads, True, launcher.get("gpus_per_node") or 0, per_gpu=0
        )
    places = parallel(int(launcher.get("n_jobs") or 1), cores)
    gpus = len(machine.cuda_capabilities())
    return Room(places, max(1, cores // places), per_gpu=-(-places // gpus) if gpus else 1)


def parallel(n_jobs: int, cores: int) -> int:
    """joblib's n_jobs as a number of processes: -1 is one per core, -2 leaves a core free."""
    return n_jobs if n_jobs > 0 else max(1, cores + 1 + n_jobs)


def of_slurm(launcher: Mapping[str, Any]) -> Room:
    """submitit's: a job per cell, an array of them."""
    gpus = (
        launcher.get("gpus_per_node")
        or launcher.get("gpus_per_task")
        or of_gres(str(launcher.get("gres") or ""))
    )
    threads = launcher.get("cpus_per_task") or int(launcher.get("cpus_per_gpu") or 0) * gpus or 1
    return Room(int(launcher.get("array_parallelism") or 1), int(threads), True, gpus, per_gpu=0)


def of_gres(gres: str) -> int:
    """The GPUs of Slurm's generic resources: gpu, gpu:2, gpu:a100:2, among others behind commas."""
    found = [word.removeprefix("gres:").split(":") for word in gres.split(",")]
    return sum(int(parts[-1]) if parts[-1].isdigit() else 1 for parts in found if parts[0] == "gpu")


def of_ray(given: Mapping[str, Any], cores: int) -> Room:
    """Ray's: a task per cell. How many fit on a cluster that runs already can't be seen from here."""
    start, remote = given.get("init") or {}, given.get("remote") or {}
    threads = max(1, int(1 if (cpus := remote.get("num_cpus")) is None else cpus))
    here = 0 if start.get("address") else int(start.get("num_cpus") or cores)
    return Room(max(1, here // threads), threads, True, remote.get("num_gpus") or 0, per_gpu=0)


@contextmanager
def gpu(per_gpu: int) -> Iterator[str]:
    """The number of a visible GPU on which fewer than per_gpu cells of this user run, as CUDA_VISIBLE_DEVICES wants it.

    RunError where all are taken: more cells were started at once than were planned.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    numbers = (
        visible.split(",")
        if visible is not None
        else [str(n) for n in range(len(machine.cuda_capabilities()))]
    )
    with slot([number for number in numbers if number], per_gpu) as number:
        yield number


@contextmanager
def slot(numbers: Sequence[str], each: int) -> Iterator[str]:
    """One of several numbers that fewer than `each` holders on this host have, the emptiest first."""
    folder = (
        Path(tempfile.gettempdir())
        / f"usbench-gpus-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    )
    folder.mkdir(exist_ok=True)
    with ExitStack() as stack:
        for place in range(each):
            for number in numbers:
                try:
                    stack.enter_context(
                        FileLock(folder / f"{number.replace('/', '_')}-{place}.lock", timeout=0)
                    )
                except Timeout:
                    continue
                yield number
                return
        raise RunError(
            f"GPUs {', '.join(numbers)}: one with less than {each} cells was wanted, found none"
        )
