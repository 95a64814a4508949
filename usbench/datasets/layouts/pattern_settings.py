"""The settings `images` and `labels` of dataset=folder as patterns: what they may be, what they name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from usbench.datasets.codecs import image
from usbench.datasets.layouts.path_templates import PathTemplate
from usbench.datasets.layouts.plain_folder import Places, places_by_split, require_below_root
from usbench.errors import ConfigError
from usbench.types import SPLITS, Split

CLASS, GROUP, ID = "class", "group", "id"  # fields with a meaning of their own
ANY_PICTURE = "{:" + "|".join(image.SUFFIXES) + "}"
Labels = str | Mapping[str, str]  # one pattern, or one for each class


def has_pattern(places: object) -> bool:
    """Whether a setting has a pattern, or patterns: a brace or a star in it."""
    if isinstance(places, Mapping):
        return any(map(has_pattern, places.values()))
    return isinstance(places, str) and any(mark in places for mark in "{*")


def pair_patterns(
    images: Places, labels: Places | Mapping[str, str]
) -> dict[Split | None, tuple[str, Labels]]:
    """(pattern of images, pattern or patterns of masks) of each split; None: splits by rule.

    Raises:
        ConfigError: a path leaves the root, or the two have other splits.
    """
    image_places = places_by_split("images", images)
    of_splits = isinstance(labels, Mapping) and set(labels) <= set(SPLITS)
    by_split: Mapping[Split | None, Any] = (
        {split: labels[split] for split in SPLITS if split in labels}
        if isinstance(labels, Mapping) and of_splits
        else {None: labels}
    )
    splits = image_places.keys() | by_split.keys()
    if len(splits) > 1 and (None in splits or image_places.keys() != by_split.keys()):
        raise ConfigError(
            f"dataset.images, dataset.labels: expected the same splits, got {images} and {labels}"
        )
    return {split: expand_places(place, by_split[split]) for split, place in image_places.items()}


def expand_places(images: str, labels: object) -> tuple[str, Labels]:
    """Patterns of plain folders and of ".*": pictures of any format."""
    own = expand_suffix(images if has_pattern(images) else join(images, "{id}.*"))
    if isinstance(labels, Mapping):
        return own, {name: expand_labels(own, path) for name, path in labels.items()}
    return own, expand_labels(own, labels)


def expand_labels(images: str, labels: object) -> str:
    """The pattern of masks; a plain folder has masks of the images' names."""
    path = require_below_root("labels", labels)
    if has_pattern(path):
        return expand_suffix(path)
    return join(path, f"{PurePosixPath(images).stem}.{ANY_PICTURE}")


def join(folder: str, name: str) -> str:
    """A path in a folder, which may be the root itself."""
    return (PurePosixPath(folder) / name).as_posix()


def expand_suffix(pattern: str) -> str:
    """A suffix ".*" as those of pictures."""
    path = pattern.removeprefix("./")
    return f"{path.removesuffix('*')}{ANY_PICTURE}" if path.endswith(".*") else path


def show_pattern(pattern: str) -> str:
    """A pattern as a user writes it."""
    return pattern.replace(ANY_PICTURE, "*")


def check_fields(images: str, labels: Labels) -> Sequence[str]:
    """The fields of the images' pattern.

    Raises:
        ConfigError: a star in it, or patterns that have no field in common or are the same.
    """
    if "*" in images:
        raise ConfigError(
            f"dataset.images={images}: expected a name for what differs, got a star; write "
            f"{images.replace('*', '{folder}', images.count('*') - 1).replace('*', '{id}')}"
        )
    fields = PathTemplate(images).fields
    for pattern in [labels] if isinstance(labels, str) else labels.values():
        if pattern == images:
            raise ConfigError(
                f"dataset.labels={pattern}: image and mask are the same file: give a suffix, such "
                "as {id}_mask.png"
            )
        if not set(PathTemplate(pattern).fields) & set(fields):
            raise ConfigError(
                f"dataset.images={images}, dataset.labels={pattern}: expected a field that both "
                "have, such as {id}, to tell which mask is of which image"
            )
    return fields


def name_classes(images: str, labels: Labels, values: Mapping[str, int]) -> tuple[str, ...]:
    """The classes that the settings name; () where {class} does.

    Raises:
        ConfigError: nothing names them.
    """
    named = tuple(values if isinstance(labels, str) else labels)
    if not named and CLASS not in PathTemplate(images).fields:
        raise ConfigError(
            "dataset.classes=null: expected what the masks show, such as dataset.classes=[lesion]; "
            "usbench check lists the masks' values"
        )
    return named
