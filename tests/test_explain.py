"""scripts/explain.py: the same predictions under every rule, from a record's file or its key; nothing is changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from finished import finish

from scripts import explain
from usbench.leaderboard import implantability as implant
from usbench.metrics import box_protocols, mask_protocols
from usbench.results import store as results
from usbench.runner import config as cell


@pytest.mark.parametrize(("dataset", "task", "rules"), [
    ("usgra", "segment", set(mask_protocols.MASK_PROTOCOLS)), ("usgra", "detect", set(box_protocols.BOX_PROTOCOLS)), ("unity", "landmark", {"radial"})
])  # fmt: skip
def test_every_rule_of_the_task_is_shown(compose, tmp_path, capsys, dataset, task, rules):
    one, path = finish(compose, tmp_path, dataset, task)
    before = {file: file.read_bytes() for file in Path(one["results"]).rglob("*.*")}
    assert (
        explain.main([str(path), "--runs", one["runs"], "--json", str(tmp_path / "out.json")]) == 0
    )
    told = capsys.readouterr().out
    found = json.loads((tmp_path / "out.json").read_text())
    assert set(found["protocols"]) == rules and all(f"{rule} 1" in told for rule in rules)
    record = results.load(path)
    assert (
        found["protocols"][record["protocol"]["name"]]["scores"][
            "dice" if task == "segment" else record["primary"]["name"]
        ]
        == record["scores"]["dice" if task == "segment" else record["primary"]["name"]]
    )
    assert {file: file.read_bytes() for file in Path(one["results"]).rglob("*.*")} == before


def test_a_key_names_a_result_and_a_class_its_figures(compose, tmp_path, capsys):
    one, path = finish(compose, tmp_path, "usgra", "segment")
    words = ["--results", one["results"], "--runs", one["runs"]]
    assert explain.main([one["run_id"], *words]) == 0
    told = capsys.readouterr().out
    assert "by the rule alone" in told and "as MONAI" in told and "vessel" in told
    assert explain.main([one["run_id"], *words, "--class", "nerve"]) == 0
    assert "nerve" in capsys.readouterr().out
    assert explain.main([one["run_id"], *words, "--class", "bone"]) == 2
    assert "--class bone: one of " in capsys.readouterr().err
    assert explain.main(["0123456789ab", *words]) == 1
    assert "found 0 such" in capsys.readouterr().err
    shutil.rmtree(cell.run_dir(one))
    assert explain.main([str(path), *words]) == 1
    assert "the run of this result was wanted here" in capsys.readouterr().err


# ---- implantability


def measured(fps: float, load: float, on: str = "one processor", map50: float | None = 0.8) -> dict:
    cost = {"on": on, "device": "cpu", "threads": 2, "fps": fps, "load": load}
    return {"task": "detect", "scores": {"map50": {"value": map50}}, "cost": cost}


def test_implantability_by_hand():
    """A share of the fastest on the same machine; another machine's speed says nothing."""
    slow, fast, elsewhere = (
        measured(10, 0.5),
        measured(40, 0.9, map50=0.4),
        measured(1000, 0.1, "another"),
    )
    table = [slow, fast, elsewhere]
    assert implant.implantability(slow, table).score == pytest.approx(0.8 / 2 + 0.25 / 4 + 0.5 / 4)
    assert implant.implantability(fast, table).score == pytest.approx(0.4 / 2 + 1 / 4 + 0.1 / 4)
    assert implant.implantability(elsewhere, table).speed == 1
    assert implant.implantability({**slow, "cost": None}, table) is None
    assert implant.implantability(measured(10, 0.5, map50=None), table) is None


def test_implantability_is_shown_by_explain_alone(compose, tmp_path, capsys):
    one, path = finish(compose, tmp_path, "usgra", "detect")
    words = [str(path), "--runs", one["runs"], "--json", str(tmp_path / "out.json")]
    assert explain.main(words) == 0
    assert "implantability: not measured; scripts/bench_models.py" in capsys.readouterr().out
    record = results.load(path)
    cost = {
        **measured(10, 0.25)["cost"],
        "macs": 1,
        "latency_ms": {"p50": 100.0, "p95": 101.0, "n": 3},
    }
    cost |= {
        "best_batch": 1,
        "fps_best": 10.0,
        "peak_memory_mib": 1.0,
        "precision": "fp32",
        "image": [64, 64],
    }
    path.write_text(json.dumps({**record, "cost": cost}))
    assert explain.main(words) == 0
    told = capsys.readouterr().out
    assert "implantability" in told and "undefined there" in told
    found = json.loads((tmp_path / "out.json").read_text())["implantability"]
    map50 = record["scores"]["map50"]["value"]
    assert found == {
        "score": pytest.approx(map50 / 2 + 1 / 4 + 0.75 / 4),
        "map50": map50,
        "speed": 1.0,
        "load": 0.25,
    }
