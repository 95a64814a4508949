"""Send a store what it doesn't have of a run: of one that ended while the store didn't answer, or that was killed.

`track_later` leaves runs/<key>/mlflow.json for every run that isn't whole in its store, and says what it means.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from usbench.errors import DataError, RunError
from usbench.runner.tracking import background as track_later
from usbench.runner.tracking import mlflow_store as track
from usbench.runner.tracking.text import alive


@dataclass(frozen=True)
class Sent:
    """What was done for one run."""

    key: str
    run_id: str
    values: int  # of its curves, that the store didn't have
    status: str  # RUNNING: left alone, as it sends by itself or runs on another host


def unsent(runs: Path, keys: tuple[str, ...] = ()) -> list[Path]:
    """The folders of all runs, or of those with these keys, that aren't whole in their store. DataError for no run."""
    for key in keys:
        if not (runs / key).is_dir():
            raise DataError(
                f"{runs / key}: the folder of a run was wanted, there is none; see --runs"
            )
    return sorted(
        path.parent
        for path in runs.glob(f"*/{track_later.NAME}")
        if not keys or path.parent.name in keys
    )


def send(folder: Path, client: Any, uri: str) -> Sent | None:
    """Send what the store doesn't have of a run: curves, scores, record, overlays, and how it ended (killed, where its
    process is gone). Then its note goes. None where there is none any more. Raises RunError where the store fails or
    doesn't have the run.
    """
    note = track_later.read(folder)
    if note is None:
        return None
    rows = track_later.curves(folder)
    tracker = track.MlflowTracker(client, note.run_id, uri)
    with track.usable(f"{uri} (of a run tracked at {note.store})"):
        tags = client.get_run(note.run_id).data.tags
        if note.status is None and (
            alive(tags) or track_later.read(folder) != note
        ):  # it may have ended just now
            return Sent(folder.name, note.run_id, 0, "RUNNING")
        for row in rows:
            tracker.keep(row.name, row.value, row.step, note.time_of(row))
        known = {
            name: steps(client, note.run_id, name)
            for name in {value[0] for value in tracker.waiting}
        }
    tracker.waiting = [value for value in tracker.waiting if value[3] not in known[value[0]]]
    missing = len(tracker.waiting)
    ended = note.ended or max((note.time_of(row) for row in rows), default=track.now())
    status = note.status or "KILLED"
    if reason := tracker.end(status, note.record, [folder / name for name in note.files], ended):
        raise RunError(f"{reason}; run this again when it answers")
    if note.holds(folder):
        note.remove(folder)
    return Sent(folder.name, note.run_id, missing, status)


def steps(client: Any, run_id: str, name: str) -> set[int]:
    """The steps for which the store has a value of that name."""
    return {point.step for point in client.get_metric_history(run_id, name)}
