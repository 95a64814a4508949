"""Polygons of integer vertices ↔ boolean planes, as OpenCV fills and traces them."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

# (V ≥ 3, 2): x, y of pixel centres, native px; the last vertex joins the first.
Polygon = NDArray[np.int32]
Plane = NDArray[np.bool_]  # (H, W)

CORNERS = 3


def fill_polygons(polygons: Iterable[Polygon], size: tuple[int, int]) -> Plane:
    """The union of the filled polygons in (height, width): cv2.fillPoly, which takes the outline's
    pixels too.

    A polygon that crosses itself is filled by the even-odd rule; what lies outside is cut off.
    """
    plane = np.zeros(size, np.uint8)
    # One by one: in a single call, pixels of two polygons would cancel out.
    for polygon in polygons:
        cv2.fillPoly(plane, [polygon.astype(np.int32)], 1)
    return plane.astype(bool)


def trace_outlines(plane: Plane) -> list[Polygon]:
    """Trace the outlines of the plane's components (8 neighbours), from the top, without holes.

    `fill_polygons` gives a plane without holes back. A polygon has three vertices, so a component
    of one or two pixels repeats its last one.
    """
    contours, _ = cv2.findContours(
        plane.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    outlines: list[Polygon] = []
    for contour in contours:
        outline = contour.reshape(-1, 2).astype(np.int32)
        outlines.append(np.pad(outline, ((0, max(CORNERS - len(outline), 0)), (0, 0)), mode="edge"))
    return sorted(outlines, key=lambda outline: outline.min(axis=0)[::-1].tolist())


def crosses_itself(polygon: Polygon) -> bool:
    """Whether two sides cross properly, elsewhere than at their ends."""
    start = polygon.astype(np.int64)
    end = np.roll(start, -1, axis=0)
    a, b, c, d = start[:, None], end[:, None], start[None], end[None]
    return bool(
        ((_side(a, b, c) * _side(a, b, d) < 0) & (_side(c, d, a) * _side(c, d, b) < 0)).any()
    )


def _side(a: NDArray[np.int64], b: NDArray[np.int64], c: NDArray[np.int64]) -> NDArray[np.int64]:
    """On which side of the line a–b lies c: 1, 0 or −1."""
    ab, ac = b - a, c - a
    return np.asarray(np.sign(ab[..., 0] * ac[..., 1] - ab[..., 1] * ac[..., 0]))
