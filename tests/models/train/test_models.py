"""Every model of conf/model (a lab's own with USBENCH_CONF=lab/conf) by its `tiny` recipe: it
learns eight phantoms, predicts at native size whatever the size, repeats itself, takes images
without an object and sets of odd numbers. The long ones: by every other recipe, at full size, it
trains and predicts.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from scripts import measure_learning
from scripts.measure_learning import SIZE, Setting
from usbench.errors import ConfigError
from usbench.io.config import build, conf_dir
from usbench.results.scoring import SELECTION
from usbench.types import OFF, SEEN, Boxes, Landmarks, Masks, Run, Sample, Target

pytestmark = pytest.mark.usefixtures("one_thread_throughout")

FOLDER = Path(os.environ["USBENCH_CONF"]) if os.environ.get("USBENCH_CONF") else conf_dir()
YAMLS = {
    path.stem: yaml.safe_load(path.read_text("utf-8"))
    for path in sorted((FOLDER / "model").glob("*.yaml"))
}
LEARNING = measure_learning.load()  # five seeds in each precision, and frozen weights
UNMEASURED = {"segment": 0.5, "detect": 0.3, "landmark": -12.0}  # thresholds of a lab's own models
LEAST = (
    0.25  # of the way from the worst figure to the frozen one: a threshold's margin on each side
)
EXTRAS = {"nnunet": ["nnunetv2"], "detr": ["transformers"], "samed": ["transformers"]}
# Their adapter is another model's too, whose learning is always tested.
AS_ANOTHER = ("yolov5su", "yolo11", "yolo26", "retinanet", "fcos")
ODD = ((97, 131), (64, 64), (40, 200))


class Subject(Setting):
    """A model's tiny configuration, and pictures for it."""

    def fit(
        self,
        folder: Path,
        train: list[Sample],
        val: list[Sample] | None = None,
        seed: int = 0,
        **changes: Any,
    ) -> Any:
        """A model, trained; its journal at folder/log.csv."""
        folder.mkdir(parents=True, exist_ok=True)
        model = build(
            self.node, classes=self.classes, exclusive=True, recipe={**self.recipe, **changes}
        )
        model.fit(train, train if val is None else val, self.run(folder, seed))
        return model

    def run(self, folder: Path, seed: int = 0) -> Run:
        """What a model is told."""

        def log(name: str, value: float, step: int) -> None:
            with (folder / "log.csv").open("a") as file:
                csv.writer(file).writerow((name, value, step))

        return Run(folder, "cpu", seed, "fp32", 1, SELECTION[self.task], log)

    def trained_epochs(self, folder: Path) -> list[int]:
        """The epochs that the journal has a training loss of, in its order."""
        with (folder / "log.csv").open() as file:
            return [int(row[2]) for row in csv.reader(file) if row[0] == "train/loss"]


@pytest.fixture(scope="module", params=YAMLS)
def subject(request, compose) -> Subject:
    return subject_of(request.param, compose)


def subject_of(
    name: str,
    compose: Callable[..., dict[str, Any]],
    recipe: str = "tiny",
    size: tuple[int, int] = SIZE,
    images: int = 8,
) -> Subject:
    """A model of conf/model by a recipe, and so many phantoms; skipped where its extra isn't
    installed.
    """
    for package in EXTRAS.get(name, ()):
        pytest.importorskip(package, reason=f"{name} needs an extra: {package} isn't installed")
    setting = measure_learning.prepare(name, YAMLS[name]["task"], compose, recipe, size, images)
    return Subject(**vars(setting))


def images_of(samples: list[Sample]) -> list[NDArray[np.uint8]]:
    return [sample.image for sample in samples]


def without_objects(sample: Sample) -> Sample:
    """The same image with nothing in it."""
    target = sample.target
    if isinstance(target, Boxes):
        return replace(sample, target=Boxes.empty())
    if isinstance(target, Masks):
        return replace(sample, target=Masks(np.zeros_like(target.planes)))
    assert isinstance(target, Landmarks)
    nothing = tuple(np.zeros((0, 2), np.float32) for _ in target.paths)
    return replace(sample, target=Landmarks(nothing, np.full(len(nothing), OFF, np.int8)))


def without_class(sample: Sample, c: int) -> Sample:
    """The same image without anything of one class."""
    target = sample.target
    if isinstance(target, Boxes):
        others = target.labels != c
        return replace(sample, target=Boxes(target.xyxy[others], target.labels[others]))
    if isinstance(target, Masks):
        planes = target.planes.copy()
        planes[c] = False
        return replace(sample, target=Masks(planes))
    assert isinstance(target, Landmarks)
    state, paths = target.state.copy(), list(target.paths)
    state[c], paths[c] = OFF, np.zeros((0, 2), np.float32)
    return replace(sample, target=Landmarks(tuple(paths), state))


def check(prediction: Target, size: tuple[int, int], classes: int) -> None:
    """A prediction as DESIGN's contract has it, in the image's own pixels."""
    height, width = size
    if isinstance(prediction, Boxes):
        assert (
            prediction.scores is not None
            and len(prediction.labels) <= 300
            and (prediction.scores >= 0.001).all()
        )
        assert ((prediction.labels >= 0) & (prediction.labels < classes)).all() and np.isfinite(
            prediction.xyxy
        ).all()
        assert (prediction.xyxy >= 0).all() and (
            prediction.xyxy <= [width, height, width, height]
        ).all()
        assert (prediction.xyxy[:, 2:] >= prediction.xyxy[:, :2]).all() and (
            prediction.scores <= 1
        ).all()
    elif isinstance(prediction, Masks):
        assert prediction.planes.shape == (classes, height, width) and prediction.scores is not None
        assert (
            prediction.probabilities is not None
            and prediction.probabilities.shape == prediction.planes.shape
        )
        assert ((prediction.probabilities >= 0) & (prediction.probabilities <= 1)).all() and (
            prediction.planes.sum(0) <= 1
        ).all()
        assert ((prediction.scores > 0) == prediction.planes.any((1, 2))).all()
    else:
        assert len(prediction.paths) == classes and prediction.scores is not None
        assert ((prediction.scores >= 0) & (prediction.scores <= 1)).all()
        assert np.array_equal(prediction.state, np.where(prediction.scores >= 0.5, SEEN, OFF))
        for path in prediction.paths:
            assert path.dtype == np.float32 and path.min(initial=0) >= -0.5
            assert (path <= np.array([width, height]) - 0.5).all()


def same(first: Target, other: Target) -> bool:
    """To the last bit."""
    if isinstance(first, Boxes) and isinstance(other, Boxes):
        pairs = [
            (first.xyxy, other.xyxy),
            (first.labels, other.labels),
            (first.scores, other.scores),
        ]
    elif isinstance(first, Masks) and isinstance(other, Masks):
        pairs = [(first.planes, other.planes), (first.scores, other.scores)]
    else:
        assert isinstance(first, Landmarks) and isinstance(other, Landmarks)
        pairs = [
            (first.state, other.state),
            (first.scores, other.scores),
            *zip(first.paths, other.paths, strict=True),
        ]
    return all(np.array_equal(a, b) for a, b in pairs)


# ----


@pytest.mark.parametrize(
    "subject",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in AS_ANOTHER)) for name in YAMLS],
    indirect=True,
)
def test_it_learns_eight_pictures(subject, tmp_path):
    figure, entry = measure_learning.train(subject, tmp_path, seed=0), LEARNING.get(subject.name)
    if entry is None:  # a lab's own
        assert figure > UNMEASURED[subject.task]
        return
    expected = f"expected {entry['figure']} beyond {entry['threshold']}"
    assert measure_learning.clears(entry, figure), f"{expected}, got {figure:.3f}"


OURS = sorted(path.stem for path in (conf_dir() / "model").glob("*.yaml"))


@pytest.mark.parametrize("name", OURS)
def test_thresholds_of_learning_have_a_margin(name):
    """Every seed's figure in the file is clear of the threshold, so is the frozen weights'."""
    node = yaml.safe_load((conf_dir() / "model" / f"{name}.yaml").read_text("utf-8"))
    entry = LEARNING[name]
    again = f"expected figures of the recipe as it is: run scripts/measure_learning.py {name}"
    assert entry["recipe"] == measure_learning.identify(node, entry["epochs"]), again
    for precision in ["fp32", "bf16"] if "cpu" in node["bf16"] else ["fp32"]:
        assert {*map(str, measure_learning.SEEDS)} <= entry["learnt"][precision].keys(), precision
    sign = -1 if measure_learning.is_loss(entry) else 1
    values = [sign * value for row in entry["learnt"].values() for value in row.values()]
    worst, threshold, frozen = min(values), sign * entry["threshold"], sign * entry["frozen"]
    margin = LEAST * (worst - frozen)
    assert margin > 0 and worst - threshold >= margin and threshold - frozen >= margin


def test_frozen_weights_learn_nothing(compose, tmp_path):
    setting = measure_learning.freeze(measure_learning.prepare("fpn", "segment", compose))
    figure = measure_learning.train(setting, tmp_path, seed=0)
    assert not measure_learning.clears(LEARNING["fpn"], figure)


def test_predictions_are_native_in_order_and_repeat_themselves(subject, tmp_path):
    first = subject.fit(tmp_path / "a", subject.samples, epochs=1)
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, size, np.uint8) for size in ODD] + images_of(subject.samples)[
        :2
    ]
    predictions = list(first.predict(pictures))
    assert len(predictions) == len(pictures)
    for prediction, picture in zip(predictions, pictures, strict=True):
        check(prediction, (picture.shape[0], picture.shape[1]), subject.classes)
    alone = [next(iter(first.predict([picture]))) for picture in pictures]
    assert [type(prediction) for prediction in alone] == [
        type(prediction) for prediction in predictions
    ] and list(first.predict([])) == []
    again = subject.fit(tmp_path / "b", subject.samples, epochs=1)
    assert all(map(same, predictions, again.predict(pictures)))
    other = subject.fit(tmp_path / "c", subject.samples, seed=1, epochs=1)
    assert not all(map(same, predictions, other.predict(pictures)))
    fresh = build(subject.node, classes=subject.classes, exclusive=True, recipe=subject.recipe)
    fresh.restore(subject.run(tmp_path / "a"))
    assert all(map(same, predictions, fresh.predict(pictures)))
    assert first.parameters == fresh.parameters > 0


Change = Callable[[list[Sample]], list[Sample]]
SETS: dict[str, Change] = {
    "a last batch of one": lambda images: images[:5],
    "images without an object": lambda images: [*images[:4], *map(without_objects, images[4:])],
    "a class that never occurs": lambda images: [without_class(sample, 0) for sample in images],
}


@pytest.mark.parametrize("which", SETS)
def test_it_takes_any_set(subject, tmp_path, which):
    samples = SETS[which](subject.samples)
    model = subject.fit(tmp_path, samples, epochs=1, batch=4)
    for prediction in model.predict(images_of(samples)):
        check(prediction, SIZE, subject.classes)


def test_a_batch_of_one(subject, tmp_path):
    """Batch normalisation may want two: then it is said in one sentence, before anything is
    trained.
    """
    try:
        model = subject.fit(tmp_path, subject.samples[:3], epochs=1, batch=1)
    except ConfigError as refused:
        assert "recipe.batch" in str(refused) and not (tmp_path / "log.csv").exists()
        return
    for prediction in model.predict(images_of(subject.samples[:3])):
        check(prediction, SIZE, subject.classes)


# ---- long ones: full sizes

SMALL = ("tiny", "quick")
FULL = [
    (name, recipe)
    for name, node in YAMLS.items()
    for recipe in node.get("recipes", {})
    if recipe not in SMALL
]
FULL_SIZE = (275, 690)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "recipe"), FULL, ids=[f"{name}-{recipe}" for name, recipe in FULL]
)
def test_at_full_size(name, recipe, compose, tmp_path):
    """Every recipe but the small ones, unchanged but for the epochs: a step on four images, and
    what it predicts.
    """
    subject = subject_of(name, compose, recipe, FULL_SIZE, 4)
    changes = {"iterations": 2} if "iterations" in subject.recipe else {}
    model = subject.fit(tmp_path, subject.samples, epochs=1, **changes)
    losses = [
        float(row[1]) for row in csv.reader((tmp_path / "log.csv").open()) if row[0] == "train/loss"
    ]
    assert len(losses) == 1 and np.isfinite(losses).all()
    predictions = list(model.predict(images_of(subject.samples)))
    for prediction in predictions:
        check(prediction, FULL_SIZE, subject.classes)
    fresh = build(subject.node, classes=subject.classes, exclusive=True, recipe=subject.recipe)
    fresh.restore(subject.run(tmp_path))
    assert all(map(same, predictions, fresh.predict(images_of(subject.samples))))
