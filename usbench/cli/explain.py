"""Score one result's stored predictions under every protocol of its task, side by side.

    usbench explain RESULT [--data DIR] [--results DIR] [--runs DIR] [--class NAME] [--json FILE]

RESULT is a result's file, name or run id. Its predictions are those of its run's folder, or where
that is gone those that are kept beside the result. For masks it also shows HD95 as three packages define it,
for boxes the implantability score of Kumar et al. 2025. Nothing is trained, no result is changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from usbench.cli.options import DATA_HELP, Options, make_parser, run_verb, write_json
from usbench.errors import ConfigError
from usbench.evaluate.sanity import every_protocol
from usbench.evaluate.stored_run import open_stored_run
from usbench.io.console import say, table, track
from usbench.io.numbers import format_decimals
from usbench.leaderboard import implantability
from usbench.leaderboard.implantability import Implantability
from usbench.metrics.outline_distances import measure_distances, pixel_hd95
from usbench.metrics.scores import ProtocolScores
from usbench.results import store
from usbench.results.format import format_value, format_with_interval, with_direction
from usbench.results.measure_table import show_measures, without_measures
from usbench.results.predictions import StoredPredictions
from usbench.results.result import Result, tables_to_json
from usbench.types import Masks, Task

COLUMNS: dict[Task, tuple[str, ...]] = {
    "segment": ("dice", "iou"),
    "detect": ("map50_95", "map50"),
    "landmark": ("mre_px",),
}


def show_protocols(
    protocols: Sequence[ProtocolScores], task: Task, label: str | None, title: str
) -> None:
    """Print a line per protocol (score, interval, target score), then their descriptions."""
    first, *others = COLUMNS[task]
    lines, values = [], []
    for protocol in protocols:
        if label and label not in protocol.per_class:
            raise ConfigError(f"--class {label}: expected one of {', '.join(protocol.per_class)}")
        figures = protocol.per_class[label] if label else protocol.scores
        cells = [format_with_interval(figures.get(name), name) for name in (first, *others)]
        target = format_with_interval(protocol.target_score.get(first), first)
        lines.append([f"{protocol.name} {protocol.version}", *cells, target])
        if (value := figures[first].value) is not None:
            values.append(value)
    table(title, ["protocol", first, *others, "target score"], lines)
    if len(values) > 1:
        span = f"from {format_value(min(values), first)} to {format_value(max(values), first)}"
        say(f"the same predictions: {first} {span}, by the protocol alone")
    for protocol in protocols:
        say(f"{protocol.name} {protocol.version}: {protocol.description}")


def describe_custom(result: Result) -> str:
    """The scores that the user's metric adds, with their intervals; "" where it adds none."""
    figures = []
    for name in result.custom_scores:
        figure = result.scores[name]
        title = with_direction(name, figure.higher_is_better)
        figures.append(f"{title} {format_with_interval(figure, name)}")
    return ", ".join(figures)


def show_distances(predictions: StoredPredictions) -> None:
    """Print HD95 of the same masks by our definition and by two other packages', per class."""
    classes = predictions.samples.dataset.classes
    rows: list[list[tuple[float, float, float]]] = [[] for _ in classes]
    for sample, prediction in track(predictions.pairs(), "measuring", len(predictions)):
        assert isinstance(sample.target, Masks) and isinstance(prediction, Masks)
        planes = zip(rows, sample.target.planes, prediction.planes, strict=True)
        for row, target, predicted in planes:
            ours = measure_distances(target, predicted)
            others = pixel_hd95(target, predicted)
            if ours is not None and others is not None:
                row.append((ours.hausdorff(0.95), others.monai, others.medpy))
    lines = []
    for label, values in zip(classes, rows, strict=True):
        cells = ["–"] * 3
        if values:
            cells = [f"{mean:.2f}" for mean in np.mean(values, axis=0)]
        lines.append([label, *cells, str(len(values))])
    header = ["HD95, px", "usbench", "as MONAI", "as MedPy", "images"]
    table("three definitions of one name", header, lines)


def show_implantability(score: Implantability | None) -> None:
    """Print the score, its parts, and what stands in for those that the paper leaves open."""
    if score is None:
        say("implantability: unknown, because the result states no speed and load")
        return
    parts = list(map(format_decimals, (score.score, score.map50, score.speed, score.load)))
    table("implantability", ["score", "mAP50", "FPS / fastest", "load"], [parts])
    say(f"implantability: {implantability.DESCRIPTION}")


def to_json(
    result: Result, protocols: Sequence[ProtocolScores], score: Implantability | None
) -> dict[str, object]:
    """Every protocol's scores as JSON's data."""
    described = {}
    for protocol in protocols:
        head = {"version": protocol.version, "description": protocol.description}
        described[protocol.name] = {**head, **tables_to_json(protocol)}
    content: dict[str, object] = {
        "dataset": result.dataset,
        "task": result.task,
        "model": result.model,
        "seed": result.seed,
        "run_id": result.run_id,
        "protocols": described,
    }
    if score is not None:
        content["implantability"] = {"score": score.score, **asdict(score)}
    return content


def explain(options: Options) -> None:
    """Score, show, write."""
    path = store.resolve_result(options.result, options.results)
    result = store.load_finished(path)
    run = open_stored_run(result, path, options.runs, options.data)
    task, predictions = run.dataset.task, run.predictions("test")
    metric = {**every_protocol(run.config.metric, task), "extra": {}}
    protocols = run.score(metric, predictions).protocols
    parts = [result.dataset, result.model, f"seed {result.seed}", options.label or "all classes"]
    show_protocols(without_measures(protocols), task, options.label, " · ".join(parts))
    if options.label is None:
        show_measures(protocols)
        for protocol in protocols[len(without_measures(protocols)) :]:  # it comes last
            say(f"{protocol.name} {protocol.version}: {protocol.description}")
    if options.label is None and (figures := describe_custom(result)):
        say(f"figures of the metric, under any protocol: {figures}")
    score = None
    if task == "segment" and options.label is None:
        show_distances(predictions)
    if task == "detect" and options.label is None:
        others = map(store.load_result, sorted(path.parent.glob("*.json")))
        score = implantability.score_implantability(result, list(others))
        show_implantability(score)
    write_json(options.json, to_json(result, protocols, score))


def main(argv: list[str] | None = None) -> int:
    """The command; its exit code: 0, 1 for a missing run or data, 2 for a bad class."""
    parser = make_parser(__doc__, "write the scores as JSON too", "explain", ("results", "runs"))
    parser.add_argument("result", metavar="RESULT", help="a result's file, name or run id")
    parser.add_argument("--data", type=Path, metavar="DIR", help=DATA_HELP)
    parser.add_argument("--class", dest="label", metavar="NAME", help="the scores of one class")
    return run_verb(explain, parser.parse_args(argv))
