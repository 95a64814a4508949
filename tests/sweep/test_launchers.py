"""Sweeps through Hydra's launchers: joblib, submitit on a real Slurm, Ray on two real nodes."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.helpers import clusters, lab
from tests.helpers.clusters import until
from usbench.io.cores import count_cores
from usbench.results import store as results
from usbench.runner.lock import lock_path

LONG = ("++model.recipes.quick.epochs=12", "++model.recipes.quick.seconds=0.3")


class Lab:
    """A lab's folder, and sweeps begun in it."""

    def __init__(
        self, folder: Path, *names: str, environment: dict[str, str] | None = None
    ) -> None:
        self.folder = lab.make(folder, *names)
        self.environment = {**(environment or {}), "FAKE_LOG": str(folder / "fits.txt")}

    def sweep(self, *overrides: str) -> tuple[int, str, str]:
        """Exit code, stdout, stderr of a whole one."""
        return lab.usbench(self.folder, "-m", *overrides, **self.environment)

    def begin(self, *overrides: str) -> subprocess.Popen[str]:
        """One that runs on while the test goes on, in a group of its own."""
        return subprocess.Popen(
            lab.command("-m", *overrides),
            cwd=self.folder,
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def fits(self) -> list[list[str]]:
        """Key, process and threads of every training that was begun."""
        path = self.folder / "fits.txt"
        return [line.split()[:3] for line in path.read_text().splitlines()] if path.exists() else []

    def times(self) -> Counter[str]:
        """How often the training of each key was begun."""
        return Counter(run_id for run_id, *_ in self.fits())

    def epochs(self, run_id: str) -> list[int]:
        """The epochs in a run's journal."""
        path = self.folder / "runs" / run_id / "log.csv"
        return [int(row[0]) for row in csv.reader(path.open())] if path.exists() else []

    def read_results(self) -> dict[str, dict[str, Any]]:
        """Key → record."""
        stored = [
            result.to_json()
            for result in results.load_results(self.folder / "results", phantom=True)
        ]
        assert len({result["run_id"] for result in stored}) == len(stored)
        return {result["run_id"]: result for result in stored}

    def all_done_once(self, number: int) -> None:
        """Every run is there, none was done in vain, nothing is locked any more."""
        stored = self.read_results()
        assert {result["status"] for result in stored.values()} == {"done"} and len(
            stored
        ) == number
        assert not list((self.folder / "runs").rglob("lost-*")) and not list(
            (self.folder / "runs").glob("*.lock*")
        )


def of_slurm(test: Any) -> Any:
    """The marks of a test that wants Slurm; one process has them all, and so one Slurm."""
    for mark in (pytest.mark.slurm, pytest.mark.xdist_group("slurm"), clusters.plugin("submitit")):
        test = mark(test)
    return test


def of_joblib(test: Any) -> Any:
    """The marks of a test of the one sweep by joblib."""
    return pytest.mark.xdist_group("joblib")(clusters.plugin("joblib")(test))


# ---- no launcher


@pytest.mark.process
def test_a_run_that_is_asked_to_end_is_left_to_the_next_process(tmp_path):
    """By a cluster that wants its node back: no failure."""
    here = Lab(tmp_path)
    sweep = here.begin("model=works", "seed=0,1", *LONG)
    until(lambda: here.fits() and here.epochs(here.fits()[0][0]), 120)
    run_id, process, _ = here.fits()[0]
    os.kill(int(process), signal.SIGTERM)
    out, _ = sweep.communicate(timeout=120)
    assert (
        sweep.returncode == 1
        and "2 runs: 1 done, 1 missing" in out
        and run_id not in here.read_results()
    ), out
    code, _, err = here.sweep("model=works", "seed=0,1", *LONG)
    assert code == 0, err
    here.all_done_once(2)
    assert here.times()[run_id] == 2 and here.epochs(run_id) == list(range(1, 13))


WITHOUT = """
import pkgutil
all_of = pkgutil.walk_packages
pkgutil.walk_packages = lambda *a, **k: (
    module for module in all_of(*a, **k) if "hydra_plugins" not in module.name
)
"""


@pytest.mark.process
@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("slurm", "slurm"),
        ("slurm_gpu", "slurm"),
        ("ray_cluster", "ray"),
        ("joblib", "sweep"),
        ("rayon", None),
    ],
)
def test_a_plugin_that_is_not_installed_is_named_with_its_extra(tmp_path, name, extra):
    (tmp_path / "sitecustomize.py").write_text(WITHOUT)  # Hydra finds no plugins
    here = Lab(tmp_path, environment={"PYTHONPATH": str(tmp_path)})
    code, _, err = here.sweep("model=works", f"hydra/launcher={name}")
    assert (
        code == 2
        and (f"pip install 'usbench[{extra}]'" in err) == (extra is not None)
        and name[:3] in err
    )


# ---- joblib


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> tuple[Lab, int, str]:
    """Two at once, some of which break; (lab, exit code, stdout)."""
    here = Lab(tmp_path_factory.mktemp("joblib"), "segfaults", "killed", "exits", "works")
    code, out, _ = here.sweep(
        "model=segfaults,killed,exits,works",
        "hydra/launcher=joblib",
        "hydra.launcher.n_jobs=2",
        "seed=0,1",
    )
    return here, code, out


@pytest.mark.process
@of_joblib
def test_joblib_does_the_others_when_cells_break(packed):
    here, code, out = packed
    states = Counter((result["model"], result["status"]) for result in here.read_results().values())
    assert states == {(name, "failed"): 2 for name in ("segfaults", "killed", "exits")} | {
        ("works", "done"): 2
    }
    assert code == 1 and "8 runs: 2 done, 6 failed" in out
    assert all(word in out for word in ("SIGSEGV", "SIGKILL", "SystemExit: 3", "retry_failed=true"))


@pytest.mark.process
@of_joblib
def test_joblib_shares_the_cores(packed):
    assert {threads for _, _, threads in packed[0].fits()} == {str(max(1, count_cores() // 2))}


@pytest.mark.process
@clusters.plugin("joblib")
@pytest.mark.skipif(count_cores() < 2, reason="one core can't be shared")
def test_a_cell_goes_on_with_the_threads_that_it_began_with(tmp_path):
    here = Lab(tmp_path)
    first = here.begin(
        "seed=0",
        "model=works",
        "hydra/launcher=joblib",
        f"hydra.launcher.n_jobs={count_cores()}",
        *LONG,
    )
    until(lambda: here.fits() and here.epochs(here.fits()[0][0]), 120)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    first.communicate()
    code, _, err = here.sweep("seed=0,1", "model=works", *LONG)
    assert code == 0, err
    here.all_done_once(2)
    run_id = here.fits()[0][0]
    assert [(run == run_id, threads) for run, _, threads in here.fits()] == [
        (True, "1"),
        (True, "1"),
        (False, str(count_cores())),
    ]
    assert here.epochs(run_id) == list(range(1, 13))


# ---- Slurm


SLURM = ("model=works", "hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1")


@pytest.fixture(scope="module")
def slurm() -> Iterator[clusters.Cluster]:
    """Slurm, on this host."""
    if reason := clusters.slurm_is_missing():
        pytest.skip(reason)
    with clusters.slurm() as made:
        yield made


def running(made: clusters.Cluster, number: int) -> list[str]:
    """The ids of that many running jobs of Slurm."""
    until(
        lambda: len(made.ask("squeue", "-h", "-t", "R", "-o", "%i").split()) == number,
        60,
        made.told,
    )
    return made.ask("squeue", "-h", "-t", "R", "-o", "%i").split()


@of_slurm
def test_slurm_runs_a_sweep_and_a_cancelled_job_is_made_up_for(tmp_path, slurm):
    here = Lab(tmp_path, environment=slurm.environment)
    overrides = (*SLURM, "seed=0,1,2", *LONG)
    first = here.begin(*overrides)
    until(
        lambda: len(here.fits()) == 3 and all(here.epochs(run_id) for run_id, *_ in here.fits()),
        120,
        slurm.told,
    )
    slurm.ask("scancel", running(slurm, 3)[0])
    out, _ = first.communicate(timeout=120)
    assert (
        first.returncode == 1
        and "3 runs: 2 done, 1 missing" in out
        and "3 runs go to the cluster" in out
    ), out
    assert len(here.read_results()) == 2 and {threads for _, _, threads in here.fits()} == {"1"}
    code, out, err = here.sweep(*overrides)
    assert code == 0 and "3 runs: 3 done" in out and "1 runs go to the cluster" in out, err
    here.all_done_once(3)
    assert sorted(here.times().values()) == [1, 1, 2]
    assert all(here.epochs(run_id) == list(range(1, 13)) for run_id in here.times())


@pytest.mark.slow
@of_slurm
def test_a_job_that_slurm_takes_off_comes_back_and_goes_on(tmp_path, slurm):
    here = Lab(tmp_path, environment=slurm.environment)
    sweep = here.begin(*SLURM, "seed=0,1", *LONG)
    until(
        lambda: len(here.fits()) == 2 and all(here.epochs(run_id) for run_id, *_ in here.fits()),
        120,
        slurm.told,
    )
    job = running(slurm, 2)[0]
    slurm.ask("scancel", "--signal=USR2", job)  # what it sends before the end of a job's time

    def back() -> bool:
        """Whether it is there again, which Slurm puts off by two minutes."""
        slurm.ask("scontrol", "update", f"JobId={job}", "StartTime=now")
        return len(here.fits()) == 3

    until(back, 200, slurm.told)
    out, _ = sweep.communicate(timeout=120)
    assert sweep.returncode == 0 and "2 runs: 2 done" in out, out + slurm.told()
    here.all_done_once(2)
    assert sorted(here.times().values()) == [1, 2]
    assert all(here.epochs(run_id) == list(range(1, 13)) for run_id in here.times())


@of_slurm
def test_a_cell_whose_node_died_is_waited_for_until_its_lease_is_over(tmp_path, slurm):
    here = Lab(tmp_path, environment=slurm.environment)
    assert here.sweep(*SLURM, "seed=0", "plan=true")[0] == 0
    (plan,) = (tmp_path / "runs" / "sweep").glob("plan-*.json")
    run_id = json.loads(plan.read_text())["jobs"][0]["runs"][0]["run_id"]
    path = lock_path(tmp_path / "runs" / run_id)
    sweep = here.begin(*SLURM, "seed=0")
    until((tmp_path / "runs" / "sweep" / f"{run_id}.yaml").exists, 120)
    said = {
        "token": "ab" * 16,
        "host": "node7",
        "space": "elsewhere",
        "pid": 1,
        "started": 0.0,
        "lease_s": 15,
    }
    path.write_text(json.dumps(said))
    out, _ = sweep.communicate(timeout=120)
    assert sweep.returncode == 0 and "1 done" in out, out + slurm.told()
    here.all_done_once(1)


@pytest.mark.process
@clusters.plugin("submitit")
def test_without_slurm_a_plan_is_shown_and_a_sweep_says_what_is_missing(tmp_path):
    here = Lab(tmp_path, environment={"PATH": str(tmp_path)})
    code, out, err = here.sweep(*SLURM, "seed=0,1", "plan=true")
    assert code == 0 and "2 of 2 combinations would be run, 2 at once" in out, err
    code, out, err = here.sweep(*SLURM, "seed=0,1")
    assert code == 1 and "srun" in err and "2 missing" in out and "Traceback" not in err


# ---- Ray


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory) -> Iterator[Lab]:
    """A lab whose runs run on Ray, with two nodes on this host."""
    folder = tmp_path_factory.mktemp("ray")
    with clusters.ray({"FAKE_LOG": str(folder / "fits.txt")}) as made:
        yield Lab(folder, environment=made.environment)


@pytest.mark.ray
@pytest.mark.slow
@clusters.plugin("ray")
def test_ray_does_the_cells_of_a_node_that_was_killed_on_another(two_nodes):
    here = two_nodes
    sweep = here.begin(
        "model=works",
        "seed=0,1,2",
        "hydra/launcher=ray_cluster",
        "hydra.launcher.ray.remote.num_cpus=1",
        *LONG,
    )

    def there() -> list[str]:
        """Keys begun on the second node."""
        return [
            run_id
            for run_id, process, _ in here.fits()
            if psutil.pid_exists(int(process))
            and clusters.NODE in psutil.Process(int(process)).environ()
        ]

    until(lambda: any(here.epochs(run_id) for run_id in there()), 120)
    (lost,) = there()
    clusters.kill({clusters.MARK: here.environment[clusters.MARK], clusters.NODE: "2"})
    out, _ = sweep.communicate(timeout=240)
    assert sweep.returncode == 0 and "3 runs: 3 done" in out, out
    here.all_done_once(3)
    assert here.times() == Counter({run_id: 1 + (run_id == lost) for run_id in here.read_results()})
    assert all(here.epochs(run_id) == list(range(1, 13)) for run_id in here.times())
