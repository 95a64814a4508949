"""Landmarks as a net sees them: places in its pixels, moved with the image, rendered as heat maps.

Places are x, y with pixel centres at whole numbers, so a stretch takes half a pixel into account.
Each name has `SAMPLES` places per image: a curve at equal steps of arc along its spline, a point
repeated; two more rows hold its state and the native image's size, so that a batch is gathered from
one array.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from usbench.models.arrays import Encoding
from usbench.models.augment import draw_affine, sample_images, shade, to_grid
from usbench.models.device import constant, send
from usbench.models.loop_keys import Augment
from usbench.types import BLURRED, SEEN, Landmarks, Sample, curve_through, resample_curve

SAMPLES = 64
STATE = SAMPLES  # row of the state, twice
NATIVE = SAMPLES + 1  # row of the native image's width and height
ROWS = SAMPLES + 2


def stretch(
    places: NDArray[np.floating], source: tuple[int, ...], target: tuple[int, ...]
) -> NDArray[np.float64]:
    """Places (…, 2) xy of an image of (height, width) `source`, stretched to `target`."""
    scale = np.array([target[1] / source[1], target[0] / source[0]], np.float64)
    return (np.asarray(places, np.float64) + 0.5) * scale - 0.5


# ---- storing


def to_marks(sample: Sample, size: tuple[int, int]) -> NDArray[np.float32]:
    """Encode a target as (K, ROWS, 2) float32 at the net's size (h, w).

    Places of what isn't seen are 0. The spline runs through the knots in native px: stretched
    knots would have other chords and another curve.
    """
    assert isinstance(sample.target, Landmarks)
    marks = np.zeros((len(sample.target.paths), ROWS, 2), np.float32)
    marks[:, STATE] = sample.target.state[:, None]
    marks[:, NATIVE] = sample.image.shape[::-1]
    for n in np.flatnonzero(sample.target.state == SEEN):
        curve = stretch(curve_through(sample.target.paths[n]), sample.image.shape, size)
        marks[n, :SAMPLES] = sample_evenly(curve, SAMPLES)
    return marks


def sample_evenly(line: NDArray[np.floating], n: int) -> NDArray[np.float64]:
    """n ≥ 2 places at equal steps of arc along a polyline (N, 2), both ends included.

    A polyline without length is one place, repeated.
    """
    arc = float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum())
    if arc:
        return resample_curve(line, arc / (n - 1))
    return np.repeat(np.asarray(line, np.float64)[:1], n, axis=0)


MARKS = Encoding(f"marks{SAMPLES}", 2, to_marks)


def curves_of(marks: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(N, K, ROWS, 2) → (K,): which names are seen as a curve anywhere.

    A name that is never seen counts as a point.
    """
    spread = (marks[:, :, 1:SAMPLES] != marks[:, :, :1]).any((2, 3))
    return cast(NDArray[np.bool_], (spread & (marks[:, :, STATE, 0] == SEEN)).any(0))


def native_size(marks: NDArray[np.float32]) -> tuple[int, int]:
    """(height, width) of the native image; marks: (K, ROWS, 2)."""
    width, height = marks[0, NATIVE]
    return int(height), int(width)


def to_target(
    marks: NDArray[np.float32], curves: NDArray[np.bool_], size: tuple[int, int]
) -> Landmarks:
    """One image's (K, ROWS, 2) as a target in native px.

    Args:
        curves: (K,), which names are curves.
        size: (height, width) of the image in whose px the marks are.
    """
    state = marks[:, STATE, 0].astype(np.int8)
    lengths = np.where(state != SEEN, 0, np.where(curves, SAMPLES, 1))
    native = stretch(marks[:, :SAMPLES], size, native_size(marks)).astype(np.float32)
    return Landmarks(tuple(places[:n] for places, n in zip(native, lengths, strict=True)), state)


# ---- augmentation


def augment_marks(
    images: Tensor, marks: Tensor, ranges: Augment, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Augment a batch as `usbench.models.augment.augment` does.

    The image is sampled through the map from output to input, so its places go through the
    inverse. A flip doesn't swap left and right names.

    Args:
        images: (B, h, w) uint8.
        marks: (B, K, ROWS, 2).
    """
    size = (images.shape[1], images.shape[2])
    matrix = draw_affine(len(images), size, ranges, rng)
    moved = sample_images(images, to_grid(images, matrix))
    paths = move_places(marks[:, :, :SAMPLES], send(matrix, marks.device), size)
    return shade(moved, ranges, rng), torch.cat([paths, marks[:, :, SAMPLES:]], 2)


def move_places(places: Tensor, matrix: Tensor, size: tuple[int, int]) -> Tensor:
    """Places (B, K, P, 2) of the input image where the output image has them.

    Args:
        matrix: (B, 2, 3) from output to input in the unit square of
            `torch.nn.functional.affine_grid`, whose −1 and 1 are the image's edges.
        size: (height, width) px.
    """
    sides = constant([size[1], size[0]], places)
    unit = (2 * places + 1) / sides - 1 - matrix[:, None, None, :, 2]
    a, b, c, d = (matrix[:, i, j, None, None] for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)))
    x, y = unit[..., 0], unit[..., 1]
    inverse = torch.stack([d * x - b * y, a * y - c * x], -1) / (a * d - b * c)[..., None]
    return ((inverse + 1) * sides - 1) / 2


# ---- rendering


def render(
    marks: Tensor,
    curves: Tensor,
    size: tuple[int, int],
    heat: tuple[int, ...],
    sd_point: float,
    sd_curve: float,
) -> Tensor:
    """Heat maps of places (the recipe of Unity Imaging).

    A point is exp(−d²/2·sd²) of the distance to it, a curve that of the distance to its line.
    What isn't SEEN is 0 all over, and so is what lies far outside the image: what
    augmentation pushed out of the picture isn't in it.

    Args:
        marks: (B, K, ROWS, 2) in px of an image of (height, width) `size`.
        curves: (K,) bool, on the CPU, so that it costs no sync.
        heat: (height, width) of the maps.
        sd_point, sd_curve: heat-map px.

    Returns:
        (B, K, *heat) in 0..1.
    """
    scale = constant([heat[1] / size[1], heat[0] / size[0]], marks)
    places = (marks[:, :, :SAMPLES] + 0.5) * scale - 0.5
    seen = (marks[:, :, STATE, 0] == SEEN).to(places.dtype)[:, :, None, None]
    across = gaussian(places[:, :, 0, 0], heat[1], sd_point)
    down = gaussian(places[:, :, 0, 1], heat[0], sd_point)
    planes = seen * (down[..., :, None] * across[..., None, :])
    index = send(torch.nonzero(curves)[:, 0], places.device)
    if len(index):
        lines = seen[:, index] * curve_planes(places[:, index], heat, sd_curve)
        return planes.index_copy(1, index, lines)
    return planes


def known_names(marks: Tensor) -> Tensor:
    """(B, K) of 1 where the loss counts, 0 where nobody knows; marks: (B, K, ROWS, 2)."""
    return (marks[:, :, STATE, 0] != BLURRED).to(marks.dtype)


def gaussian(centre: Tensor, n: int, sd: float) -> Tensor:
    """Gaussians about centres (B, K) at n whole places: (B, K, n)."""
    places = torch.arange(n, dtype=centre.dtype, device=centre.device)
    return torch.exp(-((places - centre[..., None]) ** 2) * (0.5 / sd**2))


def curve_planes(line: Tensor, heat: tuple[int, ...], sd: float) -> Tensor:
    """Gaussians about polylines (B, C, P, 2): (B, C, *heat).

    One segment after the other, with a running minimum, so memory is that of the planes. With t
    the projection onto the segment's direction, clamped to its length,
    d² = |p − start|² + t(t − 2·projection).
    """
    x = torch.arange(heat[1], dtype=line.dtype, device=line.device)
    y = torch.arange(heat[0], dtype=line.dtype, device=line.device)
    steps = line[:, :, 1:] - line[:, :, :-1]
    lengths = steps.norm(dim=-1)
    directions = steps / lengths.clamp(min=1e-6)[..., None]
    nearest = line.new_full((*line.shape[:2], *heat), torch.inf)
    for n in range(line.shape[2] - 1):
        right, below = x - line[:, :, n, 0, None], y - line[:, :, n, 1, None]
        along_y = (below * directions[:, :, n, 1, None])[..., None]
        along = along_y + (right * directions[:, :, n, 0, None])[..., None, :]
        t = torch.minimum(along.clamp(min=0), lengths[:, :, n, None, None])
        square = torch.add(t, along, alpha=-2.0).mul_(t)
        square += (below**2)[..., None]
        square += (right**2)[..., None, :]
        nearest = torch.minimum(nearest, square, out=nearest)
    return torch.exp(nearest.clamp_(min=0) * (-0.5 / sd**2))
