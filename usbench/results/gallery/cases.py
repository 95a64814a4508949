"""How good each case of a result is, and which are the worst, the median and the best.

Everything here works on the rows of a case table, of a scorer or from a file.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from usbench.results.format import format_value
from usbench.results.store import Case
from usbench.types import Task

CONFIDENCE = 0.25  # boxes below it aren't drawn (they are scored)
COLUMNS: Mapping[Task, frozenset[str]] = {  # what a case is judged by
    "segment": frozenset({"case", "class", "tp", "fp", "fn"}),
    "detect": frozenset({"case", "class", "truths", "score", "matches"}),
    "landmark": frozenset({"case", "class", "error_px"}),
}
DESCRIPTIONS: Mapping[Task, str] = {  # of a case's quality
    "segment": "Dice {}",
    "detect": "F1 {}",
    "landmark": "mean error {} px",
}


class CaseRow(NamedTuple):
    """What a row of a case table says of how good a case is; None where it doesn't say."""

    case: str
    label: str  # the class
    tp: float | None = None  # px
    fp: float | None = None
    fn: float | None = None
    targets: float | None = None  # boxes of the target
    score: float | None = None  # confidence of a predicted box
    hit: bool = False  # whether that box matches at IoU .5
    error_px: float | None = None


Rows = Sequence[CaseRow]


def is_judgeable(rows: Sequence[Case], task: Task) -> bool:
    """Whether there are cases, with the columns that say how good each is."""
    return bool(rows) and COLUMNS[task] <= rows[0].keys()


def parse_rows(rows: Iterable[Case]) -> list[CaseRow]:
    """The rows of a scorer, or of a case table from a file, where "" is null."""
    return [
        CaseRow(
            case=str(row["case"]),
            label=str(row["class"]),
            tp=parse_number(row.get("tp")),
            fp=parse_number(row.get("fp")),
            fn=parse_number(row.get("fn")),
            targets=parse_number(row.get("truths")),
            score=parse_number(row.get("score")),
            hit=str(row.get("matches") or "")[1:2] == "1",  # m, a digit per IoU threshold
            error_px=parse_number(row.get("error_px")),
        )
        for row in rows
    ]


def parse_number(value: object) -> float | None:
    """A figure of a case table: a number, or its text."""
    return None if value is None or value == "" else float(str(value))


# ---- the quality of a case


def mean_dice(rows: Rows) -> float:
    """Dice over the known classes in target or prediction, as metrics.overlap; 1 where none is."""
    values = []
    for row in rows:
        if row.tp is not None:
            wrong = (row.fp or 0) + (row.fn or 0)
            if row.tp or wrong:
                values.append(2 * row.tp / (2 * row.tp + wrong))
    return sum(values) / len(values) if values else 1.0


def f1(rows: Rows) -> float:
    """F1 at IoU .5 of the boxes that are drawn; 1 where there is none in target and prediction."""
    drawn = [row.hit for row in rows if (row.score or 0) >= CONFIDENCE]
    boxes = len(drawn) + sum(row.targets or 0 for row in rows)
    return 2 * sum(drawn) / boxes if boxes else 1.0


def minus_mean_error(rows: Rows) -> float:
    """Minus the mean distance in px of the landmarks that are seen; 0 where none is."""
    errors = [row.error_px for row in rows if row.error_px is not None]
    return -sum(errors) / len(errors) if errors else 0.0


QUALITY: Mapping[Task, Callable[[Rows], float]] = {
    "segment": mean_dice,
    "detect": f1,
    "landmark": minus_mean_error,
}


def rank_cases(rows: Rows, task: Task) -> list[tuple[str, float]]:
    """(case, quality) from the worst to the best; equals by their id.

    The quality is the mean Dice, the F1 of the drawn boxes, or minus the landmarks' error.
    """
    by_case: dict[str, list[CaseRow]] = {}
    for row in rows:
        by_case.setdefault(row.case, []).append(row)
    qualities = [(case, QUALITY[task](part)) for case, part in by_case.items()]
    return sorted(qualities, key=lambda item: (item[1], item[0]))


def choose_cases(
    ranked: Sequence[tuple[str, float]], empty: Collection[str] = ()
) -> dict[str, tuple[str, float]]:
    """worst, median, best → (case, quality), each case once.

    Of two cases there is no median, of one only the worst, of none nothing.

    Args:
        ranked: the cases that may be shown, from the worst to the best.
        empty: those whose target is empty, which are never the median or the best.
    """
    if not ranked:
        return {}
    chosen = {"worst": ranked[0]}
    others = [item for item in ranked[1:] if item[0] not in empty]
    if len(others) > 1:
        chosen["median"] = others[(len(others) - 1) // 2]
    if others:
        chosen["best"] = others[-1]
    return chosen


def empty_cases(rows: Rows, task: Task) -> set[str]:
    """The cases in whose target nothing is there."""
    filled = set()
    for row in rows:
        in_target = {
            "segment": bool(row.tp or row.fn),
            "detect": bool(row.targets),
            "landmark": row.error_px is not None,
        }
        if in_target[task]:
            filled.add(row.case)
    return {row.case for row in rows} - filled


def display_quality(quality: float, task: Task) -> float:
    """A quality as people read it: a landmark's is its error in px, without the minus."""
    return -quality + 0.0 if task == "landmark" else quality


def format_quality(value: float | None, task: Task) -> str:
    """A case's quality as people read it. value: as displayed."""
    return format_value(value, "mre_px" if task == "landmark" else "dice")


def describe_quality(quality: float, task: Task) -> str:
    """A case's quality with its name."""
    return DESCRIPTIONS[task].format(format_quality(display_quality(quality, task), task))


def qualities_by_class(
    rows: Rows, task: Task, classes: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Class → {case: its quality there, as displayed}, of the cases that have one.

    Masks: the class is known and in target or prediction. Boxes: one is there or is drawn.
    Landmarks: it is seen.
    """
    cells: dict[tuple[str, str], list[CaseRow]] = {}
    for row in rows:
        cells.setdefault((row.label, row.case), []).append(row)
    by_class: dict[str, dict[str, float]] = {label: {} for label in classes}
    for (label, case), part in cells.items():
        if label in by_class and any(is_informative(row, task) for row in part):
            by_class[label][case] = display_quality(QUALITY[task](part), task)
    return by_class


def is_informative(row: CaseRow, task: Task) -> bool:
    """Whether the row has something that was, or should have been, predicted."""
    if task == "segment":
        return bool(row.tp or row.fp or row.fn)
    if task == "detect":
        return bool(row.targets) or (row.score or 0) >= CONFIDENCE
    return row.error_px is not None
