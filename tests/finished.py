"""A finished run without any training: the truth, moved, stands for a model's predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from usbench.datasets import source
from usbench.results import scoring
from usbench.results import store as results
from usbench.runner import config as cell
from usbench.runner import records
from usbench.types import SEEN, Boxes, Landmarks, Masks, Target

MODELS = {"segment": "unet", "detect": "yolov8", "landmark": "heatmap"}


def moved(target: Target, by: int = 3) -> Target:
    """A guess some px to the right of the truth, sure of everything."""
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
    *words: str,
    guess: Callable[[Target], Target] = moved,
) -> tuple[cell.Cell, Path]:
    """(cell, path of the record) of a run on a small phantom whose predictions are `guess` of the truths."""
    named = [
        f"dataset={dataset}",
        f"model={MODELS[task]}",
        "recipe=tiny",
        "source=phantom",
        "tracking=none",
    ]
    named += [
        f"runs={folder}/runs",
        f"results={folder}/results",
        "device=cpu",
        "dataset.phantom.per_group=1",
    ]
    config = compose(*named, "dataset.phantom.size=[96,128]", *words)
    drawn = config["dataset"]["phantom"]["counts"]
    config["dataset"]["phantom"]["counts"] = {
        split: {"train": 12, "val": 6, "test": 12}[split] for split in drawn
    }
    if "gap" in config["dataset"]["split"]:
        config["dataset"]["split"]["gap"] = 1
    one = cell.resolve(config)
    run = cell.run_dir(one)
    run.mkdir(parents=True, exist_ok=True)
    cell.write(one, run / "cell.yaml")
    data = source.open_dataset(one)
    val, test = data.samples("val"), data.samples("test")
    for split, samples in (("val", val), ("test", test)):
        clean = (replace(s, target=guess(s.target)).target for s in samples)
        scoring.write_predictions(run, split, samples, clean)
    scores = scoring.score(one["metric"], run, test, val)
    record = records.done_record(one, data, scores, scoring.select(run, val), {"fit": 1.0}, 7)
    cases = results.mask_ids(scores.cases, one["dataset"]["redistribute"], data.name)
    return one, results.save(Path(one["results"]), record, cases)
