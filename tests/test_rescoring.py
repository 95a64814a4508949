"""Scoring stored predictions again: nothing changes without a reason, a new version does, and nothing is trained."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from finished import finish
from written import TRAINED

from scripts import leaderboard
from usbench.errors import DataError, RunError
from usbench.evaluate import rescore as rescoring
from usbench.metrics import box_protocols, mask_overlap, mask_protocols
from usbench.metrics.average_precision import Curve
from usbench.results import store as results
from usbench.runner import config as cell


@pytest.fixture
def run(compose, tmp_path):
    return finish(compose, tmp_path, "usgra", "segment")


@pytest.mark.parametrize("view", TRAINED, ids=["-".join(view) for view in TRAINED])
def test_every_view_s_predictions_give_the_same_scores_again(view, compose, tmp_path):
    one, path = finish(compose, tmp_path, *view)
    before, (record, cases) = (
        results.load(path),
        rescoring.rescored(results.load(path), Path(one["runs"])),
    )
    assert (
        record == before
        and results.encode_cases(cases) == path.with_name(before["cases"]).read_bytes()
    )
    figure = before["scores"][before["primary"]["name"]]
    assert figure["value"] is not None and figure["groups"] >= 5
    assert figure["low"] <= figure["value"] <= figure["high"]


def test_a_whole_folder_is_left_as_it_was_where_nothing_changed(run):
    one, path = run
    files = {file: file.read_bytes() for file in Path(one["results"]).rglob("*.*")}
    done = rescoring.rescore_all(Path(one["results"]), Path(one["runs"]), phantom=True)
    assert (done.changed, done.same, done.kept) == ([], [path], {})
    assert {file: file.read_bytes() for file in Path(one["results"]).rglob("*.*")} == files


def test_a_rule_of_a_new_version_is_scored_again_without_training(run, monkeypatch):
    one, path = run
    old, rule = results.load(path), mask_protocols.MASK_PROTOCOLS["usbench"]
    harsher = replace(
        rule, version=2, description="harsher", dice=lambda c: mask_overlap.dice(c) / 2
    )
    monkeypatch.setitem(mask_protocols.MASK_PROTOCOLS, "usbench", harsher)
    weights = {file.name for file in cell.run_dir(one).iterdir()}
    done = rescoring.rescore_all(Path(one["results"]), Path(one["runs"]), phantom=True)
    new = results.load(path)
    assert (
        done.changed == [path]
        and new["protocol"]["version"] == 2
        and new["protocol"]["description"].startswith("harsher")
    )
    assert new["scores"]["dice"]["value"] == pytest.approx(old["scores"]["dice"]["value"] / 2)
    assert (
        new["scores"]["iou"] == old["scores"]["iou"]
        and new["run_id"] == old["run_id"]
        and new["code"] == old["code"]
    )
    assert (
        new["scored_by"]["version"]
        and {file.name for file in cell.run_dir(one).iterdir()} == weights
    )


def test_a_newer_rule_is_scored_from_the_case_table_where_the_predictions_are_gone(
    run, monkeypatch
):
    one, path = run
    old = results.load(path)
    shutil.rmtree(cell.run_dir(one))
    rule = mask_protocols.MASK_PROTOCOLS["usbench"]
    halved = replace(rule, version=2, description="halved", dice=lambda c: mask_overlap.dice(c) / 2)
    monkeypatch.setitem(mask_protocols.MASK_PROTOCOLS, "usbench", halved)
    done = rescoring.rescore_all(Path(one["results"]), Path(one["runs"]), phantom=True)
    new = results.load(path)
    assert (
        done.changed == [path]
        and new["protocol"]["version"] == 2
        and new["protocol"]["description"].startswith("halved")
    )
    for name, figure in old["scores"].items():
        wanted = figure["value"] if name != "dice" else figure["value"] / 2
        assert new["scores"][name]["value"] == pytest.approx(wanted), name
    assert new["scores"]["iou"]["low"] == pytest.approx(old["scores"]["iou"]["low"])
    assert (
        results.load_cases(path)
        and rescoring.rescore_all(Path(one["results"]), Path(one["runs"]), True).kept
    )


@pytest.mark.parametrize("since", [1, 2])
def test_average_precision_too_unless_boxes_are_matched_otherwise_now(
    compose, tmp_path, monkeypatch, since
):
    one, path = finish(compose, tmp_path, "usgra", "detect")
    old = results.load(path)
    shutil.rmtree(cell.run_dir(one))
    curve = Curve("left", lambda values: box_protocols.COCO_CURVE.area(values) / 2)
    halved = replace(
        box_protocols.BOX_PROTOCOLS["coco"],
        version=2,
        curve=curve,
        description="halved",
        matched_since=since,
    )
    monkeypatch.setitem(box_protocols.BOX_PROTOCOLS, "coco", halved)
    done = rescoring.rescore_all(Path(one["results"]), Path(one["runs"]), phantom=True)
    new = results.load(path)
    if since == 2:
        assert list(done.kept) == [path] and new == old
        return
    assert (
        done.changed == [path]
        and new["protocol"]["version"] == 2
        and new["protocol"]["description"].startswith("halved")
    )
    for name, figure in old["scores"].items():
        wanted = (
            figure["value"] / 2 if name.startswith("map50") or name == "map75" else figure["value"]
        )
        assert new["scores"][name]["value"] == pytest.approx(wanted), name
    assert new["scores"]["map50_95"]["low"] == pytest.approx(old["scores"]["map50_95"]["low"] / 2)
    assert results.load_cases(path) and new["target_score"] == old["target_score"]


def spoil(path: Path) -> None:
    path.write_text(path.read_text() + "\n")


@pytest.mark.parametrize(
    ("damage", "error", "words"),
    [
        (lambda folder, one: shutil.rmtree(folder), RunError, "the run of this result was wanted here"),
        (lambda folder, one: (folder / "predictions-test.json").unlink(), RunError, "stored predictions were wanted"),
        (lambda folder, one: spoil(folder / "predictions-test.json"), DataError, "scored from were wanted, found"),
        (lambda folder, one: shutil.rmtree(one["root"]), DataError, "the release of usgra was wanted here"),
        (lambda folder, one: rekey(folder / "cell.yaml"), DataError, "is it a copy"),
    ],
    ids=["no run", "no predictions", "other predictions", "no data", "another run"],
)  # fmt: skip
def test_what_is_gone_or_changed_leaves_the_result_as_it_is(run, damage, error, words):
    one, path = run
    record, before = results.load(path), path.read_bytes()
    damage(cell.run_dir(one), one)
    with pytest.raises(error, match=words):
        rescoring.rescored(record, Path(one["runs"]))
    done = rescoring.rescore_all(Path(one["results"]), Path(one["runs"]), phantom=True)
    assert list(done.kept) == [path] and words in done.kept[path] and path.read_bytes() == before


def rekey(path: Path) -> None:
    cell.write({**cell.read(path), "run_id": "0123456789ab"}, path)


def test_other_data_are_noticed(compose, tmp_path):
    """Files that were drawn and left (PHANTOM.json), as a release would lie there."""
    one, path = finish(compose, tmp_path / "first", "usgra", "segment")
    mark = Path(one["root"]) / "PHANTOM.json"
    mark.write_text("{}")
    with pytest.raises(DataError, match="the data that the result was scored on was wanted"):
        rescoring.rescored(results.load(path), Path(one["runs"]))


def test_the_script_rescores_before_it_writes_the_board(run, capsys):
    one, path = run
    words = ["--results", one["results"], "--runs", one["runs"], "--phantom", "--rescore"]
    assert leaderboard.main(words) == 0
    assert "rescored: 0 results changed, 1 are as they were, 0 left" in capsys.readouterr().out
    shutil.rmtree(cell.run_dir(one))
    assert leaderboard.main(words) == 0
    told = capsys.readouterr()
    assert "0 are as they were, 1 left" in told.out and f"{path.name}: left as it is" in told.err
    assert json.loads(path.read_text())["status"] == "done"
    with pytest.raises(SystemExit):
        leaderboard.main([*words, "--check"])
