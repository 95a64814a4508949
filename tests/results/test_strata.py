"""Strata in a result: of the records' attributes, as JSON, and on its page."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.helpers.finished import finish
from usbench.datasets.config import DatasetConfig
from usbench.errors import ConfigError
from usbench.evaluate.rescore import rescore, rescore_from_cases
from usbench.leaderboard.page.result import render_result
from usbench.leaderboard.page.result_strata import describe_test
from usbench.metrics.segment_scorer import SegmentScorer
from usbench.results.result import Result
from usbench.results.schema import fault
from usbench.results.store import load_cases, load_result, save_result
from usbench.results.strata import strata_of
from usbench.types import Masks, Record

CLASSES = ["lesion"]


def scored(images: int = 24):
    """(scores, records): every other image is `old`, and its prediction is worse."""
    scorer, records = SegmentScorer(CLASSES), []
    for n in range(images):
        target, prediction = np.zeros((2, 1, 20, 20), bool)
        target[0, 4:14, 4:14] = True
        prediction[0, 4:14, 4 + n % 2 * 3 : 14 + n % 3] = True
        if n == images - 1:  # nothing is there or predicted
            target[:], prediction[:] = False, False
        scorer.update(f"c{n}", f"g{n}", Masks(target), Masks(prediction))
        kind = {"kind": "old" if n % 2 else "new"}
        records.append(Record(f"c{n}", f"g{n}", f"{n}.png", None, attributes=kind))
    return scorer.result(), records


def test_a_stratum_has_the_score_of_its_images():
    scores, records = scored()
    (strata,) = strata_of(scores, "dice", "segment", CLASSES, {}, ["kind"], records)
    for label in ("old", "new"):
        chosen = {record.id for record in records if record.attributes["kind"] == label}
        dice = []
        for row in scores.cases:
            if row["case"] in chosen and row["tp"]:
                dice.append(2 * row["tp"] / (2 * row["tp"] + row["fp"] + row["fn"]))
        figure = strata.levels[label]
        assert figure.value == pytest.approx(np.mean(dice)) and figure.n == len(dice)
        assert figure.low < figure.value < figure.high
    assert strata.images == {"new": 12, "old": 12} and strata.groups == 23
    assert strata.p == strata.p_holm < 0.01


def test_without_attributes_without_variables_and_without_a_case_table_that_suffices():
    scores, records = scored()
    assert strata_of(scores, "dice", "segment", CLASSES, {}, [], records) == ()
    assert strata_of(scores, "ece", "segment", CLASSES, {}, ["kind"], records) == ()
    kumar = SegmentScorer(CLASSES, ["kumar2025-cnn"]).result()
    assert strata_of(kumar, "dice", "segment", CLASSES, {}, ["kind"], records) == ()
    (strata,) = strata_of(scores, "dice", "segment", CLASSES, {}, ["side"], records)
    assert strata.levels == {} and strata.unlabelled == 24 and strata.p is None


def test_a_run_s_strata_are_in_its_result_and_on_its_page(compose, tmp_path):
    config, path = finish(compose, tmp_path, "busbra", "segment")
    result = load_result(path)
    assert [strata.variable for strata in result.strata] == ["pathology", "birads", "device"]
    assert Result.from_json(result.to_json()) == result and fault(result.to_json()) is None
    page = render_result(result, load_cases(path)).decode()
    assert "<h3>pathology</h3>" in page and "malignant" in page
    again, _ = rescore(result, path, config.runs)
    assert again.strata == result.strata
    older = replace(result, strata=())
    save_result(config.results, older)
    assert rescore(load_result(path), path, config.runs)[0].strata == result.strata
    assert rescore_from_cases(result, path)[0].strata == result.strata


def test_the_detection_s_strata_are_average_precisions(compose, tmp_path):
    _, path = finish(compose, tmp_path, "busbra", "detect", "dataset.strata=[pathology]")
    (strata,) = load_result(path).strata
    assert strata.score == "map50_95" and set(strata.images) == {"benign", "malignant"}


def test_what_the_page_says_of_a_test():
    scores, records = scored()
    (strata,) = strata_of(scores, "dice", "segment", CLASSES, {}, ["kind"], records)
    strata = replace(strata, p=0.0123, p_holm=0.0369, left_out=1, unlabelled=2)
    assert describe_test(strata) == (
        "p = .037 (uncorrected .012), 23 groups; 1 image left out of the test, labelled unlike most "
        "of their group; 2 images without a label"
    )
    assert describe_test(replace(strata, p_holm=0.0123)).startswith("p = .012, 23 groups")
    assert describe_test(replace(strata, p=0.0001, p_holm=0.0002)).startswith("p = .0002 (unc")
    nothing = replace(strata, p=None, p_holm=None, left_out=0, unlabelled=0, reason="no test: why")
    assert describe_test(nothing) == "no test: why"


@pytest.mark.parametrize("strata", ["view", ["view", 3], [""]])
def test_strata_that_are_no_names(compose, strata):
    node = compose("dataset=busbra")["dataset"]
    with pytest.raises(ConfigError, match="strata: expected a list of names, got"):
        DatasetConfig.from_mapping({**node, "strata": strata})
