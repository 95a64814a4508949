"""Overlap of masks: counts per image and class, and the rules that turn counts into a score.

A rule says which classes, whether background is one, at which resolution, what an empty mask is worth and in which
order
is averaged: those choices move the same masks' Dice by more than .1, so each is a named, versioned value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from usbench.errors import ConfigError
from usbench.metrics.bootstrap import Draws, means, sums
from usbench.metrics.scores import Figure, Figures, ProtocolScores, bounded, mean

Counts = NDArray[np.int64]  # (…, C, 3): true positive, false positive, false negative pixels
Values = NDArray[np.float64]  # (…, C): NaN where a rule skips the case
Known = NDArray[np.bool_]  # (N, C): False where nobody knows whether the class is there

Order = Literal[
    "class", "image", "pooled"
]  # of averaging: images per class first; classes per image first; pixels


def counts(truth: NDArray[np.bool_], prediction: NDArray[np.bool_]) -> Counts:
    """(C, H, W) planes twice → (C, 3). Raises ValueError where the shapes differ."""
    if truth.shape != prediction.shape:
        raise ValueError(
            f"masks of one shape were wanted, found {truth.shape} and {prediction.shape}"
        )
    table = np.zeros((len(truth), 3), np.int64)
    for row, one, other in zip(table, truth, prediction, strict=True):  # counting one plane is fast
        both = np.count_nonzero(one & other)
        row[:] = both, np.count_nonzero(other) - both, np.count_nonzero(one) - both
    return table


def nearest(planes: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """(C, H, W) → (C, h, w): the pixel under each new pixel's centre."""
    height, width = planes.shape[1:]
    rows = ((np.arange(size[0]) + 0.5) * height / size[0]).astype(int)
    columns = ((np.arange(size[1]) + 0.5) * width / size[1]).astype(int)
    return planes[:, rows[:, None], columns]


def with_background(planes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(C, H, W) → (C+1, H, W), the background first."""
    return np.concatenate([~planes.any(axis=0, keepdims=True), planes])


def dice(c: Counts) -> Values:
    """2TP / (2TP + FP + FN); NaN where the class is in neither mask."""
    return ratio(2 * c[..., 0], 2 * c[..., 0] + c[..., 1] + c[..., 2])


def iou(c: Counts) -> Values:
    """TP / (TP + FP + FN); NaN where the class is in neither mask."""
    return ratio(c[..., 0], c.sum(-1))


def ratio(above: Counts, below: Counts) -> Values:
    """NaN where the denominator is 0."""
    return np.where(below > 0, above / np.maximum(below, 1), np.nan)


def precision(c: Counts) -> Values:
    """TP / (TP + FP); NaN where the class isn't predicted."""
    return ratio(c[..., 0], c[..., 0] + c[..., 1])


def recall(c: Counts) -> Values:
    """TP / (TP + FN); NaN where the truth hasn't the class."""
    return ratio(c[..., 0], c[..., 0] + c[..., 2])


def absent_is_one(value: Callable[[Counts], Values]) -> Callable[[Counts], Values]:
    """kidneyus: a class in neither mask scores 1."""
    return lambda c: np.nan_to_num(value(c), nan=1.0)


def absent_is_zero(value: Callable[[Counts], Values]) -> Callable[[Counts], Values]:
    """kumar2025-cnn: the epsilon stands in the denominator only, so a class in neither mask scores 0."""
    return lambda c: np.nan_to_num(value(c), nan=0.0)


def kumar_transformer(
    value: Callable[[Counts], Values], if_absent: float
) -> Callable[[Counts], Values]:
    """Predicted and present: the value; predicted and absent: `if_absent`; not predicted: 0."""

    def rule(c: Counts) -> Values:
        predicted, present = c[..., 0] + c[..., 1] > 0, c[..., 0] + c[..., 2] > 0
        return np.where(
            predicted & present, np.nan_to_num(value(c)), np.where(predicted, if_absent, 0.0)
        )

    return rule


@dataclass(frozen=True)
class Rule:
    """How masks become a score."""

    name: str
    version: int
    description: str
    dice: Callable[[Counts], Values] = dice
    iou: Callable[[Counts], Values] = iou
    size: tuple[int, int] | None = None  # masks are brought to this size first; None: native
    background: bool = False  # the background is a class too, the first
    order: Order = "class"


RULES = {
    rule.name: rule
    for rule in (
        Rule(
            "usbench",
            1,
            "foreground classes, native resolution, per image: a class in neither mask is skipped and "
            "counted, in one mask "
            "only scores 0; mean over images per class, then over classes",
        ),
        Rule(
            "pooled",
            1,
            "foreground classes, native resolution; pixels of all images are counted together, per class; "
            "mean over classes",
            order="pooled",
        ),
        Rule(
            "image-first",
            1,
            "foreground classes, native resolution; per image the mean over the classes that are in either mask; mean "
            "over images",
            order="image",
        ),
        Rule(
            "kidneyus",
            1,
            "foreground classes, native resolution, per image: a class in neither mask scores 1, in one mask only 0; "
            "mean over images per class, then over classes",
            absent_is_one(dice),
            absent_is_one(iou),
        ),
        Rule(
            "kumar2025-cnn",
            1,
            "all classes, background included, masks at 256×256 (nearest); per image 2TP/(2TP+FP+FN+1e-8), so "
            "a class in "
            "neither mask scores 0; mean over classes, then over images",
            absent_is_zero(dice),
            absent_is_zero(iou),
            (256, 256),
            background=True,
            order="image",
        ),
        Rule(
            "kumar2025-transformer",
            1,
            "foreground classes, masks at 128×128 (nearest); predicted and present: the value; predicted and "
            "absent: Dice 1, "
            "IoU 0; not predicted: 0; mean over images per class, then over classes",
            kumar_transformer(dice, 1.0),
            kumar_transformer(iou, 0.0),
            (128, 128),
        ),
    )
}


ALIASES = {
    "nnunet": "usbench"
}  # nnU-Net's evaluator skips a class in neither mask too, and averages as ours


def rule(name: str) -> Rule:
    """A shipped rule by name; ConfigError for another."""
    name = ALIASES.get(name, name)
    if name not in RULES:
        raise ConfigError(
            f"metric: a rule for masks was wanted ({', '.join([*RULES, *ALIASES])}), found {name!r}"
        )
    return RULES[name]


def is_native(rule: Rule) -> bool:
    """Whether a rule wants nothing but the foreground's counts at native size."""
    return rule.size is None and not rule.background


def rule_counts(rule: Rule, truth: NDArray[np.bool_], prediction: NDArray[np.bool_]) -> Counts:
    """The counts that a rule wants of one image: (C, 3), or (C+1, 3) with background."""
    planes = [truth, prediction]
    if rule.size:
        planes = [nearest(p, rule.size) for p in planes]
    if rule.background:
        planes = [with_background(p) for p in planes]
    return counts(*planes)


def stack(table: Sequence[Counts], classes: int) -> Counts:
    """(C, 3) counts of N images → (N, C, 3); N may be 0. classes: C, with background where the rule counts it."""
    return np.stack(table) if table else np.zeros((0, classes, 3), np.int64)


def apply(
    rule: Rule,
    table: Counts,
    classes: Sequence[str],
    known: Known | None = None,
    draws: Draws | None = None,
) -> ProtocolScores:
    """Score (N, C, 3) counts of N images, and the truth itself as the prediction (the target_score).

    known: (N, C) whether anybody knows what of a class is in an image; the others count nowhere. draws: resamples of
    the groups, for the intervals.
    """
    names = ["background", *classes] if rule.background else list(classes)
    if known is None:
        known = np.ones((len(table), len(classes)), bool)
    if rule.background:  # what is background is known where every class is
        known = np.concatenate([known.all(axis=1, keepdims=True), known], axis=1)
    scores, per_class = figures(rule, table, names, known, draws)
    perfect = np.stack(
        [table[..., 0] + table[..., 2], np.zeros_like(table[..., 0]), np.zeros_like(table[..., 0])],
        -1,
    )
    target_score, _ = figures(rule, perfect, names, known)
    return ProtocolScores(
        rule.name, rule.version, rule.description, scores, per_class, target_score
    )


def figures(
    rule: Rule, table: Counts, names: Sequence[str], known: Known, draws: Draws | None = None
) -> tuple[Figures, dict[str, Figures]]:
    """(overall, per class) Dice and IoU of (N, C, 3) counts, (N, C) known."""
    overall: Figures = {}
    per_class: dict[str, Figures] = {name: {} for name in names}
    for name, value in (("dice", rule.dice), ("iou", rule.iou)):
        figure, figures = averaged(value, rule.order, table, known, draws)
        overall[name] = figure
        for label, each in zip(names, figures, strict=True):
            per_class[label][name] = each
    return overall, per_class


def averaged(
    value: Callable[[Counts], Values],
    order: Order,
    table: Counts,
    known: Known,
    draws: Draws | None = None,
    lost: str = "the class is in no truth and no prediction",
) -> tuple[Figure, list[Figure]]:
    """(overall, one per class) of a measure of (N, C, 3) counts, averaged in an order, with intervals by the draws.

    lost: why a class has no figure.
    """
    if order == "pooled":
        kept = np.where(known[..., None], table, 0)
        per, n = value(kept.sum(axis=0)), known.sum(axis=0)
        total = mean(per)
        resampled = value(sums(kept, draws).astype(np.int64)) if draws else None
        overall = resampled if resampled is None else mean(resampled, 1)
    else:
        values = np.where(known, value(table), np.nan)
        per, n = mean(values, 0), np.isfinite(values).sum(0)
        total = mean(mean(values, 1)) if order == "image" else mean(per)
        resampled = means(values, draws) if draws else None
        overall = resampled if resampled is None else mean(resampled, 1)
        if draws and order == "image":
            overall = means(mean(values, 1), draws)
    first = Figure.of(float(total), len(table))
    each = [Figure.of(per[c], int(n[c]), lost) for c in range(len(per))]
    if resampled is None or overall is None or draws is None:
        return first, each
    return bounded(first, overall, draws.groups), [
        bounded(figure, resampled[:, c], draws.groups) for c, figure in enumerate(each)
    ]


def empty_false_positives(table: Counts) -> Values:
    """(N, C, 3) → (N, C) whether a class is predicted where the truth hasn't it: 1 or 0, NaN where it has."""
    empty = table[..., 0] + table[..., 2] == 0
    return np.where(empty, (table[..., 1] > 0).astype(np.float64), np.nan)
