"""Predictions of somebody else's model on a dataset's test split, scored as ours are and entered as an external row."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from usbench.datasets import source
from usbench.datasets.codecs import image, label_png, unity_labels, yolo_txt
from usbench.datasets.dataset import Dataset, Samples
from usbench.datasets.layouts.folders import list_files
from usbench.errors import ConfigError, DataError
from usbench.metrics.scores import Scores
from usbench.results import scoring
from usbench.results import store as results
from usbench.runner import config as cell
from usbench.runner import records
from usbench.types import Boxes, Masks, Record, Target

WANTED = {
    "segment": "a folder of index PNGs named as the images (0 = background)",
    "detect": "a folder of YOLO txt with confidences, named as the images",
    "landmark": "Unity label JSON by the images' names, with a score per name",
}


def slug(name: str) -> str:
    """The name as a file's: letters, digits and . _ + -; ConfigError where nothing is left of it."""
    plain = re.sub(r"[^A-Za-z0-9._+-]+", "-", name).strip("-.")
    if not plain or not plain[0].isalnum():
        raise ConfigError(f"--name {name!r}: a name with letters or digits was wanted")
    return plain


def stem(record: Record) -> str:
    """What a prediction of the image is called."""
    return Path(record.image).stem


def read(
    path: Path, dataset: Dataset, samples: Samples, strict: bool
) -> tuple[Iterator[Target], list[str]]:
    """(predictions in the samples' order, the names that have none and count as nothing found).

    A folder that a run has written (predictions-test.json) is read too. Raises DataError for names that aren't the
    test split's, and for what the formats' readers refuse.
    """
    if (path / "predictions-test.json").is_file():
        return iter([guess for _, guess in scoring.pairs(path, "test", samples)]), []
    names = [stem(record) for record in samples.records]
    if len(set(names)) < len(names):
        raise DataError(
            f"{path}: images of the test split share a name; write predictions-test.json as a run does"
        )
    if dataset.task == "segment" and not dataset.exclusive:
        raise DataError(
            f"{path}: the classes of {dataset.name} overlap, which an index PNG can't say; write predictions-test.json "
            "and images-test.json as a run does (COCO results with run lengths)"
        )
    if not path.exists():
        raise DataError(f"{path}: {WANTED[dataset.task]} was wanted, found nothing")
    if dataset.task == "landmark":
        marks = {
            Path(name).stem: entry
            for name, entry in unity_labels.read_unity_predictions(path).items()
        }
        missing = missing_of(names, marks, path, strict=True)
        return (
            unity_labels.parse_prediction(marks[name], dataset.classes, f"{path}: {name}")
            for name in names
        ), missing
    files = list_files(path, ".png" if dataset.task == "segment" else ".txt")
    missing = missing_of(names, files, path, strict)
    return (one(dataset, record, files.get(stem(record))) for record in samples.records), missing


def missing_of(names: list[str], found: dict[str, Any], path: Path, strict: bool) -> list[str]:
    """The names without a prediction; DataError for a prediction of no test image and, if strict, for a missing one."""
    unknown = sorted(found.keys() - set(names) - {"classes"})
    missing = [name for name in names if name not in found]
    if unknown:
        raise DataError(
            f"{path}: predictions of the test split's images were wanted, found {unknown[0]!r} ({len(unknown)} such)"
        )
    if missing and strict:
        raise DataError(
            f"{path}: a prediction of {missing[0]!r} was wanted, found none ({len(missing)} such)"
        )
    return missing


def one(dataset: Dataset, record: Record, path: Path | None) -> Target:
    """One image's prediction; nothing found where there is no file."""
    size = image.read_size(dataset.root / record.image)
    if dataset.task == "detect":
        return (
            Boxes.empty(scored=True)
            if path is None
            else yolo_txt.read_yolo_predictions(path, dataset.classes, size)
        )
    if path is None:
        return Masks(np.zeros((len(dataset.classes), *size), bool))
    index = label_png.read_label_png(path, len(dataset.classes))
    if index.shape != size:
        raise DataError(f"{path}: the size of its image {size} was wanted, found {index.shape}")
    return Masks(label_png.index_to_planes(index, len(dataset.classes)))


def enter(
    resolved: cell.Cell, predictions: Path, name: str, strict: bool
) -> tuple[Path, Scores, list[str]]:
    """(the record's path, the scores, the images without a prediction). resolved: any cell of the dataset and task.

    The predictions are kept in runs/<key> as a run's are, so the row can be explained and rescored.
    """
    dataset = source.open_dataset(resolved)
    test = dataset.samples("test")
    guesses, missing = read(predictions, dataset, test, strict)
    runs, beside = Path(resolved["runs"]), Path(resolved["runs"]) / f".external-{slug(name)}"
    try:
        beside.mkdir(parents=True, exist_ok=True)
        scoring.write_predictions(beside, "test", test, guesses)
        sha256 = hashlib.sha256((beside / "predictions-test.json").read_bytes()).hexdigest()
        key = hashlib.sha256(
            source.canonical([resolved["fingerprint"], sha256]).encode()
        ).hexdigest()[:12]
        mine: cell.Cell = {
            **resolved,
            "run_id": key,
            "seed": None,
            "recipe": None,
            "model": {"name": slug(name)},
        }
        cell.write(mine, beside / "cell.yaml")
        leak = resolved["dataset"].get("leakage") or {}
        scores = scoring.score(resolved["metric"], beside, test, None, leak.get("images", ()))
        shutil.rmtree(runs / key, ignore_errors=True)  # the same predictions of the same data
        beside.replace(runs / key)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    made = {**record(mine, dataset, scores), "predictions": described(mine, sha256, len(test))}
    cases = results.mask_ids(scores.cases, resolved["dataset"]["redistribute"], dataset.name)
    return results.save(Path(resolved["results"]), made, cases), scores, missing


def described(mine: cell.Cell, sha256: str, images: int) -> dict[str, Any]:
    """Where the predictions are kept."""
    return {"file": f"{mine['run_id']}/predictions-test.json", "sha256": sha256, "n": images}


def record(mine: cell.Cell, dataset: Dataset, scores: Scores) -> dict[str, Any]:
    """The external row's result record."""
    groups = len({part.group for part in dataset.records["test"]})
    base = {
        **records.base_record(
            {
                **mine,
                "series": mine["run_id"],
                "model": {**mine["model"], "build": {}, "version": 0},
            }
        )
    }
    base["data"]["counts"] = {"test": len(dataset.records["test"])}
    kept = {
        name: value
        for name, value in base.items()
        if name not in ("series", "threads", "precision", "device")
    }
    words = records.protocol_description(mine, scores.protocol.description)
    config = {"dataset": base["config"]["dataset"], "metric": base["config"]["metric"]}
    return {
        **kept,
        **{"origin": "external", "config": config, "status": "done", "reason": None},
        **records.scored(scores, mine["metric"]["primary"], groups, words),
    }
