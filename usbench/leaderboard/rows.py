"""The rows of the leaderboard and their scores."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from usbench.metrics.intervals import Method, corrected_error
from usbench.metrics.scores import Figure
from usbench.results.result import Cost
from usbench.types import Task

MEASURED: Collection[Method] = ("logit-t", "expanded-percentile")  # methods that rest on the SE
Recipe = tuple[str, str, str]  # model, recipe, the dataset that it was trained on
# The scores that a table shows; where no result names one, the first that is there sorts the rows.
TABLE_SCORES: Mapping[Task, tuple[str, ...]] = {
    "detect": ("map50_95", "map50", "map75", "ar100"),
    "segment": (
        "dice",
        "iou",
        "pooled_dice",
        "empty_false_positive_rate",
        "nsd",
        "hd95_px",
        "hd95_mm",
        "assd_mm",
        "mae_mm",
        "mae_px",
        "within_tolerance",
    ),
    "landmark": (
        "mre_px",
        "mre_mm",
        "median_re_px",
        "sdr_px_4",
        "sdr_mm_2",
        "mae_mm",
        "mae_px",
        "within_tolerance",
    ),
}


@dataclass(frozen=True)
class RowScore:
    """One score of a row: its value for each seed, and the mean of the seeds' intervals."""

    values: tuple[float | None, ...]
    low: float | None = None  # 95 % interval over cases of one training
    high: float | None = None
    errors: tuple[float | None, ...] = ()  # each seed's standard error over groups
    groups: int = 0
    df: float | None = None  # degrees of freedom of the errors, the fewest of the seeds
    higher_is_better: bool | None = None  # as a custom score declares it; None: it doesn't

    @staticmethod
    def of_seeds(figures: Sequence[Figure]) -> RowScore:
        """The score of a row from its figure for each seed."""
        return RowScore(
            values=tuple(figure.value for figure in figures),
            low=mean_if_all(figure.low for figure in figures),
            high=mean_if_all(figure.high for figure in figures),
            errors=tuple(map(figure_error, figures)),
            groups=figures[0].groups or 0,
            df=min(all_if_known(figure.df for figure in figures), default=None),
            higher_is_better=figures[0].higher_is_better,
        )

    @property
    def value(self) -> float | None:
        """Mean over the seeds; None where one of them is undefined."""
        return mean_if_all(self.values)

    @property
    def sd(self) -> float | None:
        """Sample standard deviation (n − 1) over the seeds; None for fewer than two."""
        values = all_if_known(self.values)
        return statistics.stdev(values) if len(values) > 1 else None

    @property
    def se(self) -> float | None:
        """Standard error over the groups of one training: the root mean square over the seeds."""
        errors = all_if_known(self.errors)
        return math.sqrt(statistics.fmean(error**2 for error in errors)) if errors else None


def figure_error(figure: Figure) -> float | None:
    """The standard error over groups, corrected for few of them.

    None without an interval, and where groups hardly differ, which leaves it unknown.
    """
    if figure.se is None or figure.df is None or figure.method not in MEASURED:
        return None
    return corrected_error(figure.se, figure.df)


def all_if_known(values: Iterable[float | None]) -> list[float]:
    """The values; [] where one is missing."""
    stated = list(values)
    known = [value for value in stated if value is not None]
    return known if len(known) == len(stated) else []


def mean_if_all(values: Iterable[float | None]) -> float | None:
    """The mean; None where a value is missing or there is none."""
    known = all_if_known(values)
    return statistics.fmean(known) if known else None


@dataclass(frozen=True)
class Agreement:
    """How a result relates to a published score.

    agrees: the 90 % interval of the difference lies within ±δ. higher, lower: the 95 % interval
    excludes 0 and the difference exceeds δ. Otherwise can't tell, with the reason.
    """

    verdict: str
    reason: str = ""
    low: float | None = None  # 95 % interval of ours minus theirs
    high: float | None = None


@dataclass(frozen=True)
class Row:
    """One recipe of ours (all its seeds) under one protocol, or one published row."""

    dataset: str
    task: Task
    origin: str  # run | external | human | baseline | published
    name: str
    status: str = "done"
    protocol: str = ""
    version: int | None = None
    split: str = "test"
    model: str | None = None
    recipe: str | None = None
    altered: str = ""  # what tells the run from the recipe of that name
    fold: int | None = None
    trained_on: str | None = None
    primary: str = ""
    higher_is_better: bool = True
    scores: Mapping[str, RowScore] = field(default_factory=dict)
    per_class: Mapping[str, RowScore] = field(default_factory=dict)  # of the primary score
    # The scores that the user's metric adds → by class, {} where they have no classes.
    custom: Mapping[str, Mapping[str, RowScore]] = field(default_factory=dict)
    target_score: float | None = None
    seeds: tuple[int, ...] = ()
    seeds_begun: int = 0  # more than `seeds` where some failed or lack folds
    folds: tuple[int, int] | None = None  # of a set of folds: how many each seed has, of how many
    pooled: bool = False  # the folds' cases are scored together; else scores are means over folds
    run_ids: tuple[str, ...] = ()
    parts: tuple[tuple[str, ...], ...] = ()  # the run ids by seed: several each for a set of folds
    parameters: int | None = None
    cost: Cost | None = None  # of one image
    training_hours: float | None = None  # the mean over the seeds
    counts: Mapping[str, int] = field(default_factory=dict)  # images by split
    leakage: int = 0  # test images that show what a training image shows
    # Correlation → how many test images correlate so much or more with a training image.
    similar: Mapping[float, int] = field(default_factory=dict)
    leakage_description: str = ""
    reporting: bool = False  # results on this dataset and task are reported by this protocol
    tuned: bool = False  # its values come from a search, so its recipe isn't quite the named one
    old_protocol: bool = False  # another result has a newer version of the protocol
    old_version: bool = False  # trained by an older version of the model's adapter than the code's
    description: str = ""  # of the protocol
    delta: float | None = None  # ours minus the published score
    delta_score: str = ""
    against: str = ""  # name of the published row
    agreement: Agreement | None = None  # with the published row
    rank: tuple[int, int] | None = None  # first and last place that paired tests leave it …
    ranked: int = 0  # … among so many rows
    # Of the two best rows: the difference near which p < .05 begins, and the true difference that
    # is detected with 80 % probability.
    significant_from: float | None = None
    resolution: float | None = None
    compared_groups: int = 0  # of the cases that the ranked rows were compared on
    marks: tuple[str, ...] = ()  # what differs from the published row, such as "≠ recipe"
    source: str = ""
    verified: str = ""
    note: str = ""

    @property
    def table(self) -> tuple[object, ...]:
        """Equal for rows of one table; tables are sorted by it, the reporting protocol first."""
        return (
            self.status != "done",
            not self.reporting,
            self.old_protocol,
            self.protocol == "unknown",
            self.protocol,
            -(self.version or 0),
            self.split != "test",
            self.split,
        )

    @property
    def has_all_folds(self) -> bool:
        """Whether no fold is missing."""
        return self.folds is None or self.folds[0] == self.folds[1]

    @property
    def recipe_label(self) -> str:
        """The recipe's name with what was altered, such as "quick (epochs 3)"; "" without one."""
        return f"{self.recipe or ''} ({self.altered})" if self.altered else self.recipe or ""

    def classes_of(self, custom: str = "") -> Mapping[str, RowScore]:
        """A custom score by class, or without its name the primary one; {} without classes."""
        return self.custom.get(custom, {}) if custom else self.per_class

    @property
    def score(self) -> RowScore | None:
        """The primary score."""
        return self.scores.get(self.primary)

    @property
    def value(self) -> float | None:
        """The value of the primary score."""
        return None if self.score is None else self.score.value


@dataclass(frozen=True)
class TransferTable:
    """Trained on × tested on, for one task."""

    task: Task
    tested: Sequence[str]  # datasets
    lines: Mapping[Recipe, Mapping[str, Row]]  # the recipe's row on each dataset that has one


def transfer_tables(rows: Iterable[Row]) -> list[TransferTable]:
    """Recipes that were scored on other datasets, with their row on the training dataset.

    Each figure is by the reporting protocol of the dataset that it was tested on.
    """
    by_task: dict[Task, dict[Recipe, dict[str, Row]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        current = row.reporting and row.folds is None
        current = current and not row.old_protocol and not row.old_version
        if current and row.origin == "run" and row.status == "done":
            recipe = (row.model or "", row.recipe_label, row.trained_on or row.dataset)
            by_task[row.task][recipe][row.dataset] = row
    tables = []
    for task, recipes in sorted(by_task.items()):
        lines = {}
        for recipe, by_dataset in sorted(recipes.items()):
            if any(row.trained_on for row in by_dataset.values()):
                lines[recipe] = by_dataset
        if lines:
            tables.append(TransferTable(task, sorted(set().union(*lines.values())), lines))
    return tables
