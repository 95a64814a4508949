"""How long a sweep may take, by what its like took on this kind of processor; and the table of a plan."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from usbench.io.console import say, table
from usbench.results import store as results
from usbench.runner import machine
from usbench.runner import status as ledger


class Planned(Protocol):
    """A combination of a sweep, see usbench.sweep.planner.Job."""

    name: str
    skipped: str
    failed: str
    cells: list[dict[str, Any]]


def show(jobs: Sequence[Any], todo: Iterable[str], places: int) -> None:
    """The cells, what is done, what would be run, and how long. todo: the names of the jobs that would be started."""
    start, rows, waits, unknown = set(todo), [], 0.0, 0
    for job in jobs:
        if not job.cells:
            rows.append(
                [job.name, "–", "skipped" if job.skipped else "failed", job.skipped or job.failed]
            )
            continue
        for n, (one, found) in enumerate(zip(job.cells, ledger.entries(job.cells), strict=True)):
            seconds = found.seconds if found.state == "done" else expected(one)
            runs = job.name in start and found.state != "done"
            waits += seconds or 0.0 if runs else 0.0
            unknown += runs and seconds is None
            told = found.words if found.state != "done" else f"in {minutes(seconds)}"
            if found.state != "done" and runs:
                told = (
                    f"about {minutes(seconds)}" if seconds else "no earlier run on such a processor"
                )
            name = job.name + (f" → {one['dataset']['name']}" if n else "")
            rows.append([name, one["run_id"], found.state, told])
    table("plan", ["combination", "cell", "state", ""], rows)
    how_long = f", {places} at once: {total(waits / places, unknown)}" if start else ""
    say(f"{len(start)} of {len(jobs)} combinations would be run{how_long}")


def total(seconds: float, unknown: int) -> str:
    """All of it in words."""
    if not unknown:
        return f"about {minutes(seconds)}"
    if not seconds:
        return "nothing tells how long"
    return f"about {minutes(seconds)}, and {unknown} whose time nothing tells yet"


def minutes(seconds: float | None) -> str:
    """A duration for people."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def expected(one: Mapping[str, Any]) -> float | None:
    """Seconds that a cell may take: the median of finished ones of its dataset, model and recipe on this kind of
    processor and device; None where there are none."""
    top = Path(one["results"]) / (results.PHANTOM if one.get("phantom") else "")
    device = str(one.get("device", "cpu")).split(":")[0]
    where = (str(top), one["dataset"]["name"], one["task"], one["model"]["name"])
    found = [
        took for recipe, on, took in earlier(*where) if (recipe, on) == (one["recipe"], device)
    ]
    return statistics.median(found) if found else None


@cache
def earlier(top: str, dataset: str, task: str, model: str) -> tuple[tuple[str, str, float], ...]:
    """(recipe, device, seconds) of each finished record of one model on one dataset, made on such a processor."""
    return tuple(_times(sorted(Path(top, dataset, task).glob(f"{model}-s*.json"))))


def _times(paths: Iterable[Path]) -> Iterator[tuple[str, str, float]]:
    here = machine.cpu_info("model name")
    for path in paths:
        try:
            record = json.loads(path.read_bytes())
            if record["status"] == "done" and record["machine"]["processor"] == here:
                yield record["recipe"], record["device"], float(sum(record["seconds"].values()))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # damaged: the ledger says so
