"""Predictions as COCO results: one list of what was found, beside it the list of the images that
were predicted.

Numbers carry nine digits, so that float32 survives exactly.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from usbench.datasets.codecs import rle
from usbench.datasets.codecs.images_list import (
    ImageEntry,
    PairWriter,
    entry_error,
    load_entries,
    read_images,
)
from usbench.datasets.codecs.readers import is_number
from usbench.errors import DataError, RunError
from usbench.types import Boxes, Masks


class PredictionWriter:
    """Writes predictions image by image, in constant memory, one entry per line, always the same
    bytes.

    Use it with `with`; both files appear when the block ends well, neither when it doesn't (see
    `Pair`).
    """

    def __init__(self, predictions: Path, images: Path) -> None:
        self._pair = PairWriter(predictions, images)

    def __enter__(self) -> Self:
        """Open both files beside their places; RunError where they can't be written."""
        self._pair.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pair.__exit__(kind, error, trace)

    def add(self, file_name: str, group: str, size: tuple[int, int], target: Boxes | Masks) -> None:
        """Append the prediction of the next image of (height, width) px.

        Call in order of the records' ids.

        Boxes are clipped to the image. An empty plane gets no entry. Without scores every score is
        1. Raises DataError for a name that was there before, RunError for boxes or scores that
        aren't finite or in order.
        """
        number = self._pair.image(file_name, group, size)
        _require_finite(f"{self._pair.predictions}: {file_name}", target)
        if isinstance(target, Boxes):
            self._pair.add(_box_lines(number, size, target))
        else:
            self._pair.add(_mask_lines(number, size, target))


def _box_lines(number: int, size: tuple[int, int], boxes: Boxes) -> Iterator[str]:
    height, width = size
    xyxy = boxes.xyxy.astype(np.float64)
    scores = _scores(boxes.scores, len(xyxy))
    if len(xyxy) and boxes.labels.min() < 0:
        raise ValueError("labels are indices into the classes, from 0")
    xyxy = np.clip(xyxy, 0, [width, height, width, height]) + 0.0  # -0.0 + 0.0 = 0.0
    sides = np.concatenate([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], axis=1)
    for label, (x, y, w, h), score in zip(
        boxes.labels.tolist(), sides.tolist(), scores.tolist(), strict=True
    ):
        bbox = f"[{x:.9g},{y:.9g},{w:.9g},{h:.9g}]"
        yield f'{{"image_id":{number},"category_id":{label + 1},"bbox":{bbox},"score":{score:.9g}}}'


def _mask_lines(number: int, size: tuple[int, int], masks: Masks) -> Iterator[str]:
    if masks.planes.shape[1:] != size:
        raise ValueError(f"planes of {masks.planes.shape[1:]} px for an image of {size} px")
    scores = _scores(masks.scores, len(masks.planes)).tolist()
    for label in np.flatnonzero(masks.planes.any(axis=(1, 2))).tolist():
        counts = json.dumps(rle.encode_rle(masks.planes[label]))
        segmentation = f'{{"size":[{size[0]},{size[1]}],"counts":{counts}}}'
        score = f"{scores[label]:.9g}"
        entry = f'"image_id":{number},"category_id":{label + 1},"segmentation":{segmentation}'
        yield f'{{{entry},"score":{score}}}'


def _scores(scores: NDArray[np.float32] | None, number: int) -> NDArray[np.float64]:
    return np.ones(number) if scores is None else scores.astype(np.float64) + 0.0


def _require_finite(where: str, target: Boxes | Masks) -> None:
    """Stop a diverged model here: NaN fails every comparison."""
    advice = "look at the model's loss"
    if target.scores is not None and not ((target.scores >= 0) & (target.scores <= 1)).all():
        raise RunError(f"{where}: expected scores in 0..1, got others; {advice}")
    if isinstance(target, Masks):
        return
    if not (np.isfinite(target.xyxy).all() and (target.xyxy[:, 2:] >= target.xyxy[:, :2]).all()):
        raise RunError(
            f"{where}: expected finite boxes with x1 ≤ x2 and y1 ≤ y2, got others; {advice}"
        )


MOST = 1e6  # px
NUMBERS = frozenset({int, float})  # of JSON; a bool is neither


@dataclass(frozen=True)
class _Plane:
    """One class's mask as the file holds it."""

    label: int
    counts: str
    score: float


@dataclass(frozen=True)
class PredictionFile:
    """A checked predictions file: `file[n]` is the prediction of `file.images[n]`.

    Iterating goes in that order.

    Masks are decoded when asked for (DataError where the run lengths are damaged); a class without
    an entry is an empty plane of score 0.
    """

    path: Path
    images: list[ImageEntry]
    classes: int
    found: list[Boxes | list[_Plane]]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, n: int) -> Boxes | Masks:
        target = self.found[n]
        return target if isinstance(target, Boxes) else self._decoded(self.images[n], target)

    def __iter__(self) -> Iterator[Boxes | Masks]:
        return (self[n] for n in range(len(self)))

    def _decoded(self, image: ImageEntry, found: list[_Plane]) -> Masks:
        size = image["height"], image["width"]
        planes, scores = np.zeros((self.classes, *size), bool), np.zeros(self.classes, np.float32)
        for plane in found:
            scores[plane.label] = plane.score
            try:
                planes[plane.label] = rle.decode_rle(plane.counts, size)
            except ValueError as error:
                where = f"the mask of class {plane.label + 1} in image {image['id']}"
                raise DataError(
                    f"{self.path}: expected {where}, got {error}; predict again"
                ) from error
        return Masks(planes, scores)


def read_predictions(
    predictions: Path, images: Path, task: Literal["detect", "segment"], classes: int
) -> PredictionFile:
    """Predictions of a task over 1..`classes` categories, with the images they were made for.

    Boxes are clipped to their image.

    Raises:
        DataError: a missing, cut-off or damaged file, an unknown image or category, a score outside
            0..1, a box that isn't finite or has a negative side, a mask of another size than its
            image and a second mask of one class.
    """
    listed = read_images(images)
    groups: list[list[tuple[int, dict[str, Any]]]] = [[] for _ in listed]
    for number, entry in enumerate(load_entries(predictions, "a list of COCO results"), start=1):
        image: Any = entry.get("image_id")
        category, score = entry.get("category_id"), entry.get("score")
        if not is_number(image, 1, len(listed), whole=True):
            raise entry_error(predictions, number, f"an image_id of 1..{len(listed)}", image)
        if not is_number(category, 1, classes, whole=True):
            raise entry_error(predictions, number, f"a category_id of 1..{classes}", category)
        if not is_number(score, 0, 1):
            raise entry_error(predictions, number, "a score of 0..1", score)
        groups[image - 1].append((number, entry))
    read = _boxes if task == "detect" else _planes
    found = [
        read(predictions, image, entries) for image, entries in zip(listed, groups, strict=True)
    ]
    return PredictionFile(predictions, listed, classes, found)


def _boxes(path: Path, image: ImageEntry, entries: list[tuple[int, dict[str, Any]]]) -> Boxes:
    sides = []
    for number, entry in entries:
        bbox = entry.get("bbox")
        if not (isinstance(bbox, list) and len(bbox) == 4 and NUMBERS.issuperset(map(type, bbox))):
            raise entry_error(path, number, "a bbox of four finite numbers", bbox)
        # Before it becomes an array: JSON knows whole numbers of any length.
        if max(bbox) > MOST or min(bbox) < -MOST:
            raise entry_error(path, number, "a bbox of four finite numbers", bbox)
        sides.append(bbox)
    xywh = np.array(sides, np.float64).reshape(-1, 4)
    for n in np.flatnonzero(~(np.abs(xywh) <= MOST).all(axis=1))[:1]:
        raise entry_error(path, entries[n][0], "a bbox of four finite numbers", sides[n])
    for n in np.flatnonzero((xywh[:, 2:] < 0).any(axis=1))[:1]:
        raise entry_error(
            path, entries[n][0], "a bbox [x, y, width, height] without a negative side", sides[n]
        )
    xyxy = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
    width, height = image["width"], image["height"]
    labels = np.array([entry["category_id"] - 1 for _, entry in entries], np.int64)
    scores = np.array([entry["score"] for _, entry in entries], np.float32)
    return Boxes(
        np.clip(xyxy, 0, [width, height, width, height]).astype(np.float32), labels, scores
    )


def _planes(
    path: Path, image: ImageEntry, entries: list[tuple[int, dict[str, Any]]]
) -> list[_Plane]:
    found: dict[int, _Plane] = {}
    size = [image["height"], image["width"]]
    for number, entry in entries:
        category, segmentation = entry["category_id"], entry.get("segmentation")
        counts = segmentation.get("counts") if isinstance(segmentation, dict) else None
        if not (isinstance(segmentation, dict) and isinstance(counts, str)):
            raise entry_error(
                path, number, "a segmentation of size and compressed counts", segmentation
            )
        if segmentation.get("size") != size:
            raise entry_error(
                path, number, f"a mask of its image's size {size}", segmentation.get("size")
            )
        if category in found:
            raise entry_error(
                path, number, "one mask per image and class", f"a second of category {category}"
            )
        found[category] = _Plane(category - 1, counts, entry["score"])
    return list(found.values())
