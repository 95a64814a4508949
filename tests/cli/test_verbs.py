"""The command's verbs: each has help, and a word that is none is exit 2 with the nearest one."""

from __future__ import annotations

import ast
import json
import re
from importlib import import_module
from pathlib import Path

import pytest

import usbench.cli
from usbench.cli.verbs import GROUPS, MODULES, VERBS, dispatch

NOT_VERBS = {"score_work", "api", "check_folder", "__init__", "ending", "options", "run", "verbs"}


def test_every_module_with_a_command_is_a_verb():
    modules = {path.stem for path in Path(usbench.cli.__file__).parent.glob("*.py")} - NOT_VERBS
    assert modules == {MODULES.get(verb, verb) for verb in VERBS}
    assert all(hasattr(import_module(f"usbench.cli.{name}"), "main") for name in modules)
    assert sum(map(len, GROUPS.values())) == len(VERBS)  # none stands in two groups


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_has_help(verb, capsys):
    with pytest.raises(SystemExit, match="0"):
        dispatch([verb, "--help"])
    text = capsys.readouterr().out
    assert text.startswith(f"usage: usbench {verb}") and "--json FILE" in text
    assert f"    usbench {verb}" in text and "python scripts" not in text  # an example


def texts_of_the_wheel():
    """(where, text) of everything in the wheel that may reach a reader."""
    package = Path(usbench.cli.__file__).parents[1]
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield f"{path}:{node.lineno}", node.value
    page = package / "leaderboard" / "page"
    for path in (
        *page.rglob("templates/**/*.*"),
        *page.glob("assets/*.js"),
        *package.rglob("*.json"),
    ):
        yield str(path), path.read_text("utf-8")


def test_no_text_names_a_command_that_a_wheel_does_not_contain():
    outside = re.compile(r"\bscripts/|\bpytest\b|\bpython scripts\b")
    assert [where for where, text in texts_of_the_wheel() if outside.search(text)] == []


@pytest.mark.parametrize("verb", sorted(VERBS - {"list", "leaderboard", "catalogue"}))
def test_an_unknown_option_is_one_line(verb, capsys):
    with pytest.raises(SystemExit, match="2"):
        dispatch([verb, "--no-such-option"])
    error = capsys.readouterr().err
    assert error.startswith(f"usbench {verb}: ") and error.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_help_names_every_verb(arguments, capsys):
    assert dispatch(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines if line.startswith("  ")} >= VERBS
    assert len(lines) <= 40 and max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    ("word", "nearest"), [("scor", "score"), ("leader", "leaderboard"), ("lits", "list")]
)
def test_a_word_that_is_no_verb_names_the_nearest(word, nearest, capsys):
    assert dispatch([word, "--json", "x"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"{word}: expected KEY=VALUE or a verb; did you mean {nearest}?")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("train", "train: expected KEY=VALUE or a verb. See usbench --help"),
        ("dataset = phantom", "dataset =: expected KEY=VALUE without blanks around ="),
        ("dataset =phantom", "dataset =phantom: expected KEY=VALUE without blanks around ="),
        ("seed=1 --dataset phantom", "--dataset: expected no dashes; write dataset=phantom"),
        ("--dataset=phantom", "--dataset=phantom: expected no dashes; write dataset=phantom"),
    ],
)
def test_another_form_than_key_value_is_said(line, says, capsys):
    assert dispatch(line.split()) == 2
    assert capsys.readouterr().err == f"{says}\n"


def test_the_version_is_usbench_s(capsys):
    assert dispatch(["--version"]) == 0
    assert capsys.readouterr().out == f"usbench {usbench.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["dataset=phantom"],
        ["-m", "seed=0,1"],
        ["--config-dir", "conf"],
        ["+new=1"],
        ["~sweep"],
        ["dataset=phantom", "--help"],
    ],
)
def test_overrides_and_hydra_s_options_go_to_hydra(arguments):
    assert dispatch(arguments) is None


def test_list_fits_a_screen_and_knows_a_folder_of_ones_own(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    assert dispatch(["list"]) == 0
    text = capsys.readouterr().out
    assert len(text.splitlines()) <= 80 and "usgra" in text and "unet" in text
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "ours.yaml").write_text("name: ours\ntask: segment\nrecipes: {quick: {}}")
    assert (
        dispatch(["list", "--config-dir", str(tmp_path), "--json", str(tmp_path / "x.json")]) == 0
    )
    assert "ours" in capsys.readouterr().out
    models = json.loads((tmp_path / "x.json").read_text())["models"]
    assert "ours" in {model["name"] for model in models}
    monkeypatch.setenv("USBENCH_CONFIG", str(tmp_path))
    assert dispatch(["list"]) == 0 and "ours" in capsys.readouterr().out
