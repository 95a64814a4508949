"""Decode once: a training set as uint8 arrays at the net's resolution, memory-mapped from a cache that runs share."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from usbench.console import track
from usbench.errors import DataError
from usbench.models import CACHE_RECIPE
from usbench.models.geometry import image_to_net, planes_to_net
from usbench.types import Masks, Sample

UNKNOWN = 255  # everywhere on a plane of a class of which nobody knows whether it is there


class Arrays(NamedTuple):
    """A set at the net's size."""

    images: NDArray[np.uint8]  # (N, h, w)
    targets: NDArray[Any]  # (N, …), as its encoding says


@dataclass(frozen=True)
class Encoding:
    """How a truth becomes an array that a batch is gathered from."""

    name: str  # part of the cached file's name
    encode: Callable[[Sample, tuple[int, int]], NDArray[Any]]  # at the net's size (h, w); one shape and type for all


def decode(samples: Sequence[Sample], size: tuple[int, int], exclusive: bool, cache: Path | None) -> Arrays:
    """Masks at the net's size (h, w): class indices (N, 1, h, w), 0 = background, or planes (N, C, h, w).

    A plane is of 0 and 1, or all `UNKNOWN`; DataError for an unknown one where the classes exclude each other.
    """
    return stored(samples, size, INDEX if exclusive else PLANES, cache)


def stored(samples: Sequence[Sample], size: tuple[int, int], encoding: Encoding, cache: Path | None) -> Arrays:
    """All samples at the net's size (h, w), from the cache where it has them.

    Constant memory: the arrays are files, mapped copy-on-write, so that nothing a caller does reaches the cache.
    """
    ids = hashlib.sha256("\n".join(ids_of(samples)).encode()).hexdigest()[:12]
    name = f"{encoding.name}-{size[0]}x{size[1]}-{ids}-r{CACHE_RECIPE}"
    if cache is None:
        return fill(samples, size, encoding, None, name)
    paths = cache / f"{name}.images.npy", cache / f"{name}.targets.npy"
    if not all(path.exists() for path in paths):
        cache.mkdir(parents=True, exist_ok=True)
        fill(samples, size, encoding, cache, name)
    return Arrays(*(np.load(path, mmap_mode="c") for path in paths))


def ids_of(samples: Sequence[Sample]) -> list[str]:
    """The ids, without decoding where the sequence knows them."""
    known = getattr(samples, "ids", None)
    return list(known) if known is not None else [sample.id for sample in samples]


def fill(samples: Sequence[Sample], size: tuple[int, int], encoding: Encoding, cache: Path | None, name: str) -> Arrays:
    """Decode everything; with a cache, beside the files it becomes, renamed when whole."""
    images: NDArray[np.uint8] | None = None
    targets: NDArray[Any] | None = None
    beside = [None if cache is None else cache / f"{name}.{kind}.npy.{os.getpid()}" for kind in ("images", "targets")]
    for n, sample in enumerate(track(samples, "decoding", len(samples))):
        target = encoding.encode(sample, size)
        if images is None or targets is None:
            images = blank(beside[0], (len(samples), *size), np.dtype(np.uint8))
            targets = blank(beside[1], (len(samples), *target.shape), target.dtype)
        images[n], targets[n] = image_to_net(sample.image, size), target
    if images is None or targets is None:
        raise ValueError("a set to decode has at least one sample")
    for path, array in zip(beside, (images, targets), strict=True):
        if path is not None and isinstance(array, np.memmap):
            array.flush()
            path.replace(path.with_suffix(""))
    return Arrays(images, targets)


def blank(path: Path | None, shape: tuple[int, ...], kind: np.dtype[Any]) -> NDArray[Any]:
    """An array of zeros, in memory or in a file."""
    if path is None:
        return np.zeros(shape, kind)
    return np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=shape)


def to_index(sample: Sample, size: tuple[int, int]) -> NDArray[np.uint8]:
    """(1, h, w) class index. A pixel has one class, so none may be unknown: DataError."""
    assert isinstance(sample.target, Masks)
    if sample.target.known is not None and not sample.target.known.all():
        raise DataError(
            f"{sample.id}: classes that exclude each other were wanted all known, found one that isn't; only a view "
            f"with exclusive: false may have unknown classes"
        )
    return index_of(planes_to_net(sample.target.planes, size))[None]


def to_planes(sample: Sample, size: tuple[int, int]) -> NDArray[np.uint8]:
    """(C, h, w) of 0 and 1, or `UNKNOWN` all over a plane."""
    assert isinstance(sample.target, Masks)
    planes = planes_to_net(sample.target.planes, size)
    if sample.target.known is not None:
        planes[~sample.target.known] = UNKNOWN
    return planes


INDEX, PLANES = Encoding("index", to_index), Encoding("planes", to_planes)


def index_of(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(C, h, w) disjoint planes → (h, w): 0 background, c+1 the class."""
    numbers = np.arange(1, len(planes) + 1, dtype=np.uint8)
    index: NDArray[np.uint8] = (planes * numbers[:, None, None]).max(axis=0)
    return index
