"""How good each case of a result is, as its page shows it, and how its training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from usbench.leaderboard.page.charts import draw_curve, draw_histogram
from usbench.leaderboard.page.overlay import describe_case, draw_case
from usbench.results.format import score_title
from usbench.results.gallery.cases import describe_quality, display_quality, format_quality
from usbench.results.gallery.file import Gallery, thumbnails_of
from usbench.results.gallery.style import SIDES, are_numbered, class_colour
from usbench.types import Task

Ranked = Sequence[tuple[str, float]]  # (case, quality) from the worst to the best
ByClass = Mapping[str, Mapping[str, float]]  # class → case → its quality there, as displayed

ALL = "all classes"
BINS = 20
MOST_CLASSES = 12  # that are drawn or have a column; tables of scores have all
WORST = 10  # cases that are listed
SELECTED = "val/score"  # the curve by which the best epoch is chosen
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


def spread_of_cases(ranked: Ranked, by_class: ByClass, task: Task) -> dict[str, list[float]]:
    """All classes and each of several classes → the qualities of its cases, ascending."""
    spread = {ALL: sorted(display_quality(value, task) for _, value in ranked)}
    if len(by_class) > 1:
        spread |= {label: sorted(part.values()) for label, part in by_class.items()}
    return spread


def draw_histograms(spread: Mapping[str, Sequence[float]], task: Task) -> dict[str, Markup]:
    """All classes and each class that is drawn → a histogram of its images.

    Bins reach from 0 to 1, those of distances to the largest.
    """
    top = max(map(max, filter(None, spread.values())), default=0.0) if task == "landmark" else 1.0
    edges = np.linspace(0, top or 1.0, BINS + 1).round(6).tolist()
    charts = {}
    for name in list(spread)[: MOST_CLASSES + 1]:
        counts = np.histogram(spread[name], edges)[0].tolist()
        charts[name] = draw_histogram(f"{name}: images by {SHORT_QUALITY[task]}", edges, counts)
    return charts


def quartile_rows(spread: Mapping[str, Sequence[float]], task: Task) -> list[list[str]]:
    """What the histogram shows, as a table: class, images, lowest, quartiles, highest."""
    rows = []
    for name, values in spread.items():
        marks = np.quantile(values, (0, 0.25, 0.5, 0.75, 1)).tolist() if values else [None] * 5
        rows.append([name, str(len(values)), *(format_quality(mark, task) for mark in marks)])
    return rows


def worst_cases(ranked: Ranked, by_class: ByClass, task: Task) -> dict[str, list[str]]:
    """The worst cases: their quality, and that of each class."""
    return {
        case: [
            format_quality(display_quality(value, task), task),
            *class_qualities(case, by_class, task),
        ]
        for case, value in ranked[:WORST]
    }


def class_qualities(case: str, by_class: ByClass, task: Task) -> list[str]:
    """A case's quality in each class that has a column."""
    columns = list(by_class.values())[:MOST_CLASSES]
    return [format_quality(qualities.get(case), task) for qualities in columns]


@dataclass(frozen=True)
class CasePicture:
    """One case with its picture."""

    html: Markup
    place: str  # worst, median, best; "" for others
    case: str
    quality: str
    note: str  # its classes, such as "nerve .12 · vessel –", or those that aren't labelled


def draw_pictures(gallery: Gallery, task: Task) -> list[CasePicture]:
    """The full pictures of the worst, median and best case."""
    pictures, classes = [], gallery["classes"]
    for case in gallery["cases"]:
        place, quality = case["place"].capitalize(), describe_quality(case["quality"], task)
        alt = f"{place}: {case['case']}, {quality}. {describe_case(case, classes)}"
        unknown = ", ".join(classes[n] for n in case["target"]["unknown"])
        note = f"not labelled: {unknown}" if unknown else ""
        html = draw_case(case, classes, alt)
        pictures.append(CasePicture(html, place, case["case"], quality, note))
    return pictures


def draw_worst(gallery: Gallery, by_class: ByClass, task: Task) -> list[CasePicture]:
    """Small pictures of the worst cases, the worst first."""
    pictures = []
    for case in gallery["worst"]:
        quality = describe_quality(case["quality"], task)
        alt = f"{case['case']}. {describe_case(case, gallery['classes'])}"
        values = zip(by_class, class_qualities(case["case"], by_class, task), strict=False)
        parts = [f"{label} {value}" for label, value in values] if len(by_class) > 1 else []
        html = draw_case(case, gallery["classes"], alt)
        pictures.append(CasePicture(html, "", case["case"], quality, " · ".join(parts)))
    return pictures


@dataclass(frozen=True)
class KeyEntry:
    """What a colour means."""

    text: str
    colour: str


def key_of_colours(gallery: Gallery) -> list[KeyEntry]:
    """The classes that the gallery's pictures show, or the sides of an only class."""
    classes = gallery["classes"]
    if len(classes) == 1:
        return [KeyEntry(f"{side}: {classes[0]}", class_colour(0, side, 1)) for side in SIDES]
    shown = set()
    for _, case in thumbnails_of(gallery):
        for drawing in (case["target"], case["prediction"]):
            shown |= {shape["class"] for shape in drawing["shapes"]}
    entries = []
    for n in sorted(shown):
        text = f"{n + 1} {classes[n]}" if are_numbered(classes) else classes[n]
        entries.append(KeyEntry(text, class_colour(n, "target", len(classes))))
    return entries


# ---- training curves


@dataclass(frozen=True)
class CurveChart:
    """A training curve, drawn and told."""

    title: str
    html: Markup
    text: str


def draw_curves(gallery: Gallery, selection: str) -> list[CurveChart]:
    """The training curves, without that of the learning rate.

    The epoch of the highest score on validation is marked: its weights were kept.

    Args:
        gallery: its curves.
        selection: the score on validation; "": unknown.
    """
    names = {"train/loss": "Training loss", SELECTED: f"{score_title(selection)} on validation"}
    validated = gallery["curves"].get(SELECTED)
    chosen = max(validated, key=lambda point: point[1])[0] if validated else None
    charts = []
    for name, points in sorted(gallery["curves"].items()):
        if name == "lr" or name.startswith("lr/"):
            continue
        title = names.get(name, name)
        charts.append(
            CurveChart(title, draw_curve(title, points, chosen), tell_curve(points, chosen))
        )
    return charts


def tell_curve(points: Sequence[Sequence[float]], chosen: float | None) -> str:
    """What a curve shows, as text."""
    (first, start), (last, end) = points[0], points[-1]
    values = [value for _, value in points]
    told = f"{start:.4g} in epoch {first:g}, {end:.4g} in epoch {last:g}"
    told += f"; from {min(values):.4g} to {max(values):.4g}"
    for epoch, value in points:
        if epoch == chosen:
            told += f"; {value:.4g} in epoch {epoch:g}, whose weights were kept"
    return told
