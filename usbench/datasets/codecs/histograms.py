"""Histograms of confidence, written beside a prediction: per image and class 15 bins of pixels.

    {"shape": [2, 15, 3], "images": [[…90 numbers…], …]}

The numbers run over class, bin, and (pixels, sum of their confidence, how many are right).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from usbench.datasets.codecs.readers import is_number, read_json
from usbench.errors import DataError
from usbench.io.files import write_atomically

Table = NDArray[np.float64]  # (N, C, bins, 3)


def write_histograms(path: Path, images: Iterable[Table], classes: int, bins: int) -> None:
    """Write (C, bins, 3) of each image, in order; sums of confidence with nine digits."""
    lines = []
    for table in images:
        if table.shape != (classes, bins, 3):
            raise ValueError(f"expected a table of {(classes, bins, 3)}, got {table.shape}")
        numbers = [float(f"{value:.9g}") for value in table.ravel().tolist()]
        lines.append(json.dumps(numbers, separators=(",", ":")))
    rows = ",\n".join(lines)
    write_atomically(path, f'{{"shape": [{classes}, {bins}, 3], "images": [\n{rows}\n]}}\n')


def read_histograms(path: Path, images: int, classes: int, bins: int) -> Table:
    """(N, C, bins, 3).

    DataError for a missing, cut-off or damaged file, and one of other images or classes.
    """
    expected = f"histograms of {images} images and {classes} classes"
    value = read_json(path, expected, "predict again")
    size = classes * bins * 3
    shape = [classes, bins, 3]
    rows = value.get("images") if isinstance(value, dict) and value.get("shape") == shape else None
    if not isinstance(rows, list) or len(rows) != images:
        raise DataError(f"{path}: expected {expected}, got others; predict again")
    for number, row in enumerate(rows, start=1):
        if (
            not isinstance(row, list)
            or len(row) != size
            or not all(is_number(cell, 0, 1e12) for cell in row)
        ):
            raise DataError(
                f"{path}: image {number}: expected {size} numbers of 0 or more, got others; "
                "predict again"
            )
    return np.array(rows, np.float64).reshape(images, classes, bins, 3)
