"""Unity label JSON: the named points and curves of many images, and predictions in the same form
with a score per name.

A release's file is {image: {"labels": {name: {"type": "point", "y": "200.0", "x": "100.0"}}}}; x
and y are strings of space-separated numbers, in pixels whose centres are at whole numbers. Their
count rules, whatever the type says: one is a point, three or more are the knots of a curve, a knot
that repeats the one before is left out. `off` is surely not in the image. `blurred` is unknown, and
so are a name or a type that is missing, coordinates that are malformed and exactly two of them
(Unity's code of 2020 rejects these; that of 2024 takes them for a line, here with its middle as a
third knot): all of these are BLURRED, and counted. A place a little outside the image stays as it
is.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from usbench.datasets.codecs.images_list import ImageEntry, PairWriter, read_images
from usbench.datasets.codecs.readers import is_number, read_json
from usbench.errors import DataError, RunError
from usbench.io.files import write_atomically
from usbench.types import BLURRED, OFF, SEEN, Landmarks

FURTHEST = 1e5  # px; no image is so large: beyond it a coordinate is a typing error
STATES = ("seen", "off", "blurred")  # by the number of the state
# float() would take nan.
_NUMBER = re.compile(r"[+-]?(\d{1,30}(\.\d{0,60})?|\.\d{1,60})([eE][+-]?\d{1,3})?", re.ASCII)

Two = Literal["unknown", "curve"]


class Label(NamedTuple):
    """What a file says of one name in one image."""

    path: NDArray[np.float32]  # (P, 2) xy px; empty unless seen
    state: int


_NOWHERE = np.zeros((0, 2), np.float32)
_NOWHERE.flags.writeable = False  # shared by all labels without a place
_OFF, _UNKNOWN = Label(_NOWHERE, OFF), Label(_NOWHERE, BLURRED)


@dataclass(frozen=True)
class LabelFile:
    """A checked label file; `landmarks` gives one image's."""

    labels: Mapping[str, Mapping[str, Label]]  # image → name → label, in the file's order
    seen: frozenset[str]  # names that some image has as a point or a curve, well-formed or not
    named: frozenset[str]  # all names, also those that are nowhere seen
    oddities: Mapping[str, int]  # what was taken otherwise than it is written → how many labels

    def landmarks(self, image: str, names: Sequence[str]) -> Landmarks:
        """The truth of an image for these names, in their order.

        KeyError for an image that isn't there.
        """
        found = [self.labels[image].get(name, _UNKNOWN) for name in names]
        return Landmarks(
            tuple(label.path for label in found),
            np.array([label.state for label in found], np.int8),
        )


def read_unity_labels(path: Path, two: Two = "unknown") -> LabelFile:
    """The labels of every image of a file. two: what exactly two values are.

    Raises:
        DataError: a missing or cut-off file, an image or a name that stands there twice, a record
            or a label that isn't an object, an unknown type word and a coordinate beyond 100,000
            px; the message names image and name.
    """
    labels: dict[str, dict[str, Label]] = {}
    oddities: Counter[str] = Counter()
    seen: set[str] = set()
    for image, record in _object(path, "Unity's label JSON", "fetch it again").items():
        entries = record.get("labels") if isinstance(record, dict) else None
        if not isinstance(entries, dict):
            raise _wrong(f"{path}: {image}", "a record with labels", record)
        labels[image] = {}
        for name, entry in entries.items():
            labels[image][name], odd = _label(f"{path}: {image}: {name}", entry, two)
            if odd:
                oddities[odd] += 1
            if entry.get("type") in ("point", "curve"):
                seen.add(name)
    named = frozenset(name for entries in labels.values() for name in entries)
    return LabelFile(labels, frozenset(seen), named, dict(sorted(oddities.items())))


def write_unity_labels(path: Path, images: Mapping[str, Landmarks], names: Sequence[str]) -> None:
    """Write the truths of images for these names, one image per line.

    Float32 coordinates survive exactly.

    Raises:
        DataError: landmarks that `read_unity_labels` wouldn't give back: two knots,
            repeated ones, a place beyond 100,000 px.
    """
    records = {image: {"labels": _entries(path, truth, names)} for image, truth in images.items()}
    lines = [f"{json.dumps(image)}: {json.dumps(record)}" for image, record in records.items()]
    write_atomically(path, ("{\n" + ",\n".join(lines) + "\n}\n").encode("ascii"))


def _entries(path: Path, truth: Landmarks, names: Sequence[str]) -> dict[str, dict[str, str]]:
    entries: dict[str, dict[str, str]] = {}
    for name, points, state in zip(names, truth.paths, truth.state.tolist(), strict=True):
        kind = STATES[state] if state != SEEN else "point" if len(points) == 1 else "curve"
        x, y = (
            " ".join(np.format_float_positional(value, trim="0") for value in column)
            for column in points.T
        )
        entries[name] = {"type": kind, "y": y, "x": x}
        label, _ = _label(f"{path}: {name}", entries[name], "unknown")
        if label.state != state or not np.array_equal(label.path, points):
            raise _wrong(f"{path}: {name}", "one place or three or more, none repeated", f"x {x}")
    return entries


def _label(where: str, entry: object, two: Two) -> tuple[Label, str | None]:
    """(label, what is odd about it)."""
    if not isinstance(entry, dict):
        raise _wrong(where, "a label with type, x and y", entry)
    kind = entry.get("type")
    if kind == "blurred":
        return _UNKNOWN, None
    if kind == "off":
        return _OFF, None
    if kind is None or kind == "":
        return _UNKNOWN, "without a type"
    if kind not in ("point", "curve"):
        raise _wrong(where, "a type of point, curve, off, blurred", kind)
    points = _points(entry)
    if points is None:
        return _UNKNOWN, "malformed"
    if np.abs(points).max() > FURTHEST:
        raise _wrong(where, "places in pixels", f"{np.abs(points).max():g}")
    if len(points) == 1:
        return Label(points, SEEN), "curve with one value" if kind == "curve" else None
    return _curve(points, kind, two)


def _curve(points: NDArray[np.float32], kind: str, two: Two) -> tuple[Label, str | None]:
    """The label of two points or more."""
    if len(points) == 2:
        if two == "unknown":
            return _UNKNOWN, "two values"
        points = np.stack([points[0], points.mean(axis=0), points[1]])  # the same line
    kept = points[np.concatenate(([True], (np.diff(points, axis=0) != 0).any(axis=1)))]
    if len(kept) < 3:  # a spline through identical points
        return _UNKNOWN, "malformed"
    odd = (
        "point with several values"
        if kind == "point"
        else "knots repeated"
        if len(kept) < len(points)
        else None
    )
    return Label(kept, SEEN), odd


def _points(entry: Mapping[str, Any]) -> NDArray[np.float32] | None:
    """(P, 2) of the x and y of a label.

    None where they aren't as many numbers each, one at least.
    """
    columns = []
    for axis in ("x", "y"):
        value = entry.get(axis)
        # Unity's code takes these too.
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        tokens = str(value).split() if number or isinstance(value, str) else []
        if not tokens or not all(_NUMBER.fullmatch(token) for token in tokens):
            return None
        columns.append([float(token) for token in tokens])
    if len(columns[0]) != len(columns[1]):
        return None
    with np.errstate(over="ignore"):
        return np.array(columns, np.float64).T.astype(np.float32)


def _object(path: Path, wanted: str, advice: str) -> dict[str, Any]:
    """A JSON object, no key of which (nor of its parts) stands there twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = next(
                key for key, count in Counter(key for key, _ in pairs).items() if count > 1
            )
            raise _wrong(str(path), "every image and name once", f"{twice} twice")
        return found

    value = read_json(path, wanted, advice, once)
    if not isinstance(value, dict):
        raise DataError(f"{path}: expected {wanted}, got other JSON; {advice}")
    return value


def _wrong(where: str, wanted: str, found: object) -> DataError:
    """The error on one line, though names may hold any character."""
    text = " ".join(str(found).split())[:80]
    return DataError(
        f"{' '.join(where.splitlines())}: expected {wanted}, got {text!r}; correct the file"
    )


# ---- predictions: each label also has a score and a state, and always keeps its place


class LandmarkWriter:
    """Writes predictions image by image, in constant memory, one image per line, always the same
    bytes.

    Use it with `with`; both files appear when the block ends well, neither when it doesn't (see
    `Pair`). A label is {"type": "point" | "curve", "x": "…", "y": "…", "score": 0.93, "state":
    "seen" | "off" | "blurred"}: the type says whether there is one place or several, the state what
    the model holds of it. Numbers carry nine digits, so that float32 survives exactly.
    """

    def __init__(self, predictions: Path, images: Path, names: Sequence[str]) -> None:
        self._pair, self._names = PairWriter(predictions, images, "{}"), tuple(names)

    def __enter__(self) -> Self:
        """Open both files beside their places; RunError where they can't be written."""
        self._pair.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pair.__exit__(kind, error, trace)

    def add(self, file_name: str, group: str, size: tuple[int, int], target: Landmarks) -> None:
        """Append the prediction of the next image of (height, width) px.

        Call in order of the records' ids.

        Without scores every score is 1.

        Raises:
            DataError: a name that was there before.
            RunError: places or scores that aren't finite or in order.
            ValueError: a class that is seen nowhere.
        """
        self._pair.image(file_name, group, size)
        labels = _scored(f"{self._pair.predictions}: {file_name}", self._names, target)
        entry = json.dumps({"labels": labels}, separators=(",", ":"))
        self._pair.add([f"{json.dumps(file_name)}:{entry}"])


def _scored(where: str, names: Sequence[str], target: Landmarks) -> dict[str, dict[str, Any]]:
    """The labels of one prediction; a diverged model stops here: NaN fails every comparison."""
    scores = (
        np.ones(len(names)) if target.scores is None else target.scores.astype(np.float64) + 0.0
    )
    if not ((scores >= 0) & (scores <= 1)).all():
        raise RunError(f"{where}: expected scores in 0..1, got others; look at the model's loss")
    labels: dict[str, dict[str, Any]] = {}
    for name, points, state, score in zip(
        names, target.paths, target.state.tolist(), scores.tolist(), strict=True
    ):
        if not (np.abs(points) <= FURTHEST).all():
            raise RunError(
                f"{where}: {name}: expected finite places, got others; look at the model's loss"
            )
        if state == SEEN and not len(points):
            raise ValueError(f"{name} is seen, but nowhere")
        kind = STATES[state] if not len(points) else "point" if len(points) == 1 else "curve"
        x, y = (" ".join(f"{value + 0.0:.9g}" for value in column.tolist()) for column in points.T)
        labels[name] = {
            "type": kind,
            "x": x,
            "y": y,
            "score": float(f"{score:.9g}"),
            "state": STATES[state],
        }
    return labels


def read_unity_predictions(path: Path) -> dict[str, dict[str, Any]]:
    """Anybody's predictions as label JSON: image → name → entry, unread; see `parse_prediction`."""
    found: dict[str, dict[str, Any]] = {}
    for image, record in _object(path, "predictions as Unity label JSON", "predict again").items():
        entries = record.get("labels") if isinstance(record, dict) else None
        if not isinstance(entries, dict):
            raise _wrong(f"{path}: {image}", "a record with labels", record)
        found[image] = entries
    return found


def parse_prediction(entries: Mapping[str, Any], names: Sequence[str], where: str) -> Landmarks:
    """One image's prediction of these names: a place for each, and a score, 1 where none is given.

    Raises:
        DataError: a name without a place, whatever its type says, and a score outside 0..1.
    """
    paths, scores = [], []
    for name in names:
        entry = entries.get(name)
        points = _points(entry) if isinstance(entry, dict) else None
        score = entry.get("score", 1.0) if isinstance(entry, dict) else None
        if points is None or not len(points) or np.abs(points).max() > FURTHEST:
            raise _wrong(
                f"{where}: {name}", "a place, the most likely one whatever its score", entry
            )
        if not is_number(score, 0, 1):
            raise _wrong(f"{where}: {name}", "a score of 0..1", score)
        paths.append(points)
        scores.append(score)
    return Landmarks(tuple(paths), np.full(len(names), SEEN, np.int8), np.array(scores, np.float32))


@dataclass(frozen=True)
class LandmarkFile:
    """A checked predictions file: `file[n]` is the prediction of `file.images[n]`.

    Iterating goes in that order.
    """

    path: Path
    images: list[ImageEntry]
    found: list[Landmarks]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, n: int) -> Landmarks:
        return self.found[n]

    def __iter__(self) -> Iterator[Landmarks]:
        return iter(self.found)


def read_landmark_predictions(
    predictions: Path, images: Path, names: Sequence[str]
) -> LandmarkFile:
    """Predictions of these names, with the images they were made for; a place is never masked here.

    Raises:
        DataError: a missing, cut-off or damaged file, other images than listed or in another order,
            other names, a score outside 0..1 and places that aren't numbers.
    """
    listed = read_images(images)
    records = _object(predictions, "predictions as Unity label JSON", "predict again")
    if list(records) != [image["file_name"] for image in listed]:
        raise DataError(
            f"{predictions}: expected the images of {images.name} in their order, got others; "
            "predict again"
        )
    found = []
    for image, record in records.items():
        entries = record.get("labels") if isinstance(record, dict) else None
        if not isinstance(entries, dict) or set(entries) != set(names):
            raise _wrong(
                f"{predictions}: {image}", f"labels of {', '.join(names)}", entries or record
            )
        labels = [_predicted(f"{predictions}: {image}: {name}", entries[name]) for name in names]
        states = np.array([label.state for label, _ in labels], np.int8)
        scores = np.array([score for _, score in labels], np.float32)
        found.append(Landmarks(tuple(label.path for label, _ in labels), states, scores))
    return LandmarkFile(predictions, listed, found)


def _predicted(where: str, entry: object) -> tuple[Label, float]:
    """(label, score)."""
    if (
        not isinstance(entry, dict)
        or entry.get("state") not in STATES
        or not is_number(entry.get("score"), 0, 1)
    ):
        raise _wrong(where, f"a state of {', '.join(STATES)} and a score of 0..1", entry)
    kind, state, score = entry.get("type"), STATES.index(entry["state"]), entry["score"]
    if kind == entry["state"] != STATES[SEEN] and entry.get("x") == entry.get("y") == "":
        return Label(_NOWHERE, state), score
    points = _points(entry)
    if (
        points is None
        or np.abs(points).max() > FURTHEST
        or kind != ("point" if len(points) == 1 else "curve")
    ):
        raise _wrong(where, "a point or a curve and its places", entry)
    return Label(points, state), score
