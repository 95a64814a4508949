"""Curves, and the worst, median and best test case with truth and prediction, of a finished run: for its result's page.

Made at a run's end, or later by scripts/gallery.py, from the run's folder, its case table and the data, and written
beside the record. Only of real images that may be shared (redistribute: images).
"""

from __future__ import annotations

import base64
import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from usbench.datasets import source
from usbench.errors import ConfigError, DataError
from usbench.evaluate.rescore import Stored, stored
from usbench.io.console import say, warn
from usbench.results import scoring
from usbench.results import store as results
from usbench.results.gallery import cases as gallery_cases
from usbench.results.gallery.file import Gallery, encode, path_of, refusal, sha256_of
from usbench.results.gallery.shapes import drawing
from usbench.runner import config as cell

LONGEST = 640  # px of a picture's longer side
QUALITY = 80  # of its JPEG


def after_run(one: cell.Cell, record: Path) -> None:
    """The gallery of a run that has just been published at `record`, where it may have one.

    A run isn't lost for a picture: whatever goes wrong is one warning, and a gallery of earlier predictions goes.
    """
    try:
        content = results.load(record)
        if refusal(content):
            return
        path_of(record).unlink(missing_ok=True)
        made = write(record, content, Stored(one, cell.run_dir(one), source.open_dataset(one)))
    except Exception as error:  # noqa: BLE001  (the result is there, and stays)
        words = " ".join(str(error).split())
        warn(
            f"{record}: its gallery couldn't be made ({words}); try scripts/gallery.py {one['run_id']}"
        )
    else:
        say(f"pictures and curves for its page: {made}")


def opened(record: Mapping[str, Any], runs: Path, data: Path | None = None) -> Stored:
    """The run of a record and its data, as `rescoring.stored` finds them, and raises what that raises.

    Raises ConfigError for a result that has no gallery.
    """
    wrong = refusal(record)
    if wrong:
        raise ConfigError(f"{record['run_id']}: {wrong}; there is no gallery of others")
    return stored(record, runs, data)


def write(record: Path, content: Mapping[str, Any], kept: Stored) -> Path:
    """Make the gallery of a record and put it beside it; its path."""
    path = path_of(record)
    results.write_all({path: encode(make(content, kept, results.read_cases(record, content)))})
    return path


def make(content: Mapping[str, Any], kept: Stored, rows: Sequence[Mapping[str, str]]) -> Gallery:
    """The gallery. rows: the record's case table. Raises DataError where the table lacks cases or names others."""
    facts, test = content["config"]["dataset"], kept.dataset.samples("test")
    task = kept.dataset.task
    if not gallery_cases.is_judgeable(rows, task) or {row["case"] for row in rows} - set(test.ids):
        raise DataError(
            f"{content['run_id']}: a case table of the test images was wanted, found none or other cases"
        )
    order = gallery_cases.ordered(gallery_cases.typed(rows), task)
    guesses, cases = scoring.stored(kept.folder, "test", test), []
    for place, (case, quality) in gallery_cases.chosen(order).items():
        n = test.ids.index(case)
        sample = test[n]
        shown = {"truth": drawing(sample.target), "prediction": drawing(guesses[n])}
        size, packed = list(sample.image.shape), base64.b64encode(jpeg(sample.image)).decode()
        cases.append(
            {
                "place": place,
                "case": case,
                "quality": round(quality, 6),
                "size": size,
                "jpeg": packed,
                **shown,
            }
        )
    return {
        "schema": 1,
        "run_id": content["run_id"],
        "predictions_sha256": sha256_of(content),
        "attribution": facts.get("attribution")
        or f"{content['dataset']} (licence: {facts.get('licence') or 'not stated'})",
        "classes": list(kept.dataset.classes),
        "curves": curves(kept.folder / "log.csv"),
        "cases": cases,
    }


def jpeg(image: NDArray[np.uint8]) -> bytes:
    """(H, W) luma, as the model saw it, as a grey JPEG of at most 640 px on its longer side."""
    height, width = image.shape
    shrink = min(1.0, LONGEST / max(height, width))
    picture = Image.fromarray(image)
    if shrink < 1:
        picture = picture.resize(
            (max(1, round(width * shrink)), max(1, round(height * shrink))),
            Image.Resampling.LANCZOS,
        )
    packed = io.BytesIO()
    picture.save(packed, format="JPEG", quality=QUALITY, optimize=True)
    return packed.getvalue()


def curves(log: Path) -> dict[str, list[list[float]]]:
    """A run's curves, name → [epoch, value] of each, from its log.csv; {} where it has none.

    Of an epoch that was done again after a kill the last value counts. Lines that a kill has cut off are left out.
    """
    if not log.is_file():
        return {}
    found: dict[str, dict[int, float]] = {}
    for row in csv.reader(log.open(newline="", encoding="utf-8")):
        if len(row) == 4 and row[0].isdigit() and math.isfinite(value := number(row[2])):
            found.setdefault(row[1], {})[int(row[0])] = float(f"{value:.6g}")
    return {
        name: [[step, values[step]] for step in sorted(values)] for name, values in found.items()
    }


def number(text: str) -> float:
    """A figure of the log, NaN where it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan
