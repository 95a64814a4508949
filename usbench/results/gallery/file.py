"""A gallery on disk: curves and pictures beside a result, checked when it is read.

    results/<dataset>/<task>/<model>-s<seed>-<run id>.gallery.json.gz

Only a finished result on real images that may be shown has one. gallery.schema.json says what the
file holds. This module knows files and JSON, no pictures.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

from usbench.errors import DataError
from usbench.io.json_schema import find_fault, load_schema
from usbench.results.result import Result
from usbench.results.store import pack_text

# `class` is a keyword of Python, so a shape's keys are given as a table.
Shape = TypedDict(
    "Shape",
    {
        "class": int,
        "kind": str,  # area | box | line | point
        "at": list[list[float]],  # x, y, x, y … of each ring or line
        "score": NotRequired[float],  # of a predicted box
    },
)
SUFFIX = ".gallery.json.gz"  # not *.json: those are results
REMEDY = "make it again with usbench gallery, or remove it"


class Drawing(TypedDict):
    """The shapes of one target, and the classes that may or may not be there."""

    shapes: list[Shape]
    unknown: list[int]


class Thumbnail(TypedDict):
    """One case: the image, and the shapes to draw over it."""

    case: str  # the image's id
    quality: float
    size: list[int]  # height and width of the shapes' frame: the image's own, or the JPEG's
    jpeg: str  # base64
    target: Drawing
    prediction: Drawing


class Picture(Thumbnail):
    """A case in full: its shapes are in the image's own pixels."""

    place: str  # worst | median | best


class Gallery(TypedDict):
    """The JSON of a gallery."""

    schema: int
    run_id: str
    predictions_sha256: str
    attribution: str
    classes: list[str]
    curves: dict[str, list[list[float]]]  # name → [epoch, value] of each epoch
    cases: list[Picture]
    worst: list[Thumbnail]  # the worst cases, the worst first
    common: list[Thumbnail]  # cases that all results on these test images share
    card: Thumbnail | None  # the median of the common ones, smaller


def gallery_path(path: Path) -> Path:
    """The gallery beside a result's file."""
    return path.with_name(path.stem + SUFFIX)


# ---- which results have one


def may_show_images(result: Result) -> bool:
    """Whether images and their names may be shown: the release allows it and is no phantom."""
    return redistribute_of(result) == "images" and not result.data.phantom


def redistribute_of(result: Result) -> str:
    """What of the dataset may be redistributed: images, labels or none; unknown is none."""
    return str((result.config.get("dataset") or {}).get("redistribute") or "none")


def why_no_gallery(result: Result) -> str | None:
    """Why a result can't have a gallery, for people; None where it can."""
    not_shown = (
        "expected images that may be shown (redistribute: images), "
        f"got redistribute: {redistribute_of(result)}"
    )
    not_stored = f"expected stored predictions, got a result of origin {result.origin} without any"
    obstacles = {
        f"expected a finished result, got status {result.status}": not result.is_done,
        "expected a result on real images, got one on a phantom": result.data.phantom,
        not_shown: not may_show_images(result),
        not_stored: result.predictions is None,
    }
    return next((reason for reason, is_there in obstacles.items() if is_there), None)


# ---- reading and writing


def encode(gallery: Gallery) -> bytes:
    """Gzipped JSON; the same gallery gives the same bytes."""
    return pack_text(
        json.dumps(
            gallery, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True
        )
    )


def load_gallery(path: Path, result: Result) -> Gallery | None:
    """The gallery beside a result's file; None where there is none.

    Raises:
        DataError: it is damaged, breaks the schema, or was drawn from other predictions than the
            result's; the message names file and key.
    """
    place = gallery_path(path)
    try:
        content = json.loads(gzip.decompress(place.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, EOFError, ValueError, RecursionError) as error:
        raise DataError(
            f"{place}: expected gzipped JSON, got a damaged file ({error}); {REMEDY}"
        ) from error
    schema = load_schema("usbench.results.gallery", "gallery.schema.json")
    damage = find_fault(schema, content) or next(find_bad_shapes(content), None)
    if damage is not None:
        raise DataError(f"{place}: {damage}; {REMEDY}")
    gallery: Gallery = content
    sha256 = result.predictions.sha256 if result.predictions else None
    expected = {"run_id": result.run_id, "predictions_sha256": sha256}
    for name in expected:
        if content[name] != expected[name]:
            raise DataError(
                f"{place}: key {name}: expected the result's, {expected[name]}, "
                f"got {content[name]}; {REMEDY}"
            )
    return gallery


def find_bad_shapes(gallery: Gallery) -> Iterator[str]:
    """A line for every shape that can't be drawn, although the schema allows it.

    A shape's class is one of `classes`, and its coordinates are pairs: two pairs for a box.
    """
    for key, case in thumbnails_of(gallery):
        for name, side in (("target", case["target"]), ("prediction", case["prediction"])):
            yield from find_bad_drawing(f"key {key}.{name}", side, len(gallery["classes"]))


def thumbnails_of(gallery: Gallery) -> Iterator[tuple[str, Thumbnail]]:
    """Every case of a gallery with its key."""
    lists: tuple[tuple[str, Sequence[Thumbnail]], ...] = (
        ("cases", gallery["cases"]),
        ("worst", gallery["worst"]),
        ("common", gallery["common"]),
    )
    for name, cases in lists:
        for number, case in enumerate(cases):
            yield f"{name}[{number}]", case
    if gallery["card"]:
        yield "card", gallery["card"]


def find_bad_drawing(key: str, drawing: Drawing, classes: int) -> Iterator[str]:
    """A line for every shape of one drawing that can't be drawn."""
    for index, shape in enumerate(drawing["shapes"]):
        of_shape = f"{key}.shapes[{index}]"
        if shape["class"] >= classes:
            got = shape["class"]
            yield f"{of_shape}.class: expected a class of 0..{classes - 1}, got {got}"
        sizes = {len(line) for line in shape["at"]}
        if any(size % 2 for size in sizes) or (shape["kind"] == "box" and sizes != {4}):
            yield (
                f"{of_shape}.at: expected pairs of x and y, of a box two, "
                "got another number of values"
            )
    if max(drawing["unknown"], default=-1) >= classes:
        yield f"{key}.unknown: expected classes of 0..{classes - 1}, got a higher one"
