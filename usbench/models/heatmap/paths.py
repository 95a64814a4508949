"""From heat maps to places: the maximum of a point's map below the pixel, the path along a curve's ridge.

Works on plain arrays in heat-map px (x, y), pixel centres at whole numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.graph import MCP_Geometric

Floats = NDArray[np.floating]
FLOOR = 0.05  # of the peak: what a step where there is no heat costs, 1 / FLOOR
RIDGE = 0.5  # of the peak: what belongs to the ridge whose ends are looked for
KEPT = 0.2  # of the largest piece's pixels: a smaller piece of the ridge is no part of the curve
SMOOTH = 1.0  # SD in steps: takes the staircase out of a path of pixels; more would cut corners
LONGEST = 64  # places of a path that is handed back


def peaks(planes: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The maximum of each plane (K, h, w) below the pixel, (K, 2), and its height as it is, (K,).

    A parabola through the maximum and its two neighbours, in the logarithm of the heat: exact for a Gaussian. The
    published quarter of a pixel towards the higher neighbour is off by up to a quarter. At the border the maximum stays
    on its pixel.
    """
    k, height, width = planes.shape
    at = planes.reshape(k, -1).argmax(1)
    row, column = at // width, at % width
    top = planes[np.arange(k), row, column].astype(np.float64)
    level = np.log(np.maximum(planes, 0.01 * np.maximum(top, 1e-6)[:, None, None]))
    places = np.stack([column, row], 1).astype(np.float64)
    for n in range(k):
        r, c = int(row[n]), int(column[n])
        if 0 < c < width - 1:
            places[n, 0] += vertex(*level[n, r, c - 1 : c + 2])
        if 0 < r < height - 1:
            places[n, 1] += vertex(*level[n, r - 1 : r + 2, c])
    return places, top


def vertex(before: float, here: float, after: float) -> float:
    """Where the parabola through values at −1, 0, 1 has its maximum, `here` being the greatest; 0 on a plain."""
    bend = before - 2 * here + after
    return float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < 0 else 0.0


def trace(plane: Floats, sd: float) -> NDArray[np.float64]:
    """The curve along a plane's ridge: (P, 2), 3 ≤ P ≤ 64, whatever the plane; sd: of the ridge, px.

    The minimum-cost path through 1/(floor + heat²) between the ridge's two ends, the pixels of it that are furthest
    apart along such paths: from its highest to the furthest, from there to the furthest (exact on a tree). The cap of a
    Gaussian ridge reaches sd·√(2 ln 2) beyond the curve's end at half its height: as much is cut off.
    """
    top = float(plane.max())
    if top <= 0:
        row, column = np.unravel_index(int(plane.argmax()), plane.shape)
        return stub(float(column), float(row))
    ridge, corner = cropped(plane >= RIDGE * top)
    heat = np.clip(
        plane[corner[0] : corner[0] + ridge.shape[0], corner[1] : corner[1] + ridge.shape[1]] / top,
        0,
        1,
    )
    cost = 1 / (FLOOR + heat**2)
    highest = np.unravel_index(int(np.where(ridge, heat, -1).argmax()), ridge.shape)
    first = furthest(cost, ridge, (int(highest[0]), int(highest[1])))[0]
    last, flood = furthest(cost, ridge, first)
    pixels = np.array(flood.traceback(last), np.float64)[:, ::-1] + corner[::-1]
    return trimmed(pixels, sd * np.sqrt(2 * np.log(2)))


def cropped(ridge: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], tuple[int, int]]:
    """The ridge's pieces that aren't specks, cut out with room for a path between them, and the cut's (row, column)."""
    labels, _ = ndimage.label(ridge, np.ones((3, 3)))
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    kept = (sizes >= KEPT * sizes.max())[labels]
    kept &= labels > 0
    rows, columns = np.flatnonzero(kept.any(1)), np.flatnonzero(kept.any(0))
    room = max(2, (rows[-1] - rows[0] + columns[-1] - columns[0]) // 8)
    top, left = max(0, int(rows[0]) - room), max(0, int(columns[0]) - room)
    return kept[top : rows[-1] + room + 1, left : columns[-1] + room + 1], (top, left)


def furthest(
    cost: Floats, ridge: NDArray[np.bool_], start: tuple[int, int]
) -> tuple[tuple[int, int], MCP_Geometric]:
    """The ridge's pixel with the dearest path from start, and the search, which knows the path to it."""
    flood = MCP_Geometric(cost, fully_connected=True)
    totals, _ = flood.find_costs([start])
    row, column = np.unravel_index(int(np.where(ridge, totals, -1).argmax()), ridge.shape)
    return (int(row), int(column)), flood


def trimmed(pixels: NDArray[np.float64], end: float) -> NDArray[np.float64]:
    """A path of pixels smoothed, `end` px of arc cut off both its ends, at a few equal steps."""
    line = (
        ndimage.gaussian_filter1d(pixels, SMOOTH, axis=0, mode="nearest")
        if len(pixels) > 2
        else pixels
    )
    arc = np.concatenate(([0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))))
    low, high = end, arc[-1] - end
    if high - low < 1:
        middle = [np.interp(arc[-1] / 2, arc, line[:, axis]) for axis in (0, 1)]
        return stub(float(middle[0]), float(middle[1]))
    at = np.linspace(low, high, int(np.clip(round((high - low) / 4) + 1, 3, LONGEST)))
    return np.stack([np.interp(at, arc, line[:, axis]) for axis in (0, 1)], axis=1)


def stub(x: float, y: float) -> NDArray[np.float64]:
    """The shortest curve there is, at a place: half a pixel across."""
    return np.array([[x - 0.25, y], [x, y], [x + 0.25, y]])
