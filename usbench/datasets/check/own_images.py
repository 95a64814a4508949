"""What a user's own folder of images and masks holds, as `dataset=folder` understands it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from usbench.datasets import source
from usbench.datasets.codecs.own_masks import WHITE, StoredMask, read_stored_mask
from usbench.datasets.config import DatasetConfig
from usbench.datasets.dataset import index_release
from usbench.datasets.layouts.folder import Folder
from usbench.errors import ConfigError, DataError
from usbench.io.console import track
from usbench.types import Record

JPEG_VALUE = 255  # what the white of a JPEG counts as
MOST_VALUES = 8  # of masks whose classes nobody has named
UNNAMED = "foreground"  # the class of masks that have one, where nobody has named it


@dataclass(frozen=True)
class OwnImages:
    """Images, their masks, and what the masks store."""

    layout: Folder
    records: tuple[Record, ...]
    masks: Mapping[str, int]  # record's id → files
    stored: Mapping[tuple[str, int], int]  # (how it is stored, value but 0) → files that have it
    empty: int  # files that have 0 only
    mixed: bool  # whether a file has several values
    unreadable: int  # files; reading the labels says why

    @property
    def values(self) -> list[int]:
        """The values that the masks have, but 0."""
        return sorted({value for _, value in self.stored})

    def masks_each(self) -> dict[int, int]:
        """How many masks → how many images have so many."""
        return dict(sorted(Counter(self.masks.values()).items()))

    def fields(self) -> dict[str, Counter[str]]:
        """The fields of the paths that few words fill → images by word."""
        words: dict[str, Counter[str]] = {}
        for record in self.records:
            for name, word in record.attributes.items():
                words.setdefault(name, Counter())[word] += 1
        return {name: counts for name, counts in words.items() if len(counts) <= MOST_VALUES}


def is_own_masks(dataset: DatasetConfig) -> bool:
    """Whether a dataset is a folder of one's own images with masks."""
    view = dataset.views.get("segment")
    target = view.layout.get("_target_") if view else None
    is_folder = target == f"{Folder.__module__}.{Folder.__qualname__}"
    return is_folder and dataset.options.get("format") == "masks"


def examine_own_images(dataset: DatasetConfig, root: Path) -> OwnImages:
    """Index the images, and look into every mask.

    Args:
        dataset: of `is_own_masks`, with classes.
        root: where it lies.

    Raises:
        ConfigError: settings that aren't possible.
        DataError: no images, or images and masks that don't pair.
    """
    layout = source.build_layout(dataset, "segment", phantom=False)
    assert isinstance(layout, Folder)
    records = index_release(layout, root)
    files = {record.id: layout.mask_files(root, record) for record in records}
    stored: Counter[tuple[str, int]] = Counter()
    empty, unreadable, mixed = 0, 0, False
    for path in track(sorted(set().union(*files.values())), "masks"):
        try:
            mask = read_stored_mask(root / path)
        except DataError:
            unreadable += 1
            continue
        values = values_in(mask)
        stored.update((mask.kind, value) for value in values)
        empty += not values
        mixed = mixed or len(values) > 1
    masks = {name: len(paths) for name, paths in files.items()}
    return OwnImages(layout, records, masks, stored, empty, mixed, unreadable)


def values_in(mask: StoredMask) -> list[int]:
    """The values that a mask has, but 0; the white of a JPEG is one."""
    index = mask.index
    if mask.kind == "JPEG":
        return [JPEG_VALUE] if index.any() else []
    return [int(value) for value in np.unique(index) if value]


def name_classes(dataset: DatasetConfig, root: Path) -> tuple[list[str], dict[str, int]]:
    """Names for the classes of a folder where nobody has named them, by the masks' values.

    Returns:
        (classes, values); ([], {}) where the settings or the labels name them.

    Raises:
        ConfigError, DataError: as `examine_own_images`; or the masks have too many values.
    """
    try:
        index_release(source.build_layout(dataset, "segment", phantom=False), root)
    except (ConfigError, DataError):
        if dataset.views["segment"].classes:
            raise
    else:
        return [], {}
    images = examine_own_images(dataset.with_classes("segment", [UNNAMED]), root)
    return infer_classes(images.values, images.mixed, root)


def infer_classes(
    values: Sequence[int], mixed: bool, root: Path
) -> tuple[list[str], dict[str, int]]:
    """(classes, values) for the values of masks; values {} where those are the usual ones.

    Args:
        values: of all masks, but 0.
        mixed: whether a mask has several.
        root: for the error.

    Raises:
        DataError: there are too many.
    """
    if set(values) <= set(WHITE) and not mixed:
        return [UNNAMED], {}
    if len(values) > MOST_VALUES:
        shown = ", ".join(map(str, values[:3]))
        raise DataError(
            f"{root}: expected masks of at most {MOST_VALUES} values, got {len(values)} "
            f"({shown} …): the grey of anti-aliased, resized or photographic masks, or images "
            "taken for masks; correct --labels, or save the masks with class values only"
        )
    names = [f"value_{value}" for value in values]
    usual = list(values) == list(range(1, len(values) + 1))
    return names, {} if usual else dict(zip(names, values, strict=True))
