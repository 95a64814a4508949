"""The parasternal long-axis view: the left ventricle below a strip of the right one.

Aorta and left atrium are at its base. Knows where each wall, valve and landmark is and how it
moves. s runs from the base of the anterior mitral leaflet to the apex, v towards the chest wall
(see `usbench.datasets.phantoms.scenes.heart`); the base is on the image's right.
"""

from __future__ import annotations

from math import pi, sin

import numpy as np

from usbench.datasets.phantoms.anatomy import Draw
from usbench.datasets.phantoms.scenes.heart import (
    THIN,
    Axes,
    Heart,
    Line,
    contraction,
    leaflet,
    offset_at,
    opening,
    shift,
)
from usbench.types import curve_through

PARASTERNAL = (
    "ao-sinus-top-inner",
    "ao-valve-top-inner",
    "curve-lv-antsep-endo",
    "curve-lv-post-endo",
    "la-bottom-inner",
    "lv-ivs-bottom",
    "lv-ivs-top",
    "lv-pw-bottom",
    "lv-pw-top",
    "mv-ant-hinge",
    "mv-post-hinge",
)


def parasternal(draw: Draw) -> Heart:
    """The left ventricle lengthwise below a strip of the right one, the base on the image's right.

    The base is aorta and left atrium.
    """
    choose = draw.choose
    beat = contraction(draw)
    axes = Axes(
        (choose("x", 482, 504) - 13 * beat, choose("y", 272, 294)), pi - choose("tilt", -0.04, 0.14)
    )
    length, root, ring = choose("length", 215, 245), choose("root", 70, 84), choose("ring", 84, 98)
    thick = choose("septum", 32, 40) * (1 + 0.25 * beat)
    wall = choose("wall", 30, 38) * (1 + 0.3 * beat)
    septum, back = _walls(length, root, ring, 0.15 * (root + ring) * beat)
    bulge = root + choose("sinus", 10, 16)
    strip = [(-80, root + 22), (-38, bulge + 13), (2, root + 0.7 * thick)]
    upper = curve_through(np.concatenate([strip, septum[1:] + np.array((0, thick))]))
    inner, lower = curve_through(septum), curve_through(back)
    outer = shift(lower, wall)  # towards −v
    apex = _cap(septum[-1], back[-1], 0.19 * length)
    outer_apex = _cap(upper[-1], outer[-1], 0.19 * length + wall)
    deep = choose("atrium", 124, 148) * (1 + 0.1 * beat)
    atrium = _left_atrium(deep, ring)
    level = 0.27 * length  # of the measurements: just beyond the tips of the mitral leaflets
    # Beyond it the septum falls away, out of the lens's centre's sight.
    near = upper[upper[:, 0] < 0.52 * length]
    return axes.lay_out(
        "parasternal long-axis",
        np.concatenate([upper[upper[:, 0] > 2], outer_apex, outer[::-1]]),
        (
            (_outflow(near, choose("right", 52, 68) * (1 - 0.2 * beat)), 10.0),
            (_aorta(root, bulge), THIN),
            (curve_through(atrium), THIN),
            (np.concatenate([inner, apex, curve_through(back[::-1]), [(0, 0)]]), 0.0),
            (_circle((-14 - 0.2 * deep, -deep - 54), choose("aorta", 20, 27)), 6.0),
        ),
        _valves(beat, root, ring),
        {
            "ao-sinus-top-inner": (-38, bulge + 0.12 * 38),
            "ao-valve-top-inner": septum[0],
            "curve-lv-antsep-endo": septum,
            "curve-lv-post-endo": back,
            "la-bottom-inner": atrium[-2],
            "lv-ivs-bottom": (level, offset_at(inner, level)),
            "lv-ivs-top": (level, offset_at(upper, level)),
            "lv-pw-bottom": (level, offset_at(outer, level)),
            "lv-pw-top": (level, offset_at(lower, level)),
            "mv-ant-hinge": (0, 0),
            "mv-post-hinge": back[0],
        },
    )


def _walls(length: float, root: float, ring: float, inward: float) -> tuple[Line, Line]:
    """Knots of the septum's and the posterior wall's inner side, from the base; inward: by px."""
    top = [(0.2, root + 5, 0.6), (0.45, root + 8, 1), (0.68, root - 2, 1), (0.86, root - 20, 0.8)]
    bottom = [
        (0.18, ring + 12, 0.5),
        (0.42, ring + 16, 1),
        (0.66, ring + 4, 1),
        (0.86, ring - 20, 0.8),
    ]
    septum = [(2, root), *((part * length, v - share * inward) for part, v, share in top)]
    back = [(-8, -ring), *((part * length, 1.4 * share * inward - v) for part, v, share in bottom)]
    return np.array(septum), np.array(back)


def _left_atrium(deep: float, ring: float) -> Line:
    """Knots from the anterior to the posterior hinge; the last but one is opposite the sinus."""
    floor = [(-134, -0.55), (-112, -0.85), (-74, -1), (-38, -0.97)] * np.array((1, deep))
    return np.array([(0, 0), (-36, -18), (-82, -20), (-122, -46), *floor, (-8, -ring)])


def _cap(upper: Line, lower: Line, reach: float) -> Line:
    """Half an oval from one end of a wall round the apex to the other's, without these."""
    angle = np.linspace(pi / 2, -pi / 2, 41)[1:-1, None]
    middle, half = (upper + lower) / 2, (upper - lower) / 2
    return np.asarray(middle + np.cos(angle) * (reach, 0) + np.sin(angle) * half)


def _outflow(floor: Line, high: float) -> Line:
    """The right ventricle: a lens on the septum's other side, whose floor is a line of s, v."""
    along = np.linspace(0, pi, 9)[1:-1]
    s = floor[0, 0] + (floor[-1, 0] - floor[0, 0]) * (1 - np.cos(along)) / 2
    roof = [
        (place, offset_at(floor, place) + high * sin(angle) ** 0.5)
        for place, angle in zip(s.tolist(), along.tolist(), strict=True)
    ]
    return np.concatenate([floor, curve_through(np.array([floor[-1], *roof[::-1], floor[0]]))[1:]])


def _aorta(root: float, bulge: float) -> Line:
    """The root from its ring to the right: sinuses, junction, the tube beyond."""
    top = np.array([(2, root), (-38, bulge), (-70, root - 2), (-140, root + 4)])
    bottom = np.array([(-140, 2), (-70, 4), (-34, -6), (0, 0)])
    rise = 0.12 * np.abs(np.minimum([*top[:, 0], *bottom[:, 0]], 0))
    line = np.concatenate([top, bottom]) + np.stack([np.zeros(8), rise], axis=1)
    return np.concatenate([curve_through(line[:4]), curve_through(line[4:])])


def _circle(centre: tuple[float, float], radius: float) -> Line:
    angle = np.linspace(0, 2 * pi, 73)
    return np.array(centre) + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _valves(beat: float, root: float, ring: float) -> tuple[Line, ...]:
    """Mitral leaflets, open in diastole, and aortic ones, open in systole."""
    mitral, aortic = opening(1 - beat), opening(beat)
    reach, middle, gape = -30 - 8 * aortic, root / 2 + 2, (root / 2 - 14) * aortic
    return (
        leaflet((0, 0), (38 + 16 * mitral, -44 + 54 * mitral), 0.1),
        leaflet((-8, -ring), (36 - 4 * mitral, -48 - (ring - 56) * mitral), -0.1),
        leaflet((2, root), (reach, middle + gape), -0.1),
        leaflet((0, 0), (reach, middle - gape), 0.1),
    )
