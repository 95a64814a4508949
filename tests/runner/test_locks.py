"""Locks: taken once, kept by a heartbeat, taken over when the holder has ended or is silent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import pytest

from usbench.errors import RunError
from usbench.runner import lock


@pytest.fixture
def path(tmp_path) -> Path:
    return lock.lock_path(tmp_path / "runs" / "0123456789ab")


def of_another_host(path: Path, silent_s: float, lease_s: float = 60.0) -> str:
    """A claim as a process of another host has left it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    said = {
        "token": "ab" * 16,
        "host": "node7",
        "space": "elsewhere",
        "pid": 1,
        "started": 0.0,
        "lease_s": lease_s,
    }
    path.write_text(json.dumps(said))
    then = lock.file_system_time(path.parent) - silent_s
    os.utime(path, (then, then))
    return "ab" * 16


def test_it_lies_beside_the_run_folder(path):
    assert path.name == "0123456789ab.lock"


def test_one_takes_it_and_gives_it_back(path):
    held = lock.take_lock(path)
    assert held and lock.take_lock(path) is None
    with held:
        held.check()
        holder = lock.read_holder(path)
        assert (
            holder and holder.pid == os.getpid() and holder.token == held.token and not holder.stale
        )
    assert lock.read_holder(path) is None and not list(path.parent.iterdir())
    assert lock.take_lock(path)


@pytest.mark.parametrize(
    ("silent_s", "lease_s", "stale"),
    [(0, 60, False), (30, 60, False), (90, 60, True), (400, 300, True)],
)
def test_silence_beyond_the_holder_s_own_lease_is_stale(path, silent_s, lease_s, stale):
    of_another_host(path, silent_s, lease_s)
    holder = lock.read_holder(path)
    assert holder and holder.host == "node7" and holder.stale is stale
    assert silent_s - 2 < holder.silent_s < silent_s + 20  # a busy machine may pause
    assert (lock.take_lock(path) is not None) is stale


def test_a_clock_that_runs_behind_makes_nobody_stale(path):
    of_another_host(path, silent_s=-3600)
    holder = lock.read_holder(path)
    assert holder and holder.silent_s == 0 and not holder.stale


@pytest.mark.process
def test_a_process_of_this_host_that_is_gone_is_stale_at_once(path):
    code = (
        "import sys; from pathlib import Path; from usbench.runner import lock\n"
        "assert lock.take_lock(Path(sys.argv[1])); import os; os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], timeout=60)
    holder = lock.read_holder(path)
    assert holder and holder.stale and holder.silent_s < 60
    assert lock.take_lock(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"token": 3}'])
def test_a_damaged_lock_holds_until_its_lease_is_over(path, text):
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert lock.take_lock(path) is None
    then = lock.file_system_time(path.parent) - lock.LEASE_S - 5
    os.utime(path, (then, then))
    assert lock.take_lock(path)


def test_a_holder_that_was_silent_too_long_gets_an_error_and_removes_nothing(path):
    held = lock.take_lock(path)
    assert held
    with held:
        path.unlink()
        token = of_another_host(path, 0)
        with pytest.raises(lock.LostLockError, match="has taken its run over"):
            held.check()
    holder = lock.read_holder(path)
    assert holder and holder.token == token


def test_only_the_lock_that_was_seen_is_removed(path):
    token = of_another_host(path, 0)
    assert not lock.replace_stale_lock(path, "another one's token")
    holder = lock.read_holder(path)
    assert (
        holder and holder.token == token and [p.name for p in path.parent.iterdir()] == [path.name]
    )
    assert lock.replace_stale_lock(path, token) and not list(path.parent.iterdir())
    assert not lock.replace_stale_lock(path, token)


def test_a_taker_that_died_in_between_blocks_nobody_for_ever(path):
    token = of_another_host(path, 500)
    marker = path.with_name(f"{path.name}.{token[:12]}")
    marker.touch()
    assert lock.take_lock(path) is None and marker.exists()
    then = lock.file_system_time(path.parent) - lock.LEASE_S - 5
    os.utime(marker, (then, then))
    assert lock.take_lock(path) and not marker.exists()


def test_the_heartbeat_keeps_it_fresh(path, monkeypatch):
    monkeypatch.setenv("USBENCH_LEASE_S", "1")
    held = lock.take_lock(path)
    assert held
    with held:
        then = lock.file_system_time(path.parent) - 100
        os.utime(path, (then, then))
        assert lock.read_holder(path).stale
        end = time.monotonic() + 20
        while lock.read_holder(path).stale:
            assert time.monotonic() < end
            time.sleep(0.02)


@pytest.mark.parametrize("word", ["0", "-3", "soon", "nan", "inf"])
def test_a_lease_that_is_none(path, monkeypatch, word):
    monkeypatch.setenv("USBENCH_LEASE_S", word)
    with pytest.raises(RunError, match="USBENCH_LEASE_S"):
        lock.take_lock(path)


def test_a_lock_that_is_replaced_while_it_is_read_is_not_stale(path, monkeypatch):
    """Its age came from the old file and its holder from the new one, so that two held it."""
    old = of_another_host(path, 500)
    fresh = path.with_name("fresh")
    of_another_host(fresh, 0)
    fresh.write_text(fresh.read_text().replace(old, "cd" * 16))
    stat = Path.stat

    def replace_after(self: Path, **options: bool) -> os.stat_result:
        found = stat(self, **options)
        if self == path and fresh.is_file():
            fresh.replace(path)
        return found

    monkeypatch.setattr(Path, "stat", replace_after)
    holder = lock.read_holder(path)
    assert holder and (holder.token == old or not holder.stale)


def _race(path: Path, start: float) -> bool:
    time.sleep(max(0.0, start - time.time()))
    held = lock.take_lock(path)
    if held is None:
        return False
    time.sleep(0.3)
    held.check()
    return True


@pytest.mark.process
@pytest.mark.parametrize("before", ["nobody", "a stale holder"])
def test_of_many_at_once_one_gets_it(path, before):
    for n in range(5):
        mine = path.with_name(f"{n}.lock")
        mine.parent.mkdir(parents=True, exist_ok=True)
        if before == "a stale holder":
            of_another_host(mine, 500)
        with get_context("fork").Pool(8) as pool:
            won = pool.starmap(_race, [(mine, time.time() + 0.2)] * 8)
        assert sum(won) == 1, (n, won)
