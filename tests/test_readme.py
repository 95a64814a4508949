"""The README is true: its examples and commands run as they stand."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.helpers.paths import ROOT

TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, flags=re.S)
EXAMPLES = {
    code.split("\n", 1)[0].removeprefix("# "): code
    for kind, code in BLOCKS
    if kind in ("yaml", "python")
}


def command(start: str) -> str:
    """The README's line that has `start`, without its comment."""
    lines = [line for kind, code in BLOCKS if kind == "bash" for line in code.splitlines()]
    return next(line for line in lines if start in line).partition("  #")[0].strip()


def shell(line: str, folder: Path, timeout: int = 600) -> subprocess.CompletedProcess[str]:
    """Run a README line with this Python."""
    line = re.sub(r"\bpython\b", sys.executable, line)
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, capture_output=True, text=True, timeout=timeout
    )


@pytest.mark.process
def test_the_examples_of_adding_something(tmp_path):
    assert set(EXAMPLES) == {
        "conf/dataset/rings.yaml",
        "conf/model/threshold.yaml",
        "threshold.py",
        "conf/model/monai_unet.yaml",
        "conf/metric/area.yaml",
        "area.py",
    }
    for name, code in EXAMPLES.items():
        path = tmp_path / "lab" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    done = shell(command("model=threshold"), tmp_path)
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "lab" / "results" / "phantom" / "rings" / "segment").glob(
        "threshold-*.json"
    )
    record = json.loads(path.read_text())
    assert record["status"] == "done" and record["scores"]["area_error"]["value"] > 0
    assert record["per_class"]["cyst"]["dice"]["value"] > 0.1  # a cyst is the darkest thing there
    assert 0 < record["scores"]["dice_by_torchmetrics"]["value"] < 1
    assert "area_error" not in record["per_class"]["cyst"]
    done = shell(command("model=monai_unet"), tmp_path)
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "lab" / "results" / "phantom" / "rings" / "segment").glob(
        "monai_unet-*.json"
    )
    record = json.loads(path.read_text())
    assert (
        record["status"] == "done"
        and record["parameters"] > 10_000
        and record["scores"]["dice"]["value"] > 0
    )


@pytest.mark.process
def test_the_main_job(tmp_path):
    """On a machine without data: a phantom, said so at start and end, and mAP50 of at least .8."""
    line = command("dataset=spinal model=yolov8").removeprefix("pip install -e . && ")
    done = shell(line, tmp_path, timeout=900)
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout.count("never compared with a published number") == 2 and "0.606" in done.stdout
    )
    (path,) = (tmp_path / "results" / "phantom" / "spinal" / "detect").glob("yolov8-*.json")
    record = json.loads(path.read_text())
    assert record["recipe"] == "quick" and record["scores"]["map50"]["value"] >= 0.8
    assert not list(tmp_path.glob("data")) and not list((tmp_path / "results").glob("spinal"))


@pytest.mark.slow
@pytest.mark.parametrize("model", ["unet", "deeplabv3"])
def test_the_main_job_s_other_models(tmp_path, model):
    done = shell(f"python -m usbench dataset=spinal model={model}", tmp_path, timeout=900)
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "results" / "phantom" / "spinal" / "segment").glob(f"{model}-*.json")
    record = json.loads(path.read_text())
    assert record["scores"]["dice"]["value"] >= 0.6 and len(record["per_class"]) == 9


@pytest.mark.process
def test_listing_and_help(tmp_path):
    listed = shell("python -m usbench list", tmp_path)
    assert listed.returncode == 0, listed.stderr
    for word in (
        "spinal",
        "usgra",
        "phantom",
        "unet",
        "deeplabv3",
        "yolov8",
        "CC BY 4.0",
        "segment",
        "detect",
    ):
        assert word in listed.stdout
    helped = shell("python -m usbench --help", tmp_path)
    assert (
        helped.returncode == 0 and "usbench dataset=spinal model=yolov8" in helped.stdout
    )
    assert not list(tmp_path.iterdir())  # neither writes anything


def test_the_order_of_the_readme():
    """Three lines and a picture, the main job, the tests, datasets, results, adding, numbers, sweeps, licence."""
    titles = re.findall(r"^## (.*)$", TEXT, flags=re.M)
    assert titles == [
        "Run it",
        "Test it",
        "Datasets",
        "Results",
        "Adding a dataset, a model, a metric",
        "How numbers are computed",
        "Sweeps and clusters",
        "Licence",
    ]


def test_every_published_row_of_a_net_is_in_the_table():
    """With its command, which names a model and its dataset, and the published number of parameters."""
    lines = TEXT.splitlines()
    for name in ("spinal", "nnus"):
        for row in yaml.safe_load((ROOT / "conf" / "dataset" / f"{name}.yaml").read_text("utf-8"))[
            "published"
        ]:
            (line,) = (line for line in lines if line.startswith(f"| {row['name']} |"))
            _, _, command_cell, counts, published, *_ = (cell.strip() for cell in line.split("|"))
            assert counts.endswith(f"/ {row['parameters']:,}"), line
            assert ("≠" in counts) == bool(row.get("why") and row["model"]), line
            score = row["scores"].get("dice") or row["scores"]["map50_95"]
            assert published.endswith(f"{score:.3f}".lstrip("0")), line
            expected = f"dataset={name} model={row['model']}`" if row["model"] else "not runnable"
            assert expected in command_cell, line


def test_every_file_that_the_readme_links_is_there():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", TEXT) if "://" not in link]
    assert links
    for link in links:
        assert (ROOT / link).exists(), link


@pytest.mark.process
@pytest.mark.skipif(shutil.which("mlflow") is None, reason="needs the mlflow command on the path")
def test_the_mlflow_line_is_one_that_mlflow_knows():
    line = command("mlflow ui").split("--")[0] + "--help"
    assert "--backend-store-uri" in shell(line, ROOT).stdout
