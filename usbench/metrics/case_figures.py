"""Figures of lists of cases with intervals: means, standard deviations, F1, ROC areas.

A resample weights the cases, and each figure has its usual definition with weights: weight 2 is a
case listed twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usbench.metrics.average_precision import running_sums
from usbench.metrics.bootstrap import Draws, Values, resample_means, resample_sums
from usbench.metrics.chunks import do_in_chunks
from usbench.metrics.intervals import Scale, measure_spread
from usbench.metrics.ratios import ratio
from usbench.metrics.scores import Figure, Flags

SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")


def mean_figure(values: ArrayLike, draws: Draws, reason: str, scale: Scale) -> Figure:
    """The mean of (N,) values; None with the reason where there are none."""
    array = np.asarray(values, np.float64)
    if not len(array):
        return Figure(None, 0, reason)
    spread = measure_spread(lambda draws: resample_means(array, draws), draws, scale)
    return Figure.of(array.mean(), all_of(array), reason, spread, draws)


def all_of(values: NDArray[Any]) -> Flags:
    """(N,) every one of N cases has a value."""
    return np.ones(len(values), bool)


def median_figure(values: Sequence[float], draws: Draws, reason: str) -> Figure:
    """The median; it has no interval, because those of medians are unreliable for small samples."""
    array = np.asarray(values, np.float64)
    median = float(np.median(array)) if len(array) else np.nan
    figure = Figure.of(median, all_of(array), reason, draws=draws)
    return figure if figure.value is None else replace(figure, interval="no interval: a median")


def sd_figure(values: Sequence[float], draws: Draws, reason: str) -> Figure:
    """The sample's standard deviation (n − 1); None for fewer than two values."""
    if len(values) < 2:
        return Figure(None, len(values), reason)
    array = np.asarray(values, np.float64)
    spread = measure_spread(lambda draws: resample_sds(array, draws), draws, "unbounded")
    return Figure.of(array.std(ddof=1), all_of(array), reason, spread, draws)


def resample_sds(values: Values, draws: Draws) -> Values:
    """Standard deviation (n − 1) of (N,) values in each resample: (B,), NaN below two values."""
    centred = values - values.mean()
    total = resample_sums(centred, draws)
    squares = resample_sums(centred**2, draws)
    n = resample_sums(np.ones(len(values)), draws)
    variance = (squares - total**2 / np.maximum(n, 1)) / np.maximum(n - 1, 1)
    return np.where(n > 1, np.sqrt(np.maximum(variance, 0)), np.nan)


def f1_figure(
    scores: ArrayLike, present: ArrayLike, threshold: float, draws: Draws, reason: str
) -> Figure:
    """2TP / (2TP + FP + FN) of `score ≥ threshold` over N cases.

    None where nothing is present or predicted.
    """
    predicted = np.asarray(scores, np.float64) >= threshold
    positive = np.asarray(present, bool)
    parts = np.stack([2.0 * (predicted & positive), predicted.astype(float) + positive], axis=1)
    spread = measure_spread(lambda draws: ratio(*resample_sums(parts, draws).T), draws, "share")
    value = float(ratio(*parts.sum(axis=0)))
    return Figure.of(value, predicted | positive, reason, spread, draws)


def best_f1_threshold(scores: ArrayLike, right: ArrayLike, positives: int, default: float) -> float:
    """The score with the best F1 when used as threshold, the lowest of equals.

    Args:
        scores: (N,) of the predictions.
        right: (N,) whether each is right.
        positives: number of targets, found or not.
        default: returned where none is right.
    """
    if not np.any(right):
        return default
    order = np.argsort(-np.asarray(scores), kind="stable")
    score = np.asarray(scores)[order]
    hits = np.cumsum(np.asarray(right, bool)[order])
    rates = 2 * hits / (np.arange(1, len(order) + 1) + positives)
    # Equal scores pass a threshold together: only the last of them is a possible threshold.
    rates[:-1][score[1:] == score[:-1]] = -1.0
    return float(score[len(rates) - 1 - int(np.argmax(rates[::-1]))])


def auroc(scores: ArrayLike, present: ArrayLike) -> float | None:
    """Area under the ROC curve: Mann–Whitney U / (n₁ n₀); None where all are present or none is.

    It is the chance that a present case scores above an absent one, ties counting half.
    """
    positive = np.asarray(present, bool)
    if positive.all() or not positive.any():
        return None
    each_once = Draws(np.arange(len(positive)), np.ones((1, len(positive))))
    return float(resample_aurocs(np.asarray(scores, np.float64), positive, each_once)[0])


def auroc_figure(scores: ArrayLike, present: ArrayLike, draws: Draws, reason: str) -> Figure:
    """Area under the ROC curve over N cases; None where all are present or none is.

    Its groups are those with a present case or those with an absent one, whichever are fewer.
    """
    value = auroc(scores, present)
    array, positive = np.asarray(scores, np.float64), np.asarray(present, bool)
    if value is None:
        return Figure(None, len(array), reason)
    groups = min(draws.count_groups(positive), draws.count_groups(~positive))
    spread = measure_spread(
        lambda draws: resample_aurocs(array, positive, draws), draws, "share", alone=False
    )
    return Figure.of(value, all_of(array), reason, spread, draws, groups)


def resample_aurocs(scores: Values, present: NDArray[np.bool_], draws: Draws) -> Values:
    """Area under the ROC curve of (N,) cases in each resample: (B,).

    NaN where a resample lacks present or absent cases.
    """
    order = np.argsort(scores, kind="stable")
    positive, negative = order[present[order]], order[~present[order]]
    few, many = sorted((positive, negative), key=len)
    # How many of the many score below each of the few, and how many at most as high.
    below, up_to = (np.searchsorted(scores[many], scores[few], side) for side in SIDES)
    areas = np.zeros(len(draws.weights))

    def measure(rows: slice) -> None:
        weights = draws.weights[rows].astype(np.int32)
        of_few = weights.take(draws.index[few], axis=1)
        # (b, M + 1) weight of the many that are lowest, from none of them on.
        lowest = np.zeros((len(weights), len(many) + 1), np.int32)
        lowest[:, 1:] = running_sums(weights.take(draws.index[many], axis=1))
        # Twice the pairs in which one of the few scores higher; a tie is half a pair.
        twice = lowest.take(below, axis=1) + lowest.take(up_to, axis=1)
        higher = np.einsum("bf,bf->b", of_few, twice, dtype=np.float64) / 2
        pairs = of_few.sum(axis=1, dtype=np.float64) * lowest[:, -1]
        areas[rows] = ratio(higher if few is positive else pairs - higher, pairs)

    do_in_chunks(measure, len(areas), len(order))
    return areas
