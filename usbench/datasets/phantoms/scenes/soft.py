"""Three scenes of soft tissue: a cord under saline, a limb's nerves and vessels, cysts and lesions.

Knows enough anatomy to look right and where each structure is to the pixel; levels are dB over the
reference echogenicity, lengths pixels of the scene's reference size. Knows no physics of the image
and no file.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate, pairwise
from operator import add

import numpy as np

from usbench.datasets.phantoms.anatomy import (
    Body,
    Coat,
    Draw,
    Floats,
    Frame,
    Plane,
    enclose,
    mark,
    paint,
    scan,
    tissue,
    wall,
)

SPINAL = (
    "blood/saline",
    "dura",
    "pia",
    "csf",
    "spinal cord",
    "hematoma",
    "dura/pia complex",
    "extradural space",
    "dura/extradural space",
)
NERVES = ("nerve", "vessel")
PLAIN = ("cyst", "lesion")


def _places(
    draw: Draw, count: int, start: float, stop: float, room: float
) -> list[tuple[float, float]]:
    """(centre in x, growth) of each of `count` structures between start and stop.

    The growth is how many times `room` each may fill.
    """
    step = (stop - start) / max(count, 1)
    growth = min(step / room, 1.7)
    slack = (step - room * growth) / 2
    order = np.random.default_rng([draw.seed, 3, draw.group]).permutation(count)
    return [
        (start + (int(slot) + 0.5) * step + draw.vary(f"x {k}", -slack, slack), growth)
        for k, slot in enumerate(order)
    ]


def _stretch(frame: Frame, name: str, low: float, high: float) -> Floats:
    """(1, W) 0 within a stretch of low … high of the width, rising smoothly to 1 outside it."""
    width = frame.reference[1]
    centre = frame.draw.vary(f"{name} centre", 0.1, 0.9) * width
    half = frame.draw.vary(f"{name} half", low / 2, high / 2) * width
    ramp: Floats = np.clip((np.abs(frame.x - np.float32(centre)) - np.float32(half)) / 70, 0, 1)
    return ramp * ramp * (3 - 2 * ramp)


def spinal(draw: Draw, size: tuple[int, int]) -> Body:
    """A cord in sagittal section under saline, 275 × 690: nine classes, all layers across."""
    frame = Frame(draw, (275, 690), size)
    vary = draw.vary
    dorsal = ventral = np.ones_like(frame.x)
    if draw.turn(3) < 0.5:
        dorsal = _stretch(frame, "adhesion", 0.35, 0.6)
    # Ventrally: the space alone, a stretch fused with the dura, or fused throughout.
    if draw.turn(2) >= 0.75:
        ventral = np.zeros_like(frame.x)
    elif draw.turn(2) >= 0.45:
        ventral = _stretch(frame, "fusion", 0.35, 0.6)
    gap = vary("csf", 16, 24)
    thickness = (
        vary("dura", 7.5, 9),
        gap * dorsal,
        vary("pia", 7.5, 9),
        vary("cord", 74, 96) + frame.wave("cord", 3, 250),
        vary("ventral pia", 7.5, 9),
        vary("ventral csf", 10, 15) + frame.wave("ventral csf", 1.5, 200),
        vary("ventral dura", 7.5, 9) + 4 * (1 - ventral),
        vary("space", 20, 30) * (0.4 + 0.6 * ventral) + frame.wave("space", 2, 150),
    )
    top = vary("surface", 30, 48) + frame.wave("surface", 7, 330) + gap * (1 - dorsal) / 2
    edges: list[Floats] = list(accumulate(thickness, add, initial=top))
    adherent, fused = dorsal * gap < 4, ventral < 0.2
    body = _layers(frame, edges, adherent, fused)
    if draw.turn(5) < 0.6:
        body = _hematoma(frame, body, edges[3], edges[4])
    body = _vertebrae(frame, replace(body, coherent=_membranes(frame, edges, fused)), edges[8])
    return _lift(frame, scan(frame, body, -3))


def _layers(frame: Frame, edges: list[Floats], adherent: Plane, fused: Plane) -> Body:
    """The layers between their edges (1, W) from the dorsal dura down.

    `adherent` and `fused` (1, W): the columns with a complex of dura and pia, of dura and space.
    """
    y = frame.y
    bands = [(y >= upper) & (y < lower) for upper, lower in pairwise(edges)]
    fibres, coarse = frame.grain("fibres", 2.5, 40), frame.grain("coarse", 6, 14)
    centre = (edges[3] + edges[4]) / 2 + frame.wave("canal", 3, 200)
    canal = frame.line(centre - 4, 1.8, 9) + frame.line(centre + 4, 1.8, 8)
    # In the order of SPINAL.
    layers: tuple[Coat, ...] = (
        (y < edges[0], -30 + 3.5 * fibres, 0.0),
        ((bands[0] & ~adherent) | (bands[6] & ~fused), 9),
        ((bands[2] & ~adherent) | bands[4], 2),
        ((bands[1] & ~adherent) | bands[5], -27, 0.0),
        (bands[3], -10 + 1.5 * fibres + canal),
        (np.zeros(frame.size, bool), 0),
        ((y >= edges[0]) & (y < edges[3]) & adherent, 13),
        (bands[7] & ~fused, -5 + 3.5 * coarse),
        ((y >= edges[6]) & (y < edges[8]) & fused, 9 + 5 * fibres),
    )
    return replace(
        paint(tissue(frame, SPINAL, -14 + 3 * fibres, 0.04, 0.6), *layers),
        planes=np.stack([layer[0] for layer in layers]),
    )


def _membranes(frame: Frame, edges: list[Floats], fused: Plane) -> Floats:
    """(H, W) coherent echoes of dura and pia, and of the probe's own face."""
    ventral = np.where(fused, np.float32(4), 14)
    dura = frame.line(edges[0] + 4, 1.6, 16) + frame.line(edges[6] + 4, 1.6, ventral)
    pia = frame.line(edges[2] + 3.5, 1.5, 6) + frame.line(edges[5] - 3.5, 1.5, 6)
    return dura + pia + frame.line(1 + 0 * frame.x, 2, 6)


def _hematoma(frame: Frame, body: Body, upper: Floats, lower: Floats) -> Body:
    """Mixed, mostly bright bleeding within the cord: an oval between the cord's edges (1, W)."""
    vary = frame.draw.vary
    u = (frame.x - vary("hematoma x", 150, 540)) / vary("hematoma length", 38, 75)
    v = (2 * frame.y - upper - lower) / (lower - upper) - vary("hematoma depth", -0.2, 0.2)
    v /= vary("hematoma height", 0.42, 0.64)
    angle = np.arctan2(v, u)
    three, five = vary("ripple 3", 0, 6.28), vary("ripple 5", 0, 6.28)
    where = np.hypot(u, v) < 1 + 0.08 * np.cos(3 * angle + three) + 0.06 * np.cos(5 * angle + five)
    body = paint(body, (where, 5 + 4 * frame.grain("clots", 7, 9), 0.07))
    return mark(body, SPINAL.index("hematoma"), where)


def _vertebrae(frame: Frame, body: Body, edge: Floats) -> Body:
    """Below the space (its lower edge, (1, W)) bone that shadows, with gaps at the discs."""
    phase = frame.draw.vary("vertebra", 0, 6.28)
    bone = np.clip(2.5 * np.sin(2 * np.pi * frame.x / 290 + phase, dtype=np.float32) + 1.7, 0, 1)
    surface = edge + 4 + 3 * (1 - bone)
    loss = np.where(frame.y > surface + 3, 0.04 + 0.7 * bone, body.loss).astype(np.float32)
    return replace(body, loss=loss, coherent=body.coherent + frame.line(surface, 1.6, 12 * bone))


def _lift(frame: Frame, body: Body) -> Body:
    """In a quarter of the images one edge of the probe has no contact: dark, and background."""
    side = frame.draw.turn(7)
    if side >= 0.25:
        return body
    strip = np.float32(frame.draw.vary("lift", 20, 55))
    off = frame.x < strip if side < 0.125 else frame.x > frame.reference[1] - strip
    return replace(
        paint(body, (off, -60)),
        coherent=np.where(off, np.float32(0), body.coherent),
        planes=body.planes & ~off,
    )


def nerves(draw: Draw, size: tuple[int, int]) -> Body:
    """Nerves and vessels between two muscles, 512 × 534, in cross-section under a linear probe."""
    frame = Frame(draw, (512, 534), size)
    body, plane = _limb(frame)
    vessels = 0 if draw.turn(2) < 0.1 else 1 + (draw.turn(3) < 0.35)
    count = vessels + 1 + (draw.turn(5) < 0.5)
    for k, (x, growth) in enumerate(_places(draw, count, 45, 489, 110)):
        y = float(np.interp(x, frame.x[0], plane[0])) + draw.vary(f"y {k}", -30, 30)
        body = (_vessel if k < vessels else _nerve)(frame, body, f"structure {k}", (x, y), growth)
    return scan(frame, body, -6)


def _limb(frame: Frame) -> tuple[Body, Floats]:
    """Skin, fat, two muscles, sometimes bone; and the depth (1, W) of the muscles' fascia."""
    draw, y = frame.draw, frame.y
    fascia = draw.vary("fat", 52, 90) + frame.wave("fat", 6, 300)
    tilted = draw.vary("plane", 190, 260) + draw.vary("plane tilt", -0.16, 0.16) * (frame.x - 267)
    plane = (tilted + frame.wave("plane", 12, 300)).astype(np.float32)
    septa = frame.grain("septa", 1.5, 40, draw.vary("septa slope", -0.08, 0.08))
    upper = frame.grain("upper", 1.6, 26, draw.vary("pennation", -0.25, 0.25))
    deeper = frame.grain("lower", 1.9, 22, draw.vary("lower pennation", -0.25, 0.25))
    fibres = np.where(y < plane, upper, deeper)
    near = np.exp(-(((y - plane) / 40) ** 2)).astype(np.float32)
    muscle = -16 + 4.5 * np.maximum(fibres, -1.2) + near * (10 + 3 * frame.grain("sheath", 4, 11))
    body = paint(
        tissue(frame, NERVES, muscle, 0.08, 1.4),
        (y < fascia, -10 + 5 * septa),
        (y < 11, 4 + 2 * septa),
    )
    streaks = np.where(y < fascia, 5 * np.maximum(septa - 1.3, 0), 4 * np.maximum(fibres - 1.9, 0))
    lines = (
        frame.line(fascia, 1.8, 13)
        + frame.line(fascia + 10 + frame.wave("second", 8, 240), 1.2, 7)
        + frame.line(plane - 16 + frame.wave("third", 14, 220), 1.2, 4)
        + frame.line(plane, 1.7, 4 + frame.wave("echo", 4, 90))
    )
    coherent = streaks + (lines + frame.line(11 + 0 * frame.x, 1.6, 7))
    if draw.turn(11) < 0.3:
        bone = plane + 150 + ((frame.x - draw.vary("bone", 120, 420)) / 22) ** 2
        below = y > bone + 3
        body = paint(body, (below, -24, 0.5))
        coherent = coherent * ~below + frame.line(bone, 3, 22)
    return replace(body, coherent=coherent), plane


def _vessel(
    frame: Frame, body: Body, name: str, centre: tuple[float, float], growth: float
) -> Body:
    """An anechoic oval with a bright wall where the beam meets it squarely."""
    radius = growth * frame.draw.vary(f"{name} size", 24, 45)
    flat = frame.draw.vary(f"{name} flat", 0.6, 1.0)
    distance = frame.blob(name, centre, (radius, radius * flat), 0.03)
    # Blood attenuates little.
    body = paint(body, ((distance - 1) * radius < 4, -9), (distance < 0.97, -28, 0.0))
    return enclose(body, 1, distance, 5 * wall(frame, distance, centre, radius, 1.6), 0.97)


def _nerve(frame: Frame, body: Body, name: str, centre: tuple[float, float], growth: float) -> Body:
    """A bright oval with a brighter rim and dark fascicles: the honeycomb."""
    across = growth * frame.draw.vary(f"{name} size", 30, 46)
    down = across * frame.draw.vary(f"{name} flat", 0.45, 0.75)
    distance = frame.blob(name, centre, (across, down), 0.06)
    pitch = frame.draw.vary(f"{name} fascicle", 13, 18)
    wander = 0.16 * frame.grain(f"{name} wander", 8, 8)
    row = (frame.y - centre[1]) / (0.87 * pitch) + wander
    column = (frame.x - centre[0]) / pitch + 0.5 * (np.rint(row) % 2) + wander
    hollow = np.hypot(0.87 * (row - np.rint(row)), column - np.rint(column)) < 0.37
    inside = np.where(hollow, np.float32(-15), np.float32(1))
    echo = np.where((1 - distance) * down < 5, np.float32(6), inside)
    return enclose(paint(body, (distance < 1, echo, 0.09)), 0, distance)


def plain(draw: Draw, size: tuple[int, int]) -> Body:
    """Cysts and lesions in layered soft tissue, 256 × 320."""
    frame = Frame(draw, (256, 320), size)
    streaks = frame.grain("streaks", 2.0, 24, draw.vary("slope", -0.06, 0.06))
    fat = draw.vary("fat", 24, 40) + frame.wave("fat", 4, 200)
    deep = draw.vary("muscle", 212, 228) + frame.wave("muscle", 4, 200)
    body = paint(
        tissue(frame, PLAIN, -4 + 3 * frame.grain("coarse", 10, 22), 0.09, 0.7),
        (frame.y < fat, -12 + 4 * streaks),
        (frame.y > deep, -13 + 5 * streaks),
    )
    lines = frame.line(fat, 1.5, 9) + frame.line(deep, 1.7, 11) + 4 * np.maximum(streaks - 1.8, 0)
    body = replace(body, coherent=lines.astype(np.float32))
    kinds = draw.turn(2)
    shapes = [_cyst] if 0.1 <= kinds < 0.4 or kinds >= 0.7 else []
    if kinds >= 0.4:
        shapes.append(_lesion)
    if draw.turn(3) < 0.25:
        shapes += shapes[:1]
    for k, (x, growth) in enumerate(_places(draw, len(shapes), 5, 315, 103)):
        y = draw.vary(f"y {k}", 90, 155)
        body = shapes[k](frame, body, f"structure {k}", (x, y), min(growth, 1.4))
    return scan(frame, body, -4)


def _cyst(frame: Frame, body: Body, name: str, centre: tuple[float, float], growth: float) -> Body:
    """Smooth, anechoic, with a thin wall; fluid attenuates nothing."""
    radius = growth * frame.draw.vary(f"{name} size", 18, 35)
    radii = radius, radius * frame.draw.vary(f"{name} flat", 0.7, 1.0)
    distance = frame.blob(name, centre, radii, 0.02)
    body = paint(body, (distance < 0.98, -44, 0.0))
    return enclose(body, 0, distance, 8 * wall(frame, distance, centre, radius, 1.3), 0.98)


def _lesion(
    frame: Frame, body: Body, name: str, centre: tuple[float, float], growth: float
) -> Body:
    """Irregular, echo-poor, patchy; attenuates more than the tissue about it."""
    radius = growth * frame.draw.vary(f"{name} size", 20, 33)
    radii = radius, radius * frame.draw.vary(f"{name} flat", 0.7, 1.1)
    distance = frame.blob(name, centre, radii, 0.12)
    patches = -15 + 2.5 * frame.grain(f"{name} patches", 5, 6)
    body = paint(body, ((distance - 1) * radius < 3, 1), (distance < 1, patches, 0.19))
    return enclose(body, 1, distance)
