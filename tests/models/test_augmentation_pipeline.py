"""A pipeline of augmentations, each with a probability: what moves, how far, and image and target
together.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from usbench.models.augment import (
    Augment,
    Pipeline,
    augment_by_pipeline,
    blur_some,
    draw_movement,
    draw_waves,
)

SIZE = (48, 64)
NOTHING = torch.zeros(5, 1, dtype=torch.bool)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A bright block on black, and its index."""
    target = torch.zeros(n, 1, *SIZE, dtype=torch.uint8)
    target[:, :, 12:28, 20:36] = 1
    return target[:, 0] * 200, target


def augmented(pipeline: Pipeline, n: int = 64, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    return augment_by_pipeline(*batch(n), Augment(), rng(seed), pipeline)


def test_nothing_is_done_where_nothing_is_asked_for():
    images, targets = batch(3)
    seen, marked = augment_by_pipeline(images, targets, Augment(), rng(), Pipeline())
    torch.testing.assert_close(seen, images[:, None].float() / 255)
    assert (marked == targets).all()


def test_ranges_without_a_probability_are_off():
    ranges = {
        "degrees": 25.0,
        "shift": 0.1,
        "scale": 0.1,
        "tilt_degrees": 25.0,
        "brightness": 0.2,
        "contrast": 0.2,
    }
    images, targets = batch(4)
    seen, marked = augment_by_pipeline(images, targets, Augment(), rng(), Pipeline(**ranges))
    torch.testing.assert_close(seen, images[:, None].float() / 255)
    assert (marked == targets).all()


@pytest.mark.parametrize(
    "chain",
    [
        Pipeline(hflip=0.5, vflip=0.5),
        Pipeline(turn=1, degrees=25),
        Pipeline(tilt=1, shift=0.0625, scale=0.1, tilt_degrees=25),
        Pipeline(elastic=1, alpha=120, sigma=6, corners=3.6),
    ],
    ids=["flips", "turn", "tilt", "elastic"],
)
def test_image_and_target_move_together(chain):
    seen, marked = augmented(chain)
    agree = ((seen > 100 / 255) == (marked == 1)).flatten(1).float().mean(1)
    assert (agree > 0.99).all() and (marked.sum((1, 2, 3)) > 50).all()
    assert not (marked == batch(64)[1]).all()


@pytest.mark.parametrize("chance", [0.0, 0.3, 1.0])
def test_a_step_happens_as_often_as_stated(chance):
    seen, _ = augmented(Pipeline(light=chance, brightness=0.2), 1000)
    lifted = (seen[:, 0, 0, 0] > 0) | (seen[:, 0, 20, 30] < 199 / 255)
    assert lifted.float().mean().item() == pytest.approx(chance, abs=0.05)


def test_a_turn_of_a_square_is_a_rotation():
    chain = Pipeline(turn=1, degrees=90)
    taken = torch.ones(5, 1, dtype=torch.bool)
    for seed in range(20):
        matrix = draw_movement(1, (64, 64), chain, taken, rng(seed))[0]
        torch.testing.assert_close(matrix[:, :2] @ matrix[:, :2].T, torch.eye(2), atol=1e-5, rtol=0)
        assert matrix[:, 2].abs().max() == 0


def test_shift_and_scale_stay_in_their_ranges():
    chain = Pipeline(tilt=1, shift=0.0625, scale=0.1)
    matrix = draw_movement(500, SIZE, chain, torch.ones(5, 500, dtype=torch.bool), rng())
    assert matrix[:, :, 2].abs().max() <= 2 * 0.0625  # the unit square has a side of 2
    zoom = 1 / matrix[:, 0, 0]
    assert zoom.min() >= 0.9 - 1e-6 and zoom.max() <= 1.1 + 1e-6
    assert (matrix[:, 0, 1] == 0).all() and zoom.std() > 0.04
    still = draw_movement(500, SIZE, chain, NOTHING.expand(5, 500), rng())
    assert (still == torch.eye(2, 3)).all()


def test_flips_are_half_of_each():
    matrix = draw_movement(
        1000, SIZE, Pipeline(hflip=0.5, vflip=0.5), NOTHING.expand(5, 1000), rng()
    )
    assert (matrix[:, 0, 0] < 0).float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert (matrix[:, 1, 1] < 0).float().mean().item() == pytest.approx(0.5, abs=0.05)


def test_waves_are_smoothed_noise_as_scipy_smooths_it():
    """Of the same noise, but for the border, which scipy mirrors and here is zero."""
    chain = Pipeline(elastic=1, alpha=120, sigma=6)
    result = draw_waves(1, SIZE, chain, rng(3))[0]  # in the unit square
    noise = (2 * torch.rand(2, 1, *SIZE, generator=rng(3)) - 1)[:, 0].numpy()
    for axis, side in ((0, SIZE[1]), (1, SIZE[0])):
        expected = (
            120 * ndimage.gaussian_filter(noise[axis], 6, mode="constant", truncate=4) * 2 / side
        )
        np.testing.assert_allclose(result[..., axis].numpy(), expected, atol=1e-4)


def test_a_blur_is_opencv_s():
    import cv2

    picture = np.zeros((15, 17), np.uint8)
    picture[7, 8], picture[2, 3] = 255, 120
    sd = {3: 0.8, 5: 1.1, 7: 1.4}  # .3 · ((width − 1) / 2 − 1) + .8
    expected = {w: cv2.GaussianBlur(picture.astype(np.float32), (w, w), sd[w]) for w in (3, 5, 7)}
    images = torch.from_numpy(picture)[None, None].float().repeat(60, 1, 1, 1)
    result = blur_some(images, torch.ones(60, dtype=torch.bool), rng())[:, 0].numpy()
    inner = (slice(None), slice(3, -3), slice(3, -3))
    which = [
        next(w for w, blurred in expected.items() if np.allclose(f, blurred[inner[1:]], atol=0.01))
        for f in result[inner]
    ]
    assert set(which) == {3, 5, 7}
    left = blur_some(images, torch.zeros(60, dtype=torch.bool), rng())
    torch.testing.assert_close(left, images)


def test_the_same_seed_gives_the_same_batch():
    chain = Pipeline(
        hflip=0.5,
        turn=0.5,
        degrees=20,
        light=0.5,
        contrast=0.2,
        blur=0.5,
        elastic=0.5,
        alpha=50,
        sigma=4,
    )
    first, again, other = (augmented(chain, 8, seed)[0] for seed in (1, 1, 2))
    assert (first == again).all() and not (first == other).all()
