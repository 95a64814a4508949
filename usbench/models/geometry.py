"""Native pixels ↔ the net's pixels.

An image is stretched to the net's size (no letterbox: pixels of ultrasound are rarely square, and
all images of a view share one aspect ratio). Logits are stretched back before a class is chosen.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


def image_to_net(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W) grey → (h, w) grey, bilinear, antialiased where it shrinks."""
    pixels = torch.from_numpy(np.ascontiguousarray(image))[None, None].float()
    small = F.interpolate(pixels, size=size, mode="bilinear", align_corners=False, antialias=True)
    return small[0, 0].round().clamp(0, 255).byte().numpy()


def planes_to_net(planes: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.uint8]:
    """(C, H, W) → (C, h, w) of 0 and 1: the nearest native pixel's centre."""
    rows = nearest_pixels(planes.shape[1], size[0])
    columns = nearest_pixels(planes.shape[2], size[1])
    return planes.take(rows, axis=1).take(columns, axis=2).view(np.uint8)


def nearest_pixels(source: int, target: int) -> NDArray[np.int64]:
    """(target,): for each pixel of a row of `target`, the nearest of `source` pixels' centres."""
    # Resampling the pixels' numbers is exact in float32: a row is far below 2**24 px.
    numbers = torch.arange(source, dtype=torch.float32)[None, None]
    return F.interpolate(numbers, size=target, mode="nearest-exact")[0, 0].long().numpy()


def logits_to_native(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """(C, h, w) → (C, H, W) float32, bilinear between pixel centres."""
    return F.interpolate(logits[None].float(), size=size, mode="bilinear", align_corners=False)[0]
