"""MLflow behind one small interface: what a run logs, and which runs of a store were killed.

A tracker mirrors `results/` and `runs/`: a store that fails in the middle of a run never stops
training (see `background` for one that is slow). MLflow is imported inside functions only,
silenced, and used with run ids, so that no active run exists which another library's autologging
could find. The store is `MLFLOW_TRACKING_URI`, else `sqlite:///<runs>/mlflow.db` with
`<runs>/mlflow-artifacts`. No host, user or folder name goes into a parameter or tag; configuration,
result and overlays are stored as handed in.

A process ended by a signal leaves its MLflow run RUNNING. Runs are tagged with their process (pid,
start) and a hash of the host's name; the next start on a host of that name sets runs whose process
is gone to KILLED.
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
from typing import Any, Literal, NamedTuple

from filelock import FileLock

from usbench.errors import RunError, UsbenchError
from usbench.io.console import warn
from usbench.results.result import Result
from usbench.results.store import load_cases
from usbench.runner.tracking.inputs import SplitInput, encode_table
from usbench.runner.tracking.text import (
    HOST,
    final_scores,
    is_alive,
    one_line,
    process_tags,
    shorten,
    valid_name,
)

Status = Literal["FINISHED", "FAILED", "KILLED"]
RETRY_S = 60.0  # a failed store is left alone so long: a hanging server must not slow every epoch
LATER = "results are unaffected, usbench sync sends it later"
QUIET = {  # what the user has set stays
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # MLflow's 7 keep a start waiting for four minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",  # s
}
TABLE = "cases.json"  # a run's case table among its files
NOISY = ("alembic", "mlflow", "sqlalchemy", "urllib3")  # loggers


class Value(NamedTuple):
    """One value of a curve, in the order of MLflow's Metric."""

    name: str
    value: float
    at: int  # ms since 1970
    step: int


class MlflowTracker:
    """One run of an MLflow store.

    Instead of a value that isn't finite (SQLite would keep infinity as 1.797e308),
    `<name>.nonfinite` is sent: how many of that name's values were dropped so far.
    """

    def __init__(self, client: Any, run_id: str, uri: str) -> None:
        self.run_id, self._client, self.uri = run_id, client, uri
        self.waiting: list[Value] = []
        self._step = 0
        self._dropped: Counter[str] = Counter()
        self._reported = False
        self._retry_at = 0.0

    def log(self, name: str, value: float, step: int, at: int | None = None) -> None:
        """Keep one value of a curve; all of a step are sent when the step changes, or by flush.

        Args:
            at: when, in ms since 1970; None: now.
        """
        if step != self._step:
            self.flush()
        self.keep(name, value, step, at or time_ms())

    def keep(self, name: str, value: float, step: int, at: int) -> None:
        """Keep one value and send nothing. Characters that MLflow rejects become `_`."""
        self._step = step
        key, number = valid_name(name), float(value)
        if not math.isfinite(number):
            self._dropped[key] += 1
            key, number = f"{key}.nonfinite", float(self._dropped[key])
        self.waiting.append(Value(key, number, at, step))

    def flush(self) -> None:
        """Send what is kept, in one request. A failing store is reported once; its values wait."""
        if not self.waiting or time.monotonic() < self._retry_at:
            return
        failure = self._try(self._send)
        if failure and not self._reported:
            self._reported = True
            warn(f"{failure}; the run goes on, its values are kept and sent when the store answers")

    def end(
        self,
        status: Status,
        result: Result | None,
        files: Sequence[Path],
        at: int,
        published: Path | None = None,
    ) -> str | None:
        """Send everything and end the run.

        Args:
            status: how it ended.
            result: of a run that has finished.
            files: pictures of images that may be shared.
            at: when it ended, in ms since 1970.
            published: the result's file, beside which its case table lies.

        Returns:
            What couldn't be sent and why, in one line; None where all was.
        """
        for name, value in (final_scores(result) if result else {}).items():
            self.keep(name, value, self._step, at)
        calls: dict[str, Callable[[], object]] = {
            "curves and scores": self._send,
            "record and overlays": lambda: self._send_files(result, files),
            "case table": lambda: self._send_cases(published),
            f"status {status}": lambda: self._client.set_terminated(self.run_id, status, at),
        }
        failures = {}
        for part, call in calls.items():
            if failure := self._try(call):
                failures[part] = failure
        if not failures:
            return None
        return f"{next(iter(failures.values()))}; not stored there: {', '.join(failures)}"

    def _send(self) -> None:
        """Send what waits. Values keep their time, so that sending twice changes nothing."""
        from mlflow.entities import Metric

        while self.waiting:
            batch = [Metric(*value) for value in self.waiting[:1000]]  # MLflow's limit
            self._client.log_batch(self.run_id, metrics=batch, synchronous=True)
            del self.waiting[: len(batch)]

    def _send_files(self, result: Result | None, files: Sequence[Path]) -> None:
        if result is not None:
            self._client.log_text(
                self.run_id,
                json.dumps(result.to_json(), indent=1, ensure_ascii=False),
                "record.json",
            )
        for file in files:
            self._client.log_artifact(self.run_id, str(file), "overlays")

    def _send_cases(self, published: Path | None) -> None:
        """Send the published case table, in which ids are hashed where they must be."""
        try:
            rows = load_cases(published) if published else []
        except UsbenchError as error:  # removed or damaged since: no later attempt would find it
            warn(f"{error}; mlflow has the run without its case table")
            return
        if rows:
            self._client.log_text(self.run_id, encode_table(rows), TABLE)
            tables = json.dumps([{"path": TABLE, "type": "table"}])
            self._client.set_tag(self.run_id, "mlflow.loggedArtifacts", tables)

    def _try(self, call: Callable[[], object]) -> str | None:
        """Make a call of the store; why it failed, in one line, or None."""
        try:
            with quiet():
                call()
        except store_errors() as error:
            self._retry_at = time.monotonic() + RETRY_S
            return one_line(f"mlflow at {self.uri} failed ({error})")
        return None


def open_tracker(
    *,
    runs: Path,
    experiment: str,
    name: str,
    run_id: str,
    params: Mapping[str, object],
    tags: Mapping[str, str],
    config: Path | None,
    inputs: Sequence[SplitInput] = (),
) -> MlflowTracker:
    """Start a run in a store, which is made where it is new (by any number of processes at once).

    Marks killed runs of this host. Tags the run `usbench.resumes` where the latest with its run id
    was killed.

    Args:
        runs: the folder of all runs.
        experiment: "usbench/<dataset>-<task>".
        name: the MLflow run's.
        run_id: ours, the same for every try of one run.
        params: key figures of the configuration.
        tags: further ones.
        config: a file to store.
        inputs: the splits that it reads.

    Raises:
        RunError: the store can't be used.
    """
    uri, folder = store_address(runs)
    with usable(uri):
        from mlflow import MlflowClient
        from mlflow.entities import Param

        with FileLock(folder / "mlflow.lock", timeout=300) if folder else nullcontext():
            client = MlflowClient(tracking_uri=uri)
            experiment_id = ensure_experiment(client, experiment, folder)
            mark_killed_runs(client)
            marks = {tag: shorten(value) for tag, value in tags.items()}
            marks |= process_marks(client, experiment_id, run_id)
            run = client.create_run(experiment_id, tags=marks, run_name=name)
            entries = [Param(valid_name(name), shorten(value)) for name, value in params.items()]
            for start in range(0, len(entries), 100):  # MLflow's limit
                client.log_batch(
                    run.info.run_id, params=entries[start : start + 100], synchronous=True
                )
            if inputs:
                client.log_inputs(run.info.run_id, [split.to_mlflow() for split in inputs])
            if config is not None:
                client.log_artifact(run.info.run_id, str(config))
    return MlflowTracker(client, run.info.run_id, one_line(uri))


def connect(runs: Path) -> tuple[Any, str]:
    """(client, address without a password) of an existing store. Raises RunError without one."""
    uri, _ = store_address(runs)
    with usable(uri):
        from mlflow import MlflowClient

        if uri.startswith("sqlite:"):
            Path(uri.split("///", 1)[-1].split("?")[0]).stat()  # a client would make it
        client = MlflowClient(tracking_uri=uri)
        client.search_experiments(max_results=1)
    return client, one_line(uri)


@contextmanager
def usable(uri: str) -> Iterator[None]:
    """Silence MLflow; what the store raises becomes a RunError."""
    with quiet():
        try:
            yield
        except store_errors() as error:
            reason = one_line(f"mlflow at {uri} can't be used ({error})")
            raise RunError(
                f"{reason}; repair it, change MLFLOW_TRACKING_URI or set tracking=none"
            ) from error


def time_ms() -> int:
    """Now, in ms since 1970."""
    return int(time.time() * 1000)


def store_address(runs: Path) -> tuple[str, Path | None]:
    """(address, folder of its lock and artifacts; None where a server looks after both)."""
    uri = (
        os.environ.get("MLFLOW_TRACKING_URI")
        or f"sqlite:///{(runs.resolve() / 'mlflow.db').as_posix()}"
    )
    if uri.startswith("sqlite:"):
        return uri, Path(uri.split("///", 1)[-1].split("?")[0]).resolve().parent
    return uri, None if uri.startswith(("http:", "https:", "databricks")) else runs.resolve()


def ensure_experiment(client: Any, name: str, folder: Path | None) -> str:
    """The experiment's id, made if new; its files go to `folder`, or where the server decides."""
    from mlflow.exceptions import MlflowException

    place = (folder / "mlflow-artifacts").as_uri() if folder else None
    try:
        return str(client.create_experiment(name, artifact_location=place))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    experiment = client.get_experiment_by_name(name)
    if experiment.lifecycle_stage != "active":
        raise MlflowException(
            f"experiment '{name}' is deleted: "
            f"mlflow experiments restore -x {experiment.experiment_id}"
        )
    location = experiment.artifact_location  # fixed when the experiment was made
    if place and location != place:
        warn(f"mlflow: files of '{name}' go to {location}, not {place}: was the store moved?")
    return str(experiment.experiment_id)


def process_marks(client: Any, experiment_id: str, run_id: str) -> dict[str, str]:
    """Tags: whose run it is, and which killed run it resumes."""
    same_run, order = f"tags.`usbench.key` = '{run_id}'", ["attributes.start_time DESC"]
    latest = client.search_runs([experiment_id], same_run, order_by=order, max_results=1)
    marks = {"usbench.key": run_id, "mlflow.user": "usbench", **process_tags()}
    if latest and latest[0].info.status == "KILLED":
        marks["usbench.resumes"] = latest[0].info.run_id
    return marks


def mark_killed_runs(client: Any) -> None:
    """Set the store's runs of this host whose process is gone to KILLED."""
    ours = client.search_experiments(filter_string="name LIKE 'usbench/%'")
    ids = [experiment.experiment_id for experiment in ours]
    running = f"attributes.status = 'RUNNING' and tags.`usbench.host` = '{HOST}'"
    for run in client.search_runs(ids, running) if ids else ():
        gone = not is_alive(run.data.tags)
        if gone and client.get_run(run.info.run_id).info.status == "RUNNING":  # it didn't just end
            client.set_terminated(run.info.run_id, "KILLED")


def store_errors() -> tuple[type[Exception], ...]:
    """What a store, its server or its files raise; ImportError: a store's package is missing."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return MlflowException, SQLAlchemyError, OSError, ImportError


@contextmanager
def quiet() -> Iterator[None]:
    """Keep MLflow's lines, links and telemetry, and urllib3's retries, off the terminal.

    Restores what it changes. Within another it changes nothing: a thread that sends doesn't touch
    the environment that training reads.
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
