"""Controls: predictions that need no network, from the truth itself to nothing at all, to test a protocol and a model by.

A model that doesn't clearly beat `prior`, which knows the training truths but not the image, has learnt nothing from
the pixels. `truth` must reach the target_score of every rule, `blank` and `full` have figures that follow from the truths'
areas, and `flipped` and `shuffled` must be noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from usbench.types import (
    SEEN,
    Boxes,
    Landmarks,
    Masks,
    Sample,
    Target,
    Task,
    curve_through,
)

GRID = (128, 128)  # on which training masks are averaged
KNOTS = 33  # along a curve that is averaged
NAMES: dict[Task, tuple[str, ...]] = {
    "segment": ("truth", "flipped", "shuffled", "prior", "mean", "full", "blank"),
    "detect": ("truth", "flipped", "shuffled", "prior", "full", "blank"),
    "landmark": ("truth", "flipped", "shuffled", "prior", "centre"),
}
FLOOR = ("prior", "blank", "centre")  # those that the board shows: what a model has to beat
Guess = Callable[[Sample], Target]
Maps = NDArray[np.float64]  # (C, h, w) share of the training images with the class there


def guesses(train: Iterable[Sample], task: Task, exclusive: bool) -> dict[str, Guess]:
    """name → what it predicts, of those that look at nothing but the sample and the training truths.

    `shuffled` needs the other test images: see `shuffled`.
    """
    fixed: dict[str, Guess] = {"truth": lambda sample: sure(sample.target), "flipped": flipped}
    if task == "segment":
        maps, shares = average_masks(train)
        by_name = {"prior": lambda sample: prior_masks(maps, shares, size_of(sample), exclusive)}
        by_name["mean"] = lambda sample: Masks(stretch(maps, size_of(sample)) > 0.5)
        return fixed | by_name | {"full": everywhere, "blank": nowhere}
    if task == "detect":
        boxes = average_boxes(train)
        return fixed | {
            "prior": lambda sample: scaled(boxes, size_of(sample)),
            "full": everywhere,
            "blank": nowhere,
        }
    marks = average_marks(train)
    return fixed | {"prior": lambda sample: scaled(marks, size_of(sample)), "centre": nowhere}


def f32(*values: float) -> NDArray[np.float32]:
    """Coordinates."""
    return np.array(values, np.float32)


def size_of(sample: Sample) -> tuple[int, int]:
    """(height, width)."""
    return sample.image.shape[0], sample.image.shape[1]


def sure(target: Target) -> Target:
    """A truth as a model would predict it: sure of everything, and somewhere for what isn't there."""
    if isinstance(target, Masks):
        return Masks(target.planes, np.ones(len(target.planes), np.float32))
    if isinstance(target, Boxes):
        return replace(target, scores=np.ones(len(target.labels), np.float32))
    paths = tuple(path if len(path) else np.zeros((1, 2), np.float32) for path in target.paths)
    return Landmarks(paths, target.state, (target.state == SEEN).astype(np.float32))


def flipped(sample: Sample) -> Target:
    """The truth of the mirror image: what a forgotten flip does."""
    target, width = sure(sample.target), sample.image.shape[1]
    if isinstance(target, Masks):
        return replace(target, planes=np.ascontiguousarray(target.planes[:, :, ::-1]))
    if isinstance(target, Boxes):
        return replace(
            target, xyxy=target.xyxy[:, [2, 1, 0, 3]] * f32(-1, 1, -1, 1) + f32(width, 0, width, 0)
        )
    return replace(
        target, paths=tuple(path * f32(-1, 1) + f32(width - 1, 0) for path in target.paths)
    )


def shuffled(samples: Sequence[Sample]) -> Iterator[Target]:
    """For each sample the truth of the next one of another group, stretched to its size."""
    for n, sample in enumerate(samples):
        following = (samples[(n + step) % len(samples)] for step in range(1, len(samples)))
        other = next((one for one in following if one.group != sample.group), None)
        yield (
            nowhere(sample)
            if other is None
            else scaled(relative(sure(other.target), size_of(other)), size_of(sample))
        )


def everywhere(sample: Sample) -> Target:
    """All classes in all pixels; a box of the whole image per class that the truth may have."""
    height, width = size_of(sample)
    if isinstance(sample.target, Masks):
        planes = np.ones_like(sample.target.planes)
        return Masks(planes, np.ones(len(planes), np.float32))
    assert isinstance(sample.target, Boxes)
    labels = np.unique(sample.target.labels)
    boxes = np.tile(f32(0, 0, width, height), (len(labels), 1))
    return Boxes(boxes, labels, np.ones(len(labels), np.float32))


def nowhere(sample: Sample) -> Target:
    """Nothing; a landmark, which is always somewhere, in the image's middle."""
    target = sample.target
    if isinstance(target, Masks):
        return Masks(np.zeros_like(target.planes), np.zeros(len(target.planes), np.float32))
    if isinstance(target, Boxes):
        return Boxes.empty(scored=True)
    height, width = size_of(sample)
    middle = f32((width - 1) / 2, (height - 1) / 2)[None]
    return Landmarks(
        tuple(middle for _ in target.paths),
        target.state,
        np.full(len(target.paths), 0.5, np.float32),
    )


# ---- what the training truths say


def average_masks(train: Iterable[Sample]) -> tuple[Maps, NDArray[np.float64]]:
    """((C, h, w) share of the training images with the class at each place, (C,) its mean share of the pixels)."""
    total: NDArray[np.float64] | None = None
    count = 0
    for sample in train:
        assert isinstance(sample.target, Masks)
        planes = stretch(sample.target.planes.astype(np.float64), GRID)
        total, count = planes if total is None else total + planes, count + 1
    assert total is not None
    maps = total / count
    return maps, maps.mean(axis=(1, 2))


def prior_masks(
    maps: Maps, shares: NDArray[np.float64], size: tuple[int, int], exclusive: bool
) -> Masks:
    """Each class where it is likeliest, over as many pixels as it has on average; of exclusive ones the likeliest."""
    likely = stretch(maps, size)
    planes = np.zeros(likely.shape, bool)
    for c, share in enumerate(shares):
        if share > 0:
            planes[c] = likely[c] >= np.quantile(likely[c], 1 - share)
    if exclusive:
        best = np.where(planes, likely, -1).argmax(axis=0)
        planes &= best[None] == np.arange(len(planes))[:, None, None]
    return Masks(planes, np.clip(shares, 0, 1).astype(np.float32))


def average_boxes(train: Iterable[Sample]) -> Boxes:
    """One box per class, in fractions of the sides, the mean of its boxes; its score the share of images with it."""
    found: dict[int, list[NDArray[np.float32]]] = {}
    seen: dict[int, int] = {}
    count = 0
    for sample in train:
        target = relative(sample.target, size_of(sample))
        assert isinstance(target, Boxes)
        count += 1
        for box, label in zip(target.xyxy, target.labels.tolist(), strict=True):
            found.setdefault(label, []).append(box)
        for label in set(target.labels.tolist()):
            seen[label] = seen.get(label, 0) + 1
    labels = sorted(found)
    boxes = np.array([np.mean(found[label], axis=0) for label in labels], np.float32).reshape(-1, 4)
    return Boxes(
        boxes, np.array(labels, np.int64), np.array([seen[n] / count for n in labels], np.float32)
    )


def average_marks(train: Iterable[Sample]) -> Landmarks:
    """Each name's mean place, or mean curve, in fractions of the sides; its score the share of images it is seen in."""
    places: dict[int, list[NDArray[np.float64]]] = {}
    told: dict[int, int] = {}
    names = 0
    for sample in train:
        target = relative(sample.target, size_of(sample))
        assert isinstance(target, Landmarks) and isinstance(sample.target, Landmarks)
        names = len(target.paths)
        for n, path in enumerate(sample.target.paths):
            told[n] = told.get(n, 0) + (sample.target.state[n] != 2)
            if sample.target.state[n] == SEEN:
                line = path if len(path) == 1 else even(path)
                places.setdefault(n, []).append(
                    line / np.array([sample.image.shape[1], sample.image.shape[0]])
                )
    paths, scores = [], []
    for n in range(names):
        kept = places.get(n, [])
        length = max((len(path) for path in kept), default=1)
        alike = [path for path in kept if len(path) == length]
        paths.append(
            np.mean(alike, axis=0).astype(np.float32) if alike else np.full((1, 2), 0.5, np.float32)
        )
        scores.append(len(kept) / max(told.get(n, 0), 1))
    state = np.where(np.array(scores) >= 0.5, SEEN, 1).astype(np.int8)
    return Landmarks(tuple(paths), state, np.clip(np.array(scores), 0, 1).astype(np.float32))


def even(path: NDArray[np.float32]) -> NDArray[np.float64]:
    """A curve at as many places, evenly along it, as every other."""
    line = curve_through(path)
    at = np.linspace(0, len(line) - 1, KNOTS)
    return np.stack([np.interp(at, np.arange(len(line)), line[:, axis]) for axis in (0, 1)], axis=1)


# ---- between images


def stretch(planes: Maps, size: tuple[int, int]) -> Maps:
    """(C, h, w) → (C, *size): the value under each new pixel's centre."""
    rows, columns = (
        ((np.arange(n) + 0.5) * old / n).astype(int)
        for n, old in zip(size, planes.shape[1:], strict=True)
    )
    return planes[:, rows[:, None], columns]


def relative(target: Target, size: tuple[int, int]) -> Target:
    """Coordinates as fractions of the sides; masks stay as they are."""
    sides = f32(size[1], size[0])
    if isinstance(target, Masks):
        return target
    if isinstance(target, Boxes):
        return replace(target, xyxy=(target.xyxy / np.tile(sides, 2)).astype(np.float32))
    return replace(target, paths=tuple(path / sides for path in target.paths))


def scaled(target: Target, size: tuple[int, int]) -> Target:
    """`relative` undone, for an image of (height, width)."""
    sides = f32(size[1], size[0])
    if isinstance(target, Masks):
        return replace(target, planes=stretch(target.planes.astype(np.float64), size) > 0.5)
    if isinstance(target, Boxes):
        return replace(target, xyxy=target.xyxy * np.tile(sides, 2))
    return replace(target, paths=tuple(path * sides for path in target.paths))
