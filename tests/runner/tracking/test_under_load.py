"""Tracking under load: sixteen processes on one store, a server that hangs or is killed."""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from scripts import bench_tracking
from tests.helpers.paths import ROOT
from tests.runner.tracking.test_mlflow_store import (
    EXPERIMENT,
    PYTHON,
    RESULT,
    SCORES,
    Server,
    _client,
    _sqlite,
)
from usbench.cli import sync as sync_verb
from usbench.errors import RunError
from usbench.runner.experiment import Journal
from usbench.runner.tracking import background
from usbench.runner.tracking.background import (
    BackgroundTracker,
    Note,
    Row,
    read_curves,
)
from usbench.runner.tracking.mlflow_store import MlflowTracker, open_tracker

NAMES = ("train/loss", "lr", "val/dice", "val/score", "seconds per epoch")
LOGGER = """
import sys, time
from pathlib import Path
from tests.runner.tracking.test_under_load import NAMES, begin, value

def log(number, runs, epochs, first=1):
    tracker, journal = begin(Path(runs), f"{number:012d}", number)
    for epoch in range(first, epochs + 1):
        for name in NAMES:
            journal.log(name, value(number, name, epoch), epoch)
    return tracker
"""
SIXTEEN = """
from multiprocessing import get_context
from tests.runner.tracking.test_mlflow_store import RESULT
import mlflow.store.tracking.sqlalchemy_store  # once, before the processes part

def one(number, barrier):
    barrier.wait()
    log(number, sys.argv[1], 6).finish("FINISHED", RESULT)

fork = get_context("fork")
barrier = fork.Barrier(16)
processes = [fork.Process(target=one, args=(number, barrier)) for number in range(16)]
for process in processes:
    process.start()
for process in processes:
    process.join()
sys.exit(sum(process.exitcode != 0 for process in processes))
"""
SLEEPING = """
log(7, sys.argv[1], 4)
print("logged", flush=True)
time.sleep(600)
"""


def begin(runs: Path, run_id: str, seed: int = 0) -> tuple[BackgroundTracker, Journal]:
    """A run's tracker and journal, as usbench.runner.experiment makes them."""
    folder = runs / run_id
    folder.mkdir(parents=True, exist_ok=True)
    store = open_tracker(
        runs=runs,
        experiment=EXPERIMENT,
        name=f"unet-{run_id}",
        run_id=run_id,
        params={"seed": seed},
        tags={},
        config=None,
    )
    tracker = BackgroundTracker(store, folder)
    return tracker, Journal(folder / "log.csv", tracker)


def value(number: int, name: str, epoch: int) -> float:
    return number + NAMES.index(name) / 8 + epoch / 128


def whole(number: int, epochs: int) -> dict[str, list[tuple[int, float]]]:
    """The curves of a run, complete: (step, value) by name."""
    steps = range(1, epochs + 1)
    return {
        name.replace(" ", "_"): [(step, value(number, name, step)) for step in steps]
        for name in NAMES
    }


def stored(client: Any, run_id: str) -> dict[str, list[tuple[int, float]]]:
    """The curves that a store has, without final scores: (step, value) by name, repetitions too."""
    names = set(client.get_run(run_id).data.metrics) - {name.replace(" ", "_") for name in SCORES}
    history = {name: client.get_metric_history(run_id, name) for name in names}
    return {
        name: sorted((point.step, point.value) for point in points)
        for name, points in history.items()
    }


def runs_of(client: Any) -> list[Any]:
    (experiment,) = [e for e in client.search_experiments() if e.name == EXPERIMENT]
    return list(
        client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])
    )


def check_sixteen(client: Any, runs: Path) -> None:
    tracked = runs_of(client)
    assert sorted(int(run.data.params["seed"]) for run in tracked) == list(range(16))
    for run in tracked:
        number = int(run.data.params["seed"])
        assert run.info.status == "FINISHED"
        assert stored(client, run.info.run_id) == whole(number, 6)
        scores = {
            name: client.get_metric_history(run.info.run_id, name.replace(" ", "_"))
            for name in SCORES
        }
        assert {name: [point.value for point in points] for name, points in scores.items()} == {
            name: [number] for name, number in SCORES.items()
        }
    assert not list(runs.glob("*/mlflow.json"))


def child(code: str, runs: Path, **environment: str) -> subprocess.Popen[str]:
    path = f"{PYTHON['PYTHONPATH']}{os.pathsep}{ROOT}"
    environment = {**PYTHON, "PYTHONPATH": path, **environment}
    command = [sys.executable, "-c", LOGGER + code, str(runs)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture(autouse=True)
def _no_server_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite store, made by sixteen runs that begin and log at one instant, and checked."""
    runs = tmp_path_factory.mktemp("sixteen") / "runs"
    process = child(SIXTEEN, runs)
    out, err = process.communicate(timeout=240)
    assert (process.returncode, out, err) == (0, "", "")
    check_sixteen(_client(_sqlite(runs)), runs)
    return runs / "mlflow.db"


@pytest.fixture
def runs(store: Path, tmp_path: Path) -> Path:
    """A folder of runs with a store of its own, its tables made."""
    folder = tmp_path / "runs"
    folder.mkdir()
    shutil.copy(store, folder / "mlflow.db")
    return folder


@pytest.fixture
def server(store: Path, tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "server"
    folder.mkdir()
    shutil.copy(store, folder / "server.db")
    server = Server(folder)
    server.start()
    yield server
    server.stop()


def sync(runs: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """usbench sync: (exit code, its JSON)."""
    path = runs.parent / "sent.json"
    code = sync_verb.main(["--runs", str(runs), "--json", str(path), *arguments])
    return code, json.loads(path.read_text())


def killed(runs: Path, **environment: str) -> None:
    """A run whose process is killed after four epochs."""
    process = child(SLEEPING, runs, **environment)
    assert process.stdout is not None
    assert process.stdout.readline() == "logged\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()


def until(done: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.process
@pytest.mark.timeout(300)
def test_sixteen_processes_lose_nothing_on_a_fresh_sqlite_folder(store: Path) -> None:
    assert store.is_file()  # the fixture has counted every value


@pytest.mark.process
def test_the_first_run_of_all_says_nothing(tmp_path: Path) -> None:
    process = child('log(1, sys.argv[1], 1).finish("FINISHED", None)', tmp_path / "runs")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.process
def test_a_server_that_hangs_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(background, "FINISH_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, never answers
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        tracker = BackgroundTracker(MlflowTracker(_client(uri), "run", uri), tmp_path)
        begun = time.monotonic()
        for epoch in range(100):
            tracker.log("loss", 1.0, epoch)
        assert time.monotonic() - begun < 5  # one request takes 30 s to fail
        tracker.finish("FINISHED", RESULT, [tmp_path / "overlays.png"])
        tracker.finish("FAILED", None)  # only the first counts
        assert time.monotonic() - begun < 15
        note, said = background.read_note(tmp_path), capfd.readouterr().err
    tracker._thread.join()  # its connection is gone
    assert said == (
        f"mlflow at {uri} didn't answer in 1 s; results are unaffected, "
        "usbench sync sends it later\n"
    )
    assert note is not None and note.ended is not None
    assert (note.run_id, note.store, note.status, note.files) == (
        "run",
        uri,
        "FINISHED",
        ("overlays.png",),
    )
    assert note.result == RESULT


@pytest.mark.process
def test_training_sees_its_own_environment_and_loggers_again(runs: Path) -> None:
    import logging

    before, level = dict(os.environ), logging.getLogger("mlflow").level
    tracker, journal = begin(runs, "5" * 12)
    during = dict(os.environ)
    for epoch in range(1, 4):
        journal.log("loss", 1.0, epoch)
        until(lambda: tracker._calls.empty())
        assert dict(os.environ) == during  # the thread changes nothing that training may be reading
    tracker.finish("FAILED", None)
    assert (dict(os.environ), logging.getLogger("mlflow").level) == (before, level)


@pytest.mark.process
@pytest.mark.timeout(300)
def test_a_server_that_is_killed_gets_the_rest_later(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    host = server.uri.removeprefix("http://")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://alice:secret@{host}")
    runs, picture = tmp_path / "runs", b"picture"
    loggers = [begin(runs, f"{number:012d}", number) for number in range(4)]

    def log(epochs: Sequence[int]) -> None:
        for epoch in epochs:
            for number, (_, journal) in enumerate(loggers):
                for name in NAMES:
                    journal.log(name, value(number, name, epoch), epoch)

    log(range(1, 4))
    client = _client(server.uri)
    until(lambda: all(len(stored(client, t.note.run_id).get("lr", ())) >= 2 for t, _ in loggers))
    server.stop()
    begun = time.monotonic()
    log(range(4, 20))
    assert time.monotonic() - begun < 5
    for number, (tracker, _) in enumerate(loggers):
        (runs / f"{number:012d}" / "overlays.png").write_bytes(picture)
        tracker.finish("FINISHED", RESULT, [runs / f"{number:012d}" / "overlays.png"])
    assert sync_verb.main(["--runs", str(runs)]) == 1  # nobody answers
    said = capfd.readouterr().err.splitlines()
    assert sum("the run goes on" in line for line in said) == 4, said
    assert (
        sum(
            "not stored there: curves and scores, record and overlays, status FINISHED" in s
            for s in said
        )
        == 4
    )
    assert len(said) == 9 and "can't be used" in said[-1]

    server.start()
    code, first = sync(runs)
    assert (code, {run["status"] for run in first["runs"]}, first["failed"]) == (
        0,
        {"FINISHED"},
        {},
    )
    assert all(
        5 * 16 <= run["values"] <= 5 * 17 for run in first["runs"]
    )  # the third epoch may be there already
    for number, (tracker, _) in enumerate(loggers):
        assert stored(client, tracker.note.run_id) == whole(number, 19)
        run = client.get_run(tracker.note.run_id)
        assert run.info.status == "FINISHED" and run.info.end_time == tracker.note.ended
        times = [point.timestamp for point in client.get_metric_history(tracker.note.run_id, "lr")]
        assert all(run.info.start_time - 1000 <= at <= run.info.end_time + 1000 for at in times)
        assert len(client.get_metric_history(tracker.note.run_id, "test/dice")) == 1
        copy = Path(
            client.download_artifacts(tracker.note.run_id, "", str(tmp_path / f"copy{number}"))
        )
        assert json.loads((copy / "record.json").read_text()) == RESULT.to_json()
        assert (copy / "overlays" / "overlays.png").read_bytes() == picture
    capfd.readouterr()
    assert sync(runs) == (0, {"runs": [], "failed": {}})
    assert "nothing to send" in capfd.readouterr().out
    assert not any(b"secret" in path.read_bytes() for path in runs.rglob("*") if path.is_file())
    assert not any("secret" in line for line in said)


@pytest.mark.process
def test_a_killed_run_and_the_one_that_goes_on_from_it(
    runs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run_id, client = f"{7:012d}", _client(_sqlite(runs))
    killed(runs)
    code, first = sync(runs, run_id)
    (sent,) = first["runs"]
    assert (code, sent["key"], sent["status"]) == (0, run_id, "KILLED") and sent[
        "values"
    ] >= 5  # the last epoch's
    assert stored(client, sent["run_id"]) == whole(7, 4)
    assert client.get_run(sent["run_id"]).info.status == "KILLED"
    assert sync(runs, run_id)[1] == {"runs": [], "failed": {}}

    tracker, journal = begin(runs, run_id, 7)  # from the checkpoint of the third epoch
    assert tracker.note.run_id != sent["run_id"]
    assert sync(runs)[1]["runs"][0]["status"] == "RUNNING"
    for epoch in range(4, 7):
        for name in NAMES:
            journal.log(name, value(7, name, epoch), epoch)
    tracker.finish("FINISHED", None)
    assert stored(client, tracker.note.run_id) == whole(7, 6)
    history = client.get_metric_history(tracker.note.run_id, "lr")
    assert [point.timestamp for point in history] == sorted(point.timestamp for point in history)
    tags = client.get_run(tracker.note.run_id).data.tags
    assert tags["usbench.resumes"] == sent["run_id"]
    assert "KILLED" in capfd.readouterr().out and not list(runs.glob("*/mlflow.json"))


@pytest.mark.process
def test_what_is_not_finite_is_counted_once(runs: Path) -> None:
    run_id, client = "6" * 12, _client(_sqlite(runs))
    folder = runs / run_id
    tracker, _ = begin(runs, run_id)
    (folder / "log.csv").write_text("1,hd95,1.5,2.0\n2,hd95,inf,4.0\n3,hd95,nan,6.0\n")
    tracker.log("hd95", 1.5, 1)
    tracker.log("hd95", float("inf"), 2)
    tracker.log("hd95", math.nan, 3)  # sends the step before
    mlflow_run_id = tracker.note.run_id
    until(lambda: "hd95.nonfinite" in client.get_run(mlflow_run_id).data.metrics)
    client.set_tag(mlflow_run_id, "usbench.pid", "99999999")  # as if its process were gone
    assert sync(runs)[1]["runs"] == [
        {"key": run_id, "run_id": mlflow_run_id, "values": 1, "status": "KILLED"}
    ]
    assert stored(client, mlflow_run_id) == {
        "hd95": [(1, 1.5)],
        "hd95.nonfinite": [(2, 1.0), (3, 2.0)],
    }
    assert client.get_run(mlflow_run_id).info.end_time == tracker.note.zero + 6000


@pytest.mark.process
def test_another_run_in_its_place_keeps_its_note(runs: Path) -> None:
    tracker, _ = begin(runs, "4" * 12)
    other = Note("other", tracker.note.store, 0)
    other.write(runs / ("4" * 12))
    tracker.finish("FAILED", None)
    assert background.read_note(runs / ("4" * 12)) == other


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        pytest.param("", [], id="empty"),
        pytest.param(
            "1,a,0.5,2.0\n1,b,1,2.0\n",
            [Row(1, "a", 0.5, 2.0), Row(1, "b", 1.0, 2.0)],
            id="two names",
        ),
        pytest.param("1,a,0.5,2.0\n2,a,0.2", [Row(1, "a", 0.5, 2.0)], id="cut short"),
        pytest.param(
            "1,a,1,1\n2,a,2,2\n2,a,3,3\n",
            [Row(1, "a", 1, 1), Row(2, "a", 3, 3)],
            id="an epoch again",
        ),
        pytest.param(
            "1,a,1,1\n2,a,2,2\n3,a,3,3\n2,a,4,4\n",
            [Row(1, "a", 1, 1), Row(2, "a", 4, 4)],
            id="two epochs lost",
        ),
        pytest.param(
            "5,a,1,1\n1,b,2,2\n", [Row(1, "b", 2, 2), Row(5, "a", 1, 1)], id="names apart"
        ),
    ],
)
def test_the_rows_of_a_log_that_count(tmp_path: Path, text: str, rows: list[Row]) -> None:
    (tmp_path / "log.csv").write_text(text)
    assert read_curves(tmp_path) == rows


@pytest.mark.process
def test_what_cannot_be_sent_is_a_line_and_exit_code_1(
    runs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, text in (("unknown", None), ("damaged", "{"), ("older", '{"run": "x"}')):
        (runs / name).mkdir()
        Note("0" * 32, "http://elsewhere", 0).write(runs / name)
        if text:
            (runs / name / "mlflow.json").write_text(text)
    code, answer = sync(runs)
    assert (code, answer["runs"], set(answer["failed"])) == (1, [], {"unknown", "damaged", "older"})
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 3
    assert "http://elsewhere" in said[2] and "0" * 32 in said[2]
    assert sync_verb.main(["--runs", str(runs), "no-such-key"]) == 1
    assert "no-such-key" in capfd.readouterr().err
    (runs / "mlflow.db").unlink()
    assert sync_verb.main(["--runs", str(runs), "unknown"]) == 1
    assert "mlflow.db" in capfd.readouterr().err and not (runs / "mlflow.db").exists()


@pytest.mark.process
def test_a_store_that_is_dead_at_the_start_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as nobody:  # bound, not listening
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        with pytest.raises(RunError, match="can't be used"):
            begin(tmp_path / "runs", "3" * 12)
    assert not list(tmp_path.rglob("mlflow.json"))


# ---- a server, and one on PostgreSQL


@pytest.fixture
def postgres() -> Iterator[str]:
    """Its address."""
    if reason := bench_tracking.postgres_missing():
        pytest.skip(reason)
    with bench_tracking.postgres() as uri:
        yield uri


@pytest.mark.slow
def test_sixteen_processes_lose_nothing_on_a_server(tmp_path: Path) -> None:
    _sixteen_on(Server(tmp_path), tmp_path / "runs")


@pytest.mark.slow
def test_sixteen_processes_lose_nothing_on_a_server_with_postgresql(
    postgres: str, tmp_path: Path
) -> None:
    _sixteen_on(Server(tmp_path, postgres), tmp_path / "runs")


def _sixteen_on(server: Server, runs: Path) -> None:
    server.start()
    try:
        process = child(SIXTEEN, runs, MLFLOW_TRACKING_URI=server.uri)
        out, err = process.communicate(timeout=400)
        assert (process.returncode, out, err) == (0, "", "")
        check_sixteen(_client(server.uri), runs)
    finally:
        server.stop()
    assert not psutil.pid_exists(server.process.pid)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["SQLite folder", "server, SQLite", "server, PostgreSQL"])
def test_the_benchmark(kind: str) -> None:
    if kind == "server, PostgreSQL" and (reason := bench_tracking.postgres_missing()):
        pytest.skip(reason)
    options = argparse.Namespace(processes=3, epochs=2, epoch_seconds=0.5)
    figures = bench_tracking.load_store(kind, options)
    assert (figures["values"], figures["lost"]) == (3 * 2 * 5, 0)
    assert 0 < figures["wait_median"] <= figures["wait_max"] == figures["share_max"] * 0.5
