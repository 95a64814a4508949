"""Decode once: a training set as uint8 arrays at the net's resolution, memory-mapped from a cache that runs share."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from usbench.console import track
from usbench.models import CACHE_RECIPE
from usbench.models.geometry import image_to_net, planes_to_net
from usbench.types import Masks, Sample


class Arrays(NamedTuple):
    """A set at the net's size."""

    images: NDArray[np.uint8]  # (N, h, w)
    targets: NDArray[np.uint8]  # (N, 1, h, w) class index, 0 = background; or (N, C, h, w) planes of 0 and 1


def decode(samples: Sequence[Sample], size: tuple[int, int], exclusive: bool, cache: Path | None) -> Arrays:
    """All samples at the net's size (h, w), from the cache where it has them.

    exclusive: one plane of class indices; otherwise one plane per class. Constant memory: the arrays are files, mapped
    copy-on-write, so that nothing a caller does reaches the cache.
    """
    ids = hashlib.sha256("\n".join(ids_of(samples)).encode()).hexdigest()[:12]
    kind = "index" if exclusive else "planes"
    name = f"{kind}-{size[0]}x{size[1]}-{ids}-r{CACHE_RECIPE}"
    if cache is None:
        return fill(samples, size, exclusive, None, name)
    paths = cache / f"{name}.images.npy", cache / f"{name}.targets.npy"
    if not all(path.exists() for path in paths):
        cache.mkdir(parents=True, exist_ok=True)
        fill(samples, size, exclusive, cache, name)
    return Arrays(*(np.load(path, mmap_mode="c") for path in paths))


def ids_of(samples: Sequence[Sample]) -> list[str]:
    """The ids, without decoding where the sequence knows them."""
    known = getattr(samples, "ids", None)
    return list(known) if known is not None else [sample.id for sample in samples]


def fill(samples: Sequence[Sample], size: tuple[int, int], exclusive: bool, cache: Path | None, name: str) -> Arrays:
    """Decode everything; with a cache, beside the files it becomes, renamed when whole."""
    images: NDArray[np.uint8] | None = None
    targets: NDArray[np.uint8] | None = None
    beside = [None if cache is None else cache / f"{name}.{kind}.npy.{os.getpid()}" for kind in ("images", "targets")]
    for n, sample in enumerate(track(samples, "decoding", len(samples))):
        assert isinstance(sample.target, Masks)
        planes = planes_to_net(sample.target.planes, size)
        target = index_of(planes)[None] if exclusive else planes
        if images is None or targets is None:
            images = blank(beside[0], (len(samples), *size))
            targets = blank(beside[1], (len(samples), *target.shape))
        images[n], targets[n] = image_to_net(sample.image, size), target
    if images is None or targets is None:
        raise ValueError("a set to decode has at least one sample")
    for path, array in zip(beside, (images, targets), strict=True):
        if path is not None and isinstance(array, np.memmap):
            array.flush()
            path.replace(path.with_suffix(""))
    return Arrays(images, targets)


def blank(path: Path | None, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """An array of zeros, in memory or in a file."""
    if path is None:
        return np.zeros(shape, np.uint8)
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)


def index_of(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(C, h, w) disjoint planes → (h, w): 0 background, c+1 the class."""
    numbers = np.arange(1, len(planes) + 1, dtype=np.uint8)
    index: NDArray[np.uint8] = (planes * numbers[:, None, None]).max(axis=0)
    return index
