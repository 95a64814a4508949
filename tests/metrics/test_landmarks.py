"""Scoring of landmarks: distances, presence, selection by hand; presence as in scikit-learn."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usbench.datasets.config import ViewConfig, read_config
from usbench.errors import ConfigError, DataError
from usbench.io.config import build
from usbench.metrics import case_figures
from usbench.metrics.bootstrap import draw
from usbench.metrics.landmark_figures import distances_to_segments, path_distances
from usbench.metrics.landmark_scorer import RADIAL, LandmarkScorer, presence_threshold, selection
from usbench.metrics.scores import Figures, figure_values
from usbench.runner.resolve import metric_node
from usbench.types import BLURRED, OFF, SEEN, Landmarks

SIZE = (300, 400)  # its diagonal is 500 px
Places = Sequence[tuple[float, float]]


def marks(*labels: Places | int, scores: Sequence[float] | None = None) -> Landmarks:
    """One label per name: places where it is seen, else its state."""
    paths = tuple(
        np.array([] if isinstance(label, int) else label, np.float32).reshape(-1, 2)
        for label in labels
    )
    states = np.array([label if isinstance(label, int) else SEEN for label in labels], np.int8)
    return Landmarks(paths, states, None if scores is None else np.array(scores, np.float32))


def at(x: float, y: float) -> Places:
    return [(x, y)]


def row_of(y: float, start: float = 0, end: float = 60, knots: int = 4) -> Places:
    """A curve along a row."""
    return [(x, y) for x in np.linspace(start, end, knots)]


Case = tuple[Any, ...]  # (group, target, prediction[, mm_per_px])


def scorer_of(names: str, cases: Sequence[Case], **settings: Any) -> LandmarkScorer:
    scorer = LandmarkScorer(names.split(), **settings)
    for n, (group, target, prediction, *spacing) in enumerate(cases):
        scorer.update(f"case{n}", group, target, prediction, SIZE, *spacing)
    return scorer


def figures(names: str, *cases: Case, **settings: Any) -> Figures:
    return scorer_of(names, cases, **settings).result().protocol.scores


def values(names: str, *cases: Case, **settings: Any) -> dict[str, float | None]:
    return figure_values(figures(names, *cases, **settings))


# ---- points


def test_a_3_4_5_error():
    actual = values("apex", ("g", marks(at(100, 50)), marks(at(103, 54), scores=[0.9])))
    assert actual["mre_px"] == actual["median_re_px"] == 5 and actual["mre_diag"] == pytest.approx(
        0.01
    )
    assert [actual[f"sdr_px_{t}"] for t in (2, 4, 8, 16)] == [0, 0, 1, 1]


def test_mm_take_each_axis_with_its_own_spacing():
    """3 px across at .4 mm and 4 px down at .225 mm: √(1.2² + .9²) = 1.5. Swapped axes would give
    1.74.
    """
    actual = values("apex", ("g", marks(at(100, 50)), marks(at(103, 54)), (0.225, 0.4)))
    assert actual["mre_mm"] == pytest.approx(1.5) and actual["mre_px"] == 5
    assert [actual[f"sdr_mm_{t}"] for t in (1, 2, 4, 8)] == [0, 1, 1, 1]


def test_a_threshold_takes_its_own_length_in():
    case = ("g", marks(at(10, 10)), marks(at(14, 10)))
    assert (
        values("apex", case)["sdr_px_4"] == 1
        and values("apex", case, thresholds_px=[3.5])["sdr_px_3.5"] == 0
    )


def test_every_seen_point_counts_once_over_all():
    """Errors 1, 2, 3 of `a` and 10 of `b`: mean 4, median 2.5, SD √(50/3); a mean of the names'
    means would be 6.
    """
    cases = [
        ("g", marks(at(0, 0), at(50, 0)), marks(at(1, 0), at(60, 0))),
        ("g", marks(at(0, 0), OFF), marks(at(2, 0), at(0, 0))),
        ("h", marks(at(0, 0), BLURRED), marks(at(0, 3), at(0, 0))),
    ]
    protocol = scorer_of("a b", cases).result().protocol
    actual = protocol.scores
    assert (actual["mre_px"].value, actual["mre_px"].n, actual["median_re_px"].value) == (4, 4, 2.5)
    assert (
        actual["sd_re_px"].value == pytest.approx(np.sqrt(50 / 3))
        and actual["sdr_px_2"].value == 0.5
    )
    own = {
        name: (protocol.per_class[name]["mre_px"].value, protocol.per_class[name]["mre_px"].n)
        for name in "ab"
    }
    assert own == {"a": (2, 3), "b": (10, 1)}
    assert protocol.per_class["b"]["sd_re_px"].reason == "one point only"


def test_a_place_counts_whatever_its_presence_score():
    """A point that the model holds for absent is scored at its maximum: leaving it out would
    flatter the mean.
    """
    sure, unsure = marks(at(3, 0), scores=[1.0]), marks(at(0, 9), scores=[0.0])
    actual = figures("apex", ("g", marks(at(0, 0)), sure), ("g", marks(at(0, 0)), unsure))
    assert (actual["mre_px"].value, actual["mre_px"].n) == (6, 2)


@pytest.mark.parametrize("state", [BLURRED, OFF])
def test_what_is_not_seen_has_no_distance(state: int) -> None:
    case = ("g", marks(at(0, 0), state), marks(at(1, 0), at(999, 999), scores=[1, 1]), (1, 1))
    protocol = scorer_of("a b", [case]).result().protocol
    assert protocol.scores["mre_px"].n == 1 and protocol.scores["mre_px"].value == 1
    assert protocol.per_class["b"]["mre_px"].value is None
    assert protocol.per_class["b"]["mre_px"].reason == "no point is seen"


def test_images_without_a_pixel_size_are_left_out_of_mm_only():
    known = ("g", marks(at(0, 0)), marks(at(0, 4)), (0.5, 0.1))
    actual = figures("a", known, ("g", marks(at(0, 0)), marks(at(0, 100)), None))
    assert (actual["mre_px"].value, actual["mre_px"].n) == (52, 2)
    assert (actual["mre_mm"].value, actual["mre_mm"].n) == (2, 1)


def test_no_pixel_size_no_image_size():
    scorer = LandmarkScorer(["a"])
    scorer.update("c", "g", marks(at(0, 0)), marks(at(0, 4)))
    actual = scorer.result().protocol.scores
    assert actual["mre_px"].value == 4
    assert (actual["mre_mm"].value, actual["mre_mm"].n) == (None, 0)
    assert actual["mre_mm"].reason == actual["sdr_mm_2"].reason == "the pixels' size isn't known"
    assert (actual["mre_diag"].value, actual["mre_diag"].reason) == (
        None,
        "the images' size isn't given",
    )


# ---- curves


def test_two_parallel_curves_3_px_apart():
    actual = values("wall", ("g", marks(row_of(10)), marks(row_of(13)), (0.5, 0.25)))
    assert actual["curve_mean_px"] == pytest.approx(3) and actual["curve_hd_px"] == pytest.approx(3)
    assert actual["curve_mean_mm"] == pytest.approx(1.5) and actual["curve_hd_mm"] == pytest.approx(
        1.5
    )
    assert actual["mre_px"] is None and actual["sdr_px_4"] is None


def test_both_directions_count():
    """Half the curve predicted, 0…30 of 0…60: from the prediction 0; from the target's other half
    15 on average, so 7.5. A one-sided distance would be 0 or 7.5, the Hausdorff distance is 30.
    """
    actual = values("wall", ("g", marks(row_of(10)), marks(row_of(10, end=30))))
    assert actual["curve_mean_px"] == pytest.approx(7.5 / 2) and actual[
        "curve_hd_px"
    ] == pytest.approx(30)
    turned = values("wall", ("g", marks(row_of(10, end=30)), marks(row_of(10))))
    assert (
        turned["curve_mean_px"] == actual["curve_mean_px"]
        and turned["curve_hd_px"] == actual["curve_hd_px"]
    )


def test_a_curve_that_is_shifted_along_itself_by_half_a_pixel():
    """Samples lie .5 px from samples, yet on the other curve: only the ends stick out, by .5."""
    first = np.array([(x, 0.0) for x in range(11)])
    mean, hausdorff = path_distances(first, first + np.array([0.5, 0]))
    assert mean == pytest.approx(0.5 * 0.5 / 10) and hausdorff == 0.5


L_SHAPE = np.array([(x, 0.0) for x in range(11)] + [(10.0, y) for y in range(1, 11)])


@pytest.mark.parametrize(
    ("scale", "mean", "hausdorff"),
    [
        # of an arc of 20, the 10 that go down are 0 … 10 away
        ((1.0, 1.0), 50 / 20 / 2, 10),
        # of an arc of 40 mm, the 30 mm that go down are 0 … 30 mm away
        ((1.0, 3.0), 450 / 40 / 2, 30),
    ],
)
def test_the_leg_of_an_l_by_hand(scale, mean, hausdorff):
    actual = path_distances(L_SHAPE, L_SHAPE[:11], scale)
    assert actual == (pytest.approx(mean), pytest.approx(hausdorff))


def slow_distance(place, line):
    """To the nearest of ten thousand places on every segment."""
    t = np.linspace(0, 1, 10_001)[:, None]
    gaps = [(a + t * (b - a) - place) for a, b in itertools.pairwise(line)]
    return min(np.hypot(*gap.T).min() for gap in gaps)


def test_distances_to_segments_are_those_of_dense_samples():
    rng = np.random.default_rng(3)
    points, line = rng.uniform(0, 20, (12, 2)), rng.uniform(0, 20, (6, 2))
    line[3] = line[2]  # a segment without length
    expected = [slow_distance(place, line) for place in points]
    assert distances_to_segments(points, line) == pytest.approx(expected, abs=1e-5)


def test_curves_are_compared_along_their_length_not_at_their_knots():
    """The same line by 4 and by 61 knots, and backwards."""
    for prediction in (row_of(10, knots=61), row_of(10)[::-1]):
        assert values("wall", ("g", marks(row_of(10)), marks(prediction)))[
            "curve_hd_px"
        ] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("prediction", "mean", "hausdorff"),
    [
        # the place to the curve: 4; the curve's samples to the place: mean of √(16 + d²), d = −3 …
        # 3, the ends by half
        (at(3, 14), (4 + (5 + 2 * (20**0.5 + 17**0.5) + 4) / 6) / 2, 5),
        ([(3, 14)] * 3, (4 + (5 + 2 * (20**0.5 + 17**0.5) + 4) / 6) / 2, 5),
        ([(0, 13), (6, 13)], 3, 3),
    ],
)
def test_a_predicted_curve_of_one_or_two_places(
    prediction: Places, mean: float, hausdorff: float
) -> None:
    actual = values("wall", ("g", marks(row_of(10, end=6)), marks(prediction)))
    assert actual["curve_mean_px"] == pytest.approx(mean) and actual[
        "curve_hd_px"
    ] == pytest.approx(hausdorff)


def test_a_point_predicted_as_a_curve_is_no_gain():
    """A predicted line through the true point would be 0 away by the nearest place; its far samples
    count too.
    """
    actual = values("apex", ("g", marks(at(30, 10)), marks(row_of(10))))
    assert actual["mre_px"] == pytest.approx((0 + 15) / 2) and actual["curve_mean_px"] is None


def test_one_knot_of_a_name_that_is_a_curve_elsewhere_counts_as_a_curve():
    """The name's kind doesn't depend on the order of the images or on the prediction."""
    cases = [
        ("g", marks(at(30, 10)), marks(at(30, 14))),
        ("g", marks(row_of(10)), marks(row_of(12))),
    ]
    for order in (cases, cases[::-1]):
        scores = scorer_of("wall", order).result()
        actual = scores.protocol.scores
        assert (actual["curve_mean_px"].value, actual["curve_mean_px"].n) == (pytest.approx(3), 2)
        assert actual["curve_hd_px"].n == 2 and actual["mre_px"].n == 0
        assert [row["kind"] for row in scores.cases] == ["curve", "curve"]


def test_points_and_curves_stay_apart():
    actual = values("apex wall", ("g", marks(at(0, 0), row_of(10)), marks(at(0, 2), row_of(17))))
    assert actual["mre_px"] == 2 and actual["curve_mean_px"] == pytest.approx(7)


# ---- presence


def test_auroc_with_ties_by_hand():
    """Of 3 × 2 pairs (present, absent): .9 wins twice, .5 wins once and ties once, .2 loses both…
    3.5 / 6, and a fourth at .3 that ties with the lower: (3.5 + .5) / 8.
    """
    assert case_figures.auroc(
        [0.9, 0.5, 0.2, 0.5, 0.3], [True, True, True, False, False]
    ) == pytest.approx(3.5 / 6)
    assert case_figures.auroc(
        [0.9, 0.5, 0.2, 0.3, 0.5, 0.3], [True] * 4 + [False] * 2
    ) == pytest.approx(4 / 8)
    assert (
        case_figures.auroc([0.9, 0.5], [True, True]) is None and case_figures.auroc([], []) is None
    )


SCORED = st.lists(
    st.tuples(st.sampled_from([0, 0.125, 0.25, 0.5, 0.75, 1]), st.booleans()),
    min_size=1,
    max_size=40,
)


def plain_f1(scores: Sequence[float], present: Sequence[bool], threshold: float) -> float | None:
    draws = draw(["a"] * len(scores), resamples=1)
    return case_figures.f1_figure(scores, present, threshold, draws, "nothing").value


@given(SCORED)
def test_auroc_and_f1_equal_scikit_learns(scored: list[tuple[float, bool]]) -> None:
    reference = pytest.importorskip(
        "sklearn.metrics", reason="scikit-learn comes with other packages only"
    )
    scores, present = [score for score, _ in scored], [seen for _, seen in scored]
    if len(set(present)) == 2:
        assert case_figures.auroc(scores, present) == pytest.approx(
            reference.roc_auc_score(present, scores)
        )
    actual = [score >= 0.5 for score in scores]
    if any(actual) or any(present):
        assert plain_f1(scores, present, 0.5) == pytest.approx(
            reference.f1_score(present, actual, zero_division=0)
        )
    else:
        assert plain_f1(scores, present, 0.5) is None


@given(SCORED)
def test_no_threshold_has_a_better_f1(scored: list[tuple[float, bool]]) -> None:
    scores, present = [score for score, _ in scored], [seen for _, seen in scored]
    chosen = case_figures.best_f1_threshold(scores, present, sum(present), 0.5)
    if not any(present):
        assert chosen == 0.5
        return
    rates = {score: plain_f1(scores, present, score) or 0 for score in scores}
    assert rates[chosen] == max(rates.values())
    assert chosen == min(score for score, rate in rates.items() if rate == rates[chosen])


def test_presence_by_hand():
    """Seen .9 and .4, off .75 and .1; blurred .99 nowhere. At .5: TP 1, FP 1, FN 1; 3 of 4 pairs in
    order.
    """
    target = marks(at(0, 0), OFF, BLURRED)
    cases = [
        ("g", target, marks(at(0, 0), at(9, 9), at(9, 9), scores=[0.9, 0.75, 0.99])),
        ("g", target, marks(at(0, 0), at(9, 9), at(9, 9), scores=[0.4, 0.1, 0.99])),
    ]
    actual = figures("a b c", *cases)
    assert (actual["presence_auroc"].value, actual["presence_auroc"].n) == (0.75, 4)
    assert actual["presence_f1"].value == 0.5
    assert (actual["false_presence"].value, actual["false_presence"].n) == (0.5, 2)
    lower = values("a b c", *cases, presence_threshold=0.375)
    assert lower["presence_f1"] == pytest.approx(4 / 5) and lower["false_presence"] == 0.5
    assert (
        values("a b c", *cases, presence_threshold=0.75)["false_presence"] == 0.5
    )  # from the threshold on


def test_presence_per_name():
    case = (
        "g",
        marks(at(0, 0), OFF, BLURRED),
        marks(at(0, 0), at(9, 9), at(9, 9), scores=[0.2, 0.8, 0.9]),
    )
    own = scorer_of("a b c", [case]).result().protocol.per_class
    assert (
        own["a"]["presence_auroc"].reason == "only seen or only off"
        and own["a"]["presence_f1"].value == 0
    )
    assert own["a"]["false_presence"].reason == "no name is surely not in view"
    assert own["b"]["false_presence"].value == 1
    assert (
        own["c"]["presence_auroc"].n == 0
        and own["c"]["presence_f1"].reason == "nothing seen, nothing found"
    )


def test_the_threshold_is_chosen_where_f1_is_best():
    """Seen .875 .75 .375, off .625 .25, blurred .65: F1 is 4/5 from .75 on, 6/7 from .375 on, 6/8
    from .25 on.
    """
    seen, off = at(0, 0), at(5, 5)
    pairs = [
        (marks(seen, OFF, BLURRED), marks(seen, off, off, scores=[0.875, 0.625, 0.65])),
        (marks(seen, OFF, BLURRED), marks(seen, off, off, scores=[0.75, 0.25, 0.65])),
        (marks(seen, BLURRED, BLURRED), marks(seen, off, off, scores=[0.375, 0.65, 0.65])),
    ]
    assert presence_threshold(iter(pairs)) == 0.375
    assert presence_threshold([]) == 0.5


# ---- the target itself, rows, selection


def every_kind() -> Landmarks:
    return marks(at(10.5, 20.25), at(90, 20), row_of(33), OFF, BLURRED)


def test_the_target_as_prediction_scores_exactly_its_target_score():
    target = every_kind()
    places = (*target.paths[:3], *marks(at(1, 1), at(1, 1)).paths)
    prediction = Landmarks(places, target.state, np.array([1, 1, 1, 0, 0.5], np.float32))
    cases = [(group, target, prediction, (0.3, 0.2)) for group in "gh"]
    protocol = scorer_of("a b wall off dim", cases).result().protocol
    assert {name: (f.value, f.n) for name, f in protocol.target_score.items()} == {
        name: (f.value, f.n) for name, f in protocol.scores.items()
    }
    assert protocol.scores["mre_px"].value == protocol.scores["curve_hd_mm"].value == 0
    assert protocol.scores["sdr_px_2"].value == protocol.scores["presence_f1"].value == 1


def test_rows_say_everything_of_a_case():
    prediction = marks(
        at(13.5, 24.25), at(90, 20), row_of(35), at(7, 7), at(7, 7), scores=[0.5, 1, 0.75, 0.25, 0]
    )
    rows = (
        scorer_of("a b wall off dim", [("g", every_kind(), prediction, (0.5, 0.5))]).result().cases
    )
    shared = {"case": "case0", "group": "g", "diagonal_px": 500.0}
    nothing = dict.fromkeys(("error_px", "error_mm", "hd_px", "hd_mm"))
    point = {"kind": "point", "state": "seen"}
    assert rows[0] == {
        **shared,
        **nothing,
        **point,
        "class": "a",
        "error_px": 5,
        "error_mm": 2.5,
        "score": 0.5,
    }
    assert rows[3] == {
        **shared,
        **nothing,
        "kind": "point",
        "class": "off",
        "state": "off",
        "score": 0.25,
    }
    assert (rows[4]["state"], rows[4]["error_px"], len(rows)) == ("blurred", None, 5)
    assert rows[2]["kind"] == "curve" and [rows[2][key] for key in nothing] == pytest.approx(
        [2, 1, 2, 1]
    )


def test_nothing_at_all():
    protocol = LandmarkScorer(["a"]).result().protocol
    assert (
        all(figure.value is None and figure.reason for figure in protocol.scores.values())
        and protocol.target_score == {}
    )


def test_selection_is_minus_the_mean_distance_of_what_is_seen():
    """A point 5 away, a curve 3 away, another point 1 away: −3."""
    pairs = [
        (marks(at(0, 0), row_of(10), OFF), marks(at(3, 4), row_of(13), at(99, 99))),
        (marks(at(0, 0), BLURRED, OFF), marks(at(0, 1), row_of(99), at(99, 99))),
    ]
    assert selection(iter(pairs)) == pytest.approx(-3)
    assert selection([]) == selection([(marks(OFF), marks(at(0, 0)))]) == -1e6


def test_further_figures_are_means_over_images():
    def drop(target: Landmarks, prediction: Landmarks) -> float | None:
        return (
            None
            if target.state[0] != SEEN
            else float(prediction.paths[0][0, 1] - target.paths[0][0, 1])
        )

    cases = [("g", marks(at(0, 0)), marks(at(0, y))) for y in (2, 4)]
    scorer = scorer_of("a", [*cases, ("g", marks(OFF), marks(at(0, 9)))], extra={"drop": drop})
    protocol = scorer.result().protocol
    assert (protocol.scores["drop"].value, protocol.scores["drop"].n) == (
        3,
        2,
    ) and "drop" not in protocol.target_score


# ---- what goes wrong


@pytest.mark.parametrize(
    "measure", [lambda pair: selection([pair]), lambda pair: scorer_of("a", [("g", *pair)])]
)
def test_a_seen_name_without_a_predicted_place(measure: Callable[[Any], Any]) -> None:
    with pytest.raises(DataError, match="expected a place, whatever its score, got none"):
        measure((marks(at(0, 0)), marks(OFF)))


@pytest.mark.parametrize("target", [OFF, BLURRED])
def test_a_name_that_is_not_seen_needs_no_place(target: int) -> None:
    assert figures("a", ("g", marks(target), marks(OFF, scores=[0.2])))["mre_px"].n == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"protocols": ["usbench"]}, "metric.protocols: expected ['radial']"),
        ({"protocols": []}, "metric.protocols: expected ['radial']"),
        ({"thresholds_px": [0]}, "metric.thresholds_px: expected lengths above 0"),
        ({"thresholds_mm": ["two"]}, "metric.thresholds_mm: expected lengths above 0"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        LandmarkScorer(["a", "b"], **settings)


# ---- as it is configured


def test_the_configured_metric_with_a_datasets_measurements(
    compose: Callable[..., dict[str, Any]],
) -> None:
    config = compose("dataset=unity", "model=heatmap")
    view = read_config(ViewConfig, config["dataset"]["views"]["landmark"], "view")
    names = ("lv-ivs-bottom", "lv-pw-top", "lv-ivs-top")
    scorer = build(metric_node(config["metric"], view), classes=names, presence_threshold=0.25)
    target = marks(*(at(9 * n, 40) for n in range(3)))
    scorer.update("c", "g", target, target, SIZE, (0.5, 0.5))
    radial, measured = scorer.result().protocols
    actual = radial.scores
    assert actual[scorer.primary].value == 0 and measured.name == "measure"
    assert measured.per_class["LVID"]["bias_mm"].value == 0
    assert measured.per_class["PW"]["mae_px"].reason == "the data have no lv-pw-bottom"
    expected = {
        "mre_diag",
        "mre_mm",
        "median_re_px",
        "sdr_px_4",
        "sdr_mm_2",
        "curve_mean_px",
        "curve_hd_px",
    }
    assert expected <= set(actual) and all(
        re.fullmatch(r"[A-Za-z0-9_.:/-]+", name) for name in actual
    )


def test_the_words_say_what_a_reader_must_know():
    for word in (
        "native",
        "counted once",
        "whatever its presence score",
        "≤",
        "known",
        "natural",
        "best F1 on validation",
    ):
        assert word in RADIAL.description
    for word in ("blurred", "n − 1", "Hausdorff"):
        assert word in RADIAL.description


@pytest.mark.simulate
def test_a_thousand_images_of_forty_names():
    """31 points and 9 curves, as many as the echo release has; each point off by 1 px, each curve
    by 2, every tenth image with curves.
    """
    points, curves = [at(10 * n, 5 * n) for n in range(31)], [row_of(20 * n) for n in range(9)]
    moved = [[(x, y + 1) for x, y in path] for path in points] + [
        [(x, y + 2) for x, y in path] for path in curves
    ]
    whole, bare, prediction = (
        marks(*points, *curves),
        marks(*points, *[OFF] * 9),
        marks(*moved, scores=[0.5] * 40),
    )
    scorer = LandmarkScorer([f"n{n}" for n in range(40)])
    for n in range(1000):
        scorer.update(
            f"c{n}", f"g{n // 4}", bare if n % 10 else whole, prediction, SIZE, (0.5, 0.5)
        )
    actual = scorer.result().protocol.scores
    assert (actual["mre_px"].value, actual["mre_px"].n) == (1, 31_000)
    assert (actual["curve_mean_mm"].value, actual["curve_mean_mm"].n) == (pytest.approx(1), 900)


def test_the_order_of_images_changes_no_figure():
    target = marks(at(0, 0), row_of(10), OFF)
    predictions = [
        marks(at(n, 0), row_of(10 + n), at(1, 1), scores=[0.5, 0.25 * n, 0.5]) for n in range(3)
    ]
    cases = [(f"g{n}", target, prediction) for n, prediction in enumerate(predictions)]
    actual = [values("a wall c", *order) for order in itertools.permutations(cases)]
    assert all(scores == pytest.approx(actual[0]) for scores in actual)


def test_calibration_of_presence_by_hand():
    """.9 seen, .9 off: one bin, half right, .4 off; .1 off: .1 off. (2 · .4 + .1) / 3."""
    seen, off = (
        marks(at(1, 1)),
        Landmarks((np.zeros((0, 2), np.float32),), np.array([OFF], np.int8)),
    )
    scorer = LandmarkScorer(["a"])
    for n, (target, score) in enumerate([(seen, 0.9), (off, 0.9), (off, 0.1)]):
        prediction = Landmarks(seen.paths, np.array([SEEN], np.int8), np.array([score], np.float32))
        scorer.update(str(n), str(n), target, prediction)
    assert scorer.result().protocol.scores["presence_ece"].value == pytest.approx(
        (2 * 0.4 + 0.1) / 3
    )
