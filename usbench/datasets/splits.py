"""Who trains, who chooses, who tests: rules over groups, so that no animal, patient or video is on
two sides.
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

THUMBNAIL = (32, 32)  # luma, bilinear; another filter finds other pairs


def order_by_hash(groups: Iterable[str], salt: str) -> list[str]:
    """The groups in the order of a salted hash: a shuffle that no library's version can change."""
    return sorted(
        set(groups), key=lambda group: hashlib.sha256(f"{salt}/{group}".encode()).hexdigest()
    )


def hold_out(records: Sequence[Record], share: float, salt: str) -> list[Record]:
    """Move whole groups of train to val until val has at least `share` of them."""
    train = [record for record in records if record.split == "train"]
    barred = {
        record.group for record in records if record.split == "test"
    }  # a group that leaks into test stays in train
    wanted, chosen, taken = share * len(train), set(), 0
    for group in order_by_hash(
        (record.group for record in train if record.group not in barred), salt
    ):
        if taken >= wanted:
            break
        chosen.add(group)
        taken += sum(record.group == group for record in train)
    return [
        replace(record, split="val")
        if record.split == "train" and record.group in chosen
        else record
        for record in records
    ]


def split_by_shares(
    records: Sequence[Record], shares: Mapping[str, float], salt: str, stratify: str | None = None
) -> list[Record]:
    """Whole groups to test, then to val, until each has its share; the rest trains.

    shares: {val: .1, test: .2}; stratify: an attribute, and each of its values is shared out on its
    own (a group counts with its first record).
    """
    parts: list[Split] = ["test", "val"]
    chosen: dict[str, Split] = {}
    for groups in group_strata(records, stratify).values():
        order, sizes = (
            order_by_hash(groups, salt),
            Counter(r.group for r in records if r.group in groups),
        )
        rest = iter(order)
        for part in parts:
            taken = 0.0
            while taken < float(shares[part]) * sum(sizes.values()) - 1e-9:
                group = next(rest, None)
                if group is None:
                    break
                chosen[group] = part
                taken += sizes[group]
    return [replace(record, split=chosen.get(record.group, "train")) for record in records]


def group_strata(records: Sequence[Record], attribute: str | None) -> dict[str, set[str]]:
    """Value of the attribute → groups, by value; one stratum without an attribute."""
    value_of: dict[str, str] = {}
    for record in records:
        value_of.setdefault(record.group, record.attributes.get(attribute, "") if attribute else "")
    found: dict[str, set[str]] = {value: set() for value in sorted(set(value_of.values()))}
    for group, value in value_of.items():
        found[value].add(group)
    return found


def split_runs(
    records: Sequence[Record], lengths: Sequence[tuple[Split, float]], gap: int
) -> list[Record]:
    """Contiguous runs of the records' order, `gap` records dropped where two splits meet (half on
    either side).

    lengths: (split, share of all records) of each run, in order. For releases without subject ids,
    whose numbering follows the subjects.
    """
    ends = np.rint(np.cumsum([share for _, share in lengths]) * len(records)).astype(int)
    starts = [0, *ends[:-1]]
    kept: list[Record] = []
    for n, (split, _) in enumerate(lengths):
        first, last = starts[n], ends[n]
        if n and lengths[n - 1][0] != split:
            first += gap - gap // 2
        if n + 1 < len(lengths) and lengths[n + 1][0] != split:
            last -= gap // 2
        kept += [replace(record, split=split) for record in records[first:last]]
    return kept


def runs_by_shares(shares: Mapping[str, float]) -> list[tuple[Split, float]]:
    """{val, test} → train, val and test, one run each."""
    return [
        ("train", 1 - shares["val"] - shares["test"]),
        ("val", shares["val"]),
        ("test", shares["test"]),
    ]


def runs_by_fold(folds: int, fold: int) -> list[tuple[Split, float]]:
    """As many equal runs as folds: this one tests, the next (cyclically) is validation."""
    names = splits_of_folds(folds, fold)
    return [(names.get(n, "train"), 1 / folds) for n in range(folds)]


def splits_of_folds(folds: int, fold: int) -> dict[int, Split]:
    """{fold: test, the next: val}; ConfigError for a number that can't be."""
    if folds < 3:
        raise ConfigError(
            f"split.folds={folds}: at least 3 were wanted, one each to train, to choose and to test"
        )
    if not 0 <= fold < folds:
        raise ConfigError(f"fold={fold}: one of 0..{folds - 1} was wanted")
    return {fold: "test", (fold + 1) % folds: "val"}


def split_k_fold(
    records: Sequence[Record], folds: int, fold: int, salt: str, stratify: str | None = None
) -> list[Record]:
    """Group-aware folds: test = this one, validation = the next, training = the rest.

    Dealt out stratum by stratum.
    """
    names = splits_of_folds(folds, fold)
    order = [
        group
        for groups in group_strata(records, stratify).values()
        for group in order_by_hash(groups, salt)
    ]
    number = {group: n % folds for n, group in enumerate(order)}
    return [replace(record, split=names.get(number[record.group], "train")) for record in records]


def regroup(records: Sequence[Record], clusters: Sequence[Sequence[str]]) -> list[Record]:
    """Groups that a cluster of ids ties together become one, named after the cluster's first id.

    Whole groups move: an animal with one image in a cluster brings its others along. DataError for
    an unknown id.
    """
    group_of = {record.id: record.group for record in records}
    members = {
        group: {group} for group in group_of.values()
    }  # group → the groups that it is one with
    names: dict[str, str] = {}
    for cluster in clusters:
        lost = [identity for identity in cluster if identity not in group_of]
        if lost:
            raise DataError(
                f"the dataset's YAML groups {lost[0]!r} with others, but the release has no such "
                "image"
            )
        merged = set().union(*(members[group_of[identity]] for identity in cluster))
        name = next((names[group] for group in sorted(merged) if group in names), cluster[0])
        for group in merged:
            members[group], names[group] = merged, name
    return [replace(record, group=names.get(record.group, record.group)) for record in records]


def required_splits(split: Mapping[str, Any]) -> tuple[Split, ...]:
    """The splits that need images, by the YAML's split entry: all three, or the test split alone."""
    return ("test",) if split.get("test_only") else SPLITS


def divide_by_split(
    records: Sequence[Record], where: Path, wanted: Sequence[Split] = SPLITS
) -> dict[Split, tuple[Record, ...]]:
    """Records by split.

    DataError, naming where they lie, for an empty split that is wanted or a record without one.
    """
    lost = [record.image for record in records if record.split is None]
    if lost:
        raise DataError(
            f"{where / lost[0]}: expected a split, found none ({len(lost)} such images)"
        )
    divided = {
        split: tuple(record for record in records if record.split == split) for split in SPLITS
    }
    for split in wanted:
        if not divided[split]:
            raise DataError(
                f"{where}: expected an image in the {split} split, found none ({len(records)} in "
                "all)"
            )
    return divided


def find_crossing_groups(
    divided: Mapping[Split, Sequence[Record]], one: Split, other: Split
) -> set[str]:
    """Groups that lie in both splits."""
    return {record.group for record in divided[one]} & {record.group for record in divided[other]}
