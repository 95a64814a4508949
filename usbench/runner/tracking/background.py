"""A tracker that training never waits for, and what a run folder keeps of what its store doesn't have yet.

    runs/<key>/log.csv        the curves (step, name, value, seconds), as the run writes them
    runs/<key>/mlflow.json    which MLflow run is theirs: there from the start until everything was sent, then gone

A thread of its own makes the store's calls in their order. A run that goes on from a killed one is a new MLflow run; it
gets the earlier epochs of log.csv, too. What is left in mlflow.json in the end, `track_sync` sends.
"""

from __future__ import annotations

import csv
import json
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from usbench.errors import DataError, UsbenchError
from usbench.io.console import warn
from usbench.io.files import replacing
from usbench.runner.tracking import mlflow_store as track

FINISH_S = 60.0  # so long a finished run waits for a store that is slow or hangs
NAME = "mlflow.json"


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

    run_id: str
    store: str  # its address, without a password
    zero: int  # ms since 1970: when the seconds of log.csv were 0
    status: track.Status | None = None
    ended: int | None = None  # ms since 1970
    record: Mapping[str, Any] | None = None
    files: tuple[str, ...] = ()  # names in the run folder

    def time_of(self, row: Row) -> int:
        """When a value was logged, to .1 s; ms since 1970."""
        return self.zero + int(1000 * row.seconds)

    def write(self, folder: Path) -> None:
        """Write it, whole or not at all; RunError where the disk is full."""
        with replacing(folder / NAME) as part:
            part.write_text(json.dumps(asdict(self), ensure_ascii=False), encoding="utf-8")

    def remove(self, folder: Path) -> None:
        """Everything was sent."""
        (folder / NAME).unlink(missing_ok=True)

    def holds(self, folder: Path) -> bool:
        """Whether it lies there: another run may have taken its place."""
        found = read(folder)
        return found is not None and found.run_id == self.run_id


def read(folder: Path) -> Note | None:
    """The note of a run folder; None where everything was sent. DataError where it is damaged."""
    path = folder / NAME
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        return Note(**{**fields, "files": tuple(fields["files"])})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as wrong:
        raise DataError(
            f"{path}: what tracking left was wanted, found something else ({wrong}); remove it"
        ) from wrong


def curves(folder: Path) -> list[Row]:
    """The rows of log.csv that count: what a killed run had logged beyond its last checkpoint was logged again."""
    path = folder / "log.csv"
    lines = csv.reader(path.read_text(encoding="utf-8").splitlines() if path.is_file() else ())
    kept: dict[str, list[Row]] = {}
    for line in lines:
        if len(line) == 4 and line[0].isdigit():  # not one that a kill cut short
            row = Row(int(line[0]), line[1], float(line[2]), float(line[3]))
            rows = kept.setdefault(row.name, [])
            while rows and rows[-1].step >= row.step:
                rows.pop()
            rows.append(row)
    return sorted(
        (row for rows in kept.values() for row in rows), key=lambda row: (row.step, row.seconds)
    )


class LaterTracker:
    """A tracker whose calls return at once; see usbench.runner.tracking.mlflow_store.Tracker.

    A thread makes the calls of an MlflowTracker; finish waits for it at most FINISH_S.
    """

    def __init__(self, tracker: track.MlflowTracker, folder: Path) -> None:
        self._tracker, self._folder = tracker, folder
        self._earlier, self._ended = curves(folder), False
        before = max((row.seconds for row in self._earlier), default=0.0)
        self.note = Note(tracker.run_id, tracker.uri, track.now() - int(1000 * before))
        self.note.write(folder)
        self._reason: str | None = (
            f"mlflow at {tracker.uri} didn't answer in {FINISH_S:.0f} s"  # until it has
        )
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._silence = ExitStack()
        self._silence.enter_context(
            track.quiet()
        )  # not in the thread: training reads the environment
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
        self._thread.start()

    def log(self, name: str, value: float, step: int) -> None:
        """Keep one value of a curve, and before the first the earlier epochs of a run that goes on."""
        self._go_on(step)
        self._calls.put(partial(self._tracker.log, name, float(value), step, track.now()))

    def flush(self) -> None:
        """Let the thread send what is kept."""
        self._calls.put(self._tracker.flush)

    def finish(
        self, status: track.Status, record: Mapping[str, Any] | None, files: Sequence[Path] = ()
    ) -> None:
        """Send the rest and end the run, once; what the store doesn't take in time stays noted."""
        if self._ended:
            return
        self._ended = True
        self._go_on(math.inf)
        names = tuple(file.name for file in files)
        self.note = replace(self.note, status=status, ended=track.now(), record=record, files=names)
        self._change(self.note.write)
        self._calls.put(partial(self._end, files))
        self._calls.put(None)
        self._thread.join(FINISH_S)
        self._silence.close()
        if self._reason:
            warn(f"{self._reason}; {track.LATER}")

    def _go_on(self, step: float) -> None:
        rows, self._earlier = self._earlier, []
        for row in rows:
            if row.step < step:
                self._calls.put(
                    partial(
                        self._tracker.keep, row.name, row.value, row.step, self.note.time_of(row)
                    )
                )

    def _change(self, change: Callable[[Path], None]) -> None:
        """Write or remove the note, unless another has taken its place; a full disk doesn't stop the run."""
        try:
            if self.note.holds(self._folder):
                change(self._folder)
        except (UsbenchError, OSError) as error:
            warn(str(error))

    def _end(self, files: Sequence[Path]) -> None:
        note = self.note
        assert note.status and note.ended
        self._reason = self._tracker.end(note.status, note.record, files, note.ended)
        if not self._reason:
            self._change(note.remove)

    def _work(self) -> None:
        while call := self._calls.get():
            call()


def later(tracker: track.Tracker, folder: Path) -> track.Tracker:
    """The same tracker, its calls made by a thread; folder: the run's own. One that keeps nothing stays as it is."""
    return LaterTracker(tracker, folder) if isinstance(tracker, track.MlflowTracker) else tracker
