"""Cluster bootstrap: by hand, and against resampling done the long way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usbench.metrics import mask_protocols
from usbench.metrics.bootstrap import draw, resample_means, resample_sums

GROUPS = ["pig 2", "pig 2", "pig 1", "pig 3", "pig 2", "pig 1"]


def test_a_resample_draws_as_many_groups_as_there_are_and_whole_ones():
    draws = draw(GROUPS, 50)
    assert draws.weights.shape == (50, 3) and (draws.weights.sum(axis=1) == 3).all()
    assert draws.index.tolist() == [0, 0, 1, 2, 0, 1]  # numbered as they first appear
    assert np.array_equal(draws.case_weights[:, 0], draws.case_weights[:, 4])
    assert (
        draws.weights.max() > 1 and abs(draw(GROUPS, 20_000).weights.mean(axis=0) - 1).max() < 0.02
    )


def test_names_do_not_matter_and_the_seed_does():
    hashed = [{"pig 1": "z", "pig 2": "y", "pig 3": "a"}[name] for name in GROUPS]
    assert np.array_equal(draw(GROUPS).weights, draw(hashed).weights)
    assert not np.array_equal(draw(GROUPS).weights, draw(GROUPS, seed=1).weights)


def test_the_stream_is_pinned():
    """The same draws in every version of NumPy: intervals in committed results can be reproduced."""
    assert draw(["a", "b", "c", "d"], 3).weights.tolist() == [
        [2, 1, 1, 0],
        [0, 0, 2, 2],
        [1, 0, 1, 2],
    ]


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=12), st.integers(0, 5), st.data())
def test_weighting_is_listing_the_cases_again(groups, seed, data):
    numbers = st.floats(-5, 5) | st.just(np.nan)
    values = np.array(
        data.draw(st.lists(numbers, min_size=len(groups), max_size=len(groups))), np.float64
    )
    draws = draw(groups, 4, seed)
    for resample, weights in enumerate(draws.case_weights.astype(int)):
        listed = np.repeat(values, weights)
        defined = listed[np.isfinite(listed)]
        expected = defined.mean() if len(defined) else np.nan
        assert resample_means(values, draws)[resample] == pytest.approx(expected, nan_ok=True)
    assert np.allclose(
        resample_sums(np.ones((len(groups), 2)), draws), draws.case_weights.sum(axis=1)[:, None]
    )


def test_more_resamples_begin_with_the_same_ones():
    draws = draw(GROUPS)
    assert np.array_equal(draws.for_tails().weights[:1000], draws.weights)
    assert len(draws.for_tails().weights) == 10_000


def test_single_groups_and_all_others():
    draws = draw(GROUPS)
    assert draws.single_groups(range(1, 3)).weights.tolist() == [[0, 1, 0], [0, 0, 1]]
    assert draws.without_groups(range(1, 3)).weights.tolist() == [[1, 0, 1], [1, 1, 0]]
    assert draws.all_cases().weights.tolist() == [[1, 1, 1]]


def test_masks_get_standard_errors_in_each_order_of_averaging():
    rng = np.random.default_rng(1)
    table = rng.integers(0, 50, (40, 2, 3))
    table[:, 1] *= rng.random((40, 1)) < 0.5  # the second class is often absent
    known = np.ones((40, 2), bool)
    draws = draw([str(n // 2) for n in range(40)], 50)
    for name in ("usbench", "image-first", "pooled", "kidneyus"):
        rule = mask_protocols.find_protocol(name)
        figure, _ = mask_protocols.average_measure(rule.dice, rule.order, table, known, draws)
        resampled = []
        for weights in draws.case_weights.astype(int):
            listed = np.repeat(table, weights, axis=0)
            resampled.append(
                mask_protocols.average_measure(
                    rule.dice, rule.order, listed, np.ones((len(listed), 2), bool)
                )[0].value
            )
        assert figure.se == pytest.approx(np.std(np.array(resampled, float), ddof=1)), name
