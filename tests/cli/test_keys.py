"""usbench keys: every key that counts, with its value or default and its meaning."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helpers.paths import ROOT
from usbench.cli.verbs import dispatch
from usbench.io.comments import read_comments, read_field_comments
from usbench.io.config import GROUPS, conf_dir

CONFIG = (conf_dir() / "config.yaml").read_text("utf-8")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch) -> Path:
    """The working directory, and a terminal of 80 columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("USBENCH_DATA", raising=False)
    return tmp_path


def keys(*arguments: str) -> dict[str, dict[str, Any]]:
    """The rows that the verb writes, by key."""
    assert dispatch(["keys", *arguments, "--json", "keys.json"]) == 0
    rows = json.loads(Path("keys.json").read_text("utf-8"))["keys"]
    assert len({row["key"] for row in rows}) == len(rows)
    return {row["key"]: row for row in rows}


def test_every_key_of_a_run_is_listed_with_a_meaning(capsys):
    rows = keys()
    expected = {*yaml.safe_load(CONFIG), *GROUPS, "dataset.root"} - {"defaults", "hydra"}
    assert rows.keys() == expected and all(row["meaning"] for row in rows.values())
    assert (rows["seed"]["value"], rows["model"]["value"]) == (0, "unet")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 60
    assert any("of weights, data order and augmentation" in line for line in lines)


def test_the_keys_of_a_model_and_a_dataset(capsys):
    rows = keys("model=unet", "dataset=usgra", "recipe=standard", "seed=3")
    assert rows["seed"]["value"] == 3
    epochs = rows["model.recipes.standard.epochs"]
    assert (epochs["value"], epochs["stated"]) == (60, True)
    assert epochs["expected"] == "a whole number of 1 or more" and epochs["meaning"]
    shuffle = rows["model.recipes.standard.shuffle"]  # which no YAML spells out
    assert (shuffle["value"], shuffle["stated"]) == (True, False)
    assert rows["model.recipes.standard.augment.rotate"]["value"] == 15
    assert rows["model.recipes.standard.augment.shear"]["value"] == 0.0
    assert "or any encoder of smp" in rows["model.build.encoder"]["meaning"]
    assert rows["dataset.split.val_share"]["value"] == 0.15
    assert rows["dataset.views.segment.classes"]["value"] == ["nerve", "vessel"]
    assert not any(key.startswith("dataset.views.detect") for key in rows)
    assert rows["metric.primary"]["value"] == "dice" and rows["metric.primary"]["meaning"]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines if line.startswith("shuffle")] == [
        ["shuffle", "(true)"]
    ]


def test_short_keys_show_what_they_set():
    rows = keys("model=unet", "recipe=tiny", "epochs=7", "loss={_target_: lab.Loss}")
    assert rows["epochs"]["value"] == rows["model.recipes.tiny.epochs"]["value"] == 7
    assert rows["model.recipes.tiny.loss"]["value"] == {"_target_": "lab.Loss"}
    assert "model.recipes.tiny.loss.ce" not in rows


def test_a_key_of_a_dataset_s_own_has_the_meaning_that_its_yaml_gives():
    assert keys("dataset=kidney")["dataset.annotator"]["meaning"].startswith("1, 2 or both")


def test_a_model_of_ones_own_lists_what_its_recipes_spell_out(tmp_path):
    (tmp_path / "model").mkdir()
    text = (conf_dir() / "model" / "unet.yaml").read_text("utf-8")
    text = re.sub(r"^recipe_keys: .*\n", "", text, flags=re.M).replace("name: unet", "name: ours")
    (tmp_path / "model" / "ours.yaml").write_text(text)
    rows = keys("model=ours", "recipe=tiny", "--config-dir", str(tmp_path))
    assert rows["model.recipes.tiny.epochs"]["expected"] == "a whole number"
    assert "model.recipes.tiny.shuffle" not in rows


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["model=unte"], "model=unte: no such model; did you mean unet?"),
        (["modl=unet"], "modl: no such key; did you mean model?"),
        (["model=unet", "recipe=long"], "recipe=long: expected one of tiny, quick, standard"),
    ],
)
def test_what_there_is_not_is_one_line(arguments, says, capsys):
    assert dispatch(["keys", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(says) and error.count("\n") == 1


def test_the_page_of_the_configuration_has_the_same_meanings():
    """conf/README.md says of each key what the comment in conf/config.yaml says."""
    page = (ROOT / "conf/README.md").read_text("utf-8")
    table = page.partition("## Keys\n")[2].partition("\n## ")[0]
    documented = dict(re.findall(r"^\| `([\w.]+)` \| .*? \| (.*) \|$", table, flags=re.M))
    for path, comment in read_comments(CONFIG).items():
        key = path.removeprefix("defaults.")
        if key != "_self_" and not path.startswith("hydra"):
            plain = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", documented[key]).replace("`", "")
            assert plain == comment, key


def test_comments_are_read_by_path():
    text = "a: 1   # one\nb:   # two\n  c: {d: 3}  # three\n  e: '#4'\n  - f: x # five\n# g: 6\n"
    assert read_comments(text) == {"a": "one", "b": "two", "b.c": "three", "b.f": "five"}


class Fields:
    """A class with two fields."""

    first: int  # of all
    second: str = "x"


def test_comments_of_fields():
    assert read_field_comments(Fields) == {"first": "of all"}
