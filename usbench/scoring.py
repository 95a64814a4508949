"""Stored predictions + truths → scores. Every score of usbench is made here, from files, without torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from usbench.codecs import coco, image, unity
from usbench.console import track
from usbench.datasets.dataset import Samples
from usbench.errors import DataError
from usbench.metrics import detect, landmark, segment
from usbench.metrics.scores import Figure, Ruled, Scorer, Scores
from usbench.targets import build
from usbench.types import Boxes, Landmarks, Masks, Sample, Score, Split, Target

SELECTION: Mapping[str, Score] = {
    "segment": segment.selection,
    "detect": detect.selection,
    "landmark": landmark.selection,
}
Stored = coco.PredictionFile | unity.LandmarkFile


def predictions_of(folder: Path, split: Split) -> tuple[Path, Path]:
    """(predictions, images) files of a split below a run's folder."""
    return folder / f"predictions-{split}.json", folder / f"images-{split}.json"


def write_predictions(folder: Path, split: Split, samples: Samples, guesses: Iterable[Target]) -> int:
    """Write one split's predictions as they come; how many images."""
    paths, dataset = predictions_of(folder, split), samples.dataset
    followed = zip(samples.records, track(guesses, f"predicting {split}", len(samples)), strict=True)
    if dataset.task == "landmark":
        with unity.LandmarkWriter(*paths, dataset.classes) as marks:
            for record, guess in followed:
                assert isinstance(guess, Landmarks)
                marks.add(record.id, record.group, image.size(dataset.root / record.image), guess)
    else:
        with coco.PredictionWriter(*paths) as writer:
            for record, guess in followed:
                assert isinstance(guess, (Boxes, Masks))
                writer.add(record.id, record.group, image.size(dataset.root / record.image), guess)
    return len(samples)


def pairs(folder: Path, split: Split, samples: Samples) -> Iterator[tuple[Sample, Target]]:
    """(sample, prediction) of a split, one at a time."""
    guesses = stored(folder, split, samples)
    for n in range(len(samples)):
        yield samples[n], guesses[n]


def stored(folder: Path, split: Split, samples: Samples) -> Stored:
    """A split's predictions, the n-th that of the n-th sample; DataError where they are of other images."""
    task, paths, classes = samples.dataset.task, predictions_of(folder, split), samples.dataset.classes
    guesses: Stored
    if task == "landmark":
        guesses = unity.read_landmarks(*paths, classes)
    else:
        guesses = coco.read_predictions(*paths, task, len(classes))
    predicted = [entry["file_name"] for entry in guesses.images]
    if predicted != samples.ids:
        odd = next((a for a, b in zip(predicted, samples.ids, strict=False) if a != b), "their number")
        raise DataError(f"{guesses.path}: predictions of the {split} split were wanted, found others ({odd} differs)")
    return guesses


def score(
    metric: Mapping[str, Any],
    folder: Path,
    test: Samples,
    val: Samples | None = None,
    leak: Sequence[str] = (),
) -> Scores:
    """Score the stored test predictions by a metric node; thresholds are chosen on the stored validation ones.

    With `leak`, the ruler's figures without those images stand beside the others as `<name>:no-leak`.
    """
    settled = thresholds(folder, val) if val is not None else {}
    every, clean = (make_scorer({**metric, **settled}, test) for _ in range(2))
    for sample, guess in track(pairs(folder, "test", test), "scoring test", len(test)):
        size = (sample.image.shape[0], sample.image.shape[1])
        for scorer in (every, clean)[: 1 + bool(leak and sample.id not in leak)]:
            scorer.update(sample.id, sample.group, sample.target, guess, size, sample.mm_per_px)
    scores = every.result()
    return with_second(scores, clean.result().ruler.scores) if leak else scores


def thresholds(folder: Path, val: Samples) -> dict[str, float]:
    """What a scorer is told that is chosen on validation."""
    if val.dataset.task != "landmark":
        return {}
    listed = ((sample.target, guess) for sample, guess in pairs(folder, "val", val))
    return {"presence_threshold": landmark.presence_threshold(listed)}


def select(folder: Path, samples: Samples) -> float:
    """The selection rule's figure on the stored validation predictions: what a sweeper optimises."""
    rule = SELECTION[samples.dataset.task]
    return rule((sample.target, guess) for sample, guess in pairs(folder, "val", samples))


def make_scorer(metric: Mapping[str, Any], samples: Samples) -> Scorer:
    """A fresh scorer for the samples' classes."""
    scorer: Scorer = build(metric, classes=samples.dataset.classes)
    return scorer


def with_second(scores: Scores, clean: Mapping[str, Figure]) -> Scores:
    """The ruler's figures, and those without the leaking images beside them."""
    ruler = scores.ruler
    merged = {**ruler.scores, **{f"{name}:no-leak": figure for name, figure in clean.items()}}
    enriched = Ruled(ruler.name, ruler.version, ruler.words, merged, ruler.per_class, ruler.ceiling)
    return Scores((enriched, *scores.ruled[1:]), scores.cases)
