"""Every dataset × task from end to end on a small phantom.

Drawn, trained by the task's model, predicted, scored, published and reported.
"""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.helpers.written import TRAINED
from usbench.results import scoring
from usbench.results import store as results
from usbench.results.predictions import read_predictions, write_predictions
from usbench.results.schema import fault
from usbench.runner.experiment import train_and_test
from usbench.runner.resolve import resolve_config
from usbench.types import SEEN, Boxes, Landmarks, Masks

COUNTS = {"train": 16, "val": 8, "test": 8}
MODELS = {"segment": "unet", "detect": "yolov8", "landmark": "heatmap"}


@pytest.fixture(scope="module")
def made(tmp_path_factory, compose):
    """view → its configuration, resolved once: a small phantom of single images."""
    configs = {}

    def of(view):
        if view not in configs:
            name, task = view
            folder = tmp_path_factory.mktemp(name)
            overrides = [
                f"dataset={name}",
                f"model={MODELS[task]}",
                "recipe=tiny",
                "source=phantom",
                "tracking=none",
            ]
            overrides += [
                f"runs={folder}/runs",
                f"results={folder}/results",
                "device=cpu",
                "dataset.phantom.per_group=1",
            ]
            overrides += ["dataset.phantom.size=[120,160]"]
            config = compose(*overrides)
            drawn = config["dataset"]["phantom"]["counts"]
            config["dataset"]["phantom"]["counts"] = {split: COUNTS[split] for split in drawn}
            if "gap" in config["dataset"]["split"]:
                config["dataset"]["split"]["gap"] = 1
            configs[view] = resolve_config(config)
        return configs[view]

    return of


@pytest.mark.train
@pytest.mark.parametrize("view", TRAINED, ids=["-".join(view) for view in TRAINED])
def test_a_phantom_runs_from_end_to_end(view, made):
    config = made(view)
    result = train_and_test(replace(config, threads=1))
    path = results.result_path(config.results, result)
    assert json.loads(path.read_text())["status"] == "done" and fault(result.to_json()) is None
    assert result.data.phantom and path.parent.parent.parent.name == results.PHANTOM
    assert result.primary.value is not None
    assert set(result.protocol.per_class) == set(config.view.classes)
    assert (config.run_dir / "overlays.png").is_file()


def perfect(target):
    """The target as a model would predict it: sure of everything, even of what isn't there."""
    if isinstance(target, Boxes):
        return replace(target, scores=np.ones(len(target.labels), np.float32))
    if isinstance(target, Masks):
        return replace(target, scores=np.ones(len(target.planes), np.float32), known=None)
    assert isinstance(target, Landmarks)
    paths = tuple(path if len(path) else np.zeros((1, 2), np.float32) for path in target.paths)
    return Landmarks(paths, target.state, (target.state == SEEN).astype(np.float32))


@pytest.mark.parametrize("view", TRAINED, ids=["-".join(view) for view in TRAINED])
def test_the_target_as_the_prediction_reaches_the_target_score(view, made, tmp_path):
    config = made(view)
    dataset = config.open_dataset()
    val, test = dataset.samples("val"), dataset.samples("test")
    for split, samples in (("val", val), ("test", test)):
        write_predictions(tmp_path, split, samples, (perfect(sample.target) for sample in samples))
    validation = read_predictions(tmp_path, "val", val)
    thresholds = scoring.choose_thresholds(validation)
    scores = scoring.score(config.metric, read_predictions(tmp_path, "test", test), thresholds)
    for ruled in scores.protocols:
        for name, target_score in ruled.target_score.items():
            assert ruled.scores[name].value == pytest.approx(target_score.value, abs=1e-6), (
                ruled.name,
                name,
            )
    assert scoring.selection_score(validation) == pytest.approx(
        0 if view[1] == "landmark" else 1, abs=1e-6
    )
