"""COCO's compressed run lengths ↔ one mask plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def coco_mask() -> Any:
    """The mask functions of faster-coco-eval, which loads OpenCV: not before one is needed."""
    import faster_coco_eval.core.mask as mask

    return mask


def encode_rle(plane: NDArray[np.bool_]) -> str:
    """COCO's compressed run lengths, column by column, of a plane (H, W) bool."""
    return _text(coco_mask().encode(np.asfortranarray(plane, np.uint8)))


def decode_rle(counts: str, size: tuple[int, int]) -> NDArray[np.bool_]:
    """The plane (H, W) bool of compressed run lengths.

    Raises ValueError where they don't fill it exactly.

    Written out here because the libraries' decoders differ in what they do with damaged text.
    """
    return expand_runs(_run_lengths(counts), size)


def expand_runs(lengths: NDArray[np.int64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The plane (H, W) bool of run lengths, column by column, the first of pixels that are off.

    Raises:
        ValueError: they don't fill it exactly.
    """
    if lengths.sum() != size[0] * size[1]:
        raise ValueError(f"run lengths of {lengths.sum()} pixels for a mask of {size[0]}×{size[1]}")
    return np.repeat(np.arange(lengths.size) % 2 == 1, lengths).reshape(size[::-1]).T


def rle_overlap(
    predictions: Sequence[str],
    targets: Sequence[str],
    size: tuple[int, int],
    crowd: Sequence[bool],
) -> NDArray[np.float64]:
    """(D, G) overlap of compressed run lengths.

    With a crowd it is the share of the prediction that lies in it.
    """
    predicted = [{"size": list(size), "counts": counts} for counts in predictions]
    drawn = [{"size": list(size), "counts": counts} for counts in targets]
    overlap = coco_mask().iou(predicted, drawn, list(map(int, crowd)))
    return np.asarray(overlap, np.float64).reshape(len(predictions), len(targets))


def rle_area(counts: str, size: tuple[int, int]) -> int:
    """Pixels of compressed run lengths."""
    return int(coco_mask().area({"size": list(size), "counts": counts}))


def fill_polygon(polygon: Sequence[float], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The plane (H, W) bool of a polygon x1, y1, x2, y2 … in px, filled by COCO's own rasteriser
    (maskApi.c).

    Its rule, pinned by the tests: pixel (row, column) covers column..column+1 × row..row+1 and is
    in where its centre is, to a fifth of a pixel; where the polygon crosses itself, even-odd.
    """
    (runs,) = coco_mask().frPyObjects([list(polygon)], *size)
    return decode_rle(_text(runs), size)


def _text(runs: Mapping[str, object]) -> str:
    counts = runs["counts"]
    return counts.decode("ascii") if isinstance(counts, bytes) else str(counts)


def _run_lengths(counts: str) -> NDArray[np.int64]:
    """Undo COCO's text: digits of 5 bits from '0' on, low first, bit 5 = more follow, bit 4 of the
    last = sign.

    From the fourth run on the text holds the difference to the run two before (pycocotools,
    rleFrString).
    """
    digits = np.frombuffer(counts.encode("ascii", "replace"), np.uint8).astype(np.int64) - ord("0")
    if not digits.size or digits.min() < 0 or digits.max() > 63 or digits[-1] & 32:
        raise ValueError("not COCO's compressed run lengths")
    last = np.flatnonzero(digits & 32 == 0)
    first = np.concatenate(([0], last[:-1] + 1))
    place = np.arange(digits.size) - np.repeat(first, last - first + 1)
    if place.max() > 6:
        raise ValueError("a run length of more than 35 bits")
    lengths = np.add.reduceat((digits & 31) << (5 * place), first)
    lengths -= np.where(digits[last] & 16, 1 << (5 * (place[last] + 1)), 0)
    lengths[1::2] = np.cumsum(lengths[1::2])
    lengths[2::2] = np.cumsum(lengths[2::2])
    if lengths.min() < 0:
        raise ValueError("a negative run length")
    return lengths
