"""Augmentation as a chain of steps that each have a probability of their own, as papers that use albumentations state
it; on a whole batch and on the device, image and target together, every figure drawn on the CPU.

All that moves pixels is one resampling. What comes in from outside the image is black and background. Shifts of hue
and saturation do nothing to a grey image and aren't here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from usbench.models.augment import Augment, affine, draw

TURN, TILT, LIGHT, BLUR, ELASTIC = range(5)
WIDEST = 7  # px of a blur's kernel
REACH = 4  # SDs to which a kernel of smoothing reaches


@dataclass(frozen=True)
class Chain:
    """Probabilities, and ranges of a uniform draw per image; each step is off where its probability is 0."""

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


def augment_chain(
    images: Tensor, targets: Tensor, spec: Augment, rng: torch.Generator, chain: Chain
) -> tuple[Tensor, Tensor]:
    """Augment a batch, as `usbench.models.augment.augment`; of spec, whose ranges every image has, nothing is used."""
    n, height, width = images.shape
    size = (height, width)
    taken = torch.stack([draw(n, 0, 1, rng) < chance for chance in chances(chain)])
    grid = F.affine_grid(
        movement(n, size, chain, taken, rng).to(images.device), [n, 1, *size], align_corners=False
    )
    if chain.elastic:
        grid = grid + (waves(n, size, chain, rng) * taken[ELASTIC].view(n, 1, 1, 1)).to(
            images.device
        )
    moved = F.grid_sample(images[:, None].float() / 255, grid, mode="bilinear", align_corners=False)
    marked = F.grid_sample(targets.float(), grid, mode="nearest", align_corners=False).to(
        targets.dtype
    )
    gain = 1 + draw(n, -chain.contrast, chain.contrast, rng) * taken[LIGHT]
    lift = draw(n, -chain.brightness, chain.brightness, rng) * taken[LIGHT]
    lit = moved * gain.view(n, 1, 1, 1).to(moved) + lift.view(n, 1, 1, 1).to(moved)
    shaded = lit.clamp(0, 1)
    return (blurred(shaded, taken[BLUR], rng) if chain.blur else shaded), marked


def chances(chain: Chain) -> tuple[float, ...]:
    """In the order of TURN, TILT, LIGHT, BLUR, ELASTIC."""
    return chain.turn, chain.tilt, chain.light, chain.blur, chain.elastic


def movement(
    n: int, size: tuple[int, int], chain: Chain, taken: Tensor, rng: torch.Generator
) -> Tensor:
    """(n, 2, 3): the maps from output to input of flips, rotation, shift, scale, and an elastic step's affine part."""
    flips = affine(n, size, Augment(hflip=chain.hflip, vflip=chain.vflip), rng)
    turned = affine(n, size, Augment(hflip=0, rotate=chain.degrees), rng)
    tilted = affine(n, size, Augment(hflip=0, rotate=chain.tilt_degrees), rng)
    zoom = 1 + draw(n, -chain.scale, chain.scale, rng)
    tilted[:, :, :2] /= zoom.view(n, 1, 1)
    tilted[:, :, 2] = 2 * draw(2 * n, -chain.shift, chain.shift, rng).view(n, 2)
    steps = [flips, chosen(turned, taken[TURN]), chosen(tilted, taken[TILT])]
    if chain.elastic:
        steps.append(chosen(bent(n, size, chain.corners, rng), taken[ELASTIC]))
    whole = square(steps[0])
    for step in steps[1:]:
        whole = whole @ square(step)  # a later step's output is read first
    return whole[:, :2]


def chosen(matrix: Tensor, taken: Tensor) -> Tensor:
    """The maps of the images that are taken, the identity for the others."""
    return torch.where(taken.view(-1, 1, 1), matrix, torch.eye(2, 3))


def square(matrix: Tensor) -> Tensor:
    """(n, 2, 3) → (n, 3, 3)."""
    return torch.cat([matrix, torch.tensor([[[0.0, 0.0, 1.0]]]).expand(len(matrix), -1, -1)], 1)


def bent(n: int, size: tuple[int, int], most: float, rng: torch.Generator) -> Tensor:
    """(n, 2, 3): the affine map by which three points around the centre, a third of the shorter side from it along rows
    and columns, each move by up to ± most px."""
    height, width = size
    reach = min(size) // 3
    unit = torch.tensor([2 / width, 2 / height])
    points = (
        torch.tensor([[reach, reach], [reach, -reach], [-reach, -reach]], dtype=torch.float32)
        * unit
    )
    moved = points + draw(6 * n, -most, most, rng).view(n, 3, 2) * unit
    rows = torch.cat([points, torch.ones(3, 1)], 1).expand(n, -1, -1)
    matrix: Tensor = torch.linalg.solve(rows, moved).transpose(1, 2)
    return matrix


def waves(n: int, size: tuple[int, int], chain: Chain, rng: torch.Generator) -> Tensor:
    """(n, h, w, 2): smooth displacements in the unit square of `torch.nn.functional.grid_sample`."""
    noise = 2 * torch.rand(2 * n, 1, *size, generator=rng) - 1
    reach = math.ceil(REACH * chain.sigma)
    line = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / chain.sigma) ** 2)
    line = line / line.sum()
    rows = F.conv2d(F.pad(noise, (0, 0, reach, reach)), line.view(1, 1, -1, 1))
    smooth = F.conv2d(F.pad(rows, (reach, reach, 0, 0)), line.view(1, 1, 1, -1))
    unit = torch.tensor([2 / size[1], 2 / size[0]])
    return unit * chain.alpha * smooth.view(n, 2, *size).movedim(1, 3)


def blurred(images: Tensor, taken: Tensor, rng: torch.Generator) -> Tensor:
    """(B, 1, h, w), those that are taken by a Gaussian of 3, 5 or 7 px, its SD as OpenCV derives it from the width."""
    n = len(images)
    widths = 3 + 2 * draw(n, 0, 3, rng).floor()
    sd = 0.3 * ((widths - 1) * 0.5 - 1) + 0.8
    places = torch.arange(WIDEST) - WIDEST // 2
    line = torch.exp(-0.5 * (places / sd[:, None]) ** 2) * (places.abs() <= widths[:, None] // 2)
    line = torch.where(taken[:, None], line / line.sum(1, keepdim=True), (places == 0).float()).to(
        images.device
    )
    padded = F.pad(images, [WIDEST // 2] * 4, mode="replicate").movedim(0, 1)
    rows = F.conv2d(padded, line.view(n, 1, WIDEST, 1), groups=n)
    return F.conv2d(rows, line.view(n, 1, 1, WIDEST), groups=n).movedim(0, 1)
