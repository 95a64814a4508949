"""A trained model on another dataset's test images: nothing is trained there, names are matched, the result is a row.

The evaluation is a run of its own (key, folder, predictions, record with `trained_on`), so that it can be explained and
rescored like any other. Thresholds were chosen on the validation images that the model was trained with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usbench.datasets import source
from usbench.errors import ConfigError
from usbench.results import scoring
from usbench.results import store as results
from usbench.results.gallery import overlay
from usbench.runner import config as cell
from usbench.runner import records, report
from usbench.runner.config import Cell
from usbench.types import Boxes, Landmarks, Masks, Target

Route = NDArray[
    np.int64
]  # (C,) for each class that the model knows the number of the class it counts as, or -1


def planned(config: Mapping[str, Any], trained: Cell, device: str | None = None) -> Cell:
    """The evaluation of a trained cell on the dataset that a configuration names, before the training is done.

    device: see `cell.resolve`.

    Raises ConfigError where no class has a counterpart, and what `cell.resolve` raises.
    """
    one = cell.resolve(config, training=False, device=device)
    task, name = trained["task"], trained["dataset"]["name"]
    same_phantom = one["phantom"] and one["dataset"]["name"] == name
    if same_phantom or one["fingerprint"] == trained["fingerprint"]:
        raise ConfigError(
            f"evaluate_on={name}: another dataset was wanted, found the one it was trained on"
        )
    known, view = trained["dataset"]["views"][task]["classes"], one["dataset"]["views"][task]
    names = class_map(
        known, view["classes"], (one["dataset"].get("class_map") or {}).get(name) or {}
    )
    kept = [label for label in view["classes"] if label in names.values()]
    if not kept:
        raise ConfigError(
            f"evaluate_on={one['dataset']['name']}: a class of {name} was wanted ({', '.join(known)}), found only "
            f"{', '.join(view['classes'])}; say which is which in its YAML (class_map.{name})"
        )
    facts = source.canonical([trained["run_id"], one["fingerprint"], names])
    alike = source.canonical([trained["series"], one["fingerprint"], names])
    return {
        **one,
        **{
            part: trained[part]
            for part in ("model", "recipe", "seed", "fold", "tuned")
            if part in trained
        },
        "trained_on": name,
        "trained": {part: trained[part] for part in ("run_id", "runs")},
        "class_map": names,
        "classes": kept,
        "left_out": [label for label in view["classes"] if label not in kept],
        "run_id": hashlib.sha256(facts.encode()).hexdigest()[:12],
        "series": hashlib.sha256(alike.encode()).hexdigest()[:12],
    }


def settled(plan: Cell, trained: Cell, score: float | None) -> Cell:
    """A planned evaluation with what the training chose on validation; score: the selection rule's figure there."""
    dataset = source.open_dataset(trained)
    chosen = scoring.thresholds(cell.run_dir(trained), dataset.samples("val"))
    return {**plan, "metric": {**plan["metric"], **chosen}, "validation": score}


def class_map(
    known: Sequence[str], wanted: Sequence[str], said: Mapping[str, str]
) -> dict[str, str]:
    """Class that the model knows → class of the other dataset: as its YAML says, else of the same name.

    ConfigError for a name that either side doesn't have.
    """
    for theirs, ours in said.items():
        if theirs not in known or ours not in wanted:
            side, found, names = (
                ("its", ours, wanted) if theirs in known else ("the model's", theirs, known)
            )
            raise ConfigError(
                f"class_map: one of {side} classes was wanted ({', '.join(names)}), found {found!r}"
            )
    same = {label: label for label in known if label in wanted}
    return {**same, **said}


def route_of(one: Cell, known: Sequence[str]) -> Route:
    """From the classes that the model knows to those that are scored."""
    names = one["class_map"]
    return np.array(
        [one["classes"].index(names[label]) if label in names else -1 for label in known], np.int64
    )


def translated(
    guesses: Iterable[Target], route: Route, classes: int, exclusive: bool
) -> Iterator[Target]:
    """Predictions over the model's classes as predictions over `classes` others.

    Several classes that count as one: their boxes together, their masks united with the mean of their scores; the
    probability of either is their sum if they exclude each other, else the larger. Landmarks keep the first.
    """
    for guess in guesses:
        if isinstance(guess, Boxes):
            kept = route[guess.labels] >= 0
            scores = None if guess.scores is None else guess.scores[kept]
            yield Boxes(guess.xyxy[kept], route[guess.labels[kept]], scores)
        elif isinstance(guess, Masks):
            yield united(guess, route, classes, exclusive)
        else:
            first = [int(np.flatnonzero(route == n)[0]) for n in range(classes)]
            scores = None if guess.scores is None else guess.scores[first]
            yield Landmarks(tuple(guess.paths[n] for n in first), guess.state[first], scores)


def united(guess: Masks, route: Route, classes: int, exclusive: bool) -> Masks:
    """See translated."""
    parts = [np.flatnonzero(route == n) for n in range(classes)]
    planes = np.stack([guess.planes[part].any(axis=0) for part in parts])
    probabilities = scores = None
    if guess.probabilities is not None:
        joined = [
            guess.probabilities[p].sum(axis=0).clip(0, 1)
            if exclusive
            else guess.probabilities[p].max(axis=0)
            for p in parts
        ]
        probabilities = np.stack(joined)
    if guess.scores is not None:
        scores = np.array([guess.scores[part].mean() for part in parts], np.float32)
    return Masks(planes, scores, probabilities=probabilities)


def evaluate(one: Cell, trained: Cell, model: Any, clock: Any, hold: Any) -> dict[str, Any]:
    """Predict with a model that has its weights, score and save; the record. clock, hold: see
    usbench.runner.experiment."""
    folder, dataset = cell.run_dir(one), source.open_dataset(one)
    test, view = dataset.samples("test"), trained["dataset"]["views"][one["task"]]
    route = route_of(one, view["classes"])
    guesses = translated(
        model.predict(test.images()), route, len(dataset.classes), bool(view.get("exclusive"))
    )
    scoring.write_predictions(folder, "test", test, guesses)
    clock.lap("predict")
    leak = one["dataset"].get("leakage") or {}
    scores = scoring.score(one["metric"], folder, test, None, leak.get("images", ()))
    clock.lap("score")
    record = records.done_record(
        one, dataset, scores, one["validation"], clock.laps, getattr(model, "parameters", None)
    )
    record["data"]["counts"] = {"test": len(test)}
    pictures = overlay.draw(one, folder, test, scores.cases)
    cases = results.mask_ids(scores.cases, one["dataset"]["redistribute"], dataset.name)
    path = hold.put(one, record, cases)
    report.final(record, path, pictures)
    return record
