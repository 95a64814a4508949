"""Figures of outlines over many images: HD, HD95, average symmetric surface distance, surface Dice; px and mm apart.

Both masks empty: the case is skipped. One empty: surface Dice 0, the distances are undefined and counted, and stand in
a second figure (`…:penalty`) with the image's diagonal. Nothing here is ever infinite.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from usbench.errors import ConfigError
from usbench.metrics import surfaces
from usbench.metrics.bootstrap import Draws, means
from usbench.metrics.scores import Figure, Figures, bounded, mean

TOLERANCE_PX = 2.0  # of the surface Dice
PENALTY = ":penalty"
UNIT = {
    "nsd": "px",
    "hd_px": "px",
    "hd95_px": "px",
    "assd_px": "px",
}  # column → its unit, or its tolerance's
UNIT |= {"nsd_mm": "mm", "hd_mm": "mm", "hd95_mm": "mm", "assd_mm": "mm"}
NSD = {"px": "nsd", "mm": "nsd_mm"}
LOST = {
    "px": "no image has the class in both masks",
    "mm": "no such image, or the pixels' size isn't known",
}

Case = dict[
    str, float
]  # one image and class: the columns and diagonal_px, diagonal_mm, as far as they are defined


def measured(
    truth: NDArray[np.bool_],
    prediction: NDArray[np.bool_],
    mm_per_px: tuple[float, float] | None,
    tolerance_px: float,
    tolerance_mm: float | None,
) -> Case:
    """Of one class's (H, W) planes. mm_per_px: (row, column); tolerance_mm None: twice the larger side of a pixel."""
    there, found = bool(truth.any()), bool(prediction.any())
    if not there and not found:
        return {}
    height, width = truth.shape
    case: Case = {"diagonal_px": math.hypot(height, width)}
    units = {"px": (surfaces.PX, tolerance_px)}
    if mm_per_px is not None:
        case["diagonal_mm"] = math.hypot(height * mm_per_px[0], width * mm_per_px[1])
        units["mm"] = (mm_per_px, tolerance_mm if tolerance_mm is not None else 2 * max(mm_per_px))
    for unit, (spacing, tolerance) in units.items():
        apart = surfaces.distances(truth, prediction, spacing)
        case[NSD[unit]] = 0.0 if apart is None else apart.within(tolerance)
        if apart is not None:
            case |= {
                f"hd_{unit}": apart.hausdorff(),
                f"hd95_{unit}": apart.hausdorff(0.95),
                f"assd_{unit}": apart.mean(),
            }
    return case


def check_tolerances(px: float, mm: float | None) -> None:
    """ConfigError for a tolerance that isn't a length."""
    for name, value in (("tolerance_px", px), ("tolerance_mm", mm)):
        if value is not None and not (isinstance(value, (int, float)) and 0 <= value < math.inf):
            raise ConfigError(f"metric.{name}={value}: a length of 0 or more was wanted")


def figures(cases: Sequence[Sequence[Case]], draws: Draws) -> tuple[Figures, list[Figures]]:
    """(overall, one per class) of N images' C cases: mean over images per class, then over classes."""
    classes = len(cases[0]) if cases else 0
    overall: Figures = {}
    per_class: list[Figures] = [{} for _ in range(classes)]
    for column, unit in UNIT.items():
        reason = LOST[unit]
        for name in [column] if column == NSD[unit] else [column, column + PENALTY]:
            table = np.array([[value(case, name) for case in row] for row in cases]).reshape(
                len(cases), classes
            )
            drawn = means(table, draws)
            overall[name] = of(table, mean(mean(table, 0)), mean(drawn, 1), draws, reason)
            for c, found in enumerate(per_class):
                found[name] = of(table[:, c], mean(table[:, c]), drawn[:, c], draws, reason)
    for unit in NSD:
        undefined = np.array(
            [[NSD[unit] in case and f"hd_{unit}" not in case for case in row] for row in cases]
        )
        counts = undefined.reshape(len(cases), classes).sum(axis=0)
        told = any(f"diagonal_{unit}" in case for row in cases for case in row)
        for found, count in zip([overall, *per_class], [counts.sum(), *counts], strict=True):
            found[f"undefined_{unit}"] = (
                Figure(float(count), len(cases)) if told else Figure(None, 0, LOST[unit])
            )
    return overall, per_class


def of(
    values: NDArray[np.float64], total: float, drawn: NDArray[np.float64], draws: Draws, reason: str
) -> Figure:
    """A figure of so many defined values, with its interval."""
    return bounded(
        Figure.of(float(total), int(np.isfinite(values).sum()), reason), drawn, draws.groups
    )


def value(case: Mapping[str, float], name: str) -> float:
    """A case's figure, NaN where it is undefined; with the penalty, the diagonal where one mask is empty."""
    plain = name.removesuffix(PENALTY)
    if plain in case:
        return case[plain]
    unit = UNIT[plain]
    return case[f"diagonal_{unit}"] if name != plain and NSD[unit] in case else math.nan
