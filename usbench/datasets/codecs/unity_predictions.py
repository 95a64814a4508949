"""Predictions as Unity label JSON: each label also has a score and a state, and always keeps its
place.

A label is {"type": "point" | "curve", "x": "…", "y": "…", "score": 0.93, "state": "seen" | "off" |
"blurred"}: the type says whether there is one place or several, the state what the model holds of
it. Numbers carry nine digits, so that float32 survives exactly.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from usbench.datasets.codecs.images_list import PairWriter, PredictionFile, read_images
from usbench.datasets.codecs.readers import content_error, is_number, require
from usbench.datasets.codecs.unity_labels import (
    FURTHEST,
    NOWHERE,
    STATES,
    Label,
    kind_of,
    make_landmarks,
    read_entries,
    read_points,
)
from usbench.errors import DataError, RunError
from usbench.io.files import JsonObject
from usbench.types import SEEN, Landmarks

EXPECTED = "predictions as Unity label JSON"


class LandmarkWriter(PairWriter):
    """Writes predictions image by image, in constant memory, one image per line, always the same
    bytes; use it with `with` (see `PairWriter`).
    """

    def __init__(self, predictions: Path, images: Path, names: Sequence[str]) -> None:
        super().__init__(predictions, images, "{}")
        self._labels = tuple(names)

    def add(self, file_name: str, group: str, size: tuple[int, int], target: Landmarks) -> None:
        """Append the prediction of the next image of (height, width) px.

        Call in order of the records' ids.

        Without scores every score is 1.

        Raises:
            DataError: a name that was there before.
            RunError: places or scores that aren't finite or in order.
            ValueError: a class that is seen nowhere.
        """
        self.add_image(file_name, group, size)
        labels = _score_labels(f"{self.predictions}: {file_name}", self._labels, target)
        entry = json.dumps({"labels": labels}, separators=(",", ":"))
        self.add_line(f"{json.dumps(file_name)}:{entry}")


def _score_labels(
    where: str, names: Sequence[str], target: Landmarks
) -> dict[str, dict[str, str | float]]:
    """The labels of one prediction; a diverged model stops here: NaN fails every comparison."""
    scores = np.ones(len(names)) if target.scores is None else target.scores.astype(np.float64)
    if not ((scores >= 0) & (scores <= 1)).all():
        raise RunError(f"{where}: expected scores in 0..1, got others; look at the model's loss")
    labels: dict[str, dict[str, str | float]] = {}
    for name, points, state, score in zip(
        names, target.paths, target.state.tolist(), scores.tolist(), strict=True
    ):
        if not (np.abs(points) <= FURTHEST).all():
            raise RunError(
                f"{where}: {name}: expected finite places, got others; look at the model's loss"
            )
        if state == SEEN and not len(points):
            raise ValueError(f"{name} is seen, but nowhere")
        x, y = (" ".join(map("{:.9g}".format, column)) for column in (points.T + 0.0).tolist())
        labels[name] = {
            "type": kind_of(points) if len(points) else STATES[state],
            "x": x,
            "y": y,
            "score": float(f"{score + 0.0:.9g}"),
            "state": STATES[state],
        }
    return labels


def read_unity_predictions(path: Path) -> dict[str, JsonObject]:
    """Anybody's predictions as label JSON: image → name → entry, unread; see `parse_prediction`."""
    return dict(read_entries(path, EXPECTED, "predict again"))


def parse_prediction(entries: Mapping[str, object], names: Sequence[str], where: str) -> Landmarks:
    """One image's prediction of these names: a place for each, and a score, 1 where none is given.

    Raises:
        DataError: a name without a place, whatever its type says, and a score outside 0..1.
    """
    paths: list[NDArray[np.float32]] = []
    scores = []
    for name in names:
        entry = entries.get(name)
        points = _read_near_points(entry) if isinstance(entry, dict) else None
        if points is None or not isinstance(entry, dict):
            raise content_error(
                f"{where}: {name}", "a place, the most likely one whatever its score", entry
            )
        score = entry.get("score", 1.0)
        require(is_number(score, 0, 1), f"{where}: {name}", "a score of 0..1", score)
        paths.append(points)
        scores.append(score)
    return Landmarks(tuple(paths), np.full(len(names), SEEN, np.int8), np.array(scores, np.float32))


def read_landmark_predictions(
    predictions: Path, images: Path, names: Sequence[str]
) -> PredictionFile:
    """Predictions of these names, with the images they were made for; a place is never masked here.

    Raises:
        DataError: a missing, cut-off or damaged file, other images than listed or in another order,
            other names, a score outside 0..1 and places that aren't numbers.
    """
    file = PredictionFile(predictions, read_images(images), [])
    records = read_unity_predictions(predictions)
    if list(records) != [image["file_name"] for image in file.images]:
        raise DataError(
            f"{predictions}: expected the images of {images.name} in their order, got others; "
            "predict again"
        )
    for image, entries in records.items():
        where = f"{predictions}: {image}"
        require(set(entries) == set(names), where, f"labels of {', '.join(names)}", entries)
        labels = [_read_scored(f"{where}: {name}", entries[name]) for name in names]
        scores = np.array([entries[name]["score"] for name in names], np.float32)
        file.predictions.append(replace(make_landmarks(labels), scores=scores))
    return file


def _read_scored(where: str, entry: object) -> Label:
    if (
        not isinstance(entry, dict)
        or not is_number(entry.get("score"), 0, 1)
        or entry.get("state") not in STATES
    ):
        raise content_error(where, f"a state of {', '.join(STATES)} and a score of 0..1", entry)
    kind, state = entry.get("type"), STATES.index(entry["state"])
    if kind == entry["state"] != STATES[SEEN] and entry.get("x") == entry.get("y") == "":
        return Label(NOWHERE, state)
    points = _read_near_points(entry)
    if points is None or kind != kind_of(points):
        raise content_error(where, "a point or a curve and its places", entry)
    return Label(points, state)


def _read_near_points(entry: JsonObject) -> NDArray[np.float32] | None:
    """The places of a label; None where they aren't numbers or lie too far away."""
    points = read_points(entry)
    return None if points is None or np.abs(points).max() > FURTHEST else points
