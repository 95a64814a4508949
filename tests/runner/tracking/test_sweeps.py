"""A sweep's run in MLflow: begun once, taken up by each later start, ended as the command ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.runner.tracking.test_mlflow_store import (
    _client,
    _no_server_of_the_user,  # noqa: F401  (an autouse fixture)
    _sqlite,
)
from usbench.errors import RunError
from usbench.runner.tracking.mlflow_store import mark_killed_runs
from usbench.runner.tracking.sweeps import EXPERIMENT, open_sweep_run

SWEEP = "0123456789ab"
NAME = "dataset=usgra model=unet,fpn seed=0,1"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with a fresh store, in which another sweep was begun."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        folder = tmp_path_factory.mktemp("sweeps") / "runs"
        open_sweep_run(folder, "ba9876543210", "data=/home/alice/data seed=0").end("FAILED")
        return folder


def stored(client: Any, run_id: str) -> tuple[str, dict[str, str]]:
    """(status, tags) of a run."""
    run = client.get_run(run_id)
    return run.info.status, run.data.tags


@pytest.mark.process
def test_one_run_for_all_starts_of_a_sweep(runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    client = _client(_sqlite(runs))
    first = open_sweep_run(runs, SWEEP, NAME)
    status, tags = stored(client, first.run_id)
    assert (status, tags["usbench.sweep"], tags["mlflow.runName"]) == ("RUNNING", SWEEP, NAME)
    first.end("FAILED")
    assert stored(client, first.run_id)[0] == "FAILED"

    second = open_sweep_run(runs, SWEEP, NAME)
    assert second.run_id == first.run_id and stored(client, first.run_id)[0] == "RUNNING"
    second.end("FINISHED")
    assert stored(client, first.run_id)[0] == "FINISHED"
    assert capfd.readouterr() == ("", "")


@pytest.mark.process
def test_another_sweep_has_another_run_and_no_folder_in_its_name(runs: Path) -> None:
    client = _client(_sqlite(runs))
    experiment = client.get_experiment_by_name(EXPERIMENT)
    names = {run.info.run_name for run in client.search_runs([experiment.experiment_id])}
    assert "data=data seed=0" in names
    assert (
        open_sweep_run(runs, "c" * 12, "seed=2").run_id != open_sweep_run(runs, SWEEP, NAME).run_id
    )


@pytest.mark.process
def test_a_killed_sweep_is_marked_and_taken_up_again(runs: Path) -> None:
    client = _client(_sqlite(runs))
    killed = open_sweep_run(runs, "d" * 12, NAME)
    client.set_tag(killed.run_id, "usbench.pid", "99999999")  # as if its process were gone
    mark_killed_runs(client)
    assert stored(client, killed.run_id)[0] == "KILLED"
    assert open_sweep_run(runs, "d" * 12, NAME).run_id == killed.run_id
    mark_killed_runs(client)
    assert stored(client, killed.run_id)[0] == "RUNNING"


@pytest.mark.process
def test_a_store_that_fails_is_one_line(
    runs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    begun = open_sweep_run(runs, "e" * 12, NAME)
    begun.client.delete_run(begun.run_id)  # MLflow refuses to end a deleted run
    begun.end("FINISHED")
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and "results are unaffected" in said
    (tmp_path / "mlflow.db").write_bytes(b"not a database" * 100)
    with pytest.raises(RunError, match=r"mlflow\.db can't be used"):
        open_sweep_run(tmp_path, SWEEP, NAME)
