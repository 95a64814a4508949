"""Limits of agreement and ICC: by hand, by published tables and by their textbook formulas."""

from __future__ import annotations

import numpy as np
import pytest

from usbench.metrics.bootstrap import Draws, draw
from usbench.metrics.measures.agreement_figures import (
    error_figures,
    intraclass_correlation,
    limits_of_agreement,
)


def once(groups: str) -> Draws:
    return draw(list(groups)).all_cases()


def test_limits_with_one_image_per_group_are_bland_and_altman_s():
    """Errors −2, 0, 1, 5: mean 1, SD √(26 / 3)."""
    sd = np.sqrt(26 / 3)
    actual = limits_of_agreement(np.array([-2.0, 0, 1, 5]), once("abcd"))
    assert actual[0] == pytest.approx([1, sd, 1 - 1.96 * sd, 1 + 1.96 * sd])


def test_limits_with_repeated_images_by_hand():
    """`g`: 2 and 6, `h`: −1. The grand mean is 7/3.

    Between: 2 (4 − 7/3)² + (−1 − 7/3)² = 50/3, df 1. Within: 8, df 1. Images per group: (3 − 5/3) /
    1 = 4/3. The variance between groups is (50/3 − 8) / (4/3) = 6.5, and 6.5 + 8 = 14.5 that of an
    image.
    """
    sd = np.sqrt(14.5)
    actual = limits_of_agreement(np.array([2.0, 6, -1]), once("ggh"))
    assert actual[0] == pytest.approx([7 / 3, sd, 7 / 3 - 1.96 * sd, 7 / 3 + 1.96 * sd])


def test_groups_that_differ_less_than_their_images_add_no_variance():
    """Both groups have the mean 0; within: 2 + 8, df 2."""
    actual = limits_of_agreement(np.array([-1.0, 1, -2, 2]), once("ggff"))
    assert actual[0, :2] == pytest.approx([0, np.sqrt(5)])


def test_one_group_has_a_bias_and_no_limits():
    bias, *others = limits_of_agreement(np.array([3.0, 5]), once("gg"))[0]
    assert bias == 4 and np.isnan(others).all()


def test_a_group_that_a_resample_draws_twice_is_two_groups():
    errors, groups = np.array([2.0, 6, -1, 4, 0.5]), list("gghii")
    draws = Draws(draw(groups).index, np.array([[2.0, 0, 1]]))
    twice = limits_of_agreement(np.array([2.0, 6, 2, 6, 4, 0.5]), once("ggffii"))
    assert limits_of_agreement(errors, draws) == pytest.approx(twice)
    ratings = np.stack([errors, errors + np.array([0, 1, 0, 2, 0])], axis=1)
    repeated = ratings[[0, 1, 0, 1, 3, 4]]
    expected = intraclass_correlation(repeated, once("ggffii"))
    assert intraclass_correlation(ratings, draws) == pytest.approx(expected)


# Shrout & Fleiss 1979, table 2: six targets, four judges; ICC(2,1) is .29 in table 4.
JUDGED = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float
)


def test_the_intraclass_correlation_of_shrout_and_fleiss():
    """By their mean squares: 11.24 of targets, 32.49 of judges, 1.02 of errors."""
    (actual,) = intraclass_correlation(JUDGED, once("abcdef"))
    expected = (11.24 - 1.02) / (11.24 + 3 * 1.02 + 4 * (32.49 - 1.02) / 6)
    assert round(actual, 2) == 0.29 and actual == pytest.approx(expected, abs=5e-4)


def test_a_constant_offset_lowers_the_absolute_agreement():
    """1, 2, 3 against 2, 3, 4: rows 2, columns 3/2 by one degree of freedom, no error.

    ICC = 2 / (2 + 2 (3/2) / 3) = 2/3.
    """
    ratings = np.array([[1.0, 2], [2, 3], [3, 4]])
    assert intraclass_correlation(ratings, once("abc")) == pytest.approx(2 / 3)
    assert intraclass_correlation(ratings[:, [0, 0]], once("abc")) == 1


@pytest.mark.parametrize("ratings", [np.ones((4, 2)), np.array([[1.0, 2]])])
def test_without_differences_or_with_one_image_there_is_no_correlation(ratings):
    groups = "abcd"[: len(ratings)]
    assert np.isnan(intraclass_correlation(ratings, once(groups))).all()


def test_figures_have_intervals_over_groups():
    rng = np.random.default_rng(1)
    target = rng.uniform(20, 60, 60)
    prediction = target + rng.normal(1, 2, 60)
    figures = error_figures(target, prediction, "mm", draw([f"g{n // 2}" for n in range(60)]))
    assert list(figures) == ["bias_mm", "sd_mm", "loa_low_mm", "loa_high_mm", "icc"]
    for figure in figures.values():
        assert figure.low < figure.value < figure.high and figure.groups == 30
    assert figures["bias_mm"].low < 1 < figures["bias_mm"].high


def test_no_image_no_figure():
    figures = error_figures(np.zeros(0), np.zeros(0), "px", draw([]))
    assert {(figure.value, bool(figure.reason)) for figure in figures.values()} == {(None, True)}
