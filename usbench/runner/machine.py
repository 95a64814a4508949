"""What this machine can do, without importing torch, and how a result describes it."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Literal

from usbench.errors import ConfigError, RunError
from usbench.results.result import Code, Machine

Precision = Literal["fp32", "bf16"]

PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "pillow",
    "opencv-python",  # resizes and warps for ultralytics: 4.14 and 5.0 give a training other bytes
    "opencv-python-headless",
    "segmentation-models-pytorch",
    "timm",
    "transformers",
    "ultralytics",
    "nnunetv2",
    "torchmetrics",
    "faster-coco-eval",
    "hydra-core",
    "mlflow",
)
CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76  # CUdevice_attribute of the driver API


def cuda_capabilities() -> list[tuple[int, int]]:
    """Compute capability of each visible CUDA device, by the driver; [] where there is none."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return []
    count = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return []
    capabilities = []
    for n in range(count.value):
        device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
        driver.cuDeviceGet(ctypes.byref(device), n)
        driver.cuDeviceGetAttribute(ctypes.byref(major), CAPABILITY_MAJOR, device)
        driver.cuDeviceGetAttribute(ctypes.byref(minor), CAPABILITY_MINOR, device)
        capabilities.append((major.value, minor.value))
    return capabilities


def resolve_device(device: object) -> str:
    """auto | cpu | cuda | cuda:N → cpu or cuda:N. device=0 is a number in YAML.

    Raises:
        ConfigError: none of these words.
        RunError: CUDA was asked for and isn't there.
    """
    if device == "cpu":
        return "cpu"
    if device == "auto":
        return "cuda:0" if cuda_capabilities() else "cpu"
    kind, _, number = str(device).partition(":")
    if kind != "cuda" or not (number.isdigit() or not number):
        raise ConfigError(f"device={device}: expected auto, cpu, cuda or cuda:N")
    count = len(cuda_capabilities())
    if int(number or 0) >= count:
        raise RunError(
            f"device={device}: this machine has {count} CUDA devices; use device=cpu or device=auto"
        )
    return f"cuda:{int(number or 0)}"


def resolve_precision(precision: object, device: str) -> Precision:
    """auto | fp32 | bf16 → fp32 or bf16, by the device's instructions, never by timing."""
    if precision in ("fp32", "bf16"):
        return precision
    if precision != "auto":
        raise ConfigError(f"precision={precision}: expected auto, fp32 or bf16")
    if device == "cpu":
        # the flags are instruction sets, as Linux names them
        return "bf16" if {"avx512_bf16", "amx_bf16"} & set(cpu_info("flags").split()) else "fp32"
    return "bf16" if cuda_capabilities()[int(device.split(":")[1])] >= (8, 0) else "fp32"


def cpu_info(field: str) -> str:
    """The first entry of a field of /proc/cpuinfo; "" where there is none."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe(device: str = "cpu") -> Machine:
    """Processor, GPU, CUDA and package versions; no host or user name.

    Args:
        device: cpu or cuda:N. What the GPU's software says is read from torch, which a run on it
            has imported.
    """
    versions = {}
    for name in PACKAGES:
        # what the machine doesn't have, the run can't have used
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return Machine(
        processor=cpu_info("model name") or platform.machine(),
        packages={"python": platform.python_version(), **versions},
        **gpu_facts(device),
    )


def gpu_facts(device: str) -> dict[str, str | None]:
    """Name of the GPU, and the versions of CUDA, cuDNN and the driver; all None on a CPU."""
    torch = sys.modules.get("torch")
    if device == "cpu" or torch is None or not torch.cuda.is_available():
        return dict.fromkeys(("gpu", "cuda", "cudnn", "driver"))
    return {
        "gpu": torch.cuda.get_device_name(device),
        "cuda": torch.version.cuda,
        "cudnn": str(torch.backends.cudnn.version()),
        "driver": driver_version(),
    }


def driver_version() -> str | None:
    """The newest CUDA version that the driver supports, such as 12.4."""
    version = ctypes.c_int()
    if ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version)):
        return None
    return f"{version.value // 1000}.{version.value % 1000 // 10}"


def tf32(device: str) -> bool | None:
    """Whether torch lets CUDA matrix products use TF32; None on a CPU."""
    torch = sys.modules.get("torch")
    return None if device == "cpu" or torch is None else bool(torch.backends.cuda.matmul.allow_tf32)


def code_state(version: str) -> Code:
    """The version, and the commit of the checkout that the code lies in."""
    folder = Path(__file__).resolve().parents[1]
    tracked = git(folder, "ls-files", "--error-unmatch", __file__)
    commit = tracked and git(folder, "rev-parse", "HEAD")
    if not commit:
        return Code(version, None, None)
    changed = git(folder, "status", "--porcelain", "--", str(folder), str(folder.parent / "conf"))
    return Code(version, commit, bool(changed))


def git(folder: Path, *arguments: str) -> str:
    """git's output in a folder; "" where there is no git, or it fails."""
    try:
        return subprocess.check_output(
            ["git", "-C", str(folder), *arguments],
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=10,
        ).strip()
    except (OSError, subprocess.SubprocessError):
        return ""
