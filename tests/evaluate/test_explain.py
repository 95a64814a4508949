"""usbench explain: the same predictions under every protocol; nothing is changed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from tests.helpers.finished import finish
from tests.results.test_store import result
from usbench.cli import explain
from usbench.leaderboard.implantability import score_implantability
from usbench.metrics import box_protocols, mask_protocols
from usbench.metrics.scores import Figure
from usbench.results.result import Cost, Latency, Result
from usbench.results.store import load_result, save_result


@pytest.mark.parametrize(
    ("dataset", "task", "names"),
    [
        ("usgra", "segment", set(mask_protocols.MASK_PROTOCOLS)),
        ("usgra", "detect", set(box_protocols.BOX_PROTOCOLS)),
        ("unity", "landmark", {"radial", "measure"}),
    ],
)
def test_every_protocol_of_the_task_is_shown(compose, tmp_path, capsys, dataset, task, names):
    config, path = finish(compose, tmp_path, dataset, task)
    before = {file: file.read_bytes() for file in config.results.rglob("*.*")}
    arguments = [str(path), "--runs", str(config.runs), "--json", str(tmp_path / "out.json")]
    assert explain.main(arguments) == 0
    printed = capsys.readouterr().out
    protocols = json.loads((tmp_path / "out.json").read_text())["protocols"]
    versions = {"coco": 2, "radial": 2}
    assert set(protocols) == names
    assert all(f"{name} {versions.get(name, 1)}" in printed for name in names)
    content = json.loads(path.read_text())
    score = "dice" if task == "segment" else content["primary"]["name"]
    first = protocols[content["protocol"]["name"]]
    assert first["scores"][score] == content["scores"][score]
    assert {file: file.read_bytes() for file in config.results.rglob("*.*")} == before


def test_a_key_names_a_result_and_a_class_its_figures(compose, tmp_path, capsys):
    config, path = finish(compose, tmp_path, "usgra", "segment")
    arguments = ["--results", str(config.results), "--runs", str(config.runs)]
    assert explain.main([config.run_id, *arguments]) == 0
    output = capsys.readouterr().out
    assert "by the protocol alone" in output and "as MONAI" in output and "vessel" in output
    assert explain.main([config.run_id, *arguments, "--class", "nerve"]) == 0
    assert "nerve" in capsys.readouterr().out
    assert explain.main([config.run_id, *arguments, "--class", "bone"]) == 2
    assert "--class bone: expected one of " in capsys.readouterr().err
    assert explain.main(["0123456789ab", *arguments]) == 1
    assert "got 0 results" in capsys.readouterr().err
    shutil.rmtree(config.run_dir)
    assert explain.main([str(path), *arguments]) == 1
    assert "no run of this result found" in capsys.readouterr().err


# ---- implantability


def measured(
    result: Result, fps: float, load: float, on: str = "a processor", map50: float | None = 0.8
) -> Result:
    """The result with a cost and mAP50."""
    protocol = replace(result.protocol, scores={"map50": Figure(map50, 1)})
    cost = Cost(1, Latency(1000 / fps), fps, "cpu", on, 2, load)
    return replace(result, task="detect", protocols=(protocol,), cost=cost)


def test_implantability_by_hand():
    """A share of the fastest on the same machine; another machine's speed says nothing."""
    plain = result()
    slow = measured(plain, 10, 0.5)
    fast = measured(plain, 40, 0.9, map50=0.4)
    elsewhere = measured(plain, 1000, 0.1, "another")
    table = [slow, fast, elsewhere]
    assert score_implantability(slow, table).score == pytest.approx(0.8 / 2 + 0.25 / 4 + 0.5 / 4)
    assert score_implantability(fast, table).score == pytest.approx(0.4 / 2 + 1 / 4 + 0.1 / 4)
    assert score_implantability(elsewhere, table).speed == 1
    assert score_implantability(replace(slow, cost=None), table) is None
    assert score_implantability(measured(plain, 10, 0.5, map50=None), table) is None


@pytest.mark.process
def test_implantability_is_shown_by_explain_alone(compose, tmp_path, capsys):
    config, path = finish(compose, tmp_path, "usgra", "detect")
    arguments = [str(path), "--runs", str(config.runs), "--json", str(tmp_path / "out.json")]
    assert explain.main(arguments) == 0
    assert "implantability: unknown, because the result states no" in capsys.readouterr().out
    plain = load_result(path)
    cost = Cost(1, Latency(100.0), 10, "cpu", "a processor", 2, 0.25)
    save_result(config.results, replace(plain, cost=cost))
    assert explain.main(arguments) == 0
    output = capsys.readouterr().out
    assert "implantability" in output and "undefined there" in output
    content = json.loads((tmp_path / "out.json").read_text())["implantability"]
    map50 = plain.scores["map50"].value
    assert content == {
        "score": pytest.approx(map50 / 2 + 1 / 4 + 0.75 / 4),
        "map50": map50,
        "speed": 1.0,
        "load": 0.25,
    }
