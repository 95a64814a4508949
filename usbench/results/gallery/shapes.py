"""A truth or prediction as vector shapes in native pixels: what is drawn over a picture.

Areas, lines and points are in coordinates of pixel centres: (0, 0) is the middle of the first pixel, as in masks and
landmarks. Boxes stay as they are everywhere: edges, half-open, so that the first pixel's box is 0, 0, 1, 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from usbench.results.gallery.overlay import CONFIDENCE
from usbench.types import (
    BLURRED,
    SEEN,
    Boxes,
    Landmarks,
    Masks,
    Target,
    curve_through,
)

Shape = dict[str, Any]
Points = NDArray[np.float64]  # (N, 2) x, y
STEP = 3.0  # px of arc between the points of a curve that is drawn


def drawing(target: Target) -> dict[str, Any]:
    """{shapes, unknown}: what is there, and the numbers of the classes of which nobody knows whether they are.

    Masks: an area per class that is there; boxes: each of a confidence of .25 at least; landmarks: each that is seen.
    """
    if isinstance(target, Masks):
        shapes = [
            {"class": c, "kind": "area", "at": rings}
            for c, rings in enumerate(map(outlines, target.planes))
            if rings
        ]
        unknown = [] if target.known is None else np.flatnonzero(~target.known).tolist()
    elif isinstance(target, Boxes):
        shapes, unknown = boxes(target), []
    else:
        shapes, unknown = marks(target), np.flatnonzero(target.state == BLURRED).tolist()
    return {"shapes": shapes, "unknown": unknown}


def outlines(plane: NDArray[np.bool_]) -> list[list[float]]:
    """The contours of a plane (H, W) at level .5, each a closed ring x, y, x, y … without its first point again.

    They run halfway between the centres of a pixel inside and its neighbour outside, beyond the image's edge too;
    pixels that touch at a corner only are apart; holes are rings of their own. A ring starts at its topmost, then
    leftmost point. [] for an empty plane.
    """
    from skimage.measure import find_contours  # slow to import, needed here only

    found = find_contours(np.pad(plane, 1).astype(np.float64), 0.5)  # type: ignore[no-untyped-call]
    return sorted(
        (flat(ring(line[:-1, ::-1] - 1)) for line in found),
        key=lambda one: (one[1], one[0], len(one)),
    )


def ring(points: Points) -> Points:
    """A closed ring (N, 2) without the points that lie on a straight line between their neighbours, turned to start
    at its topmost, then leftmost point."""
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    corners = points[turns]
    first = int(np.lexsort((corners[:, 0], corners[:, 1]))[0])
    return np.roll(corners, -first, axis=0)


def flat(points: NDArray[np.floating]) -> list[float]:
    """(N, 2) → x, y, x, y … in tenths of a pixel; whole numbers as such."""
    tenths = np.round(np.asarray(points, np.float64), 1).ravel().tolist()
    return [int(value) if value == int(value) else value for value in tenths]


def boxes(target: Boxes) -> list[Shape]:
    """Those of a confidence of .25 at least, each with its own where it is a prediction."""
    shapes: list[Shape] = []
    for n, (xyxy, label) in enumerate(zip(target.xyxy, target.labels, strict=True)):
        one: Shape = {"class": int(label), "kind": "box", "at": [flat(xyxy)]}
        if target.scores is not None:
            if target.scores[n] < CONFIDENCE:
                continue
            one["score"] = round(float(target.scores[n]), 3)
        shapes.append(one)
    return shapes


def marks(target: Landmarks) -> list[Shape]:
    """Those that are seen: a point, or the curve through its knots."""
    shapes: list[Shape] = []
    for c, (path, state) in enumerate(zip(target.paths, target.state, strict=True)):
        if state != SEEN or not len(path):
            continue
        if len(path) == 1:
            shapes.append({"class": c, "kind": "point", "at": [flat(path)]})
        else:
            shapes.append({"class": c, "kind": "line", "at": [flat(curve_through(path, STEP))]})
    return shapes
