"""The example of usbench/sweep/README.md, its commands as they stand, with tiny nets and images."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from tests.helpers.paths import ROOT
from usbench.results.store import load_results

PAGE = (ROOT / "usbench/sweep/README.md").read_text("utf-8")
TINY = (
    "threads=1",
    "dataset.phantom.counts={train:8,val:4,test:8}",
    "dataset.phantom.size=[64,64]",
)
pytestmark = pytest.mark.process


def command(pattern: str) -> list[str]:
    """The words of the example's only command that the pattern matches."""
    (example,) = re.findall(r"^## From a plan.*?(?=^## )", PAGE, flags=re.M | re.S)
    lines = [
        line.partition("  #")[0] for line in example.splitlines() if line.startswith("usbench")
    ]
    (line,) = [line for line in lines if re.search(pattern, line)]
    return shlex.split(line)[1:]


def start(folder: Path, words: Sequence[str]) -> subprocess.Popen[str]:
    """Start `usbench WORDS` in a folder; a run's keys get TINY."""
    unset = ("USBENCH_DATA", "USBENCH_CONFIG", "MLFLOW_TRACKING_URI")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    small = TINY if words[0] == "-m" else ()
    return subprocess.Popen(
        [sys.executable, "-m", "usbench", *words, *small],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str


def finish(process: subprocess.Popen[str]) -> Said:
    out, err = process.communicate(timeout=300)
    return Said(process.returncode, out, err)


def kill_first_run(sweep: subprocess.Popen[str]) -> None:
    """Kill the process of the first run that a sweep begins."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        for child in psutil.Process(sweep.pid).children():
            with suppress(psutil.Error):
                if "usbench.runner" in child.cmdline():
                    child.kill()
                    return
        time.sleep(0.02)
    raise AssertionError("no run began")


@dataclass(frozen=True)
class Story:
    """The answers to the example's commands, in order."""

    folder: Path
    sweep: Said
    again: Said
    plan: Said  # with a second seed
    retry: Said
    leaderboard: Said
    comparison: Said


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("example")

    def answer(words: Sequence[str]) -> Said:
        return finish(start(folder, words))

    running = start(folder, command("seed=0 *$"))
    kill_first_run(running)
    sweep = finish(running)
    again = answer(command("seed=0 *$"))
    plan = answer(command("seed=0,1 plan=true"))
    # without the second seed, which would be four more runs like these
    words = command("retry_failed=true")
    retry = answer(["seed=0" if word == "seed=0,1" else word for word in words])
    leaderboard = answer(command("leaderboard"))
    *compare, pattern = command("compare")
    paths = sorted(str(path.relative_to(folder)) for path in folder.glob(pattern))
    comparison = answer([*compare, *paths])
    return Story(folder, sweep, again, plan, retry, leaderboard, comparison)


def begun_runs(said: Said) -> list[str]:
    """The combinations that a command ran."""
    return re.findall(r"^run \d of \d: (.*)$", said.out, flags=re.M)


def test_one_run_fails_and_the_others_go_on(story: Story) -> None:
    assert begun_runs(story.sweep) == ["phantom unet", "phantom fpn", "busi unet", "busi fpn"]
    assert story.sweep.code == 1 and "killed by SIGKILL" in story.sweep.err
    assert "4 runs: 3 done, 1 failed\nwith retry_failed=true" in story.sweep.out


def test_the_same_command_again_starts_nothing(story: Story) -> None:
    assert story.again.code == 1 and "4 runs: 3 done, 1 failed" in story.again.out
    assert begun_runs(story.again) == []


def test_a_plan_after_the_first_runs_has_an_estimate(story: Story) -> None:
    out = " ".join(story.plan.out.split())
    assert "4 of 8 combinations would be run, 1 at once: about" in out
    assert "1 without an estimate" in out  # of the model that failed


def test_the_failed_run_is_done_when_asked(story: Story) -> None:
    assert begun_runs(story.retry) == ["phantom unet"]
    assert story.retry.code == 0 and "4 runs: 4 done" in story.retry.out, story.retry.err
    results = load_results(story.folder / "results", phantom=True)
    assert len(results) == 4 and all(result.is_done for result in results)


def test_the_leaderboard_has_the_new_rows(story: Story) -> None:
    assert story.leaderboard.code == 0, story.leaderboard.err
    text = (story.folder / "results/phantom/LEADERBOARD.md").read_text("utf-8")
    assert "unet" in text and "fpn" in text


def test_the_models_are_compared_on_the_same_cases(story: Story) -> None:
    assert story.comparison.code == 0, story.comparison.err
    assert "unet" in story.comparison.out and "fpn" in story.comparison.out


def test_mlflow_has_one_parent_for_both_starts(story: Story) -> None:
    from mlflow import MlflowClient

    client: Any = MlflowClient(tracking_uri=f"sqlite:///{story.folder}/runs/mlflow.db")
    experiments = {item.name: item.experiment_id for item in client.search_experiments()}
    (parent,) = client.search_runs([experiments["usbench/sweeps"]])
    assert parent.info.status == "FINISHED"
    assert parent.info.run_name.startswith(
        "source=phantom dataset=phantom,busi model=unet,fpn recipe=tiny seed=0 "
    )
    runs = client.search_runs(
        [experiments["usbench/phantom-segment"], experiments["usbench/busi-segment"]]
    )
    assert {run.data.tags["mlflow.parentRunId"] for run in runs} == {parent.info.run_id}
    statuses = sorted(run.info.status for run in runs)
    assert statuses[:4] == ["FINISHED"] * 4 and set(statuses[4:]) <= {"KILLED"}
    for run in runs:
        names = {part.dataset.name.partition("/")[2] for part in run.inputs.dataset_inputs}
        assert names == {"train", "val", "test"}


def test_mlflow_s_case_table_hashes_ids_as_the_results_do(story: Story) -> None:
    """Those of BUSI, whose licence allows to share nothing; those of our phantom stay."""
    tables = {}
    for path in (story.folder / "runs/mlflow-artifacts").rglob("cases.json"):
        record = json.loads(path.with_name("record.json").read_text("utf-8"))
        cases = {row[0] for row in json.loads(path.read_text("utf-8"))["data"]}
        tables.setdefault(record["dataset"], set()).update(cases)
    assert tables["busi"] and all(re.fullmatch("[0-9a-f]{12}", case) for case in tables["busi"])
    assert all(case.startswith("test/g") for case in tables["phantom"])
