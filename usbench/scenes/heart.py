"""The heart's outlines in two views, apical four-chamber and parasternal long-axis, as they move with the beat.

Knows where each wall, valve and landmark is; nothing of echoes and pixels. Lengths are pixels of the scene's reference
size, 600 × 800, x to the right and y down. A view is laid out in coordinates (s, v) of its own, along the left
ventricle's long axis and square to it, so that the whole heart tilts and shifts as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np
from numpy.typing import NDArray

from usbench.anatomy import Draw
from usbench.curves import spline

Line = NDArray[np.float64]  # (N, 2) of x, y or of s, v

APICAL = ("curve-la-endo", "curve-lv-endo", "lv-apex-endo", "mv-ant-hinge", "mv-post-hinge", "tv-ant-hinge", "tv-sep-hinge")
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
THIN = 9.0  # the wall of atria and great vessels


@dataclass(frozen=True)
class Heart:
    """One view at one phase. Every outline is star-shaped about the mean of its points and closes on itself."""

    view: str
    muscle: Line  # the left ventricle's outer outline
    cavities: tuple[tuple[Line, float], ...]  # outline, and how thick the thin wall around it is
    leaflets: tuple[Line, ...]
    paths: dict[str, Line]  # what is in view: (1, 2) a point, (P, 2) the knots of a curve


@dataclass(frozen=True)
class _Axes:
    """Where (s, v) lies in the image: the origin, and the direction of s; v is 90° clockwise from it on the screen."""

    origin: tuple[float, float]
    turn: float  # of s from the screen's x axis towards its y axis, radians

    def place(self, points: object) -> Line:
        """(N, 2) x, y of points (N, 2) s, v."""
        s, v = np.asarray(points, np.float64).reshape(-1, 2).T
        x, y = cos(self.turn), sin(self.turn)
        return np.stack([self.origin[0] + s * x - v * y, self.origin[1] + s * y + v * x], axis=1)


def contraction(draw: Draw) -> float:
    """How far the ventricles are contracted: 0 at end-diastole … 1 at end-systole; the images fill the cycle evenly."""
    return 0.5 - 0.5 * cos(2 * pi * draw.turn(2))


def _own(draw: Draw, name: str, low: float, high: float) -> float:
    """The subject's value, the same in all images: in a video only the beat moves."""
    return float(draw.subject(name).uniform(low, high))


def _at(line: Line, s: float) -> float:
    """The v of a line (N, 2) of s, v at s, where s rises or falls all along."""
    rising = line if line[0, 0] < line[-1, 0] else line[::-1]
    return float(np.interp(s, rising[:, 0], rising[:, 1]))


def _shift(line: Line, by: float) -> Line:
    """The line moved to the left of its direction."""
    along = np.gradient(line, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    return line + by * np.stack([along[:, 1], -along[:, 0]], axis=1)


def _between(one: tuple[float, float], other: tuple[float, float], bend: float) -> Line:
    """A leaflet from its hinge to its tip, bent to the left of its direction by this part of its length."""
    start, end = np.array(one), np.array(other)
    along = end - start
    return spline(np.stack([start, (start + end) / 2 + bend * np.array([along[1], -along[0]]), end]))


# ---- apical four-chamber: s from the apex of the left ventricle down to its base, v to the septum and the right heart


def apical(draw: Draw) -> Heart:
    """Four chambers from the apex: both ventricles above, both atria below, the left heart on the image's right."""
    beat = contraction(draw)
    tilt = _own(draw, "tilt", 0.04, 0.18)
    axes = _Axes((_own(draw, "x", 400, 430), _own(draw, "y", 92, 118) + 2 * beat), pi / 2 - tilt)
    length = _own(draw, "length", 235, 272) * (1 - 0.13 * beat)
    half = _own(draw, "half", 62, 76) * (1 - 0.28 * beat)
    thick = _own(draw, "thick", 28, 36) * (1 + 0.3 * beat)
    septal, lateral = _own(draw, "septal", 0.92, 1.04), _own(draw, "lateral", 0.96, 1.06)
    ring = 0.84 * half  # of the mitral valve
    side = ((0.97, 0.72), (0.95, 0.42), (0.66, 0.15))  # (v in halves, s in lengths)
    knots = np.array(
        [(length, ring)]
        + [(part * length, width * half * septal) for width, part in side]
        + [(0, 0)]
        + [(part * length, -width * half * lateral) for width, part in side[::-1]]
        + [(length, -ring)]
    )
    endo = spline(knots)
    right, hinges = _right_ventricle(draw, beat, endo[: len(endo) // 2], length, thick)
    deep, wide = _own(draw, "atria", 112, 140) * (1 + 0.18 * beat), _own(draw, "atrium", 64, 74) * (1 + 0.1 * beat)
    atrium = np.array(
        [(0, ring), (0.28 * deep, wide), (0.72 * deep, 0.76 * wide), (deep, 2), (0.72 * deep, -0.76 * wide)]
        + [(0.28 * deep, -wide), (0, -ring)]
    ) + (length, 0)
    paths = {
        "curve-la-endo": atrium,
        "curve-lv-endo": knots,
        "lv-apex-endo": knots[4],
        "mv-ant-hinge": knots[0],
        "mv-post-hinge": knots[-1],
        "tv-ant-hinge": hinges[1],
        "tv-sep-hinge": hinges[0],
    }
    cavities = (
        (endo, 0.0),
        (right, 0.4 * thick),
        (spline(atrium), THIN),
        (_right_atrium(hinges, wide + 15, length, 0.92 * deep), THIN),
    )
    leaflets = _apical_valves(beat, knots[0], knots[-1], hinges)
    return Heart(
        "apical four-chamber",
        axes.place(_shift(endo, thick)),
        tuple((axes.place(outline), wall) for outline, wall in cavities),
        tuple(axes.place(leaflet) for leaflet in leaflets),
        {name: axes.place(path) for name, path in paths.items()},
    )


def _right_ventricle(draw: Draw, beat: float, septum: Line, length: float, thick: float) -> tuple[Line, Line]:
    """Its outline, and the tricuspid hinges (2, 2), septal and anterior: a crescent on the septum."""
    wide = _own(draw, "right", 84, 104) * (1 - 0.2 * beat)
    border = _shift(septum, thick)
    start, low = 0.24 * length, 0.95 * length  # its apex and its base
    inner = [(s, _at(border, s)) for s in np.linspace(low, start, 9).tolist()]
    free = [
        (part * length, _at(border, part * length) + share * wide)
        for part, share in ((0.30, 0.30), (0.45, 0.66), (0.65, 0.95), (0.82, 1.02), (0.96, 0.88))
    ]
    outline = np.concatenate([spline(np.array(inner)), spline(np.array([inner[-1], *free]))[1:]])
    return outline, np.array([inner[0], free[-1]])


def _right_atrium(hinges: Line, septum: float, length: float, deep: float) -> Line:
    """Its outline from the septal to the anterior hinge, beside an atrial septum at v = `septum`."""
    left = hinges[1, 1] + 8
    middle = (septum + left) / 2
    return spline(
        np.array(
            [hinges[0], (length + 0.3 * deep, septum), (length + 0.75 * deep, septum + 8), (length + deep, middle)]
            + [(length + 0.75 * deep, left - 16), (length + 0.3 * deep, left), hinges[1]]
        )
    )


def _apical_valves(beat: float, septal: Line, lateral: Line, hinges: Line) -> tuple[Line, ...]:
    """Both leaflets of the mitral and of the tricuspid valve; open in diastole."""
    open_ = 1 - beat
    tips = []
    for one, other, reach in ((septal, lateral, 1.0), (lateral, septal, 0.75), (hinges[0], hinges[1], 0.75), (hinges[1], hinges[0], 0.9)):
        across = other[1] - one[1]
        tip = (one[0] - 8 - 40 * reach * open_, one[1] + across * (0.5 - 0.34 * open_))
        tips.append(_between((one[0], one[1]), tip, 0.12 * float(np.sign(across))))
    return tuple(tips)


# ---- parasternal long-axis: s from the base of the anterior mitral leaflet to the apex, v towards the chest wall


def parasternal(draw: Draw) -> Heart:
    """The left ventricle lengthwise below a strip of the right one, aorta and left atrium on the image's right."""
    beat = contraction(draw)
    axes = _Axes((_own(draw, "x", 482, 504) - 13 * beat, _own(draw, "y", 272, 294)), pi - _own(draw, "tilt", -0.04, 0.14))
    length, root = _own(draw, "length", 215, 245), _own(draw, "root", 70, 84)
    ring, thick = _own(draw, "ring", 84, 98), _own(draw, "septum", 32, 40) * (1 + 0.25 * beat)
    wall = _own(draw, "wall", 30, 38) * (1 + 0.3 * beat)
    inward = 0.15 * (root + ring) * beat
    top = [(2, root, 0), (0.2, root + 5, 0.6), (0.45, root + 8, 1), (0.68, root - 2, 1), (0.86, root - 20, 0.8)]
    bottom = [(-8, ring, 0), (0.18, ring + 12, 0.5), (0.42, ring + 16, 1), (0.66, ring + 4, 1), (0.86, ring - 20, 0.8)]
    septum = np.array([(s if k == 0 else s * length, v - part * inward) for k, (s, v, part) in enumerate(top)])
    back = np.array([(s if k == 0 else s * length, 1.4 * part * inward - v) for k, (s, v, part) in enumerate(bottom)])
    bulge = root + _own(draw, "sinus", 10, 16)
    strip = np.array([(-80, root + 22), (-38, bulge + 13), (2, root + 0.7 * thick), *(septum[1:] + (0, thick))])
    middle = (septum[-1, 1] + back[-1, 1]) / 2
    tip = np.array([(1.0 * length, septum[-1, 1] - 24), (1.06 * length, middle), (1.0 * length, back[-1, 1] + 24)])
    endo = np.concatenate([spline(septum), spline(np.array([septum[-1], *tip, back[-1]]))[1:], spline(back[::-1])[1:]])
    outer = _shift(spline(back), wall)  # towards −v
    upper = spline(strip)
    muscle = np.concatenate([upper[upper[:, 0] > 2], tip + (0.8 * wall, 0), outer[::-1]])
    deep = _own(draw, "atrium", 124, 148) * (1 + 0.1 * beat)
    atrium = [(0, 0), (-36, -18), (-82, -20), (-122, -46), (-134, -0.55 * deep), (-112, -0.85 * deep), (-74, -deep)]
    atrium += [(-38, -0.97 * deep), (-8, -ring)]
    level = 0.27 * length  # of the measurements: just beyond the tips of the mitral leaflets
    paths = {
        "ao-sinus-top-inner": (-38, bulge + 0.12 * 38),
        "ao-valve-top-inner": septum[0],
        "curve-lv-antsep-endo": septum,
        "curve-lv-post-endo": back,
        "la-bottom-inner": atrium[-2],
        "lv-ivs-bottom": (level, _at(spline(septum), level)),
        "lv-ivs-top": (level, _at(upper, level)),
        "lv-pw-bottom": (level, _at(outer, level)),
        "lv-pw-top": (level, _at(spline(back), level)),
        "mv-ant-hinge": (0, 0),
        "mv-post-hinge": back[0],
    }
    cavities = (
        (_outflow(upper, _own(draw, "right", 52, 68) * (1 - 0.2 * beat)), 10.0),
        (_aorta(root, bulge), THIN),
        (spline(np.array(atrium)), THIN),
        (endo, 0.0),
        (_ring((-14 - 0.2 * deep, -deep - 54), _own(draw, "aorta", 20, 27)), 6.0),
    )
    return Heart(
        "parasternal long-axis",
        axes.place(muscle),
        tuple((axes.place(outline), wall) for outline, wall in cavities),
        tuple(axes.place(leaflet) for leaflet in _parasternal_valves(beat, root, ring)),
        {name: axes.place(path) for name, path in paths.items()},
    )


def _outflow(floor: Line, high: float) -> Line:
    """The right ventricle: a lens on the septum's other side, whose floor is a line of s, v."""
    along = np.linspace(0, pi, 9)[1:-1]
    s = floor[0, 0] + (floor[-1, 0] - floor[0, 0]) * (1 - np.cos(along)) / 2
    roof = [(one, _at(floor, one) + high * sin(angle) ** 0.7) for one, angle in zip(s.tolist(), along.tolist(), strict=True)]
    return np.concatenate([floor, spline(np.array([floor[-1], *roof[::-1], floor[0]]))[1:]])


def _aorta(root: float, bulge: float) -> Line:
    """The root from its ring to the right: sinuses, junction, the tube beyond."""
    top = np.array([(2, root), (-38, bulge), (-70, root - 2), (-140, root + 4)])
    bottom = np.array([(-140, 2), (-70, 4), (-34, -6), (0, 0)])
    rise = 0.12 * np.abs(np.minimum([*top[:, 0], *bottom[:, 0]], 0))
    line = np.concatenate([top, bottom]) + np.stack([np.zeros(8), rise], axis=1)
    return np.concatenate([spline(line[:4]), spline(line[4:])])


def _ring(centre: tuple[float, float], radius: float) -> Line:
    angle = np.linspace(0, 2 * pi, 73)
    return np.stack([centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle)], axis=1)


def _parasternal_valves(beat: float, root: float, ring: float) -> tuple[Line, ...]:
    """Mitral leaflets, open in diastole, and aortic ones, open in systole."""
    mitral, aortic = 1 - beat, beat
    anterior = (38 + 16 * mitral, -44 + 54 * mitral)
    posterior = (36 - 4 * mitral, -48 - (ring - 56) * mitral)
    upper = (-30 - 8 * aortic, root / 2 + 2 + (root / 2 - 14) * aortic)
    lower = (-30 - 8 * aortic, root / 2 + 2 - (root / 2 - 14) * aortic)
    return (
        _between((0, 0), anterior, 0.1),
        _between((-8, -ring), posterior, -0.1),
        _between((2, root), upper, -0.1),
        _between((0, 0), lower, 0.1),
    )
