"""Expected calibration error: how far a confidence is from the share of guesses of that confidence that are right.

15 bins of equal width (Naeini et al. 2015; Guo et al. 2017). The guesses of each case are counted per bin once, so a
resample of the cases is a weighted sum; whatever has a confidence can be counted: boxes, names, pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from usbench.metrics.bootstrap import Draws, sums
from usbench.metrics.scores import Figure, bounded

BINS = 15  # bin k: confidences above k/15 up to (k + 1)/15; 0 is in the first
Values = NDArray[np.float64]


def histogram(
    confidence: NDArray[np.floating], right: NDArray[np.bool_], case: NDArray[np.int64], cases: int
) -> Values:
    """(M,) confidences in 0..1, whether each is right, and its case → (N, 15, 3): per case and bin the number of
    guesses, the sum of their confidences, and how many are right."""
    sure = np.asarray(confidence, np.float64)
    place = case * BINS + np.clip(np.ceil(sure * BINS).astype(np.int64) - 1, 0, BINS - 1)
    columns = [
        np.bincount(place, weights, cases * BINS) for weights in (np.ones(len(sure)), sure, right)
    ]
    return np.stack(columns, -1).astype(np.float64).reshape(cases, BINS, 3)


def ece(bins: Values) -> Values:
    """(…, 15, 3) summed over cases → (…): mean over guesses of |share right − mean confidence| of their bin; NaN
    without a guess."""
    number, sure, right = np.moveaxis(bins, -1, 0)
    total = number.sum(-1)
    return np.where(total > 0, np.abs(sure - right).sum(-1) / np.maximum(total, 1), np.nan)


def ece_of(bins: Values, draws: Draws, reason: str) -> Figure:
    """(N, 15, 3) per case → the error over all of them, with its interval; n: cases with a guess."""
    figure = Figure.of(float(ece(bins.sum(axis=0))), int((bins[..., 0].sum(-1) > 0).sum()), reason)
    return bounded(figure, ece(sums(bins, draws)), draws.groups)
