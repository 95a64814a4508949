"""MLflow behind one small interface: what a run logs, and which runs of a store were killed.

A tracker is a mirror of `results/` and `runs/`: a store that fails in the middle of a run never stops training (see
`track_later` for one that is slow). MLflow is imported inside functions only, silent, and used with run ids (no active
run that another library's autologging could find). Where: `MLFLOW_TRACKING_URI`, else `sqlite:///<runs>/mlflow.db` with
`<runs>/mlflow-artifacts`. No host, user or folder name goes into a parameter or tag; configuration, record and overlays
are stored as handed in.
Killed: a process ended by a signal leaves its run RUNNING. A run is tagged with its process (pid, start) and a hash of
its host's name; the next start on a host of that name sets runs whose process is gone to KILLED.
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal, Protocol

from filelock import FileLock

from usbench.errors import ConfigError, RunError
from usbench.io.console import warn
from usbench.runner.tracking.text import (
    HOST,
    alive,
    final_scores,
    one_line,
    process_tags,
    short,
    valid,
)

Status = Literal["FINISHED", "FAILED", "KILLED"]
RETRY_S = (
    60.0  # a store that failed is left alone so long: a hanging server must not slow every epoch
)
LATER = "results are unaffected, scripts/sync_mlflow.py sends it later"
QUIET = {  # what the user has set stays
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # MLflow's 7 keep a start waiting for four minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",  # s
}
NOISY = ("alembic", "mlflow", "sqlalchemy", "urllib3")  # loggers


class Tracker(Protocol):
    """Where a run's curves and final scores go."""

    def log(self, name: str, value: float, step: int) -> None:
        """Keep one value of a curve; sent with the others of its step when the step changes, or by flush."""
        return

    def flush(self) -> None:
        """Send what is kept. A failing store is told of once; its values wait for a later flush."""
        return

    def finish(
        self, status: Status, record: Mapping[str, Any] | None, files: Sequence[Path] = ()
    ) -> None:
        """Send the rest, the record with its scores, and files (of images that may be shared); end the run, once."""
        return


class Untracked(Tracker):
    """Keeps nothing: each call ends at once."""


class MlflowTracker:
    """One run of an MLflow store.

    Instead of a value that isn't finite (SQLite would keep infinity as 1.797e308), `<name>.nonfinite` is sent: how many
    of that name's values were dropped so far.
    """

    def __init__(self, client: Any, run_id: str, uri: str) -> None:
        self.run_id, self._client, self.uri = run_id, client, uri
        self.waiting: list[tuple[str, float, int, int]] = []  # name, value, time in ms, step
        self._step = 0
        self._dropped: Counter[str] = Counter()
        self._told = self._finished = False
        self._retry_at = 0.0

    def log(self, name: str, value: float, step: int, at: int | None = None) -> None:
        """Keep one value (at: when, in ms); see Tracker."""
        if step != self._step:
            self.flush()
        self.keep(name, value, step, at or now())

    def keep(self, name: str, value: float, step: int, at: int) -> None:
        """Keep one value and send nothing. Characters that MLflow rejects become `_`."""
        self._step = step
        key, number = valid(name), float(value)
        if not math.isfinite(number):
            self._dropped[key] += 1
            key, number = f"{key}.nonfinite", float(self._dropped[key])
        self.waiting.append((key, number, at, step))

    def flush(self) -> None:
        """Send what is kept, in one request; see Tracker."""
        if not self.waiting or time.monotonic() < self._retry_at:
            return
        reason = self._failure(self._send)
        if reason and not self._told:
            self._told = True
            warn(
                f"{reason}; the run goes on, what it logs is kept and sent when the store answers again"
            )

    def finish(
        self, status: Status, record: Mapping[str, Any] | None, files: Sequence[Path] = ()
    ) -> None:
        """Send everything, end the run; see Tracker. What couldn't be sent is told in one line."""
        if not self._finished and (reason := self.end(status, record, files, now())):
            warn(f"{reason}; {LATER}")

    def end(
        self, status: Status, record: Mapping[str, Any] | None, files: Sequence[Path], at: int
    ) -> str | None:
        """As finish, at a time in ms; what couldn't be sent and why, in one line, None where all was."""
        self._finished = True
        for name, value in final_scores(record or {}).items():
            self.keep(name, value, self._step, at)
        calls: dict[str, Callable[[], object]] = {
            "curves and scores": self._send,
            "record and overlays": lambda: self._send_files(record, files),
            f"status {status}": lambda: self._client.set_terminated(self.run_id, status, at),
        }
        reasons = {what: reason for what, call in calls.items() if (reason := self._failure(call))}
        return (
            f"{next(iter(reasons.values()))}; not stored there: {', '.join(reasons)}"
            if reasons
            else None
        )

    def _send(self) -> None:
        """Send what waits; a repetition after a lost answer changes nothing, as each value keeps its time."""
        from mlflow.entities import Metric

        while self.waiting:
            batch = [Metric(*value) for value in self.waiting[:1000]]  # MLflow's limit
            self._client.log_batch(self.run_id, metrics=batch, synchronous=True)
            del self.waiting[: len(batch)]

    def _send_files(self, record: Mapping[str, Any] | None, files: Sequence[Path]) -> None:
        if record is not None:
            self._client.log_text(
                self.run_id, json.dumps(record, indent=1, ensure_ascii=False), "record.json"
            )
        for file in files:
            self._client.log_artifact(self.run_id, str(file), "overlays")

    def _failure(self, call: Callable[[], object]) -> str | None:
        """Why the store didn't take it, in one line; None where it did."""
        try:
            with quiet():
                call()
        except _failures() as error:
            self._retry_at = time.monotonic() + RETRY_S
            return one_line(f"mlflow at {self.uri} failed ({error})")
        return None


def open_tracker(
    kind: Literal["mlflow", "none"],
    *,
    runs: Path,
    experiment: str,
    name: str,
    key: str,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    config: Path | None,
) -> Tracker:
    """Start a run in experiment ("usbench/<dataset>-<task>") and store the file config; kind none keeps nothing.

    Makes a new store (any number of processes at once), marks killed runs of this host, tags the run `usbench.resumes`
    where the latest of its key was killed. Raises RunError where the store can't be used, ConfigError for other kinds.
    """
    if kind == "none":
        return Untracked()
    if kind != "mlflow":
        raise ConfigError(f"tracking={kind}: wanted mlflow or none")
    uri, folder = _store(runs)
    with usable(uri):
        from mlflow import MlflowClient

        with FileLock(folder / "mlflow.lock", timeout=300) if folder else nullcontext():
            client = MlflowClient(tracking_uri=uri)
            experiment_id = _experiment(client, experiment, folder)
            _mark_killed(client)
            marks = {k: short(v) for k, v in tags.items()} | _marks(client, experiment_id, key)
            run = client.create_run(experiment_id, tags=marks, run_name=name)
            _describe(client, run.info.run_id, params, config)
    return MlflowTracker(client, run.info.run_id, one_line(uri))


def connected(runs: Path) -> tuple[Any, str]:
    """The client of a store that is there already, and its address without a password; RunError where it isn't."""
    uri, _ = _store(runs)
    with usable(uri):
        from mlflow import MlflowClient

        if uri.startswith("sqlite:"):
            Path(uri.split("///", 1)[-1].split("?")[0]).stat()  # a client would make it
        client = MlflowClient(tracking_uri=uri)
        client.search_experiments(max_results=1)
    return client, one_line(uri)


@contextmanager
def usable(uri: str) -> Iterator[None]:
    """Silent; what the store raises becomes a RunError."""
    with quiet():
        try:
            yield
        except _failures() as error:
            reason = one_line(f"mlflow at {uri} can't be used ({error})")
            raise RunError(
                f"{reason}; mend it, change MLFLOW_TRACKING_URI or set tracking=none"
            ) from error


def now() -> int:
    """ms since 1970."""
    return int(time.time() * 1000)


def _store(runs: Path) -> tuple[str, Path | None]:
    """Its address, and the folder of its lock and artifacts: None where a server looks after both."""
    uri = (
        os.environ.get("MLFLOW_TRACKING_URI")
        or f"sqlite:///{(runs.resolve() / 'mlflow.db').as_posix()}"
    )
    if uri.startswith("sqlite:"):
        return uri, Path(uri.split("///", 1)[-1].split("?")[0]).resolve().parent
    return uri, None if uri.startswith(("http:", "https:", "databricks")) else runs.resolve()


def _experiment(client: Any, name: str, folder: Path | None) -> str:
    """The id of the experiment, made if new; its files go to folder, or where the server likes."""
    from mlflow.exceptions import MlflowException

    place = (folder / "mlflow-artifacts").as_uri() if folder else None
    try:
        return str(client.create_experiment(name, artifact_location=place))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    found = client.get_experiment_by_name(name)
    if found.lifecycle_stage != "active":
        raise MlflowException(
            f"experiment '{name}' is deleted: mlflow experiments restore -x {found.experiment_id}"
        )
    if place and found.artifact_location != place:  # fixed when the experiment was made
        warn(
            f"mlflow: files of '{name}' go to {found.artifact_location}, not {place}: was the store moved?"
        )
    return str(found.experiment_id)


def _marks(client: Any, experiment_id: str, key: str) -> dict[str, str]:
    """The tags that tell whose run it is, and which killed run it resumes."""
    same_key = f"tags.`usbench.key` = '{key}'"
    latest = client.search_runs(
        [experiment_id], same_key, order_by=["attributes.start_time DESC"], max_results=1
    )
    resumes = (
        {"usbench.resumes": latest[0].info.run_id}
        if latest and latest[0].info.status == "KILLED"
        else {}
    )
    return {"usbench.key": key, "mlflow.user": "usbench", **process_tags(), **resumes}


def _mark_killed(client: Any) -> None:
    ids = [
        found.experiment_id
        for found in client.search_experiments(filter_string="name LIKE 'usbench/%'")
    ]
    running = f"attributes.status = 'RUNNING' and tags.`usbench.host` = '{HOST}'"
    for run in client.search_runs(ids, running) if ids else ():
        if (
            not alive(run.data.tags) and client.get_run(run.info.run_id).info.status == "RUNNING"
        ):  # it didn't just end
            client.set_terminated(run.info.run_id, "KILLED")


def _describe(client: Any, run_id: str, params: Mapping[str, Any], config: Path | None) -> None:
    from mlflow.entities import Param

    entries = [Param(valid(name), short(value)) for name, value in params.items()]
    for start in range(0, len(entries), 100):  # MLflow's limit
        client.log_batch(run_id, params=entries[start : start + 100], synchronous=True)
    if config is not None:
        client.log_artifact(run_id, str(config))


def _failures() -> tuple[type[Exception], ...]:
    """What a store, its server or its files raise; ImportError where the package of a kind of store is missing."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return MlflowException, SQLAlchemyError, OSError, ImportError


@contextmanager
def quiet() -> Iterator[None]:
    """Keep MLflow's lines, links and telemetry, and urllib3's retries, off the terminal; restores what it changes.

    Within another it changes nothing: a thread that sends doesn't touch the environment that training reads.
    """
    added = {name: value for name, value in QUIET.items() if name not in os.environ}
    os.environ.update(added)
    import mlflow  # noqa: F401  (it sets its loggers up)

    levels = {name: logging.getLogger(name).level for name in NOISY}
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        for name in added:
            os.environ.pop(name, None)
