"""The table of a plan, and how long it may take: what similar runs took on this processor."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from usbench.errors import DataError
from usbench.io.console import say, table
from usbench.results.store import PHANTOM, load_result
from usbench.runner import machine
from usbench.runner.config import RunConfig
from usbench.sweep.jobs import Job


def show_plan(jobs: Sequence[Job], to_do: Collection[str], places: int) -> None:
    """Print the runs, what is done, what would be run, and how long that may take.

    Args:
        jobs: of the sweep.
        to_do: names of the jobs that would be started.
        places: runs at once.
    """
    rows, seconds_left, unknown = [], 0.0, 0
    for job in jobs:
        for name, config, status in job.statuses():
            if status.is_done:
                note = f"in {format_seconds(status.seconds)}"
            elif config is None or job.name not in to_do:
                note = status.reason
            else:
                seconds = expected_seconds(config)
                seconds_left += seconds or 0.0
                unknown += seconds is None
                note = "no earlier run on this processor"
                if seconds is not None:
                    note = f"about {format_seconds(seconds)}"
            rows.append([name, config.run_id if config else "–", status.state, note])
    table("plan", ["combination", "run", "state", ""], rows)
    duration = (
        f", {places} at once: {format_total(seconds_left / places, unknown)}" if to_do else ""
    )
    say(f"{len(to_do)} of {len(jobs)} combinations would be run{duration}")


def format_total(seconds: float, unknown: int) -> str:
    """How long a sweep may take, with how many runs can't be estimated."""
    if not unknown:
        return f"about {format_seconds(seconds)}"
    if not seconds:
        return "no estimate"
    return f"about {format_seconds(seconds)}, and {unknown} without an estimate"


def format_seconds(seconds: float | None) -> str:
    """A duration for people."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def expected_seconds(config: RunConfig) -> float | None:
    """Seconds that a run may take, None without a finished run like it.

    The median of runs of its dataset, model and recipe on this kind of processor and its device.
    """
    folder = config.results / PHANTOM if config.phantom else config.results
    times = earlier_times(folder / config.dataset.name / config.task, config.model.name)
    alike = times[config.recipe, config.device.split(":")[0]]
    return statistics.median(alike) if alike else None


@cache
def earlier_times(
    folder: Path, model: str
) -> defaultdict[tuple[str | None, str | None], list[float]]:
    """Seconds of each finished run of a model on this kind of processor, by recipe and device."""
    processor = machine.cpu_info("model name")
    times = defaultdict(list)
    for path in sorted(folder.glob(f"{model}-s*.json")):
        with suppress(DataError):  # the status reports damaged results
            result = load_result(path)
            if result.is_done and result.machine.processor == processor and result.seconds:
                times[result.recipe, result.device].append(float(sum(result.seconds.values())))
    return times
