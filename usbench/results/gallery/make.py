"""Make a gallery: training curves, and pictures of test cases with their shapes.

Full pictures of the worst, median and best case; small ones of the worst ten and of those that all
results on the same test images share. None shows an image that resembles a training image.

Made at a run's end, or later by usbench gallery, and written beside the result; only of real
images that may be shown (redistribute: images).
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import math
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from usbench.errors import DataError, in_one_line
from usbench.io.console import warn
from usbench.io.files import write_atomically
from usbench.results.gallery import cases as gallery_cases
from usbench.results.gallery.file import (
    Gallery,
    Thumbnail,
    encode,
    gallery_path,
    load_gallery,
    why_no_gallery,
)
from usbench.results.gallery.shapes import shrink_drawing, vector_drawing
from usbench.results.predictions import StoredPredictions
from usbench.results.result import Result
from usbench.results.store import Case, load_result, read_cases


class Limits(NamedTuple):
    """How large a small picture may be."""

    side: int  # px of the longer side
    jpeg: int  # bytes
    shapes: int  # bytes of one side's shapes as JSON


LONGEST, QUALITY = 640, 80  # px of a full picture's longer side, and of its JPEG
THUMBNAIL = Limits(320, 8000, 1400)  # of a case that models are compared on
SMALL = Limits(240, 5000, 900)  # of one of the worst
CARD = Limits(240, 4400, 600)  # so that it and its shapes take less than 8 kB in a page
QUALITIES = (75, 65, 55, 45, 35)  # of a small JPEG, the best that fits
WORST = 10  # cases with a thumbnail
COMMON = 12
Curves = dict[str, list[list[float]]]  # name → [epoch, value] of each epoch


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
    curves = read_curves(predictions.folder / "log.csv") or earlier_curves(path, result)
    gallery = make_gallery(result, predictions, read_cases(path, result), curves)
    write_atomically(gallery_path(path), encode(gallery))
    return gallery_path(path)


def earlier_curves(path: Path, result: Result) -> Curves:
    """The curves of the gallery that is there, for a run whose folder is gone."""
    with suppress(DataError):  # damaged: made anew
        if gallery := load_gallery(path, result):
            return gallery["curves"]
    return {}


def make_gallery(
    result: Result,
    predictions: StoredPredictions,
    cases: Sequence[Case],
    curves: Curves,
) -> Gallery:
    """Make a gallery.

    Args:
        result: a finished one that may have a gallery.
        predictions: of the test split.
        cases: its case table.
        curves: of its training.

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
    rows = gallery_cases.parse_rows(cases)
    empty = gallery_cases.empty_cases(rows, task)
    leaking = result.data.leakage.images if result.data.leakage else ()
    ranked = [item for item in gallery_cases.rank_cases(rows, task) if item[0] not in leaking]
    qualities = dict(ranked)
    common = {case: qualities[case] for case in common_cases(qualities, empty)}
    by_quality = sorted(common.items(), key=lambda item: (item[1], item[0]))
    assert result.predictions is not None  # or it may have no gallery
    dataset = result.config["dataset"]
    unstated = f"{result.dataset} (licence: {dataset.get('licence') or 'not stated'})"
    chosen = gallery_cases.choose_cases(ranked, empty)
    return {
        "schema": 2,
        "run_id": result.run_id,
        "predictions_sha256": result.predictions.sha256,
        "attribution": dataset.get("attribution") or unstated,
        "classes": list(samples.dataset.classes),
        "curves": curves,
        "cases": [
            {"place": place, **picture_case(predictions, case, quality)}
            for place, (case, quality) in chosen.items()
        ],
        "worst": [thumbnail(predictions, *item, SMALL) for item in ranked[:WORST]],
        "common": [thumbnail(predictions, *item, THUMBNAIL) for item in common.items()],
        "card": thumbnail(predictions, *by_quality[len(by_quality) // 2], CARD)
        if by_quality
        else None,
    }


def common_cases(ids: Iterable[str], empty: Collection[str]) -> list[str]:
    """The cases that all results on these test images show: chosen by their ids alone.

    Args:
        ids: test images that may be shown.
        empty: those whose target is empty, which aren't chosen.
    """
    order = sorted(ids, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    return [name for name in order if name not in empty][:COMMON]


def picture_case(predictions: StoredPredictions, case: str, quality: float) -> Thumbnail:
    """One case in full: the image, and the shapes to draw over it in its own pixels."""
    n = predictions.samples.ids.index(case)
    sample = predictions.samples[n]
    return {
        "case": case,
        "quality": round(quality, 6),
        "size": list(sample.image.shape),
        "jpeg": base64.b64encode(encode_jpeg(sample.image, LONGEST, QUALITY)).decode(),
        "target": vector_drawing(sample.target),
        "prediction": vector_drawing(predictions[n], sample.target),
    }


def thumbnail(
    predictions: StoredPredictions, case: str, quality: float, limits: Limits
) -> Thumbnail:
    """One case as a small picture: the shapes are in the JPEG's pixels."""
    n = predictions.samples.ids.index(case)
    sample = predictions.samples[n]
    jpeg, size = encode_small_jpeg(sample.image, limits)
    scale = size[0] / sample.image.shape[0]
    drawings = (vector_drawing(sample.target), vector_drawing(predictions[n], sample.target))
    target, prediction = (shrink_drawing(side, scale, limits.shapes) for side in drawings)
    return {
        "case": case,
        "quality": round(quality, 6),
        "size": list(size),
        "jpeg": base64.b64encode(jpeg).decode(),
        "target": target,
        "prediction": prediction,
    }


def encode_small_jpeg(image: NDArray[np.uint8], limits: Limits) -> tuple[bytes, tuple[int, int]]:
    """(JPEG, its height and width): as good as the limits allow, smaller where none is allowed."""
    side = limits.side
    while True:
        for quality in QUALITIES:
            jpeg = encode_jpeg(image, side, quality)
            if len(jpeg) <= limits.jpeg:
                return jpeg, shrunk_size(image, side)
        side = side * 3 // 4


def encode_jpeg(image: NDArray[np.uint8], side: int, quality: int) -> bytes:
    """(H, W) luma, as the model saw it, as a grey JPEG.

    Args:
        image: (H, W).
        side: px that the longer side may have; a smaller image stays as it is.
        quality: of the JPEG.
    """
    height, width = shrunk_size(image, side)
    picture = Image.fromarray(image)
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    packed = io.BytesIO()
    picture.save(packed, format="JPEG", quality=quality, optimize=True)
    return packed.getvalue()


def shrunk_size(image: NDArray[np.uint8], side: int) -> tuple[int, int]:
    """(height, width) of an image whose longer side is at most `side` px."""
    height, width = image.shape
    shrink = min(1.0, side / max(height, width))
    return max(1, round(height * shrink)), max(1, round(width * shrink))


def read_curves(log: Path) -> Curves:
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
