"""Rescoring: nothing changes without a reason, a new version does, and nothing is trained."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.finished import finish
from tests.helpers.written import TRAINABLE, with_slow
from usbench.cli import leaderboard
from usbench.errors import DataError, RunError
from usbench.evaluate.rescore import rescore, rescore_all, rescore_from_cases
from usbench.metrics import box_protocols, detect_scorer, mask_overlap, mask_protocols
from usbench.metrics.average_precision import Curve
from usbench.metrics.scores import figure_values
from usbench.results.store import encode_cases, load_cases, load_result, save_result
from usbench.runner.config import RunConfig, read_config, write_config
from usbench.types import Masks


@pytest.fixture
def run(compose, tmp_path):
    return finish(compose, tmp_path, "usgra", "segment")


@pytest.mark.process
@pytest.mark.parametrize("view", with_slow(*TRAINABLE))
def test_every_view_s_predictions_give_the_same_scores_again(view, compose, tmp_path):
    config, path = finish(compose, tmp_path, *view)
    before = load_result(path)
    result, cases = rescore(before, path, config.runs)
    assert result.to_json() == before.to_json()
    assert encode_cases(cases) == path.with_name(before.cases).read_bytes()
    figure = before.scores[before.primary.name]
    assert figure.value is not None
    if figure.low is None:
        assert figure.groups < 5  # of the smallest class
    else:
        assert figure.low <= figure.value <= figure.high


def test_a_whole_folder_is_left_as_it_was_where_nothing_changed(run):
    config, path = run
    files = {file: file.read_bytes() for file in config.results.rglob("*.*")}
    report = rescore_all(config.results, config.runs, phantom=True)
    assert (report.changed, report.unchanged, report.skipped) == ([], [path], {})
    assert {file: file.read_bytes() for file in config.results.rglob("*.*")} == files


@pytest.mark.process
def test_a_rule_of_a_new_version_is_scored_again_without_training(run, monkeypatch):
    config, path = run
    old, rule = load_result(path), mask_protocols.MASK_PROTOCOLS["usbench"]
    harsher = replace(
        rule, version=2, description="harsher", dice=lambda c: mask_overlap.dice(c) / 2
    )
    monkeypatch.setitem(mask_protocols.MASK_PROTOCOLS, "usbench", harsher)
    files = {file.name for file in config.run_dir.iterdir()}
    report = rescore_all(config.results, config.runs, phantom=True)
    new = load_result(path)
    assert report.changed == [path] and new.protocol.version == 2
    assert new.protocol.description.startswith("harsher")
    assert new.scores["dice"].value == pytest.approx(old.scores["dice"].value / 2)
    assert new.scores["iou"] == old.scores["iou"]
    assert (new.run_id, new.code) == (old.run_id, old.code) and new.scored_by.version
    assert {file.name for file in config.run_dir.iterdir()} == files


def test_a_newer_rule_is_scored_from_the_case_table_where_the_predictions_are_gone(
    run, monkeypatch
):
    config, path = run
    old = load_result(path)
    shutil.rmtree(config.run_dir)
    rule = mask_protocols.MASK_PROTOCOLS["usbench"]
    halved = replace(rule, version=2, description="halved", dice=lambda c: mask_overlap.dice(c) / 2)
    monkeypatch.setitem(mask_protocols.MASK_PROTOCOLS, "usbench", halved)
    report = rescore_all(config.results, config.runs, phantom=True)
    new = load_result(path)
    assert report.changed == [path] and new.protocol.version == 2
    assert new.protocol.description.startswith("halved")
    for name, figure in old.scores.items():
        expected = figure.value if name != "dice" else figure.value / 2
        assert new.scores[name].value == pytest.approx(expected), name
    assert new.scores["iou"].low == pytest.approx(old.scores["iou"].low)
    assert load_cases(path) and rescore_all(config.results, config.runs, True).skipped


def test_n_and_groups_come_from_the_case_table_where_the_predictions_are_gone(run):
    """A result of the same version of its protocol that states all images of the test set."""
    config, path = run
    expected = load_result(path)
    old = replace(
        expected,
        protocols=tuple(
            protocol.with_figures(
                lambda figures: {
                    name: replace(figure, n=99, groups=99) for name, figure in figures.items()
                }
            )
            for protocol in expected.protocols
        ),
    )
    cases = [{name: value or None for name, value in row.items()} for row in load_cases(path)]
    save_result(config.results, old, cases)
    shutil.rmtree(config.run_dir)
    assert rescore_all(config.results, config.runs, phantom=True).changed == [path]
    new = load_result(path)
    assert new.protocol.scores["dice"] == expected.protocol.scores["dice"]
    for name in ("dice", "nsd", "hd95_px", "empty_false_positive_rate"):
        assert new.protocol.per_class["vessel"][name] == expected.protocol.per_class["vessel"][name]


@pytest.mark.process
@pytest.mark.parametrize("since", [2, 3])
def test_average_precision_too_unless_boxes_are_matched_otherwise_now(
    compose, tmp_path, monkeypatch, since
):
    config, path = finish(compose, tmp_path, "usgra", "detect")
    old = load_result(path)
    shutil.rmtree(config.run_dir)
    curve = Curve("left", lambda values: box_protocols.COCO_CURVE.area(values) / 2)
    halved = replace(
        box_protocols.BOX_PROTOCOLS["coco"],
        version=3,
        curve=curve,
        description="halved",
        matched_since=since,
    )
    monkeypatch.setitem(box_protocols.BOX_PROTOCOLS, "coco", halved)
    all_areas = replace(halved, areas=box_protocols.AREAS[:1])
    monkeypatch.setattr(detect_scorer, "ALL_AREAS_COCO", all_areas)
    report = rescore_all(config.results, config.runs, phantom=True)
    new = load_result(path)
    if since == 3:
        assert list(report.skipped) == [path] and new == old
        return
    assert report.changed == [path] and new.protocol.version == 3
    assert new.protocol.description.startswith("halved")
    for name, figure in old.scores.items():
        is_halved = name.startswith("map50") or name == "map75"
        expected = figure.value / 2 if is_halved else figure.value
        assert new.scores[name].value == pytest.approx(expected), name
    assert new.scores["map50_95"].se == pytest.approx(old.scores["map50_95"].se / 2)
    assert load_cases(path) and new.protocol.target_score == old.protocol.target_score


def predictions(config: RunConfig) -> Path:
    return config.run_dir / "predictions-test.json"


def spoil(path: Path) -> None:
    path.write_text(path.read_text() + "\n")


@pytest.mark.process
@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (lambda config: shutil.rmtree(config.run_dir), RunError, "no run of this result found"),
        (lambda config: predictions(config).unlink(), RunError, "no stored predictions found"),
        (lambda config: spoil(predictions(config)), DataError, "was scored from, got others"),
        (lambda config: shutil.rmtree(config.root), DataError, "release of usgra|usgra release"),
        (lambda config: change_run_id(config.path), DataError, "is it a copy"),
    ],
    ids=["no run", "no predictions", "other predictions", "no data", "another run"],
)  # fmt: skip
def test_what_is_gone_or_changed_leaves_the_result_as_it_is(run, damage, error, message):
    config, path = run
    result, before = load_result(path), path.read_bytes()
    damage(config)
    with pytest.raises(error, match=message):
        rescore(result, path, config.runs)
    report = rescore_all(config.results, config.runs, phantom=True)
    assert list(report.skipped) == [path] and re.search(message, report.skipped[path])
    assert path.read_bytes() == before


def change_run_id(path: Path) -> None:
    write_config(replace(read_config(path), run_id="0123456789ab").to_mapping(), path)


def test_other_data_are_noticed(compose, tmp_path):
    """Files that were drawn and left (PHANTOM.json), as a release would lie there."""
    config, path = finish(compose, tmp_path / "first", "usgra", "segment")
    (config.root / "PHANTOM.json").write_text("{}")
    with pytest.raises(DataError, match="expected the data that the result was scored on"):
        rescore(load_result(path), path, config.runs)


@pytest.mark.process
def test_the_script_rescores_before_it_writes_the_leaderboard(run, capsys):
    config, path = run
    arguments = [
        "--results",
        str(config.results),
        "--runs",
        str(config.runs),
        "--phantom",
        "--rescore",
    ]
    assert leaderboard.main(arguments) == 0
    assert "rescored: 0 results changed, 1 unchanged, 0 skipped" in capsys.readouterr().out
    shutil.rmtree(config.run_dir)
    assert leaderboard.main(arguments) == 0
    output = capsys.readouterr()
    assert "0 unchanged, 1 skipped" in output.out and f"{path.name}: left as it is" in output.err
    assert json.loads(path.read_text())["status"] == "done"
    with pytest.raises(SystemExit):
        leaderboard.main([*arguments, "--check"])


def test_a_result_without_measurements_gets_them_from_its_stored_predictions(compose, tmp_path):
    """A run from before the dataset declared any: they come from its YAML as it is now."""
    config, path = finish(compose, tmp_path, "hc18", "segment", predict=widen)
    expected = load_result(path)
    assert [scores.name for scores in expected.protocols] == ["usbench", "pooled", "measure"]
    measures = config.metric["measures"]
    forget_measures(config, path)
    assert rescore_all(config.results, config.runs, phantom=True).changed == [path]
    new = load_result(path)
    assert new.protocols == expected.protocols and new.config["metric"]["measures"] == measures
    assert "HC prediction mm" in load_cases(path)[0]
    assert rescore_all(config.results, config.runs, phantom=True).unchanged == [path]
    shutil.rmtree(config.run_dir)  # the case table is enough
    again, _ = rescore_from_cases(new, path)
    old = figure_values(new.protocols[2].per_class["HC"])
    assert old["bias_mm"] > 0
    assert figure_values(again.protocols[2].per_class["HC"]) == pytest.approx(old)


def widen(target):
    """A prediction some px wider than the target."""
    return Masks(target.planes | np.roll(target.planes, 3, axis=2), np.ones(1, np.float32))


def forget_measures(config: RunConfig, path: Path) -> None:
    """Rewrite a run and its result as they were without declared measurements."""
    metric = {name: part for name, part in config.metric.items() if name != "measures"}
    view = replace(config.view, measures=None)
    dataset = replace(config.dataset, views={**config.dataset.views, config.task: view})
    write_config(replace(config, metric=metric, dataset=dataset).to_mapping(), config.path)
    old = load_result(path)
    content = {**old.config, "metric": metric}
    old = replace(old, config=content, protocols=old.protocols[:2])
    rows = [
        {name: value or None for name, value in row.items() if name.split()[0] not in MEASURES}
        for row in load_cases(path)
    ]
    save_result(config.results, old, rows)


MEASURES = ("HC", "BPD", "OFD")
