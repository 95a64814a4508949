"""What this machine can do, without importing torch, and how a result describes it."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
from collections.abc import Collection
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Literal

import psutil

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
NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE
BF16_CAPABILITY = (8, 0)  # Ampere; older GPUs emulate bf16


def cuda_capabilities() -> list[tuple[int, int]]:
    """Compute capability of each visible CUDA device, by the driver; [] where there is none.

    Raises:
        RunError: there is a driver, and it doesn't start.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return []
    count = ctypes.c_int()
    error = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if error == NO_DEVICE:
        return []
    if error:
        raise RunError(
            f"the CUDA driver doesn't start (error {error}): see what nvidia-smi says, or use "
            "device=cpu"
        )
    capabilities = []
    for n in range(count.value):
        device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
        driver.cuDeviceGet(ctypes.byref(device), n)
        driver.cuDeviceGetAttribute(ctypes.byref(major), CAPABILITY_MAJOR, device)
        driver.cuDeviceGetAttribute(ctypes.byref(minor), CAPABILITY_MINOR, device)
        capabilities.append((major.value, minor.value))
    return capabilities


def count_gpus() -> int:
    """The number of visible CUDA devices; 0 also where the driver doesn't start."""
    try:
        return len(cuda_capabilities())
    except RunError:  # a run that wants a GPU says so
        return 0


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
    if precision not in ("auto", "fp32", "bf16"):
        raise ConfigError(f"precision={precision}: expected auto, fp32 or bf16")
    if device == "cpu":
        fast = has_fast_bf16(cpu_info("vendor_id"), cpu_info("flags").split())
        return choose_precision(precision, fast)
    capability = cuda_capabilities()[int(device.split(":")[1])]
    if precision == "bf16" and capability < BF16_CAPABILITY:
        raise ConfigError(
            f"precision=bf16: expected a GPU of compute capability 8.0 or more, got "
            f"{capability[0]}.{capability[1]} for {device}; use precision=fp32"
        )
    return choose_precision(precision, capability >= BF16_CAPABILITY)


def choose_precision(precision: object, fast_bf16: bool) -> Precision:
    """auto | fp32 | bf16 → the precision, by whether bf16 is fast there."""
    if precision == "auto":
        return "bf16" if fast_bf16 else "fp32"
    return "bf16" if precision == "bf16" else "fp32"


def has_fast_bf16(vendor: str, flags: Collection[str]) -> bool:
    """Whether a processor is faster in bf16 than in fp32: with AMX, or AMD's with AVX-512's bf16.

    Intel's AVX-512 bf16 without AMX, as virtual machines often have it, is slower.

    Args:
        vendor: as Linux names it.
        flags: instruction sets, likewise.
    """
    return "amx_bf16" in flags or ("avx512_bf16" in flags and vendor == "AuthenticAMD")


def cpu_info(field: str) -> str:
    """The first entry of a field of /proc/cpuinfo; "" where there is none."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")


def memory_bytes() -> int:
    """Memory that this process may use: the machine's, or less by its control group's limit."""
    limit = Path("/sys/fs/cgroup/memory.max")
    stated = limit.read_text().strip() if limit.is_file() else ""
    total = int(psutil.virtual_memory().total)
    return min(total, int(stated)) if stated.isdigit() else total


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
    """Whether torch lets CUDA matrix products or convolutions use TF32; None on a CPU."""
    torch = sys.modules.get("torch")
    if device == "cpu" or torch is None:
        return None
    return bool(torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32)


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
    """git's output in a folder; "" where there is no git, or it fails.

    Without optional locks, as `git status` would otherwise write what it learns into the checkout.
    """
    try:
        return subprocess.check_output(
            ["git", "--no-optional-locks", "-C", str(folder), *arguments],
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=10,
        ).strip()
    except (OSError, subprocess.SubprocessError):
        return ""
