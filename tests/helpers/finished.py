"""A finished run without any training: the target, moved, stands for a model's predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from usbench.results import scoring
from usbench.results.predictions import read_predictions, write_predictions
from usbench.results.store import hash_case_ids, save_result
from usbench.runner.config import RunConfig, write_config
from usbench.runner.experiment import score
from usbench.runner.facts import done_result
from usbench.runner.resolve import resolve_config
from usbench.types import SEEN, Boxes, Landmarks, Masks, Target

MODELS = {"segment": "unet", "detect": "yolov8", "landmark": "heatmap"}
IMAGES = {"train": 12, "val": 6, "test": 12}


def moved(target: Target, by: int = 3) -> Target:
    """A prediction some px to the right of the target, with full confidence."""
    if isinstance(target, Masks):
        planes = np.roll(target.planes, by, axis=2)
        return Masks(planes, np.ones(len(planes), np.float32))
    if isinstance(target, Boxes):
        return Boxes(
            target.xyxy + np.float32([by, 0, by, 0]),
            target.labels,
            np.ones(len(target.labels), np.float32),
        )
    shift = np.float32([by, 0])
    paths = tuple(
        path + shift if len(path) else np.zeros((1, 2), np.float32) for path in target.paths
    )
    return Landmarks(paths, target.state, (target.state == SEEN).astype(np.float32))


def finish(
    compose: Callable[..., dict[str, Any]],
    folder: Path,
    dataset: str,
    task: str,
    *overrides: str,
    predict: Callable[[Target], Target] = moved,
) -> tuple[RunConfig, Path]:
    """(configuration, path of the result) of a run on a small phantom.

    Its predictions are `predict` of the targets.
    """
    names = [f"dataset={dataset}", f"model={MODELS[task]}", "recipe=tiny"]
    places = [f"runs={folder}/runs", f"results={folder}/results", "source=phantom"]
    small = ["dataset.phantom.per_group=1", "dataset.phantom.size=[96,128]"]
    settings = ["tracking=none", "device=cpu", *small]
    composed = compose(*names, *places, *settings, *overrides)
    drawn = composed["dataset"]["phantom"]["counts"]
    composed["dataset"]["phantom"]["counts"] = {split: IMAGES[split] for split in drawn}
    if "gap" in composed["dataset"]["split"]:
        composed["dataset"]["split"]["gap"] = 1
    config = resolve_config(composed)
    config.run_dir.mkdir(parents=True, exist_ok=True)
    write_config(config.to_mapping(), config.run_dir / "config.yaml")
    data = config.open_dataset()
    stored = {}
    for split in ("val", "test"):
        samples = data.samples(split)
        predictions = (replace(s, target=predict(s.target)).target for s in samples)
        write_predictions(config.run_dir, split, samples, predictions)
        stored[split] = read_predictions(config.run_dir, split, samples)
    thresholds = scoring.choose_thresholds(stored["val"])
    scores = score(config, stored["test"], thresholds)
    selection = scoring.selection_score(stored["val"])
    result = done_result(config, data, scores, selection, {"fit": 1.0}, 7)
    cases = hash_case_ids(scores.cases, config.dataset.redistribute, data.name)
    return config, save_result(config.results, result, cases)
