"""Stored predictions + truths → scores. Every score of usbench is made here, from files, without torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from usbench.codecs import coco, image
from usbench.console import track
from usbench.datasets.dataset import Samples
from usbench.errors import DataError
from usbench.metrics import detect, segment
from usbench.metrics.scores import Figure, Ruled, Scorer, Scores
from usbench.targets import build
from usbench.types import Boxes, Masks, Score, Split, Target

SELECTION: Mapping[str, Score] = {"segment": segment.selection, "detect": detect.selection}


def predictions_of(folder: Path, split: Split) -> tuple[Path, Path]:
    """(predictions, images) files of a split below a run's folder."""
    return folder / f"predictions-{split}.json", folder / f"images-{split}.json"


def write_predictions(folder: Path, split: Split, samples: Samples, guesses: Iterable[Target]) -> int:
    """Write one split's predictions as they come; how many images."""
    with coco.PredictionWriter(*predictions_of(folder, split)) as writer:
        for record, guess in zip(samples.records, track(guesses, f"predicting {split}", len(samples)), strict=True):
            assert isinstance(guess, (Boxes, Masks))
            size = image.size(samples.dataset.root / record.image)
            writer.add(record.id, record.group, size, guess)
    return len(samples)


def pairs(folder: Path, split: Split, samples: Samples) -> Iterator[tuple[str, str, Target, Target]]:
    """(case, group, truth, prediction) of a split, one at a time."""
    guesses = stored(folder, split, samples)
    for n, record in enumerate(samples.records):
        yield record.id, record.group, samples[n].target, guesses[n]


def stored(folder: Path, split: Split, samples: Samples) -> coco.PredictionFile:
    """A split's predictions, the n-th that of the n-th sample; DataError where they are of other images."""
    task = samples.dataset.task
    assert task != "landmark"
    guesses = coco.read_predictions(*predictions_of(folder, split), task, len(samples.dataset.classes))
    predicted = [entry["file_name"] for entry in guesses.images]
    if predicted != samples.ids:
        odd = next((a for a, b in zip(predicted, samples.ids, strict=False) if a != b), "their number")
        raise DataError(f"{guesses.path}: predictions of the {split} split were wanted, found others ({odd} differs)")
    return guesses


def score(metric: Mapping[str, Any], folder: Path, split: Split, samples: Samples, leak: Sequence[str] = ()) -> Scores:
    """Score a split's stored predictions by a metric node.

    With `leak`, the ruler's figures without those images stand beside the others as `<name>:no-leak`.
    """
    every, clean = make_scorer(metric, samples), make_scorer(metric, samples)
    for case in track(pairs(folder, split, samples), f"scoring {split}", len(samples)):
        every.update(*case)
        if leak and case[0] not in leak:
            clean.update(*case)
    scores = every.result()
    return with_second(scores, clean.result().ruler.scores) if leak else scores


def select(folder: Path, samples: Samples) -> float:
    """The selection rule's figure on the stored validation predictions: what a sweeper optimises."""
    rule = SELECTION[samples.dataset.task]
    return rule((truth, guess) for _, _, truth, guess in pairs(folder, "val", samples))


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
