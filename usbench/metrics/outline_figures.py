"""Outline distances over many images: HD, HD95, average symmetric distance and surface Dice.

Both masks empty: the case is skipped. One empty: surface Dice is 0; the distances are undefined and
counted (`undefined_px`, as a share `failure_rate`), and a second figure (`…:penalty`) takes the
image's diagonal instead. Figures in px and mm are kept apart. Nothing here is ever infinite.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from usbench.metrics.bootstrap import Draws, resample_means
from usbench.metrics.intervals import Scale, Spread, measure_spread
from usbench.metrics.outline_distances import PX, find_outlines
from usbench.metrics.ratios import mean_defined
from usbench.metrics.scores import Figure, Figures, Flags, class_figures, class_mean

TOLERANCE_PX = 2.0  # of the surface Dice
PENALTY = ":penalty"
FAILURES = "failure_rate"  # share of the cases with a mask that have no distance
UNIT = {  # column of the case table → its unit, or its tolerance's
    "nsd": "px",
    "hd_px": "px",
    "hd95_px": "px",
    "assd_px": "px",
    "nsd_mm": "mm",
    "hd_mm": "mm",
    "hd95_mm": "mm",
    "assd_mm": "mm",
}
NSD = {"px": "nsd", "mm": "nsd_mm"}  # unit → column of the surface Dice
REASON = {
    "px": "no image has the class in both masks",
    "mm": "no such image, or the pixels' size isn't known",
}

# One image and class: the columns above, diagonal_px and diagonal_mm, as far as they are defined.
Case = dict[str, float]


def measure_outlines(
    target: NDArray[np.bool_],
    prediction: NDArray[np.bool_],
    mm_per_px: tuple[float, float] | None,
    tolerance_px: float,
    tolerance_mm: float | None,
) -> Case:
    """Measure the outlines of one class in one image.

    Args:
        target: plane (H, W).
        prediction: plane (H, W).
        mm_per_px: (row, column); None: px only.
        tolerance_px: of the surface Dice.
        tolerance_mm: of the surface Dice; None: twice the larger side of a pixel.
    """
    if not target.any() and not prediction.any():
        return {}
    height, width = target.shape
    case: Case = {"diagonal_px": math.hypot(height, width)}
    units = {"px": (PX, tolerance_px)}
    if mm_per_px is not None:
        case["diagonal_mm"] = math.hypot(height * mm_per_px[0], width * mm_per_px[1])
        units["mm"] = (mm_per_px, 2 * max(mm_per_px) if tolerance_mm is None else tolerance_mm)
    outlines = find_outlines(target, prediction)
    if outlines is None:
        return case | {NSD[unit]: 0.0 for unit in units}
    measured = outlines.measure(*(spacing for spacing, _ in units.values()))
    for (unit, (_, tolerance)), distances in zip(units.items(), measured, strict=True):
        case[NSD[unit]] = distances.surface_dice(tolerance)
        case[f"hd_{unit}"] = distances.hausdorff()
        case[f"hd95_{unit}"] = distances.hausdorff(0.95)
        case[f"assd_{unit}"] = distances.mean()
    return case


def summarise_outlines(
    cases: Sequence[Sequence[Case]], draws: Draws
) -> tuple[Figures, list[Figures]]:
    """The figures of N images: mean over images per class, then over classes.

    Args:
        cases: N × C measured outlines.
        draws: resamples of the images' groups.

    Returns:
        (overall, one per class); no classes without an image.
    """
    overall: Figures = {}
    per_class: list[Figures] = [{} for _ in (cases[0] if cases else ())]
    for measure, unit in UNIT.items():
        for name in [measure] if measure == NSD[unit] else [measure, measure + PENALTY]:
            table = np.array([[case_value(case, name) for case in image] for image in cases])
            table = table.reshape(len(cases), len(per_class))
            counted = np.isfinite(table)
            spread = mean_spread(table, draws, scale_of(name))
            class_means = mean_defined(table, 0)
            overall[name] = class_mean(class_means, counted, REASON[unit], spread, draws)
            # Column by column: NumPy sums a whole table in another order, with other last bits.
            class_means = np.array([mean_defined(column) for column in table.T])
            figures = class_figures(class_means, counted, REASON[unit], spread, draws)
            for class_scores, figure in zip(per_class, figures, strict=True):
                class_scores[name] = figure
    for unit in NSD:
        _add_undefined(cases, unit, draws, overall, per_class)
    has_mask, undefined = _find_undefined(cases, "px", len(per_class))
    failures = np.where(has_mask, undefined, np.nan)
    rates, spread = mean_defined(failures, 0), mean_spread(failures, draws, "share")
    overall[FAILURES] = class_mean(rates, has_mask, REASON["px"], spread, draws)
    figures = class_figures(rates, has_mask, REASON["px"], spread, draws)
    for class_scores, figure in zip(per_class, figures, strict=True):
        class_scores[FAILURES] = figure
    return overall, per_class


def _add_undefined(
    cases: Sequence[Sequence[Case]],
    unit: str,
    draws: Draws,
    overall: Figures,
    per_class: Sequence[Figures],
) -> None:
    """Add the number of cases whose distances are undefined, because one mask is empty.

    They are counted among the cases with a mask.
    """
    has_mask, undefined = _find_undefined(cases, unit, len(per_class))
    has_any = np.asarray(has_mask.any(axis=1))
    columns = [(undefined, has_any), *zip(undefined.T, has_mask.T, strict=True)]
    for figures, (is_undefined, counted) in zip([overall, *per_class], columns, strict=True):
        count = float(is_undefined.sum()) if has_mask.any() else math.nan
        figures[f"undefined_{unit}"] = Figure.of(count, counted, REASON[unit], draws=draws)


def _find_undefined(
    cases: Sequence[Sequence[Case]], unit: str, classes: int
) -> tuple[Flags, Flags]:
    """(N, C) whether either mask has the class, and whether only one has it."""
    flat = [case for image in cases for case in image]
    has_mask = np.array([NSD[unit] in case for case in flat], bool).reshape(len(cases), classes)
    has_distance = np.array([f"hd_{unit}" in case for case in flat], bool)
    return has_mask, has_mask & ~has_distance.reshape(has_mask.shape)


def scale_of(name: str) -> Scale:
    """Which values a figure of outlines can have."""
    if name.endswith(PENALTY):
        return "penalised"
    return "share" if name in NSD.values() else "unbounded"


def mean_spread(table: NDArray[np.float64], draws: Draws, scale: Scale) -> Spread:
    """How the means of (N, C) values over the cases vary over groups."""
    return measure_spread(lambda draws: resample_means(table, draws), draws, scale)


def case_value(case: Case, name: str) -> float:
    """A case's figure, NaN where undefined.

    With the penalty it is the diagonal where one mask is empty.
    """
    column = name.removesuffix(PENALTY)
    unit = UNIT[column]
    if column not in case and name != column and NSD[unit] in case:
        column = f"diagonal_{unit}"
    return case.get(column, math.nan)
