"""What the tests of several models share."""

from __future__ import annotations

import math

import pytest


@pytest.fixture
def checkpoint_each_epoch(monkeypatch) -> None:
    """However little time an epoch takes."""
    monkeypatch.setattr("usbench.models.checkpoints.SHARE", math.inf)
