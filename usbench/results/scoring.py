"""Stored predictions + truths → scores. Every score of usbench is made here, from files, without torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usbench.datasets.codecs import coco, histograms, image, unity_labels
from usbench.datasets.dataset import Samples, ScoringCase
from usbench.errors import DataError
from usbench.io.config import build
from usbench.io.console import track
from usbench.metrics import calibration, detect_scorer, landmark_scorer, segment_scorer
from usbench.metrics.bootstrap import draw, resample_sums
from usbench.metrics.scores import Figure, ProtocolScores, Scorer, Scores, class_mean
from usbench.types import Boxes, Landmarks, Masks, Score, Split, Target

SELECTION: Mapping[str, Score] = {
    "segment": segment_scorer.selection,
    "detect": detect_scorer.selection,
    "landmark": landmark_scorer.selection,
}
Stored = coco.PredictionFile | unity_labels.LandmarkFile


def predictions_of(folder: Path, split: Split) -> tuple[Path, Path]:
    """(predictions, images) files of a split below a run's folder."""
    return folder / f"predictions-{split}.json", folder / f"images-{split}.json"


def write_predictions(
    folder: Path, split: Split, samples: Samples, guesses: Iterable[Target]
) -> int:
    """Write one split's predictions as they come; how many images."""
    paths, dataset = predictions_of(folder, split), samples.dataset
    followed = zip(
        samples.records, track(guesses, f"predicting {split}", len(samples)), strict=True
    )
    if dataset.task == "landmark":
        with unity_labels.LandmarkWriter(*paths, dataset.classes) as marks:
            for record, guess in followed:
                assert isinstance(guess, Landmarks)
                marks.add(
                    record.id, record.group, image.read_size(dataset.root / record.image), guess
                )
    else:
        tables: list[NDArray[np.float64]] = []
        with coco.PredictionWriter(*paths) as writer:
            for record, guess in followed:
                assert isinstance(guess, (Boxes, Masks))
                size = image.read_size(dataset.root / record.image)
                writer.add(record.id, record.group, size, guess)
                if isinstance(guess, Masks) and guess.probabilities is not None:
                    tables.append(calibrated(samples.target(record, size), guess.probabilities))
        histogram = histogram_of(folder, split)
        if len(tables) == len(samples):
            histograms.write_histograms(histogram, tables, len(dataset.classes), calibration.BINS)
        else:
            histogram.unlink(missing_ok=True)
    return len(samples)


def histogram_of(folder: Path, split: Split) -> Path:
    """The file of confidences beside a split's predictions of masks."""
    return folder / f"confidence-{split}.json"


def calibrated(truth: Target, probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """(C, 15, 3): per class and bin of probability its pixels, the sum of their probabilities, how many are right.

    Nothing of a class of which nobody knows whether it is there.
    """
    assert isinstance(truth, Masks)
    table = np.zeros((len(truth.planes), calibration.BINS, 3))
    for c, (plane, probability) in enumerate(zip(truth.planes, probabilities, strict=True)):
        if truth.known is None or truth.known[c]:
            one = np.zeros(plane.size, np.int64)
            table[c] = calibration.histogram(probability.ravel(), plane.ravel(), one, 1)[0]
    return table


def pairs(folder: Path, split: Split, samples: Samples) -> Iterator[tuple[ScoringCase, Target]]:
    """(truth, prediction) of a split, one at a time."""
    guesses = stored(folder, split, samples)
    for n, truth in enumerate(samples.scoring_cases()):
        yield truth, guesses[n]


def stored(folder: Path, split: Split, samples: Samples) -> Stored:
    """A split's predictions, the n-th that of the n-th sample; DataError where they are of other images."""
    task, paths, classes = (
        samples.dataset.task,
        predictions_of(folder, split),
        samples.dataset.classes,
    )
    guesses: Stored
    if task == "landmark":
        guesses = unity_labels.read_landmark_predictions(*paths, classes)
    else:
        guesses = coco.read_predictions(*paths, task, len(classes))
    predicted = [entry["file_name"] for entry in guesses.images]
    if predicted != samples.ids:
        odd = next(
            (a for a, b in zip(predicted, samples.ids, strict=False) if a != b), "their number"
        )
        raise DataError(
            f"{guesses.path}: predictions of the {split} split were wanted, found others ({odd} differs)"
        )
    return guesses


def score(
    metric: Mapping[str, Any],
    folder: Path,
    test: Samples,
    val: Samples | None = None,
    leak: Sequence[str] = (),
) -> Scores:
    """Score the stored test predictions by a metric node; thresholds are chosen on the stored validation ones.

    With `leak`, the protocol's figures without those images stand beside the others as `<name>:no-leak`.
    """
    settled = thresholds(folder, val) if val is not None else {}
    every, clean = (make_scorer({**metric, **settled}, test) for _ in range(2))
    for truth, guess in track(pairs(folder, "test", test), "scoring test", len(test)):
        for scorer in (every, clean)[: 1 + bool(leak and truth.id not in leak)]:
            scorer.update(truth.id, truth.group, truth.target, guess, truth.size, truth.mm_per_px)
    scores = with_calibration(every.result(), folder, test)
    return with_second(scores, clean.result().protocol.scores) if leak else scores


def with_calibration(scores: Scores, folder: Path, test: Samples) -> Scores:
    """The protocol's figures with the masks' calibration, where prediction has written its histograms."""
    path = histogram_of(folder, "test")
    if test.dataset.task != "segment" or not path.is_file():
        return scores
    classes = test.dataset.classes
    table = histograms.read_histograms(path, len(test), len(classes), calibration.BINS)
    draws = draw([record.group for record in test.records])
    each = {
        name: {
            **scores.protocol.per_class[name],
            "ece": calibration.ece_figure(table[:, c], draws, "no pixel is known"),
        }
        for c, name in enumerate(classes)
    }
    errors = [figures["ece"].value for figures in each.values()]
    known = np.array([np.nan if error is None else error for error in errors])
    drawn = calibration.ece(resample_sums(table, draws))  # (B, C)
    total = class_mean(known, len(test), resampled=drawn, draws=draws)
    per_class = {**scores.protocol.per_class, **each}
    protocol = replace(
        scores.protocol, scores={**scores.protocol.scores, "ece": total}, per_class=per_class
    )
    told = "ece: a pixel's probability against the truth in 15 bins, per class over all pixels, mean over classes"
    return Scores(
        (replace(protocol, description=f"{protocol.description}; {told}"), *scores.protocols[1:]),
        scores.cases,
    )


def thresholds(folder: Path, val: Samples) -> dict[str, float]:
    """What a scorer is told that is chosen on validation."""
    if val.dataset.task == "segment":
        return {}
    listed = ((truth.target, guess) for truth, guess in pairs(folder, "val", val))
    if val.dataset.task == "detect":
        return {"confidence": detect_scorer.best_confidence(listed)}
    return {"presence_threshold": landmark_scorer.presence_threshold(listed)}


def select(folder: Path, samples: Samples) -> float:
    """The selection rule's figure on the stored validation predictions: what a sweeper optimises."""
    rule = SELECTION[samples.dataset.task]
    return rule((truth.target, guess) for truth, guess in pairs(folder, "val", samples))


def make_scorer(metric: Mapping[str, Any], samples: Samples) -> Scorer:
    """A fresh scorer for the samples' classes."""
    scorer: Scorer = build(metric, classes=samples.dataset.classes)
    return scorer


def with_second(scores: Scores, clean: Mapping[str, Figure]) -> Scores:
    """The protocol's figures, and those without the leaking images beside them."""
    protocol = scores.protocol
    merged = {**protocol.scores, **{f"{name}:no-leak": figure for name, figure in clean.items()}}
    enriched = ProtocolScores(
        protocol.name,
        protocol.version,
        protocol.description,
        merged,
        protocol.per_class,
        protocol.target_score,
    )
    return Scores((enriched, *scores.protocols[1:]), scores.cases)
