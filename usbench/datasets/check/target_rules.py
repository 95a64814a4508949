"""Rules of a layout's `read`: what the target of an image must be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from usbench.datasets.check.findings import Finding, finding_of_error
from usbench.datasets.dataset import require_fit
from usbench.errors import DataError
from usbench.types import (
    BLURRED,
    OFF,
    SEEN,
    Boxes,
    Landmarks,
    Masks,
    Record,
    Target,
    Task,
)

KINDS: dict[Task, type[Target]] = {"detect": Boxes, "segment": Masks, "landmark": Landmarks}
DIGITS = 1e-3  # px by which a text format may round


def check_target(
    target: object,
    task: Task,
    classes: Sequence[str],
    exclusive: bool,
    record: Record,
    size: tuple[int, int],
    root: Path,
) -> list[Finding]:
    """Errors of one target that was read; a warning for landmarks outside the image.

    Args:
        target: of the record.
        task: the view's.
        classes: the layout's.
        exclusive: whether no pixel may have two classes.
        record: whose target it is.
        size: (height, width) of its image.
        root: of the release.
    """
    if not isinstance(target, KINDS[task]):
        text = f"{record.id}: expected {KINDS[task].__name__}, got {type(target).__name__}"
        return [Finding("error", "targets", text)]
    faults: list[tuple[str, str]] = []
    if target.scores is not None:
        faults.append(("targets", "scores: expected None, as only predictions have some"))
    found: list[Finding] = []
    match target:
        case Masks():
            faults += _mask_faults(target, len(classes), exclusive)
        case Boxes():
            faults += _box_faults(target, len(classes))
        case Landmarks():
            faults += _landmark_faults(target, len(classes))
            found += _points_outside(target, record, size)
    try:
        require_fit(target, size, root / (record.label or record.image), root / record.image)
    except DataError as error:
        found.append(
            finding_of_error("boxes" if isinstance(target, Boxes) else "targets", error, root)
        )
    return [*(Finding("error", kind, f"{record.id}: {fault}") for kind, fault in faults), *found]


def _mask_faults(masks: Masks, classes: int, exclusive: bool) -> Iterator[tuple[str, str]]:
    """(kind, fault) of masks; their type is boolean, or they couldn't exist."""
    if len(masks.planes) != classes:
        yield "targets", f"expected {classes} planes, one per class, got {len(masks.planes)}"
    if masks.known is not None and masks.known.dtype != bool:
        yield "targets", f"known: expected bool, got {masks.known.dtype}"
    shared = int((masks.planes.sum(axis=0, dtype=np.int64) > 1).sum())
    if exclusive and shared:
        advice = "correct the labels, or set exclusive: false in the view"
        yield "overlap", f"expected no pixel of two classes, got {shared}; {advice}"


def _box_faults(boxes: Boxes, classes: int) -> Iterator[tuple[str, str]]:
    if not np.issubdtype(boxes.xyxy.dtype, np.floating):
        yield "targets", f"xyxy: expected float32 or float64, got {boxes.xyxy.dtype}"
    if boxes.labels.dtype != np.int64:
        yield "targets", f"labels: expected int64, got {boxes.labels.dtype}"
    wrong = boxes.labels[(boxes.labels < 0) | (boxes.labels >= classes)]
    if len(wrong):
        yield "targets", f"labels: expected 0 to {classes - 1}, got {wrong[0]}"
    if not np.isfinite(boxes.xyxy).all():
        yield "boxes", "expected finite corners, got nan or infinity"
    empty = boxes.xyxy[(boxes.xyxy[:, 2:] <= boxes.xyxy[:, :2]).any(axis=1)]
    if len(empty):
        advice = "x2 and y2 are one past the last pixel"
        yield "boxes", f"expected x1 < x2 and y1 < y2, got {empty[0].tolist()}; {advice}"
    if boxes.areas is not None and not (boxes.areas > 0).all():
        yield "targets", f"areas: expected px² above 0, got {boxes.areas.min()}"


def _landmark_faults(marks: Landmarks, classes: int) -> Iterator[tuple[str, str]]:
    if len(marks.paths) != classes:
        yield "targets", f"expected {classes} paths, one per class, got {len(marks.paths)}"
    if marks.state.dtype != np.int8:
        yield "targets", f"state: expected int8, got {marks.state.dtype}"
    if not np.isin(marks.state, (SEEN, OFF, BLURRED)).all():
        yield "landmarks", f"state: expected SEEN, OFF or BLURRED, got {marks.state.tolist()}"
    for n, (path, state) in enumerate(zip(marks.paths, marks.state.tolist(), strict=True)):
        if path.ndim != 2 or path.shape[1] != 2 or path.dtype != np.float32:
            yield "targets", f"path {n}: expected (P, 2) float32, got {path.shape} {path.dtype}"
        elif (len(path) > 0) != (state == SEEN):
            got = f"{len(path)} points in state {state}"
            yield "landmarks", f"path {n}: expected points exactly where it is SEEN (0), got {got}"
        elif len(path) == 2:
            yield "landmarks", f"path {n}: expected one point, or three and more knots, got 2"
        elif not np.isfinite(path).all():
            yield "landmarks", f"path {n}: expected finite x, y, got nan or infinity"


def _points_outside(marks: Landmarks, record: Record, size: tuple[int, int]) -> Iterator[Finding]:
    """A warning for a path with points outside the image: annotators do draw over its edge."""
    for n, path in enumerate(marks.paths):
        if path.size and path.shape[-1] == 2 and ((path < 0) | (path > size[::-1])).any():
            got = f"{path.min(axis=0).tolist()} to {path.max(axis=0).tolist()}"
            text = f"{record.id}: path {n}: expected points inside the image, got {got}"
            yield Finding("warning", "landmarks", text)


def same_target(first: Target, second: Target) -> bool:
    """Whether two targets are equal, but for the digits that a text format keeps."""
    if isinstance(first, Masks) and isinstance(second, Masks):
        known = (first.known is None) == (second.known is None) and np.array_equal(
            np.asarray(first.known), np.asarray(second.known)
        )
        return known and np.array_equal(first.planes, second.planes)
    if isinstance(first, Boxes) and isinstance(second, Boxes):
        return (
            first.xyxy.shape == second.xyxy.shape
            and np.allclose(first.xyxy, second.xyxy, atol=DIGITS, equal_nan=True)
            and np.array_equal(first.labels, second.labels)
        )
    if isinstance(first, Landmarks) and isinstance(second, Landmarks):
        return np.array_equal(first.state, second.state) and all(
            a.shape == b.shape and np.allclose(a, b, atol=DIGITS, equal_nan=True)
            for a, b in zip(first.paths, second.paths, strict=True)
        )
    return False
