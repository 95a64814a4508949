"""What the machine can do: the device, the precision by the processor's or GPU's instructions."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

import psutil
import pytest

from usbench.errors import ConfigError, RunError
from usbench.runner import machine


class Driver:
    """A CUDA driver's functions, as ctypes calls them."""

    def __init__(self, error: int, capabilities: Sequence[tuple[int, int]]) -> None:
        self.error = error
        self.capabilities = capabilities

    def cuInit(self, flags: int) -> int:
        return self.error

    def cuDeviceGetCount(self, count: Any) -> int:
        count._obj.value = len(self.capabilities)
        return 0

    def cuDeviceGet(self, device: Any, number: int) -> int:
        device._obj.value = number
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: int, device: Any) -> int:
        value._obj.value = self.capabilities[device.value][attribute - machine.CAPABILITY_MAJOR]
        return 0


Install = Callable[..., None]


@pytest.fixture
def install(monkeypatch) -> Install:
    """`install(error, (8, 0), …)`: a driver that starts with this error and has these GPUs."""

    def install_driver(error: int, *capabilities: tuple[int, int]) -> None:
        monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver(error, capabilities))

    return install_driver


# ---- the device


@pytest.mark.parametrize("expected", ["gpu", "cuda:x", "cuda:-1"])
def test_a_device_that_is_no_device(expected):
    with pytest.raises(ConfigError, match="auto, cpu, cuda"):
        machine.resolve_device(expected)


@pytest.mark.skipif(bool(machine.count_gpus()), reason="this machine has a CUDA device")
def test_cuda_where_there_is_none():
    assert machine.resolve_device("auto") == "cpu"
    with pytest.raises(RunError, match="device=cuda"):
        machine.resolve_device("cuda")


def test_a_driver_without_a_gpu_is_no_error(install):
    install(machine.NO_DEVICE)
    assert machine.cuda_capabilities() == [] and machine.resolve_device("auto") == "cpu"


@pytest.mark.parametrize("device", ["auto", "cuda", "cuda:1"])
def test_a_driver_that_does_not_start_is_an_error_and_no_silent_fallback(install, device):
    install(803)
    with pytest.raises(RunError, match=r"driver doesn't start \(error 803\).*device=cpu"):
        machine.resolve_device(device)
    assert machine.resolve_device("cpu") == "cpu" and machine.count_gpus() == 0


def test_the_gpus_of_a_driver(install):
    install(0, (7, 5), (9, 0))
    assert machine.cuda_capabilities() == [(7, 5), (9, 0)] and machine.count_gpus() == 2
    assert machine.resolve_device("cuda:1") == "cuda:1"
    with pytest.raises(RunError, match="has 2 CUDA devices"):
        machine.resolve_device("cuda:2")


# ---- the precision


@pytest.mark.parametrize(
    ("vendor", "flags", "fast"),
    [
        ("GenuineIntel", "avx512f avx512_bf16 amx_bf16 amx_tile", True),
        ("GenuineIntel", "avx512f avx512_bf16 avx512_fp16", False),  # slower than fp32 there
        ("AuthenticAMD", "avx512f avx512_bf16", True),
        ("AuthenticAMD", "avx2", False),
        ("", "", False),
    ],
)
def test_bf16_where_it_is_fast(vendor, flags, fast):
    assert machine.has_fast_bf16(vendor, flags.split()) == fast


def test_precision_on_this_processor():
    fast = machine.has_fast_bf16(machine.cpu_info("vendor_id"), machine.cpu_info("flags").split())
    assert machine.resolve_precision("auto", "cpu") == ("bf16" if fast else "fp32")
    for precision in ("fp32", "bf16"):
        assert machine.resolve_precision(precision, "cpu") == precision
    with pytest.raises(ConfigError, match="fp8"):
        machine.resolve_precision("fp8", "cpu")


def test_precision_on_a_gpu(install):
    install(0, (7, 5), (8, 0))
    assert [machine.resolve_precision("auto", f"cuda:{n}") for n in (0, 1)] == ["fp32", "bf16"]
    assert machine.resolve_precision("bf16", "cuda:1") == "bf16"
    assert machine.resolve_precision("fp32", "cuda:0") == "fp32"
    with pytest.raises(ConfigError, match=r"bf16: expected .* 8\.0 or more, got 7\.5 for cuda:0"):
        machine.resolve_precision("bf16", "cuda:0")


def test_memory_is_the_machine_s_or_less():
    assert 0 < machine.memory_bytes() <= psutil.virtual_memory().total


def test_git_is_asked_and_writes_nothing(tmp_path):
    """`git status` alone would write the changed time of an unchanged file into its index."""
    (tmp_path / "a").write_text("a")
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for arguments in (["init", "-q"], ["add", "a"], [*author, "commit", "-qm", "a"]):
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True)
    os.utime(tmp_path / "a", (1, 1))
    index = (tmp_path / ".git/index").read_bytes()
    assert machine.git(tmp_path, "status", "--porcelain") == ""
    assert (tmp_path / ".git/index").read_bytes() == index
