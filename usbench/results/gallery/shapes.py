"""A target or prediction as vector shapes in native pixels: what a page draws over a picture.

Areas, lines and points are in coordinates of pixel centres: (0, 0) is the middle of the first
pixel, as in masks and landmarks. Boxes are edges, half-open: the first pixel's box is 0, 0, 1, 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from usbench.results.gallery.drawing import is_drawn
from usbench.results.gallery.file import Drawing, Shape
from usbench.types import BLURRED, SEEN, Boxes, Landmarks, Masks, Target, curve_through

Points = NDArray[np.float64]  # (N, 2) x, y
STEP = 3.0  # px of arc between the points of a curve that is drawn


def vector_drawing(target: Target) -> Drawing:
    """The shapes of a target or prediction.

    Masks: an area for each class that is there. Boxes: each of a confidence of .25 or more.
    Landmarks: each that is seen.
    """
    unknown: list[int] = []
    if isinstance(target, Masks):
        if target.known is not None:
            unknown = np.flatnonzero(~target.known).tolist()
        return {"shapes": area_shapes(target), "unknown": unknown}
    if isinstance(target, Boxes):
        return {"shapes": box_shapes(target), "unknown": unknown}
    unknown = np.flatnonzero(target.state == BLURRED).tolist()
    return {"shapes": landmark_shapes(target), "unknown": unknown}


def area_shapes(target: Masks) -> list[Shape]:
    """An area for each plane that isn't empty."""
    shapes: list[Shape] = []
    for c, plane in enumerate(target.planes):
        rings = trace_outlines(plane)
        if rings:
            shapes.append({"class": c, "kind": "area", "at": rings})
    return shapes


def trace_outlines(plane: NDArray[np.bool_]) -> list[list[float]]:
    """The contours of a plane at level .5, each a closed ring without its first point again.

    They run halfway between the centres of a pixel inside and its neighbour outside, beyond the
    image's edge too. Pixels that touch at a corner only are apart. Holes are rings of their own.

    Args:
        plane: (H, W).

    Returns:
        Rings x, y, x, y …, each from its topmost, then leftmost point; [] for an empty plane.
    """
    from skimage.measure import find_contours  # slow to import, needed here only

    lines = find_contours(np.pad(plane, 1).astype(np.float64), 0.5)  # type: ignore[no-untyped-call]
    rings = [flatten(simplify_ring(line[:-1, ::-1] - 1)) for line in lines]
    return sorted(rings, key=lambda ring: (ring[1], ring[0], len(ring)))


def simplify_ring(points: Points) -> Points:
    """A closed ring (N, 2) from its topmost, then leftmost point, without needless points.

    Points on a straight line between their neighbours are left out.
    """
    before = points - np.roll(points, 1, axis=0)
    after = np.roll(points, -1, axis=0) - points
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    corners = points[turns]
    first = int(np.lexsort((corners[:, 0], corners[:, 1]))[0])
    return np.roll(corners, -first, axis=0)


def flatten(points: NDArray[np.floating]) -> list[float]:
    """(N, 2) → x, y, x, y … in tenths of a pixel; whole numbers as int."""
    tenths = np.round(np.asarray(points, np.float64), 1).ravel().tolist()
    return [int(value) if value == int(value) else value for value in tenths]


def box_shapes(target: Boxes) -> list[Shape]:
    """The boxes that are drawn; a prediction's have their confidence."""
    shapes: list[Shape] = []
    for n in np.flatnonzero(is_drawn(target)):
        at = [flatten(target.xyxy[n])]
        shape: Shape = {"class": int(target.labels[n]), "kind": "box", "at": at}
        if target.scores is not None:
            shape["score"] = round(float(target.scores[n]), 3)
        shapes.append(shape)
    return shapes


def landmark_shapes(target: Landmarks) -> list[Shape]:
    """The landmarks that are seen: a point, or the curve through its knots."""
    shapes: list[Shape] = []
    for c, (path, state) in enumerate(zip(target.paths, target.state, strict=True)):
        if state != SEEN or not len(path):
            continue
        kind, points = ("point", path) if len(path) == 1 else ("line", curve_through(path, STEP))
        shapes.append({"class": c, "kind": kind, "at": [flatten(points)]})
    return shapes
