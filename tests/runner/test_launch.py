"""The environment of a run's process: threads, and an allocator that keeps its pages."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from usbench.runner import launch, machine

ON_GLIBC = platform.libc_ver()[0] == "glibc" and machine.memory_bytes() >= launch.ALLOCATOR_MEMORY
COUNT_FAULTS = """
import resource
def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
block = b"\\1" * (48 << 20)
before = faults()
for _ in range(20):
    del block
    block = b"\\1" * (48 << 20)
print(faults() - before)
"""


def test_threads_are_fixed_whatever_the_user_s_are(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    environment = launch.child_environment(3)
    assert {environment[name] for name in launch.THREADS} == {"3"}
    assert environment[launch.PARENT] == "1"


@pytest.mark.skipif(not ON_GLIBC, reason="for glibc and 4 GB of memory or more")
def test_the_allocator_is_set_and_never_over_a_user_s_own(monkeypatch):
    for name in launch.ALLOCATOR:
        monkeypatch.delenv(name, raising=False)
    assert launch.ALLOCATOR.items() <= launch.child_environment(1).items()
    monkeypatch.setenv("MALLOC_TOP_PAD_", "65536")
    assert launch.child_environment(1)["MALLOC_TOP_PAD_"] == "65536"


def test_with_little_memory_the_allocator_stays(monkeypatch):
    for name in launch.ALLOCATOR:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(launch, "memory_bytes", lambda: launch.ALLOCATOR_MEMORY - 1)
    assert not launch.ALLOCATOR.keys() & launch.child_environment(1).keys()


@pytest.mark.process
@pytest.mark.skipif(not ON_GLIBC, reason="for glibc and 4 GB of memory or more")
def test_memory_that_is_freed_is_not_fetched_again_page_by_page():
    """Twenty blocks of 48 MB, one after the other: without the setting each costs its pages."""

    def count(environment: dict[str, str]) -> int:
        command = [sys.executable, "-c", COUNT_FAULTS]
        return int(subprocess.run(command, env=environment, capture_output=True, text=True).stdout)

    plain = {name: value for name, value in os.environ.items() if name not in launch.ALLOCATOR}
    assert count({**plain, **launch.ALLOCATOR}) < count(plain) / 5
