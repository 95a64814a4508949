"""What pairs of images that show the same mean: leaks, and lines for the dataset's YAML."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from usbench.datasets.check.duplicates import MIN_CORRELATION, SimilarPair, connect_pairs
from usbench.datasets.check.findings import Finding
from usbench.datasets.config import DatasetConfig


@dataclass(frozen=True)
class LeakRules:
    """How the dataset's YAML splits, and which leaks it knows."""

    leaking: frozenset[str]  # ids of test images known to leak
    merges: bool  # a rule of ours deals out whole groups, so near-duplicates can stay in one
    marks: bool  # the test images are fixed, so leaks can only be marked

    @staticmethod
    def of(dataset: DatasetConfig) -> LeakRules:
        """The rules of a dataset's YAML."""
        split = dataset.split
        known = dataset.leakage.images if dataset.leakage else ()
        runs = split.gap is not None
        by_rule = bool(split.val_share or split.shares or split.folds)
        marks = runs or not split.shares
        return LeakRules(frozenset(known), by_rule and not runs, marks)


def judge_pairs(
    task: str, pairs: Sequence[SimilarPair], inside: int, tested: int, rules: LeakRules
) -> Iterator[Finding]:
    """The findings on one view's pairs.

    Args:
        task: the view, or several that share the pairs.
        pairs: see `find_pairs`.
        inside: how many near-duplicates it left out.
        tested: how many test images there are.
        rules: of the dataset.
    """
    near = f"near-duplicates (correlation ≥ {MIN_CORRELATION:g})"
    for pair in pairs:
        if pair.identical and pair.across:
            yield Finding("error", "identical across splits", f"{task}: {describe_pair(pair)}")
    leaking = find_leaks(pairs)
    if leaking:
        new = sorted(leaking - rules.leaking)
        status = "all known to leakage.images in the dataset's YAML"
        if new:
            status = f"{len(new)} new ({', '.join(new)})"
        count = f"{len(leaking)} of {tested} test images are {near} of one in train or val"
        yield Finding("warning", "leak", f"{task}: {count}: {status}")
    val = {pair.one.id for pair in pairs if pair.across and pair.one.split == "val"}
    if val:
        text = f"{len(val)} val images are {near} of one in train: {', '.join(sorted(val))}"
        yield Finding("warning", "leak into val", f"{task}: {text}")
    together = [pair for pair in pairs if not pair.across]
    separate = sum(not pair.known for pair in together)
    if separate:
        text = f"{separate} pairs of {near} are in one split, but of several groups"
        yield Finding("warning", "near-duplicates", f"{task}: {text}")
    in_order = len(together) - separate + inside
    if in_order:
        text = f"{in_order} pairs of {near} are in one split and one group, as they should be"
        yield Finding("note", "near-duplicates", f"{task}: {text}")


def describe_pair(pair: SimilarPair) -> str:
    """Name two identical images and their splits."""
    splits = dict.fromkeys(str(record.split or "unused") for record in (pair.one, pair.other))
    where = " and ".join(splits)
    return f"{pair.one.id} and {pair.other.id} ({where}) are the same in every pixel"


def find_leaks(pairs: Iterable[SimilarPair]) -> set[str]:
    """Ids of test images that show what one in train or val shows."""
    return {pair.one.id for pair in pairs if pair.across and pair.one.split == "test"}


def find_unconfirmed(leaking: Collection[str], rules: LeakRules) -> list[Finding]:
    """A warning where leakage.images in the dataset's YAML has ids that don't leak."""
    unconfirmed = sorted(rules.leaking.difference(leaking))
    if not unconfirmed:
        return []
    text = (
        f"leakage.images in the dataset's YAML has {', '.join(unconfirmed)}, "
        "but no near-duplicate in train or val was found"
    )
    return [Finding("warning", "leak", text)]


def format_yaml(pairs: Sequence[SimilarPair], rules: LeakRules, tested: int) -> str:
    """YAML for what is new; "" where nothing is.

    Clusters for split.near_duplicates (in place of listed ones that share an id), and the leak.
    """
    lines = []
    new_ids: set[str] = set()
    for pair in pairs:
        if not pair.known:
            new_ids |= {pair.one.id, pair.other.id}
    if rules.merges and new_ids:
        lines += ["split:", "  near_duplicates:"]
        for ids in connect_pairs((pair.one.id, pair.other.id) for pair in pairs):
            if new_ids.intersection(ids):
                lines.append(f"    - {format_list(ids)}")
    leaking = find_leaks(pairs)
    if rules.marks and leaking - rules.leaking:
        rule = f"correlation ≥ {MIN_CORRELATION:g} at 32×32"
        lines += [
            "leakage:",
            f'  description: "{len(leaking)} of the {tested} test images are near-duplicates '
            f'({rule}) of one in train or val; scores on all {tested} are optimistic"',
            f"  images: {format_list(sorted(leaking))}",
        ]
    return "\n".join(lines)


def format_list(ids: Sequence[str]) -> str:
    """Format a list on one line of YAML."""
    return str(
        yaml.safe_dump(list(ids), default_flow_style=True, width=10**9, allow_unicode=True)
    ).strip()


def pairs_to_json(pairs: Iterable[SimilarPair]) -> list[dict[str, Any]]:
    """The pairs as JSON."""
    return [
        {
            "one": pair.one.id,
            "other": pair.other.id,
            "splits": [pair.one.split, pair.other.split],
            "correlation": round(pair.correlation, 6),
            "identical": pair.identical,
            "known": pair.known,
        }
        for pair in pairs
    ]
