"""Ratios and means of arrays that are NaN where they are undefined, without warnings."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> NDArray[np.float64]:
    """Element-wise numerator / denominator; NaN where the denominator, a count, is 0."""
    return np.where(denominator > 0, numerator / np.maximum(denominator, 1), np.nan)


def mean_defined(values: NDArray[np.float64], axis: int | None = None) -> NDArray[np.float64]:
    """Mean over the finite values; NaN where there are none."""
    defined = np.isfinite(values)
    return ratio(np.where(defined, values, 0).sum(axis=axis), defined.sum(axis=axis))
