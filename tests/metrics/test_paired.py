"""Two models on the same cases: by hand, exact swaps, how often equal models are called different,
ranks and ties.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from tests.helpers.drawn_boxes import Pairs, random_pairs
from usbench.metrics import box_protocols, intervals, paired
from usbench.metrics.bootstrap import Draws, draw
from usbench.metrics.detect_scorer import DetectScorer, matches_from_cases
from usbench.metrics.paired import ComparedModel, Difference, MapScores, MeanScores
from usbench.types import Boxes


def model(name: str, *values: float) -> MeanScores:
    """One column, every case counts unless NaN."""
    table = np.array(values, float)[None, :, None]
    return MeanScores(name, np.nan_to_num(table), np.isfinite(table) * 1.0)


def compare_pair(first: ComparedModel, second: ComparedModel, draws: Draws) -> Difference:
    return paired.compare_models([first, second], draws)[0]


@pytest.mark.parametrize("groups", [2, 5, 6, 12, 13])
def test_the_smallest_p_is_that_of_a_difference_in_every_group(groups):
    """The first model is better by 1 in every group: no swap gives more."""
    draws = draw([f"g{n}" for n in range(groups)])
    ones = np.ones((1, groups, 1))
    models = [paired.MeanScores("a", ones, ones), paired.MeanScores("b", 0 * ones, ones)]
    p = paired.permutation_p(*models, draws)
    assert paired.smallest_p(groups) <= p
    if groups <= 12:
        assert paired.smallest_p(groups) == p == 2 / 2**groups


def test_the_score_is_per_class_over_cases_then_over_classes():
    values = np.array([[1.0, 0.0], [0.5, 0.0], [0.0, 0.4]])
    counts = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    assert paired.score_model(
        MeanScores("a", (values * counts)[None], counts[None]), draw(list("xyz"))
    ) == pytest.approx((0.5 + 0.4) / 2)


def test_a_pair_is_compared_on_the_cases_of_either_by_hand():
    """Only b fires on case 2, where a is rightly silent (1); nobody fires on case 3."""
    first, second = model("a", 0.5, np.nan, np.nan), model("b", 0.7, 0.0, np.nan)
    draws = draw(list("xyz"))
    assert [paired.score_model(each, draws) for each in (first, second)] == [0.5, 0.35]
    assert compare_pair(first, second, draws).value == pytest.approx((0.5 + 1) / 2 - 0.35)


def test_a_third_model_changes_nothing_of_a_pair():
    rng = np.random.default_rng(5)
    values = np.where(rng.random((3, 24)) < [[0.5], [0.4], [1.0]], rng.random((3, 24)), np.nan)
    groups = draw([str(n // 3) for n in range(24)])
    two = paired.compare_models([model("a", *values[0]), model("b", *values[1])], groups)
    three = paired.compare_models(
        [model(name, *row) for name, row in zip("acb", values[[0, 2, 1]], strict=True)], groups
    )
    assert two == [pair for pair in three if (pair.first, pair.second) == ("a", "b")]


def test_all_swaps_of_six_groups_by_hand():
    """Differences of 1 in each of 6 groups: of 64 swaps only all and none reach 6/6: p = 2/64."""
    draws = draw(list("abcdef"))
    actual = compare_pair(model("a", *[1.0] * 6), model("b", *[0.0] * 6), draws)
    assert actual.value == 1 and actual.p == pytest.approx(2 / 64)
    assert (actual.low, actual.high) == pytest.approx((2 * 0.025 ** (1 / 6) - 1, 1))
    assert actual.method == "bound" and "6 groups" in actual.reason
    mixed = compare_pair(model("a", 1, 1, 1, 0, 0, 0), model("b", 0, 0, 0, 1, 1, 1), draws)
    assert mixed.value == 0 and mixed.p == 1


def test_groups_are_swapped_whole():
    """12 cases in 6 groups: the sums per group are what is swapped, as an enumeration of its own
    finds.
    """
    rng = np.random.default_rng(0)
    groups = [str(n // 2) for n in range(12)]
    first, second = rng.random(12), rng.random(12)
    actual = compare_pair(model("a", *first), model("b", *second), draw(groups))
    differences = (first - second).reshape(6, 2).sum(1)
    swaps = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=6)
    ]
    assert actual.p == pytest.approx(np.mean(np.array(swaps) >= abs(differences.sum()) - 1e-12))


def test_under_six_groups_there_is_no_p_and_under_five_no_interval():
    five = compare_pair(model("a", *[1.0] * 5), model("b", *[0.0] * 5), draw(list("abcde")))
    assert five.p is None and "at least 6 groups, got 5" in five.reason and five.low is not None
    four = compare_pair(model("a", *[1.0] * 4), model("b", *[0.0] * 4), draw(list("abcd")))
    assert four.low is None and four.p is None


def test_many_groups_are_swapped_at_random_and_p_is_never_0():
    values = np.random.default_rng(1).random(30)
    actual = compare_pair(
        model("a", *(values + 1)), model("b", *values), draw([str(n) for n in range(30)])
    )
    assert actual.p == pytest.approx(1 / (paired.RANDOM_SWAPS + 1))
    again = compare_pair(
        model("a", *(values + 1)), model("b", *values), draw([str(n) for n in range(30)])
    )
    assert again == actual


def test_two_equal_models_on_six_animals_are_rarely_called_different():
    """110 frames of each of 6 animals, models that differ at random: under 5 % below .05."""
    rng = np.random.default_rng(2)
    groups = [str(n // 110) for n in range(660)]
    draws = draw(groups, resamples=2)
    called = 0
    for _ in range(400):
        animal, frame = (
            rng.normal(0, 0.05, (2, 6)).repeat(110, axis=1),
            rng.normal(0, 0.02, (2, 660)),
        )
        first, second = (
            model(name, *values) for name, values in zip("ab", animal + frame, strict=True)
        )
        called += paired.permutation_p(first, second, draws) < paired.ALPHA
    assert called / 400 < 0.05  # 2/64 of exact swaps reach .05 at all: .031


def curves(name: str, *seeds: Pairs) -> MapScores:
    return MapScores(
        name,
        tuple(
            box_protocols.match_pairs(box_protocols.BOX_PROTOCOLS["coco"], pairs, 3)[0]
            for pairs in seeds
        ),
    )


def map_of(pairs: Pairs) -> float:
    return box_protocols.score_pairs(pairs, list("abc")).scores["map50_95"].value


def moved(pairs: Pairs, by: float) -> Pairs:
    """The same targets, other predictions."""
    return [(t, Boxes(g.xyxy + np.float32(by), g.labels, g.scores)) for t, g in pairs]


@pytest.mark.parametrize("seeds", [(1, 1), (2, 1), (2, 3)])
def test_swapped_boxes_are_those_of_pictures_that_changed_sides(seeds):
    """12 pictures in 6 groups, many equal scores: every swap is scored anew by the scorer."""
    pairs, groups = random_pairs(3, images=12), np.arange(12) // 2
    mine, theirs = (
        [moved(pairs, shift + n) for n in range(count)]
        for shift, count in zip((0, 2), seeds, strict=True)
    )
    swaps = np.array(list(itertools.product((False, True), repeat=6)))[::7]
    actual = curves("a", *mine).swapped_differences(curves("b", *theirs), groups, swaps)
    count = np.lcm(*seeds)
    for row, value in zip(swaps, actual, strict=True):
        differences = []
        for n in range(count):
            sides = mine[n % seeds[0]], theirs[n % seeds[1]]
            first = [sides[int(row[groups[k]])][k] for k in range(12)]
            second = [sides[1 - int(row[groups[k]])][k] for k in range(12)]
            differences.append(map_of(first) - map_of(second))
        assert value == pytest.approx(np.mean(differences), abs=1e-12)


def test_the_score_of_boxes_is_the_mean_over_seeds_and_resamples_are_those_of_the_result():
    pairs = random_pairs(5, images=14)
    draws, model = draw([str(n // 2) for n in range(14)]), curves("a", pairs, moved(pairs, 1))
    assert paired.score_model(model, draws) == pytest.approx(
        (map_of(pairs) + map_of(moved(pairs, 1))) / 2, abs=1e-12
    )
    assert compare_pair(model, model, draws).p == 1
    alone = curves("b", pairs)
    actual = box_protocols.score_pairs(pairs, list("abc"), draws=draws).scores["map50_95"]
    assert np.std(alone.scores(draws), ddof=1) == pytest.approx(actual.se)


def test_the_case_table_holds_the_matches():
    """Also images without a box, an absent class, equal scores, and no prediction at all."""
    pairs = random_pairs(7)
    for own in (pairs, [(t, Boxes(g.xyxy[:0], g.labels[:0], g.scores[:0])) for t, g in pairs]):
        scorer = DetectScorer(list("abc"))
        for n, (target, prediction) in enumerate(own):
            scorer.update(f"c{n}", "g", target, prediction)
        rows = [
            {k: "" if v is None else str(v) for k, v in row.items()}
            for row in scorer.result().cases
        ]
        expected, actual = curves("", own).seeds[0], matches_from_cases(rows, list("abc"))
        for name in ("starts", "image", "score", "rank", "hit", "targets"):
            assert np.array_equal(getattr(expected, name), getattr(actual, name)), name


def test_holm_by_hand():
    assert paired.correct_holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert paired.correct_holm([0.5, 0.9]) == [1.0, 1.0] and paired.correct_holm([]) == []


def pair(first: str, second: str, value: float, p: float | None) -> Difference:
    return Difference(first, second, value, None, None, 0.1, 5, p)


def test_the_sizes_that_a_test_can_show_by_hand():
    """SE .1 by the bootstrap of 6 groups: t.975(5) = 2.5706, t.80(5) = .91954, √(6/5) = 1.09545."""
    actual = pair("a", "b", 0.3, None)
    assert actual.significant_from == pytest.approx(0.1 * 2.5706 * 1.09545, abs=1e-5)
    assert actual.resolution == pytest.approx(0.1 * (2.5706 + 0.91954) * 1.09545, abs=1e-5)


def test_a_difference_in_distance_is_expanded_percentiles():
    rng = np.random.default_rng(0)
    first, second = (
        dataclasses.replace(model(name, *rng.gamma(2, 3, 12)), scale="unbounded") for name in "ab"
    )
    draws = draw(list("abcdefghijkl"))
    actual = compare_pair(first, second, draws)
    resampled = (first.scores(draws.for_tails()) - second.scores(draws.for_tails())).tolist()
    ends = intervals.expanded_percentiles(np.array(resampled), 11)
    assert actual.method == "expanded-percentile" and (actual.low, actual.high) == ends


def test_a_difference_of_means_over_classes_has_the_groups_of_the_smallest_class():
    """The second class is in 5 of 12 groups, and in four there is no interval."""
    rng = np.random.default_rng(0)
    for rare, says in ((5, "rough: 5 groups"), (4, "no interval: expected at least 5 groups")):
        models = []
        for name in "ab":
            values = rng.random((1, 12, 2))
            counts = np.ones_like(values)
            counts[:, rare:, 1] = 0
            models.append(MeanScores(name, values * counts, counts))
        actual = compare_pair(*models, draw(list("abcdefghijkl")))
        assert says in actual.reason and actual.p is not None and actual.df <= 11


@pytest.mark.parametrize("higher", [True, False])
def test_ranks_are_ranges_where_no_test_tells_models_apart(higher):
    sign = 1 if higher else -1
    pairs = [
        pair("a", "b", 0.01 * sign, 0.6),
        pair("a", "c", 0.3 * sign, 0.001),
        pair("b", "c", 0.29 * sign, 0.002),
    ]
    assert paired.rank_models(["a", "b", "c"], pairs, higher) == {
        "a": (1, 2),
        "b": (1, 2),
        "c": (3, 3),
    }


def test_without_a_test_every_rank_is_possible():
    assert paired.rank_models(["a", "b"], [pair("a", "b", 1.0, None)], True) == {
        "a": (1, 2),
        "b": (1, 2),
    }
