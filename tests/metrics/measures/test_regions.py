"""What is measured of a mask, on drawn shapes of known size, and ellipses as scikit-image's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy
from skimage.measure import EllipseModel

from tests.metrics.measures.phantoms import OBLONG, SQUARE, draw_band, draw_ellipse, grid
from usbench.metrics.measures.ellipse import Ellipse, fit_ellipse
from usbench.metrics.measures.regions import Region, find_edges, measure_diameters

WITHIN = 0.005  # of the true size
ANGLES = (0, 0.5, 1.2, 2.6)


def close(value: float) -> object:
    return pytest.approx(value, rel=WITHIN)


# ---- ellipses


@pytest.mark.parametrize("spacing", [SQUARE, OBLONG])
@pytest.mark.parametrize("angle", ANGLES)
def test_a_drawn_ellipse_has_its_axes_and_circumference(spacing, angle):
    long, short = (300 * spacing[1], 200 * spacing[1])
    region = Region(draw_ellipse((340, 400), (long, short), angle, spacing), spacing)
    exact = 2 * long * scipy.special.ellipe(1 - (short / long) ** 2)
    assert region.ellipse is not None
    assert region.ellipse.major == close(long) and region.ellipse.minor == close(short)
    assert region.ellipse.circumference == close(exact)
    assert math.remainder(region.ellipse.angle - angle, math.pi) == pytest.approx(0, abs=0.01)
    assert region.area == close(math.pi * long * short / 4)


@pytest.mark.parametrize(("major", "minor"), [(1, 1), (2, 1), (1.3, 1)])
def test_ramanujan_s_circumference_is_that_of_the_integral(major, minor):
    exact = 2 * major * scipy.special.ellipe(1 - (minor / major) ** 2)
    assert Ellipse((0, 0), major, minor, 0).circumference == pytest.approx(exact, rel=1e-5)


def test_an_ellipse_that_reaches_out_of_the_image_is_measured_by_what_is_seen_of_it():
    whole = draw_ellipse((400, 400), (300, 200), 0.4)
    ellipse = Region(whole[100:], SQUARE).ellipse
    assert ellipse is not None
    assert ellipse.major == close(300) and ellipse.minor == close(200)


def test_holes_and_specks_change_no_ellipse():
    plane = draw_ellipse((200, 200), (120, 90), 0.4)
    spoilt = plane.copy()
    spoilt[95:105, 95:105] = False
    spoilt[:5, :5] = True
    assert Region(spoilt, SQUARE).ellipse == Region(plane, SQUARE).ellipse


def test_an_ellipse_is_that_of_scikit_image():
    rng = np.random.default_rng(0)
    for _ in range(20):
        axes, turn = rng.uniform(20, 60, 2), rng.uniform(0, 3)
        points = find_edges(draw_ellipse((80, 80), tuple(axes), turn)) + rng.normal(0, 0.3)
        reference = EllipseModel.from_estimate(points)
        ellipse = fit_ellipse(points)
        assert ellipse is not None
        assert ellipse.centre == pytest.approx(tuple(reference.center), rel=1e-6)
        halves = sorted(reference.axis_lengths)
        assert (ellipse.minor / 2, ellipse.major / 2) == pytest.approx(halves, rel=1e-6)


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((0, 2)),
        np.array([[0, 0], [1, 0], [0, 1], [1, 1], [2, 3]], float),  # five
        np.ones((9, 2)),
        np.stack([np.arange(9.0), 2 * np.arange(9.0)], axis=1),  # a line
    ],
)
def test_what_has_no_ellipse(points):
    assert fit_ellipse(points) is None


@pytest.mark.parametrize(
    "plane", [np.zeros((9, 9), bool), np.ones((9, 9), bool), np.eye(1, 9, dtype=bool)]
)
def test_a_mask_without_an_outline_in_the_image_has_no_ellipse(plane):
    """Nothing; all of the image; one pixel at its border, with fewer than six edges."""
    assert Region(plane, SQUARE).ellipse is None


def test_the_edges_of_one_pixel():
    plane = np.zeros((3, 3), bool)
    plane[1, 2] = True
    assert sorted(find_edges(plane).tolist()) == [[1.5, 1], [2, 0.5], [2, 1.5], [2.5, 1]]
    assert sorted(find_edges(plane, within=True).tolist()) == [[1.5, 1], [2, 0.5], [2, 1.5]]


# ---- diameters


@pytest.mark.parametrize("spacing", [SQUARE, OBLONG])
@pytest.mark.parametrize("angle", ANGLES)
def test_the_diameters_of_a_drawn_ellipse(spacing, angle):
    long, short = (360 * spacing[1], 300 * spacing[1])
    region = Region(draw_ellipse((400, 420), (long, short), angle, spacing), spacing)
    assert region.diameters == (close(long), close(short))


def test_the_diameters_of_a_disc():
    assert Region(draw_ellipse((320, 320), (300, 300)), SQUARE).diameters == (close(300),) * 2


def test_the_longest_chord_across_by_hand():
    """A kite, 10 long, with its widest places both at x = 4; then one at 4 and the other at 6.

    At x = 4 the second is 3 + 2 · 4/6 wide, at x = 6 it is 2 + 3 · 4/6.
    """
    kite = np.array([[0, 0], [4, 3], [10, 0], [4, -2]], float)
    assert measure_diameters(kite) == (10, pytest.approx(5))
    skewed = np.array([[0, 0], [4, 3], [10, 0], [6, -2]], float)
    assert measure_diameters(skewed) == (10, pytest.approx(3 + 2 * 4 / 6))
    turned = skewed @ np.array([[0.6, 0.8], [-0.8, 0.6]]) + 7
    assert measure_diameters(turned) == (pytest.approx(10), pytest.approx(3 + 2 * 4 / 6))


def test_area_is_of_all_parts_and_diameters_of_the_largest():
    plane = np.zeros((20, 30), bool)
    plane[2:5, 2:12] = True
    plane[10:12, 2:4] = True
    region = Region(plane, (2.0, 0.5))
    assert region.area == 34 and region.diameters is not None
    assert region.diameters.longest == pytest.approx(math.hypot(9 * 0.5, 2 * 3), rel=0.02)


# ---- bands


@pytest.mark.parametrize("spacing", [SQUARE, OBLONG])
@pytest.mark.parametrize("angle", [0, 0.2, 0.5, 1.3, math.pi / 2])
def test_the_thickness_of_a_straight_band(spacing, angle):
    thickness = 60 * spacing[0]
    band = Region(draw_band((400, 500), thickness, angle, spacing), spacing).thickness
    assert band is not None
    assert band.mean == close(thickness)
    assert band.greatest == pytest.approx(thickness, rel=0.01)


def test_the_thickness_of_a_bent_band():
    x, y = grid((300, 500), SQUARE)
    radius = np.hypot(x, y + 400)
    band = Region(np.abs(radius - 400) < 20, SQUARE).thickness
    assert band is not None and band.mean == close(40)


def test_two_bands_are_one_class():
    """Of 10 and 20 px, equally long: 15 on average, 20 at most; a speck doesn't count."""
    plane = np.zeros((90, 200), bool)
    plane[10:20] = plane[50:70] = True
    plane[80:84, 100:130] = True
    assert Region(plane, SQUARE).thickness == (pytest.approx(15), pytest.approx(20))


def test_what_is_no_band():
    plane = np.zeros((20, 20), bool)
    assert Region(plane, SQUARE).thickness is None
    plane[4:8, 4:12] = True  # eight columns
    assert Region(plane, SQUARE).thickness is None
