"""The real usgra release, read as a lab's own folder of images and masks: the same scores from the
same predictions.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from usbench.datasets import source
from usbench.datasets.config import DatasetConfig
from usbench.datasets.dataset import Dataset
from usbench.results import scoring
from usbench.results.predictions import read_predictions, write_predictions
from usbench.runner.resolve import metric_node
from usbench.types import Boxes, Masks, Target

REAL = os.environ.get("USBENCH_TEST_DATA")
FOLDER = [
    "dataset=folder",
    "dataset.images={train: dataset/images, test: dataset/test/images}",
    "dataset.labels={train: dataset/masks, test: dataset/test/masks}",
    "dataset.split.shares=null",
    "dataset.split.val_share=0.15",
]


def opened(compose, task: str, *overrides: str) -> tuple[Dataset, dict]:
    root = Path(str(REAL)) / "usgra"
    classes = f"dataset.views.{task}.classes=[nerve,vessel]"
    model = {"segment": "unet", "detect": "yolov8"}[task]
    config = compose(*overrides, classes, f"model={model}", f"dataset.root={root}")
    dataset = DatasetConfig.from_mapping(config["dataset"])
    metric = metric_node(config["metric"], dataset.views[task])
    return source.open_dataset(dataset, task, root, phantom=False), metric


def shift_target(target: Target) -> Target:
    """Something between right and wrong, the same for the same truth."""
    if isinstance(target, Masks):
        return Masks(
            np.roll(target.planes, (3, 7), axis=(1, 2)),
            np.full(len(target.planes), 0.75, np.float32),
        )
    assert isinstance(target, Boxes)
    score = 1 / (1 + np.arange(len(target.labels), dtype=np.float32))
    return Boxes(target.xyxy + np.float32([4, 0, 4, 0]), target.labels, score)


@pytest.mark.real
@pytest.mark.skipif(
    not REAL or not (Path(REAL) / "usgra").is_dir(), reason="USBENCH_TEST_DATA has no usgra folder"
)
@pytest.mark.parametrize("task", ["segment", "detect"])
def test_the_same_predictions_score_the_same(task, compose, tmp_path):
    scored = []
    for overrides in (["dataset=usgra"], FOLDER):
        dataset, metric = opened(compose, task, *overrides)
        test, folder = dataset.samples("test"), tmp_path / dataset.name
        folder.mkdir()
        write_predictions(folder, "test", test, (shift_target(sample.target) for sample in test))
        scored.append(scoring.score(metric, read_predictions(folder, "test", test)))
    ours, theirs = scored
    assert len(ours.cases) == len(theirs.cases) > 0
    for first, second in zip(ours.protocols, theirs.protocols, strict=True):
        assert first.name == second.name
        for name, figure in first.scores.items():
            assert (
                second.scores[name].value == figure.value and second.scores[name].n == figure.n
            ), name
        for label, figures in first.per_class.items():
            assert {n: f.value for n, f in figures.items()} == {
                n: f.value for n, f in second.per_class[label].items()
            }
    assert 0.2 < ours.protocol.scores[{"segment": "dice", "detect": "map50_95"}[task]].value < 1
