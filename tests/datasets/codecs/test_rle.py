"""COCO's compressed run lengths: by hand, damaged, and parity with pycocotools."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as reference

from usbench.datasets.codecs import rle


@pytest.mark.parametrize(
    ("text", "height", "width", "expected"),
    [
        ("22", 2, 2, [[0, 1], [0, 1]]),
        ("04", 2, 2, [[1, 1], [1, 1]]),
        ("4", 2, 2, [[0, 0], [0, 0]]),
        ("1120", 5, 1, [[0], [1], [0], [0], [1]]),  # runs 1 1 2 1, the fourth as 1 - 1 = 0
        ("312N", 6, 1, None),  # the fourth run 1 - 2 = -1
        ("T3", 50, 2, "zeros"),  # 100 = 4 + 3·32: 'T' = 48 + 32 + 4, '3' = 48 + 3
    ],
)
def test_run_lengths_by_hand(text: str, height: int, width: int, expected: object) -> None:
    if expected is None:
        with pytest.raises(ValueError, match="negative"):
            rle.decode_rle(text, (height, width))
        return
    plane = rle.decode_rle(text, (height, width))
    expected = np.zeros((height, width), int).tolist() if expected == "zeros" else expected
    assert plane.dtype == bool and plane.astype(int).tolist() == expected
    assert rle.encode_rle(plane) == text


@pytest.mark.parametrize(
    "text", ["", "5", "3", "T", "ooooooooooo1", "4~", "4é", "2 2", "2O5", "TPPPPPPPP0"]
)
def test_bad_run_lengths(text: str) -> None:
    with pytest.raises(ValueError):
        rle.decode_rle(text, (2, 2))


PLANES = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=40))


@settings(max_examples=150, deadline=None)
@given(PLANES)
@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
def test_run_lengths_equal_pycocotools(plane: np.ndarray) -> None:
    encoded = reference.encode(np.asfortranarray(plane, np.uint8))
    assert rle.encode_rle(plane) == encoded["counts"].decode()
    assert (
        rle.decode_rle(rle.encode_rle(plane), plane.shape) == reference.decode(encoded).astype(bool)
    ).all()


@settings(max_examples=200, deadline=None)
@given(
    st.text(alphabet=[chr(code) for code in range(45, 116)], max_size=12),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_any_run_lengths_give_a_plane_or_value_error(text: str, height: int, width: int) -> None:
    with suppress(ValueError):
        assert rle.decode_rle(text, (height, width)).shape == (height, width)
