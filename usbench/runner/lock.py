"""Who is doing a run: a lock file beside its folder, which several hosts may share.

    runs/<run id>.lock    JSON: token, host, space, pid, started, lease_s; its modification time
                          is the last heartbeat

A lock is taken by an atomic exclusive create, refreshed by a thread, released by removing the file.
It is stale when its process has ended (seen from the same host) or was silent for longer than its
lease; another process may then take it over, by an atomic rename. The holder checks its token
before each checkpoint and before it publishes its result: a host that was silent for longer than
the lease learns that it lost the run, and stops. Ages are measured by the file system's own clock,
because two hosts' clocks differ.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from usbench.errors import RunError
from usbench.io.files import write_atomically

LEASE_S = 300.0  # after this silence a host has lost its run; USBENCH_LEASE_S sets another
BEATS = 10  # heartbeats in a lease


class LostLockError(RunError):
    """Another process has taken this run over: this one must write nothing more."""


@dataclass(frozen=True)
class LockFile:
    """What a lock file says of its holder."""

    token: str = ""  # "" in a damaged file
    host: str = "?"
    space: str = ""  # where `pid` means the same process
    pid: int = 0
    started: float = 0.0  # of the process, seconds since 1970
    lease_s: float = LEASE_S

    @classmethod
    def parse(cls, text: str) -> LockFile:
        """Read a lock file; a damaged or empty one, whose age still counts, has no token."""
        try:
            file = cls(**json.loads(text))
        except (ValueError, TypeError):
            return cls()
        texts, numbers = (file.token, file.host, file.space), (file.pid, file.started, file.lease_s)
        is_typed = all(isinstance(text, str) for text in texts) and all(
            isinstance(number, (int, float)) for number in numbers
        )
        return file if is_typed else cls()

    def is_alive(self) -> bool:
        """Whether its process runs; True where that can't be seen from here."""
        is_hidden = not self.started or self.space != process_space()
        return is_hidden or is_process_alive(self.pid, self.started)


@dataclass(frozen=True)
class Holder(LockFile):
    """Who holds a lock, and for how long it has been silent."""

    silent_s: float = 0.0
    stale: bool = False

    def describe(self) -> str:
        """Which process it is, and since when it runs."""
        since = ""
        if self.started:
            since = (
                f" (since {time.strftime('%Y-%m-%d %H:%M:%S %Z', time.localtime(self.started))})"
            )
        return f"process {self.pid} on {self.host}{since}"


def lease_seconds() -> float:
    """Seconds of silence after which a lock of this process is stale.

    Raises:
        RunError: USBENCH_LEASE_S is no such number.
    """
    setting = os.environ.get("USBENCH_LEASE_S", "")
    try:
        seconds = float(setting or LEASE_S)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise RunError(f"USBENCH_LEASE_S={setting}: expected seconds above 0, such as 300")
    return seconds


def lock_path(run_dir: Path) -> Path:
    """The lock file of a run's folder."""
    return run_dir.with_name(f"{run_dir.name}.lock")


def file_system_time(folder: Path) -> float:
    """The time by the clock of the folder's file system, seconds since 1970."""
    probe = folder / f".clock.{secrets.token_hex(6)}"
    try:
        probe.touch(exist_ok=False)
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def read_holder(path: Path, now: float | None = None) -> Holder | None:
    """Who holds a lock; None where nobody does.

    Args:
        path: the lock file.
        now: `file_system_time` of its folder; None: it is asked.
    """
    try:
        with path.open() as opened:  # one file: another process may replace it at any moment
            beat = os.fstat(opened.fileno()).st_mtime
            file = LockFile.parse(opened.read())
    except FileNotFoundError:
        return None
    silent = max(0.0, (file_system_time(path.parent) if now is None else now) - beat)
    return Holder(**vars(file), silent_s=silent, stale=silent > file.lease_s or not file.is_alive())


def is_process_alive(pid: int, started: float) -> bool:
    """Whether a process still runs; True where that can't be seen.

    Args:
        pid: its process id.
        started: when it started, in seconds since 1970, because process ids are reused.
    """
    try:
        process = psutil.Process(pid)
        reused = abs(process.create_time() - started) > 2  # s
        return not reused and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def process_space() -> str:
    """Where a process number means the same process: this container, this host since its start."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


class Lock:
    """A lock that this process holds; `with` keeps its heartbeat going and releases it."""

    def __init__(self, path: Path, token: str, lease_s: float) -> None:
        self.path, self.token = path, token
        self._lease_s, self._ended = lease_s, threading.Event()

    def __enter__(self) -> Lock:
        threading.Thread(target=self._send_heartbeats, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def release(self) -> None:
        """Stop the heartbeat and remove the lock file, unless another process has taken it over."""
        self._ended.set()
        if self._is_held():
            self.path.unlink(missing_ok=True)

    def check(self) -> None:
        """Raise LostLockError where another process holds the lock now."""
        if not self._is_held():
            raise LostLockError(
                f"{self.path}: this process was silent for longer than {self._lease_s:.0f} s and "
                "another one has taken its run over; nothing more is written here"
            )

    def _is_held(self) -> bool:
        with suppress(FileNotFoundError):
            return LockFile.parse(self.path.read_text()).token == self.token
        return False

    def _send_heartbeats(self) -> None:
        while not self._ended.wait(self._lease_s / BEATS):
            with suppress(OSError):  # a file server that is away: the next beat tries again
                if not self._is_held():
                    return
                os.utime(self.path)


def take_lock(path: Path) -> Lock | None:
    """Take a lock, or take it over from a stale holder; None where another process holds it."""
    process = psutil.Process()
    file = LockFile(
        token=secrets.token_hex(16),
        host=socket.gethostname(),
        space=process_space(),
        pid=process.pid,
        started=process.create_time(),
        lease_s=lease_seconds(),
    )
    lock, text = Lock(path, file.token, file.lease_s), json.dumps(vars(file))
    path.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(3):  # another process may release or create it in between
        if create_lock_file(path, text):
            return lock
        holder = read_holder(path)
        if holder and not holder.stale:
            return None
        if holder and replace_stale_lock(path, holder.token, text):
            return lock
    return None


def create_lock_file(path: Path, text: str) -> bool:
    """Create the file exclusively, which a file server grants once; False where it exists."""
    with suppress(FileExistsError), path.open("x") as file:
        file.write(text)
        return True
    return False


def replace_stale_lock(path: Path, token: str, text: str | None = None) -> bool:
    """Remove the stale lock with that token, or replace it by a lock file with that text.

    The right to do so is an exclusive create as well, so that nobody replaces a new holder's lock.

    Returns:
        Whether this call did it.
    """
    marker = path.with_name(f"{path.name}.{token[:12] or 'damaged'}")
    if not create_lock_file(marker, ""):
        with suppress(FileNotFoundError):
            if file_system_time(path.parent) - marker.stat().st_mtime > LEASE_S:
                marker.unlink()  # its process died before it removed it
        return False
    try:
        if LockFile.parse(path.read_text()).token != token:
            return False
        if text is None:
            path.unlink()
        else:
            write_atomically(path, text)
        return True
    except FileNotFoundError:  # released meanwhile
        return False
    finally:
        marker.unlink(missing_ok=True)
