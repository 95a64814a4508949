"""Evaluation protocols for masks: how pixel counts become a score.

A protocol states which classes count, whether background is one, at which resolution, what an empty
mask scores and in which order is averaged. These choices change the Dice of the same masks by more
than .1, so each set of them has a name and a version.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from usbench.metrics.bootstrap import Draws, resample_means, resample_sums
from usbench.metrics.intervals import measure_spread
from usbench.metrics.mask_overlap import (
    Counts,
    Planes,
    Values,
    add_background,
    count_pixels,
    dice,
    iou,
    predicted_pixels,
    resize_nearest,
    target_pixels,
)
from usbench.metrics.ratios import mean_defined
from usbench.metrics.scores import (
    EvaluationProtocol,
    Figure,
    Figures,
    ProtocolScores,
    class_figures,
    class_mean,
    lookup_protocols,
)

Known = NDArray[np.bool_]  # (N, C): False where nobody knows whether the class is there
Measure = Callable[[Counts], Values]  # (…, C, 3) counts → (…, C)

# class: over images per class, then over classes. image: over classes per image, then over images.
# pooled: pixels of all images together per class, then over classes.
Order = Literal["class", "image", "pooled"]


@dataclass(frozen=True)
class MaskProtocol(EvaluationProtocol):
    """How masks become a score."""

    dice: Measure = dice
    iou: Measure = iou
    size: tuple[int, int] | None = None  # masks are resized to (height, width); None: native
    background: bool = False  # whether the background is a class too, the first
    order: Order = "class"  # of averaging

    @property
    def is_native(self) -> bool:
        """Whether the foreground's counts at native size are enough."""
        return self.size is None and not self.background

    def count(self, target: Planes, prediction: Planes) -> Counts:
        """Count one image's planes (C, H, W): (C, 3), or (C + 1, 3) with background."""
        if self.size:
            target, prediction = (resize_nearest(p, self.size) for p in (target, prediction))
        if self.background:
            target, prediction = map(add_background, (target, prediction))
        return count_pixels(target, prediction)


def score_absent(measure: Measure, score: float) -> Measure:
    """The measure with this score where a class is in neither mask."""
    return lambda counts: np.nan_to_num(measure(counts), nan=score)


def kumar_transformer(measure: Measure, if_absent: float) -> Measure:
    """Predicted and present: the measure; predicted and absent: `if_absent`; not predicted: 0."""

    def score(counts: Counts) -> Values:
        value = np.where(target_pixels(counts) > 0, np.nan_to_num(measure(counts)), if_absent)
        return np.where(predicted_pixels(counts) > 0, value, 0.0)

    return score


_PROTOCOLS = (
    MaskProtocol(
        "usbench",
        1,
        "foreground classes, native resolution, per image: a class in neither mask is skipped and "
        "counted, in one mask only scores 0; mean over images per class, then over classes",
        "mean over images, then classes; absent classes skipped",
    ),
    MaskProtocol(
        "pooled",
        1,
        "foreground classes, native resolution; pixels of all images are counted together, per "
        "class; mean over classes",
        "pixels of all images counted together",
        order="pooled",
    ),
    MaskProtocol(
        "image-first",
        1,
        "foreground classes, native resolution; per image the mean over the classes that are in "
        "either mask; mean over images",
        "mean over classes, then images",
        order="image",
    ),
    MaskProtocol(
        "kidneyus",
        1,
        "foreground classes, native resolution, per image: a class in neither mask scores 1, in "
        "one mask only 0; mean over images per class, then over classes",
        "absent classes score 1",
        score_absent(dice, 1.0),
        score_absent(iou, 1.0),
    ),
    MaskProtocol(
        "kumar2025-cnn",
        1,
        "all classes, background included, masks at 256×256 (nearest); per image "
        "2TP/(2TP+FP+FN+1e-8), so a class in neither mask scores 0; mean over classes, then over "
        "images",
        "256×256, background included, absent classes score 0",
        score_absent(dice, 0.0),
        score_absent(iou, 0.0),
        (256, 256),
        background=True,
        order="image",
    ),
    MaskProtocol(
        "kumar2025-transformer",
        1,
        "foreground classes, masks at 128×128 (nearest); predicted and present: the value; "
        "predicted and absent: Dice 1, IoU 0; not predicted: 0; mean over images per class, then "
        "over classes; the upper bound of Dice is 1, not the target_score: a stray pixel on each "
        "absent class reaches it; that of IoU is the target_score",
        "128×128; false positives score Dice 1",
        kumar_transformer(dice, 1.0),
        kumar_transformer(iou, 0.0),
        (128, 128),
    ),
)
MASK_PROTOCOLS = {protocol.name: protocol for protocol in _PROTOCOLS}
# nnU-Net's evaluator skips a class in neither mask too, and averages in the same order.
ALIASES = {"nnunet": "usbench"}


def find_protocol(name: str) -> MaskProtocol:
    """The protocol for masks of that name or alias; ConfigError where there is none."""
    return lookup_protocols([name], MASK_PROTOCOLS, ALIASES)[0]


def score_counts(
    protocol: MaskProtocol,
    counts: Counts,
    classes: Sequence[str],
    known: Known | None = None,
    draws: Draws | None = None,
) -> ProtocolScores:
    """Score N images by a protocol, and the target itself as the prediction.

    Args:
        protocol: counts and averages.
        counts: (N, C, 3) by the protocol's `count`, background included.
        classes: foreground classes, in order.
        known: (N, C) whether it is known what of a class is in an image; others don't count.
        draws: resamples of the groups, for the intervals.
    """
    names = ["background", *classes] if protocol.background else list(classes)
    if known is None:
        known = np.ones((len(counts), len(classes)), bool)
    if protocol.background:  # the background is known where every class is
        known = np.concatenate([known.all(axis=1, keepdims=True), known], axis=1)
    scores, per_class = overlap_figures(protocol, counts, names, known, draws)
    perfect = np.zeros_like(counts)
    perfect[..., 0] = target_pixels(counts)
    target_score, _ = overlap_figures(protocol, perfect, names, known)
    return ProtocolScores(
        protocol.name, protocol.version, protocol.description, scores, per_class, target_score
    )


def overlap_figures(
    protocol: MaskProtocol,
    counts: Counts,
    names: Sequence[str],
    known: Known,
    draws: Draws | None = None,
) -> tuple[Figures, dict[str, Figures]]:
    """Dice and IoU, overall and per class; arguments as for `score_counts`, background named."""
    overall: Figures = {}
    per_class: dict[str, Figures] = {name: {} for name in names}
    for measure, function in (("dice", protocol.dice), ("iou", protocol.iou)):
        overall[measure], figures = average_measure(function, protocol.order, counts, known, draws)
        for name, figure in zip(names, figures, strict=True):
            per_class[name][measure] = figure
    return overall, per_class


def average_measure(
    measure: Measure,
    order: Order,
    counts: Counts,
    known: Known,
    draws: Draws | None = None,
    reason: str = "the class is in no truth and no prediction",
) -> tuple[Figure, list[Figure]]:
    """Average a measure over images and classes: (overall, one per class).

    Args:
        measure: of counts.
        order: of averaging.
        counts: (N, C, 3).
        known: (N, C).
        draws: resamples of the groups, for the intervals.
        reason: why a class has no figure.
    """
    if order == "pooled":
        counts = counts * known[..., None]
        values, counted = measure(counts.sum(axis=0)), np.isfinite(measure(counts))

        def resample(draws: Draws) -> Values:
            return measure(resample_sums(counts, draws).astype(np.int64))
    else:
        per_image = np.where(known, measure(counts), np.nan)
        values, counted = mean_defined(per_image, 0), np.isfinite(per_image)

        def resample(draws: Draws) -> Values:
            return resample_means(per_image, draws)

    spread = measure_spread(resample, draws, "share") if draws else None
    figures = class_figures(values, counted, reason, spread, draws)
    if order != "image":
        return class_mean(values, counted, spread=spread, draws=draws), figures
    means = mean_defined(per_image, 1)
    if draws:
        spread = measure_spread(lambda draws: resample_means(means, draws), draws, "share")
    return Figure.of(
        float(mean_defined(means)), np.isfinite(means), spread=spread, draws=draws
    ), figures
