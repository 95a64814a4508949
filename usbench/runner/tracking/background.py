"""A tracker that training never waits for, and what a run's folder keeps until all is sent.

    runs/<run id>/log.csv        the curves (step, name, value, seconds), as the run writes them
    runs/<run id>/mlflow.json    which MLflow run is theirs: there until everything was sent

A thread of its own makes the store's calls in their order. A run that resumes an interrupted one is
a new MLflow run; it gets the earlier epochs of log.csv too. What mlflow.json still names in the end
is sent by `send_run`, for usbench sync.

MLflow's own asynchronous logging isn't used, because it breaks two promises of the tracking tests:
a batch that the server refuses is dropped instead of kept and sent later, and a process can't end
while a server hangs, since its exit handler joins the sending thread without a limit.
"""

from __future__ import annotations

import csv
import itertools
import json
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol

from usbench.errors import DataError, RunError, UsbenchError
from usbench.io.console import warn
from usbench.io.files import write_atomically
from usbench.results.result import Result
from usbench.runner.tracking.mlflow_store import (
    LATER,
    MlflowTracker,
    Status,
    quiet,
    time_ms,
    usable,
)
from usbench.runner.tracking.text import is_alive

FINISH_S = 60.0  # how long a finished run waits for a store that is slow or hangs
NAME = "mlflow.json"
LOG = "log.csv"


@dataclass(frozen=True)
class Row:
    """A line of log.csv."""

    step: int
    name: str
    value: float
    seconds: float


@dataclass(frozen=True)
class Note:
    """What mlflow.json says. Without a status the run hasn't ended, or it was killed."""

    run_id: str  # MLflow's
    store: str  # its address, without a password
    zero: int  # ms since 1970 at which the seconds of log.csv were 0
    status: Status | None = None
    ended: int | None = None  # ms since 1970
    result: Result | None = None
    files: tuple[str, ...] = ()  # names in the run's folder
    published: str | None = None  # path of the result's file

    @property
    def published_path(self) -> Path | None:
        """The result's file, beside which its case table lies."""
        return None if self.published is None else Path(self.published)

    def time_of(self, row: Row) -> int:
        """When a value was logged, to .1 s; ms since 1970."""
        return self.zero + int(1000 * row.seconds)

    def write(self, folder: Path) -> None:
        """Write it, whole or not at all. Raises RunError where the disk is full."""
        content = {**vars(self), "record": self.result and self.result.to_json()}
        del content["result"]
        write_atomically(folder / NAME, json.dumps(content, ensure_ascii=False))

    def remove(self, folder: Path) -> None:
        """Remove it: everything was sent."""
        (folder / NAME).unlink(missing_ok=True)

    def lies_in(self, folder: Path) -> bool:
        """Whether the folder has it: another run's may have taken its place."""
        note = read_note(folder)
        return note is not None and note.run_id == self.run_id


def read_note(folder: Path) -> Note | None:
    """The note of a run's folder; None where everything was sent. Raises DataError."""
    path = folder / NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        record, files = content.pop("record"), tuple(content.pop("files"))
        return Note(**content, files=files, result=record and Result.from_json(record))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{path}: expected what tracking left, got something else ({error}); remove it"
        ) from error


def read_log(path: Path) -> Iterator[Row]:
    """The rows of log.csv, without a line that a kill has cut short."""
    for line in csv.reader(path.read_text(encoding="utf-8").splitlines() if path.is_file() else ()):
        if len(line) == 4 and line[0].isdigit():
            yield Row(int(line[0]), line[1], float(line[2]), float(line[3]))


def read_curves(folder: Path) -> list[Row]:
    """The rows of log.csv that count, in order of step and time.

    What a killed run had logged after its last checkpoint was logged again by the one that resumed.
    """
    curves: dict[str, list[Row]] = {}
    for row in read_log(folder / LOG):
        curve = curves.setdefault(row.name, [])
        while curve and curve[-1].step >= row.step:
            curve.pop()
        curve.append(row)
    return sorted(itertools.chain(*curves.values()), key=lambda row: (row.step, row.seconds))


class Tracker(Protocol):
    """Where a run's curves and final scores go."""

    def log(self, name: str, value: float, step: int) -> None:
        """Keep one value of a curve."""
        return

    def finish(
        self,
        status: Status,
        result: Result | None,
        files: Sequence[Path] = (),
        published: Path | None = None,
    ) -> None:
        """Send the rest and end the run, once.

        Args:
            status: how it ended.
            result: of a run that has finished.
            files: pictures of images that may be shared.
            published: the result's file, beside which its case table lies.
        """
        return


class Untracked(Tracker):
    """Keeps nothing: each call ends at once."""


class BackgroundTracker:
    """A tracker whose calls return at once; see `Tracker`.

    A thread makes the calls of an MlflowTracker; finish waits for it at most FINISH_S.
    """

    def __init__(self, tracker: MlflowTracker, folder: Path) -> None:
        self._tracker, self._folder = tracker, folder
        self._earlier, self._ended = read_curves(folder), False
        before = max((row.seconds for row in self._earlier), default=0.0)
        self.note = Note(tracker.run_id, tracker.uri, time_ms() - int(1000 * before))
        self.note.write(folder)
        # what to report unless the thread sends everything in time
        self._unsent: str | None = f"mlflow at {tracker.uri} didn't answer in {FINISH_S:.0f} s"
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._silence = ExitStack()  # not in the thread: training reads the environment
        self._silence.enter_context(quiet())
        self._thread = threading.Thread(target=self._make_calls, name="mlflow", daemon=True)
        self._thread.start()

    def log(self, name: str, value: float, step: int) -> None:
        """Keep one value; before the first, the earlier epochs of a run that resumes."""
        self._send_earlier(step)
        self._calls.put(partial(self._tracker.log, name, float(value), step, time_ms()))

    def finish(
        self,
        status: Status,
        result: Result | None,
        files: Sequence[Path] = (),
        published: Path | None = None,
    ) -> None:
        """Send the rest and end the run, once; what isn't sent in time stays noted."""
        if self._ended:
            return
        self._ended = True
        self._send_earlier(math.inf)
        self.note = replace(
            self.note,
            status=status,
            ended=time_ms(),
            result=result,
            files=tuple(file.name for file in files),
            published=None if published is None else str(published.absolute()),
        )
        self._update_note(self.note.write)
        self._calls.put(partial(self._end, files))
        self._calls.put(None)
        self._thread.join(FINISH_S)
        self._silence.close()
        if self._unsent:
            warn(f"{self._unsent}; {LATER}")

    def _send_earlier(self, step: float) -> None:
        """Pass the earlier run's values before a step on, once."""
        rows, self._earlier = self._earlier, []
        for row in rows:
            if row.step < step:
                at = self.note.time_of(row)
                self._calls.put(partial(self._tracker.keep, row.name, row.value, row.step, at))

    def _update_note(self, update: Callable[[Path], None]) -> None:
        """Write or remove the note, unless another took its place; a full disk stops no run."""
        try:
            if self.note.lies_in(self._folder):
                update(self._folder)
        except (UsbenchError, OSError) as error:
            warn(str(error))

    def _end(self, files: Sequence[Path]) -> None:
        note = self.note
        assert note.status and note.ended
        published = note.published_path
        self._unsent = self._tracker.end(note.status, note.result, files, note.ended, published)
        if not self._unsent:
            self._update_note(note.remove)

    def _make_calls(self) -> None:
        while call := self._calls.get():
            call()


# ---- what a store lacks, sent later


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
    paths = sorted(runs.glob(f"*/{NAME}"))
    return [path.parent for path in paths if not run_ids or path.parent.name in run_ids]


def send_run(folder: Path, client: Any, uri: str) -> Sent | None:
    """Send curves, scores, result and overlays of a run that the store lacks, and how it ended.

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
    files = list(map(folder.joinpath, note.files))
    if failure := tracker.end(status, note.result, files, ended, note.published_path):
        raise RunError(f"{failure}; run this again when it answers")
    if note.lies_in(folder):
        note.remove(folder)
    return Sent(folder.name, note.run_id, missing, status)


def stored_steps(client: Any, run_id: str, name: str) -> set[int]:
    """The steps for which the store has a value of that name."""
    return {point.step for point in client.get_metric_history(run_id, name)}
