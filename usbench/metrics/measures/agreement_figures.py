"""How well predicted measurements agree with true ones: bias, limits of agreement and ICC.

Each function takes the values of N images; resamples are of whole groups.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from usbench.metrics.bootstrap import Draws, Values, resample_sums
from usbench.metrics.intervals import measure_spread
from usbench.metrics.scores import Figure, Figures

NORMAL = 1.96  # standard deviations that hold 95 % of a normal distribution
LIMITS = ("bias", "sd", "loa_low", "loa_high")  # the columns of `limits_of_agreement`


def limits_of_agreement(errors: Values, draws: Draws) -> Values:
    """Bias, SD and 95 % limits of agreement (Bland & Altman 1986), for several images per group.

    The SD of a single image's error adds up the variance between groups and within them, by
    one-way analysis of variance: Bland & Altman 2007 (J Biopharm Stat 17:571–582), where the true
    value varies. With one image per group it is the sample's SD (n − 1). The bias is the mean over
    images.

    Args:
        errors: (N,) predicted − true.
        draws: B resamples of the groups.

    Returns:
        (B, 4) as `LIMITS`. SD and limits are NaN where a resample has fewer than two groups.
    """
    middle = errors.mean()  # subtracted, for the digits of small differences
    centred = errors - middle
    per_group = np.zeros((draws.groups, 3))
    np.add.at(per_group, draws.index, np.stack([centred**0, centred, centred**2], axis=1))
    count, total, squares = per_group.T
    explained = np.where(count > 0, total**2 / np.maximum(count, 1), 0)
    of_groups = [count > 0, count, count**2, total, explained, squares - explained]
    groups, n, n_squares, total, explained, inside = (draws.weights @ np.stack(of_groups, 1)).T
    between = divide(explained - divide(total**2, n), groups - 1)  # mean squares
    within = divide(inside, n - groups)  # NaN without repeated images
    size = divide(n - divide(n_squares, n), groups - 1)  # images per group, if all had as many
    added = np.maximum(divide(between - within, size), 0)  # variance between groups
    variance = np.where(n > groups, added + within, between)
    bias, sd = middle + divide(total, n), np.sqrt(np.maximum(variance, 0))
    return np.stack([bias, sd, bias - NORMAL * sd, bias + NORMAL * sd], axis=1)


def intraclass_correlation(ratings: NDArray[np.float64], draws: Draws) -> Values:
    """ICC(2,1) in each resample: two-way random effects, absolute agreement, single rater.

    Shrout & Fleiss 1979 (Psychol Bull 86:420–428).

    Args:
        ratings: (N, k) of N images by k raters, such as target and prediction.
        draws: B resamples of the images' groups.

    Returns:
        (B,) NaN for a single image, and where all ratings are the same.
    """
    centred = ratings - ratings.mean()
    k = ratings.shape[1]
    rows = centred.sum(axis=1)
    parts = np.column_stack([np.ones(len(rows)), rows**2, (centred**2).sum(axis=1), centred])
    sums = resample_sums(parts, draws)
    n, row_squares, squares, columns = sums[:, 0], sums[:, 1], sums[:, 2], sums[:, 3:]
    correction = divide(columns.sum(axis=1) ** 2, n * k)
    of_rows = row_squares / k - correction  # sums of squares
    of_columns = divide((columns**2).sum(axis=1), n) - correction
    rest = np.maximum(squares - correction - of_rows - of_columns, 0)
    row, column, error = (  # mean squares
        divide(of_rows, n - 1),
        of_columns / (k - 1),
        divide(rest, (n - 1) * (k - 1)),
    )
    return divide(row - error, row + (k - 1) * error + k * divide(column - error, n))


def divide(numerator: Values, denominator: Values) -> Values:
    """Element-wise; NaN where the denominator isn't above 0."""
    is_defined = denominator > 0
    return np.where(is_defined, numerator / np.where(is_defined, denominator, 1), np.nan)


def error_figures(target: Values, prediction: Values, unit: str, draws: Draws) -> Figures:
    """Bias, limits of agreement and ICC of N images that have both values.

    Args:
        target: (N,) in the unit.
        prediction: (N,) likewise.
        unit: part of the figures' names.
        draws: resamples of the images' groups.
    """
    if not len(target):
        names = [*(f"{name}_{unit}" for name in LIMITS), "icc"]
        return dict.fromkeys(names, Figure(None, 0, "no image has a true and a predicted value"))
    errors = prediction - target
    ratings = np.stack([target, prediction], axis=1)

    def measure_limits(draws: Draws) -> Values:
        return limits_of_agreement(errors, draws)

    def measure_icc(draws: Draws) -> Values:
        return intraclass_correlation(ratings, draws)[:, None]

    limits = figures_of(measure_limits, draws, "one group only")
    figures = {f"{name}_{unit}": part for name, part in zip(LIMITS, limits, strict=True)}
    (figures["icc"],) = figures_of(measure_icc, draws, "one image, or all values are the same")
    return figures


def figures_of(measure: Callable[[Draws], Values], draws: Draws, reason: str) -> list[Figure]:
    """Figures of all cases with their intervals.

    Args:
        measure: of draws with B rows; returns (B, C).
        draws: resamples of the cases' groups.
        reason: why one is undefined.
    """
    counted = np.ones(len(draws.index), bool)
    values = measure(draws.all_cases())[0].tolist()
    spread = measure_spread(measure, draws, "unbounded")
    return [
        Figure.of(value, counted, reason, spread.column(c), draws) for c, value in enumerate(values)
    ]
