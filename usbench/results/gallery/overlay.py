"""The picture of a run: its worst, median and best test case, target beside prediction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from usbench.io.files import replacing
from usbench.results.gallery.cases import SCORES, choose_cases, parse_rows, rank_cases
from usbench.results.gallery.drawing import class_colours, draw_target
from usbench.results.predictions import StoredPredictions
from usbench.results.store import Case

PANEL = 480  # px, the least width of a drawn image
ID_LENGTH = 36  # characters that fit over a picture


def draw_overlays(
    predictions: StoredPredictions,
    cases: Iterable[Case],
    title: str,
    attribution: str | None = None,
) -> list[Path]:
    """Write overlays.png into the run's folder and list it.

    Args:
        predictions: of the test split.
        cases: the scorer's rows, or a case table's.
        title: what was run.
        attribution: whose images these are.
    """
    ranked = rank_cases(parse_rows(cases), predictions.samples.dataset.task)
    path = predictions.folder / "overlays.png"
    heading = f"{title}\nimages: {attribution}" if attribution else title
    draw_figure(predictions, choose_cases(ranked), heading, path)
    return [path]


def draw_figure(
    predictions: StoredPredictions,
    chosen: Mapping[str, tuple[str, float]],
    heading: str,
    path: Path,
) -> None:
    """Draw a row per case: target and prediction. chosen: place → (case, quality)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to import
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    samples = predictions.samples
    task, classes, ids = samples.dataset.task, samples.dataset.classes, samples.ids
    height, width = samples[ids.index(chosen["worst"][0])].image.shape
    size = (9, 0.9 + len(chosen) * 4.3 * height / width)  # inches
    figure = Figure(figsize=size, layout="constrained")
    rows = figure.subplots(len(chosen), 2, squeeze=False)
    for axes, (place, (case, quality)) in zip(rows, chosen.items(), strict=True):
        n = ids.index(case)
        sample, scale = samples[n], max(1, round(PANEL / width))
        panels = {
            f"{place}: {shorten(case)}, target": sample.target,
            f"prediction, {SCORES[task]} {quality:.2f}": predictions[n],
        }
        for axis, (text, target) in zip(axes, panels.items(), strict=True):
            axis.imshow(draw_target(sample.image, target, classes, scale, legend=False))
            axis.set_title(text, fontsize=9, loc="left")
            axis.set_axis_off()
    keys = []
    for label, colour in zip(classes, class_colours(len(classes)), strict=True):
        keys.append(Patch(color=[part / 255 for part in colour], label=label))
    columns = min(5, len(keys))
    figure.legend(
        handles=keys, loc="outside lower center", ncols=columns, fontsize=8, frameon=False
    )
    figure.suptitle(heading, fontsize=9)
    with replacing(path) as part:
        FigureCanvasAgg(figure).print_png(part)


def shorten(text: str, length: int = ID_LENGTH) -> str:
    """A text without its middle where it is longer than `length` characters."""
    if len(text) <= length:
        return text
    return f"{text[: length // 2]}…{text[-length // 2 + 1 :]}"
