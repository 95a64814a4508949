"""Score a trained model on another dataset's test images; nothing is trained there.

The evaluation is a run of its own: it has an id, a folder, predictions and a result with
`trained_on`, so that it can be explained and rescored like any other. Thresholds come from the
validation images that the model was trained with. Its predictions are mapped to the other dataset's
classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from usbench.datasets.config import ViewConfig
from usbench.errors import ConfigError
from usbench.io.config import Composed
from usbench.results import scoring
from usbench.results.predictions import read_predictions
from usbench.runner.config import RunConfig, Transfer
from usbench.runner.identity import short_hash
from usbench.runner.resolve import resolve_config
from usbench.types import Boxes, Landmarks, Masks, Target


def plan_transfer(composed: Composed, trained: RunConfig, device: str | None = None) -> RunConfig:
    """Plan the evaluation of a trained run, before the training is done.

    Args:
        composed: a configuration that names the other dataset.
        trained: the training.
        device: as in `resolve_config`.

    Raises:
        ConfigError: it is the same dataset, or no class has a counterpart.
    """
    config = resolve_config(composed, training=False, device=device)
    name, other = trained.dataset.name, config.dataset
    if (config.phantom and other.name == name) or config.fingerprint == trained.fingerprint:
        raise ConfigError(f"evaluate_on={name}: expected another dataset than it is trained on")
    trained_classes, classes = trained.view.classes or (), config.view.classes or ()
    class_map = match_classes(trained_classes, classes, other.class_map.get(name) or {})
    scored = tuple(label for label in classes if label in class_map.values())
    if not scored:
        raise ConfigError(
            f"evaluate_on={other.name}: expected a class of {name} ({', '.join(trained_classes)}), "
            f"got only {', '.join(classes)}; say which is which in its YAML (class_map.{name})"
        )
    left_out = tuple(label for label in classes if label not in scored)
    return replace(
        config,
        model=trained.model,
        recipe=trained.recipe,
        seed=trained.seed,
        fold=trained.fold,
        fold_series=None,
        tuned=trained.tuned,
        overrides=trained.overrides,
        transfer=Transfer(name, trained.run_id, trained.runs, class_map, scored, left_out),
        run_id=short_hash([trained.run_id, config.fingerprint, class_map]),
        series=short_hash([trained.series, config.fingerprint, class_map]),
    )


def settle_transfer(plan: RunConfig, trained: RunConfig, validation: float | None) -> RunConfig:
    """A planned evaluation with what the training chose on validation.

    Args:
        plan: from `plan_transfer`.
        trained: the training, which is done.
        validation: its selection metric on validation.
    """
    assert plan.transfer
    samples = trained.open_dataset().samples("val")
    thresholds = scoring.choose_thresholds(read_predictions(trained.run_dir, "val", samples))
    return replace(
        plan,
        metric={**plan.metric, **thresholds},
        transfer=replace(plan.transfer, validation=validation),
    )


# ---- the two datasets' classes


def match_classes(
    trained: Sequence[str], classes: Sequence[str], stated: Mapping[str, str]
) -> dict[str, str]:
    """Match a model's classes to another dataset's.

    Args:
        trained: the model's.
        classes: the other dataset's.
        stated: model's class → the other's, as the dataset's YAML says.

    Returns:
        The stated pairs, and those of the same name.

    Raises:
        ConfigError: a stated name that either side doesn't have.
    """
    for theirs, ours in stated.items():
        if theirs not in trained:
            raise ConfigError(
                f"class_map: expected one of the model's classes ({', '.join(trained)}), "
                f"got {theirs!r}"
            )
        if ours not in classes:
            raise ConfigError(
                f"class_map: expected one of its classes ({', '.join(classes)}), got {ours!r}"
            )
    return {**{label: label for label in trained if label in classes}, **stated}


@dataclass(frozen=True)
class ClassMap:
    """Where each of a model's classes counts in another dataset."""

    targets: NDArray[np.int64]  # (C,) for each of the model's classes: the other's, -1 for none
    n_classes: int  # of the other dataset
    exclusive: bool  # whether the model's classes exclude each other

    @classmethod
    def of(cls, transfer: Transfer, trained: ViewConfig) -> ClassMap:
        """The class map of an evaluation. trained: the view that the model was trained on."""
        places = {label: transfer.classes.index(ours) for label, ours in transfer.class_map.items()}
        targets = [places.get(label, -1) for label in trained.classes or ()]
        return cls(np.array(targets, np.int64), len(transfer.classes), trained.exclusive)

    def apply(self, predictions: Iterable[Target]) -> Iterator[Target]:
        """Map predictions in the model's classes to the other dataset's.

        Classes that map to the same one are joined: their boxes stay side by side, masks are united
        (see `merge_masks`), of landmarks the first counts.
        """
        for prediction in predictions:
            if isinstance(prediction, Boxes):
                yield self.map_boxes(prediction)
            elif isinstance(prediction, Masks):
                yield self.merge_masks(prediction)
            else:
                yield self.map_landmarks(prediction)

    def map_boxes(self, boxes: Boxes) -> Boxes:
        """The boxes of classes that the other dataset has."""
        shared = self.targets[boxes.labels] >= 0
        return boxes.select(shared, self.targets[boxes.labels[shared]])

    def map_landmarks(self, landmarks: Landmarks) -> Landmarks:
        """For each of the other dataset's classes the first of the model's that maps to it."""
        first = [int(np.flatnonzero(self.targets == n)[0]) for n in range(self.n_classes)]
        scores = None if landmarks.scores is None else landmarks.scores[first]
        return Landmarks(tuple(landmarks.paths[n] for n in first), landmarks.state[first], scores)

    def merge_masks(self, masks: Masks) -> Masks:
        """Unite the planes of classes that map to the same one.

        The score is the mean; the probability of either is the sum where they exclude each other,
        else the larger.
        """
        parts = [np.flatnonzero(self.targets == n) for n in range(self.n_classes)]
        planes = np.stack([masks.planes[part].any(axis=0) for part in parts])
        probabilities = scores = None
        if masks.probabilities is not None:
            chosen = (masks.probabilities[part] for part in parts)
            join = np.sum if self.exclusive else np.max
            probabilities = np.stack([join(part, axis=0) for part in chosen]).clip(0, 1)
        if masks.scores is not None:
            scores = np.array([masks.scores[part].mean() for part in parts], np.float32)
        return Masks(planes, scores, probabilities=probabilities)
