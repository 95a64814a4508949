"""The parts of COCO's instances JSON: images, annotations and categories, and that they refer to
each other in order.

What an annotation says of its object is `usbench.datasets.codecs.coco_targets`'s to read.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

from usbench.datasets.codecs.readers import (
    read_identity,
    read_json,
    read_name,
    read_pixels,
    require,
)
from usbench.errors import DataError
from usbench.io.files import JsonObject

Size = tuple[int, int]  # (height, width)
Parts = dict[str, list[JsonObject]]


class CocoObject(NamedTuple):
    """One annotation; its entry isn't checked yet."""

    number: int  # place in `annotations`, from 1
    category: str
    entry: JsonObject


class Category(NamedTuple):
    """One category."""

    name: str
    keypoints: tuple[str, ...]


@dataclass(frozen=True)
class CocoImage:
    """One image of the file and its objects."""

    size: Size
    objects: list[CocoObject] = field(default_factory=list)


@dataclass(frozen=True)
class LinkedParts:
    """Images and categories without doubles, and objects with their image and category."""

    path: Path
    images: Mapping[str, CocoImage]  # by file_name, in the file's order
    file_names: Mapping[int | str, str]  # by image id
    categories: Mapping[int | str, Category]  # by id, in order of the ids
    keypoints: Mapping[str, tuple[str, ...]]  # of the categories that objects have, in that order

    @property
    def names(self) -> tuple[str, ...]:
        """The categories that objects have, in order of their ids."""
        return tuple(self.keypoints)

    @property
    def points(self) -> tuple[str, ...]:
        """The keypoints' names of those categories, in order."""
        return tuple(dict.fromkeys(itertools.chain(*self.keypoints.values())))

    @classmethod
    def link(cls, path: Path, parts: Parts) -> Self:
        """Check the three lists and link them.

        Raises:
            DataError: an image or category named twice, and an annotation of an image or category
                that isn't there.
        """
        images: dict[str, CocoImage] = {}
        file_names: dict[int | str, str] = {}
        for number, entry in enumerate(parts["images"], start=1):
            where = f"{path}: image {number}"
            image_id, name = read_identity(where, entry, "id"), read_name(where, entry, "file_name")
            require(
                image_id not in file_names and name not in images,
                where,
                "an id and a file_name of its own",
                (image_id, name),
            )
            images[name] = CocoImage(read_pixels(where, entry))
            file_names[image_id] = name
        categories = _check_categories(path, parts["categories"])
        used: set[int | str] = set()
        for number, entry in enumerate(parts["annotations"], start=1):
            where = f"{path}: annotation {number}"
            image_id = read_identity(where, entry, "image_id")
            category_id = read_identity(where, entry, "category_id")
            require(image_id in file_names, where, "the image_id of one of its images", image_id)
            require(category_id in categories, where, "the category_id of a category", category_id)
            used.add(category_id)
            images[file_names[image_id]].objects.append(
                CocoObject(number, categories[category_id].name, entry)
            )
        return cls(
            path,
            images,
            file_names,
            categories,
            dict(category for key, category in categories.items() if key in used),
        )


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
        if not isinstance(part, list) or not {dict}.issuperset(map(type, part)):
            raise DataError(
                f"{path}: expected {expected}, found no list of {key}; "
                "a list of results holds no targets"
            )
        parts[key] = part
    return parts


def _check_categories(path: Path, entries: Sequence[JsonObject]) -> dict[int | str, Category]:
    """The categories by id, in order of the ids."""
    categories: dict[int | str, Category] = {}
    names: set[str] = set()
    for number, entry in enumerate(entries, start=1):
        where, points = f"{path}: category {number}", entry.get("keypoints") or []
        category_id, name = read_identity(where, entry, "id"), read_name(where, entry, "name")
        require(
            category_id not in categories and name not in names,
            where,
            "an id and a name of its own",
            (category_id, name),
        )
        require(
            isinstance(points, list) and {str}.issuperset(map(type, points)),
            where,
            "keypoints as a list of names",
            points,
        )
        require(len(set(points)) == len(points), where, "every keypoint once", points)
        categories[category_id] = Category(name, tuple(points))
        names.add(name)
    return dict(sorted(categories.items(), key=lambda item: (isinstance(item[0], str), item[0])))
