"""Head circumferences of HC18's own masks against those in its table."""

from __future__ import annotations

import os
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

import usbench
from usbench.metrics.measures.regions import Region
from usbench.types import Masks

REAL = os.environ.get("USBENCH_TEST_DATA", "")


@pytest.mark.real
@pytest.mark.skipif(
    not (Path(REAL) / "hc18").is_dir() or not REAL, reason="USBENCH_TEST_DATA has no hc18 folder"
)
def test_the_circumferences_of_hc18_s_masks_are_those_of_its_table():
    """The masks hold the drawn line, so their outline is half a line longer: .7 % on average."""
    data = usbench.load_dataset("hc18", data=REAL, task="segment")
    errors = []
    for sample in chain(data.train, data.val, data.test):
        assert isinstance(sample.target, Masks) and sample.mm_per_px is not None
        ellipse = Region(sample.target.planes[0], sample.mm_per_px).ellipse
        assert ellipse is not None, sample.id
        errors.append(ellipse.circumference / float(sample.attributes["circumference_mm"]) - 1)
    assert len(errors) == 999
    assert np.median(np.abs(errors)) < 0.01 and np.abs(errors).max() < 0.02
