"""Augmentation of a whole batch on the device: image and target move together.

All random figures are drawn on the CPU from one generator, so the same seed gives the same
augmentation on any device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Augment:
    """Ranges of a uniform draw per image; 0 switches a step off."""

    hflip: float = 0.5  # probability
    vflip: float = 0.0  # probability
    rotate: float = 0.0  # ± degrees
    scale: float = 0.0  # ± fraction, on a logarithmic scale
    shift: float = 0.0  # ± fraction of the side
    shear: float = 0.0  # ± degrees, along the rows
    gamma: float = 0.0  # exponent between 1/(1+g) and 1+g
    brightness: float = 0.0  # ± fraction of full scale
    contrast: float = 0.0  # ± fraction around mid-grey
    noise: float = 0.0  # up to this SD, as a fraction of full scale


def draw(n: int, low: float, high: float, rng: torch.Generator) -> Tensor:
    """(n,) float32, uniform."""
    return low + (high - low) * torch.rand(n, generator=rng)


def draw_affine(n: int, size: tuple[int, int], ranges: Augment, rng: torch.Generator) -> Tensor:
    """Draw the affine map of each image.

    The rotation is one of pixels, so the matrix carries the image's aspect ratio.

    Args:
        size: (height, width).

    Returns:
        (n, 2, 3): maps from output to input, in the unit square of
        `torch.nn.functional.affine_grid`.
    """
    height, width = size
    angle = draw(n, -ranges.rotate, ranges.rotate, rng) * math.pi / 180
    zoom = torch.exp(draw(n, -1, 1, rng) * math.log1p(ranges.scale))
    across = torch.where(draw(n, 0, 1, rng) < ranges.hflip, -1.0, 1.0)
    down = torch.where(draw(n, 0, 1, rng) < ranges.vflip, -1.0, 1.0)
    cos, sin, aspect = torch.cos(angle) / zoom, torch.sin(angle) / zoom, height / width
    rows = [cos * across, -sin * aspect * down, 2 * draw(n, -ranges.shift, ranges.shift, rng)]
    rows += [sin / aspect * across, cos * down, 2 * draw(n, -ranges.shift, ranges.shift, rng)]
    matrix = torch.stack(rows, 1).view(n, 2, 3)
    if ranges.shear:  # nothing is drawn without it, so that older recipes draw as before
        slope = torch.tan(draw(n, -ranges.shear, ranges.shear, rng) * math.pi / 180) * aspect
        matrix[:, :, 1] += matrix[:, :, 0] * slope[:, None]
    return matrix


def augment(
    images: Tensor, targets: Tensor, ranges: Augment, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Augment a batch. What enters from outside the image is black and background.

    Args:
        images: (B, h, w) uint8.
        targets: (B, K, h, w) uint8, an index plane or one plane per class.

    Returns:
        Images (B, 1, h, w) float32 in 0..1, and targets of the shape and type given.
    """
    height, width = images.shape[1:]
    grid = to_grid(images, draw_affine(len(images), (height, width), ranges, rng))
    moved = sample_images(images, grid)
    return shade(moved, ranges, rng), sample_targets(targets, grid)


def to_grid(images: Tensor, matrix: Tensor) -> Tensor:
    """The places (B, h, w, 2) at which maps (B, 2, 3) read images (B, h, w), on their device."""
    size = [len(images), 1, *images.shape[1:]]
    return F.affine_grid(matrix.to(images.device), size, align_corners=False)


def sample_images(images: Tensor, grid: Tensor) -> Tensor:
    """Read (B, h, w) uint8 at a grid, bilinear: (B, 1, h, w) float32 in 0..1."""
    grey = images[:, None].float() / 255
    return F.grid_sample(grey, grid, mode="bilinear", align_corners=False)


def sample_targets(targets: Tensor, grid: Tensor) -> Tensor:
    """Read (B, K, h, w) at a grid, the nearest pixel; the type stays."""
    moved = F.grid_sample(targets.float(), grid, mode="nearest", align_corners=False)
    return moved.to(targets.dtype)


def shade(images: Tensor, ranges: Augment, rng: torch.Generator) -> Tensor:
    """Change contrast, brightness and gamma of (B, 1, h, w) in 0..1, and add noise."""
    n, device = len(images), images.device

    def draw_figure(low: float, high: float) -> Tensor:
        return draw(n, low, high, rng).to(device).view(n, 1, 1, 1)

    gain = 1 + draw_figure(-ranges.contrast, ranges.contrast)
    lift = draw_figure(-ranges.brightness, ranges.brightness)
    power = torch.exp(draw_figure(-1, 1) * math.log1p(ranges.gamma))
    shaded = ((images - 0.5) * gain + 0.5 + lift).clamp(1e-4, 1).pow(power)
    if ranges.noise:
        white = torch.randn(images.shape, generator=rng).to(device)
        shaded = shaded + draw_figure(0, ranges.noise) * white
    return shaded.clamp(0, 1)
