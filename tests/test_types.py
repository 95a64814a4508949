"""Curves through knots: by hand, against SciPy and a circle, repeated knots, the step. Boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

from usbench.types import Boxes, curve_through, resample_curve

Places = NDArray[np.float64]


def knots(*places: tuple[float, float]) -> Places:
    return np.array(places, np.float64)


def beside(line: Places, place: tuple[float, float]) -> float:
    """How far the nearest of the line's samples is."""
    return float(cKDTree(line).query(place)[0])


def steps(line: Places) -> Places:
    return np.linalg.norm(np.diff(line, axis=0), axis=1)


@pytest.mark.parametrize("between", [[], [(6.0, 8.0)], [(1.2, 1.6), (1.8, 2.4), (6.0, 8.0)]])
def test_knots_on_a_straight_line_give_it_in_steps_of_a_pixel(
    between: list[tuple[float, float]],
) -> None:
    """(0, 0) to (9, 12) is 15 px: 16 samples, each (.6, .8) further, wherever the knots lie between them."""
    line = curve_through(knots((0, 0), *between, (9, 12)))
    np.testing.assert_allclose(line, [(0.6 * n, 0.8 * n) for n in range(16)], atol=1e-9)


@pytest.mark.parametrize(
    ("places", "through"),
    [
        # chords 50 and 30; (h₀ + h₁)/3 · M₁ = slope₂ − slope₁: M₁ = (.015, −.03); middle = mean − h₀²/16 · M₁
        (((0, 0), (30, 40), (60, 40)), (12.65625, 24.6875)),
        # equal chords: h² M₁ = −3 · 16; middle = 8 + 48/16 = 11
        (((0, 0), (16, 16), (32, 0)), (8.0, 11.0)),
    ],
)
def test_a_natural_spline_on_chord_length_by_hand(
    places: tuple[tuple[float, float], ...], through: tuple[float, float]
):
    """Knots taken as equally far apart would pass 2.5 px beside the first."""
    line = curve_through(knots(*places), step=0.01)
    assert beside(line, through) < 0.006 and all(beside(line, knot) < 0.006 for knot in places)


def test_the_ends_are_free_of_curvature():
    """Not-a-knot or clamped ends would bend there."""
    line = curve_through(knots((0, 0), (30, 40), (60, 40), (90, 0)), step=0.5)
    bend = np.linalg.norm(line[2:] - 2 * line[1:-1] + line[:-2], axis=1)
    assert bend[0] < 0.01 * bend.max() and bend[-1] < 0.01 * bend.max()


def test_knots_on_a_circle_give_the_circle():
    """24 knots on a radius of 100 px, the first also the last: within .1 px but near the two free ends."""
    turn = np.linspace(0, 2 * np.pi, 25)
    around = np.stack([200 + 100 * np.cos(turn), 150 + 100 * np.sin(turn)], axis=1)
    line = curve_through(around)
    radii = np.linalg.norm(line - (200, 150), axis=1)
    assert len(line) == pytest.approx(200 * np.pi + 1, abs=2)
    assert np.abs(radii - 100).max() < 0.6 and np.abs(radii[80:-80] - 100).max() < 0.1


def test_every_sample_lies_on_scipys_curve():
    turn = np.linspace(0, 5, 9)
    places = np.stack([200 + 90 * np.cos(turn), 150 + 60 * np.sin(turn)], axis=1)
    chord = np.concatenate(([0], np.cumsum(steps(places))))
    exact = CubicSpline(chord, places, bc_type="natural")(np.linspace(0, chord[-1], 100_000))
    assert cKDTree(exact).query(curve_through(places))[0].max() < 0.01


@pytest.mark.parametrize("step", [0.25, 1.0, 3.0])
def test_steps_are_equal_and_both_ends_stay(step: float) -> None:
    places = knots((10, 80), (40, 20), (90, 30), (120, 90))
    line = curve_through(places, step)
    np.testing.assert_allclose(line[[0, -1]], places[[0, -1]], atol=1e-9)
    assert steps(line).mean() == pytest.approx(step, rel=0.02) and np.ptp(steps(line)) < 0.02 * step


def test_repeated_knots_change_nothing():
    places = knots((10, 80), (40, 20), (90, 30))
    assert np.array_equal(curve_through(np.repeat(places, 3, axis=0)), curve_through(places))


def test_a_curve_may_come_back_to_a_place():
    """Only a knot that repeats the one before is left out."""
    assert len(curve_through(knots((0, 0), (30, 0), (30, 30), (0, 0)))) > 90


@pytest.mark.parametrize("places", [[(7, 9)], [(7, 9), (7, 9), (7, 9)]])
def test_one_place_is_itself(places: list[tuple[float, float]]) -> None:
    assert curve_through(knots(*places)).tolist() == [[7, 9]]


@pytest.mark.parametrize(
    "places",
    [
        np.zeros((0, 2)),
        np.zeros(2),
        np.zeros((3, 3)),
        knots((0, 0), (np.nan, 1)),
        knots((0, 0), (np.inf, 1)),
    ],
)
def test_what_is_no_curve(places: Places) -> None:
    with pytest.raises(ValueError, match="knots: expected"):
        curve_through(places)


def test_resampling_a_polyline_goes_round_its_corner():
    """4 right and 3 down at steps of 2: 7 / 2 rounds to 4 steps of 1.75."""
    line = resample_curve(knots((0, 0), (4, 0), (4, 3)), 2)
    np.testing.assert_allclose(line, [(0, 0), (1.75, 0), (3.5, 0), (4, 1.25), (4, 3)])


PLACE = st.tuples(st.floats(-500, 1500, width=32), st.floats(-500, 1500, width=32))


@given(st.lists(PLACE, min_size=1, max_size=12))
def test_any_knots_give_a_finite_curve_through_its_ends(places: list[tuple[float, float]]) -> None:
    line = curve_through(knots(*places))
    assert np.isfinite(line).all()
    np.testing.assert_allclose(line[[0, -1]], [places[0], places[-1]], atol=1e-6)
    assert (
        len(line) == 1 or steps(line).max() < 1.6
    )  # a last step from .5 to 1.5 px where the curve is short


def test_chosen_boxes_keep_their_scores_and_areas():
    boxes = Boxes(np.eye(2, 4), np.zeros(2, np.int64), np.array([0.3, 0.7]), np.array([5.0, 6.0]))
    chosen = boxes.select(np.array([False, True]), np.array([4]))
    assert chosen.xyxy.tolist() == [[0, 1, 0, 0]] and chosen.labels.tolist() == [4]
    assert chosen.scores.tolist() == [0.7] and chosen.areas.tolist() == [6.0]
