"""Pairs of targets and predictions of any task → scores: which scorer, which protocol, checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from numbers import Real
from typing import TypeVar

from usbench.errors import ConfigError, DataError
from usbench.metrics.box_protocols import BOX_PROTOCOLS, COCO
from usbench.metrics.detect_scorer import DetectScorer
from usbench.metrics.landmark_scorer import RADIAL, LandmarkScorer
from usbench.metrics.mask_protocols import MASK_PROTOCOLS
from usbench.metrics.scores import EvaluationProtocol, Figures, Scorer, Scores
from usbench.metrics.segment_scorer import SegmentScorer
from usbench.types import Boxes, Landmarks, Masks, Target, Task

SCORERS: Mapping[Task, Callable[..., Scorer]] = {
    "segment": SegmentScorer,
    "detect": DetectScorer,
    "landmark": LandmarkScorer,
}
KINDS: Mapping[Task, type[Target]] = {"segment": Masks, "detect": Boxes, "landmark": Landmarks}
OURS = "usbench"  # stands for the protocol that a task is reported by
REPORTING: Mapping[Task, str] = {"segment": OURS, "detect": COCO, "landmark": RADIAL.name}
PROTOCOLS: Mapping[Task, Mapping[str, EvaluationProtocol]] = {
    "segment": MASK_PROTOCOLS,
    "detect": BOX_PROTOCOLS,
    "landmark": {RADIAL.name: RADIAL},
}
NO_GROUPS = "no interval: no groups were given"
IN_MM: Sequence[Task] = ("segment", "landmark")  # tasks with scores in mm
LARGEST_MM = 1_000  # of a pixel's side
TWO_LENGTHS = f"two lengths above 0 and below {LARGEST_MM} mm"
Spacing = tuple[float, float]  # (row, column) in mm per px
T = TypeVar("T")


def score_pairs(
    targets: Iterable[Target],
    predictions: Iterable[Target],
    task: Task,
    classes: Sequence[str],
    protocols: Sequence[str],
    groups: Iterable[object] | None,
    mm_per_px: Spacing | Iterable[Spacing | None] | None = None,
) -> Scores:
    """Score predictions in memory; see `usbench.score`, whose arguments these are."""
    if task not in SCORERS:
        raise ConfigError(f"task={task}: expected one of {', '.join(SCORERS)}")
    if isinstance(classes, str):
        raise ConfigError(f"classes={classes!r}: expected a list of names")
    if mm_per_px is not None and task not in IN_MM:
        raise ConfigError(f"mm_per_px: {task} has no score in mm; leave it out")
    names = [REPORTING[task] if name == OURS else name for name in protocols]
    scorer = SCORERS[task](classes, protocols=names)
    labels = None if groups is None else list(map(str, groups))
    spacings = None if mm_per_px is None else read_spacings(mm_per_px)
    images = 0
    for n, (target, prediction) in enumerate(zip_longest(targets, predictions)):
        require_pair(f"image {n}", target, prediction, task, classes)
        group = "" if labels is None else value_of_image("groups", labels, n)
        if isinstance(spacings, list):
            spacing = value_of_image("mm_per_px", spacings, n)
        else:
            spacing = spacings
        scorer.update(str(n), group, target, prediction, mm_per_px=spacing)
        images += 1
    if not images:
        raise DataError("expected targets and predictions of at least one image, got none")
    for name, values in (("groups", labels), ("mm_per_px", spacings)):
        if isinstance(values, list) and len(values) != images:
            raise DataError(
                f"{name}: expected one per image, got {len(values)} for {images} images"
            )
    return without_intervals(scorer.result()) if labels is None else scorer.result()


def value_of_image(name: str, values: Sequence[T], n: int) -> T:
    """The value of image n. Raises DataError where there are fewer values than images."""
    if n >= len(values):
        raise DataError(f"{name}: expected one per image, got {len(values)} for more images")
    return values[n]


# ---- pixel sizes


def is_spacing(value: Sequence[object]) -> bool:
    """Whether a value is (row, column) in mm per px: two lengths above 0."""
    return len(value) == 2 and all(
        isinstance(side, Real) and 0 < float(side) < LARGEST_MM for side in value
    )


def read_spacings(
    mm_per_px: Spacing | Iterable[Spacing | None],
) -> Spacing | list[Spacing | None]:
    """The pair for all images, or a list of one per image. Raises DataError for anything else."""
    values = list(mm_per_px) if isinstance(mm_per_px, Iterable) else [mm_per_px]
    if any(isinstance(value, Real) for value in values):  # one pair
        return read_spacing("mm_per_px", values)
    spacings: list[Spacing | None] = []
    for n, value in enumerate(values):
        spacings.append(None if value is None else read_spacing(f"image {n}: mm_per_px", value))
    return spacings


def read_spacing(where: str, value: object) -> Spacing:
    """(row, column) as floats. Raises DataError, with `where`, for anything else."""
    sides = tuple(value) if isinstance(value, Iterable) else (value,)
    if not is_spacing(sides):
        raise DataError(f"{where}: expected (row, column), {TWO_LENGTHS}, got {sides}")
    return float(sides[0]), float(sides[1])


# ---- checks


def require_pair(
    where: str, target: object, prediction: object, task: Task, classes: Sequence[str]
) -> None:
    """Raise DataError where a pair isn't what the task's scorer takes.

    Args:
        where: the image, for messages.
        target: None where there are fewer targets than predictions.
        prediction: None where there are fewer predictions than targets.
        task: which decides the kind of both.
        classes: their names.
    """
    for side, value in (("target", target), ("prediction", prediction)):
        if value is None:
            raise DataError(f"{where}: expected a target and a prediction, got no {side}")
    target = require_kind(f"{where}: target", target, task, classes)
    prediction = require_kind(f"{where}: prediction", prediction, task, classes)
    if isinstance(target, Masks) and isinstance(prediction, Masks):
        sizes = target.planes.shape[1:], prediction.planes.shape[1:]
        if sizes[0] != sizes[1]:
            raise DataError(
                f"{where}: expected target and prediction of one size (H, W), "
                f"got {sizes[0]} and {sizes[1]}"
            )
    if isinstance(prediction, Boxes) and prediction.scores is None:
        raise DataError(f"{where}: expected a prediction with scores (N,), got none")


def require_kind(where: str, value: object, task: Task, classes: Sequence[str]) -> Target:
    """The target or prediction. Raises DataError for another type or other classes than these."""
    kind = KINDS[task]
    if not isinstance(value, kind):
        raise DataError(
            f"{where}: expected usbench.types.{kind.__name__} (task={task}), "
            f"got {type(value).__name__}"
        )
    if isinstance(value, Boxes):
        labels = value.labels
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(classes):
            raise DataError(
                f"{where}: expected labels from 0 to {len(classes) - 1} ({', '.join(classes)}), "
                f"got {labels.min()} to {labels.max()}"
            )
        return value
    count = len(value.planes if isinstance(value, Masks) else value.paths)
    if count != len(classes):
        what = "plane" if isinstance(value, Masks) else "path"
        raise DataError(
            f"{where}: expected {len(classes)} {what}{'s' * (len(classes) != 1)} ({', '.join(classes)}), got {count}"
        )
    return value


def without_intervals(scores: Scores) -> Scores:
    """The scores of images whose groups nobody gave: no intervals, and the reason."""
    protocols = tuple(part.with_figures(remove_intervals) for part in scores.protocols)
    return Scores(protocols, [{**row, "group": None} for row in scores.cases])


def remove_intervals(figures: Figures) -> Figures:
    """The figures without intervals, and the reason where there would be one."""
    return {
        name: replace(
            figure,
            low=None,
            high=None,
            method=None,
            groups=None,
            interval=figure.interval and NO_GROUPS,
        )
        for name, figure in figures.items()
    }
