"""The columns of a table on the page, beside the row's name, its ticks and its drawing.

A score stands here without its interval, which is drawn; numbers go along for sorting.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from usbench.datasets.config import CORRELATIONS
from usbench.leaderboard import columns as texts
from usbench.leaderboard import legend
from usbench.leaderboard.leakage import score_below
from usbench.leaderboard.rows import Row, RowScore
from usbench.results.format import format_interval, format_value, score_title, with_direction

Kind = Literal["rank", "main", "score", "class", "number", "text", "pages"]
MOST_CLASSES = 3  # shown at first; the others are in the menu
INTERVAL = (
    "What one training would score on all images of this kind, with 95 % confidence; whole groups "
    "of test images are resampled."
)


@dataclass(frozen=True)
class PageColumn:
    """One column: its key in addresses, its heading, what the heading's tip says."""

    key: str
    title: str
    tip: str
    kind: Kind
    text: Callable[[Row], str]
    number: Callable[[Row], float | None] | None = None  # sorts the rows; None: the text does
    is_shown: bool = False  # at first, before a reader chooses


def page_columns(rows: Sequence[Row]) -> list[PageColumn]:
    """The columns of a table that say something, in their order."""
    main = texts.main_score_of(rows)
    columns = [
        PageColumn("rank", "rank", tip_of("rank"), "rank", format_place, first_place, True),
        main_column(rows, main),
        PageColumn(
            "interval",
            "95 % interval",
            INTERVAL,
            "text",
            lambda row: format_interval(row.scores.get(main), main),
        ),
        *class_columns(rows, main),
        *further_columns(rows, main),
        *fact_columns(rows, main),
    ]
    return [column for column in columns if any(map(column.text, rows))]


def main_column(rows: Sequence[Row], main: str) -> PageColumn:
    """The score that the table is sorted by, with an arrow towards better values."""
    higher = texts.ours_first(rows)[0].higher_is_better
    title = with_direction(score_title(main), higher)
    return score_column("score", title, "main", main, is_shown=True)


def score_column(
    key: str, title: str, kind: Kind, name: str, term: str = "", is_shown: bool = False
) -> PageColumn:
    """The column of one score. term: in the glossary; "": the score's own."""
    return PageColumn(
        key,
        title,
        legend.GLOSSARY.get(term or legend.score_term(name)) or legend.GLOSSARY[legend.CUSTOM],
        kind,
        lambda row: format_value(row.scores[name].value, name) if name in row.scores else "",
        lambda row: row.scores[name].value if name in row.scores else None,
        is_shown,
    )


def class_columns(rows: Sequence[Row], main: str) -> list[PageColumn]:
    """The main score of each class, then custom scores of each class."""
    labels = texts.table_classes(rows)
    columns = [class_column(label, "", main, len(labels) <= MOST_CLASSES) for label in labels]
    for custom in texts.custom_scores(rows):
        for label in texts.table_classes(rows, custom):
            columns.append(class_column(label, custom, custom))
    return columns


def class_column(label: str, custom: str, name: str, is_shown: bool = False) -> PageColumn:
    """The score `name` of one class. custom: see `Row.classes_of`."""

    def score_of(row: Row) -> RowScore | None:
        return row.classes_of(custom).get(label)

    def number(row: Row) -> float | None:
        score = score_of(row)
        return None if score is None else score.value

    return PageColumn(
        f"{custom or 'class'}:{label}",
        f"{custom}: {label}" if custom else label,
        f"{score_title(name)} of the class “{label}” alone.",
        "class",
        lambda row: "" if score_of(row) is None else format_value(number(row), name),
        number,
        is_shown,
    )


def further_columns(rows: Sequence[Row], main: str) -> list[PageColumn]:
    """Scores that the user's metric adds, other usual scores, and those without leaking images."""
    custom = [
        score_column(name, texts.custom_title(rows, name), "score", name, legend.CUSTOM, True)
        for name in texts.custom_scores(rows)
    ]
    usual = [
        score_column(name, score_title(name), "score", name) for name in texts.further_scores(rows)
    ]
    return [*custom, *usual, *leakage_columns(rows, main)]


def leakage_columns(rows: Sequence[Row], main: str) -> list[PageColumn]:
    """The main score without test images that resemble a training image; stricter rules last."""
    names = [main + texts.NO_LEAKAGE, *(score_below(main, least) for least in CORRELATIONS[1:])]
    titles = [column.title for column in texts.leakage_columns(rows, main)]
    return [
        score_column(f"clean-{place}", title, "score", name, legend.WITHOUT)
        for place, (name, title) in enumerate(zip(names, titles, strict=True))
    ]


def fact_columns(rows: Sequence[Row], main: str) -> list[PageColumn]:
    """What a row costs and rests on."""
    has_verdict = any(row.agreement or row.delta is not None for row in rows)
    return [
        fact_column("Δ published", format_verdict, lambda row: row.delta, has_verdict),
        fact_column("parameters", format_parameters, lambda row: row.parameters, True),
        fact_column("mul–adds", texts.format_operations, texts.count_operations),
        fact_column("ms per image", texts.format_latency, texts.latency_ms),
        fact_column("timed on", lambda row: row.cost.on if row.cost and row.reporting else ""),
        fact_column("training h", texts.format_hours, texts.shown_hours),
        fact_column("seeds", texts.format_seeds, lambda row: len(row.seeds) or None),
        fact_column(
            "groups", texts.format_groups, lambda row: row.score.groups if row.score else None
        ),
        fact_column(
            "target score",
            lambda row: "" if row.target_score is None else format_value(row.target_score, main),
            lambda row: row.target_score,
        ),
        fact_column("recipe", lambda row: row.recipe_label),
        fact_column("source", texts.format_source),
        fact_column("note", lambda row: row.note),
    ]


def fact_column(
    title: str,
    text: Callable[[Row], str],
    number: Callable[[Row], float | None] | None = None,
    is_shown: bool = False,
) -> PageColumn:
    """A column that isn't a score."""
    key = title.replace("Δ ", "").replace(" ", "-")
    kind: Kind = "text" if number is None or title == "Δ published" else "number"
    return PageColumn(key, title, tip_of(title), kind, text, number, is_shown)


def format_place(row: Row) -> str:
    """The places that tests leave a row: 1, or 2–4."""
    if row.rank is None:
        return ""
    first, last = row.rank
    return str(first) if first == last else f"{first}–{last}"


def first_place(row: Row) -> float | None:
    """The best place that tests leave a row."""
    return None if row.rank is None else row.rank[0]


def format_verdict(row: Row) -> str:
    """The difference to the published score and what it means, or what forbids one."""
    if row.delta is None:
        return ", ".join(row.marks)
    verdict = row.agreement.verdict if row.agreement else ""
    return f"{format_value(row.delta, row.delta_score, '+')} {verdict}".rstrip()


def format_parameters(row: Row) -> str:
    """In millions: 12.5 M."""
    return "" if row.parameters is None else f"{row.parameters / 1e6:,.1f} M"


def tip_of(title: str) -> str:
    """What the glossary says of a heading."""
    return legend.GLOSSARY[title]
