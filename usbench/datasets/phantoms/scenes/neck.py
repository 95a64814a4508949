"""A normal neck in transverse section under a linear probe.

Knows enough anatomy to look right and where each structure is to the pixel; levels are dB over the
reference echogenicity, lengths pixels of the scene's reference size. Knows no physics of the image
and no file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from usbench.datasets.phantoms.anatomy import (
    Body,
    Draw,
    Floats,
    Frame,
    enclose,
    mark,
    paint,
    scan,
    tissue,
    wall,
)

NECK = (  # the release's order and spelling
    "Trachea",
    "Thyroid",
    "Common carotid artery",
    "Internal juglar vein",
    "Esophagus",
    "Logus coli muscle",
    "Strap muscle",
    "Sternocleidomastoid muscle",
)
TRACHEA, THYROID, ARTERY, VEIN, ESOPHAGUS, DEEP, STRAP, SUPERFICIAL = range(8)

REFERENCE = (447, 494)


@dataclass(frozen=True)
class _Side:
    """Half a neck: medial is at `midline`, lateral lies towards `sign`."""

    name: str  # of its random parameters
    midline: float  # x
    sign: int  # 1: lateral to the right of the image, -1: to the left

    def at(self, lateral: float) -> float:
        """The x of a place so far from the midline."""
        return self.midline + self.sign * lateral


def neck(draw: Draw, size: tuple[int, int]) -> Body:
    """A neck, 447 × 494: the midline (30 %), a side with its lobe (45 %) or far lateral (25 %).

    Of the images about 30 % have the trachea, 75 % thyroid and strap muscle, 80 % the artery, 70 %
    the sternocleidomastoid and 40 % the longus colli, as in the release; vein and oesophagus, rare
    there (30 and 75 of 790), a quarter, so that a short series can teach them. Planes are disjoint,
    and every structure is one component.
    """
    frame = Frame(draw, REFERENCE, size)
    place, left = draw.turn(2), draw.turn(3) < 0.5
    body = _layers(frame)
    if place < 0.3:
        body = _midline(frame, body)
    else:
        beyond = draw.vary("beyond", 0, 44)  # how far out of the image the midline lies
        side = _Side("left", REFERENCE[1] + beyond, -1) if left else _Side("right", -beyond, 1)
        body = _lobe_side(frame, body, side, left) if place < 0.75 else _far_side(frame, body, side)
    pitch = draw.choose("depth", 0.085, 0.095)
    # Few interfaces are smooth all along.
    patchy = np.clip(0.55 + 0.45 * frame.grain("patchy", 4, 11), 0.04, 1.5)
    coherent = (body.coherent * patchy).astype(np.float32)
    return replace(
        scan(frame, replace(body, coherent=coherent), -5),
        mm_per_px=(pitch / frame.scale[0], pitch / frame.scale[1]),
        attributes={"view": "midline" if place < 0.3 else "side", "quality": "Good"},
    )


def _midline(frame: Frame, body: Body) -> Body:
    """Trachea, two lobes, muscles before them; sometimes the oesophagus and an artery beside."""
    draw = frame.draw
    centre = draw.vary("midline", 212, 282)
    # The subject's left is on the image's right.
    right, left = _Side("right", centre, -1), _Side("left", centre, 1)
    for side in (right, left):
        if draw.turn(7) < 0.45:
            body = _deep_muscle(frame, body, side, 132, 332)
        body = _lobe(frame, body, side, 126, 0.78)
        body = _strap(frame, body, side, 22, draw.vary(f"{side.name} strap end", 175, 200))
    if draw.turn(5) < 0.5:
        body = _esophagus(frame, body, left, 100, 288)
    if draw.turn(11) < 0.5:
        body = _artery(frame, body, left if centre < 247 else right, 234, 205)
    return _trachea(frame, body, centre)


def _lobe_side(frame: Frame, body: Body, side: _Side, left: bool) -> Body:
    """A lobe, the artery lateral to it, muscles before and behind; at times vein, oesophagus."""
    draw = frame.draw
    if draw.turn(7) < 0.45:
        body = _deep_muscle(frame, body, side, 185, 342)
    if left and draw.turn(5) < 0.5:
        body = _esophagus(frame, body, side, 80, 288)
    body = _lobe(frame, body, side, 128, 1.0)
    body = _artery(frame, body, side, 258, 212)
    if draw.turn(13) < 0.35:
        body = _vein(frame, body, side, 378, 206)
    body = _strap(frame, body, side, 14, draw.vary(f"{side.name} strap end", 190, 215))
    return _superficial(frame, body, side, 385, 165)


def _far_side(frame: Frame, body: Body, side: _Side) -> Body:
    """Artery and often the vein below a broad sternocleidomastoid, lateral to lobe and strap."""
    draw = frame.draw
    if draw.turn(7) < 0.35:
        body = _deep_muscle(frame, body, side, 172, 342)
    body = _artery(frame, body, side, 152, 224)
    if draw.turn(13) < 0.45:
        body = _vein(frame, body, side, 284, 204)
    return _superficial(frame, body, side, 287, 195)


def _layers(frame: Frame) -> Body:
    """Skin, fat with septa, loose fascia between the muscles, the spine's bright front."""
    vary = frame.draw.vary
    septa = frame.grain("septa", 1.5, 34, vary("septa slope", -0.06, 0.06))
    loose, lobules = frame.grain("loose", 4, 13), frame.grain("lobules", 14, 34)
    sheets = frame.grain("sheets", 1.5, 24, vary("sheets slope", -0.2, 0.2))
    fat = vary("fat", 34, 50) + frame.wave("fat", 3, 260)
    echo = -8 + 2.5 * loose + 2.5 * lobules + 2.5 * np.maximum(sheets, -1)
    lines = (
        frame.line(10 + 0 * frame.x, 1.5, 6)
        + frame.line(fat, 1.4, 6)
        + 3 * np.maximum(np.where(frame.y < fat, septa, sheets) - 1.3, 0)
    )
    bone = (vary("spine", 396, 410) + frame.wave("spine", 14, 170)).astype(np.float32)
    below = frame.y > bone + 3
    body = paint(
        tissue(frame, NECK, echo, 0.075, 1.1),
        (frame.y < fat, -9 + 4 * septa),
        (frame.y < 10, 5 + 2 * septa),
        (below, -26, 0.4),
    )
    return replace(body, coherent=(lines * ~below + frame.line(bone, 2.4, 13)).astype(np.float32))


def _muscle(frame: Frame, body: Body, label: int, edge: Floats, name: str, slope: float) -> Body:
    """Dark tissue with bright fibres along the slope in a bright sheath.

    Args:
        frame: of the image.
        body: without the muscle.
        label: its class.
        edge: (H, W) signed distance from its outline, px, negative inside.
        name: of its random parameters.
        slope: rows down per column to the right.
    """
    where = edge < 0
    fibres = frame.grain(f"{name} fibres", 1.3, 20, slope)
    echo = frame.draw.vary(f"{name} level", -20, -17) + 4 * np.maximum(fibres, -1)
    body = paint(body, (where, echo, 0.08))
    down, across = (slope * px for slope, px in zip(np.gradient(edge), frame.scale, strict=True))
    facing = (down**2 / np.maximum(across**2 + down**2, 1e-6)) ** 2
    sheath = 5 * np.exp(-0.5 * (edge / np.float32(1.4)) ** 2) * facing
    coherent = np.where(where, 2 * np.maximum(fibres - 1.2, 0), body.coherent) + sheath
    return mark(replace(body, coherent=coherent.astype(np.float32)), label, where)


def _strap(frame: Frame, body: Body, side: _Side, start: float, stop: float) -> Body:
    """A flat band before the thyroid, thinning towards its ends."""
    vary, name = frame.draw.vary, f"{side.name} strap"
    middle, half = (start + stop) / 2, (stop - start) / 2
    u = np.clip((frame.x - np.float32(side.at(middle))) / np.float32(half), -1.2, 1.2)
    spine = vary(f"{name} depth", 80, 88) + 14 * u * u + frame.wave(name, 3, 160)
    thick = vary(f"{name} thickness", 15, 19) * np.sqrt(np.maximum(1 - u**4, 0))
    edge = np.where(np.abs(u) < 1, np.abs(frame.y - spine) - thick, 99).astype(np.float32)
    return _muscle(frame, body, STRAP, edge, name, 0.0)


def _superficial(frame: Frame, body: Body, side: _Side, middle: float, half: float) -> Body:
    """The sternocleidomastoid: a broad lens below the fat, deeper laterally."""
    vary, name = frame.draw.vary, f"{side.name} superficial"
    centre = side.at(middle + vary(f"{name} x", -10, 10))
    u = np.clip((frame.x - np.float32(centre)) / np.float32(half), -1.2, 1.2)
    lateral = u * side.sign
    spine = vary(f"{name} depth", 98, 106) + 16 * lateral + frame.wave(name, 4, 180)
    flat = np.maximum(1 - np.abs(u) ** 3, 0) ** 0.8
    thick = vary(f"{name} thickness", 33, 40) * flat * (1 + 0.12 * lateral)
    edge = np.where(np.abs(u) < 1, np.abs(frame.y - spine) - thick, 99).astype(np.float32)
    return _muscle(frame, body, SUPERFICIAL, edge, name, 0.06 * side.sign)


def _deep_muscle(frame: Frame, body: Body, side: _Side, lateral: float, depth: float) -> Body:
    """The longus colli: an oval on the spine."""
    vary, name = frame.draw.vary, f"{side.name} deep"
    centre = side.at(lateral + vary(f"{name} x", -12, 12)), depth + vary(f"{name} y", -6, 6)
    height = vary(f"{name} height", 31, 39)
    distance = frame.blob(name, centre, (vary(f"{name} width", 72, 92), height), 0.03)
    return _muscle(frame, body, DEEP, (distance - 1) * height, name, -0.05 * side.sign)


def _lobe(frame: Frame, body: Body, side: _Side, lateral: float, growth: float) -> Body:
    """A lobe of the thyroid: bright, homogeneous, in a thin bright capsule."""
    vary, name = frame.draw.vary, f"{side.name} lobe"
    centre = side.at(lateral + vary(f"{name} x", -6, 6)), vary(f"{name} y", 172, 184)
    radii = growth * vary(f"{name} width", 66, 78), vary(f"{name} height", 58, 68)
    distance = frame.blob(name, centre, radii, 0.055)
    gland = vary("gland", 2, 5) + 1.2 * frame.grain(f"{name} gland", 2, 3)
    capsule = 6 * wall(frame, distance, centre, radii[1], 1.4)
    return enclose(paint(body, (distance < 1, gland, 0.07)), THYROID, distance, capsule)


def _artery(frame: Frame, body: Body, side: _Side, lateral: float, depth: float) -> Body:
    """The common carotid: round, anechoic, with the bright double line of its wall."""
    vary, name = frame.draw.vary, f"{side.name} artery"
    centre = side.at(lateral + vary(f"{name} x", -8, 8)), depth + vary(f"{name} y", -10, 10)
    radius = vary("artery", 34, 43)
    distance = frame.blob(name, centre, (radius, radius * vary("artery flat", 0.92, 1.0)), 0.01)
    body = paint(body, ((distance - 1) * radius < 3, -2), (distance < 0.95, -34, 0.0))
    media = 12 * wall(frame, distance, centre, radius, 1.6)
    intima = 5 * wall(frame, distance * np.float32(1.1), centre, radius, 1.1)
    return enclose(body, ARTERY, distance, media + intima, 0.95)


def _vein(frame: Frame, body: Body, side: _Side, lateral: float, depth: float) -> Body:
    """The internal jugular: an anechoic oval with a thin wall, as flat as the probe presses it."""
    vary, name = frame.draw.vary, f"{side.name} vein"
    centre = side.at(lateral + vary(f"{name} x", -8, 8)), depth + vary(f"{name} y", -8, 8)
    height = vary("vein height", 22, 32)
    distance = frame.blob(name, centre, (vary("vein width", 52, 66), height), 0.05)
    body = paint(body, (distance < 1, -32, 0.0))
    return enclose(body, VEIN, distance, 4 * wall(frame, distance, centre, height, 1.1))


def _esophagus(frame: Frame, body: Body, side: _Side, lateral: float, depth: float) -> Body:
    """A target: dark muscle round bright mucosa, behind the trachea's left edge."""
    vary, name = frame.draw.vary, f"{side.name} esophagus"
    centre = side.at(lateral + vary(f"{name} x", -6, 6)), depth + vary(f"{name} y", -6, 6)
    height = vary(f"{name} height", 28, 34)
    distance = frame.blob(name, centre, (vary(f"{name} width", 38, 46), height), 0.04)
    rings = np.where(distance < 0.48, 8 + 3 * frame.grain(f"{name} mucosa", 2, 4), np.float32(-19))
    body = paint(body, ((distance - 1) * height < 3.5, 1), (distance < 1, rings, 0.09))
    return enclose(body, ESOPHAGUS, distance)


def _trachea(frame: Frame, body: Body, x: float) -> Body:
    """A dark arch of cartilage; behind it the air's bright face, its reverberations and shadow."""
    vary = frame.draw.vary
    centre = x, vary("trachea y", 196, 206)
    radii = vary("trachea width", 70, 80), vary("trachea height", 80, 90)
    distance = frame.blob("trachea", centre, radii, 0.015)
    # Below the anterior outline, as far as the arch goes.
    depth = (1 - distance) * np.float32(radii[1])
    aside = (frame.x - np.float32(centre[0])) / radii[0]
    up = (np.float32(centre[1]) - frame.y) / radii[1]
    facing = np.where(up > 0, up / np.maximum(np.hypot(aside, up), 1e-3), 0)
    inside = distance < 1
    air = -24 - 8 * np.clip(depth / radii[1], 0, 1) + 2 * frame.grain("air", 2, 12)
    body = paint(body, (inside, air), (inside & (depth < 16) & (up > -0.35), -14))
    arch: Floats = 4 * facing * np.exp(-0.5 * (depth / np.float32(1.4)) ** 2)
    for k, strength in enumerate((16, 4, 1.8)):
        echo = np.exp(-0.5 * ((depth - 17 * (k + 1)) / (2 + 0.8 * k)) ** 2)
        arch += strength * facing ** (2 + 2 * k) * echo
    coherent = (np.where(inside, 0, body.coherent) + arch).astype(np.float32)
    behind = (frame.y > centre[1]) & (np.abs(aside) < 0.86)
    loss = np.where(behind, 0.075 + 0.2 * (1 - aside**2), body.loss).astype(np.float32)
    return mark(replace(body, coherent=coherent, loss=loss), TRACHEA, inside)
