"""Somebody else's predictions on a dataset's test split: every format gives the figures that a run would get."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from finished import finish, moved

from scripts import score
from usbench.datasets import source
from usbench.datasets.codecs import label_png, yolo_txt
from usbench.errors import ConfigError, DataError
from usbench.evaluate import external
from usbench.evaluate import rescore as rescoring
from usbench.leaderboard import build as leaderboard
from usbench.results import store as results
from usbench.types import Landmarks


@pytest.fixture
def lay(compose, tmp_path):
    """`lay(dataset, task)` → (cell, record of a run, the same predictions in an outsider's format)."""

    def made(dataset: str, task: str):
        one, path = finish(compose, tmp_path / "run", dataset, task)
        there = tmp_path / "theirs"
        data = source.open_dataset(one)
        (there if task != "landmark" else tmp_path).mkdir(exist_ok=True)
        entries = {}
        for sample, record in zip(data.samples("test"), data.records["test"], strict=True):
            guess, stem = moved(sample.target), external.stem(record)
            if task == "segment":
                label_png.write_label_png(
                    there / f"{stem}.png", label_png.planes_to_index(guess.planes)
                )
            elif task == "detect":
                size = (sample.image.shape[0], sample.image.shape[1])
                yolo_txt.write_yolo_boxes(there / f"{stem}.txt", guess, data.classes, size)
                lines = (there / f"{stem}.txt").read_text().splitlines()
                (there / f"{stem}.txt").write_text("".join(f"{line} 1.0\n" for line in lines))
            else:
                entries[f"{stem}.png"] = {"labels": marks(guess, data.classes)}
        if task == "landmark":
            there = tmp_path / "theirs.json"
            there.write_text(json.dumps(entries))
        return one, results.load(path), there

    return made


def marks(guess: Landmarks, classes: tuple[str, ...]) -> dict:
    found = {}
    for name, path, value in zip(classes, guess.paths, guess.scores.tolist(), strict=True):
        x, y = (" ".join(map(repr, column)) for column in path.T.astype(float).tolist())
        found[name] = {"type": "point", "x": x, "y": y, "score": value}
    return found


def entered(one, there: Path, name: str = "our model", strict: bool = False):
    path, _, missing = external.enter(one, there, name, strict)
    return path, results.load(path), missing


@pytest.mark.parametrize(
    ("dataset", "task"), [("usgra", "segment"), ("spinal", "segment"), ("unity", "landmark")]
)
def test_the_same_predictions_score_as_the_run_s(lay, dataset, task):
    one, run, there = lay(dataset, task)
    path, row, missing = entered(one, there)
    same = [
        name for name in run["scores"] if not name.startswith(("presence_f1", "false_presence"))
    ]  # no validation here
    assert {name: row["scores"][name] for name in same} == {
        name: run["scores"][name] for name in same
    }
    assert (
        row["protocols"] == run["protocols"]
        and missing == []
        and row["seed"] is None
        and row["origin"] == "external"
    )
    assert path.name == f"our-model-{row['run_id']}.json" and row["run_id"] != run["run_id"]
    assert [r.name for r in leaderboard.rows([row], []) if r.own] == ["our-model"]
    new, _ = rescoring.rescored(row, Path(one["runs"]))
    assert new == row


def test_boxes_score_as_the_run_s_but_for_rounding(lay):
    one, run, there = lay("usgra", "detect")
    _, row, _ = entered(one, there)
    assert row["scores"]["map50"]["value"] == pytest.approx(
        run["scores"]["map50"]["value"], abs=0.02
    )


def test_a_run_s_own_folder_is_read_too_and_entering_again_changes_nothing(compose, tmp_path):
    one, record = finish(compose, tmp_path, "kidney", "segment")
    run = results.load(record)
    folder = Path(one["runs"]) / one["run_id"]
    path, row, _ = entered(one, folder)
    assert row["scores"]["dice"] == run["scores"]["dice"]
    before = {file: file.read_bytes() for file in (Path(one["runs"]) / row["run_id"]).iterdir()}
    assert entered(one, folder)[0] == path and {f: f.read_bytes() for f in before} == before
    with pytest.raises(DataError, match="classes of kidney overlap"):
        entered(one, folder.parent / "nothing-there")


def test_missing_and_unknown_predictions(lay):
    one, _, there = lay("usgra", "segment")
    first = sorted(there.iterdir())[0]
    kept = first.read_bytes()
    first.unlink()
    assert entered(one, there)[2] == [first.stem]
    with pytest.raises(DataError, match=f"a prediction of '{first.stem}' was wanted"):
        entered(one, there, strict=True)
    first.write_bytes(kept)
    (there / "other.png").write_bytes(kept)
    with pytest.raises(DataError, match=r"test split's images were wanted, found 'other'"):
        entered(one, there)
    (there / "other.png").unlink()
    label_png.write_label_png(first, np.zeros((3, 4), np.uint8))
    with pytest.raises(
        DataError, match=r"the size of its image \(96, 128\) was wanted, found \(3, 4\)"
    ):
        entered(one, there)
    assert not [path for path in Path(one["runs"]).iterdir() if path.name.startswith(".external")]


@pytest.mark.parametrize(
    ("name", "plain"), [("our model", "our-model"), ("Net (1)", "Net-1"), ("v1.2+x", "v1.2+x")]
)
def test_a_name_becomes_a_file_s(name, plain):
    assert external.slug(name) == plain


@pytest.mark.parametrize("name", ["", "…", "-", "../.."])
def test_a_name_without_letters_is_refused(name):
    with pytest.raises(ConfigError, match="letters or digits"):
        external.slug(name)


def test_the_command_enters_the_row(tmp_path, capsys, lay):
    one, _, there = lay("usgra", "segment")
    words = ["segment", "--dataset", "usgra", "--predictions", str(there), "--name", "ours"]
    where = ["--results", str(tmp_path / "results"), "--runs", str(tmp_path / "runs")]
    assert (
        score.main([*words, *where]) == 1
    )  # the phantom that such a command meets has other images
    assert "test split's images were wanted" in capsys.readouterr().err
    root = Path(one["root"])
    (tmp_path / "data").mkdir()
    (tmp_path / "data/usgra").symlink_to(root)
    (root / "PHANTOM.json").write_text("{}")
    assert (
        score.main(
            [*words, *where, "--data", str(tmp_path / "data"), "--json", str(tmp_path / "out.json")]
        )
        == 0
    )
    told = capsys.readouterr().out
    assert "all classes" in told and "result: " in told
    assert json.loads((tmp_path / "out.json").read_text())["origin"] == "external"
    with pytest.raises(SystemExit):
        score.main([*words[:-2]])
    with pytest.raises(SystemExit):
        score.main(["segment", "--truth", "x", "--predictions", "y", "--name", "z"])
