"""scripts/explain.py: the same predictions under every rule, from a record's file or its key; nothing is changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from finished import finish

from scripts import explain
from usbench import cell, results
from usbench.metrics import boxes, overlap


@pytest.mark.parametrize(("dataset", "task", "rules"), [
    ("usgra", "segment", set(overlap.RULES)), ("usgra", "detect", set(boxes.RULES)), ("unity", "landmark", {"radial"})
])  # fmt: skip
def test_every_rule_of_the_task_is_shown(compose, tmp_path, capsys, dataset, task, rules):
    one, path = finish(compose, tmp_path, dataset, task)
    before = {file: file.read_bytes() for file in Path(one["results"]).rglob("*.*")}
    assert explain.main([str(path), "--runs", one["runs"], "--json", str(tmp_path / "out.json")]) == 0
    told = capsys.readouterr().out
    found = json.loads((tmp_path / "out.json").read_text())
    assert set(found["rules"]) == rules and all(f"{rule} 1" in told for rule in rules)
    record = results.load(path)
    assert (
        found["rules"][record["ruler"]["name"]]["scores"]["dice" if task == "segment" else record["primary"]["name"]]
        == record["scores"]["dice" if task == "segment" else record["primary"]["name"]]
    )
    assert {file: file.read_bytes() for file in Path(one["results"]).rglob("*.*")} == before


def test_a_key_names_a_result_and_a_class_its_figures(compose, tmp_path, capsys):
    one, path = finish(compose, tmp_path, "usgra", "segment")
    words = ["--results", one["results"], "--runs", one["runs"]]
    assert explain.main([one["key"], *words]) == 0
    told = capsys.readouterr().out
    assert "by the rule alone" in told and "as MONAI" in told and "vessel" in told
    assert explain.main([one["key"], *words, "--class", "nerve"]) == 0
    assert "nerve" in capsys.readouterr().out
    assert explain.main([one["key"], *words, "--class", "bone"]) == 2
    assert "--class bone: one of " in capsys.readouterr().err
    assert explain.main(["0123456789ab", *words]) == 1
    assert "found 0 such" in capsys.readouterr().err
    shutil.rmtree(cell.run_dir(one))
    assert explain.main([str(path), *words]) == 1
    assert "the run of this result was wanted here" in capsys.readouterr().err
