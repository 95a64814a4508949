"""COCO's instances JSON as a ground truth: the objects of many images ↔ Boxes, Masks or Landmarks
of each.

Read as COCO reads it: coordinates are px from the image's top left corner, a bbox is [x, y, width,
height], half-open. A mask is the union of a class's objects; polygons are filled by COCO's own
rasteriser (`rle.fill`). A keypoint of visibility 0 isn't labelled, so unknown; 1 and 2 are seen.
Images without an entry in `annotations` have no object.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from usbench.datasets.codecs import rle
from usbench.datasets.codecs.coco_parts import (
    CocoImage,
    Entry,
    Parts,
    Size,
    link_parts,
    load_coco_parts,
    part_error,
)
from usbench.datasets.codecs.image import MOST_PIXELS
from usbench.datasets.codecs.readers import is_number
from usbench.errors import DataError
from usbench.io.files import write_atomically
from usbench.types import BLURRED, SEEN, Boxes, Landmarks, Masks, Target

STICKS_OUT = 1e-3  # of the image's side: a box may by rounding, and is clipped
BEYOND = 1.0  # px that a polygon's vertex may lie outside the image


@dataclass(frozen=True)
class CocoTargets:
    """A file whose images, categories and references are in order.

    Geometry is checked when it is asked for.

    `classes` may leave out categories that no object has, and may name more than the file has. A
    category that is used and not in `classes` is a DataError.
    """

    path: Path
    images: Mapping[str, CocoImage]  # by file_name, in the file's order
    # Used category → its keypoints; in order of the categories' ids.
    keypoints: Mapping[str, tuple[str, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        """The categories that objects have, in order of their ids."""
        return tuple(self.keypoints)

    @property
    def points(self) -> tuple[str, ...]:
        """The keypoints' names of those categories, in order."""
        return tuple(dict.fromkeys(point for names in self.keypoints.values() for point in names))

    def boxes(self, file_name: str, classes: Sequence[str]) -> Boxes:
        """Half-open boxes (native px) with labels as indices into `classes`.

        Raises:
            DataError: a class, a bbox that isn't four numbers, lies outside or has no area, and for
                `iscrowd`.
        """
        image, corners, labels = self.images[file_name], [], []
        for number, name, entry in image.objects:
            labels.append(self._label(number, name, classes))
            if entry.get("iscrowd"):
                raise self._wrong(
                    number,
                    "single objects (iscrowd 0)",
                    f"iscrowd {entry['iscrowd']}, to be ignored",
                )
            corners.append(self._corners(number, entry.get("bbox"), image.size))
        return Boxes(np.array(corners, np.float32).reshape(-1, 4), np.array(labels, np.int64))

    def masks(self, file_name: str, classes: Sequence[str], exclusive: bool) -> Masks:
        """Planes (C, H, W) of the classes' objects, united.

        Raises:
            DataError: a class, for damaged run lengths, a polygon of fewer than three vertices or
                with one more than a pixel outside the image, and, where classes are exclusive, for
                two in one pixel.
        """
        image = self.images[file_name]
        planes = np.zeros((len(classes), *image.size), bool)
        for number, name, entry in image.objects:
            planes[self._label(number, name, classes)] |= self._region(
                number, entry.get("segmentation"), image.size
            )
        shared = (
            np.argwhere(planes.sum(axis=0, dtype=np.uint8) > 1)
            if exclusive
            else np.zeros((0, 2), np.intp)
        )
        if len(shared):
            row, column = shared[0].tolist()
            found = " and ".join(
                classes[c] for c in np.flatnonzero(planes[:, row, column]).tolist()
            )
            raise DataError(
                f"{self.path}: {file_name!r}: expected one class a pixel, got {found} at row "
                f"{row}, column {column} "
                f"({len(shared)} such pixels); set exclusive: false or correct the file"
            )
        return Masks(planes)

    def landmarks(self, file_name: str, classes: Sequence[str]) -> Landmarks:
        """Points by keypoint name; what no object of the image has is unknown (BLURRED).

        Raises:
            DataError: a name that isn't in `classes`, a keypoint that two objects have, and damaged
                triplets.
        """
        image = self.images[file_name]
        paths = [np.zeros((0, 2), np.float32) for _ in classes]
        state, given = np.full(len(classes), BLURRED, np.int8), set()
        for number, category, entry in image.objects:
            names = self.keypoints[category]
            for name, (x, y, visibility) in zip(
                names, self._triplets(number, entry, len(names)), strict=True
            ):
                label = self._label(number, name, classes)
                if name in given:
                    raise self._wrong(
                        number, f"one object with keypoint {name!r} an image", "a second"
                    )
                given.add(name)
                if visibility:
                    _check_inside(self, number, [x, y], image.size)
                    paths[label], state[label] = np.array([[x, y]], np.float32), SEEN
        return Landmarks(tuple(paths), state)

    def _label(self, number: int, name: str, classes: Sequence[str]) -> int:
        if name not in classes:
            raise self._wrong(
                number, f"a class of {', '.join(classes)}", f"{name} of {', '.join(self.names)}"
            )
        return classes.index(name)

    def _corners(self, number: int, bbox: object, size: Size) -> NDArray[np.float32]:
        if not (
            isinstance(bbox, list)
            and len(bbox) == 4
            and all(is_number(side, -1e6, 1e6) for side in bbox)
        ):
            raise self._wrong(number, "a bbox of four finite numbers", bbox)
        x, y, width, height = bbox
        sides = np.array([size[1], size[0], size[1], size[0]], np.float64)
        corners = np.array([x, y, x + width, y + height], np.float64)
        box = np.clip(corners, 0, sides).astype(np.float32) + np.float32(0)
        if (np.abs(corners - np.clip(corners, 0, sides)) > STICKS_OUT * sides).any() or not (
            box[:2] < box[2:]
        ).all():
            raise self._wrong(
                number, f"a bbox [x, y, width, height] with area inside {size[1]}×{size[0]}", bbox
            )
        return box

    def region(self, number: int, entry: Entry, size: Size) -> NDArray[np.bool_]:
        """The plane (H, W) of one object, by its place in `annotations`.

        See `masks` for what is refused.
        """
        return self._region(number, entry.get("segmentation"), size)

    def corners(self, number: int, entry: Entry, size: Size) -> NDArray[np.float32]:
        """(4,) x1, y1, x2, y2 of one object; see `boxes` for what is refused."""
        return self._corners(number, entry.get("bbox"), size)

    def _region(self, number: int, segmentation: object, size: Size) -> NDArray[np.bool_]:
        if isinstance(segmentation, dict):
            return self._runs(number, segmentation, size)
        if not (isinstance(segmentation, list) and segmentation):
            raise self._wrong(number, "a segmentation (polygons or run lengths)", segmentation)
        plane = np.zeros(size, bool)
        for polygon in segmentation:
            if not (
                isinstance(polygon, list) and all(is_number(value, -1e6, 1e6) for value in polygon)
            ):
                raise self._wrong(number, "polygons [x1, y1, x2, y2, …] of finite numbers", polygon)
            if len(polygon) < 6 or len(polygon) % 2:
                raise self._wrong(
                    number, "a polygon of three vertices or more", f"{len(polygon)} numbers"
                )
            _check_inside(self, number, polygon, size)
            plane |= rle.fill_polygon(polygon, size)
        return plane

    def _runs(self, number: int, segmentation: Entry, size: Size) -> NDArray[np.bool_]:
        counts = segmentation.get("counts")
        if segmentation.get("size") != list(size):
            raise self._wrong(
                number, f"run lengths of its image's size {list(size)}", segmentation.get("size")
            )
        try:
            if isinstance(counts, str):
                return rle.decode_rle(counts, size)
            if isinstance(counts, list) and all(
                is_number(length, 0, MOST_PIXELS, whole=True) for length in counts
            ):
                return rle.expand_runs(np.array(counts, np.int64), size)
        except ValueError as error:
            raise self._wrong(number, "run lengths", error) from error
        raise self._wrong(number, "run lengths as text or whole numbers", counts)

    def _triplets(self, number: int, entry: Entry, points: int) -> list[list[float]]:
        values = entry.get("keypoints")
        if not (
            isinstance(values, list)
            and len(values) == 3 * points
            and all(is_number(v, -1e6, 1e6) for v in values)
        ):
            raise self._wrong(number, f"keypoints of {points} times x, y and visibility", values)
        if any(visibility not in (0, 1, 2) for visibility in values[2::3]):
            raise self._wrong(number, "a visibility of 0, 1 or 2", values[2::3])
        return [values[n : n + 3] for n in range(0, len(values), 3)]

    def _wrong(self, number: int, wanted: str, found: object) -> DataError:
        return part_error(self.path, "annotation", number, wanted, found)


def read_coco_targets(path: Path) -> CocoTargets:
    """Read and check a file's images, categories and the references between its parts.

    Raises:
        DataError: a missing or cut-off file, other JSON, an image or category named twice, and an
            annotation of an image or a category that isn't there.
    """
    return CocoTargets(path, *link_parts(path, load_coco_parts(path)))


def write_coco_targets(
    path: Path, classes: Sequence[str], images: Iterable[tuple[str, Size, Target]]
) -> None:
    """Write (file_name, (height, width), target) of each image, ids from 1, masks as compressed run
    lengths.

    float32 coordinates survive. Landmarks are points of one object an image; OFF can't be told from
    unknown. Raises DataError for what `read_coco_targets` would refuse, ValueError for a curve.
    """
    listed: list[Entry] = []
    found: list[Entry] = []
    pointed = False
    for number, (name, size, target) in enumerate(images, start=1):
        listed.append({"id": number, "file_name": name, "height": size[0], "width": size[1]})
        pointed |= isinstance(target, Landmarks)
        for entry in _entries(target):
            found.append({"id": len(found) + 1, "image_id": number, "iscrowd": 0, **entry})
    categories: list[Entry] = [{"id": n, "name": name} for n, name in enumerate(classes, start=1)]
    if pointed:
        categories = [{"id": 1, "name": "landmarks", "keypoints": list(classes)}]
    parts: Parts = {"images": listed, "categories": categories, "annotations": found}
    checked = CocoTargets(path, *link_parts(path, parts))
    check = checked.landmarks if pointed else checked.boxes
    for entry in listed:
        check(entry["file_name"], classes)
    write_atomically(path, (json.dumps(parts, separators=(",", ":")) + "\n").encode("ascii"))


def _entries(target: Target) -> Iterable[Entry]:
    if isinstance(target, Landmarks):
        if any(len(path) > 1 for path in target.paths):
            raise ValueError("COCO's keypoints are points, not curves")
        values: list[float] = []
        for path, state in zip(target.paths, target.state, strict=True):
            values += [*path[0].tolist(), 2] if state == SEEN else [0, 0, 0]
        yield {
            "category_id": 1,
            "keypoints": values,
            "num_keypoints": int((target.state == SEEN).sum()),
        }
    elif isinstance(target, Boxes):
        for (x1, y1, x2, y2), label in zip(
            target.xyxy.tolist(), target.labels.tolist(), strict=True
        ):
            bbox = [x1, y1, x2 - x1, y2 - y1]
            yield {
                "category_id": label + 1,
                "bbox": bbox,
                "area": bbox[2] * bbox[3],
                "segmentation": [],
            }
    else:
        for label in np.flatnonzero(target.planes.any(axis=(1, 2))).tolist():
            plane = target.planes[label]
            rows, columns = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
            (y1, y2), (x1, x2) = (ends.tolist() for ends in (rows[[0, -1]], columns[[0, -1]]))
            segmentation = {"size": list(plane.shape), "counts": rle.encode_rle(plane)}
            sides = {"bbox": [x1, y1, x2 + 1 - x1, y2 + 1 - y1], "area": int(plane.sum())}
            yield {"category_id": label + 1, **sides, "segmentation": segmentation}


def _check_inside(truth: CocoTargets, number: int, vertices: Sequence[float], size: Size) -> None:
    """DataError for a vertex of x1, y1, x2, y2 … more than a pixel outside the image."""
    points = np.array(vertices, np.float64).reshape(-1, 2)
    outside = ((points < -BEYOND) | (points > [size[1] + BEYOND, size[0] + BEYOND])).any(axis=1)
    if outside.any():
        n = int(np.argmax(outside))
        found = f"vertex {n + 1} at {points[n, 0]:g}, {points[n, 1]:g}"
        raise part_error(
            truth.path, "annotation", number, f"points inside {size[1]}×{size[0]}", found
        )
