"""Tracking against real stores: SQLite made by eight processes at once, a server on loopback."""

from __future__ import annotations

import json
import math
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import URLError

import psutil  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

import usbench
from scripts.bench_tracking import SERVER
from usbench.errors import RunError
from usbench.metrics.scores import Figure, ProtocolScores
from usbench.results.result import Code, Data, Machine, Result, Validation
from usbench.runner.tracking.mlflow_store import (
    MlflowTracker,
    Status,
    mark_killed_runs,
    open_tracker,
    time_ms,
)
from usbench.runner.tracking.text import final_scores, one_line, process_tags, shorten, valid_name

PYTHON = {**os.environ, "PYTHONPATH": str(Path(usbench.__file__).parents[1])}
PYTHON.pop("MLFLOW_TRACKING_URI", None)
PYTHON["MLFLOW_DISABLE_TELEMETRY"] = "true"  # of the processes that import mlflow themselves
PYTHON |= SERVER
EXPERIMENT = "usbench/phantom-segment"
KEY = "1a2b3c4d5e6f"
PROTOCOL = ProtocolScores(
    "usbench",
    1,
    "what is scored",
    {
        "dice": Figure(0.75, 8, low=0.5, high=0.875, method="bootstrap", groups=4),
        "hd95_mm": Figure(None, 0, "no case to average"),
    },
    {"dura mater": {"dice": Figure(0.5, 8)}, "cyst": {"dice": Figure(1.0, 8)}},
    {},
)
RESULT = Result(
    dataset="phantom",
    task="segment",
    model="unet",
    run_id=KEY,
    status="done",
    origin="run",
    data=Data("fingerprint", {"test": 8}, phantom=True),
    code=Code("0.1.0", None, None),
    machine=Machine("a processor"),
    config={},
    protocols=(PROTOCOL,),
    validation=Validation("dice", 0.625),
    seconds={"fit": 12},
)
SCORES = {
    "test/dice": 0.75,
    "test/dice.low": 0.5,
    "test/dice.high": 0.875,
    "test/dura mater/dice": 0.5,
    "test/cyst/dice": 1.0,
    "validation": 0.625,
    "seconds/fit": 12.0,
}
START = """
import sys, time
from multiprocessing import get_context
from pathlib import Path
from usbench.runner.tracking.mlflow_store import open_tracker

def start(number):
    run_id = number * 12
    tracker = open_tracker(runs=Path(sys.argv[1]), experiment="usbench/phantom-segment",
                           name=f"unet-{run_id}", run_id=run_id, params={"seed": number}, tags={},
                           config=None)
    tracker.log("loss", 1.0, 0)
    tracker.flush()
    print(tracker.run_id, flush=True)
    return tracker
"""
EIGHT = """
import mlflow  # once, before the processes part

def one(number, barrier):
    barrier.wait()
    start(number).end("FINISHED", None, (), int(1000 * time.time()))

fork = get_context("fork")
barrier = fork.Barrier(8)
processes = [fork.Process(target=one, args=(str(number), barrier)) for number in range(8)]
for process in processes:
    process.start()
for process in processes:
    process.join()
sys.exit(sum(process.exitcode != 0 for process in processes))
"""
SLEEP = """
start("9")
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _no_server_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str, str]:
    """(runs folder in which eight processes start at one instant, failures, stdout, stderr)."""
    runs = tmp_path_factory.mktemp("eight") / "new" / "my runs"
    child = _child(START + EIGHT, runs)
    out, err = child.communicate(timeout=120)
    return runs, child.returncode, out, err


@pytest.fixture
def runs(started: tuple[Path, int, str, str]) -> Path:
    return started[0]


def _child(code: str, runs: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, str(runs)]
    return subprocess.Popen(
        command, env=PYTHON, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _open(runs: Path, **changes: Any) -> MlflowTracker:
    settings: dict[str, Any] = {
        "experiment": EXPERIMENT,
        "name": f"unet-s0-{KEY}",
        "run_id": KEY,
        "params": {"model": "unet", "lr": 1e-3},
        "tags": {},
        "config": None,
    }
    return open_tracker(runs=runs, **{**settings, **changes})


def _end(
    tracker: MlflowTracker, status: Status, result: Result | None, files: Sequence[Path] = ()
) -> None:
    assert tracker.end(status, result, files, time_ms()) is None


def _client(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def _sqlite(runs: Path) -> str:
    return f"sqlite:///{runs}/mlflow.db"


def _files(folder: Path) -> dict[str, Path]:
    config, overlay = folder / "config.yaml", folder / "worst.png"
    config.write_text("model: unet\n")
    overlay.write_bytes(b"picture")
    return {"config": config, "overlay": overlay}


def _check_story(client: Any, run_id: str, epochs: int, folder: Path) -> None:
    """Parameters, curves, final scores, files and status, as a fresh client reads them."""
    run = client.get_run(run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", f"unet-s0-{KEY}")
    assert run.data.params == {"model": "unet", "lr": "0.001"}
    curve = [(point.step, point.value) for point in client.get_metric_history(run_id, "val/dice")]
    assert curve == [(epoch, epoch / 16) for epoch in range(epochs)]
    scores = {name: value for name, value in run.data.metrics.items() if name != "val/dice"}
    assert scores == {name.replace(" ", "_"): value for name, value in SCORES.items()}
    copy = Path(client.download_artifacts(run_id, "", str(folder)))
    assert sorted(str(p.relative_to(copy)) for p in copy.rglob("*.*")) == [
        "config.yaml",
        "overlays/worst.png",
        "record.json",
    ]
    assert json.loads((copy / "record.json").read_text()) == RESULT.to_json()
    assert (copy / "config.yaml").read_text() == "model: unet\n"


@pytest.mark.process
def test_eight_processes_create_one_store_at_one_instant(
    started: tuple[Path, int, str, str],
) -> None:
    runs, failures, out, err = started
    assert (failures, err) == (0, "")
    client = _client(_sqlite(runs))
    experiment = client.get_experiment_by_name(EXPERIMENT)
    stored = client.search_runs([experiment.experiment_id])
    assert {run.info.run_id for run in stored} == set(out.split())
    assert {run.info.status for run in stored} == {"FINISHED"}
    assert sorted(run.data.params["seed"] for run in stored) == list("01234567")


@pytest.mark.process
def test_a_run_as_a_fresh_client_reads_it(
    runs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import mlflow

    files = _files(tmp_path)
    before = dict(os.environ)
    tracker = _open(runs, config=files["config"], tags={"usbench.datasets.source": "phantom"})
    assert mlflow.active_run() is None  # nothing that another library's autologging could write to
    for epoch in range(3):
        tracker.log("val/dice", epoch / 16, epoch)
    _end(tracker, "FINISHED", RESULT, [files["overlay"]])
    assert capfd.readouterr() == ("", "")
    assert os.environ == before
    _check_story(_client(_sqlite(runs)), tracker.run_id, 3, tmp_path / "copy")


@pytest.mark.process
def test_values_are_sent_when_the_step_changes(runs: Path) -> None:
    tracker = _open(runs)
    client = _client(_sqlite(runs))
    tracker.log("loss", 2.0, 4)
    tracker.log("lr", 0.5, 4)
    assert client.get_run(tracker.run_id).data.metrics == {}
    tracker.log("loss", 1.0, 5)
    assert client.get_run(tracker.run_id).data.metrics == {"loss": 2.0, "lr": 0.5}
    tracker.flush()
    assert client.get_run(tracker.run_id).data.metrics["loss"] == 1.0
    _end(tracker, "FAILED", None)
    assert client.get_run(tracker.run_id).info.status == "FAILED"


@pytest.mark.process
def test_more_than_one_request_holds(runs: Path) -> None:
    tracker = _open(runs, params={f"p{n}": n for n in range(130)})
    for n in range(1200):
        tracker.log(f"m{n}", n, 0)
    _end(tracker, "FINISHED", None)
    data = _client(_sqlite(runs)).get_run(tracker.run_id).data
    assert (len(data.params), len(data.metrics)) == (130, 1200)


@pytest.mark.process
def test_what_is_not_finite_is_counted_instead(runs: Path) -> None:
    tracker = _open(runs)
    for step, value in enumerate((1.0, math.inf, 2.0, math.nan, -math.inf)):
        tracker.log("hd95", value, step)
    infinite = replace(PROTOCOL, scores={"hd95_px": Figure(math.inf, 8)}, per_class={})
    _end(tracker, "FAILED", replace(RESULT, protocols=(infinite,), validation=None, seconds=None))
    client = _client(_sqlite(runs))
    history = {
        name: client.get_metric_history(tracker.run_id, name) for name in ("hd95", "hd95.nonfinite")
    }
    assert [(p.step, p.value) for p in history["hd95"]] == [(0, 1.0), (2, 2.0)]
    assert [(p.step, p.value) for p in history["hd95.nonfinite"]] == [(1, 1.0), (3, 2.0), (4, 3.0)]
    metrics = client.get_run(tracker.run_id).data.metrics
    assert set(metrics) == {"hd95", "hd95.nonfinite", "test/hd95_px.nonfinite"}


@pytest.mark.process
def test_neither_host_nor_user_nor_folders(runs: Path) -> None:
    params = {"weights": Path.home() / "secret" / "w.pt"}
    tracker = _open(runs, params=params, tags={"data": f"{Path.home()}/images"})
    _end(tracker, "FINISHED", None)
    run = _client(_sqlite(runs)).get_run(tracker.run_id)
    assert run.data.params == {"weights": "w.pt"}
    assert run.data.tags["data"] == "images"
    assert (run.data.tags["mlflow.user"], run.info.user_id) == ("usbench", "usbench")
    assert set(run.data.tags) == {
        "data",
        "mlflow.runName",
        "mlflow.user",
        "usbench.host",
        "usbench.key",
        "usbench.pid",
        "usbench.started",
    }
    assert socket.gethostname() not in run.data.tags.values()
    assert len(run.data.tags["usbench.host"]) == 12


@pytest.mark.process
def test_a_killed_run_is_marked_and_the_next_says_what_it_resumes(runs: Path) -> None:
    client = _client(_sqlite(runs))
    child = _child(START + SLEEP, runs)
    assert child.stdout is not None
    killed = child.stdout.readline().strip()
    alive = _open(runs, run_id="9" * 12)  # while the first still runs: it stays, nothing is resumed
    assert client.get_run(killed).info.status == "RUNNING"
    assert "usbench.resumes" not in client.get_run(alive.run_id).data.tags
    _end(alive, "FINISHED", None)

    child.kill()
    while (
        psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE
    ):  # dead, not yet waited for by its parent
        time.sleep(0.01)
    other = _open(runs, run_id="8" * 12)
    assert client.get_run(killed).info.status == "KILLED"
    assert "usbench.resumes" not in client.get_run(other.run_id).data.tags
    _end(other, "FINISHED", None)
    child.communicate()


@pytest.mark.process
def test_only_the_latest_run_of_a_run_id_is_resumed(runs: Path) -> None:
    client = _client(_sqlite(runs))

    def ended(status: str) -> dict[str, str]:
        tracker = _open(runs, run_id="abcdefabcdef")
        client.set_terminated(tracker.run_id, status)
        return {"id": tracker.run_id, **client.get_run(tracker.run_id).data.tags}

    first, second, third, fourth = (
        ended(status) for status in ("KILLED", "FINISHED", "FAILED", "KILLED")
    )
    assert second["usbench.resumes"] == first["id"]
    assert not any("usbench.resumes" in tags for tags in (first, third, fourth))


def _mine(changes: dict[str, str]) -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda tags: {**tags, **changes}


@pytest.mark.process
@pytest.mark.parametrize(
    ("change", "status"),
    [
        pytest.param(_mine({}), "RUNNING", id="this process"),
        pytest.param(_mine({"usbench.started": "1.00"}), "KILLED", id="its pid used again"),
        pytest.param(_mine({"usbench.pid": "99999999"}), "KILLED", id="no such process"),
        pytest.param(
            _mine({"usbench.pid": "99999999", "usbench.host": "0" * 12}),
            "RUNNING",
            id="another host",
        ),
        pytest.param(_mine({"usbench.pid": "?"}), "RUNNING", id="can't be told"),
        pytest.param(lambda tags: {}, "RUNNING", id="not ours"),
    ],
)
def test_who_is_marked_killed(
    runs: Path, change: Callable[[dict[str, str]], dict[str, str]], status: str
) -> None:
    client = _client(_sqlite(runs))
    mine = _open(runs)
    tags = {
        k: v for k, v in client.get_run(mine.run_id).data.tags.items() if k.startswith("usbench.")
    }
    other = client.create_run(
        client.get_run(mine.run_id).info.experiment_id, tags=change(tags)
    ).info.run_id
    _end(mine, "FINISHED", None)
    _end(_open(runs, experiment="usbench/other-detect"), "FINISHED", None)
    assert client.get_run(other).info.status == status
    client.set_terminated(other, "FAILED")


@pytest.mark.process
def test_a_run_that_ends_while_the_killed_are_looked_for_is_none_of_them(runs: Path) -> None:
    class Slow:
        """The store's client, with an answer from before the run ended."""

        def __init__(self, client: Any, experiment: str) -> None:
            self.client, self.stored = client, list(client.search_runs([experiment]))

        def __getattr__(self, name: str) -> Any:
            return getattr(self.client, name)

        def search_runs(self, *query: Any) -> list[Any]:
            return self.stored

    client = _client(_sqlite(runs))
    mine = _open(runs)
    gone, experiment = (
        {**process_tags(), "usbench.pid": "99999999"},
        client.get_run(mine.run_id).info.experiment_id,
    )
    ended, killed = (client.create_run(experiment, tags=gone) for _ in range(2))
    slow = Slow(client, experiment)
    client.set_terminated(ended.info.run_id, "FINISHED")
    mark_killed_runs(slow)
    assert client.get_run(ended.info.run_id).info.status == "FINISHED"
    assert client.get_run(killed.info.run_id).info.status == "KILLED"
    _end(mine, "FINISHED", None)


@pytest.mark.process
def test_another_sqlite_store_keeps_its_files_beside_it(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    there = tmp_path / "there"
    there.mkdir()
    shutil.copy(
        runs / "mlflow.db", there / "other.db"
    )  # as if moved: its old experiment points at the old folder
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{there}/other.db")
    config = _files(tmp_path)["config"]
    tracker = _open(tmp_path / "runs", experiment="usbench/usgra-detect", config=config)
    _end(tracker, "FINISHED", None)
    assert capfd.readouterr() == ("", "")
    assert not (tmp_path / "runs").exists()
    assert (there / "mlflow-artifacts" / tracker.run_id / "artifacts" / "config.yaml").exists()

    _end(_open(tmp_path / "runs"), "FINISHED", None)
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and "was the store moved?" in said and str(there) in said


@pytest.mark.process
def test_a_store_that_cannot_be_used_is_one_line(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(place: Path, uri: str | None = None, **changes: Any) -> str:
        if uri:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        with pytest.raises(RunError) as caught:
            _open(place, **changes)
        assert "\n" not in str(caught.value) and "tracking=none" in str(caught.value)
        return str(caught.value)

    (tmp_path / "file").touch()
    assert str(tmp_path / "file") in refused(tmp_path / "file")
    (tmp_path / "mlflow.db").write_bytes(b"not a database" * 100)
    assert f"{tmp_path}/mlflow.db" in refused(tmp_path)
    assert "gone.yaml" in refused(runs, config=tmp_path / "gone.yaml")
    client = _client(_sqlite(runs))
    client.delete_experiment(client.create_experiment("usbench/deleted-segment"))
    assert "experiments restore" in refused(runs, experiment="usbench/deleted-segment")
    begun = time.monotonic()
    with socket.socket() as nobody_answers:  # bound, not listening
        nobody_answers.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{nobody_answers.getsockname()[1]}"
        said = refused(tmp_path, f"http://alice:secret@{host}")
    assert f"http://***@{host}" in said and "secret" not in said
    assert time.monotonic() - begun < 20


@pytest.mark.process
def test_a_server_that_hangs_slows_one_epoch_not_all(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")  # the user's own stays
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, never answers
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        tracker = MlflowTracker(_client(uri), "run", uri)
        begun = time.monotonic()
        for epoch in range(12):
            tracker.log("loss", 1.0, epoch)
        assert 1 < time.monotonic() - begun < 12  # one attempt of two seconds, not eleven
    assert capfd.readouterr().err.count("\n") == 1


@pytest.mark.process
def test_none_keeps_nothing_and_imports_no_mlflow(tmp_path: Path) -> None:
    code = """if True:
        import sys
        from pathlib import Path
        from usbench.runner.tracking.background import Untracked
        tracker = Untracked()
        tracker.log("loss", float("inf"), 0)
        tracker.finish("FINISHED", None, [Path("x.png")])
        assert not {"mlflow", "sqlalchemy", "torch"} & set(sys.modules)
        """
    subprocess.run([sys.executable, "-c", code], env=PYTHON, cwd=tmp_path, check=True, timeout=60)
    assert list(tmp_path.iterdir()) == []


def test_final_scores_are_the_figures_of_the_result() -> None:
    assert final_scores(RESULT) == SCORES
    empty = replace(PROTOCOL, scores={}, per_class={})
    without = replace(RESULT, protocols=(empty,), validation=None, seconds={"fit": 3})
    assert final_scores(without) == {"seconds/fit": 3.0}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("test/dice.low", "test/dice.low"),
        ("mAP50-95(B)", "mAP50-95_B_"),
        ("épaisseur du nerf", "_paisseur_du_nerf"),
        ("/a//../b/", "a/b"),
        ("", "_"),
    ],
)
def test_names(name: str, expected: str) -> None:
    assert valid_name(name) == expected


@pytest.mark.process  # importing mlflow asks uname
@given(st.text(max_size=400))
def test_every_name_becomes_one_that_mlflow_takes(name: str) -> None:
    from mlflow.utils.validation import _validate_metric_name

    _validate_metric_name(f"{valid_name(name)}.nonfinite")
    assert len(valid_name(name)) <= 240
    assert valid_name(valid_name(name)) == valid_name(name)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.001, "0.001"),
        (None, "None"),
        ("a/b", "a/b"),
        ("mean / sd", "mean / sd"),
        (Path("/home/alice/data"), "data"),
        (f"[{Path.home()}, {Path.home()}/x]", "[~, x]"),
        ("~/w.pt", "w.pt"),
        ("~alice/w.pt", "w.pt"),
        ("['/home/alice/a.pt', '/tmp/b.pt']", "['a.pt', 'b.pt']"),
        ("root=/home/alice/x y/z", "root=x y/z"),
        (r"C:\Users\alice\w.pt", "w.pt"),
        ("file:///home/alice/w.pt", "w.pt"),
        ("https://host/a/w.pt", "https://host/a/w.pt"),
        ("x" * 600, "x" * 500),
    ],
)
def test_values_are_short_and_name_no_folder(value: object, expected: str) -> None:
    assert shorten(value) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no\n  answer ", "no answer"),
        ("http://alice:secret@host:5000 failed", "http://***@host:5000 failed"),
        (
            "postgresql://host/runs?user=alice&password=secret&x=1",
            "postgresql://host/runs?user=alice&password=***&x=1",
        ),
        ("x" * 600, "x" * 400),
    ],
)
def test_a_line_holds_no_password(text: str, expected: str) -> None:
    assert one_line(text) == expected


class Server:
    """A real `mlflow server` on loopback that can be killed and started again on its store."""

    def __init__(self, folder: Path, store: str | None = None) -> None:
        self.folder, self.store = folder, store or f"sqlite:///{folder}/server.db"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        store = ["--backend-store-uri", self.store]
        place = [
            "--artifacts-destination",
            str(self.folder / "files"),
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
        ]
        command = [sys.executable, "-m", "mlflow", "server", *store, *place, "--workers", "1"]
        with (self.folder / "server.log").open("a") as log:
            self.process = psutil.Popen(
                command, env=PYTHON, stdout=log, stderr=log, cwd=self.folder
            )
        until = time.monotonic() + 90
        while not self.answers():
            assert self.process.poll() is None and time.monotonic() < until, (
                self.folder / "server.log"
            ).read_text()
            time.sleep(0.1)

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def stop(self) -> None:
        if not self.process.is_running():
            return
        family = [*self.process.children(recursive=True), self.process]
        for process in family:
            process.kill()
        psutil.wait_procs(family, timeout=20)


@pytest.fixture
def server(tmp_path: Path, runs: Path) -> Iterator[Server]:
    (tmp_path / "server").mkdir()
    shutil.copy(runs / "mlflow.db", tmp_path / "server" / "server.db")  # the migrated tables
    server = Server(tmp_path / "server")
    server.start()
    yield server
    server.stop()


@pytest.mark.process
@pytest.mark.timeout(240)
def test_a_server_and_its_death_in_the_middle_of_a_run(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    files = _files(tmp_path)
    experiment = "usbench/server-segment"
    killed = _open(tmp_path / "runs", experiment=experiment, name="lost")
    tracker = _open(tmp_path / "runs", experiment=experiment, config=files["config"])
    for epoch in range(3):
        tracker.log("val/dice", epoch / 16, epoch)
    assert capfd.readouterr() == ("", "")
    server.stop()
    tracker.log("val/dice", 3 / 16, 3)  # fails to send epoch 2
    for epoch in range(4, 9):
        tracker.log("val/dice", epoch / 16, epoch)
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1, said
    assert server.uri in said[0] and "the run goes on" in said[0]
    failure = killed.end("FINISHED", RESULT, (), time_ms())
    assert failure is not None
    assert "not stored there: curves and scores, record and overlays, status FINISHED" in failure

    server.start()
    _end(tracker, "FINISHED", RESULT, [files["overlay"]])
    assert capfd.readouterr() == ("", "")
    client = _client(server.uri)
    _check_story(client, tracker.run_id, 9, tmp_path / "copy")
    assert client.get_run(killed.run_id).info.status == "RUNNING"
    assert not (tmp_path / "runs").exists()
