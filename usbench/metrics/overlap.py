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
from usbench.metrics.scores import Figure, Figures, Ruled, mean

Counts = NDArray[np.int64]  # (…, C, 3): true positive, false positive, false negative pixels
Values = NDArray[np.float64]  # (…, C): NaN where a rule skips the case


def counts(truth: NDArray[np.bool_], prediction: NDArray[np.bool_]) -> Counts:
    """(C, H, W) planes twice → (C, 3). Raises ValueError where the shapes differ."""
    if truth.shape != prediction.shape:
        raise ValueError(f"masks of one shape were wanted, found {truth.shape} and {prediction.shape}")
    both = np.logical_and(truth, prediction).sum((1, 2))
    return np.stack([both, prediction.sum((1, 2)) - both, truth.sum((1, 2)) - both], axis=1).astype(np.int64)


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


def absent_is_zero(value: Callable[[Counts], Values]) -> Callable[[Counts], Values]:
    """kumar2025-cnn: the epsilon stands in the denominator only, so a class in neither mask scores 0."""
    return lambda c: np.nan_to_num(value(c), nan=0.0)


def kumar_transformer(value: Callable[[Counts], Values], if_absent: float) -> Callable[[Counts], Values]:
    """Predicted and present: the value; predicted and absent: `if_absent`; not predicted: 0."""

    def rule(c: Counts) -> Values:
        predicted, present = c[..., 0] + c[..., 1] > 0, c[..., 0] + c[..., 2] > 0
        return np.where(predicted & present, np.nan_to_num(value(c)), np.where(predicted, if_absent, 0.0))

    return rule


@dataclass(frozen=True)
class Rule:
    """How masks become a score."""

    name: str
    version: int
    words: str
    dice: Callable[[Counts], Values] = dice
    iou: Callable[[Counts], Values] = iou
    size: tuple[int, int] | None = None  # masks are brought to this size first; None: native
    background: bool = False  # the background is a class too, the first
    order: Literal["class", "image", "pooled"] = "class"


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


def rule(name: str) -> Rule:
    """A shipped rule by name; ConfigError for another."""
    if name not in RULES:
        raise ConfigError(f"metric: a rule for masks was wanted ({', '.join(RULES)}), found {name!r}")
    return RULES[name]


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


def apply(rule: Rule, table: Counts, classes: Sequence[str]) -> Ruled:
    """Score (N, C, 3) counts of N images, and the truth itself as the prediction (the ceiling)."""
    names = ["background", *classes] if rule.background else list(classes)
    scores, per_class = figures(rule, table, names)
    perfect = np.stack([table[..., 0] + table[..., 2], np.zeros_like(table[..., 0]), np.zeros_like(table[..., 0])], -1)
    ceiling, _ = figures(rule, perfect, names)
    return Ruled(rule.name, rule.version, rule.words, scores, per_class, ceiling)


def figures(rule: Rule, table: Counts, names: Sequence[str]) -> tuple[Figures, dict[str, Figures]]:
    """(overall, per class) Dice and IoU of (N, C, 3) counts."""
    overall: Figures = {}
    per_class: dict[str, Figures] = {name: {} for name in names}
    for name, value in (("dice", rule.dice), ("iou", rule.iou)):
        if rule.order == "pooled":
            per = value(table.sum(axis=0))
            n = np.full(len(names), len(table))
            total = mean(per)
        else:
            values = value(table)
            per, n = mean(values, 0), np.isfinite(values).sum(0)
            total = mean(mean(values, 1)) if rule.order == "image" else mean(per)
        overall[name] = Figure.of(float(total), len(table))
        for c, label in enumerate(names):
            per_class[label][name] = Figure.of(per[c], int(n[c]), "the class is in no truth and no prediction")
    return overall, per_class


def empty_false_positives(table: Counts) -> Values:
    """(N, C, 3) → (C,) share of the images without the class in which it is predicted; NaN where every image has it."""
    empty = table[..., 0] + table[..., 2] == 0
    return ratio((empty & (table[..., 1] > 0)).sum(0), empty.sum(0))
