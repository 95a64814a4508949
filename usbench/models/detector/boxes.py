"""Boxes as a net sees them: rows of an array at the net's size, moved with the image, and stretched back.

Coordinates are those of `usbench.types.Boxes`: 0 and the width are the image's edges, so a box is stretched by a
factor alone. Every image has `ROWS` rows (x1, y1, x2, y2, class), so that a batch is gathered from one array; a row
without a box has the class −1, and an image without any is a valid one.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from usbench.errors import ConfigError, DataError
from usbench.models.arrays import Encoding
from usbench.models.augment import Augment, affine, draw, shade, warp
from usbench.models.heatmap.points import move
from usbench.types import Boxes, Sample

ROWS = 256
VISIBLE = 0.3  # of a box's area: what augmentation pushes further out of the picture isn't in it
MIN_SCORE, MAX_BOXES = 0.001, 300  # what a prediction holds
BLURS = ("motion", "median", "plain")
LARGEST = 7  # px, a motion's length


def to_rows(sample: Sample, size: tuple[int, int]) -> NDArray[np.float32]:
    """(ROWS, 5) float32 at the net's size (h, w), clipped to the image; a box without area is left out.

    DataError where an image has more boxes than rows.
    """
    assert isinstance(sample.target, Boxes)
    native = (sample.image.shape[0], sample.image.shape[1])
    boxes = stretched(sample.target.xyxy, native, size)
    whole = (boxes[:, 2:] > boxes[:, :2]).all(1)
    if whole.sum() > ROWS:
        raise DataError(
            f"{sample.id}: at most {ROWS} boxes in an image were wanted, found {whole.sum()}"
        )
    rows = np.zeros((ROWS, 5), np.float32)
    rows[:, 4] = -1
    rows[: whole.sum(), :4], rows[: whole.sum(), 4] = boxes[whole], sample.target.labels[whole]
    return rows


ENCODING = Encoding("boxes", to_rows)


def stretched(
    xyxy: NDArray[np.float32], source: tuple[int, int], target: tuple[int, int]
) -> NDArray[np.float32]:
    """Boxes (N, 4) of an image of (height, width) `source` when it is stretched to `target`, clipped to it."""
    scale = np.array([target[1] / source[1], target[0] / source[0]] * 2)
    moved: NDArray[np.float32] = np.clip(xyxy * scale, 0, [target[1], target[0]] * 2).astype(
        np.float32
    )
    return moved


def to_truth(rows: NDArray[np.float32]) -> Boxes:
    """One image's (ROWS, 5) as a truth, in the net's px."""
    there = rows[rows[:, 4] >= 0]
    return Boxes(there[:, :4].copy(), there[:, 4].astype(np.int64))


def to_guess(xyxy: Tensor, labels: Tensor, scores: Tensor) -> Boxes:
    """A net's boxes (N, 4), classes and scores (N,) as a prediction in the same px: those with an area and a score of
    at least `MIN_SCORE`, the best `MAX_BOXES` first."""
    kept = (scores >= MIN_SCORE) & (xyxy[:, 2:] > xyxy[:, :2]).all(1) & xyxy.isfinite().all(1)
    best = scores[kept].sort(descending=True, stable=True).indices[:MAX_BOXES]
    found = (
        part[kept][best].cpu().numpy() for part in (xyxy.float(), labels.long(), scores.float())
    )
    return Boxes(*found)


def to_native(guess: Boxes, source: tuple[int, int], native: tuple[int, int]) -> Boxes:
    """A prediction on an image of (height, width) `source`, in px of the `native` one."""
    return Boxes(stretched(guess.xyxy, source, native), guess.labels, guess.scores)


# ---- augmenting


def augment_boxes(
    images: Tensor,
    rows: Tensor,
    spec: Augment,
    rng: torch.Generator,
    turn: float,
    blur: Mapping[str, float],
) -> tuple[Tensor, Tensor]:
    """Augment a batch, as `usbench.models.augment.augment`: (B, h, w) uint8 and (B, ROWS, 5).

    turn: probability of a rotation by 0, 90, 180 or 270°, for square images; blur: probability of each of `BLURS`.
    """
    size = (images.shape[1], images.shape[2])
    matrix = affine(len(images), size, spec, rng)
    if turn:
        matrix = torch.cat(
            [matrix[:, :, :2] @ quarter_turns(len(images), turn, rng), matrix[:, :, 2:]], 2
        )
    moved, _ = warp(images, matrix)
    if any(blur.values()):
        moved = blurred(moved, blur, rng)
    return shade(moved, spec, rng), move_boxes(rows, matrix.to(rows.device), size)


def check(size: tuple[int, int], turn: float, blur: Mapping[str, float]) -> None:
    """ConfigError where a recipe asks for an augmentation that can't be."""
    if turn and size[0] != size[1]:
        raise ConfigError(f"recipe.turn: a square size was wanted, found {size}; take turn: 0")
    if unknown := sorted(set(blur) - set(BLURS)):
        raise ConfigError(
            f"recipe.blur: {', '.join(BLURS)} were wanted, found {', '.join(unknown)}"
        )


def quarter_turns(n: int, probability: float, rng: torch.Generator) -> Tensor:
    """(n, 2, 2): rotations by a random number of right angles, or the identity."""
    quarters = (draw(n, 0, 4, rng).floor() * (draw(n, 0, 1, rng) < probability)).long()
    cos, sin = torch.tensor([1.0, 0, -1, 0])[quarters], torch.tensor([0.0, 1, 0, -1])[quarters]
    return torch.stack([cos, -sin, sin, cos], 1).view(n, 2, 2)


def move_boxes(rows: Tensor, matrix: Tensor, size: tuple[int, int]) -> Tensor:
    """Rows (B, ROWS, 5) of the input image where the output image has them; matrix as in `usbench.models.augment.warp`.

    A turned box is the box around its inscribed ellipse: lesions are round, and the box around its corners would be
    far too large. What is clipped to less than `VISIBLE` of its area is no box any more.
    """
    centre, half = (rows[..., :2] + rows[..., 2:4]) / 2, (rows[..., 2:4] - rows[..., :2]) / 2
    nought = torch.zeros_like(half[..., 0])
    axes = torch.stack([half[..., 0], nought, nought, half[..., 1]], -1).view(*half.shape[:2], 2, 2)
    tips = torch.cat(
        [centre[:, :, None], centre[:, :, None] + axes], 2
    )  # the centre and an end of either axis
    placed = (
        move(tips - 0.5, matrix, size) + 0.5
    )  # between pixel centres at whole numbers and edges
    reach = (placed[:, :, 1:] - placed[:, :, :1]).square().sum(2).sqrt()
    edges = torch.tensor([size[1], size[0]] * 2, dtype=rows.dtype, device=rows.device)
    whole = torch.cat([placed[:, :, 0] - reach, placed[:, :, 0] + reach], -1)
    clipped = whole.clamp(min=0).minimum(edges)
    seen = area(clipped) >= VISIBLE * area(whole)
    label = torch.where(seen & (area(clipped) > 0), rows[..., 4], -1)
    return torch.cat([clipped, label[..., None]], -1)


def area(xyxy: Tensor) -> Tensor:
    """(…, 4) → (…), px²."""
    return (xyxy[..., 2] - xyxy[..., 0]) * (xyxy[..., 3] - xyxy[..., 1])


def blurred(images: Tensor, chance: Mapping[str, float], rng: torch.Generator) -> Tensor:
    """(B, 1, h, w), each by itself smeared along a line of 3 to `LARGEST` px, by the median or the mean of 3×3 px, or
    not."""
    n = len(images)
    kernels = torch.zeros(n, 1, LARGEST, LARGEST)
    lengths, ways = 3 + 2 * draw(n, 0, 3, rng).floor().long(), draw(n, 0, 4, rng).floor().long()
    steps = torch.tensor([[0, 1], [1, 0], [1, 1], [1, -1]])[ways]
    for kernel, length, step in zip(kernels[:, 0], lengths.tolist(), steps, strict=True):
        line = LARGEST // 2 + torch.arange(-(length // 2), length // 2 + 1)[:, None] * step
        kernel[line[:, 0], line[:, 1]] = 1 / length
    wide = F.pad(images, [LARGEST // 2] * 4, mode="replicate")
    moved = F.conv2d(wide.movedim(0, 1), kernels.to(images.device), groups=n).movedim(0, 1)
    near = F.pad(images, [1] * 4, mode="replicate")
    median = F.unfold(near, 3).median(1).values.view_as(images)
    plain = F.avg_pool2d(near, 3, 1)
    for other, name in ((moved, "motion"), (median, "median"), (plain, "plain")):
        taken = (draw(n, 0, 1, rng) < chance.get(name, 0)).view(n, 1, 1, 1).to(images.device)
        images = torch.where(taken, other, images)
    return images
