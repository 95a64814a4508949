"""The parts of COCO's instances JSON: images, annotations and categories, and that they refer to
each other in order.

What an annotation says of its object is `usbench.datasets.codecs.coco_targets`'s to read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from usbench.datasets.codecs.image import MOST_PIXELS
from usbench.datasets.codecs.readers import is_number, read_json
from usbench.errors import DataError

Entry = dict[str, Any]
Size = tuple[int, int]  # (height, width)
Parts = dict[str, list[Entry]]


@dataclass(frozen=True)
class CocoImage:
    """One image of the file and its objects, as (place in `annotations` from 1, category's name,
    entry).
    """

    size: Size
    objects: list[tuple[int, str, Entry]] = field(default_factory=list)


def load_coco_parts(path: Path) -> Parts:
    """The JSON's three lists.

    Raises:
        DataError: a missing or cut-off file and for other JSON.
    """
    expected = "COCO's JSON of images, annotations and categories"
    value = read_json(path, expected, "set where it lies, or replace it")
    parts: Parts = {}
    for key in ("images", "annotations", "categories"):
        part = value.get(key) if isinstance(value, dict) else None
        if not isinstance(part, list) or not all(isinstance(entry, dict) for entry in part):
            raise DataError(
                f"{path}: expected {expected}, found no list of {key}; "
                "a list of results holds no targets"
            )
        parts[key] = part
    return parts


def link_parts(path: Path, parts: Parts) -> tuple[dict[str, CocoImage], dict[str, tuple[str, ...]]]:
    """(images by file_name with their objects, the categories that objects have with their
    keypoints, by id).

    Raises:
        DataError: an image or category named twice, and an annotation of an image or category that
            isn't there.
    """
    by_id: dict[int | str, CocoImage] = {}
    images: dict[str, CocoImage] = {}
    for number, entry in enumerate(parts["images"], start=1):
        identity, name, image = _image(path, number, entry)
        if identity in by_id or name in images:
            raise part_error(
                path,
                "image",
                number,
                "an id and a file_name of its own",
                f"{identity}, {name} again",
            )
        by_id[identity] = images[name] = image
    categories = _categories(path, parts["categories"])
    used: set[int | str] = set()
    for number, entry in enumerate(parts["annotations"], start=1):
        of, category = _identity(entry.get("image_id")), _identity(entry.get("category_id"))
        if of is None or of not in by_id:
            raise part_error(
                path,
                "annotation",
                number,
                "the image_id of one of its images",
                entry.get("image_id"),
            )
        if category is None or category not in categories:
            raise part_error(
                path,
                "annotation",
                number,
                "the category_id of a category",
                entry.get("category_id"),
            )
        used.add(category)
        by_id[of].objects.append((number, categories[category][0], entry))
    return images, dict(categories[key] for key in categories if key in used)


def part_error(path: Path, kind: str, number: int, wanted: str, found: object) -> DataError:
    """The error that names a part's entry by its place, from 1."""
    text = " ".join(str(found).split())[:120]
    return DataError(f"{path}: {kind} {number}: expected {wanted}, got {text}; correct the file")


def _image(path: Path, number: int, entry: Entry) -> tuple[int | str, str, CocoImage]:
    identity, name = _identity(entry.get("id")), entry.get("file_name")
    height: Any = entry.get("height")
    width: Any = entry.get("width")
    if identity is None or not isinstance(name, str) or not name:
        raise part_error(path, "image", number, "an id and a file_name", (entry.get("id"), name))
    if not (
        is_number(height, 1, MOST_PIXELS, whole=True)
        and is_number(width, 1, MOST_PIXELS // height, whole=True)
    ):
        raise part_error(path, "image", number, "a height and a width in pixels", (height, width))
    return identity, name, CocoImage((height, width))


def _categories(
    path: Path, entries: Sequence[Entry]
) -> dict[int | str, tuple[str, tuple[str, ...]]]:
    """id → (name, its keypoints), in order of the ids."""
    found: dict[int | str, tuple[str, tuple[str, ...]]] = {}
    for number, entry in enumerate(entries, start=1):
        identity, name, points = (
            _identity(entry.get("id")),
            entry.get("name"),
            entry.get("keypoints") or [],
        )
        if identity is None or not isinstance(name, str) or not name:
            raise part_error(path, "category", number, "an id and a name", (entry.get("id"), name))
        if identity in found or name in (known for known, _ in found.values()):
            raise part_error(
                path, "category", number, "an id and a name of its own", f"{identity}, {name} again"
            )
        if not (isinstance(points, list) and all(isinstance(point, str) for point in points)):
            raise part_error(path, "category", number, "keypoints as a list of names", points)
        if len(set(points)) < len(points):
            raise part_error(path, "category", number, "every keypoint once", points)
        found[identity] = (name, tuple(points))
    return dict(sorted(found.items(), key=lambda item: (isinstance(item[0], str), item[0])))


def _identity(value: object) -> int | str | None:
    """COCO's ids are whole numbers; some tools write text."""
    return value if isinstance(value, (int, str)) and not isinstance(value, bool) else None
