"""Figures of lists of cases with their intervals: means, shares, standard deviations, F1, areas under the ROC curve.

A resample weights the cases; each figure here is its plain definition with weights, so weight 2 is a case listed twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from usbench.metrics import landmarks
from usbench.metrics.bootstrap import Draws, Values, draw, means, sums
from usbench.metrics.scores import Figure, Figures, bounded

CHUNK = 4_000_000  # weights that are in memory at once


def mean_of(values: Sequence[float], draws: Draws, reason: str) -> Figure:
    """The mean of the values; None with the reason where there are none."""
    if not len(values):
        return Figure(None, 0, reason)
    array = np.asarray(values, np.float64)
    return bounded(
        Figure.of(float(array.mean()), len(array), reason), means(array, draws), draws.groups
    )


def median_of(values: Sequence[float], reason: str) -> Figure:
    """The median, without an interval: percentile intervals of medians are unreliable for small samples."""
    figure = Figure.of(
        float(np.median(np.asarray(values))) if len(values) else math.nan, len(values), reason
    )
    return (
        figure
        if figure.value is None
        else Figure(figure.value, figure.n, interval="no interval: a median")
    )


def sd_of(values: Sequence[float], draws: Draws, reason: str) -> Figure:
    """The sample's standard deviation (n − 1); None for fewer than two values."""
    if len(values) < 2:
        return Figure(None, len(values), reason)
    array = np.asarray(values, np.float64)
    return bounded(Figure(float(array.std(ddof=1)), len(array)), sds(array, draws), draws.groups)


def sds(values: Values, draws: Draws) -> Values:
    """(N,) → (B,) standard deviation (n − 1) of each resample; NaN where it has fewer than two values."""
    around = values - values.mean()
    total, square = sums(around, draws), sums(around**2, draws)
    n = sums(np.ones(len(values)), draws)
    variance = (square - total**2 / np.maximum(n, 1)) / np.maximum(n - 1, 1)
    return np.where(n > 1, np.sqrt(np.maximum(variance, 0)), np.nan)


def f1_of(
    scores: Sequence[float], present: Sequence[bool], threshold: float, draws: Draws, reason: str
) -> Figure:
    """2TP / (2TP + FP + FN) of `score ≥ threshold`; None where nothing is present and nothing found."""
    value = landmarks.f1(scores, present, threshold)
    if value is None:
        return Figure(None, len(scores), reason)
    found, positive = np.asarray(scores, np.float64) >= threshold, np.asarray(present, bool)
    hits, below = sums(2.0 * (found & positive), draws), sums(found.astype(float) + positive, draws)
    resampled = np.where(below > 0, hits / np.maximum(below, 1), np.nan)
    return bounded(Figure(value, len(scores)), resampled, draws.groups)


def auroc_of(scores: Sequence[float], present: Sequence[bool], draws: Draws, reason: str) -> Figure:
    """Area under the ROC curve, ties counting half; None where all are present or none is."""
    value = landmarks.auroc(scores, present)
    if value is None:
        return Figure(None, len(scores), reason)
    resampled = aurocs(np.asarray(scores, np.float64), np.asarray(present, bool), draws)
    return bounded(Figure(value, len(scores)), resampled, draws.groups)


def aurocs(scores: Values, present: NDArray[np.bool_], draws: Draws) -> Values:
    """(N,) → (B,) area of each resample; NaN where it lacks one of the two."""
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(
        np.append(True, np.diff(scores[order]) > 0)
    )  # equal scores are one step of the curve
    positive, sorted_draws = present[order], draws.of(order)

    def area(weights: Values) -> Values:
        up = np.add.reduceat(weights * positive, starts, axis=1)
        across = np.add.reduceat(weights * ~positive, starts, axis=1)
        below = np.cumsum(across, axis=1) - across
        pairs = up.sum(axis=1) * across.sum(axis=1)
        won = (up * (below + across / 2)).sum(axis=1)
        return np.where(pairs > 0, won / np.maximum(pairs, 1), np.nan)

    return chunked(area, sorted_draws)


def chunked(figure: Callable[[Values], Values], draws: Draws) -> Values:
    """A figure of (b, N) weights of the cases, for all resamples, some at a time."""
    step = max(CHUNK // max(len(draws.index), 1), 1)
    parts = [draws.weights[n : n + step, draws.index] for n in range(0, len(draws.weights), step)]
    return np.concatenate([figure(weights) for weights in parts])


def agreement_of(differences: Sequence[float], groups: Sequence[str], reason: str) -> Figures:
    """Bias, SD and limits of agreement (Bland & Altman 1986) of one difference per group."""
    found = landmarks.agreement(differences)
    limits = found.limits if found else None
    if found is None or limits is None or found.sd is None:
        lone = Figure(found.bias if found else None, len(differences), None if found else reason)
        return {
            "bias": lone,
            **dict.fromkeys(("sd", "loa_low", "loa_high"), Figure(None, len(differences), reason)),
        }
    draws, values = draw(groups), np.asarray(differences, np.float64)
    bias, sd = means(values, draws), sds(values, draws)
    told = {
        "bias": (found.bias, bias),
        "sd": (found.sd, sd),
        "loa_low": (limits[0], bias - 1.96 * sd),
        "loa_high": (limits[1], bias + 1.96 * sd),
    }
    return {
        kind: bounded(Figure(value, found.n), drawn, draws.groups)
        for kind, (value, drawn) in told.items()
    }
