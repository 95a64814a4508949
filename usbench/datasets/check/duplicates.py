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

from usbench.datasets.check.images import Picture
from usbench.types import Record, Split

LEAST = 0.95
BLOCK = 512  # rows of the matrix of correlations at a time
SLACK = 1e-4  # float32 proposes, float64 decides


@dataclass(frozen=True)
class Pair:
    """Two images, in the order test, val, train, unused."""

    one: Record  # with the group and split that a run gives it
    other: Record
    correlation: float
    identical: bool  # the same luma in every pixel

    @property
    def across(self) -> bool:
        """Whether they are in two splits."""
        return (
            self.one.split is not None
            and self.other.split is not None
            and self.one.split != self.other.split
        )

    @property
    def known(self) -> bool:
        """Whether the YAML's near_duplicates, or the release, have them as one group."""
        return self.one.group == self.other.group


def similar(
    thumbnails: NDArray[np.uint8], least: float = LEAST
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """(N, h, w) → (M, 2) indices i < j in order, and their (M,) Pearson correlations, all ≥ least.

    An image of one grey level correlates with none.
    """
    flat = thumbnails.reshape(len(thumbnails), math.prod(thumbnails.shape[1:])).astype(np.float32)
    flat -= flat.mean(1, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    found = [np.zeros((0, 2), np.intp)]
    for start in range(0, len(flat), BLOCK):
        products = flat[start : start + BLOCK] @ flat[start:].T
        near = np.argwhere(products >= least - SLACK)
        found.append(near[near[:, 0] < near[:, 1]] + start)
    proposed = np.concatenate(found)
    exact = [np.zeros(0)]
    for start in range(0, len(proposed), BLOCK):
        exact.append(correlation(thumbnails, proposed[start : start + BLOCK]))
    values = np.concatenate(exact)
    return proposed[values >= least], values[values >= least]


def correlation(thumbnails: NDArray[np.uint8], pairs: NDArray[np.intp]) -> NDArray[np.float64]:
    """(M,) Pearson correlations of (M, 2) pairs, in double precision.

    0 where one of both is constant.
    """
    one, other = (
        thumbnails[pairs[:, side]].reshape(len(pairs), -1).astype(np.float64) for side in (0, 1)
    )
    one, other = one - one.mean(1, keepdims=True), other - other.mean(1, keepdims=True)
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    products: NDArray[np.float64] = np.einsum("mn,mn->m", one, other) / np.where(
        norms > 0, norms, 1
    )
    return np.where(norms > 0, products, 0.0)


def alike(digests: Sequence[bytes]) -> set[tuple[int, int]]:
    """Index pairs i < j of equal digests; of several equal ones, each with the first."""
    first: dict[bytes, int] = {}
    return {
        (first[digest], n) for n, digest in enumerate(digests) if first.setdefault(digest, n) != n
    }


def find(
    records: Sequence[Record], used: Mapping[str, Record], pictures: Mapping[str, Picture]
) -> tuple[list[Pair], int]:
    """(pairs, how many near-duplicates lie in one group and split of the release and aren't
    listed).

    records: as the release has them; used: by id, with a run's group and split. Records of one
    image file (two annotators') count once. Pairs across splits first, identical ones first, then
    by correlation.
    """
    by_image = {record.image: record for record in reversed(records) if record.image in pictures}
    kept = sorted(by_image.values(), key=lambda record: record.id)
    if not kept:
        return [], 0
    thumbnails = np.stack([pictures[record.image].thumbnail for record in kept])
    near, values = similar(thumbnails)
    figures = {(int(i), int(j)): float(r) for (i, j), r in zip(near, values, strict=True)}
    digests = [pictures[record.image].digest for record in kept]
    settled = [used.get(record.id) or unused(record) for record in kept]
    found, inside = [], 0
    for i, j in sorted({*figures, *alike(digests)}):
        one, other = sorted(
            (settled[i], settled[j]), key=lambda record: (SPLIT_ORDER[record.split], record.id)
        )
        identical = digests[i] == digests[j]
        if kept[i].group == kept[j].group and one.split == other.split and not identical:
            inside += 1
        else:
            found.append(Pair(one, other, figures.get((i, j), 1.0), identical))
    found.sort(
        key=lambda pair: (
            not pair.across,
            not pair.identical,
            -pair.correlation,
            pair.one.id,
            pair.other.id,
        )
    )
    return found, inside


SPLIT_ORDER: Mapping[Split | None, int] = {"test": 0, "val": 1, "train": 2, None: 3}


def unused(record: Record) -> Record:
    """A record that no split of a run has (dropped at a border between two)."""
    return Record(record.id, record.group, record.image, record.label)


def clusters(pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Connected components of a relation between ids, sorted."""
    related = list(pairs)
    ids = sorted({name for pair in related for name in pair})
    place = {name: n for n, name in enumerate(ids)}
    one, other = ([place[pair[side]] for pair in related] for side in (0, 1))
    graph = sparse.coo_matrix((np.ones(len(related)), (one, other)), shape=(len(ids), len(ids)))
    count, labels = sparse.csgraph.connected_components(graph, directed=False)
    found: list[list[str]] = [[] for _ in range(count)]
    for name, label in zip(ids, labels, strict=True):
        found[label].append(name)
    return sorted(found)
