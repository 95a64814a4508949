"""The protocol `measure`: figures by hand, failures, units, case tables, declarations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import yaml

from tests.helpers.paths import ROOT
from tests.metrics.measures.phantoms import draw_ellipse
from usbench.errors import ConfigError
from usbench.metrics import landmark_scorer, segment_scorer
from usbench.metrics.landmark_scorer import LandmarkScorer
from usbench.metrics.measures.declared import KINDS, read_measures
from usbench.metrics.measures.measurements import MEASURE
from usbench.metrics.scores import ProtocolScores, Scores, figure_values
from usbench.metrics.segment_scorer import SegmentScorer
from usbench.results.store import encode_cell
from usbench.types import BLURRED, OFF, SEEN, Landmarks, Masks

AREA = {"area": {"kind": "area", "of": "lesion"}}
LENGTH = {"d": {"kind": "length", "of": ["top", "bottom"]}}


def rectangle(width: int, height: int = 4, known: bool = True) -> Masks:
    """One class with a rectangle of width × height px; with 0, nothing."""
    plane = np.zeros((1, 20, 40), bool)
    plane[0, 3 : 3 + height, 5 : 5 + width] = True
    return Masks(plane, known=np.array([known]))


def score_masks(measures: Mapping[str, Any], *cases: tuple[Any, ...]) -> Scores:
    """Scores of (group, target, prediction[, mm_per_px])."""
    scorer = SegmentScorer(["lesion"], measures=measures)
    for n, (group, target, prediction, *spacing) in enumerate(cases):
        mm_per_px = spacing[0] if spacing else None
        scorer.update(f"c{n}", group, target, prediction, (20, 40), mm_per_px)
    return scorer.result()


def points(*places: tuple[float, float] | int) -> Landmarks:
    """A point each, or a state."""
    paths = tuple(
        np.array([place if isinstance(place, tuple) else (0, 0)], np.float32) for place in places
    )
    states = [place if isinstance(place, int) else SEEN for place in places]
    return Landmarks(paths, np.array(states, np.int8), np.ones(len(places), np.float32))


def score_points(measures: Mapping[str, Any], names: str, *cases: tuple[Any, ...]) -> Scores:
    """As `score_masks`, of landmarks."""
    scorer = LandmarkScorer(names.split(), measures=measures)
    for n, (group, target, prediction, *spacing) in enumerate(cases):
        mm_per_px = spacing[0] if spacing else None
        scorer.update(f"c{n}", group, target, prediction, (300, 400), mm_per_px)
    return scorer.result()


def measured(scores: Scores) -> ProtocolScores:
    (protocol,) = [part for part in scores.protocols if part.name == MEASURE.name]
    return protocol


# ---- figures


def test_errors_of_an_area_by_hand():
    """40 px² of .5 × .2 mm each is 4 mm²; predicted 4.8 and 3.6 (+20 %, −10 %).

    Mean squares of rows and errors are both .36, so the ICC is 0.
    """
    spacing = (0.5, 0.2)
    cases = [
        ("g", rectangle(10), rectangle(12), spacing),
        ("h", rectangle(10), rectangle(9), spacing),
    ]
    figures = figure_values(measured(score_masks(AREA, *cases)).per_class["area"])
    sd = (0.8 + 0.4) / 2**0.5
    expected = {
        "bias_mm2": 0.2,
        "sd_mm2": sd,
        "loa_low_mm2": 0.2 - 1.96 * sd,
        "loa_high_mm2": 0.2 + 1.96 * sd,
        "icc": 0.0,
        "mae_mm2": 0.6,
        "mae_pct": 15.0,
        "bias_pct": 5.0,
        "failure_rate": 0.0,
    }
    assert figures == pytest.approx(expected, abs=1e-9)


def test_a_failure_has_no_error_but_lies_outside_the_tolerance():
    """Off by 10 %, by nothing, and failed: a third has failed, and so within 5 % is a third."""
    measures = {"area": {**AREA["area"], "tolerance": {"pct": 5, "source": "us"}}}
    cases = [
        ("g", rectangle(10), rectangle(11)),
        ("h", rectangle(10), rectangle(10)),
        ("i", rectangle(10), rectangle(0)),
    ]
    figures = measured(score_masks(measures, *cases)).per_class["area"]
    assert (figures["mae_px2"].value, figures["mae_px2"].n) == (2, 2)
    assert (figures["failure_rate"].value, figures["failure_rate"].n) == (pytest.approx(1 / 3), 3)
    assert figures["within_tolerance"].value == pytest.approx(1 / 3)


def test_a_target_without_the_class_or_of_which_nobody_knows_counts_nowhere():
    cases = [
        ("g", rectangle(10), rectangle(11)),
        ("h", rectangle(0), rectangle(11)),
        ("i", rectangle(10, known=False), rectangle(3)),
    ]
    figures = measured(score_masks(AREA, *cases)).per_class["area"]
    assert {figure.n for figure in figures.values() if figure.value is not None} == {1}


def test_images_without_a_pixel_size_are_left_out_where_others_have_one():
    known = ("g", points((0, 0), (0, 10)), points((0, 0), (0, 12)), (0.5, 9))
    unknown = ("h", points((0, 0), (0, 10)), points((0, 0), (0, 19)))
    in_mm = measured(score_points(LENGTH, "top bottom", known, unknown)).per_class["d"]
    assert (in_mm["bias_mm"].value, in_mm["bias_mm"].n) == (1, 1) and "bias_px" not in in_mm
    in_px = measured(score_points(LENGTH, "top bottom", known[:3], unknown)).per_class["d"]
    assert (in_px["bias_px"].value, in_px["bias_px"].n) == (5.5, 2)


def test_an_angle_is_of_places_in_mm():
    """A corner of 90° at the second point; 45° of oblong pixels are atan(2)."""
    measures = {"a": {"kind": "angle", "of": ["p", "q", "r"]}}
    target = points((8, 0), (0, 0), (0, 9))
    prediction = points((8, 0), (0, 0), (5, 5))
    square = measured(score_points(measures, "p q r", ("g", target, prediction)))
    assert square.per_class["a"]["bias_deg"].value == pytest.approx(-45)
    assert "mae_pct" not in square.per_class["a"] and square.scores["mae_deg"].value == 45
    oblong = measured(score_points(measures, "p q r", ("g", target, prediction, (2, 1))))
    expected = np.degrees(np.arctan(2)) - 90
    assert oblong.per_class["a"]["bias_deg"].value == pytest.approx(expected)


@pytest.mark.parametrize("state", [OFF, BLURRED])
def test_a_length_needs_both_ends(state):
    case = ("g", points((0, 0), state), points((0, 0), (9, 9)))
    figures = measured(score_points(LENGTH, "top bottom", case)).per_class["d"]
    assert {figure.value for figure in figures.values()} == {None}
    assert all(figure.reason for figure in figures.values())


@pytest.mark.parametrize(
    ("of", "reason"),
    [(["top", "elsewhere"], "the data have no elsewhere"), (["wall", "top"], "wall is a curve")],
)
def test_why_a_length_is_missing(of, reason):
    wall = np.array([[0, 0], [5, 1], [9, 0]], np.float32)
    target = points((0, 0), (0, 10), (0, 0))
    target = Landmarks((*target.paths[:2], wall), target.state, target.scores)
    scores = score_points(
        {"d": {"kind": "length", "of": of}}, "top bottom wall", ("g", target, target)
    )
    assert measured(scores).per_class["d"]["mae_px"].reason == reason
    assert not any(column.startswith("d ") for row in scores.cases for column in row)


def test_over_all_is_the_mean_of_what_all_measurements_have():
    """Errors of 10 % and 0 px² · 2; a length and an area share the percentage, not the unit."""
    measures = {**AREA, "width": {"kind": "longest_diameter", "of": "lesion"}}
    protocol = measured(score_masks(measures, ("g", rectangle(10), rectangle(11))))
    assert set(protocol.scores) == {"mae_pct", "failure_rate"}
    own = [figures["mae_pct"].value for figures in protocol.per_class.values()]
    assert protocol.scores["mae_pct"].value == pytest.approx(np.mean(own))
    alone = measured(score_masks(AREA, ("g", rectangle(10), rectangle(11))))
    assert set(alone.scores) == {"mae_px2", "mae_pct", "failure_rate"}


def test_the_target_itself_scores_its_target_score():
    measures = {
        "hc": {"kind": "circumference", "of": "lesion", "tolerance": {"mm": 1, "source": "us"}}
    }
    cases = []
    for n, group in enumerate("ghijk"):
        target = Masks(draw_ellipse((60, 80), (40 + n, 30))[None])
        cases.append((group, target, target, (0.5, 0.5)))
    protocol = measured(score_masks(measures, *cases))
    assert figure_values(protocol.target_score) == figure_values(protocol.scores)
    assert figure_values(protocol.scores) == {
        "mae_mm": 0, "mae_pct": 0, "within_tolerance": 1, "failure_rate": 0,
    }  # fmt: skip
    assert protocol.per_class["hc"]["icc"].value == 1
    assert "tolerance ±1 mm (us)" in protocol.description


def test_a_tolerance_in_mm_says_nothing_of_px():
    measures = {"area": {**AREA["area"], "tolerance": {"mm2": 5, "source": "us"}}}
    figures = measured(score_masks(measures, ("g", rectangle(10), rectangle(11)))).per_class["area"]
    assert figures["within_tolerance"].value is None and figures["within_tolerance"].reason


def test_without_declarations_and_without_images():
    assert [part.name for part in score_masks({}, ("g", rectangle(3), rectangle(3))).protocols] == [
        "usbench", "pooled",
    ]  # fmt: skip
    protocol = measured(score_masks(AREA))
    assert {figure.value for figure in protocol.scores.values()} == {None}


# ---- the case table


def as_text(scores: Scores) -> list[dict[str, str]]:
    """The rows as they stand in a file."""
    return [{name: encode_cell(value, name) for name, value in row.items()} for row in scores.cases]


def test_a_case_table_of_masks_gives_the_same_scores():
    measures = {**AREA, "width": {"kind": "longest_diameter", "of": "lesion"}}
    cases = [
        (f"g{n // 2}", rectangle(8 + n), rectangle(9 * (n != 3)), None if n == 5 else (0.5, 0.25))
        for n in range(12)
    ]
    scores = score_masks(measures, *cases)
    assert scores.cases[1]["area target mm2"] == 36 * 0.125
    assert scores.cases[3]["area prediction mm2"] is None
    assert (scores.cases[5]["area target mm2"], scores.cases[5]["area target px2"]) == (None, 52)
    again = segment_scorer.from_cases(as_text(scores), ["lesion"], ["usbench"], measures)
    assert_same(measured(again), measured(scores))


def test_a_case_table_of_landmarks_gives_the_same_scores():
    cases = [
        (f"g{n // 2}", points((0, 0), (0, 10 + n)), points((n, 0), (0, 12)), (0.5, 0.25))
        for n in range(12)
    ]
    scores = score_points(LENGTH, "top bottom", *cases)
    assert scores.cases[2]["d target mm"] == 5.5 and "d target mm" not in scores.cases[3]
    again = landmark_scorer.from_cases(as_text(scores), ["top", "bottom"], measures=LENGTH)
    assert_same(measured(again), measured(scores))


def assert_same(actual: ProtocolScores, expected: ProtocolScores) -> None:
    """Equal but for the rounding of a case table."""
    for label, figures in expected.per_class.items():
        assert figure_values(actual.per_class[label]) == pytest.approx(figure_values(figures))
        assert actual.per_class[label].keys() == figures.keys()
    assert figure_values(actual.scores) == pytest.approx(figure_values(expected.scores))


# ---- declarations


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"1st": AREA["area"]}, "metric.measures.1st: expected a name"),
        ({"a": "area"}, "metric.measures.a: expected {kind: …, of: …}, got 'area'"),
        ({"a": {"kind": "aera", "of": "lesion"}}, "unknown kind 'aera' for segment; did you mean 'area'?"),
        ({"a": {"kind": "length", "of": ["p", "q"]}}, "unknown kind 'length' for segment"),
        ({"a": {"kind": "area"}}, "metric.measures.a.of: expected a class, got None"),
        ({"a": {"kind": "area", "of": ["p", "q"]}}, "metric.measures.a.of: expected a class"),
        ({"a": {"kind": "area", "off": "p"}}, "unknown key 'off'; did you mean 'of'?"),
        ({"a": {**AREA["area"], "tolerance": 5}}, "expected {pct or px2 or mm2: number, source: text}"),
        ({"a": {**AREA["area"], "tolerance": {"pct": 5}}}, "metric.measures.a.tolerance: expected"),
        ({"a": {**AREA["area"], "tolerance": {"pct": 0, "source": "us"}}}, "expected {pct"),
        ({"a": {**AREA["area"], "tolerance": {"mm": 1, "source": "us"}}}, "unknown key 'mm'"),
        ({"a": {**AREA["area"], "tolerance": {"pct": 1, "mm2": 1, "source": "us"}}}, "expected {pct"),
    ],
)  # fmt: skip
def test_declarations_that_cannot_be(node, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        read_measures(node, "segment")


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"kind": "length", "of": ["p", "p"]}, "metric.measures.a.of: expected 2 different points"),
        ({"kind": "angle", "of": ["p", "q"]}, "expected 3 different points, got ['p', 'q']"),
        ({"kind": "angle", "of": ["p", "q", "r"], "tolerance": {"pct": 1, "source": "us"}}, "'pct'"),
    ],
)  # fmt: skip
def test_declarations_of_landmarks_that_cannot_be(node, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        read_measures({"a": node}, "landmark")


def test_every_kind_is_described_and_measured_in_one_way():
    for word, kind in KINDS.items():
        assert "{}" in kind.description, word
        assert (kind.of_region is None) == (kind.task == "landmark"), word
        assert (kind.of_points is None) == (kind.task == "segment"), word


DATASETS = sorted((ROOT / "conf" / "dataset").glob("*.yaml"))


@pytest.mark.parametrize("path", DATASETS, ids=lambda path: path.stem)
def test_a_dataset_declares_measurements_of_its_own_classes(path):
    views = yaml.safe_load(path.read_text("utf-8"))["views"]
    for task, view in views.items():
        for measure in read_measures(view.get("measures"), task):
            assert view["classes"] is None or set(measure.of) <= set(view["classes"]), measure.name


def test_the_summary_has_at_most_eight_words():
    assert len(MEASURE.summary.split()) <= 8
