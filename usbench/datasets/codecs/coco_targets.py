"""COCO's instances JSON as a ground truth: the objects of many images ↔ Boxes, Masks or Landmarks
of each.

Read as COCO reads it: coordinates are px from the image's top left corner, a bbox is [x, y, width,
height], half-open. A mask is the union of a class's objects; polygons are filled by COCO's own
rasteriser (`rle.fill`). A keypoint of visibility 0 isn't labelled, so unknown; 1 and 2 are seen.
Images without an entry in `annotations` have no object.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from usbench.datasets.codecs import rle
from usbench.datasets.codecs.coco_parts import CocoObject, LinkedParts, Parts, Size, load_coco_parts
from usbench.datasets.codecs.image import MOST_PIXELS
from usbench.datasets.codecs.readers import are_numbers, content_error, is_number, require
from usbench.errors import DataError
from usbench.io.files import JsonObject, write_atomically
from usbench.types import BLURRED, SEEN, Boxes, Landmarks, Masks, Target

STICKS_OUT = 1e-3  # of the image's side: a box may by rounding, and is clipped
LARGEST = 1e12  # px² of an object
BEYOND = 1.0  # px that a polygon's vertex may lie outside the image


class CocoTargets(LinkedParts):
    """A file whose images, categories and references are in order.

    Geometry is checked when it is asked for.

    `classes` may leave out categories that no object has, and may name more than the file has. A
    category that is used and not in `classes` is a DataError.
    """

    def boxes(self, file_name: str, classes: Sequence[str]) -> Boxes:
        """Half-open boxes (native px) with labels as indices into `classes`.

        Raises:
            DataError: a class, a bbox that isn't four numbers, lies outside or has no area, and for
                `iscrowd`.
        """
        image, corners, labels, areas = self.images[file_name], [], [], []
        for item in image.objects:
            labels.append(self._label(item, item.category, classes))
            crowd = item.entry.get("iscrowd")
            require(not crowd, self._place(item), "single objects (iscrowd 0)", f"iscrowd {crowd}")
            corners.append(self.corners(item, image.size))
            areas.append(self.area(item))
        return Boxes(
            np.array(corners, np.float64).reshape(-1, 4),
            np.array(labels, np.int64),
            areas=np.array(areas, np.float64),
        )

    def masks(self, file_name: str, classes: Sequence[str], exclusive: bool) -> Masks:
        """Planes (C, H, W) of the classes' objects, united.

        Raises:
            DataError: a class, for damaged run lengths, a polygon of fewer than three vertices or
                with one more than a pixel outside the image, and, where classes are exclusive, for
                two in one pixel.
        """
        image = self.images[file_name]
        planes = np.zeros((len(classes), *image.size), bool)
        for item in image.objects:
            planes[self._label(item, item.category, classes)] |= self.region(item, image.size)
        shared = planes.sum(axis=0, dtype=np.uint8) > 1 if exclusive else np.zeros(0, bool)
        if shared.any():
            row, column = np.argwhere(shared)[0].tolist()
            both = [
                name for name, there in zip(classes, planes[:, row, column], strict=True) if there
            ]
            raise DataError(
                f"{self.path}: {file_name!r}: expected one class a pixel, got {' and '.join(both)} "
                f"at row {row}, column {column} ({shared.sum()} such pixels); set exclusive: false "
                "or correct the file"
            )
        return Masks(planes)

    def landmarks(self, file_name: str, classes: Sequence[str]) -> Landmarks:
        """Points by keypoint name; what no object of the image has is unknown (BLURRED).

        Raises:
            DataError: a name that isn't in `classes`, a keypoint that two objects have, and damaged
                triplets.
        """
        image, stated = self.images[file_name], set()
        paths = [np.zeros((0, 2), np.float32)] * len(classes)
        state = np.full(len(classes), BLURRED, np.int8)
        for item in image.objects:
            names = self.keypoints[item.category]
            place, values = self._place(item), item.entry.get("keypoints")
            if not are_numbers(values, 3 * len(names)):
                raise content_error(
                    place, f"keypoints of {len(names)} times x, y and visibility", values
                )
            for name, x, y, visibility in zip(
                names, values[::3], values[1::3], values[2::3], strict=True
            ):
                label = self._label(item, name, classes)
                require(visibility in (0, 1, 2), place, "a visibility of 0, 1 or 2", visibility)
                require(
                    name not in stated,
                    place,
                    f"one object with keypoint {name!r} an image",
                    "a second",
                )
                stated.add(name)
                if visibility:
                    self._require_inside(item, [x, y], image.size)
                    paths[label], state[label] = np.array([[x, y]], np.float32), SEEN
        return Landmarks(tuple(paths), state)

    def corners(self, item: CocoObject, size: Size) -> NDArray[np.float64]:
        """(4,) x1, y1, x2, y2 of one object; see `boxes` for what is refused."""
        bbox = item.entry.get("bbox")
        if not are_numbers(bbox, 4):
            raise content_error(self._place(item), "a bbox of four finite numbers", bbox)
        x, y, width, height = bbox
        sides = np.array([size[1], size[0], size[1], size[0]], np.float64)
        corners = np.array([x, y, x + width, y + height], np.float64)
        box = np.clip(corners, 0, sides) + 0.0  # -0.0 + 0.0 = 0.0
        near = np.abs(corners - box) <= STICKS_OUT * sides
        require(
            bool(near.all() and (box[:2] < box[2:]).all()),
            self._place(item),
            f"a bbox [x, y, width, height] with area inside {size[1]}×{size[0]}",
            bbox,
        )
        return box

    def area(self, item: CocoObject) -> float:
        """The area that an object states, px²: its mask's, also where boxes are compared.

        Without one it is that of the bbox. DataError for what isn't a number of 0 or more.
        """
        if "area" not in item.entry:
            _, _, width, height = item.entry["bbox"]
            return float(width * height)
        area = item.entry["area"]
        require(is_number(area, 0, LARGEST), self._place(item), "an area of 0 px² or more", area)
        return float(area)

    def region(self, item: CocoObject, size: Size) -> NDArray[np.bool_]:
        """The plane (H, W) of one object; see `masks` for what is refused."""
        segmentation = item.entry.get("segmentation")
        if isinstance(segmentation, dict):
            return self._expand_runs(item, segmentation, size)
        if not isinstance(segmentation, list) or not segmentation:
            raise content_error(
                self._place(item), "a segmentation (polygons or run lengths)", segmentation
            )
        plane = np.zeros(size, bool)
        for polygon in segmentation:
            if not are_numbers(polygon):
                raise content_error(
                    self._place(item), "polygons [x1, y1, x2, y2, …] of finite numbers", polygon
                )
            n, expected = len(polygon), "a polygon of three vertices or more"
            require(n >= 6 and n % 2 == 0, self._place(item), expected, f"{n} numbers")
            self._require_inside(item, polygon, size)
            plane |= rle.fill_polygon(polygon, size)
        return plane

    def _expand_runs(
        self, item: CocoObject, segmentation: JsonObject, size: Size
    ) -> NDArray[np.bool_]:
        counts, stated = segmentation.get("counts"), segmentation.get("size")
        if stated != list(size):
            raise content_error(
                self._place(item), f"run lengths of its image's size {list(size)}", stated
            )
        try:
            if isinstance(counts, str):
                return rle.decode_rle(counts, size)
            if isinstance(counts, list) and all(
                is_number(length, 0, MOST_PIXELS, whole=True) for length in counts
            ):
                return rle.expand_runs(np.array(counts, np.int64), size)
        except ValueError as error:
            raise content_error(self._place(item), "run lengths", str(error)) from error
        raise content_error(self._place(item), "run lengths as text or whole numbers", counts)

    def _label(self, item: CocoObject, name: str, classes: Sequence[str]) -> int:
        if name not in classes:
            raise content_error(
                self._place(item),
                f"a class of {', '.join(classes)}",
                f"{name} of {', '.join(self.names)}",
            )
        return classes.index(name)

    def _require_inside(self, item: CocoObject, vertices: Sequence[float], size: Size) -> None:
        """DataError for a vertex of x1, y1, x2, y2 … more than a pixel outside the image."""
        points = np.array(vertices, np.float64).reshape(-1, 2)
        outside = ((points < -BEYOND) | (points > np.add(size[::-1], BEYOND))).any(axis=1)
        if outside.any():
            n = int(np.argmax(outside))
            raise content_error(
                self._place(item),
                f"points inside {size[1]}×{size[0]}",
                f"vertex {n + 1} at {points[n, 0]:g}, {points[n, 1]:g}",
            )

    def _place(self, item: CocoObject) -> str:
        return f"{self.path}: annotation {item.number}"


def read_coco_targets(path: Path) -> CocoTargets:
    """Read and check a file's images, categories and the references between its parts.

    Raises:
        DataError: a missing or cut-off file, other JSON, an image or category named twice, and an
            annotation of an image or a category that isn't there.
    """
    return CocoTargets.link(path, load_coco_parts(path))


def write_coco_targets(
    path: Path, classes: Sequence[str], images: Iterable[tuple[str, Size, Target]]
) -> None:
    """Write (file_name, (height, width), target) of each image, ids from 1, masks as compressed run
    lengths.

    float32 coordinates survive. Landmarks are points of one object an image; OFF can't be told from
    unknown. Raises DataError for what `read_coco_targets` would refuse, ValueError for a curve.
    """
    listed: list[JsonObject] = []
    annotations: list[JsonObject] = []
    are_points = False
    for number, (name, size, target) in enumerate(images, start=1):
        listed.append({"id": number, "file_name": name, "height": size[0], "width": size[1]})
        are_points |= isinstance(target, Landmarks)
        for entry in _entries(target):
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number, "iscrowd": 0} | entry
            )
    categories: list[JsonObject] = (
        [{"id": 1, "name": "landmarks", "keypoints": list(classes)}]
        if are_points
        else [{"id": n, "name": name} for n, name in enumerate(classes, start=1)]
    )
    parts: Parts = {"images": listed, "categories": categories, "annotations": annotations}
    targets = CocoTargets.link(path, parts)
    check = targets.landmarks if are_points else targets.boxes
    for name in targets.images:
        check(name, classes)
    write_atomically(path, json.dumps(parts, separators=(",", ":")) + "\n")


def _entries(target: Target) -> Iterator[JsonObject]:
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
        corners = target.xyxy.astype(np.float64)
        sides = corners[:, 2:] - corners[:, :2]
        areas = sides.prod(axis=1) if target.areas is None else target.areas
        for (x1, y1, _, _), (width, height), label, area in zip(
            corners.tolist(), sides.tolist(), target.labels.tolist(), areas.tolist(), strict=True
        ):
            yield {
                "category_id": label + 1,
                "bbox": [x1, y1, width, height],
                "area": area,
                "segmentation": [],
            }
    else:
        for label in np.flatnonzero(target.planes.any(axis=(1, 2))).tolist():
            plane = target.planes[label]
            rows, columns = (axis.tolist() for axis in np.nonzero(plane))
            x, y = min(columns), min(rows)
            yield {
                "category_id": label + 1,
                "bbox": [x, y, max(columns) + 1 - x, max(rows) + 1 - y],
                "area": len(rows),
                "segmentation": {"size": list(plane.shape), "counts": rle.encode_rle(plane)},
            }
