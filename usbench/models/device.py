"""Copy tensors from the CPU to a GPU without waiting for what it is doing.

A plain copy from pageable memory waits for the device; a pinned one doesn't. On a CPU nothing
happens here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

CUDA_BATCH = 64  # images that a GPU validates and predicts together, at least


def send(tensor: Tensor, device: torch.device | str) -> Tensor:
    """The same tensor on a device; the copy is under way when this returns."""
    target = torch.device(device)
    if target.type == "cpu" or tensor.device.type != "cpu":
        return tensor.to(target)
    return tensor.pin_memory().to(target, non_blocking=True)


def constant(values: Sequence[float], like: Tensor) -> Tensor:
    """Values as a tensor of the type and on the device of another; a GPU receives them once."""
    return _constant(tuple(values), like.dtype, like.device)


@lru_cache(maxsize=64)
def _constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # it may take part in a training later
        return torch.tensor(values, dtype=dtype, device=device)


def batch_on(device: str, batch: int) -> int:
    """How many images to validate or predict together, where `batch` are trained together.

    On a CPU the last bits of a prediction may depend on that number, so it stays.
    """
    return batch if device == "cpu" else max(batch, CUDA_BATCH)
