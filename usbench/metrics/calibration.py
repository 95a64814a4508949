"""Expected calibration error: how far confidences are from the share of predictions that are right.

15 bins of equal width (Naeini et al. 2015; Guo et al. 2017). The predictions of each case are
counted per bin once, so a resample of the cases is a weighted sum. Anything that has a confidence
can be counted: boxes, named landmarks, pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from usbench.metrics.bootstrap import Draws, Values, resample_sums
from usbench.metrics.intervals import measure_spread
from usbench.metrics.ratios import ratio
from usbench.metrics.scores import Figure

BINS = 15  # bin k: confidences above k/15 up to (k + 1)/15; 0 is in the first


def histogram(
    confidence: NDArray[np.floating], right: NDArray[np.bool_], case: NDArray[np.int64], cases: int
) -> Values:
    """Count predictions per case and bin of confidence.

    Args:
        confidence: (M,) of each prediction, in 0..1.
        right: (M,) whether each is right.
        case: (M,) the number of its case, below N.
        cases: N.

    Returns:
        (N, 15, 3): number of predictions, sum of their confidences, how many are right.
    """
    exact = np.asarray(confidence, np.float64)
    place = case * BINS + np.clip(np.ceil(exact * BINS).astype(np.int64) - 1, 0, BINS - 1)
    table = np.zeros((cases * BINS, 3))
    for column, weights in enumerate((None, exact, right)):
        table[:, column] = np.bincount(place, weights, cases * BINS)
    return table.reshape(cases, BINS, 3)


def ece(bins: Values) -> Values:
    """Mean over predictions of |share right − mean confidence| in their bin.

    Args:
        bins: (…, 15, 3) histograms, summed over the cases.

    Returns:
        (…), NaN without a prediction.
    """
    number, confidence, right = np.moveaxis(bins, -1, 0)
    return ratio(np.abs(confidence - right).sum(-1), number.sum(-1))


def ece_figure(bins: Values, draws: Draws, reason: str) -> Figure:
    """The error over all cases, with its interval.

    Args:
        bins: (N, 15, 3) histogram of each case.
        draws: resamples of the cases' groups.
        reason: why there is none, where no case has a prediction.
    """
    counted = bins[..., 0].sum(-1) > 0
    spread = measure_spread(lambda draws: ece(resample_sums(bins, draws)), draws, "share")
    return Figure.of(float(ece(bins.sum(axis=0))), counted, reason, spread, draws)
