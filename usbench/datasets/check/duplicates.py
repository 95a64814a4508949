"""Images of one release that show the same: pixel-identical ones, and near-duplicates.

Near-duplicates are those whose thumbnails (32×32 luma, bilinear, mean removed) correlate by .95 or
more, the rule that the YAMLs' `split.near_duplicates` were made by. Every pair of images is looked
at, block by block: at 1,024 numbers an image that takes less than hashing them perceptually (a
second for 10,000 images on two cores) and misses none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from usbench.datasets.check.images import ImageFacts
from usbench.datasets.config import CORRELATIONS
from usbench.types import Record, Split

MIN_CORRELATION, *_, LEAST_STATED = CORRELATIONS
BLOCK = 512  # rows of the matrix of correlations at a time
SLACK = 1e-4  # float32 proposes, float64 decides
SPLIT_ORDER: Mapping[Split | None, int] = {"test": 0, "val": 1, "train": 2, None: 3}


@dataclass(frozen=True)
class SimilarPair:
    """Two images, in the order test, val, train, unused."""

    first: Record  # with the group and split that a run gives it
    second: Record
    correlation: float
    identical: bool  # the same luma in every pixel

    @property
    def across(self) -> bool:
        """Whether they are in two splits."""
        splits = {self.first.split, self.second.split}
        return len(splits) == 2 and None not in splits

    @property
    def split_names(self) -> tuple[str, str]:
        """The split of each, or unused."""
        return self.first.split or "unused", self.second.split or "unused"

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """Sorts the gravest pairs first: across splits, identical, by correlation."""
        return not self.across, not self.identical, -self.correlation

    @property
    def is_known(self) -> bool:
        """Whether the YAML's near_duplicates, or the release, have them as one group."""
        return self.first.group == self.second.group


def find_similar(
    thumbnails: NDArray[np.uint8], least: float = MIN_CORRELATION
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """(N, h, w) → (M, 2) indices i < j in order, and their (M,) Pearson correlations, all ≥ least.

    An image of one grey level correlates with none.
    """
    flat = standardise(thumbnails)
    blocks = [np.zeros((0, 2), np.intp)]
    for start in range(0, len(flat), BLOCK):
        near = np.argwhere(flat[start : start + BLOCK] @ flat[start:].T >= least - SLACK)
        blocks.append(near[near[:, 0] < near[:, 1]] + start)
    proposed = np.concatenate(blocks)
    starts = range(0, len(proposed), BLOCK)
    exact = (correlate_pairs(thumbnails, proposed[start : start + BLOCK]) for start in starts)
    values = np.concatenate([np.zeros(0), *exact])
    return proposed[values >= least], values[values >= least]


def standardise(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, h, w) → (N, h·w) with mean 0 and length 1, so that products are correlations."""
    flat = thumbnails.reshape(len(thumbnails), math.prod(thumbnails.shape[1:])).astype(np.float32)
    flat -= flat.mean(1, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    return flat


def highest_correlations(
    tests: NDArray[np.uint8], others: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """(N, h, w), (M, h, w) → (N,) each test image's highest correlation with another image."""
    flat, flat_others = standardise(tests), standardise(others)
    nearest = [
        (flat[start : start + BLOCK] @ flat_others.T).argmax(1)
        for start in range(0, len(flat), BLOCK)
    ]
    pairs = np.stack([np.arange(len(tests)), len(tests) + np.concatenate(nearest)], axis=1)
    return correlate_pairs(np.concatenate([tests, others]), pairs)


def correlate_pairs(thumbnails: NDArray[np.uint8], pairs: NDArray[np.intp]) -> NDArray[np.float64]:
    """(M,) Pearson correlations of (M, 2) pairs, in double precision.

    0 where one of both is constant.
    """
    ends = thumbnails[pairs].reshape(len(pairs), 2, -1).astype(np.float64)
    ends -= ends.mean(axis=2, keepdims=True)
    norms = np.linalg.norm(ends, axis=2).prod(axis=1)
    products = np.einsum("mn,mn->m", ends[:, 0], ends[:, 1])
    return np.asarray(np.divide(products, norms, out=np.zeros(len(pairs)), where=norms > 0))


def find_pairs(
    records: Sequence[Record], run_records: Sequence[Record], images: Mapping[str, ImageFacts]
) -> tuple[list[SimilarPair], int]:
    """Find pairs of images that show the same.

    Records of one image file (two annotators') count once.

    Args:
        records: as the release has them.
        run_records: the same, with the group and split that a run gives them.
        images: the facts of each readable image, by its path.

    Returns:
        The pairs: those across splits first, identical ones first, then by correlation. And the
        number of near-duplicates left out, since the release has them in one group and split.
    """
    by_image = {  # an image's first record
        record.image: (record, run_record)
        for record, run_record in reversed(list(zip(records, run_records, strict=True)))
        if record.image in images
    }
    unique = sorted(by_image.values(), key=lambda both: both[0].id)
    if not unique:
        return [], 0
    facts = [images[record.image] for record, _ in unique]
    near, values = find_similar(np.stack([fact.thumbnail for fact in facts]))
    correlations = dict(zip(map(tuple, near.tolist()), values.tolist(), strict=True))
    first_with: dict[bytes, int] = {}
    for n, fact in enumerate(facts):
        if first_with.setdefault(fact.digest, n) != n:
            correlations.setdefault((first_with[fact.digest], n), 1.0)
    pairs: list[SimilarPair] = []
    inside = 0
    for (i, j), correlation in correlations.items():
        first, second = sorted(
            (unique[i][1], unique[j][1]), key=lambda record: (SPLIT_ORDER[record.split], record.id)
        )
        identical = facts[i].digest == facts[j].digest
        same_group = unique[i][0].group == unique[j][0].group
        if same_group and first.split == second.split and not identical:
            inside += 1
        else:
            pairs.append(SimilarPair(first, second, correlation, identical))
    return sorted(pairs, key=lambda pair: (*pair.rank, pair.first.id, pair.second.id)), inside


def correlate_tests(
    run_records: Iterable[Record], images: Mapping[str, ImageFacts]
) -> dict[str, float]:
    """Test image → its highest correlation with an image of train or val, where it is ≥ .85.

    Three decimals, rounded down, so that a rounded figure reaches no threshold by itself.

    Args:
        run_records: with the split that a run gives them.
        images: the facts of each readable image, by its path.
    """
    tests: dict[str, str] = {}  # image → id
    others = set()
    for record in run_records:
        if record.image in images and record.split == "test":
            tests.setdefault(record.image, record.id)
        elif record.image in images and record.split is not None:
            others.add(record.image)
    if not tests or not others:
        return {}
    highest = highest_correlations(
        np.stack([images[path].thumbnail for path in tests]),
        np.stack([images[path].thumbnail for path in sorted(others)]),
    )
    stated = {}
    for name, value in sorted(zip(tests.values(), highest.tolist(), strict=True)):
        if value >= LEAST_STATED:
            stated[name] = math.floor(value * 1000) / 1000
    return stated


def connect_pairs(pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Connected components of a relation between ids, sorted."""
    ids, ends = np.unique(np.array(list(pairs), str).reshape(-1, 2), return_inverse=True)
    ends = ends.reshape(-1, 2)
    graph = sparse.coo_matrix((np.ones(len(ends)), ends.T), shape=(len(ids), len(ids)))
    count, labels = sparse.csgraph.connected_components(graph, directed=False)
    return sorted(ids[labels == label].tolist() for label in range(count))
