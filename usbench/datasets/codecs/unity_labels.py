"""Unity label JSON: the named points and curves of many images.

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
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from usbench.datasets.codecs.readers import NUMBER, NUMBERS, content_error, read_json, require
from usbench.errors import DataError
from usbench.io.files import JsonObject, write_atomically
from usbench.types import BLURRED, OFF, SEEN, Landmarks

FURTHEST = 1e5  # px; no image is so large: beyond it a coordinate is a typing error
STATES = ("seen", "off", "blurred")  # by the number of the state
NOWHERE = np.zeros((0, 2), np.float32)
NOWHERE.flags.writeable = False  # shared by all labels without a place

Two = Literal["unknown", "curve"]


class Label(NamedTuple):
    """What a file says of one name in one image."""

    path: NDArray[np.float32]  # (P, 2) xy px; empty unless seen
    state: int


_OFF, _UNKNOWN = Label(NOWHERE, OFF), Label(NOWHERE, BLURRED)


@dataclass(frozen=True)
class LabelFile:
    """A checked label file; `landmarks` gives one image's."""

    images: Mapping[str, Mapping[str, Label]]  # image → name → label, in the file's order
    seen: frozenset[str]  # names that some image has as a point or a curve, well-formed or not
    named: frozenset[str]  # all names, also those that are nowhere seen
    oddities: Mapping[str, int]  # what was taken otherwise than it is written → how many labels

    def landmarks(self, image: str, names: Sequence[str]) -> Landmarks:
        """The landmarks of an image by these names, in their order.

        KeyError for an image that isn't there.
        """
        return make_landmarks([self.images[image].get(name, _UNKNOWN) for name in names])


def make_landmarks(labels: Sequence[Label]) -> Landmarks:
    """The landmarks of one image."""
    paths, states = zip(*labels, strict=True) if labels else ((), ())
    return Landmarks(paths, np.array(states, np.int8))


def read_unity_labels(path: Path, two: Two = "unknown") -> LabelFile:
    """The labels of every image of a file. two: what exactly two values are.

    Raises:
        DataError: a missing or cut-off file, an image or a name that stands there twice, a record
            or a label that isn't an object, an unknown type word and a coordinate beyond 100,000
            px; the message names image and name.
    """
    images: dict[str, dict[str, Label]] = {}
    oddities: Counter[str] = Counter()
    seen: set[str] = set()
    named: set[str] = set()
    for image, entries in read_entries(path, "Unity's label JSON", "fetch it again"):
        images[image] = {}
        named.update(entries)
        for name, entry in entries.items():
            images[image][name], oddity = _read_label(f"{path}: {image}: {name}", entry, two)
            oddities[oddity] += 1
            if entry.get("type") in ("point", "curve"):
                seen.add(name)
    del oddities[""]
    return LabelFile(images, frozenset(seen), frozenset(named), dict(sorted(oddities.items())))


def write_unity_labels(path: Path, images: Mapping[str, Landmarks], names: Sequence[str]) -> None:
    """Write the landmarks of images by these names, one image per line.

    Float32 coordinates survive exactly.

    Raises:
        DataError: landmarks that `read_unity_labels` wouldn't give back: two knots,
            repeated ones, a place beyond 100,000 px.
    """
    records = ({"labels": _entries(path, target, names)} for target in images.values())
    lines = map("{}: {}".format, map(json.dumps, images), map(json.dumps, records))
    write_atomically(path, "{\n" + ",\n".join(lines) + "\n}\n")


def _entries(path: Path, target: Landmarks, names: Sequence[str]) -> dict[str, dict[str, str]]:
    entries: dict[str, dict[str, str]] = {}
    for name, points, state in zip(names, target.paths, target.state.tolist(), strict=True):
        x, y = (" ".join(map(_format_exactly, column)) for column in points.T)
        entries[name] = {
            "type": STATES[state] if state != SEEN else kind_of(points),
            "y": y,
            "x": x,
        }
        label, _ = _read_label(f"{path}: {name}", entries[name], "unknown")
        require(
            label.state == state and np.array_equal(label.path, points),
            f"{path}: {name}",
            "one place or three or more, none repeated",
            f"x {x}",
        )
    return entries


def _format_exactly(value: np.float32) -> str:
    return np.format_float_positional(value, trim="0")


def kind_of(points: NDArray[np.float32]) -> str:
    """The type of a label with one place or several."""
    return "point" if len(points) == 1 else "curve"


def _read_label(where: str, entry: object, two: Two) -> tuple[Label, str]:
    """(label, what is odd about it or "")."""
    if not isinstance(entry, dict):
        raise content_error(where, "a label with type, x and y", entry)
    kind = entry.get("type")
    match kind:
        case "blurred":
            return _UNKNOWN, ""
        case "off":
            return _OFF, ""
        case None | "":
            return _UNKNOWN, "without a type"
    require(kind in ("point", "curve"), where, "a type of point, curve, off, blurred", kind)
    points = read_points(entry)
    if points is None:
        return _UNKNOWN, "malformed"
    furthest = np.abs(points).max()
    if furthest > FURTHEST:
        raise content_error(where, "places in pixels", f"{furthest:g}")
    if len(points) == 1:
        return Label(points, SEEN), "curve with one value" if kind == "curve" else ""
    if len(points) == 2 and two == "unknown":
        return _UNKNOWN, "two values"
    if len(points) == 2:
        points = np.stack([points[0], points.mean(axis=0), points[1]])  # the same line
    new = np.concatenate(([True], (np.diff(points, axis=0) != 0).any(axis=1)))
    if new.sum() < 3:  # a spline through identical points
        return _UNKNOWN, "malformed"
    if kind == "point":
        return Label(points[new], SEEN), "point with several values"
    return Label(points[new], SEEN), "" if new.all() else "knots repeated"


# ---- what labels and predictions share


def read_entries(path: Path, expected: str, advice: str) -> Iterator[tuple[str, JsonObject]]:
    """(image, its labels by name, unread) of a label JSON.

    Args:
        path: the file.
        expected: what it should hold, for the error.
        advice: what to do where it holds something else.

    Raises:
        DataError: a missing or cut-off file, a key that stands twice in an object, other JSON.
    """

    def make_object(pairs: list[tuple[str, Any]]) -> JsonObject:
        value = dict(pairs)
        if len(value) < len(pairs):
            ((key, _),) = Counter(key for key, _ in pairs).most_common(1)
            raise content_error(str(path), "every image and name once", f"{key} twice")
        return value

    content = read_json(path, expected, advice, make_object)
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected {expected}, got other JSON; {advice}")
    for image, record in content.items():
        entries = record.get("labels") if isinstance(record, dict) else None
        if not isinstance(entries, dict):
            raise content_error(f"{path}: {image}", "a record with labels", record)
        yield image, entries


def read_points(entry: JsonObject) -> NDArray[np.float32] | None:
    """(P, 2) of the x and y of a label.

    None where they aren't as many numbers each, one at least.
    """
    columns = []
    for axis in ("x", "y"):
        value = entry.get(axis)
        # Unity's code takes numbers too.
        tokens = str(value).split() if isinstance(value, str) or type(value) in NUMBERS else []
        if not all(map(NUMBER.fullmatch, tokens)):
            return None
        columns.append(list(map(float, tokens)))
    if not columns[0] or len(columns[0]) != len(columns[1]):
        return None
    with np.errstate(over="ignore"):
        return np.array(columns, np.float64).T.astype(np.float32)
