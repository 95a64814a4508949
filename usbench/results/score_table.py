"""The table of one protocol's scores in a terminal: a row per class, each figure with its interval.

A table that is wider than the terminal has each interval below its value; if that is still too
wide, its last scores are left out, and named.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from usbench.io.console import say, table, table_fits
from usbench.metrics.scores import Figure, Figures, ProtocolScores
from usbench.results.format import USUAL_SCORES, format_interval, format_value, with_direction
from usbench.types import Task

MOST_ROWS = 3  # that a note names of a score
LABEL_WIDTH = 16  # of a class in a folded table
ALL_CLASSES, TARGET_SCORE = "all classes", "target score"  # rows
NO_INTERVAL = "no interval: "  # start of a figure's reason
# Distances that are shown in mm where the size of every pixel is known.
IN_MM: Mapping[str, str] = {"hd95_px": "hd95_mm", "curve_mean_px": "curve_mean_mm"}


@dataclass(frozen=True)
class ScoreRow:
    """One row: a class, or all of them."""

    label: str
    figures: Mapping[str, Figure]
    n: int  # cases that the first defined score is made of


def show_score_table(
    title: str,
    task: Task,
    primary: str,
    protocol: ProtocolScores,
    leaking: int = 0,
    custom: Sequence[str] = (),
) -> None:
    """Print the table, and why scores have no interval.

    Args:
        title: above it.
        task: decides which scores are shown.
        primary: the score to rank by, which is always shown.
        protocol: the scores.
        leaking: test images that leak; the scores then have figures without them.
        custom: scores that the user's metric adds; all of them are shown.
    """
    names = choose_scores(task, primary, protocol, custom)
    titles = [with_direction(name, protocol.scores[name].higher_is_better) for name in names]
    rows = score_rows(protocol, names, leaking)

    def grid(shown: int, folded: bool) -> tuple[list[str], list[list[str]]]:
        return ["class", *titles[:shown], "n"], format_rows(names[:shown], rows, folded)

    shown, folded = choose_shape(len(names), lambda *shape: table_fits(*grid(*shape)))
    table(title, *grid(shown, folded))
    if shown < len(names):
        say(f"left out, too wide for this terminal: {', '.join(names[shown:])}")
    for note in interval_notes(names[:shown], rows):
        say(note)


def interval_notes(names: Sequence[str], rows: Sequence[ScoreRow]) -> list[str]:
    """Why shown scores have no interval, a note per reason: "no interval of iou: expected …"."""
    labels: dict[str, dict[str, list[str]]] = {}  # reason → score → rows
    shown = 0  # values that could have an interval
    for row in rows:
        for name in names:
            figure = row.figures.get(name)
            if figure is None or figure.value is None or row.label == TARGET_SCORE:
                continue
            shown += 1
            if figure.low is None and figure.interval is not None:
                labels.setdefault(figure.interval, {}).setdefault(name, []).append(row.label)
    notes = []
    for reason, by_score in labels.items():
        parts = []
        for name, of_rows in by_score.items():
            labels_shown = [*of_rows[:MOST_ROWS], *["…"][: max(0, len(of_rows) - MOST_ROWS)]]
            is_whole = ALL_CLASSES in of_rows
            parts.append(name if is_whole else f"{name} ({', '.join(labels_shown)})")
        is_all = sum(map(len, by_score.values())) == shown
        scores = "" if is_all else f" of {', '.join(parts)}"
        notes.append(f"no interval{scores}: {reason.removeprefix(NO_INTERVAL)}")
    return notes


def choose_shape(count: int, fits: Callable[[int, bool], bool]) -> tuple[int, bool]:
    """The shape of a table that fits: (number of scores shown, intervals below their values).

    Args:
        count: of the scores.
        fits: whether a table of some shape isn't too wide.
    """
    if fits(count, False):
        return count, False
    shown = count
    while shown > 1 and not fits(shown, True):
        shown -= 1
    return shown, True


def choose_scores(
    task: Task, primary: str, protocol: ProtocolScores, custom: Sequence[str] = ()
) -> list[str]:
    """The scores that a table shows: the primary one, custom ones, usual ones that are defined.

    A distance is shown in mm where that is known of all its cases, in both units where it is
    known of some.
    """
    tables = [protocol.scores, *protocol.per_class.values()]
    cases = {name: sum(_cases(figures, name) for figures in tables) for name in protocol.scores}
    names = [primary, *custom]
    for name in USUAL_SCORES[task]:
        in_mm = IN_MM.get(name, "")
        if cases.get(name) and cases.get(in_mm) != cases[name]:
            names.append(name)
        if cases.get(in_mm):
            names.append(in_mm)
    return list(dict.fromkeys(names))


def _cases(figures: Figures, name: str) -> int:
    """The cases of a score; 0 where it is undefined."""
    figure = figures.get(name)
    return figure.n if figure is not None and figure.value is not None else 0


def score_rows(protocol: ProtocolScores, names: Sequence[str], leaking: int) -> list[ScoreRow]:
    """A row per class, then all classes, those without leaking images, the target's own scores.

    Args:
        protocol: the scores.
        names: of the scores that are shown.
        leaking: see `show_score_table`.
    """
    tables = {**protocol.per_class, ALL_CLASSES: protocol.scores}
    if leaking:
        ending = ":no-leak"
        clean = {
            name.removesuffix(ending): figure
            for name, figure in protocol.scores.items()
            if name.endswith(ending)
        }
        tables[f"without {leaking} images"] = clean
    if protocol.target_score:
        tables[TARGET_SCORE] = protocol.target_score
    return [
        ScoreRow(label, figures, count_cases(figures, names)) for label, figures in tables.items()
    ]


def format_rows(names: Sequence[str], rows: Sequence[ScoreRow], folded: bool) -> list[list[str]]:
    """The rows as text: label, scores with their intervals, number of cases.

    Args:
        names: of the scores.
        rows: of the table.
        folded: an interval stands below its value, not behind it.
    """
    columns = [[fold_label(row.label) if folded else row.label for row in rows]]
    for name in names:
        figures = [row.figures.get(name) for row in rows]
        columns.append(format_column(name, figures, folded))
    columns.append([str(row.n) for row in rows])
    return [list(line) for line in zip(*columns, strict=True)]


def fold_label(label: str) -> str:
    """A long label on several lines."""
    return "\n".join(textwrap.wrap(label, LABEL_WIDTH)) or label


def format_column(name: str, figures: Sequence[Figure | None], folded: bool) -> list[str]:
    """One score's cells, their values and their intervals below each other.

    Args:
        name: of the score.
        figures: None where a row doesn't have it.
        folded: see `format_rows`.
    """
    values = [format_value(figure.value if figure else None, name) for figure in figures]
    intervals = [format_interval(figure, name) for figure in figures]
    if folded:
        return [
            f"{value}\n{interval}".rstrip()
            for value, interval in zip(values, intervals, strict=True)
        ]
    widest = max(map(len, values))
    return [
        f"{value:>{widest}} {interval}".rstrip()
        for value, interval in zip(values, intervals, strict=True)
    ]


def count_cases(figures: Mapping[str, Figure], names: Sequence[str]) -> int:
    """The cases that the first defined score is made of."""
    for name in names:
        if name in figures and figures[name].value is not None:
            return figures[name].n
    return 0
