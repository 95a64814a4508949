"""How the end of a run is explained in one line."""

from __future__ import annotations

import pytest
import torch

from usbench.errors import DataError
from usbench.runner.child import explain_failure


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (DataError("a.png: expected a mask,\ngot none"), "a.png: expected a mask, got none"),
        (FileNotFoundError(2, "No such file or directory", "a.png"), "a.png: No such file"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to"), "the GPU's memory is full; use"),
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero (debug=true shows where)"),
    ],
)
def test_an_end_is_one_line_with_what_to_do(error, expected):
    reason = explain_failure(error)
    assert reason.startswith(expected) and "\n" not in reason
