"""The table of a plan, and how long it may take."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from usbench.io.console import say, table
from usbench.io.progress import format_seconds
from usbench.runner.expected_time import expected_time
from usbench.sweep.jobs import Job, to_score_again


def show_plan(
    jobs: Sequence[Job], to_do: Collection[str], places: int, overwrite: bool = False
) -> None:
    """Print the runs, what is done, what would be run, and how long that may take.

    Args:
        jobs: of the sweep.
        to_do: names of the jobs that would be started.
        places: runs at once.
        overwrite: whether interrupted runs begin anew.
    """
    rows, seconds_left, unknown = [], 0.0, 0
    for job in jobs:
        for name, config, status in job.statuses():
            if status.is_done:
                note = f"in {format_seconds(status.seconds)}"
                if to_score_again(config, status):
                    note += ", to be scored by another metric"
            elif config is None or job.name not in to_do:
                note = status.reason
            else:
                expected = expected_time(config)
                note = "no earlier run on this processor"
                unknown += expected is None
                if expected is not None:
                    seconds_left += expected.seconds
                    note = f"about {format_seconds(expected.seconds)}"
                if not overwrite and (epoch := epochs_done(config.run_dir)):
                    note = f"interrupted, resumes at epoch {epoch + 1}; {note}"
            rows.append([name, config.run_id if config else "–", status.state, note])
    table("plan", ["combination", "run", "state", ""], rows)
    duration = (
        f", {places} at once: {format_total(seconds_left / places, unknown)}" if to_do else ""
    )
    say(f"{len(to_do)} of {len(jobs)} combinations would be run{duration}")


def epochs_done(folder: Path) -> int:
    """The last epoch of which a run's folder has a checkpoint; 0 where there is none."""
    names = [path.stem.rpartition("-")[2] for path in folder.glob("checkpoint-*.pt*")]
    return max((int(name) for name in names if name.isdecimal()), default=0)


def format_total(seconds: float, unknown: int) -> str:
    """How long a sweep may take, with how many runs can't be estimated."""
    if not unknown:
        return f"about {format_seconds(seconds)}"
    if not seconds:
        return "no estimate"
    return f"about {format_seconds(seconds)}, and {unknown} without an estimate"
