"""Near-duplicates by plain definitions: what the faster search is compared with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def correlate_thumbnails(thumbnails: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, h, w) grey thumbnails → (N, N) Pearson correlations."""
    flat = thumbnails.reshape(len(thumbnails), -1).astype(np.float64)
    flat = flat - flat.mean(1, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
    products: NDArray[np.float32] = (flat @ flat.T).astype(np.float32)
    return products


def find_clusters(ids: Sequence[str], similar: NDArray[np.bool_]) -> list[list[str]]:
    """Connected components of two or more of an (N, N) relation, as sorted ids."""
    left, found = set(range(len(ids))), []
    while left:
        queue, members = [min(left)], set()
        while queue:
            n = queue.pop()
            members.add(n)
            queue += [int(m) for m in np.flatnonzero(similar[n]) if m not in members]
        left -= members
        if len(members) > 1:
            found.append(sorted(ids[n] for n in members))
    return sorted(found)
