"""COCO's list of results as any tool writes it, for a ground truth: boxes of images by the truth's ids."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from usbench.codecs.coco_parts import Parts
from usbench.codecs.images_list import load, within, wrong
from usbench.errors import DataError
from usbench.types import Boxes

Found = dict[str, list[tuple[list[float], int, float]]]


def read_boxes(path: Path, truth: Parts) -> dict[str, Boxes]:
    """file_name → boxes in native px, clipped to the image; labels: the place of a category in order of the ids.

    truth: the ground truth's parts (see coco_parts.load). An image without an entry isn't in it: an empty list can't
    tell "nothing found" from "not predicted". Raises DataError for an unknown image or category, a score outside
    0..1, a bbox that isn't finite or has a negative side, and a file without a single bbox.
    """
    images = {entry["id"]: entry for entry in truth["images"]}
    places = {entry["id"]: n for n, entry in enumerate(sorted(truth["categories"], key=lambda entry: entry["id"]))}
    found: Found = defaultdict(list)
    for number, entry in enumerate(load(path, "a list of COCO results"), start=1):
        image, category, bbox = entry.get("image_id"), entry.get("category_id"), entry.get("bbox")
        score: Any = entry.get("score")
        if not isinstance(image, (int, str)) or image not in images:
            raise wrong(path, number, "the image_id of one of the truth's images", image)
        if not isinstance(category, (int, str)) or category not in places:
            raise wrong(path, number, "the category_id of one of the truth's categories", category)
        if not within(score, 0, 1):
            raise wrong(path, number, "a score of 0..1", score)
        if not (isinstance(bbox, list) and len(bbox) == 4 and all(within(side, -1e6, 1e6) for side in bbox)):
            raise wrong(path, number, "a bbox of four finite numbers", bbox)
        if bbox[2] < 0 or bbox[3] < 0:
            raise wrong(path, number, "a bbox [x, y, width, height] without a negative side", bbox)
        found[images[image]["file_name"]].append((bbox, places[category], score))
    if not found:
        raise DataError(f"{path}: results with a bbox were wanted, found an empty list; predict first")
    sizes = {entry["file_name"]: (entry["height"], entry["width"]) for entry in truth["images"]}
    return {name: _boxes(rows, sizes[name]) for name, rows in found.items()}


def _boxes(rows: list[tuple[list[float], int, float]], size: tuple[int, int]) -> Boxes:
    xywh = np.array([bbox for bbox, *_ in rows], np.float64).reshape(-1, 4)
    corners = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
    sides = [size[1], size[0], size[1], size[0]]
    labels = np.array([label for _, label, _ in rows], np.int64)
    return Boxes(np.clip(corners, 0, sides).astype(np.float32), labels, np.array([s for *_, s in rows], np.float32))
