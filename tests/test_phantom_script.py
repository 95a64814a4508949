"""scripts/phantom.py: any dataset's phantom as a release, whole or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from usbench import cell
from usbench.types import SPLITS

SCRIPT = Path(__file__).parent.parent / "scripts" / "phantom.py"
SMALL = ("dataset.phantom.size=[64,96]", "dataset.phantom.counts.train=4", "dataset.phantom.counts.test=2")
VAL = "dataset.phantom.counts.val=2"


def phantom(folder: Path, *words: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of the script, run in a folder."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *words], cwd=folder, capture_output=True, text=True, timeout=120
    )
    return done.returncode, done.stdout, done.stderr


def files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_spinal_both_archives_side_by_side(tmp_path, compose, monkeypatch):
    code, out, err = phantom(tmp_path, "dataset=spinal", "out=a folder/spinal", *SMALL, VAL, "--json", "counts.json")
    assert (code, err) == (0, "")
    root = tmp_path / "a folder" / "spinal"
    each = {"train": 4, "val": 2, "test": 2}
    made = json.loads((tmp_path / "counts.json").read_text())
    assert made["dataset"] == "spinal" and made["counts"] == {"segment": each, "detect": each}
    assert made == json.loads((root / "PHANTOM.json").read_text())
    assert sorted(path.name for path in root.iterdir()) == [
        "Final dataset for object detection",
        "PHANTOM.json",
        "SegmentationDataset",
    ]
    assert len(files(root)) == 1 + 8 * 2 * 2
    masks = {path.stem for path in root.glob("SegmentationDataset/train_masks/*.png")}
    assert masks == {path.stem for path in root.glob("Final dataset for object detection/train/*.xml")}
    for split in SPLITS:  # the same image in both
        for path in (root / "SegmentationDataset" / f"{split}_images").iterdir():
            assert path.read_bytes() == (root / "Final dataset for object detection" / split / path.name).read_bytes()
    assert f"python -m usbench dataset=spinal dataset.root={root}" in out
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("USBENCH_DATA", raising=False)
    for model in ("unet", "yolov8"):  # and the command finds it
        config = compose("dataset=spinal", f"model={model}", f"dataset.root='{root}'", "source=real", "device=cpu")
        opened = cell.open_dataset(cell.resolve(config))
        assert {split: len(part) for split, part in opened.records.items()} == each and opened.root == root


def test_views_that_share_their_files_are_written_once(tmp_path):
    code, out, err = phantom(tmp_path, "dataset=usgra", "out=x", *SMALL)
    assert (code, err) == (0, "")
    assert len(files(tmp_path / "x")) == 1 + 6 * 2
    assert "x: usgra segment, 4 train, 2 test" in out and "x: usgra detect, 4 train, 2 test" in out


def test_one_task_alone_and_the_same_again(tmp_path):
    for name in ("one", "two"):
        assert phantom(tmp_path, "task=detect", "dataset=spinal", f"out={name}", *SMALL, VAL)[0] == 0
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert not (tmp_path / "one" / "SegmentationDataset").exists()
    assert phantom(tmp_path, "out=three", "dataset=phantom", *SMALL, VAL)[0] == 0
    assert len(files(tmp_path / "three")) == 1 + 8 * 2


def test_an_empty_folder_will_do(tmp_path):
    (tmp_path / "x").mkdir()
    assert phantom(tmp_path, "dataset=usgra", "out=x", *SMALL)[0] == 0
    assert (tmp_path / "x" / "dataset" / "masks" / "0001.png").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("dataset=spinal", "out=full"), 1, "full: a new or empty folder was wanted"),
        (("dataset=spinal", "out=full/file"), 1, "full/file: can't be written"),
        (("dataset=spinal", "out=full/file/below"), 1, "full/file/below: can't be written"),
        (("dataset=spinal", "out=x", "--json", "nowhere/c.json"), 1, "nowhere/c.json"),
        (("dataset=usgra", "out=x", "dataset.phantom.counts={val:2}"), 1, "masks in one of"),
        (("dataset=spinal",), 2, "out=DIR was wanted"),
        (("dataset=spinal", "out="), 2, "out=DIR was wanted"),
        (("dataset=nodata", "out=x"), 2, "nodata"),
        (("dataset=spinal", "out=x", "task=landmark"), 2, "spinal has segment, detect"),
        (("dataset=spinal", "out=x", "dataset.phantom.scene=moon"), 2, "'moon'"),
        (("dataset=spinal", "out=x", "dataset.phantom.counts.tset=3"), 2, "tset"),
        (("dataset=spinal", "out=x", "dataset.phantom.size=[8,8]"), 2, "size"),
        (("dataset=spinal", "out=x", "dataset.phantom.seed=abc"), 2, "seed"),
        (("dataset=spinal", "out=x", "dataset.phantom.counts.train=two"), 2, "counts"),
        (("dataset=spinal", "out=x", "nonsense"), 2, "nonsense"),
    ],
)
def test_a_wrong_command_writes_nothing(tmp_path, words, code, says):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("kept")
    got, _, err = phantom(tmp_path, *words, *(() if "counts" in str(words) or "size" in str(words) else SMALL))
    assert got == code and says in err, err
    assert len(err.strip().splitlines()) == 1 and "Traceback" not in err
    left = files(tmp_path)
    if code == 2 or "--json" not in words:  # a JSON that can't be written loses no phantom
        assert left == {"full/file": b"kept"} and [path.name for path in tmp_path.iterdir()] == ["full"]


def test_a_folder_that_cannot_be_written(tmp_path):
    if os.geteuid() == 0:  # root may write anywhere but here
        code, _, err = phantom(Path("/"), "dataset=usgra", "out=/proc/x", *SMALL)
    else:
        tmp_path.chmod(0o500)
        code, _, err = phantom(Path("/"), "dataset=usgra", f"out={tmp_path}/x", *SMALL)
        tmp_path.chmod(0o700)
    assert code == 1 and "/x: can't be written" in err and len(err.strip().splitlines()) == 1


def test_help(tmp_path):
    code, out, _ = phantom(tmp_path, "--help")
    assert code == 0 and "dataset=spinal out=DIR" in out and "--json FILE" in out and not list(tmp_path.iterdir())
    code, _, err = phantom(tmp_path, "out=x", "--nosuch")
    assert code == 2 and "--nosuch" in err
