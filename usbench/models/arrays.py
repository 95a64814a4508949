"""Decode once: a set as arrays at the net's resolution, memory-mapped from a shared cache.

An image is stretched to the net's size (no letterbox: pixels of ultrasound are rarely square, and
all images of a view share one aspect ratio). Logits are stretched back before a class is chosen.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol, cast, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from usbench.errors import DataError
from usbench.io.console import bar
from usbench.io.files import replacing
from usbench.models import CACHE_VERSION
from usbench.types import Masks, Sample

AHEAD = 4  # samples per thread that are decoded before they are needed
UNKNOWN = 255  # all over a plane of a class of which nobody knows whether it is there
Pair = tuple[NDArray[Any], NDArray[Any]]  # an image and its target


class Arrays(NamedTuple):
    """A set at the net's size."""

    images: NDArray[np.uint8]  # (N, h, w)
    targets: NDArray[Any]  # (N, …), as its encoding says


@dataclass(frozen=True)
class Encoding:
    """How a target becomes an array that batches are gathered from."""

    name: str  # with the version part of the cached file's name
    version: int  # raise it when the stored values change meaning, with the adapters' versions
    # A sample at the net's size (h, w): one shape and type for all samples.
    encode: Callable[[Sample, tuple[int, int]], NDArray[Any]]


@runtime_checkable
class KnowsIds(Protocol):
    """A sequence of samples that knows their ids without decoding them."""

    ids: Sequence[str]


def decode(
    encoding: Encoding,
    samples: Sequence[Sample],
    size: tuple[int, int],
    cache: Path | None,
    threads: int = 1,
) -> Arrays:
    """Decode images and targets at the net's size (h, w), or read them from the cache.

    Constant memory: the arrays are files, mapped copy-on-write, so that nothing a caller does
    reaches the cache. Without a cache they are in memory.
    """
    if not len(samples):
        raise ValueError("a set to decode has at least one sample")
    ids = samples.ids if isinstance(samples, KnowsIds) else [sample.id for sample in samples]
    digest = hashlib.sha256("\n".join(ids).encode()).hexdigest()[:12]
    name = f"{encoding.name}-v{encoding.version}-{size[0]}x{size[1]}-{digest}-r{CACHE_VERSION}"
    decoded = map_in_order(
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
        write_arrays(paths, decoded, len(samples))
    return Arrays(*(np.load(path, mmap_mode="c") for path in paths))


def map_in_order(
    samples: Sequence[Sample], work: Callable[[Sample], Pair], threads: int
) -> Iterator[Pair]:
    """Yield work(sample) of each sample in order, computed by threads a few samples ahead.

    Decoding a PNG releases the interpreter's lock. Torch starts no threads of its own meanwhile.
    An error is raised when the first bad sample's turn comes.
    """

    ahead: deque[Future[Pair]] = deque()
    torch_threads = torch.get_num_threads()
    with ThreadPoolExecutor(threads) as pool, bar("decoding", len(samples)) as progress:
        try:
            torch.set_num_threads(1)
            for n in range(len(samples)):
                ahead.append(pool.submit(lambda n: work(samples[n]), n))
                if len(ahead) >= AHEAD * threads:
                    yield ahead.popleft().result()
                    progress.step()
            while ahead:
                yield ahead.popleft().result()
                progress.step()
        finally:
            for waiting in ahead:
                waiting.cancel()
            torch.set_num_threads(torch_threads)


def write_arrays(paths: tuple[Path, Path], decoded: Iterable[Pair], count: int) -> None:
    """Write `count` pairs of arrays into two .npy files; both appear when both are complete.

    Plain writes: the pages of a mapped file would count as this process's memory.

    Raises:
        RunError: the disk refuses.
    """
    with (
        replacing(paths[1]) as targets_part,
        replacing(paths[0]) as images_part,
        images_part.open("wb") as images_file,
        targets_part.open("wb") as targets_file,
    ):
        for image, target in decoded:
            append_array(images_file, image, count)
            append_array(targets_file, target, count)


def append_array(file: BinaryIO, array: NDArray[Any], count: int) -> None:
    """Append one of `count` arrays of one shape and type; before the first, the .npy header."""
    if file.tell() == 0:
        np.lib.format.write_array_header_1_0(
            file,
            {
                "descr": np.lib.format.dtype_to_descr(array.dtype),
                "fortran_order": False,
                "shape": (count, *array.shape),
            },
        )
    file.write(np.ascontiguousarray(array).data)


# ---- targets


def exclusive_planes(sample: Sample) -> NDArray[np.bool_]:
    """Planes (C, H, W) of exclusive classes, of which none may be unknown: DataError."""
    assert isinstance(sample.target, Masks)
    if sample.target.known is not None and not sample.target.known.all():
        raise DataError(
            f"{sample.id}: expected exclusive classes to be all known, got an unknown one; "
            "only a view with exclusive: false may have unknown classes"
        )
    return sample.target.planes


def to_index(sample: Sample, size: tuple[int, int]) -> NDArray[np.uint8]:
    """(1, h, w) class index, 0 the background."""
    return index_to_net(exclusive_planes(sample), size)[None]


def to_planes(sample: Sample, size: tuple[int, int]) -> NDArray[np.uint8]:
    """(C, h, w) of 0 and 1; an unknown class is `UNKNOWN` all over."""
    assert isinstance(sample.target, Masks)
    planes = planes_to_net(sample.target.planes, size)
    if sample.target.known is not None:
        planes[~sample.target.known] = UNKNOWN
    return planes


INDEX, PLANES = Encoding("index", 2, to_index), Encoding("planes", 2, to_planes)


def index_of(planes: NDArray[np.uint8 | np.bool_]) -> NDArray[np.uint8]:
    """(C, h, w) disjoint planes → (h, w): 0 background, c+1 the class."""
    numbers = np.arange(1, len(planes) + 1, dtype=np.uint8)[:, None, None]
    return cast(NDArray[np.uint8], (planes * numbers).max(axis=0))


# ---- native pixels ↔ the net's pixels


def image_to_net(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W) grey → (h, w) grey, bilinear, antialiased where it shrinks."""
    pixels = torch.from_numpy(np.ascontiguousarray(image))[None, None].float()
    small = F.interpolate(pixels, size=size, mode="bilinear", align_corners=False, antialias=True)
    return small[0, 0].round().clamp(0, 255).byte().numpy()


def planes_to_net(planes: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.uint8]:
    """(C, H, W) → (C, h, w) of 0 and 1: where a class covers at least half of the net's pixel."""
    whole = planes.shape[1] * planes.shape[2]
    return np.where(2 * covered_areas(planes, size) >= whole, 1, 0).astype(np.uint8)


def index_to_net(planes: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Disjoint planes (C, H, W) → (h, w): 0 background, c+1 the class that covers most of a pixel.

    A class that covers as much as the background wins, and of equal classes the first.
    """
    areas = covered_areas(planes, size)
    background = planes.shape[1] * planes.shape[2] - areas.sum(axis=0)
    return np.where(areas.max(axis=0) >= background, areas.argmax(axis=0) + 1, 0).astype(np.uint8)


def covered_areas(planes: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.int64]:
    """(C, H, W) → (C, h, w): the area of each of the net's pixels that a class covers.

    Whole numbers, in 1 / (H·W) of the pixel, so that halves are exact.
    """
    rows, columns = (overlaps(*sides) for sides in zip(planes.shape[1:], size, strict=True))
    return np.stack([(columns @ (rows @ plane.astype(np.int64)).T).T for plane in planes])


def overlaps(source: int, target: int) -> sparse.csr_array:
    """(target, source): how far each of a row's source pixels lies in each of its target pixels.

    In 1 / source of a target pixel.
    """
    # In units in which a source pixel is `target` long, and a target pixel `source`.
    edges = [np.arange(source + 1) * target, np.arange(target + 1) * source]
    cuts = np.unique(np.concatenate(edges))
    places = cuts[:-1] // source, cuts[:-1] // target
    return sparse.csr_array((np.diff(cuts), places), shape=(target, source))


def logits_to_native(logits: Tensor, size: tuple[int, ...]) -> Tensor:
    """(C, h, w) → (C, H, W) float32, bilinear between pixel centres."""
    return F.interpolate(logits[None].float(), size=size, mode="bilinear", align_corners=False)[0]
