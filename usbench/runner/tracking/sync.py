"""Send a store what it lacks of a run that was killed, or ended while it didn't answer.

`background` leaves runs/<run id>/mlflow.json for every run that isn't whole in its store.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from usbench.errors import DataError, RunError
from usbench.runner.tracking.background import NAME, read_curves, read_note
from usbench.runner.tracking.mlflow_store import MlflowTracker, time_ms, usable
from usbench.runner.tracking.text import is_alive


@dataclass(frozen=True)
class Sent:
    """What was sent of one run."""

    key: str  # the run id
    run_id: str  # MLflow's
    values: int  # of its curves that the store didn't have
    status: str  # RUNNING: left alone, as it sends by itself or runs on another host


def unsent_runs(runs: Path, run_ids: tuple[str, ...] = ()) -> list[Path]:
    """The folders of runs that aren't whole in their store.

    Args:
        runs: the folder of all runs.
        run_ids: only these; (): all.

    Raises:
        DataError: there is no run with one of the ids.
    """
    for run_id in run_ids:
        if not (runs / run_id).is_dir():
            raise DataError(f"{runs / run_id}: no such run's folder; see --runs")
    folders = sorted(path.parent for path in runs.glob(f"*/{NAME}"))
    return [folder for folder in folders if not run_ids or folder.name in run_ids]


def send_run(folder: Path, client: Any, uri: str) -> Sent | None:
    """Send curves, scores, record and overlays of a run that the store lacks, and how it ended.

    Then its note is removed. A run whose process is gone ends as KILLED.

    Returns:
        None where nothing is left to send.

    Raises:
        RunError: the store fails or doesn't have the run.
    """
    note = read_note(folder)
    if note is None:
        return None
    rows = read_curves(folder)
    tracker = MlflowTracker(client, note.run_id, uri)
    with usable(f"{uri} (of a run tracked at {note.store})"):
        tags = client.get_run(note.run_id).data.tags
        if note.status is None and (is_alive(tags) or read_note(folder) != note):
            return Sent(folder.name, note.run_id, 0, "RUNNING")  # it may have ended just now
        for row in rows:
            tracker.keep(row.name, row.value, row.step, note.time_of(row))
        names = {value.name for value in tracker.waiting}
        stored = {name: stored_steps(client, note.run_id, name) for name in names}
    tracker.waiting = [value for value in tracker.waiting if value.step not in stored[value.name]]
    missing = len(tracker.waiting)
    ended = note.ended or max((note.time_of(row) for row in rows), default=time_ms())
    status = note.status or "KILLED"
    files = [folder / name for name in note.files]
    if failure := tracker.end(status, note.record, files, ended):
        raise RunError(f"{failure}; run this again when it answers")
    if note.lies_in(folder):
        note.remove(folder)
    return Sent(folder.name, note.run_id, missing, status)


def stored_steps(client: Any, run_id: str, name: str) -> set[int]:
    """The steps for which the store has a value of that name."""
    return {point.step for point in client.get_metric_history(run_id, name)}
