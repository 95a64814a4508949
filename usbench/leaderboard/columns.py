"""The columns of the leaderboard's tables: a row's texts, and the numbers that the page sorts by.

The Markdown and the page both take their texts from here, so that they never disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter

from usbench.datasets.config import CORRELATIONS
from usbench.leaderboard import legend
from usbench.leaderboard.leakage import score_below
from usbench.leaderboard.rows import TABLE_SCORES, Row, RowScore
from usbench.results.format import format_value, format_with_interval, score_title

NO_LEAKAGE = ":no-leak"  # suffix of a score without the test images that leak


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    title: str
    text: Callable[[Row], str]
    number: Callable[[Row], float | None] | None = None  # sorts the rows; None: the text does
    is_main: bool = False  # the score that the table is sorted by
    is_custom: bool = False  # a score that the user's metric adds
    term: str = ""  # in the glossary; "": the title itself
    texts: tuple[str, ...] = ()  # of a table's rows, once `fill_columns` has filled them in

    @property
    def tip(self) -> str:
        """What the title means, in a sentence or two."""
        return legend.GLOSSARY[self.term or self.title]


NAMES = (
    Column("model", lambda row: row.name),
    Column("recipe", lambda row: row.recipe_label),
)


def fill_columns(columns: Sequence[Column], rows: Sequence[Row]) -> list[Column]:
    """The columns with their texts, without those that are empty in all rows."""
    filled = [replace(column, texts=tuple(map(column.text, rows))) for column in columns]
    return [column for column in filled if any(column.texts)]


def score_columns(rows: Sequence[Row]) -> list[Column]:
    """The columns of one protocol's table."""
    main = main_score_of(rows)
    return [
        Column("rank", format_rank, lambda row: row.rank[0] if row.rank else None),
        *NAMES,
        main_column(rows),
        *leakage_columns(rows, main),
        *(custom_column(rows, name) for name in custom_scores(rows)),
        *map(score_column, further_scores(rows)),
        Column(
            "target score",
            lambda row: "" if row.target_score is None else format_value(row.target_score, main),
            lambda row: row.target_score,
        ),
        Column("seeds", format_seeds, lambda row: len(row.seeds) or None),
        Column("groups", format_groups, lambda row: row.score.groups if row.score else None),
        Column(
            "parameters",
            lambda row: "" if row.parameters is None else f"{row.parameters:,}",
            lambda row: row.parameters,
        ),
        Column("mul–adds", format_operations, count_operations),
        Column("ms per image", format_latency, latency_ms),
        Column("timed on", lambda row: row.cost.on if row.cost and row.reporting else ""),
        Column("training h", format_hours, shown_hours),
        Column("Δ published", format_difference, lambda row: row.delta),
        Column("source", format_source),
        Column("note", lambda row: row.note),
    ]


def failed_columns() -> list[Column]:
    """The columns of the table of rows without a score."""
    return [
        *NAMES,
        Column("seed", lambda row: ", ".join(map(str, row.seeds))),
        Column("run id", lambda row: ", ".join(row.run_ids)),
        Column("status", lambda row: row.status),
        Column("reason", lambda row: row.note),
    ]


def class_tables(rows: Sequence[Row]) -> list[tuple[str, list[Column]]]:
    """(title, filled columns) of the primary score by class, then of custom ones.

    A score whose classes say no more than itself has no such table.
    """
    tables = []
    for custom in ["", *custom_scores(rows)]:
        labels = table_classes(rows, custom)
        with_classes = [row for row in rows if row.classes_of(custom)]
        if labels:
            columns = [
                Column(label, partial(format_class, label=label, custom=custom), term=legend.CLASS)
                for label in labels
            ]
            title = custom_title(rows, custom or with_classes[0].primary)
            tables.append((title, fill_columns([*NAMES, *columns], with_classes)))
    return tables


def custom_scores(rows: Sequence[Row]) -> list[str]:
    """The custom scores of a table's rows, without the one that it is sorted by."""
    names = dict.fromkeys(name for row in rows for name in row.custom)
    return [name for name in names if name != main_score_of(rows)]


def custom_title(rows: Sequence[Row], name: str) -> str:
    """A custom score's name with its direction, if that is declared."""
    return score_title(name, custom_direction(rows, name))


def custom_direction(rows: Sequence[Row], name: str) -> bool | None:
    """Whether higher values of a custom score are better, where all rows that have it agree."""
    directions = {row.scores[name].higher_is_better for row in rows if name in row.custom}
    return directions.pop() if len(directions) == 1 else None


def score_column(name: str, title: str = "", term: str = "") -> Column:
    """The column of one score, with its interval; titled by the score's name for people."""
    return Column(
        title or score_title(name),
        lambda row: format_score(row.scores.get(name), name),
        lambda row: row.scores[name].value if name in row.scores else None,
        term=term or legend.score_term(name),
    )


def main_column(rows: Sequence[Row]) -> Column:
    """The column of the score that a table is sorted by."""
    name = main_score_of(rows)
    is_custom = any(name in row.custom for row in rows)
    term = legend.CUSTOM if is_custom else ""
    return replace(score_column(name, custom_title(rows, name), term), is_main=True)


def custom_column(rows: Sequence[Row], name: str) -> Column:
    """The column of a custom score."""
    return replace(score_column(name, custom_title(rows, name), legend.CUSTOM), is_custom=True)


def leakage_columns(rows: Sequence[Row], main: str) -> list[Column]:
    """The main score without the listed leaking images, then without further similar ones."""
    of_leakage = max(rows, key=lambda row: (row.leakage, len(row.similar)))
    listed, similar = of_leakage.leakage, of_leakage.similar
    first, *further = CORRELATIONS
    parts = [(main + NO_LEAKAGE, listed, first)]
    parts += [
        (score_below(main, threshold), similar.get(threshold, 0), threshold)
        for threshold in further
    ]
    return [
        score_column(name, without(main, images, similar, threshold), legend.WITHOUT)
        for name, images, threshold in parts
    ]


def without(main: str, images: int, similar: Mapping[float, int], threshold: float) -> str:
    """Such as "Dice without 10 images (r ≥ .90)"; without r where images were listed otherwise."""
    rule = f" (r ≥ {format_threshold(threshold)})" if similar.get(threshold) == images else ""
    return f"{score_title(main)} without {images} images{rule}"


def format_threshold(threshold: float) -> str:
    """Such as .90."""
    return f"{threshold:.2f}".removeprefix("0")


def format_class(row: Row, label: str, custom: str = "") -> str:
    """A row's primary score of one class, or a custom one."""
    return format_score(row.classes_of(custom).get(label), custom or row.primary)


def format_score(score: RowScore | None, name: str) -> str:
    """A score with its interval; "" where a row doesn't have it."""
    return "" if score is None else format_with_interval(score, name)


def main_score_of(rows: Sequence[Row]) -> str:
    """The score that a table is sorted by: our rows' primary, else the published ones'."""
    return ours_first(rows)[0].primary


def further_scores(rows: Sequence[Row]) -> list[str]:
    """The other scores that a table shows."""
    main = main_score_of(rows)
    known: set[str] = set()
    for row in rows:
        for name in row.scores.keys() - known:
            if row.scores[name].value is not None:
                known.add(name)
    return [name for name in TABLE_SCORES[rows[0].task] if name in known - {main}]


def table_classes(rows: Sequence[Row], custom: str = "") -> list[str]:
    """The classes of a table's rows; [] where they say no more than the overall score.

    Args:
        rows: of the table.
        custom: the custom score; "": the primary one.
    """
    classes: dict[str, RowScore] = {}
    for row in ours_first(rows):
        classes |= row.classes_of(custom)
    is_published = any(row.classes_of(custom) and row.origin == "published" for row in rows)
    return [] if len(classes) == 1 and not is_published else list(classes)


def ours_first(rows: Sequence[Row]) -> list[Row]:
    """The rows in their order, published ones last."""
    return sorted(rows, key=lambda row: row.origin == "published")


def format_rank(row: Row) -> str:
    """Such as "1 of 5", or "1–3 of 5" where no test tells rows apart."""
    if row.rank is None:
        return ""
    first, last = row.rank
    return f"{first if first == last else f'{first}–{last}'} of {row.ranked}"


def format_seeds(row: Row) -> str:
    """How many seeds, such as "3 (SD .010)", or "2 of 3 (SD .010)" where one failed."""
    if not row.seeds:
        return ""
    count = str(len(row.seeds))
    if len(row.seeds) < row.seeds_begun:
        count += f" of {row.seeds_begun}"
    sd = row.score.sd if row.score else None
    return count if sd is None else f"{count} (SD {format_value(sd, row.primary)})"


def format_groups(row: Row) -> str:
    """How many groups the cases are of, with the standard error over them."""
    if row.score is None or not row.score.groups:
        return ""
    se = row.score.se
    count = str(row.score.groups)
    return count if se is None else f"{count} (SE {format_value(se, row.primary)})"


def count_operations(row: Row) -> float | None:
    """Multiply–adds for one image, where the table shows them."""
    return float(row.cost.macs) if row.cost and row.reporting else None


def format_operations(row: Row) -> str:
    """Multiply–adds for one image, such as 9.4 G."""
    operations = count_operations(row)
    return "" if operations is None else f"{operations / 1e9:.1f} G"


def latency_ms(row: Row) -> float | None:
    """Median time of one image, where the table shows it."""
    return float(row.cost.latency_ms.p50) if row.cost and row.reporting else None


def format_latency(row: Row) -> str:
    """The median time of one image."""
    latency = latency_ms(row)
    return "" if latency is None else f"{latency:.0f}"


def format_hours(row: Row) -> str:
    """The hours of training; only in the reporting protocol's table."""
    hours = shown_hours(row)
    return "" if hours is None else f"{hours:.2f}"


def shown_hours(row: Row) -> float | None:
    """The hours of training, where the table shows them."""
    return row.training_hours if row.reporting else None


def format_difference(row: Row) -> str:
    """The difference to the published row, or what forbids one."""
    verdict = f": {row.agreement.verdict}" if row.agreement else ""
    if row.delta is None:
        return ", ".join(row.marks) + (verdict if row.marks else "")
    if row.agreement and row.agreement.reason:
        verdict += f" ({row.agreement.reason})"
    score = "" if row.delta_score == row.primary else f"{score_title(row.delta_score)}, "
    return f"{format_value(row.delta, row.delta_score, '+')} ({score}{row.against}){verdict}"


def format_source(row: Row) -> str:
    """Where a row comes from."""
    if row.origin == "published":
        return f"{row.source} (verified: {row.verified})"
    return "ours" if row.origin == "run" else row.origin


def format_transfer(row: Row | None) -> str:
    """A cell of a transfer table: the primary score with its name."""
    if row is None:
        return ""
    return f"{score_title(row.primary)} {format_with_interval(row.score, row.primary)}"


def table_title(row: Row) -> tuple[str, str]:
    """(protocol, what follows its name): the version, whether it is old, other evaluated data."""
    version = "" if row.version is None else f" {row.version}"
    old = " (old protocol)" if row.old_protocol else ""
    data = "" if row.split == "test" else f", evaluated on: {row.split}"
    return row.protocol, f"{version}{old}{data}"


def protocol_description(rows: Sequence[Row]) -> str:
    """The description of a table's protocol, ours if possible; "" where there is none."""
    unknown = legend.UNKNOWN_PROTOCOL if rows[0].protocol == "unknown" else ""
    return next(filter(None, map(attrgetter("description"), ours_first(rows))), unknown)


def comparison_notes(rows: Sequence[Row]) -> list[str]:
    """Which differences the tests between a table's rows can show, and where none can."""
    notes = []
    for row in rows:
        if row.significant_from is not None and row.resolution is not None:
            notes += [
                legend.describe_resolution(row.significant_from, row.resolution, row.primary),
                legend.describe_smallest_p(row.compared_groups, row.ranked),
            ]
    return list(filter(None, dict.fromkeys(notes)))


def leakage_notes(rows: Sequence[Row]) -> list[str]:
    """The descriptions of the leakage in a table's data, and how much more there may be."""
    notes = list(filter(None, dict.fromkeys(map(attrgetter("leakage_description"), rows))))
    similar = max(map(attrgetter("similar"), rows), key=len)
    if similar:
        first, *further = (
            (images, format_threshold(threshold)) for threshold, images in similar.items()
        )
        counts = ", ".join(f"{images} ≥ {threshold}" for images, threshold in further)
        notes.append(
            f"{first[0]} test images correlate ≥ {first[1]} with a training image (32×32 "
            f"thumbnails), {counts}. So a score without some of them isn't free of leakage either."
        )
    return notes
