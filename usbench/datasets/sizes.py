"""The size at which a network sees a dataset's images."""

from __future__ import annotations

import math

MULTIPLE = 32  # px: what the encoders' strides divide


def fit_size(side: int, native: tuple[int, int]) -> list[int]:
    """A network's [height, width]: about side² pixels in the native aspect ratio.

    Args:
        side: the side in px that a square input would have.
        native: usual (height, width) of the dataset's images, px.

    Returns:
        Two multiples of 32.
    """
    ratio = math.sqrt(native[0] / native[1])
    return [max(1, round(length / MULTIPLE)) * MULTIPLE for length in (side * ratio, side / ratio)]
