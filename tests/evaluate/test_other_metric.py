"""A finished run that is asked for with another metric is scored again, not trained."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from tests.helpers.finished import finish
from usbench.cli.run import find_or_run, score_again_if_possible
from usbench.errors import RunError
from usbench.evaluate.rescore import rescore_all
from usbench.results.store import load_cases, load_result
from usbench.runner.config import read_config
from usbench.runner.status import asks_for_more, run_status
from usbench.sweep.jobs import to_score_again

HERE = "tests.evaluate.test_other_metric"
ONES = {"ones": {"_target_": f"{HERE}.one", "_partial_": True}}
TWOS = {"twos": {"_target_": f"{HERE}.two", "_partial_": True}}


def one(target, prediction):
    """1, whatever was predicted."""
    return 1.0


def two(target, prediction):
    """2, whatever was predicted."""
    return 2.0


one.higher_is_better = two.higher_is_better = True


@pytest.fixture
def run(compose, tmp_path):
    return finish(compose, tmp_path, "usgra", "segment")


def with_extra(config, extra):
    return replace(config, metric={**config.metric, "extra": extra}, overrides=("metric=mine",))


def test_its_figures_are_added_without_training(run, capsys):
    config, path = run
    old, cases = load_result(path), load_cases(path)
    files = {file.name for file in config.run_dir.iterdir()}
    result = find_or_run(with_extra(config, ONES), overwrite=False)
    said = capsys.readouterr().out
    assert "nothing is trained" in said and "ones ↑" in said and str(path) in said
    new = load_result(path)
    assert new.scores["ones"].value == 1 and new.custom_scores == ("ones",)
    assert new.config["overrides"] == ["metric=mine"]
    assert result.to_json() == new.to_json()
    assert new.scores["dice"] == old.scores["dice"] and new.seconds == old.seconds
    assert load_cases(path) == cases  # a table has none of a user's figures
    assert {file.name for file in config.run_dir.iterdir()} == files
    assert "ones" in read_config(config.path).metric["extra"]
    assert rescore_all(config.results, config.runs, phantom=True).unchanged == [path]


def test_the_metric_of_the_last_command_counts_and_fewer_figures_change_nothing(run, capsys):
    config, path = run
    find_or_run(with_extra(config, ONES), overwrite=False)
    find_or_run(with_extra(config, TWOS), overwrite=False)
    assert load_result(path).custom_scores == ("twos",)
    before = path.read_bytes()
    capsys.readouterr()
    find_or_run(config, overwrite=False)
    assert "done already" in capsys.readouterr().out and path.read_bytes() == before


def test_a_sweep_does_it_too(run):
    config, _ = run
    assert not to_score_again(config, run_status(config.address))
    assert to_score_again(with_extra(config, ONES), run_status(config.address))
    find_or_run(with_extra(config, ONES), overwrite=False)
    assert not to_score_again(with_extra(config, ONES), run_status(config.address))


def test_without_the_predictions_it_says_what_to_do(run):
    config, path = run
    before = path.read_bytes()
    for file in config.run_dir.glob("predictions-test*"):
        file.unlink()
    with pytest.raises(RunError, match="only overwrite=true makes new ones"):
        find_or_run(with_extra(config, ONES), overwrite=False)
    shutil.rmtree(config.run_dir)
    with pytest.raises(RunError, match="no run of this result found"):
        find_or_run(with_extra(config, ONES), overwrite=False)
    assert path.read_bytes() == before


def test_a_sweep_goes_on_where_the_predictions_are_on_another_machine(run, capsys):
    """It ended, and the runs after that one weren't begun."""
    config, path = run
    before = path.read_bytes()
    shutil.rmtree(config.run_dir)
    score_again_if_possible(with_extra(config, ONES))
    said = capsys.readouterr().err
    assert f"{config.run_id} isn't scored by the metric that is asked for: " in said
    assert "no run of this result found" in said and path.read_bytes() == before


@pytest.mark.parametrize(
    ("asked", "scored_by", "more"),
    [
        ({"primary": "dice"}, {"primary": "dice"}, False),
        ({"primary": "iou"}, {"primary": "dice"}, True),
        ({"protocols": ["usbench"]}, {"protocols": ["usbench", "pooled"]}, True),
        ({"tolerance_px": None}, {}, False),
        ({"tolerance_px": 3}, {}, True),
        ({"tolerance_px": 0}, {}, True),
        ({"measures": {}}, {}, False),
        ({"measures": {"area": {}}}, {}, True),
        ({"extra": {}}, {"extra": ONES}, False),
        ({"extra": ONES}, {"extra": {**ONES, **TWOS}}, False),
        ({"extra": {**ONES, **TWOS}}, {"extra": ONES}, True),
        ({"extra": {"ones": TWOS["twos"]}}, {"extra": ONES}, True),
    ],
)
def test_what_is_more(asked, scored_by, more):
    assert asks_for_more(asked, scored_by) is more
