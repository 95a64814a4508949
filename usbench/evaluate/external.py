"""Score somebody else's predictions on a dataset's test split, as an external row."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from usbench.datasets.codecs import image, unity_predictions, yolo_txt
from usbench.datasets.codecs.label_png import index_to_planes
from usbench.datasets.dataset import Dataset, Samples
from usbench.datasets.layouts.folders import list_files
from usbench.errors import ConfigError, DataError
from usbench.evaluate.files import MaskReader, match_cases, number_classes
from usbench.io.files import file_sha256
from usbench.metrics.scores import Scores
from usbench.results import scoring, store
from usbench.results.build import build_result
from usbench.results.kept_predictions import load_kept, pack_predictions, why_not_kept
from usbench.results.predictions import prediction_files, read_predictions, write_predictions
from usbench.results.result import PredictionsFile, Result
from usbench.runner import config as run_config
from usbench.runner.config import ModelConfig, RunConfig, write_config
from usbench.runner.facts import facts_without_run, reported_scores
from usbench.runner.identity import short_hash
from usbench.types import Boxes, Masks, Record, Target, Task

FORMATS: dict[Task, str] = {
    "segment": "a folder of index PNGs named as the images (0 = background)",
    "detect": "a folder of YOLO txt with confidences, named as the images",
    "landmark": "Unity label JSON by the images' names, with a score per name",
}


@dataclass(frozen=True)
class ExternalRow:
    """External predictions that were scored and saved."""

    path: Path  # of the result
    result: Result
    scores: Scores
    missing: list[str]  # images without a prediction


def file_name(name: str) -> str:
    """A row's name as part of a file name: letters, digits and . _ + -.

    Raises:
        ConfigError: nothing is left of it.
    """
    plain = re.sub(r"[^A-Za-z0-9._+-]+", "-", name).strip("-.")
    if not plain or not plain[0].isalnum():
        raise ConfigError(f"--name {name!r}: expected a name with letters or digits")
    return plain


# ---- reading


def read_external(
    path: Path,
    dataset: Dataset,
    samples: Samples,
    strict: bool,
    values: Mapping[str, int] | None = None,
) -> tuple[Iterator[Target], list[str]]:
    """Read predictions of the test split.

    Args:
        path: a folder that a run has written, predictions that are kept beside a result, or a
            folder or file of the task's format.
        samples: the test split.
        strict: whether a missing prediction is an error.
        values: class → its value in the masks; None: 1, 2, … in the dataset's order.

    Returns:
        (predictions in the samples' order, names of the images that have none; those count as
        an image in which nothing was predicted).

    Raises:
        ConfigError: values of other classes than the dataset's.
        DataError: predictions of other images, or what the formats' readers refuse.
    """
    if values is not None and set(values) != set(dataset.classes):
        raise ConfigError(
            f"--values: expected each class of {dataset.name} ({', '.join(dataset.classes)}), got "
            f"{', '.join(values)}"
        )
    stored = None
    if path.name.endswith(store.PREDICTIONS):
        stored = load_kept(path).read(samples, path.parent)
    elif prediction_files(path, "test")[0].is_file():
        stored = read_predictions(path, "test", samples)
    if stored is not None:
        return (stored[n] for n in range(len(stored))), []
    names = list(map(stem_of, samples.records))
    check_format(path, dataset, names)
    if dataset.task == "landmark":
        by_image = unity_predictions.read_unity_predictions(path)
        entries = {Path(image_name).stem: entry for image_name, entry in by_image.items()}
        _, missing = match_cases(names, entries, path, strict=True)
        landmarks = (
            unity_predictions.parse_prediction(entries[name], dataset.classes, f"{path}: {name}")
            for name in names
        )
        return landmarks, missing
    files = list_files(path, ".png" if dataset.task == "segment" else ".txt")
    files.pop("classes", None)
    _, missing = match_cases(names, files, path, strict)
    by_class = values or number_classes(dataset.classes)
    masks = MaskReader({label: by_class[label] for label in dataset.classes})
    read = partial(read_image, dataset, masks)
    return map(read, samples.records, map(files.get, names)), missing


def check_format(path: Path, dataset: Dataset, names: Sequence[str]) -> None:
    """Raise DataError where the task's usual format can't hold predictions of these images."""
    shared_name = "images of the test split share a name; write predictions-test.json as a run does"
    overlap = (
        f"the classes of {dataset.name} overlap, which an index PNG can't hold; write "
        "predictions-test.json and images-test.json as a run does (COCO results with run lengths)"
    )
    faults = {
        shared_name: len(set(names)) < len(names),
        overlap: dataset.task == "segment" and not dataset.exclusive,
        f"expected {FORMATS[dataset.task]}, got nothing": not path.exists(),
    }
    for fault, is_there in faults.items():
        if is_there:
            raise DataError(f"{path}: {fault}")


def stem_of(record: Record) -> str:
    """The name of an image's prediction."""
    return Path(record.image).stem


def read_image(dataset: Dataset, masks: MaskReader, record: Record, path: Path | None) -> Target:
    """One image's prediction; nothing predicted where there is no file."""
    size, n_classes = image.read_size(dataset.root / record.image), len(dataset.classes)
    if path is None and dataset.task == "detect":
        return Boxes.empty(scored=True)
    if path is None:
        return Masks(np.zeros((n_classes, *size), bool))
    if dataset.task == "detect":
        return yolo_txt.read_yolo_predictions(path, dataset.classes, size)
    index = masks.read(path)
    if index.shape != size:
        raise DataError(f"{path}: expected the size of its image {size}, got {index.shape}")
    return Masks(index_to_planes(index, n_classes))


# ---- scoring


def score_external(
    config: RunConfig,
    path: Path,
    name: str,
    strict: bool,
    values: Mapping[str, int] | None = None,
) -> ExternalRow:
    """Score external predictions and save the result.

    The predictions are stored in runs/<run id> as a run's are, so that the row can be explained
    and rescored.

    Args:
        config: any run's on the dataset and task.
        path: the predictions, see `read_external`.
        name: of the row.
        strict: whether a missing prediction is an error.
        values: class → its value in masks; None: 1, 2, … in the dataset's order.
    """
    model = file_name(name)
    dataset = config.open_dataset()
    test = dataset.samples("test")
    predictions, missing = read_external(path, dataset, test, strict, values)
    part = config.runs / f".external-{model}"
    try:
        part.mkdir(parents=True, exist_ok=True)
        write_predictions(part, "test", test, predictions)
        sha256 = file_sha256(prediction_files(part, "test")[0])
        config = replace(
            config,
            run_id=short_hash([config.fingerprint, sha256]),
            seed=None,
            recipe=None,
            model=ModelConfig(model, 0, {}, {}),
        )
        write_config(config.to_mapping(), part / run_config.NAME)
        leaking = config.dataset.leakage.images if config.dataset.leakage else ()
        scores = scoring.score(config.metric, read_predictions(part, "test", test), None, leaking)
        shutil.rmtree(config.run_dir, ignore_errors=True)  # equal predictions of equal data
        part.replace(config.run_dir)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    facts = facts_without_run(config, {"test": len(test)}, "external", model, config.run_id)
    file = prediction_files(config.run_dir, "test")[0].relative_to(config.runs).as_posix()
    result = build_result(
        replace(facts, predictions=PredictionsFile(file, sha256, len(test))),
        reported_scores(config, scores, dataset),
    )
    cases = store.hash_case_ids(scores.cases, config.dataset.redistribute, dataset.name)
    kept = pack_predictions(config.run_dir, {}) if why_not_kept(result) is None else None
    path = store.save_result(config.results, result, cases, kept)
    return ExternalRow(path, result, scores, missing)
