"""What strangers and accidents leave: null groups, names, damaged configurations and weights."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

from tests.helpers.finished import finish
from usbench.cli import predict, status
from usbench.datasets.dataset import index_release
from usbench.datasets.layouts.folders import list_files
from usbench.errors import ConfigError, DataError
from usbench.io.config import compose_alone
from usbench.results.store import load_result
from usbench.runner.child import do_run
from usbench.runner.config import read_config, write_config
from usbench.runner.groups import complete_groups
from usbench.runner.lock import lock_path, take_lock
from usbench.runner.recipes import read_recipes
from usbench.types import Record


class Records:
    """A user's layout, as far as indexing goes."""

    classes = ("a",)

    def __init__(self, **changes: object) -> None:
        self.record = Record(
            **{"id": "a", "group": "g", "image": "a.png", "label": None, **changes}
        )

    def index(self, root: Path) -> list[Record]:
        return [self.record]


@pytest.mark.parametrize(
    ("key", "value", "got"),
    [
        ("group", None, "None"),
        ("group", 7, "7"),
        ("group", "", "''"),
        ("group", "pig\x1b[1m", r"'pig\x1b[1m'"),
        ("id", None, "None"),
        ("id", "a\udcff", r"'a\udcff'"),
        ("id", "a\nb", r"'a\nb'"),
        ("image", None, "None"),
        ("label", "a\u202eb", r"'a\u202eb'"),
    ],
)
def test_a_record_has_plain_names(tmp_path, key, value, got):
    with pytest.raises(DataError) as caught:
        index_release(Records(**{key: value}), tmp_path)
    message = str(caught.value)
    assert f"the {key}: expected text without control characters, got {got};" in message
    assert "\n" not in message and message.startswith(f"{tmp_path}: record ")


@pytest.mark.parametrize("name", [b"a\xff.png", b"a\x1b[31m.png", "a\u202eb.png".encode()])
def test_file_names_are_plain(tmp_path, name):
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))).write_bytes(b"")
    expected = "expected file names in UTF-8 without control characters, got "
    with pytest.raises(DataError, match=re.escape(f"{tmp_path}: {expected}")) as caught:
        list_files(tmp_path, ".png")
    str(caught.value).encode()


# ---- a model's and a metric's YAML


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "model: expected a YAML with keys, got none"),
        (
            "name: mine\ntask: segment\n",
            "model: expected build (keys with values), recipes (keys with values) in its YAML",
        ),
        (
            "version: one\n",
            "model: expected name (text), task (text), build (keys with values), recipes (keys with "
            "values) in its YAML, got none; model.version: expected a whole number, got 'one' (",
        ),
        ("defaults: [unet, _self_]\nrecipes: null\n", "model: expected recipes (keys with values)"),
        (
            "defaults: [unet, _self_]\nrecipes: {tiny: null, quick: 3}\n",
            "model.recipes: expected tiny (keys with values) in its YAML, got none; "
            "model.recipes.quick: expected keys with values, got 3",
        ),
        ("defaults: [unet, _self_]\nbuild: null\n", "model: expected build (keys with values) in"),
        ("defaults: [unet, _self_]\nname: null\n", "model: expected name (text) in its YAML"),
        ("defaults: [unet, _self_]\nversion: one\n", "version: expected a whole number, got 'one'"),
        ("defaults: [unet, _self_]\nbf16: cpu\n", "model.bf16: expected a list, got 'cpu'"),
        ("defaults: [unet, _self_]\nbibtex: Ng\n", "model=unet: bibtex: expected BibTeX, @kind{"),
        ("defaults: [unet, _self_]\nbibtex: 5\n", "bibtex: expected entries as text, got 5"),
    ],
)
def test_a_model_has_its_parts(tmp_path, content, says):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text(content)
    with pytest.raises(ConfigError, match=re.escape(says)):
        complete_groups(compose_alone(["model=mine"], tmp_path))


SHORT = """
name: mine
task: segment
build: {_target_: usbench.models.segmenter.Segmenter, net: {_target_: lab.Net, _partial_: true}}
recipes: {quick: {size: 64, epochs: 2}}
"""


def test_a_model_s_yaml_may_be_short(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text(SHORT)
    composed = complete_groups(compose_alone(["model=mine"], tmp_path))
    model = composed["model"]
    assert (model["version"], model["pickled"], model["bf16"]) == (1, True, [])
    assert composed["metric"] == compose_alone(["model=unet"])["metric"]
    assert compose_alone(["model=mine", "+metric=segment"], tmp_path)["metric"]["extra"] == {}
    with pytest.raises(ConfigError, match=r"names no metric to replace; write \+metric=…, or add"):
        compose_alone(["model=mine", "metric=segment"], tmp_path)
    # all keys of usbench's loop that a recipe lacks, though the YAML names no table of keys
    missing = (
        r"recipes.quick: expected the keys 'batch' .*, 'lr' .*, 'weight_decay' .*, 'schedule' "
    )
    with pytest.raises(ConfigError, match=missing):
        read_recipes(model)


# ---- a finished run that is damaged


@pytest.fixture(scope="module")
def finished(compose, tmp_path_factory):
    """(configuration, result's path, folder) of a run whose predictions are drawn."""
    folder = tmp_path_factory.mktemp("finished")
    config, path = finish(compose, folder, "usgra", "segment")
    (folder / "images").mkdir()
    Image.new("L", (64, 64)).save(folder / "images" / "a.png")
    return config, path, folder


def predict_with(folder: Path, run_id: str) -> int:
    places = ["--results", f"{folder}/results", "--runs", f"{folder}/runs"]
    arguments = ["--images", f"{folder}/images", "--out", f"{folder}/out", "--device", "cpu"]
    return predict.main([run_id, *arguments, *places])


@pytest.mark.process  # torch asks ldconfig
@pytest.mark.parametrize("weights", [b"", b"damaged", b"PK\3\4 cut off", b"\x80\x02}q\x00."])
def test_damaged_weights_are_named(finished, weights, capsys):
    config, path, folder = finished
    best = config.run_dir / "best.pt"
    best.write_bytes(weights)
    assert predict_with(folder, load_result(path).run_id) == 1
    said = capsys.readouterr().err
    assert said.startswith("restore() of usbench.models.smp.SmpSegmenter failed: ")
    assert f"load {best}: " in said and "if the file is damaged, run it again" in said
    assert said.count("\n") == 1 and not (folder / "out").exists()


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        (None, b"\xff\xfe", "codec can't decode"),
        (None, b"a: [1", "while parsing"),
        (None, b"- 1\n", "expected keys with values, got list"),
        (None, b"!!python/object:os.system {}", "tag"),
        ("task", None, "key task: expected str, got None"),
        ("model", [1], "key model: expected dict, got [1]"),
        ("model", {"name": "unet"}, "key model.version: expected a value, got none"),
        ("dataset", 7, "key dataset: expected dict, got 7"),
        ("threads", "many", "key threads: expected int, got 'many'"),
        ("mine", 1, "key mine: expected a key of a run, got an unknown one"),
        ("root", 3, "expected a run's configuration"),
    ],
)
def test_a_damaged_configuration_is_named(finished, key, value, says, capsys):
    config, path, folder = finished
    whole = config.path.read_bytes()
    content = {**yaml.safe_load(whole), key: value}
    config.path.write_bytes(value if key is None else yaml.safe_dump(content).encode())
    try:
        assert predict_with(folder, load_result(path).run_id) == 2
    finally:
        config.path.write_bytes(whole)
    said = capsys.readouterr().err
    assert said.startswith(f"{config.path}: expected a run's configuration: ") and says in said
    assert said.count("\n") == 1


def test_a_configuration_is_read_back(finished, tmp_path):
    config, _, _ = finished
    write_config(config.to_mapping(), tmp_path / "config.yaml")
    assert read_config(tmp_path / "config.yaml") == config


# ---- other processes


def test_a_run_that_another_process_does_names_it(finished, capsys):
    config, _, _ = finished
    lock = take_lock(lock_path(config.run_dir))
    assert lock
    with lock:
        assert do_run(config, overwrite=True) == 1
    said = capsys.readouterr().err
    since = r"\(since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+\)"
    assert re.fullmatch(
        rf"{config.run_dir}: process {os.getpid()} on \S+ {since} is doing this run; wait for it\n",
        said,
    )


@pytest.mark.parametrize(
    "content",
    ["{", "[]", "7", "{}", '{"jobs": 3}', '{"jobs": [7]}', '{"jobs": [{"name": 1}]}', "\ud800"],
)
def test_a_damaged_plan_is_named(tmp_path, content, capsys):
    path = tmp_path / "plan.json"
    path.write_bytes(content.encode(errors="surrogatepass"))
    assert status.main(["--runs", f"{tmp_path}", "--plan", f"{path}"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"{path}: expected the plan of a sweep") and said.count("\n") == 1


def test_a_plan_with_wrong_types_is_named(tmp_path, capsys):
    path = tmp_path / "plan.json"
    run = {"dataset": 1, "task": "segment", "model": "m", "seed": 0, "run_id": "a", "results": "r"}
    job = {"name": "a", "skipped": "", "failed": "", "runs": [run]}
    path.write_text(json.dumps({"jobs": [job]}))
    assert status.main(["--runs", f"{tmp_path}", "--plan", f"{path}"]) == 1
    assert "dataset: 1 where a text was expected" in capsys.readouterr().err


@pytest.mark.process
def test_the_child_of_a_run_is_quiet_after_ctrl_c(tmp_path):
    child = subprocess.run(
        [
            sys.executable,
            "-c",
            "import builtins, runpy, sys\n"
            "load = builtins.__import__\n"
            "def interrupt(name, *rest, **options):\n"
            "    if name == 'torch' or name == 'numpy':\n"
            "        raise KeyboardInterrupt\n"
            "    return load(name, *rest, **options)\n"
            "builtins.__import__ = interrupt\n"
            "runpy.run_module('usbench.runner', run_name='__main__')",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (child.returncode, child.stderr) == (130, "")
