"""What a trained model costs to use: multiply–adds, time per image, frames per second, memory.

Measured from a native image to its prediction (resizing, net, suppression), as a user meets it,
after warm-up, waiting for the device.
"""

from __future__ import annotations

import os
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from usbench.io.files import JsonObject
from usbench.types import Model

Image8 = NDArray[np.uint8]  # (H, W)
WARM_UP, TIMES = 3, 30  # calls
BATCHES = (1, 2, 4, 8, 16, 32)
MIN_CALLS = 3  # also of a slow net on a slow machine
SECONDS = 20.0  # for one batch size: after that no further call
WORSE = 0.9  # a batch size below this share of the best speed so far ends the search


@runtime_checkable
class BatchPredictor(Protocol):
    """A model that predicts several images at once."""

    batch: int  # images at once


def measure(model: Model, device: str, images: Sequence[Image8]) -> JsonObject:
    """Measure one model.

    Args:
        images: native ones, taken in turns.

    Returns:
        {macs: multiply–adds of one image, latency_ms: {p50, p95, n}, fps, load: share of all of
        the machine's cores that one image after another keeps busy, best_batch, fps_best,
        peak_memory_mib}, as results store it.
    """
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats(device)
    macs = count_multiply_adds(model, images[0])

    def predict_one(call: int) -> None:
        predict(model, [images[call % len(images)]], device)

    for call in range(WARM_UP):
        predict_one(call)
    busy = time.process_time()
    start = time.perf_counter()
    seconds = time_calls(predict_one)
    busy = time.process_time() - busy
    load = busy / (time.perf_counter() - start) / (os.cpu_count() or 1)
    fps = 1 / statistics.median(seconds)
    best, speed = find_best_batch(model, device, images, fps)
    # Bytes: the most that torch held on the GPU; on a CPU that of the whole process.
    peak = (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        if device == "cpu"
        else torch.cuda.max_memory_allocated(device)
    )
    return {
        "macs": macs,
        "latency_ms": {
            "p50": round(1000 * float(np.percentile(seconds, 50)), 3),
            "p95": round(1000 * float(np.percentile(seconds, 95)), 3),
            "n": len(seconds),
        },
        "fps": round(fps, 2),
        "load": round(min(1.0, load), 3),
        "best_batch": best,
        "fps_best": round(speed, 2),
        "peak_memory_mib": round(peak / 2**20, 1),
    }


def count_multiply_adds(model: Model, image: Image8) -> int:
    """Multiply–adds of one image by torch's counter: convolutions, matrix products, attention."""
    with FlopCounterMode(display=False) as counter:
        list(model.predict([image]))
    return int(counter.get_total_flops()) // 2


def predict(model: Model, images: Sequence[Image8], device: str) -> None:
    """Predict, and wait for the device."""
    list(model.predict(images))
    if device != "cpu":
        torch.cuda.synchronize(device)


def time_calls(action: Callable[[int], None]) -> list[float]:
    """Seconds of each of 30 calls, or of as many as 20 s allow, three at least."""
    seconds: list[float] = []
    start = time.perf_counter()
    while len(seconds) < TIMES:
        before = time.perf_counter()
        if len(seconds) >= MIN_CALLS and before - start >= SECONDS:
            break
        action(len(seconds))
        seconds.append(time.perf_counter() - before)
    return seconds


def find_best_batch(
    model: Model, device: str, images: Sequence[Image8], single: float
) -> tuple[int, float]:
    """Search the batch size that predicts fastest.

    Args:
        single: frames per second of single images.

    Returns:
        (images at once, frames per second); 1 where the model takes images one by one.
    """
    best, speed = 1, single
    if not isinstance(model, BatchPredictor):
        return best, speed
    before = model.batch
    try:
        for size in BATCHES[1:]:
            model.batch = size
            several = [images[n % len(images)] for n in range(size)]
            predict(model, several, device)
            seconds = time_calls(lambda _: predict(model, several, device))  # noqa: B023  (now)
            fps = size / statistics.median(seconds)
            if fps > speed:
                best, speed = size, fps
            elif fps < WORSE * speed:
                break
    except torch.OutOfMemoryError:
        pass  # the sizes before are what the device holds
    finally:
        model.batch = before
    return best, speed
