"""What a finished run prints: a table of its scores, how they were made, where the files lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from usbench.io.console import facts, say
from usbench.io.numbers import format_count
from usbench.io.progress import format_seconds
from usbench.metrics.pairs import PROTOCOLS
from usbench.results.format import format_value
from usbench.results.measure_table import show_measures
from usbench.results.result import Result
from usbench.results.score_table import show_score_table

PHANTOM_NOTICE = "synthetic images: these scores are never compared with published ones"


def report_result(
    result: Result, path: Path, overlays: Sequence[Path], gallery: Path | None = None
) -> None:
    """Print a finished run's table, protocol, cost and files.

    Args:
        result: of the run.
        path: where it lies.
        overlays: pictures of its predictions.
        gallery: pictures and curves for the leaderboard's page.
    """
    assert result.primary
    say("")
    show_score_table(
        describe_result(result),
        result.task,
        result.primary.name,
        result.protocol,
        leaking=result.data.leakage.n if result.data.leakage else 0,
        custom=result.custom_scores,
    )
    show_measures(result.protocols)
    say("")
    rows = [
        ("intervals", describe_intervals(result)),
        ("protocol", describe_protocol(result)),
        ("cost", describe_cost(result)),
        *[("overlays", str(overlay)) for overlay in overlays],
    ]
    if gallery:
        rows.append(("gallery", str(gallery)))
    if result.data.leakage:
        rows.insert(0, ("leakage", result.data.leakage.description))
    rows += [("note", note) for note in result.data.notes]
    if result.data.phantom:
        rows.append(("phantom", PHANTOM_NOTICE))
    facts([*rows, ("result", str(path))])


def describe_result(result: Result) -> str:
    """Which run it is of, on which images."""
    assert result.primary
    parts = [f"{result.dataset} {result.task}", result.model, str(result.recipe)]
    parts.append(f"seed {result.seed}")
    if result.fold is not None:
        parts.append(f"fold {result.fold}")
    if result.trained_on:
        parts.append(f"trained on {result.trained_on}")
    parts.append(format_count(result.data.counts["test"], "test image"))
    tables = [result.scores, *result.protocol.per_class.values()]
    groups = [figure.groups or 0 for table in tables for figure in table.values()]
    if max(groups):  # a figure's own groups may be fewer
        parts[-1] += f" in {format_count(max(groups), 'group')}"
    return " · ".join(parts)


def describe_intervals(result: Result) -> str:
    """What the intervals are, and how far to trust them."""
    assert result.primary
    notes: list[str | None] = ["95 %, by resampling groups"]
    primary = result.scores[result.primary.name]
    if primary.low is not None:  # else the table says why
        notes.append(primary.interval)
    unknown_groups = result.config["dataset"].get("unknown_groups")
    if unknown_groups and not result.data.phantom:
        notes.append(f"too narrow: {unknown_groups}")
    return "; ".join(note for note in notes if note)


def describe_protocol(result: Result) -> str:
    """The reporting protocol in a line, and where its definition and the others are."""
    protocol = result.protocol
    known = PROTOCOLS[result.task].get(protocol.name)
    summary = f": {known.summary}" if known else ""
    return (
        f"{protocol.name} {protocol.version}{summary} "
        f"(usbench explain {result.run_id} shows every protocol and its definition)"
    )


def describe_cost(result: Result) -> str:
    """Seconds by stage, the size of the net, and the machine."""
    stages = (result.seconds or {}).items()
    seconds = ", ".join(f"{stage} {format_seconds(value)}" for stage, value in stages)
    size = f"{format_count(result.parameters, 'parameter')}; " if result.parameters else ""
    threads = format_count(result.threads or 0, "thread")
    place = f"{result.device}, {result.precision}, {threads}"
    return f"{seconds}; {size}{place}"


def report_trial(result: Result) -> None:
    """Print a search's trial in a line, without test scores, which mustn't guide a choice."""
    if result.validation:
        score = format_value(result.validation.value, result.validation.name)
        say(f"validation: {result.validation.name} {score}")
