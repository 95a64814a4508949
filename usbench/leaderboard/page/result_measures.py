"""Clinical measurements on a result's page: a table, and two plots for each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from usbench.leaderboard.page.measure_charts import draw_agreement, draw_scatter
from usbench.metrics.measures.declared import Measure, read_measures
from usbench.metrics.measures.measurements import MEASURE, column_name
from usbench.metrics.scores import Figures, ProtocolScores
from usbench.results.measure_table import NAMES, measure_row, unit_of_figures
from usbench.results.result import Result

DRAWN = ("bias", "loa_low", "loa_high")
DIGITS = 6  # significant ones of a drawn value
Case = Mapping[str, str]  # a row of the case table


@dataclass(frozen=True)
class MeasureCard:
    """What the page shows of one measurement."""

    name: str
    description: str
    unit: str  # for people
    row: list[str]  # of the table
    pairs: list[tuple[float, float]]  # (true, predicted) of each image that has both
    failures: int  # images without a predicted value
    limits: dict[str, float]  # those of DRAWN that are defined
    tolerance: tuple[float, bool] | None  # (value, whether it is in % of the true value)

    @property
    def agreement(self) -> Markup:
        """Its Bland–Altman plot."""
        return draw_agreement(self.name, self.unit, self.pairs, self.limits, self.tolerance)

    @property
    def scatter(self) -> Markup:
        """Its plot of predicted by true values."""
        return draw_scatter(self.name, self.unit, self.pairs)


def measure_cards(result: Result, case_table: Sequence[Case]) -> list[MeasureCard]:
    """The measurements of a result, in the order of their declaration; [] without any."""
    scores = measure_scores(result)
    if scores is None:
        return []
    declared = read_measures((result.config.get("metric") or {}).get("measures"), result.task)
    return [
        make_card(measure, scores.per_class[measure.name], case_table)
        for measure in declared
        if measure.name in scores.per_class
    ]


def measure_scores(result: Result) -> ProtocolScores | None:
    """A result's scores by the protocol of measurements."""
    return next((part for part in result.protocols if part.name == MEASURE.name), None)


def make_card(measure: Measure, figures: Figures, case_table: Sequence[Case]) -> MeasureCard:
    """One measurement's part of the page."""
    unit = unit_of_figures(figures)
    of_target, of_prediction = (
        column_name(measure, side, unit) for side in ("target", "prediction")
    )
    pairs, failures = [], 0
    for row in case_table:
        if row.get(of_target) and row[of_prediction]:
            pairs.append((rounded(row[of_target]), rounded(row[of_prediction])))
        elif row.get(of_target):
            failures += 1
    limits = {}
    for name in DRAWN:
        value = figures[f"{name}_{unit}"].value
        if value is not None:
            limits[name] = rounded(value)
    tolerance = None
    if measure.tolerance and measure.tolerance.unit in ("pct", unit):
        tolerance = (measure.tolerance.value, measure.tolerance.unit == "pct")
    return MeasureCard(
        name=measure.name,
        description=measure.describe(),
        unit=NAMES.get(unit, unit),
        row=measure_row(measure.name, figures),
        pairs=pairs,
        failures=failures,
        limits=limits,
        tolerance=tolerance,
    )


def rounded(value: str | float) -> float:
    """A number with so many digits as a plot can show."""
    return float(f"{float(value):.{DIGITS}g}")
