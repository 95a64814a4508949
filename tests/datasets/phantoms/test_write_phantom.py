"""usbench phantom: any dataset's phantom as a release, whole or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from usbench.cli import phantom as verb
from usbench.runner.resolve import resolve_config
from usbench.types import SPLITS

SMALL = (
    "dataset.phantom.size=[64,96]",
    "dataset.phantom.counts.train=4",
    "dataset.phantom.counts.test=2",
)
VAL = "dataset.phantom.counts.val=2"


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def phantom(tmp_path, monkeypatch, capsys) -> Command:
    """`phantom(*arguments)` → (exit code, stdout, stderr) of the verb in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("USBENCH_DATA", raising=False)

    def command(*arguments: str) -> tuple[int, str, str]:
        try:
            code = verb.main(arguments)
        except SystemExit as end:
            code = end.code or 0
        output = capsys.readouterr()
        return code, output.out, output.err

    return command


def files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_spinal_both_archives_side_by_side(tmp_path, compose, phantom):
    code, out, err = phantom(
        "dataset=spinal", *("--out", "a folder/spinal"), *SMALL, VAL, "--json", "counts.json"
    )
    assert (code, err) == (0, "")
    root = tmp_path / "a folder" / "spinal"
    each = {"train": 4, "val": 2, "test": 2}
    facts = json.loads((tmp_path / "counts.json").read_text())
    assert facts["dataset"] == "spinal" and facts["counts"] == {"segment": each, "detect": each}
    assert facts == json.loads((root / "PHANTOM.json").read_text())
    assert sorted(path.name for path in root.iterdir()) == [
        "Final dataset for object detection",
        "PHANTOM.json",
        "SegmentationDataset",
    ]
    assert len(files(root)) == 1 + 8 * 2 * 2
    masks = {path.stem for path in root.glob("SegmentationDataset/train_masks/*.png")}
    assert masks == {
        path.stem for path in root.glob("Final dataset for object detection/train/*.xml")
    }
    for split in SPLITS:  # the same image in both
        for path in (root / "SegmentationDataset" / f"{split}_images").iterdir():
            assert (
                path.read_bytes()
                == (root / "Final dataset for object detection" / split / path.name).read_bytes()
            )
    assert f"python -m usbench dataset=spinal dataset.root={root}" in out
    for model in ("unet", "yolov8"):  # and the command finds it
        config = compose(
            "dataset=spinal",
            f"model={model}",
            f"dataset.root='{root}'",
            "source=real",
            "device=cpu",
        )
        config = resolve_config(config)
        # its figures never stand beside a published one
        assert config.phantom and config.recipe == "quick"
        opened = config.open_dataset()
        assert {
            split: len(part) for split, part in opened.records.items()
        } == each and opened.root == root


def test_views_that_share_their_files_are_written_once(tmp_path, phantom):
    code, out, err = phantom("dataset=usgra", *("--out", "x"), *SMALL)
    assert (code, err) == (0, "")
    assert len(files(tmp_path / "x")) == 1 + 6 * 2
    assert (
        "/x: usgra segment, 4 train, 2 test" in out and "/x: usgra detect, 4 train, 2 test" in out
    )


def test_a_phantom_of_usgra_is_run_on_without_the_real_images_lists(tmp_path, compose, phantom):
    assert phantom("dataset=usgra", *("--out", "x"), *SMALL)[0] == 0
    config = resolve_config(compose("dataset=usgra", "dataset.root=x", "device=cpu"))
    assert config.phantom and config.dataset.leakage is None and config.root == tmp_path / "x"
    (tmp_path / "x" / "dataset" / "images" / "0001.png").write_bytes(b"another byte")
    again = resolve_config(compose("dataset=usgra", "dataset.root=x", "device=cpu"))
    assert again.run_id != config.run_id  # the files count, not what the YAML would draw


def test_one_task_alone_and_the_same_again(tmp_path, phantom):
    for name in ("one", "two"):
        assert phantom("task=detect", "dataset=spinal", *("--out", f"{name}"), *SMALL, VAL)[0] == 0
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert not (tmp_path / "one" / "SegmentationDataset").exists()
    assert phantom(*("--out", "three"), "dataset=phantom", *SMALL, VAL)[0] == 0
    assert len(files(tmp_path / "three")) == 1 + 8 * 2


def test_an_empty_folder_will_do(tmp_path, phantom):
    (tmp_path / "x").mkdir()
    assert phantom("dataset=usgra", *("--out", "x"), *SMALL)[0] == 0
    assert (tmp_path / "x" / "dataset" / "masks" / "0001.png").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("dataset=spinal", *("--out", "full")), 1, "full: expected a new or empty folder"),
        (("dataset=spinal", *("--out", "full/file")), 1, "full/file: can't be written"),
        (("dataset=spinal", *("--out", "full/file/below")), 1, "full/file/below: can't be written"),
        (("dataset=spinal", *("--out", "x"), "--json", "nowhere/c.json"), 1, "nowhere/c.json"),
        (
            ("dataset=usgra", *("--out", "x"), "+dataset.phantom.counts.val=2"),
            1,
            "expected a split of test, train, got val",
        ),
        (("dataset=spinal",), 2, "--out"),
        (("dataset=nodata", *("--out", "x")), 2, "nodata"),
        (
            ("dataset=spinal", *("--out", "x"), "task=landmark"),
            2,
            "expected all or one of segment, detect (spinal)",
        ),
        (("dataset=spinal", *("--out", "x"), "dataset.phantom.scene=moon"), 2, "'moon'"),
        (("dataset=spinal", *("--out", "x"), "dataset.phantom.counts.tset=3"), 2, "tset"),
        (("dataset=spinal", *("--out", "x"), "dataset.phantom.size=[8,8]"), 2, "size"),
        (("dataset=spinal", *("--out", "x"), "dataset.phantom.seed=abc"), 2, "seed"),
        (("dataset=spinal", *("--out", "x"), "dataset.phantom.counts.train=two"), 2, "counts"),
        (("dataset=spinal", *("--out", "x"), "nonsense"), 2, "nonsense"),
    ],
)
def test_a_wrong_command_writes_nothing(tmp_path, phantom, arguments, code, says):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("kept")
    got, _, err = phantom(*SMALL, *arguments)
    assert got == code and says in err
    assert len(err.strip().splitlines()) == 1 and "Traceback" not in err
    left = files(tmp_path)
    if code == 2 or "--json" not in arguments:  # a JSON that can't be written loses no phantom
        assert left == {"full/file": b"kept"} and [path.name for path in tmp_path.iterdir()] == [
            "full"
        ]


def test_a_folder_that_cannot_be_written(tmp_path, phantom):
    if os.geteuid() == 0:  # root may write anywhere but here
        code, _, err = phantom("dataset=usgra", *("--out", "/proc/x"), *SMALL)
    else:
        tmp_path.chmod(0o500)
        code, _, err = phantom("dataset=usgra", *("--out", f"{tmp_path}/x"), *SMALL)
        tmp_path.chmod(0o700)
    assert code == 1 and "/x: can't be written" in err and len(err.strip().splitlines()) == 1


@pytest.mark.process
def test_help(tmp_path):
    """As a user starts it."""
    done = subprocess.run(
        [sys.executable, "-m", "usbench", "phantom", "--help"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
    )
    assert (
        done.returncode == 0
        and "dataset=spinal --out DIR" in done.stdout
        and "--json FILE" in done.stdout
    )
    assert not list(tmp_path.iterdir())


def test_an_unknown_option(tmp_path, phantom):
    code, _, err = phantom(*("--out", "x"), "--nosuch")
    assert code == 2 and "--nosuch" in err and not list(tmp_path.iterdir())
