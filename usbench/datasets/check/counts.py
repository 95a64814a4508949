"""How many images, and of which class, each split of a view has, and what was published of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usbench.datasets.check.findings import Finding
from usbench.errors import ConfigError
from usbench.types import BLURRED, SEEN, SPLITS, Boxes, Masks, Record, Target, Task

UNUSED = "unused"  # the column of images that no split has
COLUMNS = (*SPLITS, UNUSED)
AMOUNTS: Mapping[Task, str] = {"segment": "pixels", "detect": "boxes", "landmark": "seen"}


@dataclass
class ClassCounts:
    """Counts by column (a split, or unused) and class."""

    classes: tuple[str, ...]
    images: Counter[str] = field(default_factory=Counter)
    empty: Counter[str] = field(default_factory=Counter)  # images whose label has no class
    groups: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    pixels: int = 0  # of all masks
    present: dict[str, NDArray[np.int64]] = field(init=False)  # (C,) images with the class
    amount: dict[str, NDArray[np.int64]] = field(init=False)  # (C,) pixels, boxes or landmarks
    unknown: dict[str, NDArray[np.int64]] = field(init=False)  # (C,) images where it is unknown

    def __post_init__(self) -> None:
        self.present = self._zeros()
        self.amount = self._zeros()
        self.unknown = self._zeros()

    def _zeros(self) -> dict[str, NDArray[np.int64]]:
        return {column: np.zeros(len(self.classes), np.int64) for column in COLUMNS}

    def add_image(self, record: Record) -> None:
        """Count an image of the index, whatever its label."""
        column = record.split or UNUSED
        self.images[column] += 1
        self.groups[column].add(record.group)

    def add_target(self, record: Record, target: Target) -> None:
        """Count a label that could be read."""
        column = record.split or UNUSED
        amount, unknown = count_parts(target, len(self.classes))
        self.empty[column] += not amount.any()
        self.present[column] += amount > 0
        self.amount[column] += amount
        self.unknown[column] += unknown
        if isinstance(target, Masks) and len(target.planes):
            self.pixels += target.planes[0].size

    @property
    def has_unknown(self) -> bool:
        """Whether any class of any image is unknown."""
        return any(table.any() for table in self.unknown.values())

    @property
    def columns(self) -> list[str]:
        """The splits that have an image."""
        return [name for name in COLUMNS if self.images[name]]


def count_parts(target: Target, classes: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Count how much of each class a target has.

    Returns:
        (C,) pixels, boxes or seen landmarks, and (C,) where that is unknown.
    """
    if isinstance(target, Masks):
        amount = target.planes.sum((1, 2), dtype=np.int64)
        return amount, np.zeros(classes, bool) if target.known is None else ~target.known
    if isinstance(target, Boxes):
        amount = np.bincount(target.labels, minlength=classes).astype(np.int64)
        return amount, np.zeros(classes, bool)
    return (target.state == SEEN).astype(np.int64), target.state == BLURRED


# ---- as a table, as data


def table_header(counts: ClassCounts, task: Task) -> list[str]:
    """Column titles of the table that `table_rows` fills."""
    amount = "share of pixels" if task == "segment" else AMOUNTS[task]
    titles = ["images with", *counts.columns, "all", amount]
    return [*titles, "unknown"] if counts.has_unknown else titles


def table_rows(counts: ClassCounts, task: Task) -> Iterator[list[str]]:
    """All images, groups, images without a class, then the images and the amount of each class."""
    names = counts.columns
    padding = [""] * (2 if counts.has_unknown else 1)
    groups = [len(counts.groups[name]) for name in names]
    all_groups = set().union(*counts.groups.values())
    for title, values, total in (
        ("(all images)", [counts.images[name] for name in names], counts.images.total()),
        ("(groups)", groups, len(all_groups)),
        ("(no class)", [counts.empty[name] for name in names], counts.empty.total()),
    ):
        yield [title, *map(str, values), str(total), *padding]
    present = np.sum(list(counts.present.values()), axis=0)
    amount = np.sum(list(counts.amount.values()), axis=0)
    unknown = np.sum(list(counts.unknown.values()), axis=0)
    for c, name in enumerate(counts.classes):
        share = f"{100 * amount[c] / max(counts.pixels, 1):.2f} %"
        row = [name, *(str(counts.present[column][c]) for column in names), str(present[c])]
        row.append(share if task == "segment" else str(amount[c]))
        yield [*row, str(unknown[c])] if counts.has_unknown else row


def counts_to_json(counts: ClassCounts, task: Task) -> dict[str, Any]:
    """The counts as JSON."""
    names = counts.columns
    tables = {"images": counts.present, AMOUNTS[task]: counts.amount, "unknown": counts.unknown}
    classes = {}
    for c, label in enumerate(counts.classes):
        classes[label] = {
            title: {name: int(table[name][c]) for name in names} for title, table in tables.items()
        }
    return {
        "images": {name: counts.images[name] for name in names},
        "groups": {name: len(counts.groups[name]) for name in names},
        "empty": {name: counts.empty[name] for name in names},
        "classes": classes,
    }


# ---- against what was published


def compare_published(
    published: Mapping[str, Any], counts: ClassCounts, records: Sequence[Record], task: Task
) -> Iterator[Finding]:
    """Compare with published counts: a note where one is met, a warning where the copy differs.

    Args:
        published: the YAML's published_counts of the task: train, val, test (the release's own
            splits), images, empty, and by class `classes` (images with it), `instances` (boxes).
        counts: of this copy.
        records: as the release has them.
        task: the view's.

    Raises:
        ConfigError: another key or class.
    """
    measured = _measured_counts(counts, records, task)
    for key, value in _flatten(published):
        count = measured.get(key)
        if count is None or not isinstance(value, int):
            raise ConfigError(
                f"dataset.published_counts.{task}.{key}={value}: expected a count of the view"
            )
        text = f"{task}: {key}: {value:,} published, {count:,} found"
        if value == count:
            yield Finding("note", "count", text)
        else:
            yield Finding("warning", "count", f"{text}; is this another version?")


def _measured_counts(counts: ClassCounts, records: Sequence[Record], task: Task) -> dict[str, int]:
    """Every count that may have been published, by its key such as classes.nerve."""
    measured: dict[str, int] = {}
    for split in SPLITS:
        measured[split] = sum(record.split == split for record in records)
    measured["images"] = len({record.image for record in records})
    measured["empty"] = counts.empty.total()
    for c, name in enumerate(counts.classes):
        measured[f"classes.{name}"] = sum(int(table[c]) for table in counts.present.values())
        if task == "detect":
            measured[f"instances.{name}"] = sum(int(table[c]) for table in counts.amount.values())
    return measured


def _flatten(published: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """(key, value), those of a mapping after the others, as classes.nerve."""
    for key, value in published.items():
        if not isinstance(value, Mapping):
            yield key, value
    for key, value in published.items():
        if isinstance(value, Mapping):
            for name, count in value.items():
                yield f"{key}.{name}", count
