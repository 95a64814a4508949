"""The apical four-chamber view: ventricles above atria, the left heart on the image's right.

Knows where each wall, valve and landmark is and how it moves. s runs from the apex of the left
ventricle down to its base, v to the septum and the right heart (see
`usbench.datasets.phantoms.scenes.heart`).
"""

from __future__ import annotations

from math import pi

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

APICAL = (
    "curve-la-endo",
    "curve-lv-endo",
    "lv-apex-endo",
    "mv-ant-hinge",
    "mv-post-hinge",
    "tv-ant-hinge",
    "tv-sep-hinge",
)


def apical(draw: Draw) -> Heart:
    """Four chambers from the apex: ventricles above atria, the left heart on the image's right."""
    choose = draw.choose
    beat = contraction(draw)
    axes = Axes(
        (choose("x", 400, 430), choose("y", 92, 118) + 2 * beat),
        pi / 2 - choose("tilt", 0.04, 0.18),
    )
    length = choose("length", 235, 272) * (1 - 0.13 * beat)
    half = choose("half", 62, 76) * (1 - 0.28 * beat)
    thick = choose("thick", 28, 36) * (1 + 0.3 * beat)
    ring = 0.84 * half  # of the mitral valve
    wall = np.array([(0.72, 0.97), (0.42, 0.95), (0.15, 0.66)]) * (length, half)  # one side
    knots = np.concatenate(
        [
            [(length, ring)],
            wall * (1, choose("septal", 0.92, 1.04)),
            [(0, 0)],
            wall[::-1] * (1, -choose("lateral", 0.96, 1.06)),
            [(length, -ring)],
        ]
    )
    endo = curve_through(knots)
    right, hinges = _right_ventricle(draw, beat, endo[: len(endo) // 2], length, thick)
    deep = choose("atria", 112, 140) * (1 + 0.18 * beat)
    wide = choose("atrium", 64, 74) * (1 + 0.1 * beat)
    roof = [
        (0.3 * deep, wide),
        (0.76 * deep, 0.82 * wide),
        (deep, 4),
        (0.76 * deep, -0.82 * wide),
        (0.3 * deep, -wide),
    ]
    atrium = np.array([(0, ring), *roof, (0, -ring)]) + np.array((length, 0))
    return axes.lay_out(
        "apical four-chamber",
        shift(endo, thick),
        (
            (endo, 0.0),
            (right, 0.4 * thick),
            (curve_through(atrium), THIN),
            (_right_atrium(hinges, wide + 15, length, 0.92 * deep), THIN),
        ),
        _valves(beat, knots[0], knots[-1], hinges),
        {
            "curve-la-endo": atrium,
            "curve-lv-endo": knots,
            "lv-apex-endo": knots[4],
            "mv-ant-hinge": knots[0],
            "mv-post-hinge": knots[-1],
            "tv-ant-hinge": hinges[1],
            "tv-sep-hinge": hinges[0],
        },
    )


def _right_ventricle(
    draw: Draw, beat: float, septum: Line, length: float, thick: float
) -> tuple[Line, Line]:
    """Outline and tricuspid hinges (2, 2), septal and anterior: a crescent on the septum."""
    wide = draw.choose("right", 84, 104) * (1 - 0.2 * beat)
    border = shift(septum, thick)
    base, apex = 0.95 * length, 0.24 * length
    inner = [(s, offset_at(border, s)) for s in np.linspace(base, apex, 9).tolist()]
    free = [
        (part * length, offset_at(border, part * length) + share * wide)
        for part, share in ((0.30, 0.30), (0.45, 0.66), (0.65, 0.95), (0.82, 1.02), (0.96, 0.88))
    ]
    curves = curve_through(np.array(inner)), curve_through(np.array([inner[-1], *free]))[1:]
    return np.concatenate(curves), np.array([inner[0], free[-1]])


def _right_atrium(hinges: Line, septum: float, length: float, deep: float) -> Line:
    """Outline from the septal to the anterior hinge, beside an atrial septum at v = `septum`."""
    left = hinges[1, 1] + 18
    high, low = length + 0.3 * deep, length + 0.8 * deep
    knots = [
        hinges[0],
        (high, septum),
        (low, septum + 4),
        (length + deep, (septum + left) / 2),
        (low, left - 14),
        (high, left),
        hinges[1],
    ]
    return curve_through(np.array(knots))


def _valves(beat: float, septal: Line, lateral: Line, hinges: Line) -> list[Line]:
    """Both leaflets of the mitral and of the tricuspid valve; open in diastole."""
    wide = opening(1 - beat)
    leaflets = []
    for hinge, opposite, reach in (
        (septal, lateral, 1.0),
        (lateral, septal, 0.75),
        (hinges[0], hinges[1], 0.75),
        (hinges[1], hinges[0], 0.9),
    ):
        across = opposite[1] - hinge[1]
        tip = (hinge[0] - 8 - 40 * reach * wide, hinge[1] + across * (0.5 - 0.34 * wide))
        leaflets.append(leaflet((hinge[0], hinge[1]), tip, 0.12 * float(np.sign(across))))
    return leaflets
