"""The table of clinical measurements in a terminal: a row per measurement."""

from __future__ import annotations

from collections.abc import Sequence

from usbench.io.console import say, table
from usbench.metrics.measures.agreement_figures import LIMITS
from usbench.metrics.measures.measurements import MEASURE
from usbench.metrics.scores import Figures, ProtocolScores
from usbench.results.format import format_value, format_with_interval

HEADER = (
    *("measurement", "unit", "bias", "limits of agreement", "absolute error", "absolute error, %"),
    *("within tolerance", "ICC", "failures", "n"),
)
NAMES = {"mm2": "mm²", "px2": "px²", "deg": "°"}


def without_measures(protocols: Sequence[ProtocolScores]) -> list[ProtocolScores]:
    """The protocols that score masks, boxes or places."""
    return [protocol for protocol in protocols if protocol.name != MEASURE.name]


def show_measures(protocols: Sequence[ProtocolScores]) -> None:
    """Print the table, where one of the protocols is that of measurements."""
    for protocol in protocols:
        if protocol.name == MEASURE.name:
            lines = [measure_row(name, part) for name, part in protocol.per_class.items()]
            say("")
            table("measurements, with 95 % intervals", HEADER, lines)


def measure_row(name: str, figures: Figures) -> list[str]:
    """The cells of one measurement."""
    unit = unit_of_figures(figures)
    bias, _, low, high = (f"{part}_{unit}" for part in LIMITS)
    limits = "–"
    if figures[low].value is not None:
        limits = (
            f"{format_value(figures[low].value, low)} to {format_value(figures[high].value, high)}"
        )
    shown = (f"mae_{unit}", "mae_pct", "within_tolerance", "icc", "failure_rate")
    bias_text, *texts = (format_with_interval(figures.get(part), part) for part in (bias, *shown))
    return [name, NAMES.get(unit, unit), bias_text, limits, *texts, str(figures[bias].n)]


def unit_of_figures(figures: Figures) -> str:
    """The unit of a measurement's errors, by its figures' names."""
    return next(name for name in figures if name.startswith("bias_")).removeprefix("bias_")
