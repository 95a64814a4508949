"""Who trains, who chooses, who tests: rules over groups.

No animal, patient or video is on two sides of a split of ours.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from usbench.errors import ConfigError, DataError
from usbench.types import SPLITS, Record, Split

THUMBNAIL = (32, 32)  # luma, bilinear; another filter finds other near-duplicates


def order_by_hash(groups: Iterable[str], salt: str) -> list[str]:
    """Order groups by a salted hash: a shuffle that no library's version can change."""

    def digest(group: str) -> str:
        return hashlib.sha256(f"{salt}/{group}".encode()).hexdigest()

    return sorted(set(groups), key=digest)


def hold_out(records: Sequence[Record], share: float, salt: str) -> list[Record]:
    """Move whole groups of train to val until val has at least `share` of them.

    A group that leaks into test stays in train.
    """
    tested = {record.group for record in records if record.split == "test"}
    sizes = Counter(record.group for record in records if record.split == "train")
    images_needed = share * sizes.total()
    chosen: set[str] = set()
    taken = 0
    for group in order_by_hash(sizes.keys() - tested, salt):
        if taken >= images_needed:
            break
        chosen.add(group)
        taken += sizes[group]
    divided = []
    for record in records:
        moves = record.split == "train" and record.group in chosen
        divided.append(replace(record, split="val") if moves else record)
    return divided


def split_by_shares(
    records: Sequence[Record], shares: Mapping[str, float], salt: str, stratify: str | None = None
) -> list[Record]:
    """Give whole groups to test, then to val, until each has its share; the rest trains.

    Args:
        records: of the release, without splits.
        shares: of all images, such as {val: .1, test: .2}.
        salt: of the hash that orders the groups.
        stratify: an attribute; each of its values is divided on its own.
    """
    sizes = Counter(record.group for record in records)
    parts: list[Split] = ["test", "val"]
    split_of: dict[str, Split] = {}
    for groups in group_strata(records, stratify).values():
        images = sum(sizes[group] for group in groups)
        remaining = iter(order_by_hash(groups, salt))
        for part in parts:
            taken = 0
            # A share that is met but for rounding.
            while taken < float(shares[part]) * images - 1e-9:
                group = next(remaining, None)
                if group is None:
                    break
                split_of[group] = part
                taken += sizes[group]
    return [replace(record, split=split_of.get(record.group, "train")) for record in records]


def group_strata(records: Sequence[Record], attribute: str | None) -> dict[str, set[str]]:
    """Groups by value of the attribute, in order of the values.

    A group counts with its first record. Without an attribute all groups are one stratum.
    """
    value_of: dict[str, str] = {}
    for record in records:
        value_of.setdefault(record.group, record.attributes.get(attribute, "") if attribute else "")
    strata: dict[str, set[str]] = {value: set() for value in sorted(set(value_of.values()))}
    for group, value in value_of.items():
        strata[value].add(group)
    return strata


def split_runs(
    records: Sequence[Record], lengths: Sequence[tuple[Split, float]], gap: int
) -> list[Record]:
    """Divide the records' order into contiguous runs.

    For releases without subject ids, whose numbering follows the subjects.

    Args:
        records: in order.
        lengths: (split, share of all records) of each run, in order.
        gap: records dropped where two splits meet, half on either side.
    """
    ends = np.rint(np.cumsum([share for _, share in lengths]) * len(records)).astype(int)
    first = 0
    divided: list[Record] = []
    for n, (split, _) in enumerate(lengths):
        start, stop = first, ends[n]
        if n and lengths[n - 1][0] != split:
            start += gap - gap // 2
        if n + 1 < len(lengths) and lengths[n + 1][0] != split:
            stop -= gap // 2
        divided += [replace(record, split=split) for record in records[start:stop]]
        first = ends[n]
    return divided


def runs_by_shares(shares: Mapping[str, float]) -> list[tuple[Split, float]]:
    """The runs of {val, test}: train, val and test, one each."""
    train = 1 - shares["val"] - shares["test"]
    return [("train", train), ("val", shares["val"]), ("test", shares["test"])]


def runs_by_fold(folds: int, fold: int) -> list[tuple[Split, float]]:
    """As many equal runs as folds: this one tests, the next (cyclically) is validation."""
    names = splits_of_folds(folds, fold)
    return [(names.get(n, "train"), 1 / folds) for n in range(folds)]


def splits_of_folds(folds: int, fold: int) -> dict[int, Split]:
    """{fold: test, the next: val}; ConfigError for a number that isn't possible."""
    if folds < 3:
        raise ConfigError(
            f"split.folds={folds}: expected at least 3, one each to train, to choose and to test"
        )
    if not 0 <= fold < folds:
        raise ConfigError(f"fold={fold}: expected 0 to {folds - 1}")
    return {fold: "test", (fold + 1) % folds: "val"}


def split_k_fold(
    records: Sequence[Record], folds: int, fold: int, salt: str, stratify: str | None = None
) -> list[Record]:
    """Divide groups into folds, stratum by stratum: this one tests, the next is validation."""
    names = splits_of_folds(folds, fold)
    order: list[str] = []
    for groups in group_strata(records, stratify).values():
        order += order_by_hash(groups, salt)
    split_of = {group: names.get(n % folds, "train") for n, group in enumerate(order)}
    return [replace(record, split=split_of[record.group]) for record in records]


def regroup(records: Sequence[Record], clusters: Sequence[Sequence[str]]) -> list[Record]:
    """Make one group of all groups that a cluster of ids ties together.

    Whole groups move: an animal with one image in a cluster brings its others along. The new group
    is named after the cluster's first id.

    Raises:
        DataError: a cluster has an unknown id.
    """
    group_of = {record.id: record.group for record in records}
    merged_with = {group: {group} for group in group_of.values()}
    names: dict[str, str] = {}  # of groups that were merged
    for cluster in clusters:
        unknown = [id for id in cluster if id not in group_of]
        if unknown:
            raise DataError(
                f"the dataset's YAML groups {unknown[0]!r} with others, "
                "but the release has no such image"
            )
        merged = set().union(*(merged_with[group_of[id]] for id in cluster))
        name = next((names[group] for group in sorted(merged) if group in names), cluster[0])
        for group in merged:
            merged_with[group] = merged
            names[group] = name
    return [replace(record, group=names.get(record.group, record.group)) for record in records]


def divide_by_split(
    records: Sequence[Record], root: Path, required: Sequence[Split] = SPLITS
) -> dict[Split, tuple[Record, ...]]:
    """Sort records by split.

    Args:
        records: each with a split.
        root: where they lie, for the error.
        required: the splits that need images.

    Raises:
        DataError: a record has no split, or a required split is empty.
    """
    lost = [record.image for record in records if record.split is None]
    if lost:
        raise DataError(f"{root / lost[0]}: expected a split, found none ({len(lost)} such images)")
    divided: dict[Split, tuple[Record, ...]] = {}
    for split in SPLITS:
        divided[split] = tuple(record for record in records if record.split == split)
        if split in required and not divided[split]:
            raise DataError(
                f"{root}: expected an image in the {split} split, found none "
                f"({len(records)} in all)"
            )
    return divided


def find_crossing_groups(
    divided: Mapping[Any, Sequence[Record]], first: Split, second: Split
) -> set[str]:
    """Groups that lie in both splits."""
    groups = {record.group for record in divided[first]}
    return groups & {record.group for record in divided[second]}
