"""Who trains, who chooses, who tests: rules over groups.

No animal, patient or video is on two sides of a split of ours.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from usbench.datasets.config import SplitConfig
from usbench.errors import ConfigError, DataError
from usbench.types import SPLITS, Record, Split

THUMBNAIL = (32, 32)  # luma, bilinear; another filter finds other near-duplicates


# ---- by a dataset's YAML


def divide(
    records: Sequence[Record], split: SplitConfig, fold: int | None, root: Path, name: str
) -> dict[Split, tuple[Record, ...]]:
    """Divide the records of a release into train, val and test, as its dataset's YAML says.

    Raises:
        ConfigError: a split that isn't possible.
        DataError: a near-duplicate that isn't there, a record without a split, an empty split.
    """
    assigned = assign_splits(regroup(records, split.near_duplicates), split, fold, name)
    return divide_by_split(assigned, root, ("test",) if split.test_only else SPLITS)


def assign_splits(
    records: list[Record], split: SplitConfig, fold: int | None, name: str
) -> list[Record]:
    """Assign who trains, chooses and tests, by the YAML's split entry.

    Keys of the entry; without any, the release's own split stands:
        shares: {val, test} of whole groups, by a hash, stratified by the attribute `stratify`; with
            `gap`, of contiguous runs of the order of id instead.
        val_share: what is taken from the release's own train.
        folds: how many there are; a fold replaces all of these.
        released_folds: the folds are the release's own.
        test_groups: these groups test, the others train; `val_share` is taken from them.
        test_only: every image tests.

    Args:
        records: of the release.
        split: that entry.
        fold: number of the fold, or None.
        name: of the dataset, which also salts the hash.
    """
    shares, gap, folds = split.shares, split.gap, split.folds
    if split.released_folds and folds:
        return take_released_fold(records, folds, fold or 0)
    if fold is not None:
        if not folds:
            raise ConfigError(f"fold={fold}: {name} has a fixed split and no folds; leave fold out")
        return (
            split_k_fold(records, folds, fold, name, split.stratify)
            if gap is None
            else split_runs(records, runs_by_fold(folds, fold), gap)
        )
    if split.test_only:
        return [replace(record, split="test") for record in records]
    if split.test_groups:
        records = split_off_groups(records, split.test_groups, name)
    if shares:
        require_shares(shares, records, name)
        return (
            split_by_shares(records, shares, name, split.stratify)
            if gap is None
            else split_runs(records, runs_by_shares(shares), gap)
        )
    return hold_out(records, split.val_share, name) if split.val_share else records


def take_released_fold(records: Sequence[Record], folds: int, fold: int) -> list[Record]:
    """Give each record its split of one of the release's own folds."""
    if not 0 <= fold < folds:
        raise ConfigError(f"fold={fold}: expected 0 to {folds - 1}")
    return [replace(record, split=record.folds[fold]) for record in records]


def split_off_groups(records: Sequence[Record], tested: Sequence[str], name: str) -> list[Record]:
    """Let these groups test and the others train.

    Raises:
        DataError: the release doesn't have one of the groups.
    """
    unknown = sorted(set(tested) - {record.group for record in records})
    if unknown:
        raise DataError(
            f"{name}: expected the groups of split.test_groups in the release, found no "
            f"{unknown[0]!r} ({len(unknown)} such groups)"
        )
    return [
        replace(record, split="test" if record.group in tested else "train") for record in records
    ]


def require_shares(shares: Mapping[str, float], records: Sequence[Record], name: str) -> None:
    """Raise ConfigError for shares that leave no training data, or for a release with a split."""
    if (
        shares.keys() != {"val", "test"}
        or not {int, float}.issuperset(map(type, shares.values()))
        or min(shares.values()) <= 0
        or sum(shares.values()) >= 1
    ):
        raise ConfigError(
            f"split.shares of {name}: expected {{val: .1, test: .2}} with a sum below 1, "
            f"got {shares}"
        )
    for record in records:
        if record.split is not None:
            raise ConfigError(
                f"split.shares of {name}: the release has a split of its own ({record.id}); "
                "leave shares out"
            )


def require_separate_groups(
    divided: Mapping[Split, Sequence[Record]], split: SplitConfig, fold: int | None, name: str
) -> None:
    """Raise DataError where a group lies on two sides of a split of ours.

    A released split is taken as it is.
    """
    sides = list(itertools.combinations(SPLITS, 2))
    if split.released_folds:
        return
    if fold is None and not split.shares:
        sides = [("train", "val")] if split.val_share else []
    for first, second in sides:
        crossing = sorted(find_crossing_groups(divided, first, second))
        if crossing:
            raise DataError(
                f"{name}: expected every group in one split, "
                f"got {crossing[0]!r} in {first} and {second}"
            )


def find_crossing_groups(
    divided: Mapping[Split, Sequence[Record]], first: Split, second: Split
) -> set[str]:
    """Groups that lie in both splits."""
    return {record.group for record in divided[first]}.intersection(
        record.group for record in divided[second]
    )


# ---- the rules


def order_by_hash(groups: Iterable[str], salt: str) -> list[str]:
    """Order groups by a salted hash: a shuffle that no library's version can change."""
    return sorted(set(groups), key=lambda group: sha256(f"{salt}/{group}".encode()).hexdigest())


def count_groups(groups: Sequence[str], sizes: Mapping[str, int], images: float) -> int:
    """How many of the groups, from the first on, together have so many images; at most all."""
    return int(np.searchsorted(np.cumsum([0, *map(sizes.__getitem__, groups)]), images))


def hold_out(records: Sequence[Record], share: float, salt: str) -> list[Record]:
    """Move whole groups of train to val until val has at least `share` of them.

    A group that leaks into test stays in train.
    """
    tested = {record.group for record in records if record.split == "test"}
    sizes = Counter(record.group for record in records if record.split == "train")
    groups = order_by_hash(sizes.keys() - tested, salt)
    chosen = set(groups[: count_groups(groups, sizes, share * sizes.total())])
    return [
        replace(record, split="val")
        if record.split == "train" and record.group in chosen
        else record
        for record in records
    ]


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
    parts: tuple[Split, Split] = ("test", "val")
    split_of: dict[str, Split] = {}
    for groups in group_strata(records, stratify).values():
        images = sum(map(sizes.__getitem__, groups))
        remaining = order_by_hash(groups, salt)
        for part in parts:
            # A share may be met but for rounding.
            count = count_groups(remaining, sizes, shares[part] * images - 1e-9)
            split_of |= dict.fromkeys(remaining[:count], part)
            del remaining[:count]
    return [replace(record, split=split_of.get(record.group, "train")) for record in records]


def group_strata(records: Sequence[Record], attribute: str | None) -> dict[str, set[str]]:
    """Groups by value of the attribute, in order of the values.

    A group counts with its first record. Without an attribute all groups are one stratum.
    """
    strata: defaultdict[str, set[str]] = defaultdict(set)
    for group, record in {record.group: record for record in reversed(records)}.items():
        strata[record.attributes.get(attribute, "") if attribute else ""].add(group)
    return dict(sorted(strata.items()))


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
    parts, shares = zip(*lengths, strict=True)
    edges = np.rint(np.cumsum([0, *shares]) * len(records)).astype(int)
    divided: list[Record] = []
    for n, part in enumerate(parts):
        start, stop = edges[n], edges[n + 1]
        if n and parts[n - 1] != part:
            start += gap - gap // 2
        if n + 1 < len(parts) and parts[n + 1] != part:
            stop -= gap // 2
        divided += [replace(record, split=part) for record in records[start:stop]]
    return divided


def runs_by_shares(shares: Mapping[str, float]) -> list[tuple[Split, float]]:
    """The runs of {val, test}: train, val and test, one each."""
    val, test = shares["val"], shares["test"]
    return [("train", 1 - val - test), ("val", val), ("test", test)]


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
    strata = group_strata(records, stratify).values()
    order = itertools.chain(*(order_by_hash(groups, salt) for groups in strata))
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
        for id in cluster:
            if id not in group_of:
                raise DataError(
                    f"the dataset's YAML groups {id!r} with others, "
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
        raise DataError(
            f"{root / lost[0]}: expected a split, found none ({len(lost)} such images); let the "
            "layout's index() state each record's split, or the dataset's YAML divide the groups: "
            "split: {shares: {val: 0.15, test: 0.2}}"
        )
    divided: dict[Split, tuple[Record, ...]] = {}
    for split in SPLITS:
        divided[split] = tuple(record for record in records if record.split == split)
        if split in required and not divided[split]:
            raise DataError(
                f"{root}: expected an image in the {split} split, found none "
                f"({len(records)} in all)"
            )
    return divided
