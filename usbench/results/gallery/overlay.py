"""Pictures of a run: the worst, median and best test cases, truth beside prediction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from usbench.datasets.dataset import Samples
from usbench.results import scoring
from usbench.types import (
    SEEN,
    Boxes,
    Landmarks,
    Masks,
    Sample,
    Target,
    Task,
    curve_through,
)

CONFIDENCE = 0.25  # boxes below it aren't drawn (they are scored)


def draw(
    one: Mapping[str, Any], folder: Path, samples: Samples, cases: Sequence[Mapping[str, Any]]
) -> list[Path]:
    """Write folder/overlays.png (three test cases, truth beside prediction) and list it; cases: the scorer's rows."""
    quality = qualities(cases, one["task"])
    order = sorted(quality, key=lambda case: (quality[case], case))
    chosen = {"worst": order[0], "median": order[len(order) // 2], "best": order[-1]}
    stored, ids = scoring.stored(folder, "test", samples), samples.ids
    shown = {}
    for name, case in chosen.items():
        n = ids.index(case)
        shown[name] = (samples[n], quality[case], stored[n])
    path = folder / "overlays.png"
    figure(one, samples.dataset.classes, shown, path)
    return [path]


def qualities(cases: Sequence[Mapping[str, Any]], task: Task) -> dict[str, float]:
    """How good each case looks, from its rows: mean Dice, F1 of the boxes, minus the landmarks' error."""
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for row in cases:
        rows.setdefault(row["case"], []).append(row)
    return {case: RATES[task][1](own) for case, own in rows.items()}


def mean_dice(rows: Sequence[Mapping[str, Any]]) -> float:
    """Over the known classes in truth or prediction, as usbench.metrics.overlap without arrays for single numbers; 1
    where there is none."""
    counts = [(2 * row["tp"], row["fp"] + row["fn"]) for row in rows if row["tp"] is not None]
    values = [twice / (twice + missed) for twice, missed in counts if twice + missed]
    return sum(values) / len(values) if values else 1.0


def f1(rows: Sequence[Mapping[str, Any]]) -> float:
    """At IoU .5, of the boxes that are drawn; 1 where there is nothing to find and nothing found."""
    truths = sum(row["truths"] or 0 for row in rows)
    drawn = [row for row in rows if row["score"] is not None and row["score"] >= CONFIDENCE]
    hits = sum(row["matches"][1] == "1" for row in drawn)  # the first threshold, .5, after the m
    return 2 * hits / (truths + len(drawn)) if truths or drawn else 1.0


def minus_error(rows: Sequence[Mapping[str, Any]]) -> float:
    """Minus the mean distance in px of what is seen, 0 where nothing is."""
    errors = [float(row["error_px"]) for row in rows if row["error_px"] is not None]
    return -sum(errors) / len(errors) if errors else 0.0


RATES: Mapping[Task, tuple[str, Callable[[Sequence[Mapping[str, Any]]], float]]] = {
    "segment": ("Dice", mean_dice),
    "detect": ("F1", f1),
    "landmark": ("minus the mean error in px:", minus_error),
}


def figure(
    one: Mapping[str, Any],
    classes: tuple[str, ...],
    shown: Mapping[str, tuple[Sample, float, Target]],
    path: Path,
) -> None:
    """Three rows of truth and prediction on the native image."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    height, width = next(iter(shown.values()))[0].image.shape
    canvas = Figure(figsize=(9, 0.9 + 3 * 4.3 * height / width), layout="constrained")
    axes = canvas.subplots(3, 2, squeeze=False)
    for row, (name, (sample, quality, guess)) in zip(axes, shown.items(), strict=True):
        titles = (
            f"{name}: {short(sample.id)}, truth",
            f"prediction, {RATES[one['task']][0]} {quality:.2f}",
        )
        for axis, target, title in zip(row, (sample.target, guess), titles, strict=True):
            axis.imshow(paint(sample.image, target))
            outline(axis, target, classes)
            mark(axis, target)
            axis.set_title(title, fontsize=9, loc="left")
            axis.set_axis_off()
    colours = palette(len(classes))
    keys = [Patch(color=colours[c], label=label) for c, label in enumerate(classes)]
    canvas.legend(
        handles=keys, loc="outside lower center", ncols=min(5, len(keys)), fontsize=8, frameon=False
    )
    words = (
        f"{one['dataset']['name']} · {one['model']['name']} · {one['recipe']} · seed {one['seed']}"
    )
    attribution = None if one["phantom"] else one["dataset"].get("attribution")
    canvas.suptitle(words + (f"\nimages: {attribution}" if attribution else ""), fontsize=9)
    beside = path.with_name(f".{path.name}")
    FigureCanvasAgg(canvas).print_png(beside)
    beside.replace(path)


def short(identity: str, most: int = 36) -> str:
    """An id that fits over a picture: its middle goes."""
    return (
        identity
        if len(identity) <= most
        else f"{identity[: most // 2]}…{identity[-most // 2 + 1 :]}"
    )


def palette(n: int) -> NDArray[np.float64]:
    """(n, 3) distinct colours."""
    from matplotlib import colormaps

    name, period = ("tab10", 10) if n <= 10 else ("tab20", 20)
    return np.array([colormaps[name](c % period)[:3] for c in range(n)])


def paint(image: NDArray[np.uint8], target: Target) -> NDArray[np.float64]:
    """The grey image with its masks tinted and outlined, (H, W, 3) in 0..1.

    The outlines are drawn from the last class to the first: of planes that overlap, the first contains the others.
    """
    picture = np.repeat(image[..., None] / 255.0, 3, axis=2)
    if isinstance(target, Masks):
        tints = list(zip(target.planes, palette(len(target.planes)), strict=True))
        for plane, colour in tints:
            picture[plane] = 0.6 * picture[plane] + 0.4 * colour
        for plane, colour in reversed(tints):
            picture[plane & ~ndimage.binary_erosion(plane)] = colour
    return picture


def outline(axis: Any, target: Target, classes: tuple[str, ...]) -> None:
    """Draw boxes of at least .25 confidence."""
    from matplotlib.patches import Rectangle

    if not isinstance(target, Boxes):
        return
    colours = palette(len(classes))
    for n, (box, label) in enumerate(zip(target.xyxy, target.labels, strict=True)):
        score = None if target.scores is None else float(target.scores[n])
        if score is not None and score < CONFIDENCE:
            continue
        corner, sides = (
            box[:2] - 0.5,
            box[2:] - box[:2],
        )  # matplotlib's pixel centres are whole numbers
        axis.add_patch(
            Rectangle(tuple(corner), *sides, fill=False, linewidth=1.5, edgecolor=colours[label])
        )
        if score is not None:
            plate = {"facecolor": "black", "edgecolor": "none", "alpha": 0.6, "pad": 1}
            axis.text(
                box[0] + 2,
                box[1] + 2,
                f"{score:.2f}",
                fontsize=7,
                va="top",
                color=colours[label],
                bbox=plate,
            )


def mark(axis: Any, target: Target) -> None:
    """Draw the landmarks that are seen: a dot per point, a line per curve."""
    if not isinstance(target, Landmarks):
        return
    for path, state, colour in zip(
        target.paths, target.state, palette(len(target.paths)), strict=True
    ):
        if state != SEEN or not len(path):
            continue
        if len(path) == 1:
            axis.plot(
                *path[0],
                "o",
                markersize=4,
                color=colour,
                markeredgecolor="black",
                markeredgewidth=0.5,
            )
        else:
            axis.plot(*curve_through(path).T, linewidth=1.3, color=colour)
