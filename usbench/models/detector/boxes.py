"""Boxes as a net sees them: rows of an array at the net's size, moved with the image.

Coordinates are those of `usbench.types.Boxes`: 0 and the width are the image's edges, so a box is
stretched by a factor alone. Each image has `ROWS` rows (x1, y1, x2, y2, class), so that a batch is
gathered from one array; a row without a box has the class −1, and an image without any is valid.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from usbench.errors import DataError
from usbench.models.arrays import Encoding
from usbench.models.augment import draw, draw_affine, sample_images, shade, to_grid
from usbench.models.device import constant, send
from usbench.models.heatmap.points import move_places
from usbench.models.loop_keys import Augment
from usbench.types import Boxes, Sample

ROWS = 256
VISIBLE = 0.3  # share of a box's area that augmentation must leave in the picture
MIN_SCORE, MAX_BOXES = 0.001, 300  # of a prediction
MAX_MOTION = 7  # px, length of a motion blur


def to_rows(sample: Sample, size: tuple[int, int]) -> NDArray[np.float32]:
    """Encode a target as (ROWS, 5) float32 at the net's size (h, w), clipped to the image.

    A box without area is left out. DataError where an image has more boxes than rows.
    """
    assert isinstance(sample.target, Boxes)
    boxes = stretch(sample.target.xyxy, sample.image.shape, size)
    whole = (boxes[:, 2:] > boxes[:, :2]).all(1)
    count = whole.sum()
    if count > ROWS:
        raise DataError(f"{sample.id}: expected at most {ROWS} boxes in an image, got {count}")
    rows = np.zeros((ROWS, 5), np.float32)
    rows[:, 4] = -1
    rows[:count, :4] = boxes[whole]
    rows[:count, 4] = sample.target.labels[whole]
    return rows


ENCODING = Encoding("boxes", 1, to_rows)


def stretch(
    xyxy: NDArray[np.float32], source: tuple[int, ...], target: tuple[int, ...]
) -> NDArray[np.float32]:
    """Boxes (N, 4) of an image of (height, width) `source`, stretched and clipped to `target`."""
    scale = np.array([target[1] / source[1], target[0] / source[0]] * 2)
    moved = np.clip(xyxy * scale, 0, [target[1], target[0]] * 2)
    return cast(NDArray[np.float32], moved.astype(np.float32))


def to_target(rows: NDArray[np.float32]) -> Boxes:
    """One image's (ROWS, 5) as a target, in the net's px."""
    boxes = rows[rows[:, 4] >= 0]
    return Boxes(boxes[:, :4].copy(), boxes[:, 4].astype(np.int64))


def to_prediction(xyxy: Tensor, labels: Tensor, scores: Tensor) -> Boxes:
    """A net's boxes (N, 4), classes and scores (N,) as a prediction in the same px.

    Keeps boxes with an area and a score of at least `MIN_SCORE`: `MAX_BOXES` of them, best first.
    """
    valid = (scores >= MIN_SCORE) & (xyxy[:, 2:] > xyxy[:, :2]).all(1) & xyxy.isfinite().all(1)
    best = scores[valid].sort(descending=True, stable=True).indices[:MAX_BOXES]
    return Boxes(
        *(part[valid][best].cpu().numpy() for part in (xyxy.float(), labels.long(), scores.float()))
    )


# ---- augmentation


def augment_boxes(
    images: Tensor,
    rows: Tensor,
    ranges: Augment,
    rng: torch.Generator,
    turn: float,
    blur: Mapping[str, float],
) -> tuple[Tensor, Tensor]:
    """Augment a batch as `usbench.models.augment.augment` does.

    Args:
        images: (B, h, w) uint8.
        rows: (B, ROWS, 5).
        turn: probability of a rotation by 0, 90, 180 or 270°, for square images.
        blur: probability of each of `recipe.BLURS`.
    """
    size = (images.shape[1], images.shape[2])
    matrix = draw_affine(len(images), size, ranges, rng)
    if turn:
        matrix[:, :, :2] = matrix[:, :, :2] @ draw_quarter_turns(len(images), turn, rng)
    moved = sample_images(images, to_grid(images, matrix))
    moved = blur_some(moved, blur, rng) if any(blur.values()) else moved
    return shade(moved, ranges, rng), move_boxes(rows, send(matrix, rows.device), size)


def draw_quarter_turns(n: int, probability: float, rng: torch.Generator) -> Tensor:
    """(n, 2, 2): rotations by a random number of right angles, or the identity."""
    quarters = (draw(n, 0, 4, rng).floor() * (draw(n, 0, 1, rng) < probability)).long()
    cos, sin = torch.tensor([1.0, 0, -1, 0])[quarters], torch.tensor([0.0, 1, 0, -1])[quarters]
    return torch.stack([cos, -sin, sin, cos], 1).view(n, 2, 2)


def move_boxes(rows: Tensor, matrix: Tensor, size: tuple[int, int]) -> Tensor:
    """Rows (B, ROWS, 5) of the input image where the output image has them.

    A turned box is the box around its inscribed ellipse: lesions are round, and the box around
    its corners would be far too large. A box clipped to less than `VISIBLE` of its area is none.

    Args:
        matrix: (B, 2, 3) from `usbench.models.augment.draw_affine`.
        size: (height, width) px.
    """
    centre = (rows[..., :2] + rows[..., 2:4]) / 2
    half = (rows[..., 2:4] - rows[..., :2]) / 2

    # The centre and an end of either axis of the ellipse; half a pixel lies between coordinates
    # of edges, as boxes have, and of pixel centres.
    tips = torch.cat([centre[:, :, None], centre[:, :, None] + torch.diag_embed(half)], 2)
    placed = move_places(tips - 0.5, matrix, size) + 0.5
    reach = (placed[:, :, 1:] - placed[:, :, :1]).square().sum(2).sqrt()
    edges = constant([size[1], size[0]] * 2, rows)
    whole = torch.cat([placed[:, :, 0] - reach, placed[:, :, 0] + reach], -1)
    clipped = whole.clamp(min=0).minimum(edges)
    visible = (area(clipped) >= VISIBLE * area(whole)) & (area(clipped) > 0)
    return torch.cat([clipped, torch.where(visible, rows[..., 4], -1)[..., None]], -1)


def area(xyxy: Tensor) -> Tensor:
    """(…, 4) → (…), px²."""
    return (xyxy[..., 2] - xyxy[..., 0]) * (xyxy[..., 3] - xyxy[..., 1])


def blur_some(images: Tensor, chances: Mapping[str, float], rng: torch.Generator) -> Tensor:
    """Blur images (B, 1, h, w), each with the given probability of a kind.

    Kinds: motion along a line of 3 to `MAX_MOTION` px, the median or the mean of 3×3 px.
    """
    n = len(images)
    kernels = torch.zeros(n, 1, MAX_MOTION, MAX_MOTION)
    lengths = 3 + 2 * draw(n, 0, 3, rng).floor().long()
    directions = torch.tensor([[0, 1], [1, 0], [1, 1], [1, -1]])
    steps = directions[draw(n, 0, 4, rng).floor().long()]
    for kernel, length, step in zip(kernels[:, 0], lengths.tolist(), steps, strict=True):
        line = MAX_MOTION // 2 + torch.arange(-(length // 2), length // 2 + 1)[:, None] * step
        kernel[line[:, 0], line[:, 1]] = 1 / length
    wide = F.pad(images, [MAX_MOTION // 2] * 4, mode="replicate")
    motion = F.conv2d(wide.movedim(0, 1), send(kernels, images.device), groups=n).movedim(0, 1)
    near = F.pad(images, [1] * 4, mode="replicate")
    median = F.unfold(near, 3).median(1).values.view_as(images)
    plain = F.avg_pool2d(near, 3, 1)
    for blurred, name in ((motion, "motion"), (median, "median"), (plain, "plain")):
        chosen = (draw(n, 0, 1, rng) < chances.get(name, 0)).view(n, 1, 1, 1)
        images = torch.where(send(chosen, images.device), blurred, images)
    return images
