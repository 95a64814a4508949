"""One run in a child process of its own: a crash becomes a result, no global state survives."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from contextlib import nullcontext

from usbench.io.console import warn
from usbench.runner.config import RunConfig, write_config
from usbench.runner.folders import try_folders
from usbench.runner.lock import lock_path, read_holder, replace_stale_lock
from usbench.runner.machine import memory_bytes
from usbench.runner.publish import save_failure
from usbench.runner.resources import reserve_slot, visible_gpus
from usbench.runner.status import run_status

INTERRUPTED = 130  # exit code after Ctrl-C
PARENT = "USBENCH_PARENT"  # set for the child, which ends when its standard input closes
ENDING_SIGNALS = ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")  # of a cluster: the run isn't failed
# glibc gives large tensors back to the system at once and gets them again page by page. With
# these it keeps them, for about 8 % more memory.
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(8 << 30),
    "MALLOC_TOP_PAD_": str(256 << 20),
}
ALLOCATOR_MEMORY = 4 << 30  # bytes; not on machines with less
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def launch_run(
    config: RunConfig, overwrite: bool, per_gpu: int = 0, folder: str | None = None
) -> int:
    """Do a run in a child process that ends with this one.

    A child that was killed, or ended without a result, leaves a failed result. One that was asked
    to end leaves the run to the next process that wants it.

    Args:
        config: of the run.
        overwrite: whether a finished result is replaced.
        per_gpu: in a sweep, how many runs share one of the GPUs that this process sees.
        folder: the child's working directory.

    Returns:
        The child's exit code; 130 after Ctrl-C.

    Raises:
        RunError: the run's folders can't be written.
    """
    try_folders(config)
    path = config.run_dir.with_suffix(".yaml") if overwrite else config.path
    write_config(config.to_mapping(), path)
    command = [sys.executable, "-m", "usbench.runner", str(path)]
    command += ["--overwrite"] if overwrite else []
    shares_gpu = per_gpu and config.device == "cuda:0"
    with reserve_slot(visible_gpus(), per_gpu) if shares_gpu else nullcontext("") as gpu:
        environment = child_environment(config.threads)
        if gpu:
            environment["CUDA_VISIBLE_DEVICES"] = gpu
        child = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, cwd=folder)
        code = wait_for(config, child)
    if code == INTERRUPTED:
        return code
    if code < 0:
        name = signal.Signals(-code).name
        reason = f"was killed by {name}; done again, it resumes at its last checkpoint"
        return record_lost_process(config, child.pid, reason, failed=name not in ENDING_SIGNALS)
    if run_status(config.address).state in ("missing", "stale"):
        reason = f"ended with exit code {code} and left no result"
        return record_lost_process(config, child.pid, reason)
    return code


def wait_for(config: RunConfig, child: subprocess.Popen[bytes]) -> int:
    """Wait for the child's end; its exit code, or 130 after Ctrl-C."""
    try:
        return child.wait()
    except KeyboardInterrupt:
        child.wait()
        return INTERRUPTED
    except BaseException:  # a cluster's signal: the job is queued again, maybe on another host
        child.kill()
        child.wait()
        release_lock_of(config, child.pid)
        raise


def release_lock_of(config: RunConfig, pid: int) -> bool:
    """Remove the lock of a child that has ended; whether no other process holds the run."""
    path = lock_path(config.run_dir)
    holder = read_holder(path)
    return holder is None or (
        holder.stale and holder.pid == pid and replace_stale_lock(path, holder.token)
    )


def record_lost_process(config: RunConfig, pid: int, reason: str, failed: bool = True) -> int:
    """Record that the child didn't finish, unless another process is doing the run by now.

    Args:
        config: of the run.
        pid: the child's.
        reason: how it ended, following "the run's process".
        failed: whether a failed result is saved.

    Returns:
        The exit code, 1.
    """
    reason = f"the run's process {reason}"
    warn(reason)
    if release_lock_of(config, pid) and failed:
        save_failure(config, reason)
    return 1


def child_environment(threads: int) -> dict[str, str]:
    """The child's environment: threads and allocator are fixed before any library reads them.

    What the user has set stays.

    A waiting thread of libgomp spins for a moment, then sleeps. Ten times as long makes two threads
    on shared cores up to twice as slow (libgomp's default: slower still); sleeping at once costs a
    small network a fifth of its speed on free cores.
    """
    keeps_pages = platform.libc_ver()[0] == "glibc" and memory_bytes() >= ALLOCATOR_MEMORY
    allocator = ALLOCATOR if keeps_pages else {}
    environment = {"GOMP_SPINCOUNT": "1000", **allocator, **os.environ, PARENT: "1"}
    environment |= dict.fromkeys(THREADS, str(threads))
    environment.pop("HYDRA_FULL_ERROR", None)
    return environment
