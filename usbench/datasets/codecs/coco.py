"""Predictions as COCO results: one list of boxes or masks. Ours lie beside the list of the images
that were predicted; any tool's go by the ids of COCO's target file.

float32 is written with nine digits, so that it survives exactly, float64 with all. Both are read as
float64, as pycocotools reads them.
"""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from usbench.datasets.codecs import rle
from usbench.datasets.codecs.coco_parts import LinkedParts
from usbench.datasets.codecs.images_list import (
    ImageEntry,
    PackedMasks,
    PairWriter,
    PredictionFile,
    load_entries,
    read_images,
)
from usbench.datasets.codecs.readers import (
    are_numbers,
    content_error,
    is_number,
    read_identity,
    require,
)
from usbench.errors import DataError, RunError
from usbench.io.files import JsonObject
from usbench.types import Boxes, Masks, Target

# ---- writing


class PredictionWriter(PairWriter):
    """Writes predictions image by image, in constant memory, one entry per line, always the same
    bytes; use it with `with` (see `PairWriter`).
    """

    def add(self, file_name: str, group: str, size: tuple[int, int], target: Boxes | Masks) -> None:
        """Append the prediction of the next image of (height, width) px.

        Call in order of the records' ids.

        Boxes are clipped to the image. An empty plane gets no entry. Without scores every score is
        1. Raises DataError for a name that was there before, RunError for boxes or scores that
        aren't finite or in order.
        """
        number = self.add_image(file_name, group, size)
        _require_finite(f"{self.predictions}: {file_name}", target)
        write = _box_lines if isinstance(target, Boxes) else _mask_lines
        for line in write(number, size, target):  # type: ignore[arg-type]
            self.add_line(line)


def _box_lines(number: int, size: tuple[int, int], boxes: Boxes) -> Iterator[str]:
    height, width = size
    if len(boxes.labels) and boxes.labels.min() < 0:
        raise ValueError("labels are indices into the classes, from 0")
    corner_text, score_text = _number_format(boxes.xyxy), _number_format(boxes.scores)
    # -0.0 + 0.0 = 0.0
    xyxy = np.clip(boxes.xyxy.astype(np.float64), 0, [width, height, width, height]) + 0.0
    xyxy[:, 2:] -= xyxy[:, :2]
    for label, (x, y, w, h), score in zip(
        boxes.labels.tolist(), xyxy.tolist(), _scores(boxes.scores, len(xyxy)), strict=True
    ):
        bbox = ",".join(map(corner_text, (x, y, w, h)))
        entry = f'"image_id":{number},"category_id":{label + 1},"bbox":[{bbox}]'
        yield f'{{{entry},"score":{score_text(score)}}}'


def _mask_lines(number: int, size: tuple[int, int], masks: Masks) -> Iterator[str]:
    if masks.planes.shape[1:] != size:
        raise ValueError(f"planes of {masks.planes.shape[1:]} px for an image of {size} px")
    scores = _scores(masks.scores, len(masks.planes))
    for label in np.flatnonzero(masks.planes.any(axis=(1, 2))).tolist():
        counts = json.dumps(rle.encode_rle(masks.planes[label]))
        segmentation = f'{{"size":[{size[0]},{size[1]}],"counts":{counts}}}'
        entry = f'"image_id":{number},"category_id":{label + 1},"segmentation":{segmentation}'
        yield f'{{{entry},"score":{scores[label]:.9g}}}'


def _number_format(values: NDArray[np.floating] | None) -> Callable[[float], str]:
    """How numbers of an array are written, without loss."""
    is_double = values is not None and values.dtype == np.float64
    return "{:.17g}".format if is_double else "{:.9g}".format


def _scores(scores: NDArray[np.floating] | None, number: int) -> list[float]:
    return [1.0] * number if scores is None else (scores.astype(np.float64) + 0.0).tolist()


def _require_finite(where: str, target: Boxes | Masks) -> None:
    """Stop a diverged model here: NaN fails every comparison."""
    if target.scores is not None and not ((target.scores >= 0) & (target.scores <= 1)).all():
        raise RunError(f"{where}: expected scores in 0..1, got others; look at the model's loss")
    corners = target.xyxy if isinstance(target, Boxes) else np.zeros((0, 4))
    if not (np.isfinite(corners).all() and (corners[:, 2:] >= corners[:, :2]).all()):
        raise RunError(
            f"{where}: expected finite boxes with x1 ≤ x2 and y1 ≤ y2, got others; look at the "
            "model's loss"
        )


# ---- reading what PredictionWriter has written


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
    groups: list[list[tuple[int, JsonObject]]] = [[] for _ in listed]
    for number, entry in enumerate(load_entries(predictions, "a list of COCO results"), start=1):
        image, category, score = entry.get("image_id"), entry.get("category_id"), entry.get("score")
        if not is_number(image, 1, len(listed), whole=True):
            raise content_error(
                f"{predictions}: entry {number}", f"an image_id of 1..{len(listed)}", image
            )
        if not is_number(category, 1, classes, whole=True):
            raise content_error(
                f"{predictions}: entry {number}", f"a category_id of 1..{classes}", category
            )
        if not is_number(score, 0, 1):
            raise content_error(f"{predictions}: entry {number}", "a score of 0..1", score)
        groups[entry["image_id"] - 1].append((number, entry))
    make: Callable[[ImageEntry, list[tuple[int, JsonObject]]], Target | PackedMasks] = (
        partial(_make_boxes, predictions)
        if task == "detect"
        else partial(_pack_masks, predictions, classes)
    )
    return PredictionFile(predictions, listed, list(map(make, listed, groups)))


def _make_boxes(path: Path, image: ImageEntry, entries: list[tuple[int, JsonObject]]) -> Boxes:
    xyxy = np.array([_check_bbox(path, *entry) for entry in entries], np.float64).reshape(-1, 4)
    xyxy[:, 2:] += xyxy[:, :2]
    xyxy = np.clip(xyxy, 0, [image["width"], image["height"]] * 2)
    return Boxes(
        xyxy,
        np.array([entry["category_id"] - 1 for _, entry in entries], np.int64),
        np.array([entry["score"] for _, entry in entries], np.float64),
    )


def _pack_masks(
    path: Path, classes: int, image: ImageEntry, entries: list[tuple[int, JsonObject]]
) -> PackedMasks:
    planes: dict[int, tuple[int, str, float]] = {}
    size = image["height"], image["width"]
    for number, entry in entries:
        where, category = f"{path}: entry {number}", entry["category_id"]
        counts = _check_counts(where, entry, size)
        if category in planes:
            raise content_error(where, "one mask per image and class", f"two of {category}")
        planes[category] = (category - 1, counts, entry["score"])
    return PackedMasks(f"{path}: image {image['id']}", (classes, *size), list(planes.values()))


# ---- reading any tool's results


class CocoResult(NamedTuple):
    """One entry: a box, or a mask's run lengths."""

    label: int  # place of its category in order of the ids
    score: float
    bbox: list[float] | None  # x, y, width, height, native px
    counts: str | None  # compressed run lengths of its image's size


def read_coco_results(path: Path, targets: LinkedParts) -> dict[str, list[CocoResult]]:
    """file_name → its results, in the file's order: all boxes, or all masks where every entry has a
    segmentation.

    An image without an entry isn't in it: an empty list can't tell "nothing found" from "not
    predicted".

    Raises:
        DataError: an image or category that the targets don't have, a score outside 0..1, a bbox
            that isn't finite or has a negative side, run lengths that are damaged or of another
            size, and a file without a single result.
    """
    labels = dict(zip(targets.categories, itertools.count()))
    entries = load_entries(path, "a list of COCO results")
    are_masks = all("segmentation" in entry for entry in entries)
    results: dict[str, list[CocoResult]] = defaultdict(list)
    for number, entry in enumerate(entries, start=1):
        where, score = f"{path}: entry {number}", entry.get("score")
        image_id = read_identity(where, entry, "image_id")
        category_id = read_identity(where, entry, "category_id")
        name, label = targets.file_names.get(image_id, ""), labels.get(category_id, -1)
        require(name != "", where, "the image_id of one of the targets' images", image_id)
        require(label >= 0, where, "the category_id of one of the targets' categories", category_id)
        require(is_number(score, 0, 1), where, "a score of 0..1", score)
        bbox = counts = None
        if are_masks:
            size = targets.images[name].size
            counts = _check_counts(where, entry, size)
            try:
                rle.decode_rle(counts, size)
            except ValueError as error:
                raise content_error(where, "compressed run lengths", str(error)) from error
        else:
            bbox = _check_bbox(path, number, entry)
        results[name].append(CocoResult(label, float(entry["score"]), bbox, counts))
    if not results:
        raise DataError(
            f"{path}: expected results with a bbox or a segmentation, got an empty list; predict "
            "first"
        )
    return results


# ---- checks of one entry, by its place in the file from 1


def _check_bbox(path: Path, number: int, entry: JsonObject) -> list[float]:
    bbox = entry.get("bbox")
    if not are_numbers(bbox, 4):
        raise content_error(f"{path}: entry {number}", "a bbox of four finite numbers", bbox)
    if bbox[2] < 0 or bbox[3] < 0:
        raise content_error(
            f"{path}: entry {number}", "a bbox [x, y, width, height] without a negative side", bbox
        )
    return bbox


def _check_counts(where: str, entry: JsonObject, size: tuple[int, int]) -> str:
    """The compressed run lengths of an image of (height, width)."""
    segmentation = entry.get("segmentation")
    if not isinstance(segmentation, dict) or not isinstance(segmentation.get("counts"), str):
        raise content_error(where, "a segmentation of size and compressed counts", segmentation)
    stated = segmentation.get("size")
    require(stated == list(size), where, f"a mask of its image's size {list(size)}", stated)
    return str(segmentation["counts"])
