"""How often a 95 % interval contains the true value, simulated with the project's own functions.

    python scripts/bench_coverage.py [--simulations 2000] [--worst 24] [--processes 2]
                                     [--record] [--json FILE]

A cell is a figure, a shape of the images' values and a number of groups. Each simulation draws new
groups of 1 to 15 images, computes the figure with its interval, and beside it the percentile
interval of earlier versions from the same resamples. The true value is the figure of a million
images. The cells in which the new interval covers least, and those in which the old one seems closer
to 95 % by more than .01, are simulated again, five times as often.

Values are logit-normal (mean / SD 1.0 / .9 plain, 2.0 / 1.5 skewed, 3.2 / 1.0 near 1), with no,
5 % or 30 % failures (0, or a distance of 100 px; HD95 isn't defined there). A share of the logit's
variance is common to a group, likewise of the chance of a failure: the correlation.
"""

from __future__ import annotations

import math
import textwrap
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm

from scripts.record import (
    WIDTH,
    Record,
    describe_measurement,
    make_bench_parser,
    make_record,
    parse_options,
    save_record,
)
from usbench.cli.options import Options, add_numbers, run_verb
from usbench.io.console import table, track
from usbench.io.numbers import format_decimals
from usbench.metrics import detection_figures, mask_protocols, paired
from usbench.metrics.bootstrap import Draws, draw, resample_means, resample_sums
from usbench.metrics.box_protocols import THRESHOLDS, box_figures, measure_matches
from usbench.metrics.case_figures import mean_figure
from usbench.metrics.detect_scorer import ALL_AREAS_COCO
from usbench.metrics.intervals import ROUNDING, Scale
from usbench.metrics.matches import Matches
from usbench.metrics.paired import MeanScores
from usbench.metrics.scores import Figure

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]

PAGE = Path(__file__).resolve().parents[1] / "usbench" / "metrics" / "README.md"

GROUPS = (5, 6, 8, 10, 15, 25, 40, 100)
BOX_GROUPS = (5, 10, 25)  # mAP and FROC take long
SHAPES = {"plain": (1.0, 0.9), "skewed": (2.0, 1.5), "near 1": (3.2, 1.0)}  # logit: mean, SD
FAILURES = (0.0, 0.05, 0.3)
CORRELATIONS = (0.1, 0.5, 0.9)
RATES = (0.02, 0.07, 0.2)
MOST_IMAGES = 15  # of a group
TRUTH_GROUPS = 125_000  # about a million images
TRUTH_BOX_GROUPS = 12_500
SLOW = 4  # mAP and FROC are simulated so many times less often
AGAIN = 5  # the worst cells are simulated so many times more often
NOMINAL, REQUIRED = 0.95, 0.90


@dataclass(frozen=True)
class Population:
    """What groups and images are drawn from."""

    shape: str  # of SHAPES; "of images" for rates
    failures: float  # share of the images
    correlation: float

    @property
    def label(self) -> str:
        """For a table's first columns."""
        failing = f", {100 * self.failures:g} % failures" if self.failures else ""
        return f"{self.shape}{failing} | {format_decimals(self.correlation, 1)}"


@dataclass(frozen=True)
class Cell:
    """One figure of one population and number of groups."""

    figure: str
    population: Population
    groups: int


@dataclass(frozen=True)
class Coverage:
    """How often the intervals of a cell contain the true value."""

    cell: Cell
    simulations: int  # in which the figure has an interval
    none: int  # in which it has none
    new: float
    old: float  # of percentile intervals
    bound: float  # share of the new intervals that are at least the bound
    width: float  # median of the new intervals
    old_width: float

    def error(self, coverage: float) -> float:
        """The Monte Carlo standard error of a coverage."""
        return math.sqrt(coverage * (1 - coverage) / max(self.simulations, 1))

    @property
    def falls_short(self) -> bool:
        """Whether it should cover .90 and doesn't, by more than two standard errors."""
        is_required = self.cell.figure in MUST_COVER and not self.cell.population.failures
        return is_required and self.new < REQUIRED - 2 * self.error(self.new)

    @property
    def is_worse(self) -> bool:
        """Whether the old interval is closer to 95 % by more than .01."""
        return abs(self.old - NOMINAL) < abs(self.new - NOMINAL) - 0.01


# ---- what is drawn


@dataclass(frozen=True)
class Sample:
    """N images: the group of each, two models' logits, and whether they fail."""

    group: NDArray[np.int64]
    logits: tuple[Values, Values]
    failed: tuple[Flags, Flags]

    @property
    def names(self) -> list[str]:
        """The group of each image."""
        return list(map(str, self.group))

    def values(self, model: int = 0) -> Values:
        """(N,) a model's figure in [0, 1]; 0 where it fails."""
        return np.asarray(np.where(self.failed[model], 0.0, expit(self.logits[model])))


def draw_sample(population: Population, groups: int, rng: np.random.Generator) -> Sample:
    """Draw groups of 1 to 15 images. The second model is a little worse on similar images."""
    group = np.repeat(np.arange(groups), rng.integers(1, MOST_IMAGES + 1, groups))
    mean, sd = SHAPES.get(population.shape, (0.0, 1.0))
    quality = draw_models(group, population.correlation, rng)
    chance = draw_models(group, population.correlation, rng)
    first, second = (norm.cdf(values) < population.failures for values in chance)
    return Sample(group, (mean + sd * quality[0], mean - 0.2 + sd * quality[1]), (first, second))


def draw_models(
    group: NDArray[np.int64], correlation: float, rng: np.random.Generator
) -> tuple[Values, Values]:
    """(N,) standard normal values of two models, which correlate within groups and by .7."""

    def draw_values() -> Values:
        common = rng.standard_normal(group.max() + 1)[group]
        own = rng.standard_normal(len(group))
        return np.asarray(math.sqrt(correlation) * common + math.sqrt(1 - correlation) * own)

    first = draw_values()
    return first, 0.7 * first + math.sqrt(1 - 0.7**2) * draw_values()


# ---- figures


@dataclass(frozen=True)
class Measured:
    """A figure of one sample."""

    figure: Callable[[Draws], Figure]  # with its interval
    resample: Callable[[Draws], Values]  # (B,) in each resample


def measure_masks(name: str, protocol: str, sample: Sample, rng: np.random.Generator) -> Measured:
    """Dice or IoU by a protocol; larger objects score a little higher."""
    rule = mask_protocols.find_protocol(protocol)
    measure = {"dice": rule.dice, "iou": rule.iou}[name]
    spread = 0.5 * rng.standard_normal(len(sample.group))
    pixels = np.round(2000 * np.exp(spread + 0.1 * sample.logits[0]))
    hits = np.round(sample.values() * pixels)
    counts = np.stack([hits, pixels - hits, pixels - hits], axis=1)[:, None].astype(np.int64)
    known = np.ones(counts.shape[:2], bool)

    def resample(draws: Draws) -> Values:
        if rule.order == "pooled":
            return measure(resample_sums(counts, draws).astype(np.int64))[:, 0]
        return resample_means(measure(counts), draws)[:, 0]

    return Measured(
        lambda draws: mask_protocols.average_measure(measure, rule.order, counts, known, draws)[0],
        resample,
    )


def measure_mean(values: Values, scale: Scale) -> Measured:
    """The mean of (N,) values where they are defined."""
    defined = np.flatnonzero(np.isfinite(values))
    return Measured(
        lambda draws: mean_figure(values[defined], draws.select(defined), "nothing", scale),
        lambda draws: resample_means(values, draws),
    )


def measure_nsd(sample: Sample, rng: np.random.Generator) -> Measured:
    """Surface Dice."""
    return measure_mean(sample.values(), "share")


def measure_hd95(sample: Sample, rng: np.random.Generator) -> Measured:
    """HD95 in px, of the images that don't fail."""
    distances = 80 * (1 - expit(sample.logits[0]))
    return measure_mean(np.where(sample.failed[0], np.nan, distances), "unbounded")


def measure_mre(sample: Sample, rng: np.random.Generator) -> Measured:
    """Mean radial error in px; a failure is 100 px off."""
    scale = 15 * (1 - expit(sample.logits[0]))
    errors = scale * np.hypot(*rng.standard_normal((2, len(scale))))
    return measure_mean(np.where(sample.failed[0], 100.0, errors), "unbounded")


def measure_rate(sample: Sample, rng: np.random.Generator) -> Measured:
    """The share of the images that fail."""
    return measure_mean(sample.failed[0].astype(float), "share")


def measure_paired(sample: Sample, rng: np.random.Generator) -> Measured:
    """The difference of two models in Dice."""
    tables = [sample.values(model)[None, :, None] for model in (0, 1)]
    first, second = (MeanScores("", table, np.ones_like(table)) for table in tables)

    def figure(draws: Draws) -> Figure:
        spread = paired.spread_of_difference(first, second, draws)
        value = paired.score_model(first, draws) - paired.score_model(second, draws)
        interval, _ = paired.interval_of_difference(value, first, spread, draws)
        return Figure(
            value,
            len(sample.group),
            low=interval.low,
            high=interval.high,
            method=interval.method,
        )

    return Measured(figure, lambda draws: first.scores(draws) - second.scores(draws))


def draw_matches(sample: Sample, rng: np.random.Generator) -> Matches:
    """Matches of two objects in each image; score and IoU rise with the image's value."""
    images = len(sample.group)
    quality = np.repeat(sample.values(), 2)
    found = quality > 0
    iou = 0.3 + 0.6 * quality + 0.1 * rng.standard_normal(len(quality))
    score = np.clip(quality + 0.15 * rng.standard_normal(len(quality)), 0.01, 1)
    false_image = np.repeat(np.arange(images), rng.poisson(3 * (1.1 - sample.values())))
    image = np.concatenate([np.repeat(np.arange(images), 2)[found], false_image])
    hit = np.zeros((len(THRESHOLDS), len(image)), bool)
    hit[:, : found.sum()] = iou[found] >= THRESHOLDS[:, None]
    return Matches.from_unsorted(
        label=np.zeros(len(image), np.int64),
        image=image,
        score=np.concatenate([score[found], rng.beta(2, 4, len(false_image))]),
        rank=np.zeros(len(image), np.int64),
        hit=hit,
        ignored=np.zeros_like(hit),
        targets=np.full((images, 1), 2),
    )


def measure_map(sample: Sample, rng: np.random.Generator) -> Measured:
    """mAP50-95 by COCO's protocol."""
    protocol, matches = replace(ALL_AREAS_COCO, recall_at=()), [draw_matches(sample, rng)]
    return Measured(
        lambda draws: box_figures(protocol, matches, ["object"], draws)[0]["map50_95"],
        lambda draws: measure_matches(protocol, matches, draws.case_weights)["map50_95"][:, 0],
    )


def measure_froc(sample: Sample, rng: np.random.Generator) -> Measured:
    """Sensitivity at half a false positive per image."""
    matches = draw_matches(sample, rng)
    rates = np.array(detection_figures.FROC_RATES)
    return Measured(
        lambda draws: detection_figures.froc_figures(matches, draws)["sens_fppi_0.5"],
        lambda draws: detection_figures.sensitivities(matches, rates, draws.case_weights)[:, 1],
    )


FIGURES: Mapping[str, Callable[[Sample, np.random.Generator], Measured]] = {
    "Dice": partial(measure_masks, "dice", "usbench"),
    "pooled Dice": partial(measure_masks, "dice", "pooled"),
    "IoU": partial(measure_masks, "iou", "usbench"),
    "NSD": measure_nsd,
    "HD95": measure_hd95,
    "MRE": measure_mre,
    "paired Dice": measure_paired,
    "mAP50-95": measure_map,
    "FROC": measure_froc,
    "rate": measure_rate,
}
BOXES = ("mAP50-95", "FROC")
MUST_COVER = ("Dice", "pooled Dice", "mAP50-95", "paired Dice")


# ---- simulations


def list_cells() -> list[Cell]:
    """The design: each shape with each number of groups; failures and correlations take turns."""
    cells = []
    for f, figure in enumerate(FIGURES):
        populations = [
            Population(shape, failures, CORRELATIONS[(f + n) % len(CORRELATIONS)])
            for n, (shape, failures) in enumerate(product(SHAPES, FAILURES))
        ]
        groups: Sequence[int] = GROUPS
        if figure in BOXES:
            populations = [Population(shape, 0.0, 0.5) for shape in SHAPES]
            groups = BOX_GROUPS
        if figure == "rate":
            populations = [
                Population("of images", rate, correlation)
                for rate, correlation in product(RATES, CORRELATIONS)
            ]
        cells += [Cell(figure, *pair) for pair in product(populations, groups)]
    return cells


def simulate(cell: Cell, simulations: int) -> Coverage:
    """Simulate a cell. Its random stream depends on the cell and the number of simulations."""
    rng = np.random.default_rng([simulations, cell.groups, *repr(cell).encode()])
    truth = true_value(cell.figure, cell.population)
    ends, old_ends, bounds = [], [], 0
    for _ in range(simulations):
        sample = draw_sample(cell.population, cell.groups, rng)
        draws = draw(sample.names)
        measured = FIGURES[cell.figure](sample, rng)
        figure = measured.figure(draws)
        if figure.low is None or figure.high is None:
            continue
        bounds += figure.method == "bound"
        ends.append((figure.low, figure.high))
        old_ends.append(np.nanquantile(measured.resample(draws), [0.025, 0.975]))
    new, old = np.array(ends).reshape(-1, 2), np.array(old_ends).reshape(-1, 2)
    return Coverage(
        cell=cell,
        simulations=len(new),
        none=simulations - len(new),
        new=share_covered(new, truth),
        old=share_covered(old, truth),
        bound=bounds / max(len(new), 1),
        width=float(np.median(new[:, 1] - new[:, 0])) if len(new) else math.nan,
        old_width=float(np.median(old[:, 1] - old[:, 0])) if len(old) else math.nan,
    )


def share_covered(ends: Values, truth: float) -> float:
    """The share of intervals (S, 2) that contain the true value."""
    covers = (ends[:, 0] <= truth + ROUNDING) & (truth <= ends[:, 1] + ROUNDING)
    return float(covers.mean()) if len(ends) else math.nan


@cache
def true_value(figure: str, population: Population) -> float:
    """The figure of a very large sample."""
    rng = np.random.default_rng([0, *f"{figure} {population}".encode()])
    groups = TRUTH_BOX_GROUPS if figure in BOXES else TRUTH_GROUPS
    sample = draw_sample(population, groups, rng)
    everything = Draws(sample.group, np.ones((1, groups)))
    return float(FIGURES[figure](sample, rng).resample(everything)[0])


def simulate_cells(
    cells: Sequence[Cell], simulations: int, processes: int, label: str
) -> list[Coverage]:
    """Simulate cells in processes, with a progress bar."""
    counts = [simulations // SLOW if cell.figure in BOXES else simulations for cell in cells]
    with ProcessPoolExecutor(processes) as pool:
        return list(track(pool.map(simulate, cells, counts), label, len(cells)))


def simulate_design(simulations: int, worst: int, processes: int) -> list[Coverage]:
    """All cells; the worst, and those where the old interval seems better, again, more often."""
    coverages = simulate_cells(list_cells(), simulations, processes, "simulating")
    order = sorted(range(len(coverages)), key=lambda n: coverages[n].new)
    again = [n for place, n in enumerate(order) if place < worst or coverages[n].is_worse]
    cells = [coverages[n].cell for n in again]
    repeated = simulate_cells(cells, simulations * AGAIN, processes, "the worst again")
    for n, coverage in zip(again, repeated, strict=True):
        coverages[n] = coverage
    return coverages


# ---- tables


def format_coverage(record: Record) -> str:
    """The whole table and its exceptions, in Markdown."""
    coverages = list(map(read_coverage, record.figures))  # type: ignore[call-overload]
    lines = [*format_rows(coverages), "", *list_exceptions(coverages), ""]
    return "\n".join([*lines, describe_measurement(record)])


def format_rows(coverages: Sequence[Coverage]) -> list[str]:
    """The lines of the table, the row with the lowest coverage first."""
    rows: dict[tuple[str, Population], dict[int, Coverage]] = defaultdict(dict)
    for coverage in coverages:
        cell = coverage.cell
        rows[cell.figure, cell.population][cell.groups] = coverage
    worst_first = sorted(rows.items(), key=lambda row: min(c.new for c in row[1].values()))
    lines = [
        f"| figure | images | correlation | {' | '.join(map(str, GROUPS))} |",
        f"|---|---|--:|{'--:|' * len(GROUPS)}",
    ]
    for (figure, population), by_groups in worst_first:
        cells = [format_cell(by_groups.get(groups)) for groups in GROUPS]
        lines.append(f"| {figure} | {population.label} | {' | '.join(cells)} |")
    return lines


def format_cell(coverage: Coverage | None) -> str:
    """New and old coverage, each with its Monte Carlo error in units of the last digit."""
    if coverage is None or not coverage.simulations:
        return "–"
    parts = []
    for value in (coverage.new, coverage.old):
        parts.append(f"{format_decimals(value)}({round(1000 * coverage.error(value))})")
    return " / ".join(parts)


def list_exceptions(coverages: Sequence[Coverage]) -> list[str]:
    """The cells that fall short, and those in which the old interval is closer to 95 %."""
    texts = []
    for title, chosen in (
        ("Below .90, where .90 is required", [c for c in coverages if c.falls_short]),
        ("Old intervals closer to .95 by more than .01", [c for c in coverages if c.is_worse]),
    ):
        names = [
            f"{c.cell.figure}, {c.cell.population.shape}, {100 * c.cell.population.failures:g} % "
            f"failures, {c.cell.groups} groups: {format_decimals(c.new)} against "
            f"{format_decimals(c.old)} (bound in {100 * c.bound:.0f} %)"
            for c in chosen
        ]
        texts.append(f"{title}: {'; '.join(names) or 'none'}.")
    texts.append(describe_rare_failures(coverages))
    return [
        textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False) for text in texts
    ]


def describe_rare_failures(coverages: Sequence[Coverage]) -> str:
    """The coverage with few groups where failures are rare and other values near 1."""
    parts = []
    for groups in (5, 10):
        values = [
            f"{c.cell.figure} {format_decimals(c.new)}"
            for c in coverages
            if c.cell.population.shape == "near 1"
            and c.cell.population.failures == FAILURES[1]
            and c.cell.groups == groups
        ]
        parts.append(f"{groups} groups: {', '.join(values)}")
    return (
        "No formula of this kind covers rare failures beside values near 1, since few groups often "
        f"have none of them. With 5 % failures, of {'; '.join(parts)}."
    )


def read_coverage(content: Mapping[str, Any]) -> Coverage:
    """A coverage from a record."""
    cell = content["cell"]
    population = Population(**cell["population"])
    return Coverage(**{**content, "cell": Cell(**{**cell, "population": population})})


def bench(options: Options) -> None:
    """Simulate, show the worst cells, record."""
    coverages = simulate_design(options.simulations, options.worst, options.processes)
    worst = sorted(coverages, key=lambda coverage: coverage.new)[:20]
    rows = [
        [
            coverage.cell.figure,
            coverage.cell.population.label.replace(" | ", ", "),
            str(coverage.cell.groups),
            format_decimals(coverage.new),
            format_decimals(coverage.old),
            f"±{format_decimals(coverage.error(coverage.new))}",
        ]
        for coverage in worst
    ]
    table("lowest coverage", ["figure", "images", "groups", "new", "old", "error"], rows)
    record = make_record("bench_coverage", options, (), list(map(asdict, coverages)), ("scipy",))
    save_record(options, record, page=PAGE, format_table=format_coverage)


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = make_bench_parser(__doc__)
    add_numbers(parser, simulations=2000, worst=24, processes=2)
    return run_verb(bench, parse_options(parser, argv))


if __name__ == "__main__":
    raise SystemExit(main())
