"""Augmentation of a whole batch on the device: image and target move together.

All random figures are drawn on the CPU from one generator, so the same seed gives the same
augmentation on any device. All steps that move pixels are one resampling.

There are two kinds: ranges of each figure (`Augment`), and a pipeline of steps with probabilities,
as papers with albumentations state it (`Pipeline`). Shifts of hue and saturation do nothing to a
grey image and are left out.
"""

from __future__ import annotations

import math
from functools import reduce
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from usbench.models.device import send
from usbench.models.loop_keys import Augment, Pipeline


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
    return shade(sample_images(images, grid), ranges, rng), sample_targets(targets, grid)


def to_grid(images: Tensor, matrix: Tensor) -> Tensor:
    """The places (B, h, w, 2) at which maps (B, 2, 3) read images (B, h, w), on their device."""
    return F.affine_grid(
        send(matrix, images.device), [len(images), 1, *images.shape[1:]], align_corners=False
    )


def sample_images(images: Tensor, grid: Tensor) -> Tensor:
    """Read (B, h, w) uint8 at a grid, bilinear: (B, 1, h, w) float32 in 0..1."""
    return F.grid_sample(images[:, None].float() / 255, grid, mode="bilinear", align_corners=False)


def sample_targets(targets: Tensor, grid: Tensor) -> Tensor:
    """Read (B, K, h, w) at a grid, the nearest pixel; the type stays."""
    moved = F.grid_sample(targets.float(), grid, mode="nearest", align_corners=False)
    return moved.to(targets.dtype)


def shade(images: Tensor, ranges: Augment, rng: torch.Generator) -> Tensor:
    """Change contrast, brightness and gamma of (B, 1, h, w) in 0..1, and add noise."""
    n, device = len(images), images.device

    def draw_figure(low: float, high: float) -> Tensor:
        return send(draw(n, low, high, rng), device).view(n, 1, 1, 1)

    gain = 1 + draw_figure(-ranges.contrast, ranges.contrast)
    lift = draw_figure(-ranges.brightness, ranges.brightness)
    power = torch.exp(draw_figure(-1, 1) * math.log1p(ranges.gamma))
    shaded = ((images - 0.5) * gain + 0.5 + lift).clamp(1e-4, 1).pow(power)
    if ranges.noise:
        white = send(torch.randn(images.shape, generator=rng), device)
        shaded = shaded + draw_figure(0, ranges.noise) * white
    return shaded.clamp(0, 1)


# ---- a pipeline of steps with probabilities

TURN, TILT, LIGHT, BLUR, ELASTIC = range(5)  # rows of the matrix of applied steps
MAX_BLUR = 7  # px of a blur's kernel
REACH = 4  # SDs to which a smoothing kernel reaches


def augment_by_pipeline(
    images: Tensor, targets: Tensor, ranges: Augment, rng: torch.Generator, pipeline: Pipeline
) -> tuple[Tensor, Tensor]:
    """Augment a batch as `usbench.models.augment.augment` does, by a pipeline.

    Args:
        ranges: ignored; part of the signature that the loop calls.
    """
    n = len(images)
    size = (images.shape[1], images.shape[2])
    chances = (pipeline.turn, pipeline.tilt, pipeline.light, pipeline.blur, pipeline.elastic)
    applied = torch.stack([draw(n, 0, 1, rng) < chance for chance in chances])
    grid = to_grid(images, draw_movement(n, size, pipeline, applied, rng))
    if pipeline.elastic:
        bends = draw_waves(n, size, pipeline, rng) * applied[ELASTIC].view(n, 1, 1, 1)
        grid = grid + send(bends, images.device)
    moved = sample_images(images, grid)
    gain = 1 + draw(n, -pipeline.contrast, pipeline.contrast, rng) * applied[LIGHT]
    lift = draw(n, -pipeline.brightness, pipeline.brightness, rng) * applied[LIGHT]
    gain, lift = (send(figures.view(n, 1, 1, 1), moved.device) for figures in (gain, lift))
    shaded = moved * gain + lift
    shaded = shaded.clamp(0, 1)
    blurred = blur_some(shaded, applied[BLUR], rng) if pipeline.blur else shaded
    return blurred, sample_targets(targets, grid)


def draw_movement(
    n: int, size: tuple[int, int], pipeline: Pipeline, applied: Tensor, rng: torch.Generator
) -> Tensor:
    """(n, 2, 3): maps from output to input of flips, rotation, shift, scale and elastic corners.

    Args:
        applied: (5, n) bool, which steps each image takes.
    """
    flips = draw_affine(n, size, Augment(hflip=pipeline.hflip, vflip=pipeline.vflip), rng)
    turned = draw_affine(n, size, Augment(hflip=0, rotate=pipeline.degrees), rng)
    tilted = draw_affine(n, size, Augment(hflip=0, rotate=pipeline.tilt_degrees), rng)
    tilted[:, :, :2] /= 1 + draw(n, -pipeline.scale, pipeline.scale, rng).view(n, 1, 1)
    tilted[:, :, 2] = 2 * draw(2 * n, -pipeline.shift, pipeline.shift, rng).view(n, 2)
    steps = [flips, apply_to(applied[TURN], turned), apply_to(applied[TILT], tilted)]
    if pipeline.elastic:
        steps.append(apply_to(applied[ELASTIC], draw_bend(n, size, pipeline.corners, rng)))
    # A later step's output is read first.
    return reduce(torch.matmul, map(to_square, steps))[:, :2]


def apply_to(applied: Tensor, matrix: Tensor) -> Tensor:
    """The maps of the images to which a step applies, the identity for the others."""
    return torch.where(applied.view(-1, 1, 1), matrix, torch.eye(2, 3))


def to_square(matrix: Tensor) -> Tensor:
    """(n, 2, 3) → (n, 3, 3)."""
    return torch.cat([matrix, torch.tensor([[[0.0, 0.0, 1.0]]]).expand(len(matrix), -1, -1)], 1)


def draw_bend(n: int, size: tuple[int, int], limit: float, rng: torch.Generator) -> Tensor:
    """(n, 2, 3): affine maps that move three points, each by up to ± limit px.

    The points lie around the centre, a third of the shorter side from it along rows and columns.
    """
    height, width = size
    reach = min(size) // 3
    unit = torch.tensor([2 / width, 2 / height])
    points = reach * torch.tensor([[1.0, 1], [1, -1], [-1, -1]]) * unit
    moved = points + draw(6 * n, -limit, limit, rng).view(n, 3, 2) * unit
    rows = torch.cat([points, torch.ones(3, 1)], 1).expand(n, -1, -1)
    return cast(Tensor, torch.linalg.solve(rows, moved).transpose(1, 2))


def draw_waves(n: int, size: tuple[int, int], pipeline: Pipeline, rng: torch.Generator) -> Tensor:
    """(n, h, w, 2): smooth displacements in the unit square of `F.grid_sample`."""
    noise = 2 * torch.rand(2 * n, 1, *size, generator=rng) - 1
    reach = math.ceil(REACH * pipeline.sigma)
    line = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / pipeline.sigma) ** 2)
    line = line / line.sum()
    rows = F.conv2d(F.pad(noise, (0, 0, reach, reach)), line.view(1, 1, -1, 1))
    smooth = F.conv2d(F.pad(rows, (reach, reach, 0, 0)), line.view(1, 1, 1, -1))
    unit = torch.tensor([2 / size[1], 2 / size[0]])
    return unit * pipeline.alpha * smooth.view(n, 2, *size).movedim(1, 3)


def blur_some(images: Tensor, applied: Tensor, rng: torch.Generator) -> Tensor:
    """Blur the chosen images of (B, 1, h, w) by a Gaussian of 3, 5 or 7 px.

    The SD follows from the width as in OpenCV. Images that aren't chosen get a kernel of one
    pixel, so that a single grouped convolution serves all.
    """
    n = len(images)
    widths = 3 + 2 * draw(n, 0, 3, rng).floor()
    sd = 0.3 * ((widths - 1) * 0.5 - 1) + 0.8
    places = torch.arange(MAX_BLUR) - MAX_BLUR // 2
    line = torch.exp(-0.5 * (places / sd[:, None]) ** 2) * (places.abs() <= widths[:, None] // 2)
    line = torch.where(applied[:, None], line / line.sum(1, keepdim=True), (places == 0).float())
    line = send(line, images.device)
    padded = F.pad(images, [MAX_BLUR // 2] * 4, mode="replicate").movedim(0, 1)
    rows = F.conv2d(padded, line.view(n, 1, MAX_BLUR, 1), groups=n)
    return F.conv2d(rows, line.view(n, 1, 1, MAX_BLUR), groups=n).movedim(0, 1)
