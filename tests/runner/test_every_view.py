"""Every dataset × task from end to end on a small phantom.

It is drawn, trained by a model of the task (one of every adapter), predicted, scored and saved; and
the target as the prediction reaches the target score of every protocol.
"""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from tests.helpers.written import TRAINABLE, with_slow
from usbench.results import scoring
from usbench.results import store as results
from usbench.results.predictions import read_predictions, write_predictions
from usbench.results.schema import fault
from usbench.runner.config import RunConfig
from usbench.runner.experiment import train_and_test
from usbench.runner.resolve import resolve_config
from usbench.types import SEEN, Boxes, Landmarks, Masks

COUNTS = {"train": 16, "val": 8, "test": 8}
MODELS = {"segment": "unet", "detect": "yolov8", "landmark": "heatmap"}
ADAPTERS = {  # the other adapters: one view each
    ("phantom", "segment"): "nnunet",
    ("spinal", "segment"): "unet_kumar2025",
    ("phantom", "detect"): "rtdetr",
    ("spinal", "detect"): "fasterrcnn",
    ("usgra", "detect"): "ssd300",
}
RUNS = [(*view, ADAPTERS.get(view, MODELS[view[1]])) for view in TRAINABLE]
RUNS.append(("unity", "landmark", "yolov8_pose"))


@pytest.fixture(scope="module")
def resolve(tmp_path_factory, compose):
    """(dataset, task[, model]) → its configuration: a small phantom of single images."""

    @cache
    def resolve(name: str, task: str, model: str | None = None) -> RunConfig:
        folder = tmp_path_factory.mktemp(name)
        overrides = [f"dataset={name}", f"model={model or MODELS[task]}", "recipe=tiny"]
        overrides += ["source=phantom", "tracking=none", "device=cpu", "threads=1"]
        overrides += [f"runs={folder}/runs", f"results={folder}/results"]
        overrides += ["dataset.phantom.per_group=1", "dataset.phantom.size=[120,160]"]
        config = compose(*overrides)
        drawn = config["dataset"]["phantom"]["counts"]
        config["dataset"]["phantom"]["counts"] = {split: COUNTS[split] for split in drawn}
        if "gap" in config["dataset"]["split"]:
            config["dataset"]["split"]["gap"] = 1
        return resolve_config(config)

    return resolve


@pytest.mark.train
@pytest.mark.parametrize("run", with_slow(*RUNS))
def test_a_phantom_runs_from_end_to_end(run, resolve):
    if run[-1] == "nnunet":
        pytest.importorskip("nnunetv2", reason="nnunet needs an extra: nnunetv2 isn't installed")
    config = resolve(*run)
    result = train_and_test(config)
    path = results.result_path(config.results, result)
    assert json.loads(path.read_text())["status"] == "done" and fault(result.to_json()) is None
    assert result.data.phantom and path.parent.parent.parent.name == results.PHANTOM
    assert result.primary.value is not None and result.parameters > 0
    assert result.config["model"]["build"] == config.to_mapping()["model"]["build"]
    assert set(result.protocol.per_class) == set(config.view.classes)
    assert (config.run_dir / "overlays.png").is_file()


def perfect(target):
    """The target as a model would predict it: all scores 1, and a path for what isn't there."""
    if isinstance(target, Boxes):
        return replace(target, scores=np.ones(len(target.labels), np.float32))
    if isinstance(target, Masks):
        return replace(target, scores=np.ones(len(target.planes), np.float32), known=None)
    assert isinstance(target, Landmarks)
    paths = tuple(path if len(path) else np.zeros((1, 2), np.float32) for path in target.paths)
    return Landmarks(paths, target.state, (target.state == SEEN).astype(np.float32))


@pytest.mark.simulate
@pytest.mark.parametrize("view", with_slow(*TRAINABLE))
def test_the_target_as_the_prediction_reaches_the_target_score(view, resolve, tmp_path):
    config = resolve(*view)
    dataset = config.open_dataset()
    val, test = dataset.samples("val"), dataset.samples("test")
    for split, samples in (("val", val), ("test", test)):
        write_predictions(tmp_path, split, samples, (perfect(sample.target) for sample in samples))
    validation = read_predictions(tmp_path, "val", val)
    thresholds = scoring.choose_thresholds(validation)
    scores = scoring.score(config.metric, read_predictions(tmp_path, "test", test), thresholds)
    for protocol in scores.protocols:
        for name, target_score in protocol.target_score.items():
            value = protocol.scores[name].value
            assert value == pytest.approx(target_score.value, abs=1e-6), (protocol.name, name)
    assert scoring.selection_score(validation) == pytest.approx(
        0 if view[1] == "landmark" else 1, abs=1e-6
    )
