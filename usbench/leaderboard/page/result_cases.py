"""How good each case of a result is, as its page shows it: a histogram and two tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from usbench.io.files import JsonObject
from usbench.results.format import format_value
from usbench.results.gallery.cases import display_quality
from usbench.types import Task

Ranked = Sequence[tuple[str, float]]  # (case, quality) from the worst to the best
ByClass = Mapping[str, Mapping[str, float]]  # class → case → its quality there, as displayed

ALL = "all classes"
BINS = 20
MOST_CLASSES = 12  # that are drawn or have a column; tables of scores have all
WORST = 10  # cases that are listed
QUALITY: Mapping[Task, str] = {
    "segment": "Dice of an image, the mean over the classes that it or its prediction has",
    "detect": "F1 of an image at IoU .5, of boxes with a confidence of at least .25",
    "landmark": "mean error of an image in px, over the landmarks that are seen",
}
SHORT_QUALITY: Mapping[Task, str] = {
    "segment": "Dice",
    "detect": "F1",
    "landmark": "mean error, px",
}
CASE_QUALITY: Mapping[Task, str] = {
    "segment": "Dice {}",
    "detect": "F1 {}",
    "landmark": "mean error {} px",
}


def spread_of_cases(ranked: Ranked, by_class: ByClass, task: Task) -> dict[str, list[float]]:
    """All classes and each class → the qualities of its cases, ascending."""
    overall = sorted(display_quality(value, task) for _, value in ranked)
    return {ALL: overall, **{label: sorted(part.values()) for label, part in by_class.items()}}


def format_quality(value: float | None, task: Task) -> str:
    """A case's quality as the tables show it. value: as displayed."""
    return format_value(value, "mre_px" if task == "landmark" else "dice")


def describe_quality(quality: float, task: Task) -> str:
    """A case's quality with its name."""
    return CASE_QUALITY[task].format(format_quality(display_quality(quality, task), task))


def histogram_data(spread: Mapping[str, Sequence[float]], task: Task) -> JsonObject:
    """{label, edges (21,), rows: [{name, counts (20,)}]}.

    Bins reach from 0 to 1, those of distances to the largest.
    """
    top = max(map(max, filter(None, spread.values())), default=0.0) if task == "landmark" else 1.0
    edges = np.linspace(0, top or 1.0, BINS + 1)
    return {
        "label": SHORT_QUALITY[task],
        "edges": [round(edge, 6) for edge in edges.tolist()],
        "rows": [
            {"name": name, "counts": np.histogram(spread[name], edges)[0].tolist()}
            for name in list(spread)[: MOST_CLASSES + 1]
        ],
    }


def quartile_rows(spread: Mapping[str, Sequence[float]], task: Task) -> list[list[str]]:
    """What the histogram shows, as a table: class, images, lowest, quartiles, highest."""
    rows = []
    for name, values in spread.items():
        marks = np.quantile(values, (0, 0.25, 0.5, 0.75, 1)).tolist() if values else [None] * 5
        rows.append([name, str(len(values)), *(format_quality(mark, task) for mark in marks)])
    return rows


def worst_cases(ranked: Ranked, by_class: ByClass, task: Task) -> dict[str, list[str]]:
    """The worst cases: their quality, and that of each class."""
    worst = {}
    for case, value in ranked[:WORST]:
        texts = [format_quality(display_quality(value, task), task)]
        for qualities in list(by_class.values())[:MOST_CLASSES]:
            texts.append(format_quality(qualities.get(case), task))
        worst[case] = texts
    return worst
