"""Splits as MLflow's datasets, and the case table as a table that MLflow reads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.runner.tracking.test_mlflow_store import (
    EXPERIMENT,
    KEY,
    PROTOCOL,
    RESULT,
    _client,
    _no_server_of_the_user,  # noqa: F401  (an autouse fixture)
    _sqlite,
)
from usbench.metrics.scores import Figure
from usbench.results.result import Primary
from usbench.results.store import Case, hash_case_ids, save_result, table_path
from usbench.runner.tracking.background import Note, send_run
from usbench.runner.tracking.inputs import SplitInput, encode_table
from usbench.runner.tracking.mlflow_store import MlflowTracker, open_tracker, time_ms

FINGERPRINT = "0123456789abcdef" * 4
TRAIN = SplitInput(
    "busi/train", FINGERPRINT, "training", {"images": 8, "groups": 3}, {"phantom": "true"}
)
TEST = replace(TRAIN, name="busi/test", context="testing", counts={"images": 4, "groups": 1})
CASES: list[Case] = [
    {"case": "a4", "group": "p1", "class": "cyst", "tp": 3, "dice": 0.5},
    {"case": "a5", "group": "p1", "class": "cyst", "tp": 0, "dice": None},
]


@pytest.mark.parametrize(
    ("rows", "columns", "data"),
    [
        pytest.param(
            [{"case": "0004", "tp": "3", "dice": "0.5"}, {"case": "5", "tp": "0", "dice": ""}],
            ["case", "tp", "dice"],
            [["0004", 3, 0.5], ["5", 0, None]],
            id="an id stays a text",
        ),
        pytest.param(
            [{"class": "1", "matches": ""}, {"class": "2", "matches": "m10"}],
            ["class", "matches"],
            [["1", None], ["2", "m10"]],
            id="a column of texts",
        ),
        pytest.param([{"hd95_px": "1e-09"}], ["hd95_px"], [[1e-9]], id="a small number"),
    ],
)
def test_a_case_table_as_json(
    rows: list[dict[str, str]], columns: list[str], data: list[list[object]]
) -> None:
    assert json.loads(encode_table(rows)) == {"columns": columns, "data": data}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, MlflowTracker]:
    """(runs folder, client, an open run with inputs) of a fresh SQLite store."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        runs = tmp_path_factory.mktemp("inputs") / "runs"
        return runs, _client(_sqlite(runs)), open_run(runs)


def open_run(runs: Path) -> MlflowTracker:
    return open_tracker(
        runs=runs,
        experiment=EXPERIMENT,
        name=KEY,
        run_id=KEY,
        params={},
        tags={},
        config=None,
        inputs=[TRAIN, TEST],
    )


@pytest.mark.process
def test_the_splits_are_a_run_s_datasets(stored: tuple[Path, Any, MlflowTracker]) -> None:
    _, client, tracker = stored
    inputs = client.get_run(tracker.run_id).inputs.dataset_inputs
    contexts = {part.dataset.name: {tag.key: tag.value for tag in part.tags} for part in inputs}
    assert contexts == {
        "busi/train": {"mlflow.data.context": "training"},
        "busi/test": {"mlflow.data.context": "testing"},
    }
    profiles = {part.dataset.name: json.loads(part.dataset.profile) for part in inputs}
    assert profiles == {"busi/train": TRAIN.counts, "busi/test": TEST.counts}
    for part in inputs:
        assert part.dataset.digest == "0123456789ab"
        assert json.loads(part.dataset.source) == {
            "tags": {"fingerprint": FINGERPRINT, "phantom": "true"}
        }


@pytest.mark.process
def test_mlflow_knows_the_source(stored: tuple[Path, Any, MlflowTracker]) -> None:
    from mlflow.data import get_source

    _, client, tracker = stored
    first = client.get_run(tracker.run_id).inputs.dataset_inputs[0].dataset
    assert get_source(first).to_dict()["tags"]["fingerprint"] == FINGERPRINT


def publish(folder: Path, redistribute: str) -> Path:
    """A finished result with its case table; its path."""
    cases = hash_case_ids(CASES, redistribute, "busi")
    scores = replace(PROTOCOL, scores={"dice": Figure(0.5, 1)}, per_class={})
    result = replace(
        RESULT, dataset="busi", seed=0, primary=Primary("dice", 0.5, True), protocols=(scores,)
    )
    return save_result(folder / "results", result, cases)


def table_of(client: Any, run_id: str) -> Any:
    """The table as MLflow's own reader gives it: header and rows."""
    experiment = client.get_run(run_id).info.experiment_id
    with pytest.MonkeyPatch.context() as patch:  # the reader asks the environment for the store
        patch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)
        frame = client.load_table(experiment, "cases.json", run_ids=[run_id])
    return [list(frame.columns), *frame.astype(object).where(frame.notna(), None).values.tolist()]


@pytest.mark.process
@pytest.mark.parametrize(
    ("redistribute", "case", "group"),
    [
        ("images", "a4", "p1"),
        # sha256("busia4"), sha256("busip1")
        ("none", "5ab9953703d6", "ead2e8027948"),
    ],
)
def test_the_cases_are_a_table(
    stored: tuple[Path, Any, MlflowTracker],
    tmp_path: Path,
    redistribute: str,
    case: str,
    group: str,
) -> None:
    runs, client, _ = stored
    tracker = open_run(runs)
    assert tracker.end("FINISHED", RESULT, (), time_ms(), publish(tmp_path, redistribute)) is None
    header, first, second = table_of(client, tracker.run_id)
    assert header == ["case", "group", "class", "tp", "dice"]
    assert first == [case, group, "cyst", 3, 0.5]
    assert second[3:] == [0, None]
    tag = client.get_run(tracker.run_id).data.tags["mlflow.loggedArtifacts"]
    assert json.loads(tag) == [{"path": "cases.json", "type": "table"}]


@pytest.mark.process
def test_a_table_that_is_sent_twice_has_its_rows_once(
    stored: tuple[Path, Any, MlflowTracker], tmp_path: Path
) -> None:
    runs, client, _ = stored
    tracker, folder = open_run(runs), tmp_path / KEY
    folder.mkdir()
    path = publish(tmp_path, "images")
    note = Note(
        tracker.run_id, tracker.uri, time_ms(), "FINISHED", time_ms(), RESULT, (), str(path)
    )
    for _ in range(2):
        note.write(folder)
        sent = send_run(folder, client, tracker.uri)
        assert sent is not None and sent.status == "FINISHED"
    assert len(table_of(client, tracker.run_id)) == 1 + len(CASES)


@pytest.mark.process
def test_a_table_that_was_removed_is_reported_and_the_run_ends(
    stored: tuple[Path, Any, MlflowTracker], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    runs, client, _ = stored
    tracker, path = open_run(runs), publish(tmp_path, "images")
    table_path(path).unlink()
    assert tracker.end("FINISHED", RESULT, (), time_ms(), path) is None
    assert client.get_run(tracker.run_id).info.status == "FINISHED"
    assert {item.path for item in client.list_artifacts(tracker.run_id)} == {"record.json"}
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and "mlflow has the run without its case table" in said
