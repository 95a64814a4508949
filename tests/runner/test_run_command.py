"""The command, in real processes: what it writes, does again, survives and refuses."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TINY = (
    "recipe=tiny",
    "dataset.phantom.counts={train:8,val:4,test:4}",
    "tracking=none",
    "threads=1",
)
SHORT = 240  # seconds; a run takes about ten


def start(folder: Path, *overrides: str, **environment: str) -> subprocess.Popen[str]:
    """`python -m usbench …` in a folder."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in ("USBENCH_DATA", "MLFLOW_TRACKING_URI")
    }
    return subprocess.Popen(
        [sys.executable, "-m", "usbench", *overrides],
        cwd=folder,
        env={**clean, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def usbench(folder: Path, *overrides: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    process = start(folder, *overrides, **environment)
    out, err = process.communicate(timeout=SHORT)
    return process.returncode, out, err


def read_results(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((folder / "results").rglob("*.json"))]


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> tuple[Path, str]:
    """One finished run with the tracker on; (folder, stdout)."""
    folder = tmp_path_factory.mktemp("done")
    code, out, err = usbench(folder, *TINY, "tracking=mlflow")
    assert code == 0, err
    return folder, out


@pytest.mark.process
def test_what_a_run_leaves(done):
    folder, out = done
    (result,) = read_results(folder)
    assert result["status"] == "done" and result["data"]["phantom"] and result["recipe"] == "tiny"
    assert result["data"]["counts"] == {"train": 8, "val": 4, "test": 4}
    assert result["threads"] == 1 and result["seconds"].keys() == {"fit", "predict", "score"}
    assert (
        result["target_score"]["dice"]["value"] == 1.0
        and result["protocols"]["pooled"]["target_score"]["dice"]["value"] == 1.0
    )
    assert "cyst" in out and "target score" in out and result["run_id"] in out
    names = [
        "run ",
        "data ",
        "images ",
        "classes ",
        "model ",
        "recipe ",
        "time ",
        "class ",
        "cyst ",
    ]
    names += ["intervals ", "protocol ", "cost ", "overlays ", "result "]
    assert [out.find(f"\n{name}") for name in names] == sorted(
        out.find(f"\n{name}") for name in names
    )
    assert -1 not in [out.find(f"\n{name}") for name in names]
    assert out.splitlines()[-1].startswith("result ")  # the path comes last
    run = folder / "runs" / result["run_id"]
    names = {path.name for path in run.iterdir()}
    expected = {"best.pt", "config.yaml", "log.csv", "overlays.png"}
    assert names >= expected | {
        f"{kind}-{split}.json" for kind in ("predictions", "images") for split in ("val", "test")
    }
    predictions = folder / "runs" / result["predictions"]["file"]
    assert hashlib.sha256(predictions.read_bytes()).hexdigest() == result["predictions"]["sha256"]
    assert str(folder) not in json.dumps(result)  # no path of this machine
    (table,) = (folder / "results").rglob("*.cases.csv.gz")
    with gzip.open(table, "rt") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 2 and rows[0].keys() >= {
        "case",
        "group",
        "class",
        "tp",
        "fp",
        "fn",
        "nsd",
        "hd95_px",
    }
    assert (run / "overlays.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.process
def test_the_tracker_has_the_run(done):
    from mlflow import MlflowClient

    folder, _ = done
    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/runs/mlflow.db")
    (experiment,) = [e for e in client.search_experiments() if e.name == "usbench/phantom-segment"]
    (run,) = client.search_runs([experiment.experiment_id])
    (result,) = read_results(folder)
    assert run.info.status == "FINISHED" and run.data.params["model"] == "unet"
    assert run.data.metrics["test/dice"] == pytest.approx(result["scores"]["dice"]["value"])
    assert [m.step for m in client.get_metric_history(run.info.run_id, "val/score")] == [1, 2]
    files = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert files >= {"config.yaml", "record.json", "overlays", "cases.json"}
    assert "mlflow.parentRunId" not in run.data.tags  # it belongs to no sweep
    profiles = {
        part.dataset.name: json.loads(part.dataset.profile) for part in run.inputs.dataset_inputs
    }
    assert profiles == {
        "phantom/train": {"images": 8, "groups": 2},
        "phantom/val": {"images": 4, "groups": 1},
        "phantom/test": {"images": 4, "groups": 1},
    }


@pytest.mark.process
def test_the_same_command_again_does_nothing(done):
    folder, _ = done
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    code, out, err = usbench(folder, *TINY, "tracking=mlflow")
    assert code == 0 and "done already" in out and "overwrite=true" in out, err
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.process
def test_two_runs_of_one_command_are_identical_and_overwrite_does_it_again(done, tmp_path):
    folder, _ = done
    code, _, err = usbench(tmp_path, *TINY)
    assert code == 0, err
    (first,), (second,) = read_results(folder), read_results(tmp_path)
    assert first["run_id"] == second["run_id"] and first["predictions"] == second["predictions"]
    assert first["scores"] == second["scores"] and first["cases_sha256"] == second["cases_sha256"]
    code, out, err = usbench(tmp_path, *TINY, "overwrite=true")
    assert code == 0 and "done already" not in out, err
    assert read_results(tmp_path)[0]["predictions"] == first["predictions"]


@pytest.mark.process
def test_several_seeds(tmp_path):
    code, _, err = usbench(tmp_path, "-m", "seed=0,1", *TINY)
    assert code == 0, err
    first, second = read_results(tmp_path)
    assert (
        {first["seed"], second["seed"]} == {0, 1}
        and first["series"] == second["series"]
        and first["run_id"] != second["run_id"]
    )
    assert first["predictions"]["sha256"] != second["predictions"]["sha256"]


@pytest.mark.process
def test_a_job_that_fails_does_not_end_a_multirun(tmp_path):
    code, _, err = usbench(
        tmp_path,
        "-m",
        "model.recipes.tiny.lr=1e30,2e-3",
        *TINY,
        "model.recipes.tiny.schedule=cosine",
    )
    assert code == 1 and err.count("training loss is") == 1 and "Traceback" not in err
    assert sorted(result["status"] for result in read_results(tmp_path)) == ["done", "failed"]


@pytest.mark.process
def test_spinal_shares_nothing_and_has_the_paper_s_rules(tmp_path):
    code, out, err = usbench(tmp_path, "dataset=spinal", *TINY, "tracking=mlflow")
    assert code == 0, err
    assert out.count("synthetic (a phantom)") == 1
    assert out.count("never compared with published ones") == 1
    (result,) = read_results(tmp_path)
    rules = {"pooled", "measure", "kumar2025-cnn", "kumar2025-transformer"}
    assert result["protocols"].keys() == rules
    present = result["protocols"]["kumar2025-cnn"]["target_score"]["dice"]["value"]
    assert 0.5 < present < 1  # the mean share of classes present
    (table,) = (tmp_path / "results").rglob("*.cases.csv.gz")
    with gzip.open(table, "rt") as file:
        assert all(
            len(row["case"]) == 12 and "frame" not in row["case"] for row in csv.DictReader(file)
        )
    assert not list((tmp_path / "runs" / "mlflow-artifacts").rglob("*.png"))


# ---- killed


LONG = (*TINY, "model.recipes.tiny.epochs=40")


def wait_for(condition: Any, seconds: float = 120) -> None:
    """Until something is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    """Processes whose parent is pid, by /proc."""
    pids = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            after = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(after[1]) == pid and after[0] != "Z":
            pids.append(int(path.parent.name))
    return pids


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def epochs(folder: Path) -> list[int]:
    """Epochs in order of their being logged."""
    return [
        int(row[0])
        for path in folder.glob("runs/*/log.csv")
        for row in csv.reader(path.open())
        if row[1] == "val/score"
    ]


@pytest.fixture
def training(tmp_path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A run that has finished two epochs of forty: (the command's process, the child's pid)."""
    process = start(tmp_path, *LONG)
    try:
        wait_for(
            lambda: (
                len(list(tmp_path.glob("runs/*/checkpoint-*.pt"))) == 2
                or process.poll() is not None
            )
        )
        assert process.poll() is None
        yield process, children(process.pid)[0]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.process
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the child process in /proc")
@pytest.mark.parametrize("victim", ["child", "parent"])
def test_a_killed_run_leaves_no_orphan_and_goes_on(tmp_path, training, victim):
    process, child = training
    os.kill(child if victim == "child" else process.pid, signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    wait_for(lambda: not alive(child), 30)
    reached = epochs(tmp_path)
    assert 2 <= len(reached) < 40
    if victim == "child":
        assert process.returncode == 1 and "killed by SIGKILL" in err
        assert (
            read_results(tmp_path)[0]["status"] == "failed"
            and "SIGKILL" in read_results(tmp_path)[0]["reason"]
        )
    code, _, err = usbench(tmp_path, *LONG)
    assert code == 0, err
    assert read_results(tmp_path)[0]["status"] == "done"
    again = epochs(tmp_path)[len(reached) :]
    assert (
        again[0] in (reached[-1], reached[-1] + 1) and again[-1] == 40
    )  # from the last finished epoch


# ---- refused


@pytest.mark.process
@pytest.mark.parametrize(
    ("overrides", "code", "says"),
    [
        (("model=nonet",), 2, "nonet"),
        (("dataset=nodata",), 2, "nodata"),
        (("modle=unet",), 2, "modle"),
        (("recipe=kumar2025",), 2, "recipe=kumar2025"),
        (("metric=detect",), 2, "metric=segment"),
        (("seed=-1",), 2, "seed=-1"),
        (("fold=9",), 2, "fold=9"),
        (("precision=fp8",), 2, "fp8"),
        (("dataset=spinal", "data=nowhere"), 1, "nowhere/spinal"),
        (("dataset=usgra", "source=real"), 1, "data/usgra"),
        (("device=cuda:77",), 1, "device=cuda:77"),
    ],
)
def test_a_wrong_command_is_one_line_and_an_exit_code(tmp_path, overrides, code, says):
    got, _, err = usbench(tmp_path, *overrides)
    assert got == code and says in err
    assert len(err.strip().splitlines()) == 1 and "Traceback" not in err
    assert not (tmp_path / "results").exists()


@pytest.mark.process
def test_a_loss_that_is_not_finite_is_a_failed_row(tmp_path):
    code, _, err = usbench(
        tmp_path, *TINY, "model.recipes.tiny.lr=1e30", "model.recipes.tiny.schedule=cosine"
    )
    assert code == 1 and "training loss is" in err and len(err.strip().splitlines()) == 1
    (result,) = read_results(tmp_path)
    assert result["status"] == "failed" and "training loss is" in result["reason"]
    code, _, err = usbench(
        tmp_path,
        *TINY,
        "model.recipes.tiny.lr=1e30",
        "model.recipes.tiny.schedule=cosine",
        "debug=true",
    )
    assert code == 1 and "Traceback" in err


@pytest.mark.process
def test_a_damaged_result_is_named_and_stays(done, tmp_path):
    folder, _ = done
    (path,) = (folder / "results").rglob("*.json")
    whole = path.read_bytes()
    path.write_bytes(whole[:300])
    try:
        code, _, err = usbench(folder, *TINY)
        assert code == 1 and path.name in err and len(err.strip().splitlines()) == 1
        assert path.read_bytes() == whole[:300]
    finally:
        path.write_bytes(whole)


@pytest.mark.process
def test_a_full_disk_is_one_line_and_nothing_half_written(tmp_path):
    """A limit on a file's size stands for it: checkpoints don't fit."""
    line = f"ulimit -f 500; exec {sys.executable} -m usbench {' '.join(TINY)}"
    quoted = line.replace(
        "dataset.phantom.counts={train:8,val:4,test:4}",
        "'dataset.phantom.counts={train:8,val:4,test:4}'",
    )
    done = subprocess.run(
        ["bash", "-c", quoted], cwd=tmp_path, capture_output=True, text=True, timeout=SHORT
    )
    assert done.returncode == 1 and "best.pt" in done.stderr and "free space" in done.stderr, (
        done.stderr
    )
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.rglob("*.part")) and not list(tmp_path.rglob("*.pt"))


@pytest.mark.process
def test_help_list_and_a_configuration_error_load_no_torch(tmp_path):
    """That is what makes them answer at once."""
    for overrides, code in ((["--help"], 0), (["list"], 0), (["model=nonet"], 2)):
        script = (
            f"import sys; sys.argv = ['usbench', *{overrides!r}]\n"
            "from usbench.__main__ import main\n"
            "try: main()\n"
            "except SystemExit as end: assert (end.code or 0) == int(sys.stdin.read()), end.code\n"
            "heavy = {'torch', 'mlflow', 'ultralytics', 'torchmetrics',"
            " 'segmentation_models_pytorch', 'matplotlib'}\n"
            "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        )
        answer = subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            input=str(code),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert answer.returncode == 0, answer.stderr
