"""Figures of boxes that a clinician asks for: at one confidence, per image, per false alarm.

All are of the matches at IoU .5, of one class (`Matches.of_class`) or of all classes together
(`Matches.pool_classes`), where every box counts once.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from usbench.metrics.average_precision import running_sums, search_rows
from usbench.metrics.bootstrap import Draws, Values, resample_means, resample_sums
from usbench.metrics.calibration import ece_figure, histogram
from usbench.metrics.case_figures import auroc_figure, best_f1_threshold
from usbench.metrics.chunks import do_in_chunks
from usbench.metrics.intervals import measure_spread
from usbench.metrics.matches import Flags, Index, Matches
from usbench.metrics.ratios import ratio
from usbench.metrics.scores import Figure, Figures

FROC_RATES = (0.25, 0.5, 1.0, 2.0)  # false positives per image
DEFAULT_CONFIDENCE = 0.25  # where none was chosen on validation
# Boxes past the highest of these rates, which most are, can't count. A resample gets there with
# about as many false positives as the sample: so many times as many are looked at first.
MARGIN = 1.5
IOU_50 = 0  # number of the IoU threshold .5


def describe_figures(confidence: float, is_chosen: bool) -> str:
    """How the figures are computed, for the protocol's description.

    Args:
        confidence: of precision, recall and F1.
        is_chosen: whether it was chosen on validation.
    """
    origin = (
        "best F1 on validation, all classes together"
        if is_chosen
        else "none was chosen on validation"
    )
    return (
        "at IoU .5, by the matches of the protocol coco, each class alone and every box of all "
        "classes counted once: precision, recall, F1 and fp_per_empty_image (false positives per "
        f"image without a truth) at confidence {confidence:.4g} ({origin}); sens_fppi_x: highest "
        "sensitivity with at most x false positives per image, over all images (FROC), a second "
        "box on a truth being one; auroc_image: an image's highest score tells whether it has a "
        "truth; ece: 15 bins of equal width, of all boxes"
    )


def detection_figures(matches: Matches, confidence: float, draws: Draws) -> Figures:
    """All figures of one class's matches, or of all classes' together."""
    counted = _counted(matches)
    bins = histogram(  # of the boxes; a hit is right
        matches.score[counted],
        matches.hit[IOU_50][counted],
        matches.image[counted],
        len(matches.targets),
    )
    return {
        **confidence_figures(matches, confidence, draws),
        **froc_figures(matches, draws),
        "fp_per_empty_image": false_alarm_figure(matches, confidence, draws),
        "auroc_image": image_auroc(matches, draws),
        "ece": ece_figure(bins, draws, "no box"),
    }


def count_boxes(matches: Matches, confidence: float) -> Values:
    """(N, 3) true positives, false positives and targets of each image, at this confidence."""
    confident = matches.score >= confidence
    hit = matches.hit[IOU_50] & confident
    wrong = _counted(matches) & ~matches.hit[IOU_50] & confident
    size = len(matches.targets)
    boxes = (np.bincount(matches.image[chosen], minlength=size) for chosen in (hit, wrong))
    return np.stack([*boxes, matches.targets.sum(axis=1)], axis=1).astype(np.float64)


def _counted(matches: Matches) -> NDArray[np.bool_]:
    """(D,) whether a box counts, as hit or as false positive."""
    return np.asarray(~matches.ignored[IOU_50])


def confidence_figures(matches: Matches, confidence: float, draws: Draws) -> Figures:
    """Precision, recall and F1 of boxes with `score ≥ confidence`."""
    counts = count_boxes(matches, confidence)
    values = box_rates(counts.sum(axis=0))
    spread = measure_spread(lambda draws: box_rates(resample_sums(counts, draws)), draws, "share")
    has_box, has_target = np.asarray(counts[:, :2].any(axis=1)), counts[:, 2] > 0
    counted = {  # name → (images, why there is none)
        "precision": (has_box, "no box of that confidence"),
        "recall": (has_target, "no truth"),
        "f1": (has_box | has_target, "no truth and no box"),
    }
    return {
        name: Figure.of(float(values[c]), images, reason, spread.column(c), draws)
        for c, (name, (images, reason)) in enumerate(counted.items())
    }


def box_rates(counts: Values) -> Values:
    """(…, 3) true positives, false positives, targets → (…, 3) precision, recall and F1."""
    hits, wrong, targets = np.moveaxis(counts, -1, 0)
    precision, recall = ratio(hits, hits + wrong), ratio(hits, targets)
    return np.stack([precision, recall, ratio(2 * hits, hits + wrong + targets)], axis=-1)


def best_confidence(matches: Matches) -> float:
    """The lowest box score with the best F1 when used as threshold; .25 where no box is a hit."""
    counted = _counted(matches)
    hit, positives = matches.hit[IOU_50][counted], int(matches.targets.sum())
    return best_f1_threshold(matches.score[counted], hit, positives, DEFAULT_CONFIDENCE)


def false_alarm_figure(matches: Matches, confidence: float, draws: Draws) -> Figure:
    """False positives per image without a target."""
    _, wrong, targets = count_boxes(matches, confidence).T
    is_empty = targets == 0
    value = wrong[is_empty].mean() if is_empty.any() else np.nan
    alarms = np.where(is_empty, wrong, np.nan)
    spread = measure_spread(lambda draws: resample_means(alarms, draws), draws, "count")
    return Figure.of(value, is_empty, "every image has a truth", spread, draws)


def image_auroc(matches: Matches, draws: Draws) -> Figure:
    """Area under the ROC curve of an image's highest score for "it has a target".

    An image without a box scores 0.
    """
    highest = np.zeros(len(matches.targets))
    counted = _counted(matches)
    np.maximum.at(highest, matches.image[counted], matches.score[counted].astype(np.float64))
    return auroc_figure(
        highest, matches.targets.any(axis=1), draws, "every image has a truth, or none has"
    )


def froc_figures(matches: Matches, draws: Draws) -> Figures:
    """Sensitivity at each rate of false positives per image: `sens_fppi_0.25` …"""
    rates, has_target = np.array(FROC_RATES), np.asarray(matches.targets.any(axis=1))
    values = sensitivities(matches, rates, np.ones((1, len(has_target))))[0]
    spread = measure_spread(
        lambda draws: sensitivities(matches, rates, draws.case_weights), draws, "share", alone=False
    )
    return {
        f"sens_fppi_{rate:g}": Figure.of(values[n], has_target, "no truth", spread.column(n), draws)
        for n, rate in enumerate(FROC_RATES)
    }


def sensitivities(matches: Matches, rates: Values, weights: Values) -> Values:
    """The highest share of targets that is found with a number of false positives per image.

    Args:
        matches: of N images; boxes of equal score are found together.
        rates: (R,) most false positives per image.
        weights: (B, N) whole weights of the images.

    Returns:
        (B, R), NaN without a target.
    """
    counted = np.flatnonzero(_counted(matches))
    score, is_hit = matches.score[counted], matches.hit[IOU_50][counted]
    # A hit is found with all boxes of its score: `last` is the place of the last of them.
    hit = np.flatnonzero(is_hit)
    last = np.searchsorted(-score, -score[hit], side="right") - 1
    place = np.searchsorted(hit, last, side="right")  # hits up to the last box of each hit's score
    image, whole = matches.image[counted], weights.astype(np.int32)
    allowed = np.floor(weights.sum(axis=1, keepdims=True) * rates).astype(np.int64)
    hits = np.zeros((len(weights), len(rates)))
    is_done = np.zeros(len(weights), bool)

    def count(left: Index, stop: int, part: slice) -> None:
        """Count the hits among the first boxes; a row is done if no later hit can count."""
        rows = left[part]
        found = int(np.searchsorted(last, stop))
        box_weights = whole[rows].take(image[:stop], axis=1)
        boxes = running_sums(box_weights)
        # (b, K + 1) hits and (b, K) false positives up to each hit, both running sums.
        hits_from_zero = np.zeros((len(rows), found + 1), np.int32)
        of_hits = running_sums(box_weights.take(hit[:found], axis=1))
        hits_from_zero[:, 1:] = of_hits.take(place[:found] - 1, axis=1)
        wrong = boxes.take(last[:found], axis=1) - hits_from_zero[:, 1:]
        hits[rows] = hits_from_zero.take(search_rows(wrong, allowed[rows], "right"))
        is_done[rows] = boxes[:, -1] - hits_from_zero[:, -1] > allowed[rows].max(axis=1)

    end = int(last[-1]) + 1 if len(last) else 0
    near = find_stop(score, is_hit, MARGIN * allowed.max(initial=0))
    for stop in sorted({min(near, end), end} - {0}):
        left = np.flatnonzero(~is_done)
        do_in_chunks(partial(count, left, stop), len(left), stop)
    return ratio(hits, (weights @ matches.targets.sum(axis=1).astype(np.float64))[:, None])


def find_stop(score: NDArray[np.floating], is_hit: Flags, number: float) -> int:
    """The fewest boxes, best first, that hold more false positives than `number`.

    All boxes where there are no more than that.

    Args:
        score: (D,) best first; boxes of equal score aren't parted.
        is_hit: (D,)
        number: of false positives.
    """
    wrong = np.flatnonzero(~is_hit)
    if number >= len(wrong):
        return len(score)
    return int(np.searchsorted(-score, -score[wrong[int(number)]], side="right"))
