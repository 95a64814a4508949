"""Make a gallery: training curves, and the worst, median and best test case with its shapes.

Made at a run's end, or later by usbench gallery, and written beside the result; only of real
images that may be shown (redistribute: images).
"""

from __future__ import annotations

import base64
import csv
import io
import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from usbench.errors import DataError, in_one_line
from usbench.io.console import warn
from usbench.io.files import write_atomically
from usbench.results.gallery import cases as gallery_cases
from usbench.results.gallery.drawing import is_drawn
from usbench.results.gallery.file import (
    Drawing,
    Gallery,
    Picture,
    Shape,
    encode,
    gallery_path,
    why_no_gallery,
)
from usbench.results.predictions import StoredPredictions
from usbench.results.result import Result
from usbench.results.store import Case, load_result, read_cases
from usbench.types import BLURRED, SEEN, Boxes, Landmarks, Masks, Target, curve_through

LONGEST = 640  # px of a picture's longer side
QUALITY = 80  # of its JPEG
STEP = 3.0  # px of arc between the points of a curve that is drawn
Points = NDArray[np.float64]  # (N, 2) x, y


def make_gallery_after_run(path: Path, predictions: StoredPredictions) -> Path | None:
    """Make the gallery of a result that has just been published, where it may have one.

    A run isn't lost for a picture: an error is one line of warning, and the gallery of earlier
    predictions is removed.

    Args:
        path: the result's file.
        predictions: of the test split.

    Returns:
        The gallery's file; None where there is none.
    """
    try:
        result = load_result(path)
        if why_no_gallery(result):
            return None
        gallery_path(path).unlink(missing_ok=True)
        return write_gallery(path, result, predictions)
    except Exception as error:  # noqa: BLE001  (the result is there, and stays)
        reason = in_one_line(error)
        warn(f"{path}: its gallery couldn't be made ({reason}); try usbench gallery {path}")
        return None


def write_gallery(path: Path, result: Result, predictions: StoredPredictions) -> Path:
    """Make the gallery of a result and write it beside the result's file; return its path."""
    write_atomically(
        gallery_path(path), encode(make_gallery(result, predictions, read_cases(path, result)))
    )
    return gallery_path(path)


def make_gallery(result: Result, predictions: StoredPredictions, cases: Sequence[Case]) -> Gallery:
    """Make a gallery.

    Args:
        result: a finished one that may have a gallery.
        predictions: of the test split.
        cases: its case table.

    Raises:
        DataError: the table lacks what cases are judged by, or names others.
    """
    samples = predictions.samples
    task, ids = samples.dataset.task, samples.ids
    is_complete = gallery_cases.is_judgeable(cases, task)
    if not is_complete or not {str(row["case"]) for row in cases} <= set(ids):
        raise DataError(
            f"{result.run_id}: expected a case table of the test images, got none or other cases"
        )
    chosen = gallery_cases.choose_cases(
        gallery_cases.rank_cases(gallery_cases.parse_rows(cases), task)
    )
    assert result.predictions is not None  # or it may have no gallery
    dataset = result.config["dataset"]
    unstated = f"{result.dataset} (licence: {dataset.get('licence') or 'not stated'})"
    return {
        "schema": 1,
        "run_id": result.run_id,
        "predictions_sha256": result.predictions.sha256,
        "attribution": dataset.get("attribution") or unstated,
        "classes": list(samples.dataset.classes),
        "curves": read_curves(predictions.folder / "log.csv"),
        "cases": [
            picture_case(predictions, ids.index(case), place, quality)
            for place, (case, quality) in chosen.items()
        ],
    }


def picture_case(predictions: StoredPredictions, n: int, place: str, quality: float) -> Picture:
    """One case as the gallery's JSON has it: the image, and the shapes to draw over it."""
    sample = predictions.samples[n]
    return {
        "place": place,
        "case": sample.id,
        "quality": round(quality, 6),
        "size": list(sample.image.shape),
        "jpeg": base64.b64encode(encode_jpeg(sample.image)).decode(),
        "truth": vector_drawing(sample.target),
        "prediction": vector_drawing(predictions[n]),
    }


def encode_jpeg(image: NDArray[np.uint8]) -> bytes:
    """(H, W) luma, as the model saw it, as a grey JPEG of at most 640 px on its longer side."""
    height, width = image.shape
    shrink = LONGEST / max(height, width)
    picture = Image.fromarray(image)
    if shrink < 1:
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    packed = io.BytesIO()
    picture.save(packed, format="JPEG", quality=QUALITY, optimize=True)
    return packed.getvalue()


def read_curves(log: Path) -> dict[str, list[list[float]]]:
    """A run's curves, name → [epoch, value] of each, from its log.csv; {} where it has none.

    Of an epoch that was done again after a kill the last value counts. Lines that a kill has cut
    off are left out.
    """
    if not log.is_file():
        return {}
    curves: dict[str, dict[int, float]] = {}
    with log.open(newline="", encoding="utf-8") as file:
        for row in csv.reader(file):
            if len(row) == 4 and row[0].isdigit():
                with suppress(ValueError):  # cut off within the number
                    value = float(row[2])
                    if math.isfinite(value):
                        curves.setdefault(row[1], {})[int(row[0])] = float(f"{value:.6g}")
    return {name: [list(point) for point in sorted(curves[name].items())] for name in curves}


# ---- shapes that a page draws over a picture
# Areas, lines and points are in coordinates of pixel centres: (0, 0) is the middle of the first
# pixel, as in masks and landmarks. Boxes are edges, half-open: the first pixel's box is 0, 0, 1, 1.


def vector_drawing(target: Target) -> Drawing:
    """The shapes of a target or prediction.

    Masks: an area for each class that is there. Boxes: each of a confidence of .25 or more.
    Landmarks: each that is seen.
    """
    if isinstance(target, Boxes):
        return {"shapes": box_shapes(target), "unknown": []}
    if isinstance(target, Landmarks):
        unknown = np.flatnonzero(target.state == BLURRED)
        return {"shapes": landmark_shapes(target), "unknown": unknown.tolist()}
    unknown = np.flatnonzero(~target.known) if target.known is not None else np.zeros(0, int)
    return {"shapes": area_shapes(target), "unknown": unknown.tolist()}


def area_shapes(target: Masks) -> list[Shape]:
    """An area for each plane that isn't empty."""
    outlines = map(trace_outlines, target.planes)
    return [{"class": c, "kind": "area", "at": rings} for c, rings in enumerate(outlines) if rings]


def trace_outlines(plane: NDArray[np.bool_]) -> list[list[float]]:
    """The contours of a plane at level .5, each a closed ring without its first point again.

    They run halfway between the centres of a pixel inside and its neighbour outside, beyond the
    image's edge too. Pixels that touch at a corner only are apart. Holes are rings of their own.

    Args:
        plane: (H, W).

    Returns:
        Rings x, y, x, y …, each from its topmost, then leftmost point; [] for an empty plane.
    """
    from skimage.measure import find_contours  # slow to import, needed here only

    lines = find_contours(np.pad(plane, 1).astype(np.float64), 0.5)  # type: ignore[no-untyped-call]
    rings = [flatten(simplify_ring(line[:-1, ::-1] - 1)) for line in lines]
    return sorted(rings, key=lambda ring: (ring[1], ring[0], len(ring)))


def simplify_ring(points: Points) -> Points:
    """A closed ring (N, 2) from its topmost, then leftmost point, without needless points.

    Points on a straight line between their neighbours are left out.
    """
    before = points - np.roll(points, 1, axis=0)
    after = np.roll(points, -1, axis=0) - points
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    corners = points[turns]
    return np.roll(corners, -int(np.lexsort((corners[:, 0], corners[:, 1]))[0]), axis=0)


def flatten(points: NDArray[np.floating]) -> list[float]:
    """(N, 2) → x, y, x, y … in tenths of a pixel; whole numbers as int."""
    tenths = np.round(np.asarray(points, np.float64), 1).ravel().tolist()
    return [int(value) if value == int(value) else value for value in tenths]


def box_shapes(target: Boxes) -> list[Shape]:
    """The boxes that are drawn; a prediction's have their confidence."""
    shapes: list[Shape] = []
    for n in np.flatnonzero(is_drawn(target)):
        shape: Shape = {
            "class": int(target.labels[n]),
            "kind": "box",
            "at": [flatten(target.xyxy[n])],
        }
        if target.scores is not None:
            shape["score"] = round(float(target.scores[n]), 3)
        shapes.append(shape)
    return shapes


def landmark_shapes(target: Landmarks) -> list[Shape]:
    """The landmarks that are seen: a point, or the curve through its knots."""
    shapes: list[Shape] = []
    for c, (path, state) in enumerate(zip(target.paths, target.state, strict=True)):
        if state != SEEN or not len(path):
            continue
        kind, points = ("point", path) if len(path) == 1 else ("line", curve_through(path, STEP))
        shapes.append({"class": c, "kind": kind, "at": [flatten(points)]})
    return shapes
