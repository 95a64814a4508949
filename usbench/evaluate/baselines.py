"""Baselines: predictions without a network, to check a protocol and to compare models with.

A model that doesn't clearly beat `prior`, which knows the training targets but not the image, has
learned nothing from the pixels. `target` must reach the target score of every protocol; `blank`
and `full` have scores that follow from the targets' areas; `flipped` and `shuffled` must score
lower.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from usbench.types import (
    BLURRED,
    OFF,
    SEEN,
    Boxes,
    Landmarks,
    Masks,
    Sample,
    Target,
    Task,
    curve_through,
)

GRID = (128, 128)  # height and width on which training masks are averaged
KNOTS = 33  # along a curve that is averaged
NAMES: Mapping[Task, tuple[str, ...]] = {
    "segment": ("target", "flipped", "shuffled", "prior", "mean", "full", "blank"),
    "detect": ("target", "flipped", "shuffled", "prior", "full", "blank"),
    "landmark": ("target", "flipped", "shuffled", "prior", "centre"),
}
FLOOR = ("prior", "blank", "centre")  # shown on the leaderboard: what a model has to beat
Predict = Callable[[Sample], Target]
Maps = NDArray[np.float64]  # (C, h, w) share of the training images with the class there
Points = NDArray[np.floating]  # (N, 2) x, y


def fit_baselines(train: Iterable[Sample], task: Task, exclusive: bool) -> dict[str, Predict]:
    """The baselines that look at nothing but the sample and the training targets, by name.

    `shuffled` needs the other test images: see `predict_shuffled`.

    Args:
        train: read once.
        exclusive: whether a pixel has one class at most.
    """
    baselines: dict[str, Predict] = {
        "target": lambda sample: as_prediction(sample.target),
        "flipped": predict_flipped,
    }
    if task == "landmark":
        landmarks = average_landmarks(train)
        return baselines | {
            "prior": lambda sample: to_pixels(landmarks, image_size(sample)),
            "centre": predict_nothing,
        }
    if task == "segment":
        maps = average_masks(train)
        baselines |= {
            "prior": lambda sample: prior_masks(maps, image_size(sample), exclusive),
            "mean": lambda sample: Masks(stretch(maps, image_size(sample)) > 0.5),
        }
    else:
        boxes = average_boxes(train)
        baselines["prior"] = lambda sample: to_pixels(boxes, image_size(sample))
    return baselines | {"full": predict_everything, "blank": predict_nothing}


def f32(*values: float) -> NDArray[np.float32]:
    """Coordinates as an array."""
    return np.array(values, np.float32)


def image_size(sample: Sample) -> tuple[int, int]:
    """Height and width in px."""
    return sample.image.shape[0], sample.image.shape[1]


# ---- from the test image's own target


def as_prediction(target: Target) -> Target:
    """A target as a model would predict it, with full confidence; absent landmarks at (0, 0)."""
    if isinstance(target, Masks):
        return Masks(target.planes, np.ones(len(target.planes), np.float32))
    if isinstance(target, Boxes):
        return replace(target, scores=np.ones(len(target.labels), np.float32))
    paths = tuple(path if len(path) else np.zeros((1, 2), np.float32) for path in target.paths)
    return Landmarks(paths, target.state, (target.state == SEEN).astype(np.float32))


def predict_flipped(sample: Sample) -> Target:
    """The target of the mirror image: what a forgotten flip does."""
    target, width = as_prediction(sample.target), sample.image.shape[1]
    if isinstance(target, Masks):
        return replace(target, planes=np.ascontiguousarray(target.planes[:, :, ::-1]))
    if isinstance(target, Boxes):
        mirrored = target.xyxy[:, [2, 1, 0, 3]] * f32(-1, 1, -1, 1)
        return replace(target, xyxy=mirrored + f32(width, 0, width, 0))
    return move_points(target, lambda points: points * f32(-1, 1) + f32(width - 1, 0))


def predict_shuffled(samples: Sequence[Sample]) -> Iterator[Target]:
    """For each sample the target of the next one of another group, stretched to its size."""
    for n, sample in enumerate(samples):
        other = next_group(samples, n)
        if other is None:
            yield predict_nothing(sample)
        else:
            yield to_pixels(
                to_fractions(as_prediction(other.target), image_size(other)), image_size(sample)
            )


def next_group(samples: Sequence[Sample], n: int) -> Sample | None:
    """The next sample after the n-th of another group, around the end; None where all are alike."""
    group = samples[n].group
    others = (samples[(n + step) % len(samples)] for step in range(1, len(samples)))
    return next((other for other in others if other.group != group), None)


def predict_everything(sample: Sample) -> Target:
    """All classes in all pixels; a box of the whole image for each class of the target."""
    height, width = image_size(sample)
    if isinstance(sample.target, Masks):
        planes = np.ones_like(sample.target.planes)
        return Masks(planes, np.ones(len(planes), np.float32))
    assert isinstance(sample.target, Boxes)
    labels = np.unique(sample.target.labels)
    return Boxes(
        np.tile(f32(0, 0, width, height), (len(labels), 1)),
        labels,
        np.ones(len(labels), np.float32),
    )


def predict_nothing(sample: Sample) -> Target:
    """Nothing; a landmark, which must be somewhere, in the image's middle."""
    target = sample.target
    if isinstance(target, Masks):
        return Masks(np.zeros_like(target.planes), np.zeros(len(target.planes), np.float32))
    if isinstance(target, Boxes):
        return Boxes.empty(scored=True)
    height, width = image_size(sample)
    middle = f32((width - 1) / 2, (height - 1) / 2)[None]
    n = len(target.paths)
    return Landmarks((middle,) * n, target.state, np.full(n, 0.5, np.float32))


# ---- from the training targets


def average_masks(train: Iterable[Sample]) -> Maps:
    """(C, h, w) on the grid: the share of the training images with the class at each place."""
    total: Maps = np.zeros(())
    count = 0
    for sample in train:
        assert isinstance(sample.target, Masks)
        count += 1
        total = total + stretch(sample.target.planes.astype(np.float64), GRID)
    return total / count


def prior_masks(maps: Maps, size: tuple[int, int], exclusive: bool) -> Masks:
    """Each class where it is most frequent, over as many pixels as it has on average.

    Args:
        maps: from `average_masks`.
        size: height and width of the prediction.
        exclusive: where classes overlap, the most frequent one keeps the pixel.
    """
    shares = maps.mean(axis=(1, 2))  # (C,) of the pixels
    frequent = stretch(maps, size)
    planes = np.zeros(frequent.shape, bool)
    for c, share in enumerate(shares):
        if share > 0:
            planes[c] = frequent[c] >= np.quantile(frequent[c], 1 - share)
    if exclusive:
        best = np.where(planes, frequent, -1).argmax(axis=0)
        planes &= best[None] == np.arange(len(planes))[:, None, None]
    return Masks(planes, np.clip(shares, 0, 1).astype(np.float32))


def average_boxes(train: Iterable[Sample]) -> Boxes:
    """One box per class, the mean of its boxes, in fractions of the sides.

    Its score is the share of the training images with the class.
    """
    corners: dict[int, list[NDArray[np.float32]]] = defaultdict(list)
    images_with: Counter[int] = Counter()
    count = 0
    for sample in train:
        target = to_fractions(sample.target, image_size(sample))
        assert isinstance(target, Boxes)
        count += 1
        for box, label in zip(target.xyxy, target.labels.tolist(), strict=True):
            corners[label].append(box)
        images_with.update(set(target.labels.tolist()))
    labels = sorted(corners)
    return Boxes(
        np.array([np.mean(corners[label], axis=0) for label in labels], np.float32).reshape(-1, 4),
        np.array(labels, np.int64),
        np.array([images_with[label] / count for label in labels], np.float32),
    )


def average_landmarks(train: Iterable[Sample]) -> Landmarks:
    """Each landmark's mean place, or mean curve, in fractions of the sides.

    Its score is the share of the images, of those where it isn't blurred, in which it is seen.
    """
    places: list[list[NDArray[np.float64]]] = []
    known: list[int] = []  # images where a landmark is seen or known to be off
    for sample in train:
        target, (height, width) = sample.target, image_size(sample)
        assert isinstance(target, Landmarks)
        if not places:
            places = [[] for _ in target.paths]
            known = [0] * len(target.paths)
        for n, (path, state) in enumerate(zip(target.paths, target.state, strict=True)):
            known[n] += state != BLURRED
            if state == SEEN:
                points = path if len(path) == 1 else resample_curve(path)
                places[n].append(points / np.array([width, height]))
    scores = np.array(list(map(len, places))) / np.maximum(known, 1)
    state = np.where(scores >= 0.5, SEEN, OFF).astype(np.int8)
    return Landmarks(tuple(map(mean_path, places)), state, scores.clip(0, 1).astype(np.float32))


def mean_path(paths: Sequence[NDArray[np.float64]]) -> NDArray[np.float32]:
    """(P, 2) the mean of those with the most points; the image's middle where there is none."""
    if not paths:
        return np.full((1, 2), 0.5, np.float32)
    length = max(map(len, paths))
    longest = [path for path in paths if len(path) == length]
    mean: NDArray[np.float64] = np.mean(longest, axis=0)
    return mean.astype(np.float32)


def resample_curve(path: NDArray[np.float32]) -> NDArray[np.float64]:
    """A curve at 33 places, evenly along it."""
    line = curve_through(path)
    at = np.linspace(0, len(line) - 1, KNOTS)
    return np.stack([np.interp(at, np.arange(len(line)), line[:, axis]) for axis in (0, 1)], axis=1)


# ---- between images of different size


def stretch(planes: Maps, size: tuple[int, int]) -> Maps:
    """(C, h, w) → (C, *size): the value below the centre of each new pixel."""
    rows = ((np.arange(size[0]) + 0.5) * planes.shape[1] / size[0]).astype(int)
    columns = ((np.arange(size[1]) + 0.5) * planes.shape[2] / size[1]).astype(int)
    return planes[:, rows[:, None], columns]


def to_fractions(target: Target, size: tuple[int, int]) -> Target:
    """Coordinates as fractions of the sides; masks stay as they are."""
    return move_points(target, lambda points: (points / f32(size[1], size[0])).astype(np.float32))


def to_pixels(target: Target, size: tuple[int, int]) -> Target:
    """`to_fractions` undone, for an image of (height, width); masks are stretched."""
    if isinstance(target, Masks):
        return replace(target, planes=stretch(target.planes.astype(np.float64), size) > 0.5)
    return move_points(target, lambda points: points * f32(size[1], size[0]))


def move_points(target: Target, move: Callable[[Points], Points]) -> Target:
    """The target with its points (N, 2), or the corners of its boxes, moved; masks stay."""
    if isinstance(target, Masks):
        return target
    if isinstance(target, Boxes):
        return replace(target, xyxy=move(target.xyxy.reshape(-1, 2)).reshape(-1, 4))
    return replace(target, paths=tuple(map(move, target.paths)))
