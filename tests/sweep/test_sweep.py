"""Sweeps by the real command: what is run, what isn't run again, what a failure does to others."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import lab
from usbench.cli import status
from usbench.results import store as results
from usbench.results.result import Result
from usbench.sweep.planner import without_ways


def read_results(folder: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """(model, seed) → record; each lies where it belongs."""
    stored = [result.to_json() for result in results.load_results(folder / "results", phantom=True)]
    assert len({(result["model"], result["seed"]) for result in stored}) == len(stored)
    return {(result["model"], result["seed"]): result for result in stored}


def fits(folder: Path) -> list[list[str]]:
    """A line per training that was begun: key, process, threads, what it found in numpy."""
    path = folder / "fits.txt"
    return (
        [line.split(maxsplit=3) for line in path.read_text().splitlines()] if path.exists() else []
    )


def logged(folder: Path) -> dict[str, str]:
    return {"FAKE_LOG": str(folder / "fits.txt")}


@pytest.fixture(scope="module")
def swept(tmp_path_factory) -> tuple[Path, str]:
    """(folder, stdout) of a finished sweep: two seeds, and a model whose task the data lacks."""
    folder = lab.make(tmp_path_factory.mktemp("swept"), "works")
    code, out, err = lab.usbench(folder, "-m", "model=works,heatmap", "seed=0,1", **logged(folder))
    assert code == 0, err
    return folder, out


SAME = ("-m", "model=works,heatmap", "seed=0,1")


@pytest.mark.process
def test_what_can_be_is_done_and_what_cannot_is_skipped_with_its_reason(swept):
    folder, out = swept
    assert {key: result["status"] for key, result in read_results(folder).items()} == {
        ("works", 0): "done",
        ("works", 1): "done",
    }
    assert "4 runs: 2 done, 2 skipped" in out and "heatmap seed=1" in out
    assert "the model does landmark" in " ".join(out.split())
    assert len(fits(folder)) == 2


@pytest.mark.process
def test_each_cell_has_a_process_of_its_own(swept):
    first, second = fits(swept[0])
    assert first[1] != second[1]
    assert first[2] == second[2]  # the threads that the first changed
    assert first[3] == second[3] == "None"  # what the first left in a module


@pytest.mark.process
def test_the_same_command_again_starts_nothing(swept):
    folder, _ = swept
    before = {path: path.stat().st_mtime_ns for path in (folder / "results").rglob("*")}
    code, out, _ = lab.usbench(folder, *SAME, **logged(folder))
    assert code == 0 and "2 done" in out and "run 1 of" not in out
    assert {path: path.stat().st_mtime_ns for path in (folder / "results").rglob("*")} == before
    assert len(fits(folder)) == 2


@pytest.mark.process
def test_a_plan_shows_and_starts_nothing(swept):
    folder, _ = swept
    code, out, err = lab.usbench(
        folder, "-m", "model=works,heatmap", "seed=0,1,2", "plan=true", **logged(folder)
    )
    assert code == 0, err
    assert "1 of 6 combinations would be run" in out
    assert len(fits(folder)) == 2 and len(read_results(folder)) == 2
    rows = {line.split("  ")[0]: line for line in out.splitlines()}
    assert (
        "done" in rows["works seed=0"]
        and "missing" in rows["works seed=2"]
        and "about" in rows["works seed=2"]
    )
    assert "skipped" in rows["heatmap seed=2"]


@pytest.mark.process
def test_a_plan_of_a_single_run(swept):
    folder, _ = swept
    code, out, _ = lab.usbench(folder, "model=works", "seed=7", "plan=true")
    assert (
        code == 0
        and "1 of 1 combinations would be run" in out
        and ("works", 7) not in read_results(folder)
    )


@pytest.mark.process
@pytest.mark.parametrize("part", ["result", "case table"])
def test_a_damaged_result_is_made_again_from_what_the_run_left(swept, part):
    folder, _ = swept
    whole = read_results(folder)["works", 0]
    path = results.result_path(folder / "results", Result.from_json(whole))
    broken = path if part == "result" else path.with_name(whole["cases"])
    broken.write_bytes(broken.read_bytes()[:50])
    code, out, err = lab.usbench(folder, *SAME)
    assert code == 0 and "run 1 of 1: works seed=0" in out, err
    again = read_results(folder)["works", 0]
    assert (
        again["predictions"] == whole["predictions"]
        and again["cases_sha256"] == whole["cases_sha256"]
    )
    assert results.load_cases(path)
    if part == "result":
        assert (folder / "runs" / whole["run_id"] / "replaced.json").stat().st_size == 50


WAYS = {
    "exits": "SystemExit: 3",
    "goes": "ended with exit code 0 and left no result",
    "segfaults": "SIGSEGV",
    "killed": "SIGKILL",
    "raises": "ZeroDivisionError",
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory) -> tuple[Path, int, str]:
    """A sweep over every way to go, the one that works last; (folder, exit code, stdout)."""
    folder = lab.make(tmp_path_factory.mktemp("broken"), *WAYS, "works")
    models = ",".join([*WAYS, "works"])
    code, out, _ = lab.usbench(folder, "-m", f"model={models}", **logged(folder))
    return folder, code, out


@pytest.mark.process
@pytest.mark.parametrize("name", WAYS)
def test_the_end_of_one_run_is_a_result_with_its_reason(broken, name):
    result = read_results(broken[0])[name, 0]
    assert result["status"] == "failed" and WAYS[name] in result["reason"]


@pytest.mark.process
def test_and_the_others_go_on(broken):
    folder, code, out = broken
    assert read_results(folder)["works", 0]["status"] == "done"
    assert code == 1 and "6 runs: 1 done, 5 failed" in out and "retry_failed=true" in out
    assert not list((folder / "runs").glob("*.lock*"))


@pytest.mark.process
def test_failed_cells_are_done_again_when_asked(broken):
    folder, _, _ = broken
    begun = len(fits(folder))
    code, out, _ = lab.usbench(folder, "-m", "model=raises,works", **logged(folder))
    assert code == 1 and len(fits(folder)) == begun and "division" in " ".join(out.split())
    code, _, _ = lab.usbench(
        folder, "-m", "model=raises,works", "retry_failed=true", **logged(folder)
    )
    assert code == 1 and len(fits(folder)) == begun + 1


@pytest.mark.process
def test_two_sweeps_on_one_folder_do_each_cell_once(tmp_path):
    folder = lab.make(tmp_path)
    command = lab.command("-m", "model=works", "seed=0,1,2,3", "++model.recipes.quick.seconds=0.4")
    both = [
        subprocess.Popen(
            command,
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **logged(folder)},
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=240)[0] for process in both]
    code, _, _ = lab.usbench(
        folder, "-m", "model=works", "seed=0,1,2,3", "++model.recipes.quick.seconds=0.4"
    )
    assert code == 0 and len(read_results(folder)) == 4
    assert len({line[0] for line in fits(folder)}) == len(fits(folder)) == 4, said
    assert not list((folder / "runs").rglob("lost-*"))


@pytest.mark.process
def test_a_silent_host_publishes_nothing_once_another_has_taken_over(tmp_path):
    """The first sweep's child is stopped for longer than its lease; the second does the run."""
    folder = lab.make(tmp_path)
    command = lab.command("-m", "model=works", "seed=0,1", "++model.recipes.quick.seconds=1.5")
    quick = {**os.environ, **logged(folder), "USBENCH_LEASE_S": "2"}
    first = subprocess.Popen(
        command, cwd=folder, env=quick, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until(lambda: fits(folder))
    run_id, child = fits(folder)[0][0], int(fits(folder)[0][1])
    os.kill(child, 19)  # SIGSTOP
    second = subprocess.run(
        command, cwd=folder, env=quick, capture_output=True, text=True, timeout=240
    )
    until(
        lambda: (
            subprocess.run(
                command, cwd=folder, env=quick, capture_output=True, timeout=240
            ).returncode
            == 0
        )
    )
    os.kill(child, 18)  # SIGCONT
    out, err = first.communicate(timeout=240)
    assert "another one has taken its run over" in err, (out, err, second.stdout)
    assert {result["status"] for result in read_results(folder).values()} == {"done"} and len(
        read_results(folder)
    ) == 2
    assert len(list((folder / "runs" / run_id).glob("lost-*.json"))) == 1
    assert "work done twice: 1" in out


@pytest.mark.parametrize(
    ("overrides", "kept"),
    [
        (("dataset=busi", "seed=0", "retry_failed=true"), ["dataset=busi", "seed=0"]),
        (("plan=true", "overwrite=true", "debug=true", "tracking=mlflow"), []),
        (("model.build.plan=true", "device=cpu"), ["model.build.plan=true", "device=cpu"]),
    ],
)
def test_what_makes_it_the_same_sweep(overrides, kept):
    assert list(without_ways(overrides)) == kept


def until(condition: Any) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.mark.process
def test_what_was_planned_is_what_runs(tmp_path):
    """A configuration edited while a sweep runs doesn't leak into the runs to come."""
    folder = lab.make(tmp_path)
    command = lab.command("-m", "model=works", "seed=0,1", "++model.recipes.quick.seconds=0.5")
    process = subprocess.Popen(
        command, cwd=folder, env={**os.environ, **logged(folder)}, stdout=subprocess.DEVNULL
    )
    until(lambda: fits(folder))
    path = folder / "conf" / "model" / "works.yaml"
    path.write_text(path.read_text().replace("epochs: 2", "epochs: 3"))
    assert process.wait(240) == 0
    assert {
        result["config"]["model"]["recipe"]["epochs"] for result in read_results(folder).values()
    } == {2}


@pytest.mark.process
@pytest.mark.parametrize(
    ("overrides", "code", "says"),
    [
        (("-m", "model=works,nonet"), 2, "nonet"),
        (("-m", "model=works", "modle=unet"), 2, "modle"),
        (("-m", "model=works", "seed=0,-1"), 2, "seed=-1"),
        (("-m", "model=works", "seed=0,1", "plan=maybe"), 2, "plan=maybe"),
        (("-m", "model=works", "retry_failed=3"), 2, "retry_failed=3"),
        (("-m", "model=works", "seed=0,1", "data=nowhere", "dataset=spinal"), 1, "nowhere/spinal"),
    ],
)
def test_a_wrong_word_starts_nothing(tmp_path, overrides, code, says):
    folder = lab.make(tmp_path)
    got, out, err = lab.usbench(folder, *overrides)
    assert got == code and says in err + out and "Traceback" not in err
    assert not (folder / "results").exists()


@pytest.mark.process
def test_a_sweep_s_yaml_holds_for_its_cells(tmp_path):
    folder = lab.make(tmp_path)
    (folder / "conf" / "sweep").mkdir()
    table = "hydra: {mode: MULTIRUN, sweeper: {params: {model: works, seed: '3,4'}}}"
    (folder / "conf" / "sweep" / "ours.yaml").write_text(
        f"# @package _global_\nrecipe: standard\n{table}\n"
    )
    code, _, err = lab.usbench(folder, "sweep=ours", "seed=4,5")
    assert code == 0, err
    assert read_results(folder).keys() == {
        ("works", 4),
        ("works", 5),
    }  # what the command says goes first
    assert {result["recipe"] for result in read_results(folder).values()} == {"standard"}


@pytest.mark.process
def test_a_sweep_s_yaml_may_list_grids(tmp_path):
    """One after the other; what the command says holds for each."""
    folder = lab.make(tmp_path)
    (folder / "conf" / "sweep").mkdir()
    (folder / "conf" / "sweep" / "ours.yaml").write_text(
        "# @package _global_\nhydra: {mode: MULTIRUN}\n"
        "grids: [{model: works, seed: '5,3'}, {model: 'works,heatmap', seed: 1}]\n"
    )
    code, out, err = lab.usbench(folder, "sweep=ours", "plan=true")
    assert code == 0, err
    names = [line.split("  ")[0] for line in out.splitlines() if "seed=" in line]
    assert names == ["works seed=5", "works seed=3", "works seed=1", "heatmap seed=1"]
    code, out, err = lab.usbench(folder, "sweep=ours", "plan=true", "seed=7", "model=works")
    assert code == 0 and "1 of 2 combinations would be run" in out, out + err


@pytest.mark.process
@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (("-m", "grids=[3]"), "grids: expected a list of {key: values}, got [3]"),
        (("-m", "grids={seed:1}"), "grids: expected a list of {key: values}"),
        (("grids=[{seed:1}]",), "grids: expected a sweep's file, sweep=NAME, got a single run"),
    ],
)
def test_wrong_grids_start_nothing(tmp_path, overrides, says):
    folder = lab.make(tmp_path)
    code, out, err = lab.usbench(folder, *overrides, "model=works")
    assert code == 2 and says in err + out and "Traceback" not in err
    assert not (folder / "results").exists()


@pytest.mark.process
def test_a_configuration_may_refer_to_the_seed(tmp_path):
    folder = lab.make(tmp_path)
    overrides = ("-m", "model=works", "seed=1,2", "++model.recipes.quick.epochs=${seed}")
    code, _, err = lab.usbench(folder, *overrides)
    assert code == 0, err
    assert {
        key: r["config"]["model"]["recipe"]["epochs"] for key, r in read_results(folder).items()
    } == {
        ("works", 1): 1,
        ("works", 2): 2,
    }


@pytest.mark.process
def test_status_says_how_far_a_sweep_is(swept, tmp_path, capsys):
    folder, _ = swept
    assert lab.usbench(folder, "-m", "model=works,heatmap", "seed=0,1,5", "plan=true")[0] == 0
    report = tmp_path / "status.json"
    assert status.main(["--runs", str(folder / "runs"), "--json", str(report)]) == 0
    out = capsys.readouterr().out
    assert "6 runs: 2 done, 1 missing, 3 skipped" in out and "the model does landmark" in " ".join(
        out.split()
    )
    states = {line["name"]: line["state"] for line in json.loads(report.read_text())}
    assert (states["works seed=0"], states["works seed=5"], states["heatmap seed=1"]) == (
        "done",
        "missing",
        "skipped",
    )


def test_status_without_a_sweep_is_one_line(tmp_path, capsys):
    assert status.main(["--runs", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert "expected the plan of a sweep, found none" in err and len(err.splitlines()) == 1


@pytest.mark.process
@pytest.mark.parametrize(
    "overrides", [("model=works", "seed=0"), ("-m", "model=works", "seed=0,1")]
)
def test_what_a_process_left_that_was_killed_after_publishing_goes(swept, overrides):
    folder, _ = swept
    path = next((folder / "results").rglob("works-s0-*.json"))
    second = path.with_name(f".{path.name}.0123456789ab.part")
    second.hardlink_to(path)
    writing = path.with_name(f".{path.name}.ba9876543210.part")
    writing.write_text("somebody else's, who is at it")
    lock_file = folder / "runs" / f"{path.stem.rsplit('-', 1)[1]}.lock"
    lock_file.write_text('{"token": "dead", "lease_s": 1}')
    os.utime(lock_file, (1, 1))
    assert lab.usbench(folder, *overrides)[0] == 0
    assert not second.exists() and not lock_file.exists() and writing.exists() and path.exists()
    writing.unlink()
