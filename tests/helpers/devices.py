"""The devices of tests that a GPU runs, too."""

from __future__ import annotations

import pytest
import torch

CUDA = pytest.param(
    "cuda:0",
    marks=[
        pytest.mark.gpu,
        pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    ],
)
DEVICES = ["cpu", CUDA]
TRAINING_DEVICES = [pytest.param("cpu", marks=pytest.mark.train), CUDA]
