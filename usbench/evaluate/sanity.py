"""The sanity battery: controls through the whole scorer, their figures against what they must be."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from usbench.datasets.dataset import Dataset, Samples
from usbench.evaluate import baselines as controls
from usbench.io.console import track
from usbench.metrics.box_protocols import BOX_PROTOCOLS
from usbench.metrics.landmark_scorer import RADIAL
from usbench.metrics.mask_protocols import MASK_PROTOCOLS
from usbench.metrics.scores import Scores
from usbench.results import scoring
from usbench.results.store import lower_is_better
from usbench.runner import config as cell
from usbench.runner import records
from usbench.types import SEEN, Landmarks, Masks, Sample, Target, Task

RULES: Mapping[Task, tuple[str, ...]] = {
    "segment": tuple(MASK_PROTOCOLS),
    "detect": tuple(BOX_PROTOCOLS),
    "landmark": (RADIAL.name,),
}
CLOSE = 1e-6  # to a figure that is known
NOTICED = 0.01  # of the target_score (mean error: px) that a wrong prediction must at least lose
VERSION = 1  # of the controls; part of their records' key


@dataclass(frozen=True)
class Verdict:
    """One control: what it scored and what was wanted."""

    name: str
    scores: Scores
    value: float | None
    wanted: str
    right: bool


def battery(one: Mapping[str, Any], dataset: Dataset) -> Iterator[Verdict]:
    """Every control of the task, scored on the test split under every rule that fits, one after the other."""
    train, test = dataset.samples("train"), dataset.samples("test")
    made = controls.guesses(
        track(train, "learning the priors", len(train)), dataset.task, dataset.exclusive
    )
    own = list(one["metric"]["protocols"])
    metric = {
        **one["metric"],
        "protocols": [*own, *(rule for rule in RULES[dataset.task] if rule not in own)],
    }
    known = expected(test)
    for name in controls.NAMES[dataset.task]:
        scores = scored(
            metric,
            test,
            controls.shuffled(test) if name == "shuffled" else map(made[name], test),
            name,
        )
        yield judged(name, scores, one["metric"]["primary"], known)


def scored(
    metric: Mapping[str, Any], test: Samples, predictions: Iterator[Target], name: str
) -> Scores:
    """Scores of predictions that are made as they are wanted."""
    scorer = scoring.make_scorer(metric, test)
    for sample, guess in track(zip(test, predictions, strict=True), name, len(test)):
        scorer.update(
            sample.id,
            sample.group,
            sample.target,
            guess,
            controls.size_of(sample),
            sample.mm_per_px,
        )
    return scorer.result()


def judged(name: str, scores: Scores, primary: str, known: Mapping[str, float]) -> Verdict:
    """Whether a control scored what it must."""
    protocol = scores.protocol
    value, target_score = protocol.scores[primary].value, protocol.target_score[primary].value
    if name == "truth":
        off = [f"{ruled.name} {key}" for ruled in scores.protocols for key, figure in ruled.target_score.items()
               if not same(ruled.scores[key].value, figure.value)]  # fmt: skip
        return Verdict(
            name,
            scores,
            value,
            "the target_score of every rule" + (f", not {off[0]}" if off else ""),
            not off,
        )
    if name in known:
        return Verdict(
            name,
            scores,
            value,
            f"{known[name]:.3f}, from the truths alone",
            same(value, known[name]),
        )
    if value is None or target_score is None:
        return Verdict(name, scores, value, "a figure", False)
    lower = lower_is_better(primary)
    lost = value - target_score if lower else target_score - value
    return Verdict(
        name, scores, value, f"{'above' if lower else 'below'} the target_score", lost > NOTICED
    )


def same(one: float | None, other: float | None) -> bool:
    """Equal but for rounding."""
    return (one is None and other is None) or (
        one is not None and other is not None and abs(one - other) <= CLOSE
    )


def expected(test: Sequence[Sample]) -> dict[str, float]:
    """control → the protocol's primary figure, worked out from the truths alone, without a scorer.

    blank: a class that is there scores 0, one that isn't is skipped. full: Dice of an area a among n pixels is
    2a / (a + n). centre: the mean distance of the seen points from the image's middle.
    """
    first = test[0].target
    if isinstance(first, Masks):
        dice: list[list[float]] = [[] for _ in first.planes]
        for sample in test:
            assert isinstance(sample.target, Masks)
            known = sample.target.known
            for c, plane in enumerate(sample.target.planes):
                if known is None or known[c]:
                    area, pixels = int(np.count_nonzero(plane)), plane.size
                    dice[c].append(2 * area / (area + pixels))
        means = [sum(values) / len(values) for values in dice if values]
        return {"blank": 0.0, "full": sum(means) / len(means)}
    if isinstance(first, Landmarks):
        distances = [apart for sample in test for apart in from_the_middle(sample)]
        return {"centre": sum(distances) / len(distances)} if distances else {}
    return {"blank": 0.0}


def from_the_middle(sample: Sample) -> list[float]:
    """Distances in px of the seen points."""
    assert isinstance(sample.target, Landmarks)
    height, width = sample.image.shape
    seen = [
        path
        for path, state in zip(sample.target.paths, sample.target.state, strict=True)
        if state == SEEN
    ]
    points = [path[0] for path in seen if len(path) == 1]
    return [math.hypot(x - (width - 1) / 2, y - (height - 1) / 2) for x, y in points]


def record(one: cell.Cell, dataset: Dataset, verdict: Verdict) -> dict[str, Any]:
    """The control's result record: an unranked row of the board."""
    facts = f"{one['fingerprint']}\n{one['task']}\n{one['fold']}\n{verdict.name}\n{VERSION}"
    groups = len({part.group for part in dataset.records["test"]})
    words = records.protocol_description(one, verdict.scores.protocol.description)
    shown = Scores(
        verdict.scores.protocols[: len(one["metric"]["protocols"])], verdict.scores.cases
    )  # the dataset's own rules
    base = records.base_record(one)
    base["data"]["counts"] = {split: len(part) for split, part in dataset.records.items()}
    kept = {
        name: base[name]
        for name in (
            "schema",
            "dataset",
            "task",
            "fold",
            "trained_on",
            "data",
            "code",
            "machine",
            "date",
            "tf32",
            "reasons",
        )
    }
    return {
        **kept,
        "origin": "baseline",
        "model": verdict.name,
        "recipe": None,
        "seed": None,
        "run_id": hashlib.sha256(facts.encode()).hexdigest()[:12],
        "status": "done",
        "reason": None,
        "config": {"dataset": base["config"]["dataset"], "metric": base["config"]["metric"]},
        **records.scored(shown, one["metric"]["primary"], groups, words),
    }
