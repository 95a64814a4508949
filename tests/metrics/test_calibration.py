"""Expected calibration error: by hand, against torchmetrics, and with weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.classification import binary_calibration_error

from usbench.metrics.bootstrap import draw
from usbench.metrics.calibration import BINS, ece, ece_figure, histogram


def ece_of(confidence: list[float], right: list[bool]) -> float:
    sure = np.array(confidence)
    return float(
        ece(histogram(sure, np.array(right, bool), np.zeros(len(sure), np.int64), 1).sum(axis=0))
    )


@pytest.mark.parametrize(
    ("confidence", "right", "expected"),
    [
        ([1.0, 1.0, 0.0], [True, True, False], 0.0),
        ([1.0, 0.0], [False, True], 1.0),
        ([0.5, 0.5], [True, False], 0.0),
        ([0.52, 0.48], [True, False], 0.0),  # one bin, 7/15 … 8/15: mean .5, half are right
        ([0.9, 0.9, 0.1, 0.1], [True, False, False, False], (2 * 0.4 + 2 * 0.1) / 4),
        ([0.95, 0.9], [True, False], (0.05 + 0.9) / 2),  # 14/15 = .933 lies between them
        (
            [1 / 15, 0.0],
            [False, True],
            0.5 - 1 / 30,
        ),  # one bin: it has its upper end, the first has 0 too
    ],
)
def test_by_hand(confidence, right, expected):
    assert ece_of(confidence, right) == pytest.approx(expected)


def test_without_a_prediction_it_is_undefined():
    assert np.isnan(ece_of([], []))
    figure = ece_figure(np.zeros((3, BINS, 3)), draw(list("abc")), "no box")
    assert figure.value is None and figure.reason == "no box" and figure.n == 0


@pytest.mark.parametrize("seed", range(3))
def test_parity_with_torchmetrics(seed):
    rng = np.random.default_rng(seed)
    confidence = rng.random(500)
    right = rng.random(500) < confidence**2
    theirs = binary_calibration_error(
        torch.tensor(confidence), torch.tensor(right).long(), n_bins=15, norm="l1"
    )
    assert ece_of(confidence.tolist(), right.tolist()) == pytest.approx(float(theirs), abs=1e-6)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1), st.booleans()), max_size=20),
    st.integers(0, 9),
)
@settings(max_examples=50)
def test_every_resample_is_the_error_of_the_cases_it_lists(predictions, seed):
    case = np.array([n for n, *_ in predictions], np.int64)
    confidence, right = (
        np.array([c for _, c, _ in predictions], float),
        np.array([r for *_, r in predictions], bool),
    )
    bins = histogram(confidence, right, case, 4)
    assert bins.sum(axis=(0, 1)) == pytest.approx([len(predictions), confidence.sum(), right.sum()])
    draws = draw(list("abca"), 5, seed)
    for weights in draws.case_weights.astype(int):
        listed = np.repeat(np.arange(len(predictions)), weights[case] if len(case) else 0)
        expected = ece_of(confidence[listed].tolist(), right[listed].tolist())
        actual = float(ece(np.tensordot(weights, bins, axes=1)))
        assert actual == pytest.approx(expected, nan_ok=True, abs=1e-12)
