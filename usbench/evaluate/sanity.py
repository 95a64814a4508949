"""The sanity check: baselines through the whole scorer, each against what it must score."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import cast

import numpy as np

from usbench.datasets.dataset import Dataset, Samples
from usbench.evaluate import baselines
from usbench.io.console import track
from usbench.metrics.measures.measurements import MEASURE
from usbench.metrics.pairs import PROTOCOLS
from usbench.metrics.scores import Scores
from usbench.results import scoring
from usbench.results.build import build_result
from usbench.results.format import format_value
from usbench.results.result import Result
from usbench.results.store import lower_is_better
from usbench.runner.config import RunConfig
from usbench.runner.facts import facts_without_run, image_counts, reported_scores
from usbench.types import SEEN, Landmarks, Masks, Sample, Target, Task

TOLERANCE = 1e-6  # to a score that is known
MARGIN = 0.01  # what a wrong prediction must lose at least (of the mean error: px)
VERSION = 1  # of the baselines; part of their run ids


@dataclass(frozen=True)
class Check:
    """One baseline: what it scored and what was expected."""

    name: str
    scores: Scores
    value: float | None  # the primary score
    expected: str  # for people
    passed: bool


def check_baselines(config: RunConfig, dataset: Dataset) -> Iterator[Check]:
    """Score every baseline of the task on the test split, under every protocol that fits."""
    train, test = dataset.samples("train"), dataset.samples("test")
    predict = baselines.fit_baselines(
        track(train, "averaging the training targets", len(train)), dataset.task, dataset.exclusive
    )
    node = every_protocol(config.metric, dataset.task)
    known, primary = known_scores(test), str(config.metric["primary"])
    for name in baselines.NAMES[dataset.task]:
        predictions = (
            baselines.predict_shuffled(test) if name == "shuffled" else map(predict[name], test)
        )
        yield check_scores(
            name, score_predictions(node, test, predictions, name), primary, known.get(name)
        )


def every_protocol(metric: Mapping[str, object], task: Task) -> dict[str, object]:
    """The metric with its own protocols first, then all others of the task."""
    named = cast(Sequence[str], metric["protocols"])
    return {**metric, "protocols": list(dict.fromkeys((*named, *PROTOCOLS[task])))}


def score_predictions(
    metric: Mapping[str, object], test: Samples, predictions: Iterable[Target], label: str
) -> Scores:
    """Score predictions that are made one at a time. label: of the progress bar."""
    scorer = scoring.make_scorer(metric, test.dataset.classes)
    for sample, prediction in track(zip(test, predictions, strict=True), label, len(test)):
        scorer.update(
            sample.id,
            sample.group,
            sample.target,
            prediction,
            baselines.image_size(sample),
            sample.mm_per_px,
        )
    return scorer.result()


def check_scores(name: str, scores: Scores, primary: str, known: float | None) -> Check:
    """Check what a baseline scored. known: the primary score, where it is known beforehand."""
    protocol = scores.protocol
    value, target_score = protocol.scores[primary].value, protocol.target_score[primary].value
    if name == "target":
        wrong = first_below_target(scores)
        expected = f"every target score, not {wrong}" if wrong else "every target score"
        return Check(name, scores, value, expected, not wrong)
    if known is not None:
        expected = f"{format_value(known, primary)}, from the targets alone"
        return Check(name, scores, value, expected, is_close(value, known))
    if value is None or target_score is None:
        return Check(name, scores, value, "a value", False)
    side, lost = "below", target_score - value
    if lower_is_better(primary):
        side, lost = "above", value - target_score
    return Check(name, scores, value, f"{side} the target score", lost > MARGIN)


def first_below_target(scores: Scores) -> str | None:
    """The first protocol and score at which the target itself misses its target score."""
    for protocol in scores.protocols:
        for name, figure in protocol.target_score.items():
            if not is_close(protocol.scores[name].value, figure.value):
                return f"{protocol.name} {name}"
    return None


def is_close(a: float | None, b: float | None) -> bool:
    """Whether two scores are equal but for rounding; both undefined counts as equal."""
    return a is b if a is None or b is None else abs(a - b) <= TOLERANCE


# ---- scores that are known beforehand


def known_scores(test: Sequence[Sample]) -> dict[str, float]:
    """Baseline → its primary score, computed from the targets alone, without a scorer.

    blank: a class that is there scores 0, one that isn't is skipped. full: Dice of an area a
    among n pixels is 2a / (a + n). centre: the mean distance of the seen points from the image's
    middle.
    """
    first = test[0].target
    if isinstance(first, Masks):
        return {"blank": 0.0, "full": mean_dice_of_full_masks(test)}
    if isinstance(first, Landmarks):
        distances = list(chain.from_iterable(map(distances_from_middle, test)))
        return {"centre": sum(distances) / len(distances)} if distances else {}
    return {"blank": 0.0}


def mean_dice_of_full_masks(test: Iterable[Sample]) -> float:
    """Dice of all pixels as the prediction: mean over images, then over classes."""
    dice: dict[int, list[float]] = defaultdict(list)
    for sample in test:
        assert isinstance(sample.target, Masks)
        for c, plane in enumerate(sample.target.planes):
            if sample.target.known is None or sample.target.known[c]:
                area = int(np.count_nonzero(plane))
                dice[c].append(2 * area / (area + plane.size))
    means = [sum(dice[c]) / len(dice[c]) for c in sorted(dice)]
    return sum(means) / len(means)


def distances_from_middle(sample: Sample) -> list[float]:
    """Distances in px of the points that are seen from the image's middle."""
    assert isinstance(sample.target, Landmarks)
    height, width = sample.image.shape
    distances = []
    for path, state in zip(sample.target.paths, sample.target.state, strict=True):
        if state == SEEN and len(path) == 1:
            x, y = path[0]
            distances.append(math.hypot(x - (width - 1) / 2, y - (height - 1) / 2))
    return distances


# ---- the result


def baseline_result(config: RunConfig, dataset: Dataset, check: Check) -> Result:
    """A baseline's result: an unranked row of the leaderboard, under the dataset's protocols."""
    identity = f"{config.fingerprint}\n{config.task}\n{config.fold}\n{check.name}\n{VERSION}"
    run_id = hashlib.sha256(identity.encode()).hexdigest()[:12]
    named = {*cast(Sequence[str], config.metric["protocols"]), MEASURE.name}
    protocols = tuple(part for part in check.scores.protocols if part.name in named)
    scores = replace(check.scores, protocols=protocols)
    facts = facts_without_run(config, image_counts(dataset), "baseline", check.name, run_id)
    return build_result(facts, reported_scores(config, scores, dataset))
