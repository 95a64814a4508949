"""Pictures of a run: the worst, median and best test cases, truth beside prediction."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usbench import scoring
from usbench.datasets.dataset import Samples
from usbench.metrics import boxes, overlap
from usbench.metrics.scores import mean
from usbench.types import Boxes, Masks, Target

CONFIDENCE = 0.25  # boxes below it aren't drawn (they are scored)


def draw(one: Mapping[str, Any], folder: Path, samples: Samples) -> list[Path]:
    """Write folder/overlays.png: three cases, each truth and prediction; the list of files."""
    quality = [case_quality(truth, guess) for _, _, truth, guess in scoring.pairs(folder, "test", samples)]
    order = np.argsort(quality, kind="stable")
    chosen = {"worst": int(order[0]), "median": int(order[len(order) // 2]), "best": int(order[-1])}
    shown = {}
    for n, (_, _, truth, guess) in enumerate(scoring.pairs(folder, "test", samples)):
        if n in chosen.values():
            shown[n] = (truth, guess)
    path = folder / "overlays.png"
    figure(one, samples, {name: (n, quality[n], *shown[n]) for name, n in chosen.items()}, path)
    return [path]


def case_quality(truth: Target, guess: Target) -> float:
    """How good one case looks: mean Dice of its classes; for boxes F1 at IoU .5 and confidence .25, then mean IoU."""
    if isinstance(truth, Masks) and isinstance(guess, Masks):
        value = float(mean(overlap.dice(overlap.counts(truth.planes, guess.planes))))
        return 1.0 if np.isnan(value) else value
    assert isinstance(truth, Boxes) and isinstance(guess, Boxes) and guess.scores is not None
    hits, drawn, fit = 0, 0, 0.0
    for label in np.union1d(truth.labels, guess.labels):
        own, found = truth.xyxy[truth.labels == label], boxes.by_score(guess, int(label))
        assert found.scores is not None
        seen = found.xyxy[found.scores >= CONFIDENCE]
        hits += int(boxes.match(own, seen)[0].sum())
        drawn += len(seen)
        if len(own) and len(seen):
            fit += float(boxes.iou(own, seen).max(axis=0).mean())
    total = len(truth.labels) + drawn
    return (2 * hits / total if total else 1.0) + 1e-3 * fit


def figure(
    one: Mapping[str, Any], samples: Samples, shown: Mapping[str, tuple[int, float, Target, Target]], path: Path
) -> None:
    """Three rows of truth and prediction on the native image."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    classes = samples.dataset.classes
    height, width = next(iter(samples.images())).shape
    canvas = Figure(figsize=(9, 0.9 + 3 * 4.3 * height / width), layout="constrained")
    axes = canvas.subplots(3, 2, squeeze=False)
    for row, (name, (n, quality, truth, guess)) in zip(axes, shown.items(), strict=True):
        sample = samples[n]
        for axis, target, title in (
            (row[0], truth, f"{name}: {sample.id}"),
            (row[1], guess, f"prediction, {quality:.2f}"),
        ):
            axis.imshow(paint(sample.image, target))
            outline(axis, target, classes)
            axis.set_title(title, fontsize=9, loc="left")
            axis.set_axis_off()
    colours = palette(len(classes))
    keys = [Patch(color=colours[c], label=label) for c, label in enumerate(classes)]
    canvas.legend(handles=keys, loc="outside lower center", ncols=min(5, len(keys)), fontsize=8, frameon=False)
    words = f"{one['dataset']['name']} · {one['model']['name']} · {one['budget']} · seed {one['seed']}"
    attribution = None if one["phantom"] else one["dataset"].get("attribution")
    canvas.suptitle(words + (f"\nimages: {attribution}" if attribution else ""), fontsize=9)
    beside = path.with_name(f".{path.name}")
    FigureCanvasAgg(canvas).print_png(beside)
    beside.replace(path)


def palette(n: int) -> NDArray[np.float64]:
    """(n, 3) distinct colours."""
    from matplotlib import colormaps

    return np.array([colormaps["tab10"](c % 10)[:3] for c in range(n)])


def paint(image: NDArray[np.uint8], target: Target) -> NDArray[np.float64]:
    """The grey image with its masks tinted, (H, W, 3) in 0..1."""
    picture = np.repeat(image[..., None] / 255.0, 3, axis=2)
    if isinstance(target, Masks):
        for plane, colour in zip(target.planes, palette(len(target.planes)), strict=True):
            picture[plane] = 0.55 * picture[plane] + 0.45 * colour
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
        corner, sides = box[:2] - 0.5, box[2:] - box[:2]  # matplotlib's pixel centres are whole numbers
        axis.add_patch(Rectangle(tuple(corner), *sides, fill=False, linewidth=1.5, edgecolor=colours[label]))
        if score is not None:
            axis.text(box[0], box[1] - 3, f"{score:.2f}", fontsize=7, color=colours[label])
