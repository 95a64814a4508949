"""How long a run may take: what finished runs like it took on this kind of processor."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from usbench.errors import DataError
from usbench.io.progress import format_seconds
from usbench.results.result import Result
from usbench.results.store import PHANTOM, load_result
from usbench.runner import machine
from usbench.runner.config import RunConfig


@dataclass(frozen=True)
class ExpectedTime:
    """How long a run may take."""

    seconds: float  # the median of `runs` runs
    runs: int
    date: str | None  # of the newest one, YYYY-MM-DD
    same_settings: bool  # of the same series; else only dataset, model and recipe are the same
    threads: int | None  # of the earlier runs, where it isn't the run's own number

    def __str__(self) -> str:
        """Such as "about 13 min, as the run of 2026-11-20 on this processor"."""
        runs = f"the run of {self.date}" if self.runs == 1 else f"the median of {self.runs} runs"
        notes = [] if self.same_settings else ["other settings"]
        if self.threads is not None:
            notes.append(f"{self.threads} threads")
        differing = f" ({', '.join(notes)})" if notes else ""
        return f"about {format_seconds(self.seconds)}, as {runs} on this processor{differing}"


def expected_time(config: RunConfig) -> ExpectedTime | None:
    """How long a run may take; None without a finished run like it.

    Like it are runs of its dataset, model, recipe and device on this kind of processor. Of these,
    runs of its series are preferred, then runs with as many threads.
    """
    folder = config.results / PHANTOM if config.phantom else config.results
    runs = earlier_runs(folder / config.dataset.name / config.task, config.model.name)
    device, gpu = config.device.split(":")[0], machine.gpu_facts(config.device)["gpu"]
    alike = [
        run
        for run in runs
        if (run.recipe, run.device, run.trained_on) == (config.recipe, device, trained_on(config))
        and (gpu is None or run.machine.gpu == gpu)
    ]
    if not alike:
        return None
    alike = prefer(alike, lambda run: run.series == config.series)
    alike = prefer(alike, lambda run: run.threads == config.threads)
    threads = alike[0].threads
    return ExpectedTime(
        statistics.median(sum((run.seconds or {}).values()) for run in alike),
        len(alike),
        max((run.date for run in alike if run.date), default=None),
        alike[0].series == config.series,
        None if threads == config.threads else threads,
    )


def trained_on(config: RunConfig) -> str | None:
    """The other dataset that an evaluated model was trained on; None for a training."""
    return config.transfer.trained_on if config.transfer else None


def prefer(runs: Sequence[Result], is_better: Callable[[Result], bool]) -> list[Result]:
    """The better runs if there are any, else all."""
    return list(filter(is_better, runs)) or list(runs)


@cache
def earlier_runs(folder: Path, model: str) -> list[Result]:
    """The finished runs of a model on this kind of processor."""
    processor = machine.cpu_info("model name")
    runs = []
    for path in sorted(folder.glob(f"{model}-s*.json")):
        with suppress(DataError):  # the status reports damaged results
            result = load_result(path)
            if result.is_done and result.machine.processor == processor and result.seconds:
                runs.append(result)
    return runs
