"""What pairs of images that show the same mean for a benchmark: leaks, and lines for the dataset's
YAML.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from usbench.datasets.check.duplicates import LEAST, Pair, clusters
from usbench.datasets.check.findings import Finding
from usbench.types import Split


@dataclass(frozen=True)
class Rules:
    """How the dataset's YAML splits and what it knows of leaks."""

    leaking: frozenset[str]  # ids of test images known to leak
    merges: bool  # whole groups are shared out by a rule of ours: near-duplicates as one group stay together
    leaks: bool  # the release's own test images, or runs of the numbering: what leaks can only be marked

    @staticmethod
    def of(dataset: Mapping[str, Any]) -> Rules:
        """Of a dataset's YAML."""
        split, leak = dataset["split"], dataset.get("leakage") or {}
        runs = split.get("gap") is not None
        by_rule = any(split.get(name) for name in ("val_share", "shares", "folds"))
        return Rules(
            frozenset(leak.get("images", ())), by_rule and not runs, runs or not split.get("shares")
        )


def judge(
    task: str, pairs: Sequence[Pair], inside: int, tested: int, rules: Rules
) -> list[Finding]:
    """The findings on one view's pairs. tested: how many test images there are."""
    near = f"near-duplicates (correlation ≥ {LEAST:g})"
    findings = [
        Finding("error", "identical across splits", f"{task}: {words(pair)}")
        for pair in crossing(pairs)
    ]
    leaking = leaks(pairs)
    if leaking:
        new = sorted(leaking - rules.leaking)
        text = f"{task}: {len(leaking)} of {tested} test images are {near} of one in train or val: "
        told = (
            f"{len(new)} new ({', '.join(new)})"
            if new
            else "all known to leakage.images in the dataset's YAML"
        )
        findings.append(Finding("warning", "leak", text + told))
    chosen = {pair.one.id for pair in pairs if pair.across and pair.one.split == "val"}
    if chosen:
        text = f"{task}: {len(chosen)} val images are {near} of one in train: {', '.join(sorted(chosen))}"
        findings.append(Finding("warning", "leak into val", text))
    together = [pair for pair in pairs if not pair.across]
    new_pairs = [pair for pair in together if not pair.known]
    if new_pairs:
        text = f"{task}: {len(new_pairs)} pairs of {near} are in one split, but of several groups"
        findings.append(Finding("warning", "near-duplicates", text))
    settled = len(together) - len(new_pairs) + inside
    if settled:
        text = (
            f"{task}: {settled} pairs of {near} are in one split and one group, as they should be"
        )
        findings.append(Finding("note", "near-duplicates", text))
    return findings


def words(pair: Pair) -> str:
    """Which images, in which splits."""
    splits = " and ".join(
        dict.fromkeys(str(one.split or "unused") for one in (pair.one, pair.other))
    )
    return f"{pair.one.id} and {pair.other.id} ({splits}) are the same in every pixel"


def crossing(pairs: Iterable[Pair]) -> list[Pair]:
    """Pixel-identical images in two splits."""
    return [pair for pair in pairs if pair.identical and pair.across]


def leaks(pairs: Iterable[Pair]) -> set[str]:
    """Ids of test images that show what one in train or val shows."""
    return {pair.one.id for pair in pairs if pair.across and pair.one.split == "test"}


def unconfirmed(leaking: Collection[str], rules: Rules) -> list[Finding]:
    """A warning where leak.images has ids that don't leak."""
    lost = sorted(rules.leaking.difference(leaking))
    text = f"leakage.images in the dataset's YAML has {', '.join(lost)}, but no near-duplicate in train or val was found"
    return [Finding("warning", "leak", text)] if lost else []


def to_paste(pairs: Sequence[Pair], rules: Rules, tested: int) -> str:
    """YAML for what is new: clusters for split.near_duplicates (in place of listed ones that share
    an id), the leak; "" where there is nothing new.
    """
    lines = []
    fresh = {one.id for pair in pairs if not pair.known for one in (pair.one, pair.other)}
    if rules.merges and fresh:
        every = clusters((pair.one.id, pair.other.id) for pair in pairs)
        lines += ["split:", "  near_duplicates:"]
        lines += [f"    - {inline(ids)}" for ids in every if fresh.intersection(ids)]
    leaking = leaks(pairs)
    if rules.leaks and leaking - rules.leaking:
        text = f"{len(leaking)} of the {tested} test images are near-duplicates (correlation ≥ {LEAST:g} at 32×32) of "
        lines += [
            "leakage:",
            f'  description: "{text}one in train or val; scores on all {tested} are optimistic"',
        ]
        lines += [f"  images: {inline(sorted(leaking))}"]
    return "\n".join(lines)


def inline(ids: Sequence[str]) -> str:
    """A list on one line."""
    return str(
        yaml.safe_dump(list(ids), default_flow_style=True, width=10**9, allow_unicode=True)
    ).strip()


def rows(pairs: Iterable[Pair]) -> list[dict[str, Any]]:
    """The pairs as JSON's data."""
    return [
        {
            "one": pair.one.id,
            "other": pair.other.id,
            "splits": splits_of(pair),
            "correlation": round(pair.correlation, 6),
            "identical": pair.identical,
            "known": pair.known,
        }
        for pair in pairs
    ]


def splits_of(pair: Pair) -> list[Split | None]:
    """Of both images."""
    return [pair.one.split, pair.other.split]
