"""Intervals: every formula by hand or against scipy, when there is none, and how often they cover."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from usbench.metrics import intervals
from usbench.metrics.bootstrap import Draws, draw, resample_means
from usbench.metrics.case_figures import auroc_figure, mean_figure
from usbench.metrics.intervals import Interval, Spread, estimate_interval, measure_spread
from usbench.metrics.scores import Figure, class_mean


def names(groups: int, images: int = 1) -> list[str]:
    return [str(n // images) for n in range(groups * images)]


def spread_of(values: list[float], scale: intervals.Scale = "share") -> Spread:
    """That of the mean over groups of one image."""
    array = np.array(values, float)
    return measure_spread(
        lambda draws: resample_means(array, draws), draw(names(len(array))), scale
    )


def interval_of(values: list[float], scale: intervals.Scale = "share") -> Interval:
    return estimate_interval(float(np.mean(values)), spread_of(values, scale), len(values))


# ---- figures in [0, 1]


def test_logit_t_by_hand():
    """θ .8, SE .04, 9 groups: h = 2.306 · .04 · √(9/8) / .16 = .6115 around ln 4 = 1.3863."""
    low, high = intervals.logit_interval(0.8, 0.04, 8)
    assert low == pytest.approx(1 / (1 + math.exp(-(1.386294 - 0.611472))), abs=1e-6)
    assert high == pytest.approx(1 / (1 + math.exp(-(1.386294 + 0.611472))), abs=1e-6)


def test_logit_t_of_a_mean_is_the_textbook_s_interval_on_the_logit():
    """The bootstrap's SE of a mean, times √(G/(G−1)), is the sample SD (n − 1) over √G."""
    values = np.random.default_rng(3).beta(6, 3, 12)
    actual = interval_of(values.tolist())
    theta, se = values.mean(), stats.sem(values)
    half = stats.t.ppf(0.975, 11) * se / (theta * (1 - theta))
    expected = 1 / (1 + np.exp(-(np.log(theta / (1 - theta)) + np.array([-half, half]))))
    assert actual.method == "logit-t" and actual.df == 11
    assert actual.se * math.sqrt(12 / 11) == pytest.approx(se, rel=0.1)  # 1,000 resamples
    assert (actual.low, actual.high) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("groups", [5, 6, 10, 40])
def test_the_factor_makes_the_bootstrap_s_error_that_of_the_sample(groups):
    """All G^G resamples of a mean have the SE √((G − 1)/G) · s/√G; the factor undoes it."""
    values = np.random.default_rng(groups).random(groups)
    exact = values.std(ddof=0) / math.sqrt(groups)
    assert intervals.corrected_error(exact, groups - 1) == pytest.approx(stats.sem(values))


@pytest.mark.parametrize(
    ("value", "groups", "low", "high"),
    [
        (1.0, 5, 0.47818, 1.0),  # .025^(1/5)
        (0.0, 5, 0.0, 0.52182),
        (1.0, 40, 0.91190, 1.0),
        (0.5, 10, 0.34576, 0.65424),
    ],
)
def test_the_bound_by_hand(value, groups, low, high):
    assert intervals.share_bound(value, groups) == pytest.approx((low, high), abs=1e-5)


@pytest.mark.parametrize("groups", [5, 12, 30])
def test_the_bound_of_a_perfect_score_is_the_exact_binomial_s(groups):
    """Clopper and Pearson's lower end for G of G."""
    exact = stats.binomtest(groups, groups).proportion_ci(0.95, "exact")
    actual = interval_of([1.0] * groups)
    assert (actual.low, actual.high) == pytest.approx((exact.low, exact.high))
    assert actual.method == "bound"


@pytest.mark.parametrize(
    ("values", "method"),
    [
        ([1.0] * 10, "bound"),
        ([1.0] * 9 + [0.9], "bound"),
        ([1.0] * 8 + [0.9, 0.8], "bound"),
        ([1.0] * 7 + [0.9, 0.8, 0.7], "logit-t"),
        ([1.0] * 7 + [0.9, 0.8, 1.0 - 1e-13], "bound"),  # equal within 1e-12
        ([0.7] * 9 + [0.9], "bound"),
        ([0.0] * 10, "bound"),
    ],
)
def test_the_bound_is_used_where_fewer_than_three_groups_differ(values, method):
    assert interval_of(values).method == method


def test_with_the_bound_the_interval_is_the_union_of_both():
    """A failure in ten: t on the logit reaches further down, and of a small one the bound does."""
    for last, is_bound in ((0.0, (False, False)), (0.9, (True, False))):
        values = [1.0] * 9 + [last]
        actual, value = interval_of(values), float(np.mean(values))
        bound = intervals.share_bound(value, 10)
        logit = intervals.logit_interval(value, actual.se, 9)
        assert actual.low == min(logit[0], bound[0]) and actual.high == max(logit[1], bound[1])
        assert (bound[0] < logit[0], bound[1] > logit[1]) == is_bound


@given(st.integers(5, 30), st.floats(0, 1), st.lists(st.floats(0, 1), max_size=2), st.data())
def test_while_the_bound_is_in_force_a_lower_value_never_raises_the_lower_end(
    groups, most, others, data
):
    """The bound is in force where the lower end is the bound's."""
    before = [most] * (groups - len(others)) + others
    after = list(before)
    place = data.draw(st.integers(0, groups - 1))
    after[place] = data.draw(st.floats(0, after[place]))
    first, second = interval_of(before), interval_of(after)
    bound, _ = intervals.share_bound(float(np.mean(before)), groups)
    if second.method == "bound" and first.low == bound:
        assert second.low <= first.low + 1e-12


@given(st.lists(st.floats(0, 1), min_size=5, max_size=30))
def test_a_share_s_interval_holds_its_value_and_stays_within_0_and_1(values):
    actual = interval_of(values)
    assert 0 <= actual.low <= np.mean(values) + 1e-9 and np.mean(values) - 1e-9 <= actual.high <= 1


# ---- differences


def test_a_difference_is_the_share_of_half_of_one_plus_it():
    values = np.random.default_rng(0).uniform(-0.4, 0.7, 12)
    share = interval_of(((1 + values) / 2).tolist())
    actual = interval_of(values.tolist(), "difference")
    assert (actual.low, actual.high) == pytest.approx((2 * share.low - 1, 2 * share.high - 1))
    assert actual.method == "logit-t" and actual.se == pytest.approx(2 * share.se)


def test_equal_models_differ_by_at_most_the_bound():
    actual = interval_of([0.0] * 40, "difference")
    missed = 0.025 ** (1 / 40)
    assert (actual.low, actual.high) == pytest.approx((missed - 1, 1 - missed))


# ---- unbounded figures


@pytest.mark.parametrize(
    ("groups", "tail"),
    [(5, 0.000954), (10, 0.008551), (25, 0.017582), (1000, 0.024804)],
)
def test_the_tail_of_expanded_percentiles(groups, tail):
    """Φ(−√(G/(G−1)) · t.975(G−1)); the places of 0 … 1 are their shares."""
    expected = stats.norm.cdf(-math.sqrt(groups / (groups - 1)) * stats.t.ppf(0.975, groups - 1))
    assert expected == pytest.approx(tail, abs=2e-6)
    low, high = intervals.expanded_percentiles(np.linspace(0, 1, 100_001), groups - 1)
    assert (low, high) == pytest.approx((expected, 1 - expected))


def test_distances_are_resampled_ten_thousand_times_up_to_100_groups():
    for groups, resamples in ((100, 10_000), (101, 1000)):
        spread = spread_of(np.random.default_rng(1).gamma(2, 3, groups).tolist(), "unbounded")
        assert len(spread.resampled) == resamples


def test_at_100_groups_a_thousand_resamples_give_nearly_the_same():
    """Relative to the SD of the groups, the ends differ by less than .05."""
    values = np.random.default_rng(2).gamma(2, 3, 100)
    draws = draw(names(100))
    ends = [
        intervals.expanded_percentiles(resample_means(values, each), 99)
        for each in (draws, draws.for_tails())
    ]
    assert np.abs(np.subtract(*ends)).max() < 0.05 * values.std()


def test_no_event_has_the_poisson_s_exact_upper_end():
    actual = interval_of([0.0] * 12, "count")
    assert (actual.low, actual.method) == (0, "poisson")
    assert actual.high == pytest.approx(stats.chi2.ppf(0.975, 2) / 2 / 12)
    assert actual.high == pytest.approx(3.69 / 12, abs=1e-3)


@pytest.mark.parametrize("scale", ["unbounded", "penalised"])
@pytest.mark.parametrize("value", [0.0, 2.5])
def test_distances_without_spread_have_no_interval(scale, value):
    actual = interval_of([value] * 12, scale)
    assert actual.low is None and actual.method is None
    assert actual.reason == "no interval: it is the same in every group"


# ---- means over classes, AUROC


def test_satterthwaite_by_hand():
    """Variances 4 and 1 (5 groups: SE² · 5/4; 9: SE² · 9/8), df 4 and 8: 25 / (4 + 1/8) = 6.06."""
    errors = np.array([math.sqrt(4 * 4 / 5), math.sqrt(8 / 9)])
    groups = np.array([5, 9])
    assert intervals.satterthwaite(errors, groups, 20) == pytest.approx(25 / (16 / 4 + 1 / 8))
    assert intervals.satterthwaite(errors, groups, 6) == 6  # classes share groups
    assert intervals.satterthwaite(np.zeros(2), groups, 20) == 4  # no spread: the smallest class


def test_satterthwaite_is_welch_s():
    """Of the difference of two means, scipy's degrees of freedom."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 1, 7), rng.normal(0, 3, 12)
    errors = np.array([each.std(ddof=0) / math.sqrt(len(each)) for each in (first, second)])
    expected = stats.ttest_ind(first, second, equal_var=False).df
    assert intervals.satterthwaite(errors, np.array([7, 12]), 99) == pytest.approx(expected)


def test_a_mean_over_classes_counts_the_groups_of_the_smallest():
    """Twelve groups of two images; the second class is in six of them."""
    rng = np.random.default_rng(0)
    values = rng.beta(5, 2, (24, 2))
    values[12:, 1] = np.nan
    draws = draw(names(12, 2))
    counted = np.isfinite(values)
    spread = measure_spread(lambda draws: resample_means(values, draws), draws, "share")
    actual = class_mean(np.nanmean(values, axis=0), counted, spread=spread, draws=draws)
    assert (actual.n, actual.groups) == (
        12,
        6,
    ) and actual.interval == "rough: 6 groups, fewer than 10"
    errors = np.nanstd(spread.resampled, axis=0, ddof=1)
    assert actual.df == pytest.approx(intervals.satterthwaite(errors, np.array([12, 6]), 11))


def test_auroc_has_the_groups_of_the_rarer_kind():
    """Of 20 groups, 6 have present cases and 17 absent ones."""
    present = np.array([True] * 6 + [False] * 14 + [False] * 3)
    groups = [*map(str, range(20)), "0", "1", "2"]
    scores = np.random.default_rng(0).random(23) + 0.5 * present
    figure = auroc_figure(scores, present, draw(groups), "")
    assert figure.groups == 6 and figure.df == 5 and figure.n == 23


def test_the_change_when_a_group_is_left_out_decides_for_auroc():
    """Scores that separate perfectly in all groups but two: the bound."""
    present = np.array([True, False] * 12)
    scores = np.where(present, 0.9, 0.1)
    draws = draw(names(12, 2))
    assert auroc_figure(scores, present, draws, "").method == "bound"
    scores[0] = 0.0
    assert auroc_figure(scores, present, draws, "").method == "bound"
    scores[[2, 4]] = 0.0, 0.05
    assert auroc_figure(scores, present, draws, "").method == "logit-t"


# ---- when there is none, and when it is rough


@pytest.mark.parametrize(
    ("groups", "undefined", "there", "says"),
    [
        (4, 0, False, "no interval: expected at least 5 groups, got 4"),
        (5, 0, True, "rough: 5 groups, fewer than 10"),
        (9, 0, True, "rough: 9 groups, fewer than 10"),
        (10, 0, True, None),
        (20, 50, True, None),
        (20, 51, False, "no interval: undefined in 51 of 1000 resamples"),
    ],
)
def test_few_groups_and_lost_resamples(groups, undefined, there, says):
    lost = np.full(undefined, np.nan)
    resampled = np.concatenate([lost, np.linspace(0.2, 0.8, 1000 - undefined)])
    spread = Spread("share", resampled, np.linspace(0.2, 0.8, groups))
    actual = estimate_interval(0.5, spread, groups)
    assert (actual.low is not None) == there and actual.reason == says


@pytest.mark.parametrize(
    ("values", "scale", "says"),
    [
        ([0.95, 0.96, 0.97] * 8, "share", "24 groups, fewer than 25, may hide rare failures"),
        ([0.95, 0.96, 0.97] * 7 + [0.0], "share", "may hide rare failures"),
        ([0.95, 0.96, 0.97] * 6 + [0.0, 0.0], "share", None),
        ([0.95, 0.96, 0.97] * 9, "share", None),  # 27 groups
        ([0.65, 0.76, 0.77] * 7, "share", None),
        ([1.0, 2.0, 3.0] * 13, "penalised", "39 groups, fewer than 40"),
        ([1.0, 2.0, 3.0] * 14, "penalised", None),
        ([1.0, 2.0, 3.0] * 4, "unbounded", None),
    ],
)
def test_what_is_rough(values, scale, says):
    actual = interval_of(values, scale)
    assert actual.low is not None
    assert (actual.reason is None) if says is None else (says in actual.reason)


def test_groups_widen_the_interval():
    """25 animals × 20 frames with equal spread between and within: frames taken as independent are
    far too sure.
    """
    rng = np.random.default_rng(0)
    animal = np.repeat(np.arange(25), 20)
    values = rng.normal(0, 1, 25)[animal] + rng.normal(0, 1, 500)

    def width(groups: list[str]) -> float:
        figure = mean_figure(values, draw(groups), "", "unbounded")
        return figure.high - figure.low

    assert width([str(a) for a in animal]) > 2.5 * width([str(n) for n in range(500)])


def test_enough_groups_are_looked_at_and_no_more():
    """Of 1,000 groups the first 100 suffice where three of them differ; else all are needed."""
    calls = []

    def figure(draws: Draws) -> np.ndarray:
        calls.append(len(draws.weights))
        return resample_means(values, draws)

    values = np.random.default_rng(0).random(1000)
    assert len(measure_spread(figure, draw(names(1000)), "share").by_group) == 100
    values = np.append(np.ones(997), [0.1, 0.2, 0.3])
    spread = measure_spread(figure, draw(names(1000)), "share")
    assert intervals.count_different(spread.by_group) == 3 and max(calls) == 1000


# ---- coverage


@pytest.mark.simulate
def test_five_groups_cover_with_t_and_do_not_with_the_normal_s_quantile(monkeypatch):
    """Logit-normal values (1.0, .9) of 5 groups of 8 images that correlate by .5."""
    truth = float(np.mean(1 / (1 + np.exp(-np.random.default_rng(1).normal(1, 0.9, 10**6)))))

    def coverage() -> float:
        rng, draws, covered = np.random.default_rng(0), draw(names(5, 8)), 0
        for _ in range(1000):
            logit = 1 + 0.9 * math.sqrt(0.5) * (
                rng.standard_normal(5).repeat(8) + rng.standard_normal(40)
            )
            figure: Figure = mean_figure(1 / (1 + np.exp(-logit)), draws, "", "share")
            covered += figure.low <= truth <= figure.high
        return covered / 1000

    assert coverage() >= 0.92  # .90 is required; the standard error is .009
    monkeypatch.setattr(intervals, "t_quantile", lambda df, tail=0.025: 1.96)
    assert coverage() < 0.90
