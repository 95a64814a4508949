"""A run's predictions as files: COCO results or Unity label JSON, and the images that they are of.

runs/<run id>/predictions-{val,test}.json    one entry per box, per mask or per image
runs/<run id>/images-{val,test}.json         the predicted images, in order
runs/<run id>/confidence-{val,test}.json     histograms of the masks' probabilities
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from usbench.datasets.codecs import coco, histograms, image, images_list, unity_predictions
from usbench.datasets.dataset import Samples, ScoringCase
from usbench.errors import DataError
from usbench.io.console import track
from usbench.metrics import calibration
from usbench.metrics.pairs import require_kind
from usbench.types import Boxes, Landmarks, Masks, Split, Target, Task


def prediction_files(folder: Path, split: Split) -> tuple[Path, Path]:
    """The files (predictions, images) of a split in a run's folder."""
    return folder / f"predictions-{split}.json", folder / f"images-{split}.json"


def confidence_file(folder: Path, split: Split) -> Path:
    """The histograms of probabilities beside a split's masks."""
    return folder / f"confidence-{split}.json"


# ---- writing

# See `probability_histogram`.
Histogram = Callable[[Target, NDArray[np.float32]], NDArray[np.float64]]


def write_predictions(
    folder: Path,
    split: Split,
    samples: Samples,
    predictions: Iterable[Target],
    histogram: Histogram | None = None,
) -> int:
    """Write one split's predictions as they come.

    Args:
        folder: the run's.
        split: names the files.
        samples: the predicted images, in order.
        predictions: one per sample, in native pixels.
        histogram: how probabilities are counted; None: `probability_histogram`.

    Returns:
        The number of images.

    Raises:
        DataError: a prediction that isn't one of the dataset's task and classes, too few or too
            many of them.
    """
    dataset = samples.dataset
    checked = check_predictions(predictions, len(samples), dataset.task, dataset.classes)
    watched = track(checked, f"predicting {split}", len(samples))
    if dataset.task == "landmark":
        write_landmarks(folder, split, samples, watched)
    else:
        write_objects(folder, split, samples, watched, histogram or probability_histogram)
    return len(samples)


def check_predictions(
    predictions: Iterable[object], images: int, task: Task, classes: Sequence[str]
) -> Iterator[Target]:
    """Pass on what a model predicts, each prediction checked.

    Args:
        predictions: of the images, in order.
        images: how many there are.
        task: of the model.
        classes: their names.

    Raises:
        DataError: one of another type or with other classes, too few or too many of them.
    """
    number = 0
    for number, prediction in enumerate(predictions, start=1):
        if number > images:
            raise DataError(f"expected {images} predictions, one per image, got more")
        yield require_kind(f"prediction {number} of {images}", prediction, task, classes)
    if number < images:
        raise DataError(f"expected {images} predictions, one per image, got {number}")


def write_landmarks(
    folder: Path, split: Split, samples: Samples, predictions: Iterable[Target]
) -> None:
    """Write landmarks as Unity label JSON."""
    dataset = samples.dataset
    with unity_predictions.LandmarkWriter(
        *prediction_files(folder, split), dataset.classes
    ) as writer:
        for record, prediction in zip(samples.records, predictions, strict=True):
            assert isinstance(prediction, Landmarks)
            writer.add(
                record.id, record.group, image.read_size(dataset.root / record.image), prediction
            )


def write_objects(
    folder: Path,
    split: Split,
    samples: Samples,
    predictions: Iterable[Target],
    histogram: Histogram,
) -> None:
    """Write boxes or masks as COCO results, and the histograms of masks that have probabilities."""
    dataset = samples.dataset
    tables: list[NDArray[np.float64]] = []
    with coco.PredictionWriter(*prediction_files(folder, split)) as writer:
        for record, prediction in zip(samples.records, predictions, strict=True):
            assert isinstance(prediction, (Boxes, Masks))
            size = image.read_size(dataset.root / record.image)
            writer.add(record.id, record.group, size, prediction)
            if isinstance(prediction, Masks) and prediction.probabilities is not None:
                tables.append(histogram(samples.target(record, size), prediction.probabilities))
    path = confidence_file(folder, split)
    if len(tables) == len(samples):
        histograms.write_histograms(path, tables, len(dataset.classes), calibration.BINS)
    else:
        path.unlink(missing_ok=True)


def probability_histogram(
    target: Target, probabilities: NDArray[np.float32]
) -> NDArray[np.float64]:
    """How often a probability is right, per class and bin.

    Args:
        target: masks (C, H, W); a class that isn't known keeps zeros.
        probabilities: (C, H, W).

    Returns:
        (C, 15, 3): pixels, the sum of their probabilities, how many of them have the class.
    """
    assert isinstance(target, Masks)
    table = np.zeros((len(target.planes), calibration.BINS, 3))
    for c, (plane, probability) in enumerate(zip(target.planes, probabilities, strict=True)):
        if target.known is None or target.known[c]:
            image_numbers = np.zeros(plane.size, np.int64)  # all pixels are of image 0
            bins = calibration.histogram(probability.ravel(), plane.ravel(), image_numbers, 1)
            table[c] = bins[0]
    return table


# ---- reading


@dataclass(frozen=True)
class StoredPredictions:
    """One split's predictions, read once and checked against the samples; masks stay packed.

    `predictions[n]` is the prediction of `samples[n]`.
    """

    folder: Path  # the run's
    split: Split
    samples: Samples
    content: images_list.PredictionFile

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, n: int) -> Target:
        return self.content[n]

    def pairs(self) -> Iterator[tuple[ScoringCase, Target]]:
        """Each image's target and prediction, one at a time."""
        for n, case in enumerate(self.samples.scoring_cases()):
            yield case, self.content[n]

    def histograms(self) -> NDArray[np.float64] | None:
        """(N, C, 15, 3), see `probability_histogram`; None where prediction wrote none."""
        path, dataset = confidence_file(self.folder, self.split), self.samples.dataset
        if dataset.task != "segment" or not path.is_file():
            return None
        return histograms.read_histograms(path, len(self), len(dataset.classes), calibration.BINS)


def read_predictions(folder: Path, split: Split, samples: Samples) -> StoredPredictions:
    """Read a split's predictions.

    Raises:
        DataError: a file is missing or damaged, or they are predictions of other images.
    """
    paths, dataset = prediction_files(folder, split), samples.dataset
    content = (
        unity_predictions.read_landmark_predictions(*paths, dataset.classes)
        if dataset.task == "landmark"
        else coco.read_predictions(*paths, dataset.task, len(dataset.classes))
    )
    predicted = [entry["file_name"] for entry in content.images]
    if predicted != samples.ids:
        pairs = zip(predicted, samples.ids, strict=False)
        differing = next((name for name, id_ in pairs if name != id_), "their number")
        raise DataError(
            f"{content.path}: expected predictions of the {split} split, got others "
            f"({differing} differs); predict again"
        )
    return StoredPredictions(folder, split, samples, content)
