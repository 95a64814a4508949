"""Images that two releases have in common: the same pixels, or near-duplicates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from usbench.datasets.check.duplicates import (
    BLOCK,
    MIN_CORRELATION,
    SLACK,
    correlate_pairs,
    standardise,
)
from usbench.datasets.check.findings import Finding
from usbench.datasets.check.images import ImageFacts
from usbench.io.numbers import format_count


@dataclass(frozen=True)
class CommonImage:
    """An image of one release, and one of the other that shows the same."""

    first: str  # its path in the one release
    second: str
    correlation: float
    identical: bool  # the same luma in every pixel


def find_common_images(
    first: Mapping[str, ImageFacts], second: Mapping[str, ImageFacts]
) -> list[CommonImage]:
    """Pairs of images of two releases that show the same, by the rule of `duplicates`.

    Args:
        first: the facts of one release's images, by path.
        second: of the other's.

    Returns:
        Identical pairs first, then by correlation.
    """
    if not first or not second:
        return []
    names, others = sorted(first), sorted(second)
    thumbnails = np.stack(
        [*(first[name].thumbnail for name in names), *(second[name].thumbnail for name in others)]
    )
    flat = standardise(thumbnails)
    own, foreign = flat[: len(names)], flat[len(names) :]
    blocks = [np.zeros((0, 2), np.intp)]
    for start in range(0, len(own), BLOCK):
        near = np.argwhere(own[start : start + BLOCK] @ foreign.T >= MIN_CORRELATION - SLACK)
        blocks.append(near + np.array([start, len(names)]))
    pairs = np.concatenate(blocks)
    if not len(pairs):
        return []
    values = correlate_pairs(thumbnails, pairs)
    common = [
        CommonImage(
            names[i],
            others[j - len(names)],
            value,
            first[names[i]].digest == second[others[j - len(names)]].digest,
        )
        for (i, j), value in zip(pairs.tolist(), values.tolist(), strict=True)
        if value >= MIN_CORRELATION
    ]
    return sorted(common, key=lambda pair: (not pair.identical, -pair.correlation, pair.first))


def judge_overlap(
    common: Sequence[CommonImage], name: str, other: str, overlaps: Mapping[str, str]
) -> Iterator[Finding]:
    """What two releases have in common, and whether the dataset's YAML says so.

    Args:
        common: their pairs.
        name: of the dataset that is checked.
        other: of the other dataset.
        overlaps: of the YAML.
    """
    stated = overlaps.get(other)
    images = len({pair.first for pair in common})
    identical = sum(pair.identical for pair in common)
    if not common:
        text = f"no image of {name} shows what one of {other} shows"
        if stated:
            yield Finding("warning", "overlap", f"{text}, but the YAML says: {stated}")
        else:
            yield Finding("note", "overlap", text)
        return
    text = (
        f"{format_count(images, 'image')} of {name} with what one of {other} shows "
        f"(correlation ≥ {MIN_CORRELATION:g}), {format_count(identical, 'pair')} the same in every "
        "pixel"
    )
    if stated:
        yield Finding("note", "overlap", f"{text}, as the YAML says: {stated}")
    else:
        yield Finding(
            "warning",
            "overlap",
            f"{text}; write it into overlaps of the dataset's YAML, and don't train on one and "
            "test on the other",
        )
