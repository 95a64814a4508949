"""The apical four-chamber view: both ventricles above, both atria below, the left heart on the
image's right.

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
    at,
    contraction,
    leaflet,
    opening,
    own,
    shifted,
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
    """Four chambers from the apex: both ventricles above, both atria below, the left heart on the
    image's right.
    """
    beat = contraction(draw)
    tilt = own(draw, "tilt", 0.04, 0.18)
    axes = Axes((own(draw, "x", 400, 430), own(draw, "y", 92, 118) + 2 * beat), pi / 2 - tilt)
    length = own(draw, "length", 235, 272) * (1 - 0.13 * beat)
    half = own(draw, "half", 62, 76) * (1 - 0.28 * beat)
    thick = own(draw, "thick", 28, 36) * (1 + 0.3 * beat)
    septal, lateral = own(draw, "septal", 0.92, 1.04), own(draw, "lateral", 0.96, 1.06)
    ring = 0.84 * half  # of the mitral valve
    side = ((0.97, 0.72), (0.95, 0.42), (0.66, 0.15))  # (v in halves, s in lengths)
    knots = np.array(
        [(length, ring)]
        + [(part * length, width * half * septal) for width, part in side]
        + [(0, 0)]
        + [(part * length, -width * half * lateral) for width, part in side[::-1]]
        + [(length, -ring)]
    )
    endo = curve_through(knots)
    right, hinges = _right_ventricle(draw, beat, endo[: len(endo) // 2], length, thick)
    deep, wide = (
        own(draw, "atria", 112, 140) * (1 + 0.18 * beat),
        own(draw, "atrium", 64, 74) * (1 + 0.1 * beat),
    )
    roof = [
        (0.3 * deep, wide),
        (0.76 * deep, 0.82 * wide),
        (deep, 4),
        (0.76 * deep, -0.82 * wide),
        (0.3 * deep, -wide),
    ]
    atrium = np.array([(0, ring), *roof, (0, -ring)]) + np.array((length, 0))
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
        (curve_through(atrium), THIN),
        (_right_atrium(hinges, wide + 15, length, 0.92 * deep), THIN),
    )
    return Heart(
        "apical four-chamber",
        axes.place(shifted(endo, thick)),
        tuple((axes.place(outline), wall) for outline, wall in cavities),
        tuple(axes.place(valve) for valve in _valves(beat, knots[0], knots[-1], hinges)),
        {name: axes.place(path) for name, path in paths.items()},
    )


def _right_ventricle(
    draw: Draw, beat: float, septum: Line, length: float, thick: float
) -> tuple[Line, Line]:
    """Outline and tricuspid hinges (2, 2), septal and anterior: a crescent on the septum."""
    wide = own(draw, "right", 84, 104) * (1 - 0.2 * beat)
    border = shifted(septum, thick)
    start, low = 0.24 * length, 0.95 * length  # its apex and its base
    inner = [(s, at(border, s)) for s in np.linspace(low, start, 9).tolist()]
    free = [
        (part * length, at(border, part * length) + share * wide)
        for part, share in ((0.30, 0.30), (0.45, 0.66), (0.65, 0.95), (0.82, 1.02), (0.96, 0.88))
    ]
    outline = np.concatenate(
        [curve_through(np.array(inner)), curve_through(np.array([inner[-1], *free]))[1:]]
    )
    return outline, np.array([inner[0], free[-1]])


def _right_atrium(hinges: Line, septum: float, length: float, deep: float) -> Line:
    """Outline from the septal to the anterior hinge, beside an atrial septum at v = `septum`."""
    left = hinges[1, 1] + 18
    high, low = length + 0.3 * deep, length + 0.8 * deep
    floor = length + deep, (septum + left) / 2
    knots = [
        hinges[0],
        (high, septum),
        (low, septum + 4),
        floor,
        (low, left - 14),
        (high, left),
        hinges[1],
    ]
    return curve_through(np.array(knots))


def _valves(beat: float, septal: Line, lateral: Line, hinges: Line) -> tuple[Line, ...]:
    """Both leaflets of the mitral and of the tricuspid valve; open in diastole."""
    wide = opening(1 - beat)
    leaflets = []
    for one, other, reach in (
        (septal, lateral, 1.0),
        (lateral, septal, 0.75),
        (hinges[0], hinges[1], 0.75),
        (hinges[1], hinges[0], 0.9),
    ):
        across = other[1] - one[1]
        tip = (one[0] - 8 - 40 * reach * wide, one[1] + across * (0.5 - 0.34 * wide))
        leaflets.append(leaflet((one[0], one[1]), tip, 0.12 * float(np.sign(across))))
    return tuple(leaflets)
