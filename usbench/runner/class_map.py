"""A model's classes and another dataset's: match them, and map predictions between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usbench.datasets.config import ViewConfig
from usbench.errors import ConfigError
from usbench.runner.config import Transfer
from usbench.types import Boxes, Landmarks, Masks, Target


def match_classes(
    known: Sequence[str], classes: Sequence[str], stated: Mapping[str, str]
) -> dict[str, str]:
    """Match the classes that a model knows to another dataset's.

    Args:
        known: the model's.
        classes: the other dataset's.
        stated: model's class → the other's, as the dataset's YAML says.

    Returns:
        The stated pairs, and those of the same name.

    Raises:
        ConfigError: a stated name that either side doesn't have.
    """
    for theirs, ours in stated.items():
        if theirs not in known:
            raise ConfigError(
                f"class_map: expected one of the model's classes ({', '.join(known)}), "
                f"got {theirs!r}"
            )
        if ours not in classes:
            raise ConfigError(
                f"class_map: expected one of its classes ({', '.join(classes)}), got {ours!r}"
            )
    return {**{label: label for label in known if label in classes}, **stated}


@dataclass(frozen=True)
class ClassMap:
    """Where each of a model's classes counts in another dataset."""

    targets: NDArray[np.int64]  # (C,) for each of the model's classes: the other's, -1 for none
    n_classes: int  # of the other dataset
    exclusive: bool  # whether the model's classes exclude each other

    @classmethod
    def of(cls, transfer: Transfer, trained: ViewConfig) -> ClassMap:
        """The class map of an evaluation. trained: the view that the model was trained on."""
        targets = []
        for label in trained.classes or ():
            target = transfer.class_map.get(label)
            targets.append(-1 if target is None else transfer.classes.index(target))
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
        known = self.targets[boxes.labels] >= 0
        scores = None if boxes.scores is None else boxes.scores[known]
        return Boxes(boxes.xyxy[known], self.targets[boxes.labels[known]], scores)

    def map_landmarks(self, landmarks: Landmarks) -> Landmarks:
        """For each of the other dataset's classes the first of the model's that maps to it."""
        first = [int(np.flatnonzero(self.targets == n)[0]) for n in range(self.n_classes)]
        scores = None if landmarks.scores is None else landmarks.scores[first]
        paths = tuple(landmarks.paths[n] for n in first)
        return Landmarks(paths, landmarks.state[first], scores)

    def merge_masks(self, masks: Masks) -> Masks:
        """Unite the planes of classes that map to the same one.

        The score is the mean; the probability of either is the sum where they exclude each other,
        else the larger.
        """
        parts = [np.flatnonzero(self.targets == n) for n in range(self.n_classes)]
        planes = np.stack([masks.planes[part].any(axis=0) for part in parts])
        probabilities = scores = None
        if masks.probabilities is not None:
            joined = []
            for part in parts:
                chosen = masks.probabilities[part]
                joined.append(
                    chosen.sum(axis=0).clip(0, 1) if self.exclusive else chosen.max(axis=0)
                )
            probabilities = np.stack(joined)
        if masks.scores is not None:
            scores = np.array([masks.scores[part].mean() for part in parts], np.float32)
        return Masks(planes, scores, probabilities=probabilities)
