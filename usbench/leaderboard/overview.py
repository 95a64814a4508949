"""results/README.md: the best rows per dataset and task, and what the files are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from usbench.io.plain_text import escape_markdown
from usbench.leaderboard import columns
from usbench.leaderboard.columns import Column
from usbench.leaderboard.page.document import render
from usbench.leaderboard.published import DatasetSummary, datasets_by_name
from usbench.leaderboard.rows import Row
from usbench.results.format import UNDEFINED, format_value

BEST = 3  # rows shown of each dataset and task
SHOWN = ("run", "external", "human")  # origins of rows; baselines stand on the leaderboard


@dataclass(frozen=True)
class Overview:
    """The best rows of one dataset and task under its reporting protocol."""

    dataset: DatasetSummary
    rows: Sequence[Row]
    total: int  # rows of which these are the best

    @property
    def columns(self) -> list[Column]:
        """The columns with their texts."""
        return columns.fill_columns(overview_columns(self.rows), self.rows)

    @property
    def notes(self) -> list[str]:
        """What tests between the rows can show, which rows are unranked, and what leaks."""
        notes = columns.comparison_notes(self.rows)
        older = [row.name for row in self.rows if row.old_version]
        if older:
            notes.append(
                "Trained by an older version of the model's adapter, so unranked until they are "
                f"trained again: {escape_markdown(', '.join(older))}."
            )
        leakage = map(escape_markdown, columns.leakage_notes(self.rows))
        return [*notes, *(f"Leakage: {note}" for note in leakage)]


def to_overview(
    rows: Sequence[Row], datasets: Iterable[DatasetSummary], files: Collection[str]
) -> str:
    """The page as Markdown.

    Args:
        rows: in the order of `build.build_rows`.
        datasets: for titles.
        files: names of the files beside the page, of which those that are there are listed.
    """
    by_name = datasets_by_name(datasets, rows)
    overviews, published = [], []
    for (name, _), task_rows in groupby(rows, key=lambda row: (row.dataset, row.task)):
        of_task = list(task_rows)
        shown = list(filter(is_shown, of_task))
        if shown:
            overviews.append(Overview(by_name[name], shown[:BEST], len(shown)))
        if best := best_published(of_task):
            published.append(best)
    text = render("results.md", overviews=overviews, published=published, files=files, zip=zip)
    return text.rstrip("\n") + "\n"


def is_shown(row: Row) -> bool:
    """Whether a row may be among the best: a whole result of today's reporting protocol."""
    return (
        row.origin in SHOWN
        and row.status == "done"
        and row.reporting
        and not row.old_protocol
        and row.has_all_folds
        and row.value is not None
    )


def overview_columns(rows: Sequence[Row]) -> list[Column]:
    """The columns of one table."""
    main = columns.main_score_of(rows)
    return [
        *columns.NAMES,
        Column("seeds", columns.format_seeds),
        columns.main_column(rows),
        *columns.leakage_columns(rows, main),
        Column("test images", lambda row: str(row.counts.get("test", ""))),
        Column("groups", columns.format_groups),
        Column(
            "target score",
            lambda row: "" if row.target_score is None else format_value(row.target_score, main),
        ),
        Column("published", format_published),
    ]


def format_published(row: Row) -> str:
    """The published score of the same model, or what forbids a comparison; – for a human's."""
    if row.origin == "human":
        return UNDEFINED
    if row.delta is None or row.score is None or row.score.value is None:
        return ", ".join(row.marks) or "none"
    ours = row.scores[row.delta_score].value
    assert ours is not None, "a difference needs both scores"
    return f"{format_value(ours - row.delta, row.delta_score)} {row.delta_score} ({row.against})"


def best_published(rows: Iterable[Row]) -> list[Row]:
    """The best published row of each protocol and evaluated data; rows: of one dataset and task."""
    best: dict[object, Row] = {}
    for row in rows:  # the best one of a table comes first
        if row.origin == "published" and row.value is not None:
            best.setdefault((row.protocol, row.split), row)
    return list(best.values())
