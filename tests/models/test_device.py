"""Tensors that go to a device. What only a GPU does is tested in test_cuda.py."""

from __future__ import annotations

import pytest
import torch

from usbench.models.device import CUDA_BATCH, batch_on, constant, send


def test_a_constant_is_made_once_per_type():
    single, double = torch.zeros(1), torch.zeros(1, dtype=torch.float64)
    assert constant([1, 2.5], single).tolist() == [1, 2.5]
    assert constant((1, 2.5), single) is constant([1, 2.5], single)
    assert constant([1, 2.5], double).dtype == torch.float64


def test_a_constant_made_while_predicting_may_train():
    with torch.inference_mode():
        assert not constant([7.125], torch.zeros(1)).is_inference()


def test_nothing_is_copied_on_a_cpu():
    figures = torch.rand(3)
    assert send(figures, "cpu") is figures


@pytest.mark.parametrize(
    ("device", "batch", "expected"), [("cpu", 8, 8), ("cuda:0", 8, CUDA_BATCH), ("cuda:1", 96, 96)]
)
def test_a_gpu_predicts_more_images_together(device, batch, expected):
    assert batch_on(device, batch) == expected
