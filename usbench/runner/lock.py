"""Who is doing a cell: a claim file beside its run folder, on a folder that several hosts may share.

    runs/<key>.claim      JSON: token, host, space, pid, started, lease_s; its modification time is the last heartbeat

Taken by an atomic exclusive create, refreshed by a thread, given back by removing it. A claim is stale when its process
is gone (seen from the same host) or silent for longer than its lease; then one may take it over, by an atomic rename.
The holder reads its token before each checkpoint and before its result is published: a host that was silent for longer
than the lease finds that it lost the cell, and stops. Ages are by the file system's own clock, never by two hosts'.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil  # type: ignore[import-untyped]

from usbench.errors import RunError
from usbench.io import processes

LEASE_S = 300.0  # silent for so long, a host has lost its cell; USBENCH_LEASE_S sets another
BEATS = 10  # heartbeats in a lease


class LostError(RunError):
    """Another process has taken this cell over: nothing more of it may be written here."""


@dataclass(frozen=True)
class Holding:
    """What a claim file says, and how long its holder has been silent."""

    token: str
    host: str
    pid: int
    silent_s: float
    stale: bool


def lease_s() -> float:
    """Seconds of silence that a claim of this process outlives. RunError where the environment has no such number."""
    word = os.environ.get("USBENCH_LEASE_S", "")
    try:
        found = float(word or LEASE_S)
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise RunError(f"USBENCH_LEASE_S={word}: seconds above 0 were wanted, such as 300")
    return found


def path_of(run_dir: Path) -> Path:
    """The claim file of a run folder."""
    return run_dir.with_name(f"{run_dir.name}.claim")


def clock(folder: Path) -> float:
    """Now, as the file system of the folder has it: two hosts' clocks differ, their file server's is one."""
    probe = folder / f".clock.{secrets.token_hex(6)}"
    try:
        probe.touch(exist_ok=False)
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def look(path: Path, now: float | None = None) -> Holding | None:
    """Who holds the cell of that claim file; None where nobody does. now: `clock` of its folder."""
    try:
        beat = path.stat().st_mtime
        text = path.read_text()
    except FileNotFoundError:
        return None
    said = _parsed(text)
    silent = max(0.0, (clock(path.parent) if now is None else now) - beat)
    limit = float(said.get("lease_s", LEASE_S))
    stale = silent > limit or (said.get("space") == _space() and not _alive(said))
    return Holding(_token(text), str(said.get("host", "?")), int(said.get("pid", 0)), silent, stale)


def _parsed(text: str) -> dict[str, Any]:
    """The claim's words; {} between its create and its write, and where it is damaged: its age tells then."""
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _space() -> str:
    """Where a process number means the same process: this host since it was started, this container."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


def _alive(said: Mapping[str, Any]) -> bool:
    """Whether the process of a claim of this space runs; True where that can't be told."""
    try:
        return processes.alive(int(said["pid"]), float(said["started"]))
    except (KeyError, ValueError):
        return True


class Claim:
    """A cell that this process holds: `with` keeps its heartbeat going and gives it back."""

    def __init__(self, path: Path, token: str, lease: float) -> None:
        self.path, self.token = path, token
        self._lease, self._over = lease, threading.Event()

    def __enter__(self) -> Claim:
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        if self._mine():
            self.path.unlink(missing_ok=True)

    def check(self) -> None:
        """Raise LostError where another process holds the cell now."""
        if not self._mine():
            raise LostError(
                f"{self.path}: this process held the cell and was silent for longer than {self._lease:.0f} s, so "
                "another one took it over; nothing more is written here"
            )

    def _mine(self) -> bool:
        with suppress(FileNotFoundError):
            return _token(self.path.read_text()) == self.token
        return False

    def _beat(self) -> None:
        while not self._over.wait(self._lease / BEATS):
            with suppress(OSError):  # a file server that is away: the next beat tries again
                if not self._mine():
                    return
                os.utime(self.path)


def take(path: Path) -> Claim | None:
    """Claim a cell, or take it over from a stale holder; None where somebody else holds it."""
    lease, token = lease_s(), secrets.token_hex(16)
    path.parent.mkdir(parents=True, exist_ok=True)
    said = _said(token, lease)
    for _ in range(3):  # given back or created by another in between: look again
        if _created(path, said):
            return Claim(path, token, lease)
        holder = look(path)
        if holder and not holder.stale:
            return None
        if holder and _replaced(path, holder.token, said):
            return Claim(path, token, lease)
    return None


def give_up(path: Path, token: str) -> bool:
    """Remove the stale claim with that token; whether this call did."""
    return _replaced(path, token, None)


def _said(token: str, lease: float) -> str:
    """What this process writes into a claim."""
    me = psutil.Process()
    who = {
        "host": socket.gethostname(),
        "space": _space(),
        "pid": me.pid,
        "started": me.create_time(),
    }
    return json.dumps({"token": token, **who, "lease_s": lease})


def _created(path: Path, said: str) -> bool:
    """Whether the claim file was made by this call: an exclusive create, which a file server grants once."""
    try:
        with path.open("x") as file:
            file.write(said)
    except FileExistsError:
        return False
    return True


def _replaced(path: Path, token: str, said: str | None) -> bool:
    """Whether this call put its own claim, or none, in the place of the stale one with that token, by a rename.

    Who may do so is settled by an exclusive create as well, so that nobody replaces the claim of who came first.
    """
    marker = path.with_name(f"{path.name}.{token[:12] or 'damaged'}")
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        with suppress(FileNotFoundError):
            if (
                clock(path.parent) - marker.stat().st_mtime > LEASE_S
            ):  # its maker died between two lines
                marker.unlink()
        return False
    try:
        if _token(path.read_text()) != token:
            return False
        if said is None:
            path.unlink()
        else:
            beside = path.with_name(f"{marker.name}.part")
            beside.write_text(said)
            beside.replace(path)
        return True
    except FileNotFoundError:  # given back meanwhile
        return False
    finally:
        marker.unlink(missing_ok=True)


def _token(text: str) -> str:
    """The token of a claim; "" in a damaged one."""
    return str(_parsed(text).get("token", ""))
