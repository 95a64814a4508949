"""The nouns: what passes between datasets, models, metrics and results.

Truth and prediction are the same type, so a metric is a function of pairs. Everything is a frozen
dataclass of NumPy arrays in native pixels; nothing here knows files, Hydra or torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Task = Literal["detect", "segment", "landmark"]
Split = Literal["train", "val", "test"]
TASKS: tuple[Task, ...] = ("detect", "segment", "landmark")
SPLITS: tuple[Split, ...] = ("train", "val", "test")

SEEN, OFF, BLURRED = 0, 1, 2  # a landmark's state: in view; surely not in view; unknown


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True)
class Boxes:
    """Boxes of one image, in native pixels, 0-based, half-open (x2 is one past the last column).

    Raises ValueError where the arrays' shapes disagree.
    """

    xyxy: NDArray[np.float32]  # (N, 4)
    labels: NDArray[np.int64]  # (N,) index into the view's classes
    scores: NDArray[np.float32] | None = None  # (N,) in 0..1; None for a truth

    def __post_init__(self) -> None:
        _require(
            self.xyxy.ndim == 2 and self.xyxy.shape[1] == 4,
            f"xyxy is (N, 4), not {self.xyxy.shape}",
        )
        _require(self.labels.shape == (len(self.xyxy),), f"labels is (N,), not {self.labels.shape}")
        _require(
            self.scores is None or self.scores.shape == (len(self.xyxy),), "scores is (N,) or None"
        )

    @staticmethod
    def empty(scored: bool = False) -> Boxes:
        """No box at all: a valid truth and a valid prediction."""
        scores = np.zeros(0, np.float32) if scored else None
        return Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), scores)


@dataclass(frozen=True)
class Masks:
    """One boolean plane per class at native size; there is no background plane.

    Raises ValueError where the arrays' shapes disagree.
    """

    planes: NDArray[np.bool_]  # (C, H, W)
    scores: NDArray[np.float32] | None = None  # (C,) mean foreground probability; None for a truth
    known: NDArray[np.bool_] | None = (
        None  # (C,) False: nobody knows whether the class is there; None: all known
    )
    probabilities: NDArray[np.float32] | None = (
        None  # (C, H, W) of a prediction, for its calibration; never stored
    )

    def __post_init__(self) -> None:
        _require(self.planes.ndim == 3 and self.planes.dtype == bool, "planes is (C, H, W) bool")
        _require(
            self.known is None or self.known.shape == (len(self.planes),), "known is (C,) or None"
        )
        _require(
            self.scores is None or self.scores.shape == (len(self.planes),),
            "scores is (C,) or None",
        )
        shaped = self.probabilities is None or self.probabilities.shape == self.planes.shape
        _require(shaped, "probabilities is (C, H, W) or None")


@dataclass(frozen=True)
class Landmarks:
    """K named points or curves of one image, in native pixels (x, y)."""

    paths: tuple[NDArray[np.float32], ...]  # K × (P, 2): P = 1 a point, P ≥ 3 spline knots
    state: NDArray[np.int8]  # (K,) SEEN | OFF | BLURRED
    scores: NDArray[np.float32] | None = None  # (K,) in 0..1; None for a truth

    def __post_init__(self) -> None:
        _require(self.state.shape == (len(self.paths),), f"state is (K,), not {self.state.shape}")


Target = Boxes | Masks | Landmarks


@dataclass(frozen=True)
class Record:
    """One image of a release before any pixel is read."""

    id: str  # unique in the release, stable
    group: str  # animal, patient or video: what must not cross splits
    image: str  # path relative to the release's root, with forward slashes
    label: str | None  # likewise; None where the image needs no label file
    split: Split | None = None  # the release's own split, if it has one
    mm_per_px: tuple[float, float] | None = None  # (row, column); None where unknown
    attributes: Mapping[str, str] = field(
        default_factory=dict, hash=False
    )  # what the release says of it: view …


@dataclass(frozen=True)
class Sample:
    """One image with its truth."""

    id: str
    group: str
    image: NDArray[np.uint8]  # (H, W) luma, ITU-R 601
    target: Target
    mm_per_px: tuple[float, float] | None = None  # (row, column)
    split: Split | None = None  # where a layout's write() puts it
    attributes: Mapping[str, str] = field(default_factory=dict, hash=False)  # likewise


@runtime_checkable
class Layout(Protocol):
    """One release's folder habits: index, read and write its exact on-disk format."""

    classes: tuple[str, ...]

    def index(self, root: Path) -> list[Record]:
        """Every image of the release, in order of id, without decoding a pixel."""
        ...

    def read(self, root: Path, record: Record) -> Target:
        """The truth of one record, in native pixels."""
        ...

    def write(self, root: Path, samples: Iterable[Sample]) -> list[Record]:
        """Write the samples in the release's format below root; the records an index would give."""
        ...


Score = Callable[[Iterable[tuple[Target, Target]]], float]  # (truth, prediction) pairs → a figure


def _no_log(name: str, value: float, step: int) -> None:
    """Keep nothing."""


@dataclass(frozen=True)
class Run:
    """What a model is told about the run it trains in."""

    dir: Path  # checkpoints, best weights and everything else the model writes
    device: str  # cpu | cuda:0 …
    seed: int
    precision: Literal["fp32", "bf16"]
    threads: int
    score: Score  # the selection rule, on validation; higher is better
    log: Callable[[str, float, int], None] = field(default=_no_log)  # name, value, step (epoch)
    cache: Path | None = None  # decoded arrays of this data may be kept and shared below it


class Model(Protocol):
    """A network with its trainer. It never sees a test target."""

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], run: Run) -> None:
        """Train, or go on from the last checkpoint in run.dir; the best epoch's weights stay at run.dir/best.*."""
        ...

    def restore(self, run: Run) -> None:
        """Be as after fit, without training: the best weights of a finished run at run.dir."""
        ...

    def predict(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[Target]:
        """One prediction per (H, W) image, in order, in native pixels, from the best weights."""
        ...
