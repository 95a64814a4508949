"""Every dataset × task from end to end on a small phantom: drawn, trained by the task's model, predicted, scored,
saved; and the truth as the prediction reaches the target_score of every rule."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from written import TRAINED

from usbench.datasets import source
from usbench.results import scoring
from usbench.results import store as results
from usbench.runner import config as cell
from usbench.runner import experiment as run
from usbench.types import SEEN, Boxes, Landmarks, Masks

COUNTS = {"train": 16, "val": 8, "test": 8}
MODELS = {"segment": "unet", "detect": "yolov8", "landmark": "heatmap"}


@pytest.fixture(scope="module")
def made(tmp_path_factory, compose):
    """view → its cell, resolved once: a small phantom of single images."""
    cells = {}

    def of(view):
        if view not in cells:
            name, task = view
            folder = tmp_path_factory.mktemp(name)
            words = [
                f"dataset={name}",
                f"model={MODELS[task]}",
                "recipe=tiny",
                "source=phantom",
                "tracking=none",
            ]
            words += [
                f"runs={folder}/runs",
                f"results={folder}/results",
                "device=cpu",
                "dataset.phantom.per_group=1",
            ]
            words += ["dataset.phantom.size=[120,160]"]
            config = compose(*words)
            drawn = config["dataset"]["phantom"]["counts"]
            config["dataset"]["phantom"]["counts"] = {split: COUNTS[split] for split in drawn}
            if "gap" in config["dataset"]["split"]:
                config["dataset"]["split"]["gap"] = 1
            cells[view] = cell.resolve(config)
        return cells[view]

    return of


@pytest.mark.parametrize("view", TRAINED, ids=["-".join(view) for view in TRAINED])
def test_a_phantom_runs_from_end_to_end(view, made):
    one = made(view)
    record = run.benchmark({**one, "threads": 1})
    path = results.record_path(Path(one["results"]), record)
    assert json.loads(path.read_text())["status"] == "done" and results.fault(record) is None
    assert record["data"]["phantom"] and path.parent.parent.parent.name == results.PHANTOM
    assert record["primary"]["value"] is not None
    assert set(record["per_class"]) == set(one["dataset"]["views"][view[1]]["classes"])
    assert (cell.run_dir(one) / "overlays.png").is_file()


def perfect(target):
    """The truth as a model would predict it: sure of everything, and with a guess for what isn't there."""
    if isinstance(target, Boxes):
        return replace(target, scores=np.ones(len(target.labels), np.float32))
    if isinstance(target, Masks):
        return replace(target, scores=np.ones(len(target.planes), np.float32), known=None)
    assert isinstance(target, Landmarks)
    paths = tuple(path if len(path) else np.zeros((1, 2), np.float32) for path in target.paths)
    return Landmarks(paths, target.state, (target.state == SEEN).astype(np.float32))


@pytest.mark.parametrize("view", TRAINED, ids=["-".join(view) for view in TRAINED])
def test_the_truth_as_the_prediction_reaches_the_target_score(view, made, tmp_path):
    one = made(view)
    dataset = source.open_dataset(one)
    val, test = dataset.samples("val"), dataset.samples("test")
    for split, samples in (("val", val), ("test", test)):
        scoring.write_predictions(
            tmp_path, split, samples, (perfect(sample.target) for sample in samples)
        )
    scores = scoring.score(one["metric"], tmp_path, test, val)
    for ruled in scores.protocols:
        for name, target_score in ruled.target_score.items():
            assert ruled.scores[name].value == pytest.approx(target_score.value, abs=1e-6), (
                ruled.name,
                name,
            )
    assert scoring.select(tmp_path, val) == pytest.approx(
        0 if view[1] == "landmark" else 1, abs=1e-6
    )
