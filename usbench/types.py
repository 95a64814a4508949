"""The values that pass between datasets, models, metrics and results, and the interfaces they meet.

Targets and predictions share a type, so a metric is a function of pairs. Every value is a frozen
dataclass of NumPy arrays in native pixels; nothing here knows files, Hydra or torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Task = Literal["detect", "segment", "landmark"]
Split = Literal["train", "val", "test"]
TASKS: tuple[Task, ...] = ("detect", "segment", "landmark")
SPLITS: tuple[Split, ...] = ("train", "val", "test")

SEEN, OFF, BLURRED = 0, 1, 2  # a landmark's state: in view; surely not in view; unknown


@dataclass(frozen=True)
class Boxes:
    """Boxes of one image, in native pixels, 0-based, half-open (x2 is one past the last column).

    Raises:
        ValueError: the arrays' shapes disagree.
    """

    # (N, 4), float32 from a net; float64 from a file, as COCO's rule compares IoU with thresholds
    xyxy: NDArray[np.floating]
    labels: NDArray[np.int64]  # (N,) index into the view's classes
    scores: NDArray[np.floating] | None = None  # (N,) in 0..1; None for a target
    # (N,) px² that a target states, such as its mask's; None: the boxes' own
    areas: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        shape = self.xyxy.shape
        _require(len(shape) == 2 and shape[1] == 4, f"xyxy: expected (N, 4), got {shape}")
        shape = self.labels.shape
        _require(shape == (len(self.xyxy),), f"labels: expected (N,), got {shape}")
        _require_shape("scores", self.scores, "(N,)", (len(self.xyxy),))
        _require_shape("areas", self.areas, "(N,)", (len(self.xyxy),))

    def select(self, chosen: NDArray[np.bool_], labels: NDArray[np.int64]) -> Boxes:
        """The boxes that are chosen (N,), with other labels."""
        scores = None if self.scores is None else self.scores[chosen]
        areas = None if self.areas is None else self.areas[chosen]
        return Boxes(self.xyxy[chosen], labels, scores, areas)

    @staticmethod
    def empty(scored: bool = False) -> Boxes:
        """No box at all: a valid target and a valid prediction."""
        scores = np.zeros(0, np.float32) if scored else None
        return Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), scores)


@dataclass(frozen=True)
class Masks:
    """One boolean plane per class at native size; there is no background plane.

    Raises:
        ValueError: the arrays' shapes disagree.
    """

    planes: NDArray[np.bool_]  # (C, H, W)
    # (C,) mean foreground probability; None for a target
    scores: NDArray[np.float32] | None = None
    # (C,) False: nobody knows whether the class is there; None: all are known
    known: NDArray[np.bool_] | None = None
    # (C, H, W) of a prediction, for its calibration; never stored
    probabilities: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        boolean = self.planes.ndim == 3 and self.planes.dtype == bool
        got = f"{self.planes.shape} {self.planes.dtype}"
        _require(boolean, f"planes: expected (C, H, W) bool, got {got}")
        _require_shape("known", self.known, "(C,)", (len(self.planes),))
        _require_shape("scores", self.scores, "(C,)", (len(self.planes),))
        _require_shape("probabilities", self.probabilities, "(C, H, W)", self.planes.shape)


@dataclass(frozen=True)
class Landmarks:
    """K named points or curves of one image, in native pixels (x, y).

    A path of one row is a point; one of three or more rows holds the knots of a curve, see
    `curve_through`.
    """

    paths: tuple[NDArray[np.float32], ...]  # K × (P, 2): P = 1 a point, P ≥ 3 spline knots
    state: NDArray[np.int8]  # (K,) SEEN | OFF | BLURRED
    scores: NDArray[np.float32] | None = None  # (K,) in 0..1; None for a target

    def __post_init__(self) -> None:
        _require_shape("state", self.state, "(K,)", (len(self.paths),))


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _require_shape(
    name: str, array: NDArray[np.generic] | None, dimensions: str, shape: tuple[int, ...]
) -> None:
    """Raise ValueError for an array of another shape; None is always right."""
    if array is not None and array.shape != shape:
        raise ValueError(f"{name}: expected {dimensions} = {shape}, got {array.shape}")


Target = Boxes | Masks | Landmarks


def curve_through(knots: NDArray[np.floating], step: float = 1.0) -> NDArray[np.float64]:
    """Sample the curve through knots: the natural cubic spline on chord length, as Unity draws it.

    The spline's parameter is the chord length; its second derivative is zero at both ends. Two
    distinct knots give a straight line, one gives itself; a knot that repeats the one before it
    is left out.

    Args:
        knots: (P ≥ 1, 2) finite x, y in px.
        step: the distance between samples in px of arc, about.

    Returns:
        (N, 2) samples, the first and the last knot among them.

    Raises:
        ValueError: the knots have another shape or aren't finite.
    """
    points = np.asarray(knots, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
        raise ValueError(f"knots: expected (P ≥ 1, 2) finite numbers, got {points.shape}")
    chord = _arc_lengths(points)
    # Also drops a knot so near to the one before that the sum of lengths doesn't change.
    distinct = np.concatenate(([True], np.diff(chord) > 0))
    points = points[distinct]
    chord = chord[distinct]
    if len(points) == 1:
        return points
    from scipy.interpolate import CubicSpline  # slow to import, and only curves need it

    curve = CubicSpline(chord, points, bc_type="natural")
    dense = curve(np.linspace(0, chord[-1], max(2, int(np.ceil(chord[-1] * 8 / step)) + 1)))
    return resample_curve(dense, step)


def resample_curve(line: NDArray[np.floating], step: float = 1.0) -> NDArray[np.float64]:
    """Resample a polyline at equal steps of arc, as near to `step` px as whole steps allow.

    Args:
        line: (N, 2) x, y in px.
        step: px of arc.

    Returns:
        (M, 2) samples, both ends among them.
    """
    points = np.asarray(line, np.float64)
    arc = _arc_lengths(points)
    if arc[-1] == 0:
        return points[:1]
    at = np.linspace(0, arc[-1], max(2, round(arc[-1] / step) + 1))
    return np.stack([np.interp(at, arc, points[:, 0]), np.interp(at, arc, points[:, 1])], axis=1)


def _arc_lengths(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) length of the polyline (N, 2) from its start to each point."""
    return np.concatenate(([0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))))


@dataclass(frozen=True)
class Record:
    """One image of a release before any pixel is read."""

    id: str  # unique in the release, stable
    group: str  # animal, patient or video: what must not cross splits
    image: str  # path relative to the release's root, with forward slashes
    label: str | None  # likewise; None where the image needs no label file
    split: Split | None = None  # the release's own split, if it has one
    mm_per_px: tuple[float, float] | None = None  # (row, column); None where unknown
    # what the release says about the image, such as its view
    attributes: Mapping[str, str] = field(default_factory=dict, hash=False)
    folds: tuple[Split, ...] = ()  # its split in each fold of the release's own, if it has folds


@dataclass(frozen=True)
class Sample:
    """One image with its target."""

    id: str
    group: str
    image: NDArray[np.uint8]  # (H, W) luma, ITU-R 601
    target: Target
    mm_per_px: tuple[float, float] | None = None  # (row, column)
    split: Split | None = None  # where a layout's write() puts it
    attributes: Mapping[str, str] = field(default_factory=dict, hash=False)  # as in Record


class Layout:
    """One kind of release: index, read and write its exact on-disk format.

    A layout inherits from this class and needs `classes`, `index`, `read` and `write`. Everything
    else has a default. The layouts of usbench also state a `name` and a `version`, which identify
    them in run ids; a layout from elsewhere is identified by its path and its source.
    `usbench check --conformance` checks a layout against this contract.
    """

    classes: tuple[str, ...]
    written_as: Task | None = None  # the task whose targets `write` takes; None: the view's own
    folder: str | None = None  # where below the root its files lie; None: the release's own root

    def index(self, root: Path) -> list[Record]:
        """List every image of the release, in order of id, without decoding a pixel."""
        raise NotImplementedError

    def read(self, root: Path, record: Record) -> Target:
        """Read the target of one record, in native pixels."""
        raise NotImplementedError

    def write(self, root: Path, samples: Iterable[Sample]) -> list[Record]:
        """Write samples below root in the release's format; return what `index` would.

        A sample's id may be that of a record of this release, without a split before it.
        """
        raise NotImplementedError

    def shared_files(self, root: Path) -> list[str]:
        """Name the files that records depend on besides their own, relative to the root."""
        return []

    def oddities(self) -> dict[str, int]:
        """Count what was read otherwise than written, by description."""
        return {}

    def notes(self, root: Path) -> list[str]:
        """Say what a reader of scores must know of this copy, such as that it isn't the release."""
        return []


# (target, prediction) pairs → a figure
Score = Callable[[Iterable[tuple[Target, Target]]], float]


def _no_log(name: str, value: float, step: int) -> None:
    """Log nothing."""


@dataclass(frozen=True)
class Run:
    """What a model knows about the run it trains in."""

    dir: Path  # checkpoints, best weights and everything else the model writes
    device: str  # cpu | cuda:0 …
    seed: int
    precision: Literal["fp32", "bf16"]
    threads: int
    score: Score  # the selection metric, on validation; higher is better
    log: Callable[[str, float, int], None] = field(default=_no_log)  # name, value, step (epoch)
    cache: Path | None = None  # folder for decoded arrays of this data, shared by runs


class Model(Protocol):
    """A network with its trainer. It never sees a test target."""

    @property
    def parameters(self) -> int | None:
        """The network's number of parameters, after fit or restore; None if nobody counts them."""
        ...

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], run: Run) -> None:
        """Train, or resume at the last checkpoint in run.dir; leave the best weights at best.*."""
        ...

    def restore(self, run: Run) -> None:
        """Load the best weights of a finished run from run.dir: the state after `fit`."""
        ...

    def predict(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[Target]:
        """Predict each (H, W) image with the best weights, in order, in native pixels."""
        ...
