"""What the board is made of: rows and their figures."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from usbench.leaderboard.agreement import Verdict

MAIN = {  # the scores a table shows, the one to sort by first where no record names it
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
    ),
    "landmark": ("mre_px", "mre_mm", "median_re_px", "sdr_px_4", "sdr_mm_2"),
}


@dataclass(frozen=True)
class Figure:
    """One score: its value for each seed, and the interval over cases of one training (the mean of the seeds' ends)."""

    values: tuple[float | None, ...]
    low: float | None = None
    high: float | None = None
    errors: tuple[
        float | None, ...
    ] = ()  # the standard error of each seed's value over groups, where it has one
    groups: int = 0

    @property
    def mean(self) -> float | None:
        """Mean over the seeds; None where one of them is undefined."""
        known = [value for value in self.values if value is not None]
        return statistics.fmean(known) if known and len(known) == len(self.values) else None

    @property
    def sd(self) -> float | None:
        """Sample standard deviation (n − 1) over the seeds."""
        known = [value for value in self.values if value is not None]
        return statistics.stdev(known) if len(known) == len(self.values) > 1 else None

    @property
    def se(self) -> float | None:
        """Standard error over the groups of one training: the root mean square over the seeds; None where one has
        none."""
        known = [error for error in self.errors if error is not None]
        if not known or len(known) < len(self.errors):
            return None
        return math.sqrt(statistics.fmean(error**2 for error in known))


@dataclass(frozen=True)
class Row:
    """One line of the board: a recipe of ours (all its seeds) under one protocol, or one published row."""

    dataset: str
    task: str
    origin: str  # run | external | human | baseline | published
    name: str
    status: str = "done"
    protocol: str = ""
    version: int | None = None
    split: str = "test"
    model: str | None = None
    recipe: str | None = None
    fold: int | None = None
    trained_on: str | None = None
    primary: str = ""
    higher: bool = True
    scores: Mapping[str, Figure] = field(default_factory=dict)
    per_class: Mapping[str, Figure] = field(default_factory=dict)  # of the primary score
    target_score: float | None = None
    seeds: tuple[int, ...] = ()
    wanted: int = 0  # seeds that were begun; more than `seeds` where some failed or lack folds
    folds: tuple[int, int] | None = None  # of a set of folds: how many each seed has, of how many
    pooled: bool = (
        False  # the folds' cases are scored together; else the figures are means over folds
    )
    keys: tuple[str, ...] = ()
    parts: tuple[tuple[str, ...], ...] = ()  # the same by seed: of a set of folds several each
    parameters: int | None = None
    cost: Mapping[str, Any] | None = None  # of one image, as scripts/bench_models.py measures it
    hours: float | None = None  # of training, the mean over the seeds
    counts: Mapping[str, int] = field(default_factory=dict)
    leak: int = 0
    leakage_description: str = ""
    own: bool = (
        False  # the protocol is the one that results on this dataset and task are reported by
    )
    tuned: bool = (
        False  # its values are a search's, so its recipe isn't quite the one that it is named after
    )
    old: bool = False  # an older version of a protocol than the newest among the records
    description: str = ""
    delta: float | None = None
    delta_score: str = ""
    against: str = ""
    agreement: Verdict | None = None  # with the published row
    rank: tuple[int, int] | None = None  # first and last place that paired tests leave it …
    ranked: int = 0  # … among so many rows
    resolution: float | None = (
        None  # smallest difference of the two best that the table's cases would show
    )
    marks: tuple[str, ...] = ()
    source: str = ""
    verified: str = ""
    note: str = ""

    @property
    def table(self) -> tuple[Any, ...]:
        """What the rows of one table share, in the order of tables."""
        other = (
            not self.own,
            self.old,
            self.protocol == "unknown",
            self.protocol,
            -(self.version or 0),
        )
        return (self.status != "done", *other, self.split != "test", self.split)

    @property
    def whole(self) -> bool:
        """Whether no fold is missing."""
        return self.folds is None or self.folds[0] == self.folds[1]

    @property
    def value(self) -> float | None:
        """The primary score."""
        return self.scores[self.primary].mean if self.primary in self.scores else None


@dataclass(frozen=True)
class Transfer:
    """Trained on × tested on, of one task: a line per recipe, a cell per dataset that it was tested on."""

    task: str
    tested: tuple[str, ...]
    lines: tuple[
        tuple[str, str, str, tuple[Row | None, ...]], ...
    ]  # model, recipe, trained on, on each of tested


def transfers(rows: Sequence[Row]) -> list[Transfer]:
    """Of recipes that were evaluated on other datasets: their rows there, and on the dataset that they were trained on,
    each by the protocol of the dataset it is tested on."""
    own = [row for row in rows if row.own and not row.old and row.folds is None]
    ours = [row for row in own if row.origin == "run" and row.status == "done"]
    return [_transfer(task, ours) for task in sorted({row.task for row in ours if row.trained_on})]


def _transfer(task: str, ours: Sequence[Row]) -> Transfer:
    of_task = [row for row in ours if row.task == task]
    recipes = sorted(
        {(row.model or "", row.recipe or "", row.trained_on) for row in of_task if row.trained_on}
    )
    found = {
        (row.model or "", row.recipe or "", row.trained_on or row.dataset, row.dataset): row
        for row in of_task
    }
    tested = tuple(sorted({key[3] for key in found if key[:3] in recipes}))
    return Transfer(
        task,
        tested,
        tuple((*one, tuple(found.get((*one, name)) for name in tested)) for one in recipes),
    )
