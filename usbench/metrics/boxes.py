"""Average precision of boxes: the rules that turn truths and guesses into matches, and matches into figures.

A rule says how many boxes count, how they are matched and how a curve becomes a number. The same boxes differ by some
thousandths between rules (a perfect detector has 1 or .995), so each is a named, versioned value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usbench.errors import ConfigError
from usbench.metrics.bootstrap import Draws
from usbench.metrics.matches import EVERY, Guesses, Matches, Overlaps, Truths, limited, match
from usbench.metrics.precision import Curve, average_precisions, recalls
from usbench.metrics.scores import Figure, Figures, ProtocolScores, bounded, mean
from usbench.types import Boxes

Pairs = Sequence[tuple[Boxes, Boxes]]  # (truth, prediction), one an image
Values = NDArray[np.float64]
Corners = NDArray[np.float32]  # (N, 4) half-open xyxy

NAME = "coco"
THRESHOLDS = np.linspace(0.5, 0.95, 10)  # as pycocotools makes them: arange misses .8 by a bit
MAX_BOXES = 100  # per image and class
SIDE_SMALL, SIDE_MEDIUM = 32, 96  # px: COCO's sizes are by area, up to 32² and up to 96²
AREAS = (EVERY, (0.0, SIDE_SMALL**2), (SIDE_SMALL**2, SIDE_MEDIUM**2), (SIDE_MEDIUM**2, EVERY[1]))
SIZES = ("", "small", "medium", "large")
BLOCK = 1 << 21  # pairs of boxes whose overlap is in memory at once

COCO_CURVE = Curve("left", lambda values: np.asarray(values.mean(-1)))
# np.interp over the envelope's corners is flat between them, and 0 where recall ends, at 1 too; the trapezoids' ends
# count half
TRAPEZOIDS = Curve(
    "right", lambda values: np.asarray((values[..., 1:] + values[..., :-1]).sum(-1) / 200)
)


@dataclass(frozen=True)
class Rule:
    """How boxes become a score."""

    name: str
    version: int
    description: str
    curve: Curve
    most: int  # boxes that count
    per_class: bool  # … per image and class, or per image
    thresholds: NDArray[np.floating]
    iou: Callable[[Corners, Corners], NDArray[np.floating]]  # of (P, 4) and (P, 4), row by row
    last: bool  # of truths of equal overlap the last is taken, or the first
    areas: tuple[tuple[float, float], ...] = (EVERY,)
    recall: tuple[int, ...] = ()  # average recall at so many boxes of an image and class
    matched_since: int = (
        1  # the version since which boxes are matched as now: older case tables hold other matches
    )


def paired_iou(truth: Corners, guess: Corners) -> Values:
    """(P, 4) and (P, 4) half-open xyxy → (P,) intersection over union; 0 of two boxes without an area."""
    t, g = truth.astype(np.float64), guess.astype(np.float64)
    sides = np.clip(np.minimum(t[:, 2:], g[:, 2:]) - np.maximum(t[:, :2], g[:, :2]), 0, None)
    both = sides[:, 0] * sides[:, 1]
    ratio: Values = both / np.maximum(area(truth) + area(guess) - both, 1e-12)
    return ratio


def single_iou(truth: Corners, guess: Corners) -> NDArray[np.float32]:
    """The same in single precision, with 1e-7 added to the union, as ultralytics has it."""
    t, g = truth.astype(np.float32), guess.astype(np.float32)
    sides = np.clip(np.minimum(t[:, 2:], g[:, 2:]) - np.maximum(t[:, :2], g[:, :2]), 0, None)
    both = sides[:, 0] * sides[:, 1]
    own, found = t[:, 2:] - t[:, :2], g[:, 2:] - g[:, :2]
    ratio: NDArray[np.float32] = both / (
        own[:, 0] * own[:, 1] + found[:, 0] * found[:, 1] - both + np.float32(1e-7)
    )
    return ratio


def area(corners: Corners) -> Values:
    """(N, 4) → (N,) px²."""
    sides = corners[:, 2:].astype(np.float64) - corners[:, :2]
    found: Values = sides[:, 0] * sides[:, 1]
    return found


RULES = {
    rule.name: rule
    for rule in (
        Rule(
            "coco",
            1,
            "COCO: mean over IoU .50:.05:.95 of 101-point interpolated precision, at most 100 boxes per image and "
            "class, all areas; "
            "classes without a truth are left out; boxes are taken as half-open pixel rectangles",
            COCO_CURVE,
            MAX_BOXES,
            True,
            THRESHOLDS,
            paired_iou,
            last=True,
            areas=AREAS,
            recall=(1, 10, MAX_BOXES),
        ),
        Rule(
            "ultralytics",
            1,
            "as ultralytics 8.4 validates: mean over IoU .50:.05:.95 of the area, by trapezoids at 101 points, under "
            "the "
            "interpolated precision, which is 0 where recall ends (so the target_score is .995); at most 300 boxes per "
            "image; classes without a truth are left out; boxes of equal score as listed, where its own order isn't "
            "defined",
            TRAPEZOIDS,
            300,
            False,
            THRESHOLDS.astype(np.float32),
            single_iou,
            last=False,
        ),
    )
}


def rule(name: str) -> Rule:
    """The rule of a name; ConfigError for another."""
    if name not in RULES:
        raise ConfigError(
            f"metric.protocols: {name!r} isn't a rule for boxes; choose from {', '.join(RULES)}"
        )
    return RULES[name]


def matched(how: Rule, pairs: Pairs, classes: int) -> list[Matches]:
    """The matches of (truth, prediction) pairs, one an image, for each of the rule's area ranges.

    Raises ValueError for a label that is no class.
    """
    own = [truth for truth, _ in pairs]
    found = [guess for _, guess in pairs]
    image, label, corners = flat(own)
    truths = Truths(image, label, area(corners), np.zeros(len(image), bool))
    image, label, places = flat(found)
    known = np.concatenate([truths.label, label])
    if len(known) and not 0 <= known.min() <= known.max() < classes:
        raise ValueError(
            f"labels of 0..{classes - 1} were wanted, found {known.min()}..{known.max()}"
        )
    scores = [guess.scores for guess in found if guess.scores is not None]
    guesses = Guesses(
        image, label, area(places), np.concatenate([np.zeros(0, np.float32), *scores])
    )
    kept = limited(guesses, how.most, how.per_class)
    guesses, places = guesses.of(kept), places[kept]
    lowest = min(how.thresholds.min(), 1.0)
    overlaps = overlapping(truths, guesses, corners, places, classes, how.iou, float(lowest))
    return match(
        truths, guesses, overlaps, how.thresholds, (len(pairs), classes), how.areas, how.last
    )


def flat(boxes: Sequence[Boxes]) -> tuple[NDArray[np.int64], NDArray[np.int64], Corners]:
    """(image, label, corners) of the boxes of all images."""
    image = np.repeat(np.arange(len(boxes)), [len(each.labels) for each in boxes])
    labels = np.concatenate([np.zeros(0, np.int64), *(each.labels for each in boxes)])
    return (
        image,
        labels,
        np.concatenate([np.zeros((0, 4), np.float32), *(each.xyxy for each in boxes)]),
    )


def overlapping(
    truths: Truths,
    guesses: Guesses,
    corners: Corners,
    places: Corners,
    classes: int,
    iou: Callable[[Corners, Corners], NDArray[np.floating]],
    lowest: float,
) -> Overlaps:
    """The pairs of one image and class whose IoU is `lowest` at least, block by block."""
    cell = truths.image * classes + truths.label
    order = np.argsort(cell, kind="stable")
    wanted = guesses.image * classes + guesses.label
    first = np.searchsorted(cell[order], wanted)
    many = np.searchsorted(cell[order], wanted, side="right") - first
    parts = []
    for some in np.split(
        np.arange(len(wanted)), np.flatnonzero(np.diff(np.cumsum(many) // BLOCK)) + 1
    ):
        guess = np.repeat(some, many[some])
        inside = np.arange(len(guess)) - np.repeat(np.cumsum(many[some]) - many[some], many[some])
        truth = order[np.repeat(first[some], many[some]) + inside]
        found = iou(corners[truth], places[guess])
        kept = found >= lowest
        parts.append((guess[kept], truth[kept], found[kept]))
    guess, truth, found = (np.concatenate(each) for each in zip(*parts, strict=True))
    return Overlaps(guess, truth, found)


def measures(how: Rule, found: Sequence[Matches], weights: Values) -> dict[str, Values]:
    """Name → (B, C) value of each class by (B, N) whole weights of the images; NaN where no truth has a weight."""
    out: dict[str, Values] = {}
    for size, matches in zip(SIZES, found, strict=False):
        precision = average_precisions(matches, how.curve, weights)
        if size:
            out[f"map_{size}"] = precision.mean(1)
            continue
        out["map50_95"], out["map50"], out["map75"] = (
            precision.mean(1),
            precision[:, 0],
            precision[:, 5],
        )
    for most in how.recall:
        out[f"ar{most}"] = recalls(found[0], most, weights)
    for size, matches in zip(SIZES[1:], found[1:], strict=False):
        out[f"ar_{size}"] = recalls(matches, how.most, weights)
    return out


def figures(
    how: Rule, found: Sequence[Matches], classes: Sequence[str], draws: Draws | None = None
) -> tuple[Figures, dict[str, Figures]]:
    """(overall, per class) figures of `matched` matches, with intervals by the draws (resamples of the images)."""
    images = len(found[0].truths)
    values = measures(how, found, np.ones((1, images)))
    drawn = measures(how, found, draws.cases) if draws and images else {}
    overall: Figures = {}
    per_class: dict[str, Figures] = {label: {} for label in classes}
    for name, value in values.items():
        lost = (
            f"no truth is {name.split('_')[1]}"
            if name.endswith(SIZES[1:])
            else "no truth has a box"
        )
        absent = lost if name.endswith(SIZES[1:]) else "no truth has this class"
        overall[name] = Figure.of(float(mean(value)), images, lost)
        for c, label in enumerate(classes):
            per_class[label][name] = Figure.of(float(value[0, c]), images, absent)
        if draws and name in drawn:
            overall[name] = bounded(overall[name], mean(drawn[name], 1), draws.groups)
            for c, label in enumerate(classes):
                per_class[label][name] = bounded(
                    per_class[label][name], drawn[name][:, c], draws.groups
                )
    return overall, per_class


def protocol_scores(
    how: Rule,
    found: Sequence[Matches],
    pairs: Pairs,
    classes: Sequence[str],
    draws: Draws | None = None,
) -> ProtocolScores:
    """The rule's figures of `matched` matches, and what the truth itself scores as the prediction (the target_score)."""
    scores, per_class = figures(how, found, classes, draws)
    perfect = [(t, Boxes(t.xyxy, t.labels, np.ones(len(t.labels), np.float32))) for t, _ in pairs]
    target_score, _ = figures(how, matched(how, perfect, len(classes)), classes)
    return ProtocolScores(how.name, how.version, how.description, scores, per_class, target_score)


def apply(
    pairs: Pairs, classes: Sequence[str], name: str = NAME, draws: Draws | None = None
) -> ProtocolScores:
    """A rule's figures, overall and per class, and its target_score."""
    how = rule(name)
    return protocol_scores(how, matched(how, pairs, len(classes)), pairs, classes, draws)
