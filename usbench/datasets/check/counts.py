"""How many images, and of which class, each split of a view has.

Compared with what was published.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usbench.datasets.check.findings import Finding
from usbench.errors import ConfigError
from usbench.types import BLURRED, SEEN, SPLITS, Boxes, Masks, Record, Target, Task

UNUSED = "unused"  # where an image is that no split has
COLUMNS = (*SPLITS, UNUSED)
AMOUNTS: Mapping[Task, str] = {"segment": "pixels", "detect": "boxes", "landmark": "seen"}


@dataclass
class Tally:
    """Counts by column (a split, or unused) and class."""

    classes: tuple[str, ...]
    images: Counter[str] = field(default_factory=Counter)
    empty: Counter[str] = field(
        default_factory=Counter
    )  # images whose label was read and has no class
    groups: dict[str, set[str]] = field(default_factory=dict)
    present: dict[str, NDArray[np.int64]] = field(
        default_factory=dict
    )  # (C,) images with the class
    amount: dict[str, NDArray[np.int64]] = field(
        default_factory=dict
    )  # (C,) pixels, boxes or landmarks
    unknown: dict[str, NDArray[np.int64]] = field(
        default_factory=dict
    )  # (C,) images where nobody knows
    pixels: int = 0  # of all masks

    def add_image(self, record: Record) -> None:
        """An image of the index, whatever its label."""
        column = record.split or UNUSED
        self.images[column] += 1
        self.groups.setdefault(column, set()).add(record.group)

    def add_truth(self, record: Record, target: Target) -> None:
        """A label that could be read."""
        column = record.split or UNUSED
        amount, unknown = parts(target, len(self.classes))
        self.empty[column] += not amount.any()
        for table, more in (
            (self.present, amount > 0),
            (self.amount, amount),
            (self.unknown, unknown),
        ):
            table[column] = table.get(column, np.zeros(len(self.classes), np.int64)) + more
        self.pixels += (
            target.planes[0].size if isinstance(target, Masks) and len(target.planes) else 0
        )

    def total(self, table: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int64]:
        """(C,) over all columns."""
        zero = np.zeros(len(self.classes), np.int64)
        return sum(table.values(), zero)


def parts(target: Target, classes: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(C,) how much of each class a truth has: pixels, boxes or seen landmarks.

    (C,) where that is unknown.
    """
    if isinstance(target, Masks):
        unknown = np.zeros(classes, bool) if target.known is None else ~target.known
        return target.planes.sum((1, 2), dtype=np.int64), unknown
    if isinstance(target, Boxes):
        return np.bincount(target.labels, minlength=classes).astype(np.int64), np.zeros(
            classes, bool
        )
    return (target.state == SEEN).astype(np.int64), target.state == BLURRED


# ---- as a table, as data


def header(tally: Tally, task: Task) -> list[str]:
    """Of `rows`."""
    amount = "share of pixels" if task == "segment" else AMOUNTS[task]
    return [
        "images with",
        *columns(tally),
        "all",
        amount,
        *(["unknown"] if doubtful(tally) else []),
    ]


def rows(tally: Tally, task: Task) -> Iterator[list[str]]:
    """All images, groups, images without a class, then images with each class.

    Amounts and unknown labels over all.
    """
    names, last = columns(tally), [""] * (1 + doubtful(tally))
    groups = [len(tally.groups[name]) for name in names]
    every = len(set().union(*tally.groups.values()))
    yield [
        "(all images)",
        *(str(tally.images[name]) for name in names),
        str(tally.images.total()),
        *last,
    ]
    yield ["(groups)", *map(str, groups), str(every), *last]
    yield [
        "(no class)",
        *(str(tally.empty[name]) for name in names),
        str(tally.empty.total()),
        *last,
    ]
    zero = np.zeros(len(tally.classes), np.int64)
    sums = [tally.total(table) for table in (tally.present, tally.amount, tally.unknown)]
    for c, name in enumerate(tally.classes):
        present, amount, unknown = (int(one[c]) for one in sums)
        each = [str(tally.present.get(column, zero)[c]) for column in names]
        share = f"{100 * amount / max(tally.pixels, 1):.2f} %" if task == "segment" else str(amount)
        yield [name, *each, str(present), share, *([str(unknown)] if doubtful(tally) else [])]


def doubtful(tally: Tally) -> bool:
    """Whether of any image nobody knows what is in it."""
    return bool(tally.total(tally.unknown).any())


def columns(tally: Tally) -> list[str]:
    """The splits that have an image."""
    return [name for name in COLUMNS if tally.images[name]]


def plain(tally: Tally, task: Task) -> dict[str, Any]:
    """As JSON's data."""
    names = columns(tally)
    zero = np.zeros(len(tally.classes), np.int64)
    return {
        "images": {name: tally.images[name] for name in names},
        "groups": {name: len(tally.groups[name]) for name in names},
        "empty": {name: tally.empty[name] for name in names},
        "classes": {
            label: {
                "images": {name: int(tally.present.get(name, zero)[c]) for name in names},
                AMOUNTS[task]: {name: int(tally.amount.get(name, zero)[c]) for name in names},
                "unknown": {name: int(tally.unknown.get(name, zero)[c]) for name in names},
            }
            for c, label in enumerate(tally.classes)
        },
    }


# ---- against what was published


def compare(
    published: Mapping[str, Any], tally: Tally, records: Sequence[Record], task: Task
) -> list[Finding]:
    """One finding per published count: a note where it is met, a warning where the copy has
    another.

    published: the YAML's published_counts of the task: train, val, test (the release's own splits),
    images, empty, and by class `classes` (images with it) and `instances` (boxes).

    Raises:
        ConfigError: another key or class.
    """
    own = Counter(str(record.split) for record in records)
    found: dict[str, int] = {
        **{split: own[split] for split in SPLITS},
        "images": len({record.image for record in records}),
    }
    found["empty"] = tally.empty.total()
    pairs = [
        (key, value, found.get(key))
        for key, value in published.items()
        if not isinstance(value, Mapping)
    ]
    tables = {"classes": tally.total(tally.present)}
    if task == "detect":
        tables["instances"] = tally.total(tally.amount)
    for key, counts in published.items():
        if isinstance(counts, Mapping):
            by_name = (
                dict(zip(tally.classes, map(int, tables[key]), strict=True))
                if key in tables
                else {}
            )
            pairs += [(f"{key}.{name}", value, by_name.get(name)) for name, value in counts.items()]
    findings = []
    for name, value, count in pairs:
        if count is None or not isinstance(value, int):
            raise ConfigError(
                f"dataset.published_counts.{task}.{name}={value}: a count of the view was wanted"
            )
        text = f"{task}: {name}: {value:,} published, {count:,} found"
        same = value == count
        findings.append(
            Finding(
                "note" if same else "warning",
                "count",
                text if same else f"{text}; is this another version?",
            )
        )
    return findings
