"""Folders that can't be written: found before anything is trained, exit code 1, nothing left."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.runner.test_run_command import TINY, usbench
from usbench.errors import RunError
from usbench.runner import folders
from usbench.runner.config import RunConfig
from usbench.runner.resolve import resolve_config


@pytest.fixture
def config(compose, tmp_path, monkeypatch) -> RunConfig:
    """A run on a phantom."""
    monkeypatch.chdir(tmp_path)
    return resolve_config(compose("dataset=phantom", "device=cpu", "dataset.phantom.size=[32,32]"))


def put_file(place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("a file stands here")


def put_loop(place: Path) -> None:
    place.symlink_to(place)


def put_broken_link(place: Path) -> None:
    place.symlink_to("nowhere")


Prepare = Callable[[Path], object]
IN_THE_WAY: dict[str, tuple[Prepare, str, str]] = {
    "a file": (put_file, "new", "new is a file"),
    "a file above": (put_file, "new/below", "new is a file"),
    "a file at the dataset": (
        lambda place: put_file(place / "phantom"),
        "new",
        "phantom is a file",
    ),
    "a loop": (put_loop, "new", "Too many levels of symbolic links"),
    "below a loop": (put_loop, "new/below", "Too many levels of symbolic links"),
    "a broken link": (put_broken_link, "new", "new is a link to nothing"),
    "a long name": (lambda place: None, "n" * 300, "File name too long"),
}


@pytest.mark.parametrize("case", IN_THE_WAY)
@pytest.mark.parametrize("check", [folders.check_folders, folders.try_folders])
def test_what_is_in_the_way_of_results_is_named(config, tmp_path, case, check):
    prepare, name, reason = IN_THE_WAY[case]
    prepare(tmp_path / "new")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RunError, match=rf"^results: .*{re.escape(reason)}.*results=PATH"):
        check(replace(config, results=tmp_path / name))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_in_the_way_of_runs_is_named(config, tmp_path):
    put_file(tmp_path / "new")
    with pytest.raises(RunError, match=r"^runs: .*new is a file.*runs=PATH"):
        folders.check_folders(replace(config, runs=tmp_path / "new"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write a read-only folder")
@pytest.mark.parametrize("check", [folders.check_folders, folders.try_folders])
def test_a_read_only_folder_is_named(config, tmp_path, check):
    (tmp_path / "new").mkdir(mode=0o500)
    with pytest.raises(RunError, match=r"^results: .*new is read-only"):
        check(replace(config, results=tmp_path / "new" / "below"))


@pytest.mark.parametrize("refuses", ["mkdir", "write_bytes", "link"])
def test_what_only_writing_shows(config, tmp_path, monkeypatch, refuses):
    """A read-only file system, a full disk, a file system without hard links."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os if refuses == "link" else Path, refuses, refuse)
    folder = tmp_path / "new"
    with pytest.raises(RunError, match=r": Read-only file system; check the folder"):
        folders.try_folders(replace(config, results=folder))
    assert not [path for path in tmp_path.rglob(".*") if "test" in path.name]


def test_folders_that_can_be_written_are_made_and_empty(config, tmp_path):
    config = replace(config, results=tmp_path / "new")
    folders.check_folders(config)
    assert not config.results.exists()
    folders.try_folders(config)
    files = [path for path in config.results.rglob("*") if not path.is_dir()]
    assert (config.results / "phantom" / "phantom" / config.task).is_dir() and not files


@pytest.mark.process
@pytest.mark.parametrize("overrides", [(), ("plan=true",), ("-m", "seed=0,1", "plan=true")])
@pytest.mark.parametrize("prepare", [put_file, put_loop])
def test_the_command_says_so_before_it_trains(tmp_path, prepare, overrides):
    prepare(tmp_path / "results")
    code, _, err = usbench(tmp_path, *overrides, *TINY)
    assert code == 1 and err.startswith("results: expected a folder that can be written"), err
    assert len(err.strip().splitlines()) == 1 and not list(tmp_path.rglob("best.*"))
    assert (tmp_path / "results").is_file() or (tmp_path / "results").is_symlink()


@pytest.mark.process
def test_the_folder_of_an_evaluation_is_tried_before_the_training(tmp_path):
    put_file(tmp_path / "results" / "phantom" / "spinal_human")
    code, _, err = usbench(tmp_path, *TINY, "dataset=spinal", "evaluate_on=[spinal_human]")
    assert code == 1 and "spinal_human is a file" in err and not list(tmp_path.rglob("best.*")), err
