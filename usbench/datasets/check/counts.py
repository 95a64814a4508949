"""How many images, and of which class, each split of a view has, and what was published of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from usbench.datasets.check.findings import Finding
from usbench.errors import ConfigError
from usbench.io.files import JsonObject
from usbench.types import BLURRED, SEEN, SPLITS, Boxes, Landmarks, Masks, Record, Target, Task

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
    present: NDArray[np.int64] = field(init=False)  # (columns, C) images with the class
    amount: NDArray[np.int64] = field(init=False)  # (columns, C) pixels, boxes or landmarks
    unknown: NDArray[np.int64] = field(init=False)  # (columns, C) images where it is unknown

    def __post_init__(self) -> None:
        shape = (3, len(COLUMNS), len(self.classes))
        self.present, self.amount, self.unknown = np.zeros(shape, np.int64)

    def add(self, record: Record, target: Target | None) -> None:
        """Count an image of the index and its label, None where that couldn't be read."""
        column = record.split or UNUSED
        self.images[column] += 1
        self.groups[column].add(record.group)
        if target is None:
            return
        row = COLUMNS.index(column)
        amount, unknown = count_parts(target, len(self.classes))
        self.empty[column] += not amount.any()
        self.present[row] += amount > 0
        self.amount[row] += amount
        self.unknown[row] += unknown
        if isinstance(target, Masks) and len(target.planes):
            self.pixels += target.planes[0].size

    @property
    def columns(self) -> list[str]:
        """The splits that have an image."""
        return [name for name in COLUMNS if self.images[name]]


def count_parts(target: Target, classes: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Count how much of each class a target has.

    Returns:
        (C,) pixels, boxes or seen landmarks, and (C,) where that is unknown.
    """
    none = np.zeros(classes, bool)
    match target:
        case Masks():
            amount = target.planes.sum((1, 2), dtype=np.int64)
            return amount, none if target.known is None else ~target.known
        case Boxes():
            return np.bincount(target.labels, minlength=classes).astype(np.int64), none
        case Landmarks():
            return (target.state == SEEN).astype(np.int64), target.state == BLURRED


# ---- as a table, as data


def table_header(counts: ClassCounts, task: Task) -> list[str]:
    """Column titles of the table that `table_rows` fills."""
    return [
        "images with",
        *counts.columns,
        "all",
        "share of pixels" if task == "segment" else AMOUNTS[task],
        *(["unknown"] if counts.unknown.any() else []),
    ]


def table_rows(counts: ClassCounts, task: Task) -> Iterator[list[str]]:
    """All images, groups, images without a class, then the images and the amount of each class."""
    names = counts.columns
    padding = [""] * (2 if counts.unknown.any() else 1)
    groups = Counter({name: len(counts.groups[name]) for name in names})
    for title, by_split, total in (
        ("(all images)", counts.images, counts.images.total()),
        ("(groups)", groups, len(set().union(*counts.groups.values()))),
        ("(no class)", counts.empty, counts.empty.total()),
    ):
        yield [title, *(str(by_split[name]) for name in names), str(total), *padding]
    rows = list(map(COLUMNS.index, names))
    amounts = counts.amount.sum(axis=0)
    for c, name in enumerate(counts.classes):
        present = counts.present[rows, c]
        share = 100 * amounts[c] / max(counts.pixels, 1)
        amount = f"{share:.2f} %" if task == "segment" else str(amounts[c])
        row = [name, *map(str, present), str(present.sum()), amount]
        yield [*row, str(counts.unknown[:, c].sum())] if counts.unknown.any() else row


def counts_to_json(counts: ClassCounts, task: Task) -> JsonObject:
    """The counts as JSON."""
    names = counts.columns
    rows = list(map(COLUMNS.index, names))
    tables = {"images": counts.present, AMOUNTS[task]: counts.amount, "unknown": counts.unknown}
    classes: dict[str, dict[str, dict[str, int]]] = {label: {} for label in counts.classes}
    for title, table in tables.items():
        for label, column in zip(counts.classes, table[rows].T.tolist(), strict=True):
            classes[label][title] = dict(zip(names, column, strict=True))
    return {
        "images": {name: counts.images[name] for name in names},
        "groups": {name: len(counts.groups[name]) for name in names},
        "empty": {name: counts.empty[name] for name in names},
        "classes": classes,
    }


# ---- against what was published


def compare_published(
    published: Mapping[str, object], counts: ClassCounts, records: Sequence[Record], task: Task
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
        yield (
            Finding("note", "count", text)
            if value == count
            else Finding("warning", "count", f"{text}; is this another version?")
        )


def _measured_counts(counts: ClassCounts, records: Sequence[Record], task: Task) -> dict[str, int]:
    """Every count that may have been published, by its key such as classes.nerve."""
    by_split = Counter(record.split for record in records)
    measured: dict[str, int] = {split: by_split[split] for split in SPLITS}
    measured["images"] = len({record.image for record in records})
    measured["empty"] = counts.empty.total()
    for c, name in enumerate(counts.classes):
        measured[f"classes.{name}"] = int(counts.present[:, c].sum())
        if task == "detect":
            measured[f"instances.{name}"] = int(counts.amount[:, c].sum())
    return measured


def _flatten(published: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """(key, value), those in a mapping as classes.nerve."""
    for key, value in published.items():
        if isinstance(value, Mapping):
            for name, count in value.items():
                yield f"{key}.{name}", count
        else:
            yield key, value
