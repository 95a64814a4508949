"""usbench predict: a folder of images of any size and kind; files as a run writes them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.evaluate.test_transfer import run
from usbench.cli import predict
from usbench.datasets.codecs import coco, image, label_png, unity_predictions
from usbench.results.store import load_result

MODELS = {
    "usgra-unet": ("usgra", "unet"),
    "kidney-unet": ("kidney", "unet"),
    "nnus-yolov8": ("nnus", "yolov8"),
    "unity-heatmap": ("unity", "heatmap"),
}


@pytest.fixture(scope="module", params=MODELS)
def trained(request, tmp_path_factory):
    """(result, folder of results and runs) of a tiny run."""
    dataset, model = MODELS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    arguments = [
        f"dataset={dataset}",
        f"model={model}",
        "recipe=tiny",
        "source=phantom",
        "tracking=none",
        "device=cpu",
    ]
    arguments += [
        "threads=1",
        "dataset.phantom.size=[96,128]",
        f"runs={folder}/runs",
        f"results={folder}/results",
    ]
    assert run(*arguments) == 0
    (path,) = (folder / "results" / "phantom" / dataset).glob("*/*.json")
    return load_result(path), folder


@pytest.fixture
def images(tmp_path):
    """Grey and colour, PNG and JPEG, odd sizes."""
    folder, rng = tmp_path / "in", np.random.default_rng(0)
    folder.mkdir()
    Image.fromarray(rng.integers(0, 255, (97, 131), np.uint8)).save(folder / "odd.png")
    Image.fromarray(rng.integers(0, 255, (60, 200, 3), np.uint8)).save(folder / "colour.jpg")
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(folder / "black.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


def arguments_of(result, folder: Path, *arguments: str) -> list[str]:
    return [result.run_id, *arguments, "--results", f"{folder}/results", "--runs", f"{folder}/runs"]


@pytest.mark.process
def test_everything_is_written_in_native_pixels(trained, images, tmp_path):
    result, folder = trained
    out = tmp_path / "out"
    assert (
        predict.main(
            arguments_of(
                result, folder, "--images", f"{images}", "--out", f"{out}", "--device", "cpu"
            )
        )
        == 0
    )
    listed = json.loads((out / "images.json").read_text())
    assert [(entry["file_name"], entry["height"], entry["width"]) for entry in listed] == [
        ("black.png", 64, 64), ("colour.jpg", 60, 200), ("odd.png", 97, 131),
    ]  # fmt: skip
    classes = [entry["name"] for entry in json.loads((out / "categories.json").read_text())]
    task = result.task
    assert classes == result.config["dataset"]["views"][task]["classes"]
    if task == "landmark":
        assert (
            len(
                unity_predictions.read_landmark_predictions(
                    out / "predictions.json", out / "images.json", classes
                )
            )
            == 3
        )
    else:
        assert (
            len(
                coco.read_predictions(
                    out / "predictions.json", out / "images.json", task, len(classes)
                )
            )
            == 3
        )
    for name, size in (("black", (64, 64)), ("colour", (60, 200)), ("odd", (97, 131))):
        assert image.read_size(out / "overlays" / f"{name}.jpg") == size
        if result.dataset == "usgra":
            assert (
                label_png.read_label_png(out / "masks" / f"{name}.png", len(classes)).shape == size
            )
        elif task == "segment":
            assert all(
                image.read_size(out / "masks" / label / f"{name}.png") == size for label in classes
            )
    again = tmp_path / "again"
    assert (
        predict.main(
            arguments_of(
                result, folder, "--images", f"{images}", "--out", f"{again}", "--device", "cpu"
            )
        )
        == 0
    )
    assert (again / "predictions.json").read_bytes() == (out / "predictions.json").read_bytes()


@pytest.mark.process
@pytest.mark.parametrize("trained", ["usgra-unet"], indirect=True)
def test_bad_arguments_and_images_are_one_line_and_leave_nothing(trained, images, tmp_path, capsys):
    result, folder = trained
    out, empty, full = tmp_path / "out", tmp_path / "empty", tmp_path / "full"
    empty.mkdir()
    full.mkdir()
    (full / "mine.txt").write_text("keep")
    broken = tmp_path / "broken"
    shutil.copytree(images, broken)
    (broken / "odd.png").write_bytes((broken / "odd.png").read_bytes()[:200])
    for arguments, code, says in (
        (["--images", f"{tmp_path}/none", "--out", f"{out}"], 1, "a folder of .png"),
        (["--images", f"{empty}", "--out", f"{out}"], 1, "got none"),
        (["--images", f"{images}", "--out", f"{full}"], 1, "expected a new or empty folder"),
        (["--images", f"{broken}", "--out", f"{out}"], 1, "odd.png"),
    ):
        assert predict.main(arguments_of(result, folder, *arguments)) == code
        output = capsys.readouterr().err
        assert says in output and output.strip().count("\n") == 0, output
    for arguments, says in (
        (["--out", f"{out}"], "required: --images"),
        (["--images", f"{images}", "--out", f"{out}", "output=x"], "output=x"),
    ):
        with pytest.raises(SystemExit, match="2"):
            predict.main(arguments_of(result, folder, *arguments))
        output = capsys.readouterr().err
        assert says in output and output.strip().count("\n") == 0, output
    assert (
        not out.exists()
        and (full / "mine.txt").read_text() == "keep"
        and not list(tmp_path.glob(".*"))
    )
    shutil.rmtree(folder / "runs" / result.run_id)
    assert (
        predict.main(arguments_of(result, folder, "--images", f"{images}", "--out", f"{out}")) == 1
    )
    assert "no run of this result found" in capsys.readouterr().err
