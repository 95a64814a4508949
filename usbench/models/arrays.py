"""Decode once: a training set as uint8 arrays at the net's resolution, memory-mapped from a cache that runs share."""

from __future__ import annotations

import hashlib
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from usbench.errors import DataError, RunError
from usbench.io.console import bar
from usbench.models import CACHE_VERSION
from usbench.models.geometry import image_to_net, planes_to_net
from usbench.types import Masks, Sample

AHEAD = 4  # samples per thread that are decoded before they are wanted
UNKNOWN = 255  # everywhere on a plane of a class of which nobody knows whether it is there


class Arrays(NamedTuple):
    """A set at the net's size."""

    images: NDArray[np.uint8]  # (N, h, w)
    targets: NDArray[Any]  # (N, …), as its encoding says


@dataclass(frozen=True)
class Encoding:
    """How a truth becomes an array that a batch is gathered from."""

    name: str  # part of the cached file's name
    encode: Callable[
        [Sample, tuple[int, int]], NDArray[Any]
    ]  # at the net's size (h, w); one shape and type for all


def decode(
    samples: Sequence[Sample],
    size: tuple[int, int],
    exclusive: bool,
    cache: Path | None,
    threads: int = 1,
) -> Arrays:
    """Masks at the net's size (h, w): class indices (N, 1, h, w), 0 = background, or planes (N, C, h, w).

    A plane is of 0 and 1, or all `UNKNOWN`; DataError for an unknown one where the classes exclude each other.
    """
    return stored(samples, size, INDEX if exclusive else PLANES, cache, threads)


def stored(
    samples: Sequence[Sample],
    size: tuple[int, int],
    encoding: Encoding,
    cache: Path | None,
    threads: int = 1,
) -> Arrays:
    """All samples at the net's size (h, w), from the cache where it has them; else decoded by so many threads.

    Constant memory: the arrays are files, mapped copy-on-write, so that nothing a caller does reaches the cache.
    """
    if not len(samples):
        raise ValueError("a set to decode has at least one sample")
    ids = hashlib.sha256("\n".join(ids_of(samples)).encode()).hexdigest()[:12]
    name = f"{encoding.name}-{size[0]}x{size[1]}-{ids}-r{CACHE_VERSION}"
    decoded = in_order(
        samples,
        lambda sample: (image_to_net(sample.image, size), encoding.encode(sample, size)),
        threads,
    )
    if cache is None:
        images, targets = zip(*decoded, strict=True)
        return Arrays(np.stack(images), np.stack(targets))
    paths = cache / f"{name}.images.npy", cache / f"{name}.targets.npy"
    if not all(path.exists() for path in paths):
        cache.mkdir(parents=True, exist_ok=True)
        fill(paths, decoded, len(samples))
    return Arrays(*(np.load(path, mmap_mode="c") for path in paths))


def ids_of(samples: Sequence[Sample]) -> list[str]:
    """The ids, without decoding where the sequence knows them."""
    known = getattr(samples, "ids", None)
    return list(known) if known is not None else [sample.id for sample in samples]


def in_order(
    samples: Sequence[Sample],
    work: Callable[[Sample], tuple[NDArray[Any], NDArray[Any]]],
    threads: int,
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """work(sample) of each, in order, by so many threads that are at most a few samples ahead.

    Decoding a PNG gives the interpreter free, and each thread is one: torch starts no others below them meanwhile.
    What goes wrong is raised when the first bad sample's turn comes.
    """

    def done(n: int) -> tuple[NDArray[Any], NDArray[Any]]:
        return work(samples[n])

    with (
        one_torch_thread(),
        ThreadPoolExecutor(threads) as pool,
        bar("decoding", len(samples)) as running,
    ):
        ahead: deque[Future[tuple[NDArray[Any], NDArray[Any]]]] = deque()
        try:
            for n in range(len(samples)):
                ahead.append(pool.submit(done, n))
                if len(ahead) >= AHEAD * threads:
                    yield ahead.popleft().result()
                    running.step()
            while ahead:
                yield ahead.popleft().result()
                running.step()
        finally:
            for waiting in ahead:
                waiting.cancel()


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Torch computes with one thread until the block ends, then with as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fill(
    paths: tuple[Path, Path], decoded: Iterable[tuple[NDArray[Any], NDArray[Any]]], count: int
) -> None:
    """Write `count` pairs of arrays into two .npy files, one after the other, beside their places until both are whole.

    Plain writes: the pages of a mapped file would count as this process's memory. RunError where the disk refuses.
    """
    beside = [path.with_name(f"{path.name}.{secrets.token_hex(4)}") for path in paths]
    try:
        with beside[0].open("wb") as first, beside[1].open("wb") as second:
            for pair in decoded:
                for file, array in zip((first, second), pair, strict=True):
                    append(file, array, count)
        for part, path in zip(beside, paths, strict=True):
            part.replace(path)
    except OSError as error:
        if str(error.filename) not in (
            "None",
            *map(str, beside),
            *map(str, paths),
        ):  # somebody else's file
            raise
        advice = "check the folder, its permissions and the free space"
        raise RunError(
            f"{paths[0]}: can't be written ({error.strerror or error}); {advice}"
        ) from error
    finally:
        for part in beside:
            part.unlink(missing_ok=True)


def append(file: BinaryIO, array: NDArray[Any], count: int) -> None:
    """Write one of `count` arrays of one shape and type, the first one after the header of them all."""
    if file.tell() == 0:
        kind = np.lib.format.dtype_to_descr(array.dtype)
        header = {"descr": kind, "fortran_order": False, "shape": (count, *array.shape)}
        np.lib.format.write_array_header_1_0(file, header)
    file.write(np.ascontiguousarray(array).data)


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
