"""A result's case table as people look at it: how good each case is, and the worst, the median and the best of them.

It takes rows as `results.load_cases` gives them, texts with "" for null, and judges them as the overlays of a run do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from usbench.results.gallery.overlay import CONFIDENCE, RATES, qualities
from usbench.types import Task

NEEDED: Mapping[Task, frozenset[str]] = {
    "segment": frozenset({"case", "class", "tp", "fp", "fn"}),
    "detect": frozenset({"case", "class", "truths", "score", "matches"}),
    "landmark": frozenset({"case", "class", "error_px"}),
}
WHOLE = ("tp", "fp", "fn", "truths")
REAL = ("score", "error_px")
Rows = Sequence[Mapping[str, Any]]


def is_judgeable(rows: Rows, task: Task) -> bool:
    """Whether there are cases, with the columns that tell how good each is."""
    return bool(rows) and NEEDED[task] <= rows[0].keys()


def typed(rows: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """The rows with the counts and figures that a case is judged by as numbers, and None for null."""

    kinds = [*dict.fromkeys(WHOLE, int).items(), *dict.fromkeys(REAL, float).items()]
    present = [(name, kind) for name, kind in kinds if rows and name in rows[0]]
    return [
        {**row, **{name: kind(row[name]) if row[name] else None for name, kind in present}}
        for row in rows
    ]


def ordered(rows: Rows, task: Task) -> list[tuple[str, float]]:
    """(case, quality) from the worst to the best; equals by their id."""
    return sorted(qualities(rows, task).items(), key=lambda item: (item[1], item[0]))


def chosen(order: Sequence[tuple[str, float]]) -> dict[str, tuple[str, float]]:
    """worst, median, best → (case, quality), each case once: of two there is no median, of one only the worst."""
    places = {"worst": order[0], "best": order[-1], "median": order[len(order) // 2]}
    once = {
        case: place for place, case in reversed(places.items())
    }  # the first of the three keeps it
    return {
        place: places[place]
        for place in ("worst", "median", "best")
        if once[places[place]] == place
    }


def shown(quality: float, task: Task) -> float:
    """A quality as people read it: a landmark's is minus an error in px, which is given as the error itself."""
    return -quality + 0.0 if task == "landmark" else quality


def by_class(rows: Rows, task: Task, classes: Sequence[str]) -> dict[str, dict[str, float]]:
    """class → {case: its quality there, as shown}, of the cases where that can be said.

    Masks: the class is known, and in truth or prediction; boxes: one is there or is drawn; landmarks: it is seen.
    """
    own: dict[str, dict[str, list[Mapping[str, Any]]]] = {label: {} for label in classes}
    for row in rows:
        if row["class"] in own:
            own[row["class"]].setdefault(row["case"], []).append(row)
    rate = RATES[task][1]
    return {
        label: {case: shown(rate(part), task) for case, part in cases.items() if SAYS[task](part)}
        for label, cases in own.items()
    }


SAYS: Mapping[Task, Callable[[Rows], bool]] = {
    "segment": lambda rows: any(
        (row["tp"] or 0) + (row["fp"] or 0) + (row["fn"] or 0) > 0 for row in rows
    ),
    "detect": lambda rows: any(row["truths"] or (row["score"] or 0) >= CONFIDENCE for row in rows),
    "landmark": lambda rows: any(row["error_px"] is not None for row in rows),
}
