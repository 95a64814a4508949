"""What pairs of images that show the same mean: leaks, annotations, lines for a dataset's YAML."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
import yaml

from usbench.datasets.check.duplicates import MIN_CORRELATION, SimilarPair, connect_pairs
from usbench.datasets.check.findings import Finding, Level
from usbench.datasets.config import CORRELATIONS, DatasetConfig
from usbench.errors import UsbenchError
from usbench.io.files import JsonObject
from usbench.types import Boxes, Landmarks, Layout, Masks, Split, Target, Task


@dataclass(frozen=True)
class LeakRules:
    """How the dataset's YAML splits, and which leaks it knows."""

    leaking: frozenset[str]  # ids of test images known to leak
    merges: bool  # a rule of ours deals out whole groups, so near-duplicates can stay in one
    marks: bool  # the test images are fixed, so leaks can only be marked
    correlations: Mapping[str, float] = field(default_factory=dict)  # as the YAML states them

    @staticmethod
    def of(dataset: DatasetConfig) -> LeakRules:
        """The rules of a dataset's YAML."""
        split = dataset.split
        return LeakRules(
            leaking=frozenset(dataset.leakage.images if dataset.leakage else ()),
            merges=split.gap is None and bool(split.val_share or split.shares or split.folds),
            marks=split.gap is not None or not split.shares,
            correlations=dataset.leakage.correlations if dataset.leakage else {},
        )


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
    for pair in pairs:
        if pair.identical and pair.across:
            yield Finding("error", "identical across splits", f"{task}: {describe_pair(pair)}")
    near = f"near-duplicates (correlation ≥ {MIN_CORRELATION:g})"
    leaking, val = find_leaks(pairs), find_leaks(pairs, "val")
    new = sorted(leaking - rules.leaking)
    status = (
        f"{len(new)} new ({', '.join(new)})"
        if new
        else "all known to leakage.images in the dataset's YAML"
    )
    together = Counter(pair.is_known for pair in pairs if not pair.across)
    separate, in_order = together[False], together[True] + inside
    summary: tuple[tuple[int, Level, str, str], ...] = (
        (
            len(leaking),
            "warning",
            "leak",
            f"of {tested} test images are {near} of one in train or val: {status}",
        ),
        (
            len(val),
            "warning",
            "leak into val",
            f"val images are {near} of one in train: {', '.join(sorted(val))}",
        ),
        (
            separate,
            "warning",
            "near-duplicates",
            f"pairs of {near} are in one split, but of several groups",
        ),
        (
            in_order,
            "note",
            "near-duplicates",
            f"pairs of {near} are in one split and one group, as they should be",
        ),
    )
    for count, level, kind, text in summary:
        if count:
            yield Finding(level, kind, f"{task}: {count} {text}")


def describe_pair(pair: SimilarPair) -> str:
    """Name two identical images and their splits."""
    where = " and ".join(dict.fromkeys(pair.split_names))
    return f"{pair.first.id} and {pair.second.id} ({where}) are the same in every pixel"


def compare_annotations(
    task: Task, layout: Layout, root: Path, pairs: Sequence[SimilarPair]
) -> Iterator[Finding]:
    """A warning for every two pixel-identical images: whether their labels are the same too."""
    for pair in pairs:
        if not pair.identical:
            continue
        try:
            first, second = layout.read(root, pair.first), layout.read(root, pair.second)
        except UsbenchError:  # a finding already
            continue
        differing = differing_classes(first, second, layout.classes)
        how = f"annotated differently ({', '.join(differing)})" if differing else "annotated alike"
        yield Finding("warning", "identical", f"{task}: {describe_pair(pair)}, {how}")


def differing_classes(first: Target, second: Target, classes: Sequence[str]) -> list[str]:
    """The classes in which two targets differ; the size, where masks have several."""
    if isinstance(first, Masks) and isinstance(second, Masks):
        if first.planes.shape != second.planes.shape:
            return ["size"]
        differs = (first.planes != second.planes).any((1, 2)).tolist()
    elif isinstance(first, Boxes) and isinstance(second, Boxes):
        differs = [_sorted_boxes(first, c) != _sorted_boxes(second, c) for c in range(len(classes))]
    elif isinstance(first, Landmarks) and isinstance(second, Landmarks):
        same = map(np.array_equal, first.paths, second.paths)
        differs = (first.state != second.state) | ~np.array(list(same), bool)
    else:
        return ["kind"]
    return list(itertools.compress(classes, differs))


def _sorted_boxes(boxes: Boxes, label: int) -> list[list[float]]:
    return sorted(boxes.xyxy[boxes.labels == label].tolist())


def find_leaks(pairs: Iterable[SimilarPair], split: Split = "test") -> set[str]:
    """Ids of test images that show what train or val shows, or of val images that train shows."""
    return {pair.first.id for pair in pairs if pair.across and pair.first.split == split}


def find_unconfirmed(leaking: Collection[str], rules: LeakRules) -> Iterator[Finding]:
    """A warning where leakage.images in the dataset's YAML has ids that don't leak."""
    unconfirmed = sorted(rules.leaking.difference(leaking))
    if unconfirmed:
        yield Finding(
            "warning",
            "leak",
            f"leakage.images in the dataset's YAML has {', '.join(unconfirmed)}, "
            "but no near-duplicate in train or val was found",
        )


def judge_correlations(
    task: str, measured: Mapping[str, float], tested: int, rules: LeakRules
) -> Iterator[Finding]:
    """How many test images resemble a training image, and whether the YAML states the same.

    Args:
        task: the view, or several that share the images.
        measured: as `correlate_tests` gives them.
        tested: how many test images there are.
        rules: of the dataset.
    """
    if not (rules.marks and (measured or rules.correlations)):
        return
    counts = [
        f"{sum(value >= least for value in measured.values())} ≥ {least:g}"
        for least in CORRELATIONS
    ]
    text = f"of {tested} test images by their highest correlation with one in train or val"
    yield Finding("note", "leak", f"{task}: {', '.join(counts)}, {text}")
    if rules.correlations and dict(rules.correlations) != measured:
        differing = dict(rules.correlations.items() ^ measured.items())
        yield Finding(
            "warning",
            "leak",
            f"{task}: leakage.correlations in the dataset's YAML differ from those measured for "
            f"{', '.join(sorted(differing))}",
        )


def format_yaml(
    pairs: Sequence[SimilarPair],
    rules: LeakRules,
    tested: int,
    correlations: Mapping[str, float] = MappingProxyType({}),
) -> str:
    """YAML for what is new; "" where nothing is.

    Clusters for split.near_duplicates (in place of listed ones that share an id), and the leak.

    Args:
        pairs: of one set of images.
        rules: of the dataset.
        tested: how many test images there are.
        correlations: as `correlate_tests` gives them.
    """
    lines = []
    new_ids = {pair.first.id for pair in pairs if not pair.is_known}
    if rules.merges and new_ids:
        lines += ["split:", "  near_duplicates:"]
        for ids in connect_pairs((pair.first.id, pair.second.id) for pair in pairs):
            if new_ids.intersection(ids):
                lines.append(f"    - {format_list(ids)}")
    leaking = find_leaks(pairs)
    if rules.marks and leaking - rules.leaking:
        lines += [
            "leakage:",
            f'  description: "{len(leaking)} of the {tested} test images are near-duplicates '
            f"(correlation ≥ {MIN_CORRELATION:g} at 32×32) of one in train or "
            f'val; scores on all {tested} are optimistic"',
            f"  images: {format_list(sorted(leaking))}",
        ]
    if rules.marks and leaking and correlations != rules.correlations:
        lines += [] if leaking - rules.leaking else ["leakage:"]
        lines.append(f"  correlations: {format_flow(dict(correlations))}")
    return "\n".join(lines)


def format_list(ids: Sequence[str]) -> str:
    """Format a list on one line of YAML."""
    return format_flow(list(ids))


def format_flow(value: object) -> str:
    """Format a value on one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**9, allow_unicode=True)
    return str(text).strip()


def pair_to_json(pair: SimilarPair) -> JsonObject:
    """A pair as JSON."""
    return {
        "one": pair.first.id,
        "other": pair.second.id,
        "splits": [pair.first.split, pair.second.split],
        "correlation": round(pair.correlation, 6),
        "identical": pair.identical,
        "known": pair.is_known,
    }
