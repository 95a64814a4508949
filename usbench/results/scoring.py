"""Stored predictions and targets → scores. Every score of usbench is made here, without torch."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from usbench.io.config import build
from usbench.io.console import track
from usbench.metrics import calibration, detect_scorer, landmark_scorer, segment_scorer
from usbench.metrics.bootstrap import draw, resample_sums
from usbench.metrics.intervals import measure_spread
from usbench.metrics.scores import Figures, Scorer, Scores, class_mean
from usbench.results.predictions import StoredPredictions
from usbench.types import Score, Target, Task

SELECTION: Mapping[Task, Score] = {
    "segment": segment_scorer.selection,
    "detect": detect_scorer.selection,
    "landmark": landmark_scorer.selection,
}
CALIBRATION = (
    "ece: a pixel's probability against the truth in 15 bins, per class over all pixels, "
    "mean over classes"
)


def score(
    metric: Mapping[str, object],
    test: StoredPredictions,
    thresholds: Mapping[str, float] | None = None,
    leaking: Collection[str] = (),
) -> Scores:
    """Score stored test predictions.

    Args:
        metric: a `_target_` node of a scorer.
        test: the predictions.
        thresholds: what was chosen on validation, see `choose_thresholds`.
        leaking: ids of test images that show what a training image shows. The figures without
            them stand beside the others as `<name>:no-leak`.
    """
    node, classes = {**metric, **(thresholds or {})}, test.samples.dataset.classes
    scorer = make_scorer(node, classes)
    clean_scorer = make_scorer(node, classes)  # doesn't see the leaking images
    for case, prediction in track(test.pairs(), "scoring test", len(test)):
        pair = case.id, case.group, case.target, prediction, case.size, case.mm_per_px
        scorer.update(*pair)
        if leaking and case.id not in leaking:
            clean_scorer.update(*pair)
    scores = scorer.result()
    table = test.histograms()
    if table is not None:
        scores = add_calibration(
            scores, table, [record.group for record in test.samples.records], classes
        )
    if leaking:
        scores = add_leak_free(scores, clean_scorer.result().protocol.scores)
    return scores


def make_scorer(metric: Mapping[str, object], classes: Sequence[str]) -> Scorer:
    """A new scorer for these classes."""
    scorer: Scorer = build(metric, classes=classes)
    return scorer


def choose_thresholds(validation: StoredPredictions) -> dict[str, float]:
    """The scorer's arguments that are chosen on validation."""
    task = validation.samples.dataset.task
    if task == "segment":
        return {}
    pairs = target_pairs(validation)
    if task == "detect":
        return {"confidence": detect_scorer.best_confidence(pairs)}
    return {"presence_threshold": landmark_scorer.presence_threshold(pairs)}


def target_pairs(validation: StoredPredictions) -> Iterator[tuple[Target, Target]]:
    """Each validation image's target and prediction, with a progress bar."""
    for case, prediction in track(validation.pairs(), "scoring val", len(validation)):
        yield case.target, prediction


def selection_score(validation: StoredPredictions) -> float:
    """The selection metric on validation: what an epoch, or a search, is chosen by."""
    pairs = target_pairs(validation)
    return SELECTION[validation.samples.dataset.task](pairs)


def add_calibration(
    scores: Scores, table: NDArray[np.float64], groups: Sequence[str], classes: Sequence[str]
) -> Scores:
    """The scores with the masks' calibration error (`ece`) under the reporting protocol.

    Args:
        table: (N, C, 15, 3), see `predictions.probability_histogram`.
        groups: of the N images.
    """
    protocol, draws = scores.protocol, draw(groups)
    per_class = dict(protocol.per_class)
    for c, name in enumerate(classes):
        per_class[name] = {
            **per_class[name],
            "ece": calibration.ece_figure(table[:, c], draws, "no pixel is known"),
        }
    spread = measure_spread(
        lambda draws: calibration.ece(resample_sums(table, draws)), draws, "share"
    )
    # Class by class: NumPy sums a whole table in another order, with other last bits.
    errors = np.array([per_class[name]["ece"].value for name in classes], np.float64)
    total = class_mean(errors, table[..., 0].sum(axis=2) > 0, spread=spread, draws=draws)
    protocol = replace(
        protocol,
        description=f"{protocol.description}; {CALIBRATION}",
        scores={**protocol.scores, "ece": total},
        per_class=per_class,
    )
    return replace(scores, protocols=(protocol, *scores.protocols[1:]))


def add_leak_free(scores: Scores, clean: Figures) -> Scores:
    """The scores with the figures without the leaking images beside them, as `<name>:no-leak`."""
    protocol = scores.protocol
    renamed = {f"{name}:no-leak": figure for name, figure in clean.items()}
    protocol = replace(protocol, scores={**protocol.scores, **renamed})
    return replace(scores, protocols=(protocol, *scores.protocols[1:]))
