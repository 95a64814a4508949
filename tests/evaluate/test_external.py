"""External predictions on a dataset's test split: every format gives the scores of a run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.finished import finish, moved
from usbench.cli import leaderboard, score
from usbench.datasets.codecs import label_png, yolo_txt
from usbench.errors import ConfigError, DataError
from usbench.evaluate.external import file_name, score_external, stem_of
from usbench.evaluate.rescore import rescore
from usbench.leaderboard.build import build_rows
from usbench.results.store import load_result
from usbench.types import Landmarks


@pytest.fixture
def lay(compose, tmp_path):
    """`lay(dataset, task)` → (configuration, result, the same predictions in a usual format)."""

    def made(dataset: str, task: str):
        config, path = finish(compose, tmp_path / "run", dataset, task)
        there = tmp_path / "theirs"
        data = config.open_dataset()
        (there if task != "landmark" else tmp_path).mkdir(exist_ok=True)
        entries = {}
        for sample, record in zip(data.samples("test"), data.records["test"], strict=True):
            prediction, stem = moved(sample.target), stem_of(record)
            if task == "segment":
                label_png.write_label_png(
                    there / f"{stem}.png", label_png.planes_to_index(prediction.planes)
                )
            elif task == "detect":
                size = (sample.image.shape[0], sample.image.shape[1])
                yolo_txt.write_yolo_boxes(there / f"{stem}.txt", prediction, data.classes, size)
                lines = (there / f"{stem}.txt").read_text().splitlines()
                (there / f"{stem}.txt").write_text("".join(f"{line} 1.0\n" for line in lines))
            else:
                entries[f"{stem}.png"] = {"labels": marks(prediction, data.classes)}
        if task == "landmark":
            there = tmp_path / "theirs.json"
            there.write_text(json.dumps(entries))
        return config, load_result(path), there

    return made


def marks(prediction: Landmarks, classes: tuple[str, ...]) -> dict:
    labels = {}
    for name, path, value in zip(
        classes, prediction.paths, prediction.scores.tolist(), strict=True
    ):
        x, y = (" ".join(map(repr, column)) for column in path.T.astype(float).tolist())
        labels[name] = {"type": "point", "x": x, "y": y, "score": value}
    return labels


def enter(config, there: Path, name: str = "our model", strict: bool = False):
    """(path, result as it was saved, images without a prediction)."""
    row = score_external(config, there, name, strict)
    return row.path, load_result(row.path), row.missing


@pytest.mark.process
@pytest.mark.parametrize(
    ("dataset", "task"), [("usgra", "segment"), ("spinal", "segment"), ("unity", "landmark")]
)
def test_the_same_predictions_score_as_the_run_s(lay, dataset, task):
    config, run, there = lay(dataset, task)
    path, row, missing = enter(config, there)
    for name, figure in run.scores.items():
        if not name.startswith(("presence_f1", "false_presence")):  # no validation here
            assert row.scores[name] == figure, name
    assert row.protocols[1:] == run.protocols[1:]
    assert missing == [] and row.seed is None and row.origin == "external"
    assert path.name == f"our-model-{row.run_id}.json" and row.run_id != run.run_id
    reporting = [line.name for line in build_rows([row], []) if line.reporting]
    assert reporting == ["our-model"]
    new, _ = rescore(row, path, config.runs)
    assert new.to_json() == row.to_json()


@pytest.mark.process
def test_boxes_score_as_the_run_s_but_for_rounding(lay):
    config, run, there = lay("usgra", "detect")
    _, row, _ = enter(config, there)
    assert row.scores["map50"].value == pytest.approx(run.scores["map50"].value, abs=0.02)


@pytest.mark.process
def test_a_run_s_own_folder_is_read_too_and_entering_again_changes_nothing(compose, tmp_path):
    config, result = finish(compose, tmp_path, "kidney", "segment")
    path, row, _ = enter(config, config.run_dir)
    assert row.scores["dice"] == load_result(result).scores["dice"]
    before = {file: file.read_bytes() for file in (config.runs / row.run_id).iterdir()}
    assert enter(config, config.run_dir)[0] == path
    assert {file: file.read_bytes() for file in before} == before
    with pytest.raises(DataError, match="classes of kidney overlap"):
        enter(config, config.runs / "nothing-there")


def test_missing_and_unknown_predictions(lay):
    config, _, there = lay("usgra", "segment")
    first = sorted(there.iterdir())[0]
    content = first.read_bytes()
    first.unlink()
    assert enter(config, there)[2] == [first.stem]
    with pytest.raises(DataError, match=f"no prediction of '{first.stem}' found"):
        enter(config, there, strict=True)
    first.write_bytes(content)
    (there / "other.png").write_bytes(content)
    with pytest.raises(DataError, match=r"images to score, got 'other'"):
        enter(config, there)
    (there / "other.png").unlink()
    label_png.write_label_png(first, np.zeros((3, 4), np.uint8))
    with pytest.raises(
        DataError, match=r"expected the size of its image \(96, 128\), got \(3, 4\)"
    ):
        enter(config, there)
    assert not [path for path in config.runs.iterdir() if path.name.startswith(".external")]


@pytest.mark.parametrize(
    ("name", "plain"), [("our model", "our-model"), ("Net (1)", "Net-1"), ("v1.2+x", "v1.2+x")]
)
def test_a_name_becomes_a_file_s(name, plain):
    assert file_name(name) == plain


@pytest.mark.parametrize("name", ["", "…", "-", "../.."])
def test_a_name_without_letters_is_refused(name):
    with pytest.raises(ConfigError, match="letters or digits"):
        file_name(name)


@pytest.mark.process
def test_the_command_enters_the_row(tmp_path, capsys, lay):
    config, _, there = lay("usgra", "segment")
    arguments = [
        "--task",
        "segment",
        "--dataset",
        "usgra",
        "--predictions",
        str(there),
        "--name",
        "ours",
    ]
    where = ["--results", str(tmp_path / "results"), "--runs", str(tmp_path / "runs")]
    assert (
        score.main([*arguments, *where]) == 1
    )  # the phantom that such a command meets has other images
    assert "expected predictions of images to score" in capsys.readouterr().err
    root = config.root
    (tmp_path / "data").mkdir()
    (tmp_path / "data/usgra").symlink_to(root)
    (root / "PHANTOM.json").write_text("{}")
    assert (
        score.main(
            [
                *arguments,
                *where,
                "--data",
                str(tmp_path / "data"),
                "--json",
                str(tmp_path / "out.json"),
            ]
        )
        == 0
    )
    output = capsys.readouterr().out
    assert "all classes" in output and "result: " in output
    assert json.loads((tmp_path / "out.json").read_text())["origin"] == "external"
    with pytest.raises(SystemExit):
        score.main([*arguments[:-2]])
    with pytest.raises(SystemExit):
        score.main(["--task", "segment", "--targets", "x", "--predictions", "y", "--name", "z"])


OWN_DATASET = """
name: cysts
title: Our cysts
size: [16, 16]
released: true
views:
  segment:
    classes: [cyst]
    exclusive: true
    layout:
      _target_: usbench.datasets.layouts.index_masks.IndexMasks
      folders: {train: [train/images, train/masks], test: [test/images, test/masks]}
      group: "^(p\\\\d+)_"
split: {description: "test: its folder", val_share: 0.2}
phantom: null
licence: ours
redistribute: none
access: ask us
citation: ours
"""


@pytest.fixture
def own_dataset(tmp_path):
    """A lab's folder: conf/dataset/cysts.yaml, data/cysts of six patients, white predictions."""
    (tmp_path / "conf/dataset").mkdir(parents=True)
    (tmp_path / "conf/dataset/cysts.yaml").write_text(OWN_DATASET)
    (tmp_path / "theirs").mkdir()
    generator = np.random.default_rng(0)
    for split in ("train", "test"):
        for kind in ("images", "masks"):
            (tmp_path / "data/cysts" / split / kind).mkdir(parents=True)
        for n in range(6):
            name = f"p{n if split == 'train' else n + 6}_{split}.png"
            grey = generator.integers(0, 255, (16, 16), np.uint8)
            Image.fromarray(grey).save(tmp_path / "data/cysts" / split / "images" / name)
            index = np.zeros((16, 16), np.uint8)
            index[4:8, 4:8] = 1
            label_png.write_label_png(tmp_path / "data/cysts" / split / "masks" / name, index)
            if split == "test":  # 12 of 16 px: Dice 2·12 / (16 + 12) = 6/7
                index[4] = 0
                Image.fromarray(index * 255).save(tmp_path / "theirs" / name)
    return tmp_path


@pytest.mark.parametrize("values", [[], ["--values", "cyst=255"]])
def test_a_dataset_of_one_s_own_has_external_rows(own_dataset, capsys, values):
    folder = own_dataset
    places = [f"--{name}={folder / name}" for name in ("data", "results", "runs")]
    conf = ["--config-dir", str(folder / "conf")]
    arguments = ["--task", "segment", "--dataset", "cysts", "--name", "ours", *values]
    arguments += ["--predictions", str(folder / "theirs")]
    assert score.main([*arguments, *places, *conf]) == 0
    assert ".857" in capsys.readouterr().out
    assert leaderboard.main([*places[1:], *conf]) == 0
    text = (folder / "results/LEADERBOARD.md").read_text()
    assert "### cysts · masks" in text and "- **cysts**: Our cysts" in text
    assert "| ours | .857" in text
    page = (folder / "results/index.html").read_text()
    command = "usbench score --task segment --dataset cysts --predictions PREDICTIONS --name ours"
    assert f"{command} --config-dir DIR" in page


def test_a_dataset_may_lie_anywhere(own_dataset, tmp_path, capsys):
    root = own_dataset / "any, where"
    (own_dataset / "data/cysts").rename(root)
    places = ["--root", str(root), "--results", str(tmp_path / "r"), "--runs", str(tmp_path / "s")]
    arguments = ["--task", "segment", "--predictions", str(own_dataset / "theirs"), *places]
    named = ["--dataset", "cysts", "--name", "ours", "--config-dir", str(own_dataset / "conf")]
    assert score.main([*arguments, *named]) == 0
    assert ".857" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        score.main([*arguments[:-4], "--targets", str(root), "--classes", "cyst"])
    assert "--root goes with --dataset" in capsys.readouterr().err


def test_values_of_other_classes_than_the_dataset_s_are_refused(own_dataset, capsys):
    folder = own_dataset
    places = [f"--{name}={folder / name}" for name in ("data", "results", "runs", "config-dir")]
    places[-1] = f"--config-dir={folder / 'conf'}"
    arguments = ["--task", "segment", "--dataset", "cysts", "--name", "ours", *places]
    arguments += ["--predictions", str(folder / "theirs"), "--values", "head=255"]
    assert score.main(arguments) == 2
    assert "--values: expected each class of cysts (cyst), got head" in capsys.readouterr().err
