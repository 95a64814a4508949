"""The heart under a phased array: apical and parasternal views with their landmarks.

Knows what each tissue returns, in dB over the reference echogenicity, and how the beams fan out:
the body is laid out in beams, so that speckle, attenuation and the beam's width go along them and
the sector is what they cover. Where the walls are, `apical` and `parasternal` know. Knows no
physics of the image and no file.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy
from numpy.typing import NDArray

from usbench.datasets.phantoms.anatomy import Body, Draw, Floats, Frame, paint, scan, tissue
from usbench.datasets.phantoms.scenes.apical import APICAL, apical
from usbench.datasets.phantoms.scenes.heart import Heart, Line
from usbench.datasets.phantoms.scenes.parasternal import PARASTERNAL, parasternal
from usbench.types import (
    BLURRED,
    OFF,
    SEEN,
    Landmarks,
    curve_through,
    resample_curve,
)

ECHO = tuple(sorted({*APICAL, *PARASTERNAL}))

REFERENCE = (600, 800)
APEX = (400.0, 4.0)  # (x, y) where the beams meet
FACE, REACH = 12.0, 584.0  # distances from there at which the field of view begins and ends
ASPECT = 0.74  # half the sector's angle, radians
BEAMS = 480  # reference columns of the beams' grid; its rows are as deep as the image's
DARK_PX = 22.0  # SD of the drop-out that hides a landmark
APART_PX = 45.0  # a drop-out keeps this far from the points that are still seen
ANGLES = 8192  # an outline's radius is looked up at so many angles


def echo(draw: Draw, size: tuple[int, int]) -> Body:
    """A heart, 600 × 800: apical four-chamber in odd groups, parasternal long-axis in even ones.

    A name that isn't of the view is OFF; in a tenth of the images one that is drops out, and is
    BLURRED.
    """
    heart = (apical if draw.group % 2 == 1 else parasternal)(draw)
    image = Frame(draw, REFERENCE, size)
    grid = round(REACH), BEAMS
    beams = Frame(draw, grid, (round(REACH * image.scale[0]), round(BEAMS * image.scale[1])))
    angle = (beams.x / np.float32(BEAMS) - np.float32(0.5)) * np.float32(2 * ASPECT)
    x = np.float32(APEX[0]) + beams.y * np.sin(angle)
    y = np.float32(APEX[1]) + beams.y * np.cos(angle)
    body = scan(beams, _valves(_chambers(beams, heart, x, y), heart, x, y), -5)
    hidden = None
    if draw.turn(7) < 0.1:
        hidden = sorted(heart.paths)[draw.stream("hidden").integers(len(heart.paths))]
        body = _drop_out(body, heart, hidden, x, y)
    pitch = draw.choose("depth", 0.235, 0.275)  # mm
    return replace(
        _sweep(body, image, beams),
        landmarks=_landmarks(heart, hidden, image),
        mm_per_px=(pitch / image.scale[0], pitch / image.scale[1]),
        attributes={"view": heart.view},
    )


def _sweep(body: Body, image: Frame, beams: Frame) -> Body:
    """The body with where in its beams each pixel lies, and which pixels the sector covers."""
    dx, dy = image.x - np.float32(APEX[0]), image.y - np.float32(APEX[1])
    depth, angle = np.hypot(dx, dy), np.arctan2(dx, dy)
    rows = depth * np.float32(beams.scale[0]) - np.float32(0.5)
    columns = (angle / np.float32(2 * ASPECT) + np.float32(0.5)) * np.float32(beams.size[1])
    view = (depth > FACE) & (depth < REACH) & (np.abs(angle) < ASPECT)
    return replace(body, view=view, beams=(rows, columns - np.float32(0.5)))


def _chambers(beams: Frame, heart: Heart, x: Floats, y: Floats) -> Body:
    """Lung and fat, the muscle, thin walls, blood; and the echoes of the walls' surfaces."""
    fibres, coarse = beams.grain("fibres", 3, 12), beams.grain("coarse", 8, 14)
    body = tissue(beams, (), -18 + 4 * coarse, 0.05, 0.5)
    near = np.exp(-beams.y / np.float32(28)) * (14 + 4 * beams.grain("chest", 2.5, 40))
    body = replace(body, echo=(body.echo + near).astype(np.float32))
    outer = distance(heart.muscle, x, y)
    inner = [(distance(outline, x, y), wall) for outline, wall in heart.cavities]
    surfaces = 5 * _surface(outer, 2.2)
    for depth, wall in inner:
        if wall:
            body = paint(body, (depth < wall, -1 + 2 * fibres))
            surfaces = np.maximum(surfaces, 3 * _surface(depth - np.float32(wall), 1.8))
    body = paint(body, (outer < 0, -1 + 2.5 * fibres, 0.055))
    blood = np.minimum.reduce([depth for depth, _ in inner])
    for depth, _ in inner:
        surfaces = np.maximum(surfaces, 4 * _surface(depth - np.float32(2), 1.8))
    body = paint(body, (blood < 0, -30 + 2 * coarse, 0.045))
    return replace(body, coherent=np.where(blood < 0, np.float32(0), surfaces).astype(np.float32))


def _surface(depth: Floats, sd: float) -> Floats:
    """The echo of a smooth surface at distance 0: 1 where the beam is square to it, less aslant."""
    down, across = np.gradient(depth)
    facing = np.abs(down / np.maximum(np.hypot(down, across), np.float32(1e-6)))
    echo: Floats = np.exp(np.float32(-0.5) * (depth / np.float32(sd)) ** 2)
    echo *= np.float32(0.12) + np.float32(0.88) * facing**2
    return echo


def _valves(body: Body, heart: Heart, x: Floats, y: Floats) -> Body:
    """The leaflets, and the fibrous ring where each is hinged."""
    echoes = body.coherent
    for leaflet in heart.leaflets:
        ring = np.float32(12) * _trace(leaflet[:1], 4.0, x, y)
        echoes = np.maximum.reduce([echoes, np.float32(9) * _trace(leaflet, 2.2, x, y), ring])
    return replace(body, coherent=echoes)


def _trace(line: Line, sd: float, x: Floats, y: Floats) -> Floats:
    """1 on the points of a line (N, 2) a px apart, falling off about them as a Gaussian."""
    reach = 4 * sd
    low, high = line.min(axis=0) - reach, line.max(axis=0) + reach
    near = np.nonzero((x > low[0]) & (x < high[0]) & (y > low[1]) & (y < high[1]))
    square = np.full(len(near[0]), np.inf, np.float32)
    for px, py in line.astype(np.float32):
        square = np.minimum(square, (x[near] - px) ** 2 + (y[near] - py) ** 2)
    echo = np.zeros(x.shape, np.float32)
    echo[near] = np.exp(-square / np.float32(2 * sd**2))
    return echo


def distance(outline: Line, x: Floats, y: Floats) -> Floats:
    """Distance of points from a closed outline (N, 2), to first order; negative inside.

    The outline must be star-shaped about its perimeter's centre: its radius is looked up by angle.
    """
    closed = resample_curve(np.concatenate([outline, outline[:1]]))[1:]
    centre = closed.mean(axis=0)
    bearing = np.arctan2(*(closed - centre).T[::-1])
    away = np.linalg.norm(closed - centre, axis=1)
    order = np.argsort(bearing)
    fine = np.linspace(-np.pi, np.pi, ANGLES, endpoint=False) + np.pi / ANGLES
    radius = np.interp(fine, bearing[order], away[order], period=2 * np.pi)
    slope = (np.roll(radius, -1) - np.roll(radius, 1)) * (ANGLES / (4 * np.pi))
    slant = radius / np.hypot(radius, slope)
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    turns = (np.arctan2(dy, dx) + np.float32(np.pi)) * np.float32(ANGLES / (2 * np.pi))
    at = turns.astype(np.int32) % ANGLES
    # Beyond a pointed end the slant says too little.
    tip = scipy.ndimage.maximum_filter1d(radius, ANGLES // 24, mode="wrap")
    depth = np.hypot(dx, dy)
    result: Floats = (depth - radius.astype(np.float32)[at]) * slant.astype(np.float32)[at]
    np.maximum(result, depth - tip.astype(np.float32)[at], out=result)
    return result


def _drop_out(body: Body, heart: Heart, hidden: str, x: Floats, y: Floats) -> Body:
    """Hardly an echo about the hidden landmark, though not so near to the points that are seen."""
    path = curve_through(heart.paths[hidden], DARK_PX)
    if len(path) > 1:  # a curve
        points = np.concatenate([other for other in heart.paths.values() if len(other) == 1])
        path = path[np.linalg.norm(path[:, None] - points, axis=2).min(axis=1) > APART_PX]
    dark = np.zeros(x.shape, np.float32)
    for centre in path:
        dark = np.maximum(dark, _trace(centre[None], DARK_PX, x, y))
    return replace(body, echo=body.echo - 30 * dark, coherent=body.coherent * (1 - dark) ** 3)


def _landmarks(heart: Heart, hidden: str | None, image: Frame) -> Landmarks:
    """The target in the image's pixels, whose centres are at whole numbers."""
    scale: NDArray[np.float64] = np.array(image.scale[::-1])
    paths, states = [], []
    for name in ECHO:
        state = OFF if name not in heart.paths else BLURRED if name == hidden else SEEN
        path = heart.paths[name] * scale - 0.5 if state == SEEN else np.zeros((0, 2))
        paths.append(path.astype(np.float32))
        states.append(state)
    return Landmarks(tuple(paths), np.array(states, np.int8))
