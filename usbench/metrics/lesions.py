"""Figures of boxes as a reader of images asks for them: at one confidence, per image, and per false alarm.

All are of the matches at IoU .5. "One class" is `Matches.of`, "all classes" is `Matches.pooled`: every box counts once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from usbench.metrics.bootstrap import Draws, means, sums
from usbench.metrics.calibration import ece_of, histogram
from usbench.metrics.matches import Index, Matches
from usbench.metrics.precision import Counts, chunks, summed
from usbench.metrics.resampled import auroc_of
from usbench.metrics.scores import Figure, Figures, bounded

Values = NDArray[np.float64]

RATES = (0.25, 0.5, 1.0, 2.0)  # false positives per image
UNCHOSEN = 0.25  # the confidence where none was chosen on validation
AT = 0  # number of the IoU threshold .5


def words(confidence: float, chosen: bool) -> str:
    """How the figures are made, for people."""
    why = (
        "best F1 on validation, all classes together" if chosen else "none was chosen on validation"
    )
    return (
        f"at IoU .5, by the matches of the rule coco, each class alone and every box of all classes counted once: "
        f"precision, recall, F1 and fp_per_empty_image (false positives per image without a truth) at confidence "
        f"{confidence:.4g} ({why}); sens_fppi_x: highest sensitivity with at most x false positives per image, over "
        "all images (FROC), a second box on a truth being one; auroc_image: an image's highest score tells whether it "
        "has a truth; ece: 15 bins of equal width, of all boxes"
    )


def figures(own: Matches, confidence: float, draws: Draws) -> Figures:
    """Every figure of one class's matches, or of pooled ones."""
    return {
        **at_confidence(own, confidence, draws),
        **froc(own, draws),
        "fp_per_empty_image": false_alarms(own, confidence, draws),
        "auroc_image": image_auroc(own, draws),
        "ece": calibration(own, draws),
    }


def counts(own: Matches, confidence: float) -> Values:
    """(N, 3) true positives, false positives and truths of each image, of boxes with `score ≥ confidence`."""
    images, found = len(own.truths), own.score >= np.float32(confidence)
    hit, wrong = own.hit[AT] & found, ~own.hit[AT] & ~own.ignored[AT] & found
    columns = [np.bincount(own.image[kept], minlength=images) for kept in (hit, wrong)]
    return np.stack([*columns, own.truths.sum(axis=1)], axis=1).astype(np.float64)


def shares(counted: Values) -> dict[str, Values]:
    """(…, 3) true positives, false positives, truths → precision, recall and F1 (…); NaN where undefined."""
    hits, wrong, truths = np.moveaxis(counted, -1, 0)
    parts = {
        "precision": (hits, hits + wrong),
        "recall": (hits, truths),
        "f1": (2 * hits, hits + wrong + truths),
    }
    return {
        name: np.where(below > 0, up / np.maximum(below, 1), np.nan)
        for name, (up, below) in parts.items()
    }


def at_confidence(own: Matches, confidence: float, draws: Draws) -> Figures:
    """Precision, recall and F1."""
    counted = counts(own, confidence)
    drawn = shares(sums(counted, draws))
    reasons = {
        "precision": "no box of that confidence",
        "recall": "no truth",
        "f1": "no truth and no box",
    }
    out = {}
    for name, value in shares(counted.sum(axis=0)).items():
        figure = Figure.of(float(value), len(counted), reasons[name])
        out[name] = bounded(figure, drawn[name], draws.groups)
    return out


def best_confidence(own: Matches) -> float:
    """The score, of those seen, from which on F1 is best (the lowest of equals); .25 where no box is a hit."""
    kept = np.flatnonzero(~own.ignored[AT])
    kept = kept[np.argsort(-own.score[kept], kind="stable")]
    hit, score = own.hit[AT][kept], own.score[kept]
    if not hit.any():
        return UNCHOSEN
    f1 = 2 * np.cumsum(hit) / (np.arange(1, len(hit) + 1) + own.truths.sum())
    f1[:-1][score[1:] == score[:-1]] = -1.0  # equal scores are found together
    return float(score[len(f1) - 1 - int(np.argmax(f1[::-1]))])


def false_alarms(own: Matches, confidence: float, draws: Draws) -> Figure:
    """False positives per image without a truth."""
    _, wrong, truths = counts(own, confidence).T
    values = np.where(truths == 0, wrong, np.nan)
    empty = int((truths == 0).sum())
    value = float(values[truths == 0].mean()) if empty else np.nan
    return bounded(
        Figure.of(value, empty, "every image has a truth"), means(values, draws), draws.groups
    )


def image_auroc(own: Matches, draws: Draws) -> Figure:
    """Whether an image has a truth, told by its highest score; 0 where it has no box."""
    highest = np.zeros(len(own.truths))
    kept = ~own.ignored[AT]
    np.maximum.at(highest, own.image[kept], own.score[kept].astype(np.float64))
    present = own.truths.sum(axis=1) > 0
    return auroc_of(
        highest.tolist(), present.tolist(), draws, "every image has a truth, or none has"
    )


def calibration(own: Matches, draws: Draws) -> Figure:
    """Expected calibration error of the boxes: a box is right where it is a hit."""
    kept = ~own.ignored[AT]
    bins = histogram(own.score[kept], own.hit[AT][kept], own.image[kept], len(own.truths))
    return ece_of(bins, draws, "no box")


def froc(own: Matches, draws: Draws, rates: Sequence[float] = RATES) -> Figures:
    """Sensitivity at each rate of false positives per image: `sens_fppi_0.25` …"""
    images, wanted = len(own.truths), np.array(rates)
    once = sensitivities(own, wanted, np.ones((1, images)))[0]
    drawn = sensitivities(own, wanted, draws.cases)
    out = {}
    for n, rate in enumerate(rates):
        figure = Figure.of(float(once[n]), images, "no truth")
        out[f"sens_fppi_{rate:g}"] = bounded(figure, drawn[:, n], draws.groups)
    return out


def sensitivities(own: Matches, rates: Values, weights: Values) -> Values:
    """(B, N) whole weights of the images → (B, R) highest share of truths found with at most so many false positives
    per image; NaN without a truth. Boxes of equal score come together."""
    kept = np.flatnonzero(~own.ignored[AT])
    score, hit = own.score[kept], np.flatnonzero(own.hit[AT][kept])
    last = (
        np.searchsorted(-score, -score[hit], side="right") - 1
    )  # the last box of each hit's score
    image = own.image[kept[: int(last[-1]) + 1 if len(last) else 0]]
    found = np.zeros((len(weights), len(rates)))
    for rows in chunks(len(weights), len(image)):
        allowed = weights[rows].sum(axis=1, keepdims=True) * rates
        found[rows] = most_hits(
            weights[rows].astype(np.int32).take(image, axis=1), hit, last, allowed
        )
    truths = weights @ own.truths.sum(axis=1).astype(np.float64)
    return np.where(truths[:, None] > 0, found / np.maximum(truths, 1)[:, None], np.nan)


def most_hits(each: Counts, hit: Index, last: Index, allowed: Values) -> Values:
    """(b, D) weights of the boxes, best first, the places (K,) of the hits and of the last box of each one's score →
    (b, R) most hits with at most (b, R) allowed false positives."""
    hits = summed(each.take(hit, axis=1)).take(np.searchsorted(hit, last, side="right") - 1, axis=1)
    wrong = summed(each).take(last, axis=1) - hits
    row = np.arange(len(each))[:, None]
    apart = row * (
        wrong.max(initial=0) + allowed.max() + 1
    )  # a row's counts lie above all of the row before
    places = np.searchsorted(
        (wrong + apart).ravel(), (allowed + apart).ravel(), side="right"
    ).reshape(allowed.shape)
    none_first = np.concatenate([np.zeros((len(each), 1)), hits], axis=1)
    found: Values = none_first[row, places - row * len(hit)]
    return found
