"""What a finished run's model costs to use: multiply–adds, time per image, frames per second, peak memory.

Measured on the whole way from a native image to a stored prediction (resizing, net, suppression), as a user meets it,
after warm-up, with the device's queue waited for. Torch is imported here.
"""

from __future__ import annotations

import os
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

Image8 = NDArray[np.uint8]
WARM_UP, TIMES = 3, 30
BATCHES = (1, 2, 4, 8, 16, 32)
SECONDS = (
    20.0  # for one batch size: a slow net on a slow machine is measured fewer times, three at least
)
WORSE = 0.9  # a batch size that reaches less than this share of the best so far ends the search


def measured(model: Any, device: str, images: Sequence[Image8]) -> dict[str, Any]:
    """The figures of one model. images: native ones, (H, W) uint8; they are taken in turns.

    {macs: multiply–adds of one image, latency_ms: {p50, p95, n}, fps, best_batch, fps_best, peak_memory_mib,
    load: share of all of the machine's cores that one image after the other keeps busy}
    """
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats(device)
    macs = multiply_adds(model, images[0])
    for n in range(WARM_UP):
        predict(model, [images[n % len(images)]], device)
    busy, since = time.process_time(), time.perf_counter()
    took = timed(lambda n: predict(model, [images[n % len(images)]], device))
    load = (time.process_time() - busy) / (time.perf_counter() - since) / (os.cpu_count() or 1)
    best, speed = best_batch(model, device, images, 1 / statistics.median(took))
    return {
        "macs": macs,
        "latency_ms": {
            "p50": round(1000 * float(np.percentile(took, 50)), 3),
            "p95": round(1000 * float(np.percentile(took, 95)), 3),
            "n": len(took),
        },
        "fps": round(1 / statistics.median(took), 2),
        "load": round(min(1.0, load), 3),
        "best_batch": best,
        "fps_best": round(speed, 2),
        "peak_memory_mib": round(peak_memory(device), 1),
    }


def multiply_adds(model: Any, image: Image8) -> int:
    """Of one image, by torch's own counter: convolutions, matrix products and attention (half of its FLOPs)."""
    with FlopCounterMode(display=False) as counter:
        list(model.predict([image]))
    return int(counter.get_total_flops()) // 2


def predict(model: Any, images: Sequence[Image8], device: str) -> None:
    """Predict, and wait for the device."""
    list(model.predict(images))
    if device != "cpu":
        torch.cuda.synchronize(device)


def timed(action: Callable[[int], None]) -> list[float]:
    """Seconds of each of 30 calls, or of as many as 20 s allow, three at least."""
    took: list[float] = []
    start = time.perf_counter()
    while len(took) < TIMES and (len(took) < 3 or time.perf_counter() - start < SECONDS):
        before = time.perf_counter()
        action(len(took))
        took.append(time.perf_counter() - before)
    return took


def best_batch(
    model: Any, device: str, images: Sequence[Image8], alone: float
) -> tuple[int, float]:
    """(images at once, frames per second) of the fastest batch size; 1 where the model takes images one by one."""
    recipe = getattr(model, "recipe", None)
    if not isinstance(recipe, dict) or "batch" not in recipe:
        return 1, alone
    best, speed = 1, alone
    try:
        for size in BATCHES[1:]:
            model.recipe = {**recipe, "batch": size}
            several = [images[n % len(images)] for n in range(size)]
            predict(model, several, device)
            seconds = timed(lambda _: predict(model, several, device))  # noqa: B023  (called at once)
            now = size / statistics.median(seconds)
            if now > speed:
                best, speed = size, now
            elif now < WORSE * speed:
                break
    except torch.OutOfMemoryError:
        pass  # the sizes before are what the device holds
    finally:
        model.recipe = recipe
    return best, speed


def peak_memory(device: str) -> float:
    """MiB: what torch held on the GPU at most; on a CPU the whole process at most, with its libraries."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
