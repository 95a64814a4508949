"""Augmentation of a whole batch on the device: image and target move together.

Every random figure is drawn on the CPU from one generator, so the same seed gives the same augmentation on any device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Augment:
    """Ranges of a uniform draw per image; 0 switches one off."""

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


def affine(n: int, size: tuple[int, int], spec: Augment, rng: torch.Generator) -> Tensor:
    """(n, 2, 3): the maps from output to input, in the unit square of `torch.nn.functional.affine_grid`.

    The rotation is one of pixels, so the matrix carries the image's aspect ratio.
    """
    height, width = size
    angle = draw(n, -spec.rotate, spec.rotate, rng) * math.pi / 180
    zoom = torch.exp(draw(n, -1, 1, rng) * math.log1p(spec.scale))
    across = torch.where(draw(n, 0, 1, rng) < spec.hflip, -1.0, 1.0)
    down = torch.where(draw(n, 0, 1, rng) < spec.vflip, -1.0, 1.0)
    cos, sin, aspect = torch.cos(angle) / zoom, torch.sin(angle) / zoom, height / width
    rows = [cos * across, -sin * aspect * down, 2 * draw(n, -spec.shift, spec.shift, rng)]
    rows += [sin / aspect * across, cos * down, 2 * draw(n, -spec.shift, spec.shift, rng)]
    matrix = torch.stack(rows, 1).view(n, 2, 3)
    if spec.shear:  # no draw without it: the order of the others stays
        slope = torch.tan(draw(n, -spec.shear, spec.shear, rng) * math.pi / 180) * aspect
        matrix[:, :, 1] += matrix[:, :, 0] * slope[:, None]
    return matrix


def augment(
    images: Tensor, targets: Tensor, spec: Augment, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Augment a batch.

    images: (B, h, w) uint8; targets: (B, K, h, w) uint8 (an index plane, or one plane per class).
    Returns images (B, 1, h, w) float32 in 0..1 and targets of the same shape and type as given. What comes in from
    outside the image is black and background.
    """
    moved, grid = warp(images, affine(len(images), (images.shape[1], images.shape[2]), spec, rng))
    marked = F.grid_sample(targets.float(), grid, mode="nearest", align_corners=False).to(
        targets.dtype
    )
    return shade(moved, spec, rng), marked


def warp(images: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor]:
    """(B, h, w) uint8 moved by the maps of `affine`: (B, 1, h, w) float32 in 0..1, and the grid it was sampled at."""
    n, height, width = images.shape
    grid = F.affine_grid(matrix.to(images.device), [n, 1, height, width], align_corners=False)
    return F.grid_sample(
        images[:, None].float() / 255, grid, mode="bilinear", align_corners=False
    ), grid


def shade(images: Tensor, spec: Augment, rng: torch.Generator) -> Tensor:
    """Gain, contrast, gamma and noise of (B, 1, h, w) in 0..1."""
    n, device = len(images), images.device

    def figure(low: float, high: float) -> Tensor:
        return draw(n, low, high, rng).to(device).view(n, 1, 1, 1)

    gain = 1 + figure(-spec.contrast, spec.contrast)
    lift = figure(-spec.brightness, spec.brightness)
    power = torch.exp(figure(-1, 1) * math.log1p(spec.gamma))
    shaded = ((images - 0.5) * gain + 0.5 + lift).clamp(1e-4, 1).pow(power)
    if spec.noise:
        white = torch.randn(images.shape, generator=rng).to(device)
        shaded = shaded + figure(0, spec.noise) * white
    return shaded.clamp(0, 1)
