"""COCO's list of results as any tool writes it, for a ground truth: boxes or masks of images by the
truth's ids.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from usbench.datasets.codecs import rle
from usbench.datasets.codecs.coco_parts import Parts
from usbench.datasets.codecs.images_list import entry_error, load_entries
from usbench.datasets.codecs.readers import is_number
from usbench.errors import DataError
from usbench.types import Boxes


@dataclass(frozen=True)
class CocoResult:
    """One entry: a box, or a mask's run lengths."""

    label: int  # place of its category in order of the ids
    score: float
    bbox: tuple[float, float, float, float] | None  # x, y, width, height, native px
    counts: str | None  # compressed run lengths of its image's size


def read_coco_results(path: Path, truth: Parts) -> dict[str, list[CocoResult]]:
    """file_name → its results, in the file's order: all boxes, or all masks where every entry has a
    segmentation.

    truth: the ground truth's parts (see coco_parts.load). An image without an entry isn't in it: an
    empty list can't tell "nothing found" from "not predicted".

    Raises:
        DataError: an unknown image or category, a score outside 0..1, a bbox that isn't finite or
            has a negative side, run lengths that are damaged or of another size, and a file without
            a single result.
    """
    images = {entry["id"]: entry for entry in truth["images"]}
    places = {
        entry["id"]: n
        for n, entry in enumerate(sorted(truth["categories"], key=lambda entry: entry["id"]))
    }
    entries = load_entries(path, "a list of COCO results")
    masks = bool(entries) and all("segmentation" in entry for entry in entries)
    found: dict[str, list[CocoResult]] = defaultdict(list)
    for number, entry in enumerate(entries, start=1):
        image, category, score = entry.get("image_id"), entry.get("category_id"), entry.get("score")
        if not isinstance(image, (int, str)) or image not in images:
            raise entry_error(path, number, "the image_id of one of the truth's images", image)
        if not isinstance(category, (int, str)) or category not in places:
            raise entry_error(
                path, number, "the category_id of one of the truth's categories", category
            )
        if not is_number(score, 0, 1):
            raise entry_error(path, number, "a score of 0..1", score)
        of = images[image]
        size = (of["height"], of["width"])
        bbox = None if masks else _bbox(path, number, entry)
        counts = _counts(path, number, entry, size) if masks else None
        found[of["file_name"]].append(CocoResult(places[category], float(score or 0), bbox, counts))
    if not found:
        raise DataError(
            f"{path}: expected results with a bbox or a segmentation, got an empty list; predict "
            "first"
        )
    return found


def make_boxes(results: Sequence[CocoResult], size: tuple[int, int]) -> Boxes:
    """The boxes of one image of (height, width), clipped to it."""
    xywh = np.array([each.bbox for each in results], np.float64).reshape(-1, 4)
    corners = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
    labels = np.array([each.label for each in results], np.int64)
    scores = np.array([each.score for each in results], np.float32)
    sides = [size[1], size[0], size[1], size[0]]
    return Boxes(np.clip(corners, 0, sides).astype(np.float32), labels, scores)


def _bbox(path: Path, number: int, entry: dict[str, Any]) -> tuple[float, float, float, float]:
    bbox = entry.get("bbox")
    if not (
        isinstance(bbox, list)
        and len(bbox) == 4
        and all(is_number(side, -1e6, 1e6) for side in bbox)
    ):
        raise entry_error(path, number, "a bbox of four finite numbers", bbox)
    if bbox[2] < 0 or bbox[3] < 0:
        raise entry_error(
            path, number, "a bbox [x, y, width, height] without a negative side", bbox
        )
    return (float(bbox[0]), float(bbox[1]), float(bbox[2]), float(bbox[3]))


def _counts(path: Path, number: int, entry: dict[str, Any], size: tuple[int, int]) -> str:
    region = entry.get("segmentation")
    counts = region.get("counts") if isinstance(region, dict) else None
    if not (isinstance(region, dict) and isinstance(counts, str)):
        raise entry_error(path, number, "a segmentation of size and compressed counts", region)
    if region.get("size") != list(size):
        raise entry_error(
            path, number, f"a mask of its image's size {list(size)}", region.get("size")
        )
    try:
        rle.decode_rle(counts, size)
    except ValueError as error:
        raise entry_error(path, number, "compressed run lengths", error) from error
    return counts
