"""A kidney under a curved probe, in longitudinal or transverse section.

Knows enough anatomy to look right and where each structure is to the pixel; levels are dB over the
reference echogenicity, lengths pixels of the scene's reference size. Knows no physics of the image
and no file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import cos, pi, sin

import numpy as np
import scipy

from usbench.datasets.phantoms.anatomy import Body, Draw, Floats, Frame, Plane, paint, scan, tissue

KIDNEY = ("Capsule", "Central Echo Complex", "Medulla", "Cortex")

REFERENCE = (384, 512)
APEX = (256.0, -104.0)  # (x, y) the centre of the probe's curvature
FACE, REACH = 130.0, 484.0  # distances from the apex at which the field of view begins and ends
ASPECT = 0.576  # half the sector's angle, radians


@dataclass(frozen=True)
class _Organ:
    """Where a pixel is in the kidney: (H, W) maps."""

    outside: Floats  # distance from the capsule, reference px, negative inside
    facing: Floats  # 1 where the capsule is square to the beam … 0 where the beam grazes it
    level: Floats  # 0 at the sinus' edge … 1 at the capsule, negative in the sinus
    hilum: Floats  # distance from the hilum along the parenchyma, reference px, one way round
    length: float  # the way round


def kidney(draw: Draw, size: tuple[int, int]) -> Body:
    """One kidney in fat, below liver and before muscle, 384 × 512; longitudinal in odd groups.

    The capsule's plane contains the other three, which are disjoint. The sinus reaches the capsule
    at the hilum and the pyramids reach the sinus, so that no component of any plane has a hole.
    """
    frame = Frame(draw, REFERENCE, size)
    longitudinal = draw.group % 2 == 1
    organ = _organ(frame, longitudinal)
    dx, dy = frame.x - np.float32(APEX[0]), frame.y - np.float32(APEX[1])
    depth = np.hypot(dx, dy) - np.float32(FACE)  # below the probe's face, along the beam
    angle = np.arctan2(dx, dy)  # of the beam to the vertical
    body = replace(_surroundings(frame, organ, depth), planes=_planes(frame, organ))
    body = _shadow(frame, scan(frame, _parenchyma(frame, body, organ), -4), angle)
    view = (depth > 0) & (depth < REACH - FACE) & (np.abs(angle) < ASPECT)
    # Coarse pixels may close holes, which a polygon can't say.
    planes = np.stack(list(map(scipy.ndimage.binary_fill_holes, body.planes & view)))
    pitch = draw.choose("depth", 0.36, 0.44)
    return replace(
        body,
        planes=planes,
        view=view,
        mm_per_px=(pitch / frame.scale[0], pitch / frame.scale[1]),
        attributes={"view": "Longitudinal" if longitudinal else "Transverse", "quality": "Good"},
    )


def _organ(frame: Frame, longitudinal: bool) -> _Organ:
    """A bean: an ellipse with ripples, dented at the hilum, about a smaller sinus."""
    vary = frame.draw.vary
    centre = vary("x", 242, 270), vary("y", 192, 216)
    if longitudinal:
        radii = vary("long", 132, 152), vary("thick", 57, 68)
        tilt = vary("tilt", -0.28, 0.28)
        sinus = vary("sinus long", 0.60, 0.70), vary("sinus thick", 0.36, 0.44)
        hilum = pi / 2
    else:
        radii = vary("wide", 72, 88), vary("thick", 64, 77)
        tilt = vary("tilt", -0.4, 0.4)
        sinus = vary("sinus wide", 0.42, 0.50), vary("sinus thick", 0.38, 0.46)
        hilum = 0.0 if frame.draw.group % 4 == 0 else pi
    hilum += vary("hilum", -0.3, 0.3)
    dx, dy = frame.x - np.float32(centre[0]), frame.y - np.float32(centre[1])
    u = (dx * cos(tilt) + dy * sin(tilt)) / np.float32(radii[0])
    v = (dy * cos(tilt) - dx * sin(tilt)) / np.float32(radii[1])
    angle = np.arctan2(v, u)
    around = np.linspace(-pi, pi, 721, dtype=np.float32)
    dent = np.exp(-((((around - hilum + pi) % (2 * pi) - pi) / 0.34) ** 2))
    rim = 1 + _ripple(frame, "rim", around, 0.018) - vary("dent", 0.07, 0.14) * dent
    oval = np.hypot(np.cos(around) / sinus[0], np.sin(around) / sinus[1])
    inner = (1 + _ripple(frame, "sinus", around, 0.07)) / oval
    middle = 0.6 * inner + 0.4 * rim
    x, y = middle * np.cos(around) * radii[0], middle * np.sin(around) * radii[1]
    way = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    start = np.interp((hilum + pi) % (2 * pi) - pi, around, way)
    outer, inside = np.interp(angle, around, rim), np.interp(angle, around, inner)
    radius = np.hypot(u, v)
    slopes = np.gradient(radius / outer)
    down, across = (slope * px for slope, px in zip(slopes, frame.scale, strict=True))
    steep = np.maximum(np.hypot(down, across), 1e-4)
    return _Organ(
        ((radius / outer - 1) / steep).astype(np.float32),
        ((down / steep) ** 2).astype(np.float32),
        ((radius - inside) / (outer - inside)).astype(np.float32),
        ((np.interp(angle, around, way) - start) % way[-1]).astype(np.float32),
        float(way[-1]),
    )


def _ripple(frame: Frame, name: str, angle: Floats, amplitude: float) -> Floats:
    total = np.zeros_like(angle)
    for k in (2, 3, 5, 7):
        phase = frame.draw.vary(f"{name} ripple {k}", 0, 2 * pi)
        total += np.cos(k * angle + phase, dtype=np.float32)
    return np.float32(amplitude / 2) * total


def _planes(frame: Frame, organ: _Organ) -> Plane:
    """(4, H, W) of KIDNEY: pyramids side by side on the sinus, their bases towards the capsule."""
    vary = frame.draw.vary
    gap = vary("gap", 24, 32)
    count = max(round((organ.length - 2 * gap) / vary("pitch", 44, 54)), 3)
    place = (organ.hilum - gap) / (organ.length - 2 * gap) * count
    number = np.clip(np.floor(place), 0, count - 1).astype(np.int64)
    pyramids = [
        (
            vary(f"pyramid {k} shift", -0.06, 0.06),
            vary(f"pyramid {k} width", 0.30, 0.37),
            vary(f"pyramid {k} height", 0.52, 0.66),
        )
        for k in range(count)
    ]
    shift, half, height = np.array(pyramids, np.float32).T[:, number]
    aside = np.abs(place - number - 0.5 - shift)
    level = organ.level
    tapered = half * (0.5 + 0.5 * np.clip(level / 0.45, 0, 1))
    capsule = organ.outside < 0
    parenchyma = capsule & (level >= 0) & (organ.hilum > gap) & (organ.hilum < organ.length - gap)
    medulla = parenchyma & (aside < tapered) & (level < height - 0.22 * (aside / half) ** 2)
    return np.stack([capsule, capsule & ~parenchyma, medulla, parenchyma & ~medulla])


def _surroundings(frame: Frame, organ: _Organ, depth: Floats) -> Body:
    """Skin, fat and muscle along the probe; liver before, muscle behind, fat about the kidney."""
    vary = frame.draw.vary
    liver = vary("liver", -9, -5) + 1.2 * frame.grain("liver", 2.5, 4)
    streaks = frame.grain("streaks", 1.6, 26, vary("streak slope", -0.2, 0.2))
    psoas = frame.y > (
        vary("edge", 215, 260)
        + vary("edge slope", -0.3, 0.3) * (frame.x - 256)
        + frame.wave("edge", 14, 200)
    )
    lines = np.where(psoas, 2 * np.maximum(streaks - 1.4, 0), np.float32(0))
    skin, fat = vary("skin", 5, 8), vary("fat", 16, 26)
    wall = fat + vary("muscle", 18, 30)
    curved = frame.grain("layers", 1.4, 30)
    patchy = np.clip(0.55 + 0.4 * frame.grain("patchy", 3, 20), 0.05, 1.2)
    bent = depth + frame.wave("layers", 2.5, 120)
    for where, strength in ((skin, 2), (fat, 6), (wall, 7)):
        lines = lines + strength * patchy * np.exp(-0.5 * ((bent - where) / 1.1) ** 2)
    around = (
        vary("perirenal", 6, 11) + frame.wave("perirenal", 5, 90) + 2.5 * frame.grain("fat", 8, 14)
    )
    sheath = np.exp(-0.5 * ((organ.outside - around) / 1.1) ** 2)
    fascia = sheath * np.clip(organ.facing, 0.05, 1) * patchy
    lines = np.where(organ.outside < around - 3, 0, lines) + 3.5 * fascia
    body = paint(
        _liver_vessels(frame, tissue(frame, KIDNEY, liver, 0.08, 0.8)),
        (psoas, -14 + 5 * np.maximum(streaks, -1)),
        (depth < wall, -14 + 4 * curved),
        (depth < fat, -8 + 4 * curved),
        (depth < skin, 5),
        (organ.outside < around, -1 + 3 * frame.grain("perirenal", 1.6, 8)),
    )
    return replace(body, coherent=lines.astype(np.float32))


def _liver_vessels(frame: Frame, body: Body) -> Body:
    vary = frame.draw.vary
    for k in range(3):
        centre = vary(f"vessel {k} x", 90, 420), vary(f"vessel {k} y", 80, 190)
        radius = vary(f"vessel {k} size", 3, 8)
        distance = frame.blob(f"vessel {k}", centre, (1.6 * radius, radius), 0.05)
        body = paint(body, ((distance - 1) * radius < 1.5, 0), (distance < 1, -24))
    return body


def _parenchyma(frame: Frame, body: Body, organ: _Organ) -> Body:
    """Mid-echo cortex, dark pyramids, a bright sinus with dark clefts, the capsule's line."""
    vary = frame.draw.vary
    capsule, sinus, medulla, _ = body.planes
    cortex = vary("cortex", -11, -8)
    patches, clefts = frame.grain("sinus", 3.0, 6), frame.grain("clefts", 3.5, 11)
    body = paint(
        body,
        (capsule, cortex + 1.2 * frame.grain("cortex", 2, 3), 0.08),
        (medulla, cortex - vary("medulla", 12, 15), 0.07),
        (sinus, np.where(clefts > 1.15, np.float32(-9), 8 + 3 * patches), 0.1),
    )
    inside = np.where(sinus, 5 * np.maximum(patches - 0.8, 0), np.float32(0))
    line = np.exp(-0.5 * (organ.outside / np.float32(1.25)) ** 2) * (0.5 + 9 * organ.facing**2)
    arches = np.maximum(frame.grain("arcuate", 3, 5) - 0.9, 0)
    arcuate = np.exp(-0.5 * ((organ.level - 0.62) / 0.03) ** 2) * arches
    coherent = np.where(capsule, inside + 3 * arcuate * capsule, body.coherent) + line
    return replace(body, coherent=coherent.astype(np.float32))


def _shadow(frame: Frame, body: Body, angle: Floats) -> Body:
    """In two images of five a rib or gas at one side of the view takes the beams beyond it."""
    side = frame.draw.turn(5)
    if side >= 0.4:
        return body
    beyond = (angle if side < 0.2 else -angle) - frame.draw.vary("rib", 0.40, 0.50)
    fall = (-20 * np.clip(beyond / 0.05, 0, 1)).astype(np.float32)
    return replace(
        body,
        echo=body.echo + fall,
        coherent=(body.coherent * 10 ** (fall / 20)).astype(np.float32),
    )
