"""What a finished run prints: a table per class, the target's own score, where the files lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from usbench.io.config import Composed
from usbench.io.console import say, table
from usbench.metrics.scores import Figure, Figures
from usbench.results.format import UNDEFINED, USUAL_SCORES, format_value
from usbench.results.result import Result
from usbench.results.store import lower_is_better
from usbench.runner.config import RunConfig


def format_score(figures: Figures, name: str) -> str:
    """A score for a table, – where it is undefined."""
    figure = figures.get(name)
    return format_value(None if figure is None else figure.value, name)


def format_bounds(figure: Figure | None, name: str) -> str:
    """A score's interval for a table, short enough for a terminal; – where there is none."""
    if figure is None or figure.low is None or figure.high is None:
        return UNDEFINED
    if lower_is_better(name):
        return f"{figure.low:.1f}–{figure.high:.1f}"
    return f"{format_value(figure.low, name)}–{format_value(figure.high, name)}"


def count_cases(figures: Figures, names: Sequence[str]) -> str:
    """The cases that the first defined score is made of."""
    for name in names:
        if name in figures and figures[name].value is not None:
            return str(figures[name].n)
    return "0"


def result_rows(result: Result, names: Sequence[str]) -> Iterator[list[str]]:
    """A row per class, then all classes, their intervals and the target's own scores."""
    protocol = result.protocol
    for label, figures in [*protocol.per_class.items(), ("all classes", protocol.scores)]:
        scores = (format_score(figures, name) for name in names)
        yield [label, *scores, count_cases(figures, names)]
    yield ["95 %", *(format_bounds(protocol.scores.get(name), name) for name in names), ""]
    leakage = result.data.leakage
    if leakage:
        clean = [format_score(protocol.scores, f"{name}:no-leak") for name in names]
        yield [f"without {leakage.n} images", *clean, ""]
    yield ["target score", *(format_score(protocol.target_score, name) for name in names), ""]


def report_result(result: Result, path: Path, overlays: Sequence[Path]) -> None:
    """Print a finished run's table, protocols, cost and files."""
    assert result.primary and result.seconds is not None
    parts = [result.dataset, result.model, str(result.recipe), f"seed {result.seed}"]
    if result.trained_on:
        parts.append(f"trained on {result.trained_on}")
    title = f"{' · '.join(parts)} · test, {result.data.counts['test']} images"
    names, protocol = USUAL_SCORES[result.task], result.protocol
    table(title, ["class", *names, "images"], result_rows(result, names))
    if result.data.leakage:
        say(f"leakage: {result.data.leakage.description}")
    note = protocol.scores[result.primary.name].interval
    if note:
        say(f"interval of {result.primary.name}: {note}")
    say(f"protocol {protocol.name} v{protocol.version}: {protocol.description}")
    for other in result.protocols[1:]:
        scores = "  ".join(
            f"{name} {format_score(other.scores, name)} "
            f"(target score {format_score(other.target_score, name)})"
            for name in other.scores
        )
        say(f"protocol {other.name}: {scores}")
    seconds = "  ".join(f"{stage} {value:.0f} s" for stage, value in result.seconds.items())
    say(
        f"{seconds}; {result.parameters or 0:,} parameters; {result.device}, {result.precision}, "
        f"{result.threads} threads"
    )
    for overlay in overlays:
        say(f"overlays: {overlay}")
    say(f"result: {path}")


def report_trial(result: Result) -> None:
    """Print a search's trial in a line, without test scores, which mustn't guide a choice."""
    if result.validation:
        say(f"validation: {result.validation.name} {result.validation.value}")


def phantom_notice(config: RunConfig, dataset: Composed) -> str:
    """Why a phantom's scores stand apart, and from which published one.

    Args:
        config: of the run.
        dataset: its YAML, with the published numbers.
    """
    view = (config.task, "test")
    published = dataset.get("published") or ()
    rows = [row for row in published if (row["task"], row["split"]) == view]
    rows = [row for row in rows if row["model"] == config.model.name] or rows
    example = ""
    if rows:
        best = max(rows, key=lambda row: next(iter(row["scores"].values())))
        name, value = next(iter(best["scores"].items()))
        example = f", such as the {name} {value} of {best['name']}"
    return (
        f"these are phantom images, drawn by usbench in the format of {config.dataset.name}'s "
        "release: their scores go to results/phantom and are never compared with a published "
        f"number{example}"
    )
