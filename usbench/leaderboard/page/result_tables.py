"""The tables of a result's page: scores, classes and cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from usbench.leaderboard.columns import NO_LEAKAGE
from usbench.metrics.scores import Figures
from usbench.results.format import (
    UNDEFINED,
    USUAL_SCORES,
    format_interval,
    format_value,
    format_with_interval,
)
from usbench.results.gallery.cases import (
    display_quality,
    parse_rows,
    qualities_by_class,
    rank_cases,
)
from usbench.results.result import Result
from usbench.types import Task

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
TITLES = {  # of scores
    "dice": "Dice",
    "iou": "IoU",
    "map50_95": "mAP50-95",
    "map50": "mAP50",
    "map75": "mAP75",
    "ar100": "AR100",
    "mre_px": "mean radial error, px",
    "mre_mm": "mean radial error, mm",
    "nsd": "surface Dice",
    "hd95_px": "HD95, px",
}


@dataclass(frozen=True)
class Table:
    """Texts; the first column names its row."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: int = 1  # the columns after these are numbers


@dataclass(frozen=True)
class Summary:
    """The primary score and what to know of it."""

    title: str
    value: str
    facts: str
    warnings: Sequence[str]
    protocol: str
    version: int
    description: str


@dataclass(frozen=True)
class OtherProtocol:
    """The same predictions by another protocol than the reporting one."""

    name: str
    description: str
    table: Table


@dataclass(frozen=True)
class Classes:
    """Scores per class: the usual ones, and all."""

    usual: Table
    complete: Table


def score_title(score: str) -> str:
    """A score's name for people; most have no other."""
    return TITLES.get(score, score)


def summarize(result: Result) -> Summary:
    """The primary score, its interval and protocol, and what to beware of."""
    assert result.primary is not None, "a finished result has a primary score"
    name = result.primary.name
    figure = result.scores[name]
    interval = format_interval(figure, name)
    facts = ["no interval"]
    if interval:
        facts = [f"95 % interval {interval} over {figure.groups} groups"]
    facts.append(f"{'higher' if result.primary.higher_is_better else 'lower'} is better")
    if result.data.counts.get("test"):
        facts.append(f"{result.data.counts['test']} test images")
    warnings = []
    clean = result.scores.get(name + NO_LEAKAGE)
    if result.data.leakage and clean:
        without = f"{score_title(name)} {format_with_interval(clean, name)}"
        warnings.append(f"{result.data.leakage.description}. Without them: {without}.")
    warnings += [text for text in (figure.reason, figure.interval) if text]
    return Summary(
        score_title(name),
        format_value(figure.value, name),
        "; ".join(facts),
        warnings,
        result.protocol.name,
        result.protocol.version,
        result.protocol.description,
    )


def score_table(result: Result) -> Table:
    """Every defined score of the reporting protocol; where images leak, also without them."""
    scores = result.scores
    leaks = any(name.endswith(NO_LEAKAGE) for name in scores)
    header = ["score", "value", "95 %", "n"]
    header += ["without leaking images"] if leaks else []
    rows = []
    for name, figure in scores.items():
        if name.endswith(NO_LEAKAGE) or figure.value is None:
            continue
        n = "" if figure.n is None else str(figure.n)
        row = [name, format_value(figure.value, name), format_interval(figure, name), n]
        if leaks:
            row.append(format_with_interval(scores.get(name + NO_LEAKAGE), name))
        target = result.protocol.target_score.get(name)
        row.append("" if target is None else format_value(target.value, name))
        rows.append(row)
    caption = f"On the test images, by the protocol {result.protocol.name}"
    return Table(caption, [*header, "target_score"], rows)


def undefined_scores(figures: Figures) -> list[str]:
    """A line for each reason why some scores have no value."""
    reasons: dict[str, list[str]] = {}
    for name, figure in figures.items():
        if figure.value is None and not name.endswith(NO_LEAKAGE):
            reasons.setdefault(figure.reason or "undefined", []).append(name)
    return [f"No value: {', '.join(names)} ({reason})." for reason, names in reasons.items()]


def other_protocols(result: Result) -> list[OtherProtocol]:
    """The scores by the other protocols."""
    parts = []
    for other in result.protocols[1:]:
        rows = []
        for name, figure in other.scores.items():
            rows.append([name, format_value(figure.value, name), format_interval(figure, name)])
        caption = f"The same predictions by the protocol {other.name} {other.version}"
        table = Table(caption, ["score", "value", "95 %"], rows)
        parts.append(OtherProtocol(other.name, other.description, table))
    return parts


def class_tables(result: Result) -> Classes | None:
    """The scores per class; None where the result has no classes."""
    per_class = result.protocol.per_class
    if not per_class:
        return None
    defined: dict[str, None] = {}
    for figures in per_class.values():
        defined |= {name: None for name, figure in figures.items() if figure.value is not None}
    usual = []
    for name in USUAL_SCORES[result.task]:
        if any(name in figures for figures in per_class.values()):
            usual.append(name)
    rows = []
    for label, figures in per_class.items():
        rows.append([label, *(format_with_interval(figures.get(name), name) for name in usual)])
    complete = []
    for name in defined:
        cells = [format_with_interval(figures.get(name), name) for figures in per_class.values()]
        complete.append([name, *cells])
    header = ["class", *map(score_title, usual)]
    return Classes(
        Table("Per class, with 95 % intervals", header, rows),
        Table("Every score per class", ["score", *per_class], complete),
    )


# ---- cases


@dataclass(frozen=True)
class Cases:
    """How good each case of a result is."""

    ranked: Sequence[tuple[str, float]]  # (case, quality) from the worst to the best
    by_class: Mapping[str, Mapping[str, float]]  # class → case → its quality there, as displayed


def judge_cases(table: Sequence[Mapping[str, str]], result: Result) -> Cases:
    """How good each case is. table: the result's case table."""
    rows = parse_rows(table)
    by_class = qualities_by_class(rows, result.task, list(result.protocol.per_class))
    return Cases(rank_cases(rows, result.task), by_class)


def spread_of_cases(cases: Cases, task: Task) -> dict[str, list[float]]:
    """All classes and each class → the qualities of its cases, ascending."""
    spread = {ALL: sorted(display_quality(value, task) for _, value in cases.ranked)}
    for label, qualities in cases.by_class.items():
        spread[label] = sorted(qualities.values())
    return spread


def format_quality(value: float, task: Task) -> str:
    """A case's quality as the tables show it. value: as displayed."""
    return format_value(value, "mre_px" if task == "landmark" else "dice")


def histogram_data(spread: Mapping[str, Sequence[float]], task: Task) -> dict[str, object]:
    """{label, edges (21,), rows: [{name, counts (20,)}]}.

    Bins reach from 0 to 1, those of distances to the largest.
    """
    top = 1.0
    if task == "landmark":
        top = max((max(values) for values in spread.values() if values), default=1.0) or 1.0
    edges = np.linspace(0, top, BINS + 1)
    rows = []
    for name in list(spread)[: MOST_CLASSES + 1]:
        rows.append({"name": name, "counts": np.histogram(spread[name], edges)[0].tolist()})
    return {
        "label": SHORT_QUALITY[task],
        "edges": [round(float(edge), 6) for edge in edges],
        "rows": rows,
    }


def quartile_table(spread: Mapping[str, Sequence[float]], task: Task) -> Table:
    """What the histogram shows, as a table."""
    header = ["class", "images", "lowest", "a quarter below", "median", "a quarter above"]
    rows = []
    for name, values in spread.items():
        texts = [UNDEFINED] * 5
        if values:
            marks = np.quantile(values, (0, 0.25, 0.5, 0.75, 1)).tolist()
            texts = [format_quality(mark, task) for mark in marks]
        rows.append([name, str(len(values)), *texts])
    return Table(f"{SHORT_QUALITY[task]} per image", [*header, "highest"], rows)


def worst_case_table(cases: Cases, result: Result) -> Table:
    """The worst cases with their qualities per class."""
    task = result.task
    labels = list(cases.by_class)[:MOST_CLASSES]
    leaking = leaking_images(result)
    rows = []
    for case, value in cases.ranked[:WORST]:
        note = "near-duplicate of a training image" if case in leaking else ""
        row = [case, note, format_quality(display_quality(value, task), task)]
        for label in labels:
            quality = cases.by_class[label].get(case)
            row.append(UNDEFINED if quality is None else format_quality(quality, task))
        rows.append(row)
    header = ["image", "note", SHORT_QUALITY[task], *labels]
    return Table(f"The worst {len(rows)} test images", header, rows, text_columns=2)


def leaking_images(result: Result) -> Sequence[str]:
    """Test images that resemble a training image."""
    return result.data.leakage.images if result.data.leakage else ()
