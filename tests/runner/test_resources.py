"""What a run of a sweep gets: threads and GPUs as the launcher says, a GPU that it sees alone."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import Any

import hydra
import pytest
from omegaconf import OmegaConf

from tests.helpers.clusters import plugin
from usbench.io.config import conf_dir
from usbench.io.cores import count_cores
from usbench.runner import machine
from usbench.runner.launch import launch_run
from usbench.runner.resolve import resolve_config
from usbench.runner.resources import (
    Resources,
    launcher_resources,
    reserve_slot,
    visible_gpus,
)

CORES = count_cores()
FAR = {"remote": True, "per_gpu": 0}
SAYS = {
    "joblib": [
        ("hydra.launcher.n_jobs=1", Resources(1, CORES)),
        ("hydra.launcher.n_jobs=-1", Resources(CORES, 1)),
        ("hydra.launcher.n_jobs=-2", Resources(max(1, CORES - 1), CORES // max(1, CORES - 1))),
        (f"hydra.launcher.n_jobs={4 * CORES}", Resources(4 * CORES, 1)),
    ],
    "slurm": [
        ("hydra.launcher.name=us", Resources(64, 8, **FAR)),
        ("hydra.launcher.cpus_per_task=3", Resources(64, 3, **FAR)),
        ("hydra.launcher.gres='shard:2,gpu:a100:2'", Resources(64, 8, gpus=2, **FAR)),
        ("hydra.launcher.gres=gpu", Resources(64, 8, gpus=1, **FAR)),
    ],
    "slurm_gpu": [("hydra.launcher.array_parallelism=5", Resources(5, 8, gpus=1, **FAR))],
    "submitit_slurm": [
        (
            "hydra.launcher.cpus_per_gpu=6 hydra.launcher.gpus_per_task=1",
            Resources(256, 6, gpus=1, **FAR),
        ),
        ("hydra.launcher.name=us", Resources(256, 1, **FAR)),
    ],
    "submitit_local": [("hydra.launcher.cpus_per_task=1", Resources(CORES, 1, **FAR))],
    "ray_cluster": [
        ("hydra.launcher.ray.remote.num_cpus=2", Resources(1, 2, **FAR)),
        ("hydra.launcher.ray.remote.num_gpus=.5", Resources(1, 4, gpus=0.5, **FAR)),
    ],
    "ray": [
        (
            "+hydra.launcher.ray.init.num_cpus=6 +hydra.launcher.ray.remote.num_cpus=2",
            Resources(3, 2, **FAR),
        )
    ],
}
OF = {"slurm": "submitit", "submitit": "submitit", "ray": "ray", "joblib": "joblib"}


@pytest.mark.skipif(bool(machine.count_gpus()), reason="for a host without GPUs")
@pytest.mark.parametrize(
    ("name", "overrides", "resources"),
    [
        pytest.param(name, overrides, resources, marks=plugin(OF[name.split("_")[0]]))
        for name, rows in SAYS.items()
        for overrides, resources in rows
    ],
)
def test_what_a_launcher_s_configuration_says(name, overrides, resources):
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        whole = hydra.compose(
            "config", [f"hydra/launcher={name}", *overrides.split()], return_hydra_config=True
        )
    assert launcher_resources(whole.hydra.launcher) == resources


def test_the_basic_launcher_gives_a_cell_everything():
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        whole = hydra.compose("config", [], return_hydra_config=True)
    assert launcher_resources(OmegaConf.to_container(whole.hydra.launcher)) == Resources(1, CORES)


def hold(numbers: list[str], each: int, answers: Any) -> None:
    """Take a slot, tell which, and keep it until killed."""
    with reserve_slot(numbers, each) as number:
        answers.send(number)
        time.sleep(600)


@pytest.fixture
def holders(tmp_path, monkeypatch) -> Iterator[Any]:
    """`take()`: (process, the end of a pipe that gives what it got of two GPUs for two runs each)."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    fork, started = get_context("fork"), []

    def take() -> tuple[Any, Any]:
        mine, its = fork.Pipe()
        started.append(fork.Process(target=hold, args=(["0", "1"], 2, its)))
        started[-1].start()
        return started[-1], mine

    yield take
    for process in started:
        process.kill()
        process.join()


def read(answers: Any) -> Any:
    assert answers.poll(60)
    return answers.recv()


@pytest.mark.process
def test_cells_are_packed_onto_gpus_the_emptiest_first(holders):
    assert [read(holders()[1]) for _ in range(4)] == ["0", "1", "0", "1"]


@pytest.mark.process
def test_a_cell_waits_for_a_gpu_and_gets_that_of_one_that_ended(holders, capfd):
    got = [(process, read(answers)) for process, answers in (holders() for _ in range(4))]
    _, waiting = holders()
    assert not waiting.poll(2)
    got[1][0].kill()
    got[1][0].join()
    assert read(waiting) == got[1][1] == "1"
    output = capfd.readouterr().out
    assert output.count("waiting for a GPU: 0, 1 run 2 each already") == 1


SEES = """
import os, time
from pathlib import Path
if "USBENCH_PARENT" in os.environ:
    folder = Path(os.environ["SEEN"])
    (folder / str(os.getpid())).write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "all"))
    end = time.monotonic() + 60
    while len(list(folder.iterdir())) < 4 and time.monotonic() < end:
        time.sleep(0.02)
"""


@pytest.mark.process
@pytest.mark.skipif(
    bool(machine.count_gpus()),
    reason="for a host without GPUs: the runs fail there at once",
)
def test_each_cell_s_process_sees_one_gpu(tmp_path, compose, monkeypatch):
    """Four processes, begun at once, report which GPUs they see; this host has none to use."""
    seen = tmp_path / "seen"
    seen.mkdir()
    (tmp_path / "sitecustomize.py").write_text(SEES)
    for name, value in {
        "PYTHONPATH": tmp_path,
        "SEEN": seen,
        "CUDA_VISIBLE_DEVICES": "3,5",
    }.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folders = (f"runs={tmp_path}/runs", f"results={tmp_path}/results")
    config = resolve_config(
        compose("dataset=phantom", "device=cpu", "tracking=none", "threads=1", *folders)
    )
    configs = [
        replace(config, device="cuda:0", seed=seed, run_id=f"{seed:012d}") for seed in range(4)
    ]
    with ThreadPoolExecutor(4) as pool:
        assert (
            list(pool.map(lambda config: launch_run(config, False, per_gpu=2), configs)) == [1] * 4
        )
    assert sorted(path.read_text() for path in seen.iterdir()) == ["3", "3", "5", "5"]


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (" 1, 3", ["1", "3"]),
        ("GPU-5c,MIG-7", ["GPU-5c", "MIG-7"]),
        ("0,-1,2", ["0"]),  # CUDA stops there
        ("0,,2", ["0"]),
        ("-1", []),
        ("", []),
    ],
)
def test_the_gpus_are_those_that_cuda_shows(visible, expected, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert visible_gpus() == expected
