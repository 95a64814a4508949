"""A score as text, the same in the terminal, on the leaderboard and on the pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from usbench.io.numbers import format_decimals
from usbench.results.store import lower_is_better
from usbench.types import Task

UNDEFINED = "–"
USUAL_SCORES: Mapping[Task, tuple[str, ...]] = {  # the columns of a table per class
    "segment": ("dice", "iou", "nsd", "hd95_px"),
    "detect": ("map50_95", "map50", "map75", "ar100"),
    "landmark": ("mre_px", "mre_mm", "curve_mean_px", "sdr_px_4"),
}
TASK_TITLES: Mapping[Task, str] = {"segment": "masks", "detect": "boxes", "landmark": "landmarks"}
SCORE_TITLES: Mapping[str, str] = {  # for people; what isn't here is shown by its own name
    "dice": "Dice",
    "iou": "IoU",
    "pooled_dice": "pooled Dice",
    "dice_both_drawn": "Dice where both drew",
    "empty_false_positive_rate": "false alarms",
    "nsd": "surface Dice (px)",
    "nsd_mm": "surface Dice (mm)",
    "hd_px": "HD, px",
    "hd_mm": "HD, mm",
    "hd95_px": "HD95, px",
    "hd95_mm": "HD95, mm",
    "assd_px": "ASSD, px",
    "assd_mm": "ASSD, mm",
    "undefined_px": "masks without a distance, px",
    "undefined_mm": "masks without a distance, mm",
    "failure_rate": "failure rate",
    "ece": "calibration error",
    "auroc_image": "AUROC per image",
    "map50_95": "mAP50-95",
    "map50": "mAP50",
    "map75": "mAP75",
    "map_small": "mAP small",
    "map_medium": "mAP medium",
    "map_large": "mAP large",
    "ar1": "AR1",
    "ar10": "AR10",
    "ar100": "AR100",
    "ar_small": "AR small",
    "ar_medium": "AR medium",
    "ar_large": "AR large",
    "f1": "F1",
    "fp_per_empty_image": "false boxes per empty image",
    "minus_mre_px": "minus mean radial error (px)",
    "mre_px": "mean radial error, px",
    "mre_mm": "mean radial error, mm",
    "mre_diag": "mean radial error, of the diagonal",
    "median_re_px": "median radial error, px",
    "median_re_mm": "median radial error, mm",
    "sd_re_px": "SD of radial errors, px",
    "sd_re_mm": "SD of radial errors, mm",
    "curve_mean_px": "curve distance, px",
    "curve_mean_mm": "curve distance, mm",
    "curve_hd_px": "curve HD, px",
    "curve_hd_mm": "curve HD, mm",
    "ofd_nme": "OFD error (NME)",
    "bpd_nme": "BPD error (NME)",
    "tad_nme": "TAD error (NME)",
    "apad_nme": "APAD error (NME)",
    "fl_nme": "FL error (NME)",
    "presence_f1": "F1 of presence",
    "presence_auroc": "AUROC of presence",
    "presence_ece": "calibration error of presence",
    "false_presence": "found though not in view",
    "within_tolerance": "within tolerance",
    "icc": "ICC",
    "ctr": "CTR accuracy",
    "lvid_sd_mm": "SD of LVID, mm",
}
FAMILIES = (  # (pattern of a score's name, its title)
    (re.compile(r"sdr_(px|mm)_(.+)"), r"within \2 \1"),
    (re.compile(r"sens_fppi_(.+)"), r"sensitivity at \1 false boxes"),
    (re.compile(r"mae_pct"), "absolute error, %"),  # of measurements
    (re.compile(r"bias_pct"), "bias, %"),
    (re.compile(r"mae_(mm2?|px2?|deg)"), r"absolute error, \1"),
    (re.compile(r"(bias|sd)_(mm2?|px2?|deg)"), r"\1, \2"),
    (re.compile(r"loa_(low|high)_(mm2?|px2?|deg)"), r"\1 limit of agreement, \2"),
)
COUNTS = ("undefined_px", "undefined_mm")
SHARES = ("_diag", "_nme")  # endings of distances as a fraction of another
VARIANTS = {"no-leak": " without leaking images", "penalty": " with penalty"}
DIRECTIONS = {True: " ↑", False: " ↓", None: ""}  # is higher better?


class ValueWithInterval(Protocol):
    """A score with its 95 % interval, such as a Figure; None where it is undefined."""

    @property
    def low(self) -> float | None:
        """The interval's lower end."""

    @property
    def high(self) -> float | None:
        """The interval's upper end."""

    @property
    def value(self) -> float | None:
        """The figure; None where it is undefined."""


def format_value(value: float | None, score: str, sign: str = "") -> str:
    """Three decimals without a leading zero, such as .873.

    A distance in px or mm has two decimals, a count none.

    Args:
        value: None is shown as –.
        score: its name, which tells distances from shares.
        sign: "+" to show the sign of a positive value, as for a difference.
    """
    if value is None:
        return UNDEFINED
    if score in COUNTS:
        return f"{round(value, 1):{sign}g}".replace("-", "−")
    if lower_is_better(score) and not score.endswith(SHARES):
        return f"{round(value, 2) + 0.0:{sign}.2f}".replace("-", "−")
    return format_decimals(value, sign=sign)


def score_title(score: str, higher_is_better: bool | None = None) -> str:
    """A score's name for people: Dice, mAP50-95, within 4 px.

    Args:
        score: its name in results; a custom score keeps it.
        higher_is_better: as a custom score declares it; an arrow shows it.
    """
    base, *variants = score.split(":")
    title = SCORE_TITLES.get(base, base)
    for pattern, replacement in FAMILIES:
        if match := pattern.fullmatch(base):
            title = match.expand(replacement)
    title += "".join(VARIANTS.get(variant, f":{variant}") for variant in variants)
    return with_direction(title, higher_is_better)


def with_direction(title: str, higher_is_better: bool | None) -> str:
    """A title with an arrow towards better values; None: the direction isn't declared."""
    return f"{title}{DIRECTIONS[higher_is_better]}"


def format_interval(interval: ValueWithInterval | None, score: str) -> str:
    """The interval as [low, high]; "" where there is none."""
    if interval is None or interval.low is None or interval.high is None:
        return ""
    return f"[{format_value(interval.low, score)}, {format_value(interval.high, score)}]"


def format_with_interval(figure: ValueWithInterval | None, score: str) -> str:
    """The value with its interval, if it has one; – where the figure is missing or undefined."""
    value = format_value(figure.value if figure else None, score)
    return f"{value} {format_interval(figure, score)}".rstrip()


def format_named(figure: ValueWithInterval | None, score: str) -> str:
    """The score's name, value, unit and interval: Dice .669 [.611, .723]; HD95 3.45 px."""
    title, unit = title_and_unit(score)
    value = format_value(figure.value if figure else None, score)
    return " ".join(filter(None, (title, value, unit, format_interval(figure, score))))


def format_difference(difference: float, score: str) -> str:
    """A difference without its sign: 1.2 Dice points, or 0.35 px of a distance."""
    title, unit = title_and_unit(score)
    if lower_is_better(score) and not score.endswith(SHARES):
        return f"{format_value(abs(difference), score)} {unit}"
    return f"{100 * abs(difference):.1f} {title} points"


def title_and_unit(score: str) -> tuple[str, str]:
    """(a score's name, the unit of its values): ("HD95", "px"), ("Dice", "")."""
    title, _, unit = score_title(score).partition(", ")
    return title, unit
