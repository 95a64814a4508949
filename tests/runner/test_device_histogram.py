"""Histograms of probabilities on a device, against those of NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers.devices import DEVICES
from usbench.results.predictions import probability_histogram
from usbench.runner.device_histogram import histogram_on
from usbench.types import Masks


@pytest.mark.parametrize("device", DEVICES)
def test_a_device_counts_what_numpy_counts(device):
    rng = np.random.default_rng(0)
    probabilities = rng.random((3, 40, 50), np.float32)
    probabilities[0, 0, :4] = 0, 1, 1 / 15, 0.5
    target = Masks(rng.random((3, 40, 50)) < 0.3, known=np.array([True, True, False]))
    expected = probability_histogram(target, probabilities)
    np.testing.assert_allclose(histogram_on(device)(target, probabilities), expected, rtol=1e-12)
    assert not expected[2].any()
