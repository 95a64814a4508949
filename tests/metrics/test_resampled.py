"""Figures with weights: weight 2 is a case listed twice, for every kind of figure."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usbench.metrics import case_figures, chunks
from usbench.metrics.bootstrap import draw

CASES = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from([0.0, 0.2, 0.5, 0.9]), st.booleans()),
    min_size=2,
    max_size=12,
)


@given(CASES, st.integers(0, 9))
def test_every_resample_is_the_plain_figure_of_the_cases_it_lists(cases, seed):
    groups, scores, present = zip(*cases, strict=True)
    draws = draw(groups, 3, seed)
    areas = case_figures.resample_aurocs(np.array(scores), np.array(present), draws)
    spreads = case_figures.resample_sds(np.array(scores), draws)
    for n, weights in enumerate(draws.case_weights.astype(int)):
        listed = np.repeat(np.array(scores), weights)
        area = case_figures.auroc(listed.tolist(), np.repeat(np.array(present), weights).tolist())
        assert areas[n] == pytest.approx(np.nan if area is None else area, nan_ok=True)
        spread = listed.std(ddof=1) if len(listed) > 1 else np.nan
        assert spreads[n] == pytest.approx(spread, nan_ok=True, abs=1e-7)


def test_figures_by_hand():
    draws = draw(list("abcdefghijkl"))
    scores = [0.9, 0.8, 0.8, 0.7, 0.6, 0.5, 0.4, 0.4, 0.3, 0.2, 0.1, 0.0]
    present = [True, True, False, True, True, False, True, False, False, False, False, False]
    # 5 present, 7 absent: of 35 pairs won .9: 7, .8: 6.5, .7: 6, .6: 6, .4: 4.5 → 30 / 35
    area = case_figures.auroc_figure(scores, present, draws, "")
    assert area.value == pytest.approx(30 / 35) and area.low < area.value <= area.high <= 1
    # at .5: 6 found, 4 of them right, 5 present: 8 / 11
    assert case_figures.f1_figure(scores, present, 0.5, draws, "").value == pytest.approx(8 / 11)
    mean = case_figures.mean_figure(scores, draws, "", "share")
    assert (
        mean.value == pytest.approx(np.mean(scores))
        and mean.low < mean.value < mean.high
        and mean.interval is None
    )
    assert case_figures.sd_figure(scores, draws, "").value == pytest.approx(np.std(scores, ddof=1))
    median = case_figures.median_figure(scores, draws, "")
    assert (median.value, median.low, median.interval) == (0.45, None, "no interval: a median")


def test_nothing_has_no_figure_but_a_reason():
    draws = draw([])
    figures = [
        case_figures.mean_figure([], draws, "none", "share"),
        case_figures.sd_figure([], draws, "none"),
        case_figures.median_figure([], draws, "none"),
    ]
    assert [figure.reason for figure in figures] == ["none"] * 3


def test_one_kind_only_has_no_area():
    draws = draw(["a", "b"])
    assert (
        case_figures.auroc_figure([0.1, 0.2], [True, True], draws, "only seen").reason
        == "only seen"
    )
    assert (
        case_figures.f1_figure([0.1, 0.2], [False, False], 0.5, draws, "nothing").reason
        == "nothing"
    )


def test_resamples_are_taken_some_at_a_time_with_the_same_result(monkeypatch):
    rng = np.random.default_rng(0)
    scores, present = rng.random(50), rng.random(50) < 0.4
    draws = draw([str(n % 9) for n in range(50)])
    whole = case_figures.resample_aurocs(scores, present, draws)
    monkeypatch.setattr(chunks, "CHUNK", 60)
    assert np.array_equal(
        case_figures.resample_aurocs(scores, present, draws), whole, equal_nan=True
    )
