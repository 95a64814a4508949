"""Targets and predictions as shapes, which every picture of usbench draws, as PNG or as SVG.

Coordinates are px of a picture's frame: (0, 0) is the upper left corner of its first pixel and
(.5, .5) that pixel's middle.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from usbench.results.gallery.cases import CONFIDENCE
from usbench.results.gallery.file import Drawing, Shape
from usbench.types import BLURRED, SEEN, Boxes, Landmarks, Masks, Target, curve_through

STEP = 3.0  # px of arc between the points of a curve that is drawn
TOLERANCES = (0.3, 0.5, 0.8, 1.2, 2.0, 3.0, 5.0)  # px that a smaller outline may be off
Points = NDArray[np.float64]  # (N, 2) x, y


def vector_drawing(target: Target, scored_against: Target | None = None) -> Drawing:
    """The shapes of a target or prediction.

    Masks: an area for each class that is there. Boxes: each of a confidence of .25 or more.
    Landmarks: each that is seen; of a prediction also those that count, because the target is seen.

    Args:
        target: a target or prediction.
        scored_against: of a prediction, the target.
    """
    if isinstance(target, Boxes):
        return {"shapes": box_shapes(target), "unknown": []}
    if isinstance(target, Landmarks):
        unknown = np.flatnonzero(target.state == BLURRED)
        is_shown = target.state == SEEN
        if isinstance(scored_against, Landmarks):
            is_shown |= scored_against.state == SEEN
        return {"shapes": landmark_shapes(target, is_shown), "unknown": unknown.tolist()}
    unknown = np.flatnonzero(~target.known) if target.known is not None else np.zeros(0, int)
    return {"shapes": area_shapes(target), "unknown": unknown.tolist()}


def is_drawn(target: Boxes) -> NDArray[np.bool_]:
    """(N,) which boxes are drawn: of a prediction those of a confidence of .25 or more."""
    if target.scores is None:
        return np.ones(len(target.labels), bool)
    return np.asarray(target.scores >= CONFIDENCE)


def area_shapes(target: Masks) -> list[Shape]:
    """An area for each plane that isn't empty."""
    outlines = map(trace_outlines, target.planes)
    return [{"class": c, "kind": "area", "at": rings} for c, rings in enumerate(outlines) if rings]


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
    # Pixel centres of the padded plane lie half a pixel before those of the frame.
    rings = [flatten(simplify_ring(line[:-1, ::-1] - 0.5)) for line in lines]
    return sorted(rings, key=lambda ring: (ring[1], ring[0], len(ring)))


def simplify_ring(points: Points) -> Points:
    """A closed ring (N, 2) from its topmost, then leftmost point, without needless points.

    Points on a straight line between their neighbours are left out.
    """
    before = points - np.roll(points, 1, axis=0)
    after = np.roll(points, -1, axis=0) - points
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    corners = points[turns]
    return np.roll(corners, -int(np.lexsort((corners[:, 0], corners[:, 1]))[0]), axis=0)


def flatten(points: NDArray[np.floating]) -> list[float]:
    """(N, 2) → x, y, x, y … in tenths of a pixel; whole numbers as int."""
    tenths = np.round(np.asarray(points, np.float64), 1).ravel().tolist()
    return [int(value) if value == int(value) else value for value in tenths]


def box_shapes(target: Boxes) -> list[Shape]:
    """The boxes that are drawn; a prediction's have their confidence."""
    shapes: list[Shape] = []
    for n in np.flatnonzero(is_drawn(target)):
        shape: Shape = {
            "class": int(target.labels[n]),
            "kind": "box",
            "at": [flatten(target.xyxy[n])],
        }
        if target.scores is not None:
            shape["score"] = round(float(target.scores[n]), 3)
        shapes.append(shape)
    return shapes


def landmark_shapes(target: Landmarks, is_shown: NDArray[np.bool_]) -> list[Shape]:
    """Landmarks that have a place: a point, or the curve through its knots. is_shown: (K,)."""
    shapes: list[Shape] = []
    for c, path in enumerate(target.paths):
        if not is_shown[c] or not len(path):
            continue
        kind, points = ("point", path) if len(path) == 1 else ("line", curve_through(path, STEP))
        shapes.append({"class": c, "kind": kind, "at": [flatten(points + 0.5)]})
    return shapes


# ---- smaller drawings


def shrink_drawing(drawing: Drawing, scale: float, limit: int) -> Drawing:
    """The drawing for a picture of another size, with as few points as fit.

    Args:
        drawing: in its own frame.
        scale: px of the new frame per px of the old.
        limit: bytes that the shapes may have as JSON.

    Returns:
        The shapes with outlines that are as little off as the limit allows. Where the coarsest
        outlines are too long, the shortest areas, or the boxes of least confidence, are left out.
    """
    shapes = drawing["shapes"]
    for tolerance in TOLERANCES:
        shapes = [
            shape for raw in drawing["shapes"] if (shape := shrink_shape(raw, scale, tolerance))
        ]
        if size_of(shapes) <= limit:
            break
    while size_of(shapes) > limit:
        shapes.remove(min(shapes, key=lambda shape: (shape.get("score", 1), len(shape["at"][0]))))
    return {"shapes": shapes, "unknown": drawing["unknown"]}


def size_of(shapes: Sequence[Shape]) -> int:
    """Bytes of the shapes as JSON."""
    return len(json.dumps(shapes, separators=(",", ":")))


def shrink_shape(shape: Shape, scale: float, tolerance: float) -> Shape | None:
    """One shape for a picture of another size; None where nothing of it is left.

    Args:
        shape: in the old frame.
        scale: as in `shrink_drawing`.
        tolerance: px of the new frame that an outline may be off.
    """
    paths = [np.array(path, np.float64).reshape(-1, 2) * scale for path in shape["at"]]
    if shape["kind"] in ("area", "line"):
        is_ring = shape["kind"] == "area"
        paths = [simplify_path(path, tolerance, is_ring) for path in paths]
        paths = [path for path in paths if len(path) > (2 if is_ring else 1)]
    return {**shape, "at": [flatten(path) for path in paths]} if paths else None


def simplify_path(points: Points, tolerance: float, is_ring: bool) -> Points:
    """A line or closed ring with fewer points (Douglas and Peucker 1973).

    Args:
        points: (N, 2); of a ring without its first point again.
        tolerance: px that a point left out may lie beside the new line.
        is_ring: whether the last point is joined with the first.
    """
    from skimage.measure import approximate_polygon  # slow to import

    closed = np.vstack([points, points[:1]]) if is_ring else points
    kept: Points = approximate_polygon(closed, tolerance)  # type: ignore[no-untyped-call]
    return kept[:-1] if is_ring else kept
