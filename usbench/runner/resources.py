"""How much of which machine a run of a sweep gets, by the launcher's configuration."""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from usbench.io.config import Composed
from usbench.io.console import say
from usbench.io.cores import count_cores
from usbench.runner import machine

LOOK_S = 1.0  # between two looks for a free GPU


@dataclass(frozen=True)
class Resources:
    """What each run of a sweep gets."""

    places: int = 1  # runs at once
    threads: int = 1  # of each run
    remote: bool = False  # the launcher decides where, and on which GPUs
    gpus: float = 0  # given to each run by a remote launcher
    per_gpu: int = 1  # runs that share one of our GPUs; 0: the launcher hands GPUs out


def launcher_resources(launcher: Composed) -> Resources:
    """What a launcher's configuration gives: basic, joblib, submitit (Slurm or local) or Ray."""
    kind, cores = str(launcher["_target_"]).rsplit(".", 1)[-1], count_cores()
    if kind == "SlurmLauncher":
        return slurm_resources(launcher)
    if kind == "RayLauncher":
        return ray_resources(launcher["ray"], cores)
    if kind == "LocalLauncher":  # submitit's: all runs at once, and it says which GPUs they see
        threads = int(launcher.get("cpus_per_task") or 1)
        gpus = launcher.get("gpus_per_node") or 0
        return Resources(max(1, cores // threads), threads, True, gpus, per_gpu=0)
    n_jobs = int(launcher.get("n_jobs") or 1)  # joblib's: -1 is one per core, -2 leaves one free
    places = n_jobs if n_jobs > 0 else max(1, cores + 1 + n_jobs)
    gpus = machine.count_gpus()
    per_gpu = -(-places // gpus) if gpus else 1  # rounded up
    return Resources(places, max(1, cores // places), per_gpu=per_gpu)


def slurm_resources(launcher: Composed) -> Resources:
    """submitit's Slurm: a job per run, an array of them."""
    gpus = (
        launcher.get("gpus_per_node")
        or launcher.get("gpus_per_task")
        or count_gres_gpus(str(launcher.get("gres") or ""))
    )
    threads = launcher.get("cpus_per_task") or int(launcher.get("cpus_per_gpu") or 0) * gpus or 1
    return Resources(
        int(launcher.get("array_parallelism") or 1), int(threads), True, gpus, per_gpu=0
    )


def count_gres_gpus(gres: str) -> int:
    """The GPUs in Slurm's generic resources: gpu, gpu:2, gpu:a100:2, separated by commas."""
    count = 0
    for entry in gres.split(","):
        kind, *rest = entry.removeprefix("gres:").split(":")
        if kind == "gpu":
            count += int(rest[-1]) if rest and rest[-1].isdigit() else 1
    return count


def ray_resources(ray: Composed, cores: int) -> Resources:
    """Ray's: a task per run. How many fit on a running cluster can't be seen from here."""
    start, remote = ray.get("init") or {}, ray.get("remote") or {}
    threads = max(1, int(remote.get("num_cpus") or 1))
    cores_here = 0 if start.get("address") else int(start.get("num_cpus") or cores)
    return Resources(
        max(1, cores_here // threads), threads, True, remote.get("num_gpus") or 0, per_gpu=0
    )


def visible_gpus() -> list[str]:
    """The numbers of the GPUs that this process sees, as CUDA_VISIBLE_DEVICES takes them.

    CUDA stops reading that variable at the first entry that names no GPU.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return [str(n) for n in range(machine.count_gpus())]
    entries = (entry.strip() for entry in visible.split(","))
    return list(itertools.takewhile(lambda entry: entry not in ("", "-1"), entries))


@contextmanager
def reserve_slot(numbers: Sequence[str], per_number: int) -> Iterator[str]:
    """Reserve the GPU with the fewest runs of this user on this host; wait until one is free.

    Args:
        numbers: of the GPUs, see `visible_gpus`.
        per_number: how many runs share one.

    Yields:
        The GPU's number.
    """
    user = str(os.getuid()) if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"usbench-gpus-{user}"
    folder.mkdir(exist_ok=True)
    with ExitStack() as stack:
        number = take_slot(stack, folder, numbers, per_number)
        if number is None:
            say(f"waiting for a GPU: {', '.join(numbers)} run {per_number} each already")
        while number is None:
            time.sleep(LOOK_S)
            number = take_slot(stack, folder, numbers, per_number)
        yield number


def take_slot(
    stack: ExitStack, folder: Path, numbers: Sequence[str], per_number: int
) -> str | None:
    """Lock a free place until the stack closes; its GPU's number, None where all are taken.

    Args:
        stack: holds the lock.
        folder: of the locks, a file for each place.
        numbers: of the GPUs.
        per_number: places of each.
    """
    for place, number in itertools.product(range(per_number), numbers):
        path = folder / f"{number.replace('/', '_')}-{place}.lock"
        with suppress(Timeout):
            stack.enter_context(FileLock(path, timeout=0))
            return number
    return None
