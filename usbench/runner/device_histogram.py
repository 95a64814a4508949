"""Histograms of probabilities, computed on the run's device."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from usbench.metrics.calibration import BINS
from usbench.results.predictions import Histogram
from usbench.types import Masks, Target


def histogram_on(device: str) -> Histogram:
    """`usbench.results.predictions.probability_histogram`, computed on a device.

    The sums are in double precision; their order, and so the last bits, isn't fixed on a GPU.
    """
    import torch

    from usbench.models.device import send

    def count(target: Target, probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
        assert isinstance(target, Masks)
        confidence = send(torch.from_numpy(probabilities), device).double().flatten(1)
        right = send(torch.from_numpy(target.planes), device).double().flatten(1)
        first = torch.arange(len(confidence), device=device)[:, None] * BINS
        place = (confidence * BINS).ceil().long().sub(1).clamp(0, BINS - 1) + first
        columns = [
            torch.bincount(place.flatten(), values.flatten(), len(confidence) * BINS)
            for values in (torch.ones_like(confidence), confidence, right)
        ]
        table = torch.stack(columns, 1).view(-1, BINS, 3).cpu().numpy()
        if target.known is not None:
            table[~target.known] = 0
        return cast(NDArray[np.float64], table)

    return count
