"""Augmentation as a pipeline of steps with probabilities, as papers with albumentations state it.

It works on a whole batch on the device, image and target together, with all figures drawn on the
CPU. All steps that move pixels are one resampling. What enters from outside the image is black
and background. Shifts of hue and saturation do nothing to a grey image and are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from usbench.models.augment import (
    Augment,
    draw,
    draw_affine,
    sample_images,
    sample_targets,
    to_grid,
)

TURN, TILT, LIGHT, BLUR, ELASTIC = range(5)  # rows of the matrix of applied steps
MAX_BLUR = 7  # px of a blur's kernel
REACH = 4  # SDs to which a smoothing kernel reaches


@dataclass(frozen=True)
class Pipeline:
    """Probabilities, and ranges of a uniform draw per image; a probability of 0 switches off."""

    hflip: float = 0.0  # probability
    vflip: float = 0.0  # probability
    turn: float = 0.0  # probability of a rotation …
    degrees: float = 0.0  # … by ± so much
    tilt: float = 0.0  # probability of shift, scale and rotation together …
    shift: float = 0.0  # … by ± this fraction of the side
    scale: float = 0.0  # … by a factor of 1 ± this
    tilt_degrees: float = 0.0  # … by ± so much
    light: float = 0.0  # probability of brightness and contrast …
    brightness: float = 0.0  # … by ± this fraction of full scale
    contrast: float = 0.0  # … by a factor of 1 ± this
    blur: float = 0.0  # probability of a Gaussian with a kernel of 3, 5 or 7 px
    elastic: float = 0.0  # probability of an elastic transform (Simard et al. 2003) …
    alpha: float = 0.0  # … px: noise of ±1 px, smoothed, times this
    sigma: float = 1.0  # … px: SD of that smoothing
    corners: float = 0.0  # … px: ± by which three points of an affine map move


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
        grid = grid + bends.to(images.device)
    moved = sample_images(images, grid)
    marked = sample_targets(targets, grid)
    gain = 1 + draw(n, -pipeline.contrast, pipeline.contrast, rng) * applied[LIGHT]
    lift = draw(n, -pipeline.brightness, pipeline.brightness, rng) * applied[LIGHT]
    shaded = moved * gain.view(n, 1, 1, 1).to(moved) + lift.view(n, 1, 1, 1).to(moved)
    shaded = shaded.clamp(0, 1)
    if pipeline.blur:
        shaded = blur_some(shaded, applied[BLUR], rng)
    return shaded, marked


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
    zoom = 1 + draw(n, -pipeline.scale, pipeline.scale, rng)
    tilted[:, :, :2] /= zoom.view(n, 1, 1)
    tilted[:, :, 2] = 2 * draw(2 * n, -pipeline.shift, pipeline.shift, rng).view(n, 2)
    steps = [flips, apply_to(applied[TURN], turned), apply_to(applied[TILT], tilted)]
    if pipeline.elastic:
        steps.append(apply_to(applied[ELASTIC], draw_bend(n, size, pipeline.corners, rng)))
    product = to_square(steps[0])
    for step in steps[1:]:
        product = product @ to_square(step)  # a later step's output is read first
    return product[:, :2]


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
    corners = [[reach, reach], [reach, -reach], [-reach, -reach]]
    points = torch.tensor(corners, dtype=torch.float32) * unit
    moved = points + draw(6 * n, -limit, limit, rng).view(n, 3, 2) * unit
    rows = torch.cat([points, torch.ones(3, 1)], 1).expand(n, -1, -1)
    matrix: Tensor = torch.linalg.solve(rows, moved).transpose(1, 2)
    return matrix


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
    line = line.to(images.device)
    padded = F.pad(images, [MAX_BLUR // 2] * 4, mode="replicate").movedim(0, 1)
    rows = F.conv2d(padded, line.view(n, 1, MAX_BLUR, 1), groups=n)
    return F.conv2d(rows, line.view(n, 1, 1, MAX_BLUR), groups=n).movedim(0, 1)
