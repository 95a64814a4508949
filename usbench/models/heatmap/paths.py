"""From heat maps to places: the sub-pixel maximum of a point's map, the path along a curve's ridge.

Works on plain arrays in heat-map px (x, y), pixel centres at whole numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.graph import MCP_Geometric

Floats = NDArray[np.floating]
FLOOR = 0.05  # of the peak: a step where there is no heat costs 1 / FLOOR
RIDGE = 0.5  # of the peak: pixels above belong to the ridge whose ends are searched
MIN_PIECE = 0.2  # of the largest piece's pixels: a smaller piece of the ridge is dropped
SMOOTH = 1.0  # SD in steps: removes the staircase of a path of pixels; more would cut corners
MAX_PLACES = 64  # of a returned path
# The shortest curve that can be returned, about its place: half a pixel across.
SHORTEST = np.array([[-0.25, 0.0], [0.0, 0.0], [0.25, 0.0]])


def find_peaks(planes: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The sub-pixel maximum of each plane, and its height.

    A parabola through the maximum and its two neighbours, in the logarithm of the heat: exact for
    a Gaussian. (The published step of a quarter of a pixel towards the higher neighbour is off by
    up to a quarter.) At the border the maximum stays on its pixel.

    Args:
        planes: (K, h, w).

    Returns:
        Places (K, 2), and the planes' values at the maximum pixels (K,).
    """
    k, height, width = planes.shape
    at = planes.reshape(k, -1).argmax(1)
    row, column = at // width, at % width
    top = planes[np.arange(k), row, column].astype(np.float64)
    level = np.log(np.maximum(planes, 0.01 * np.maximum(top, 1e-6)[:, None, None]))
    places = np.stack([column, row], 1).astype(np.float64)
    for n, (r, c) in enumerate(zip(row.tolist(), column.tolist(), strict=True)):
        if 0 < c < width - 1:
            places[n, 0] += vertex(*level[n, r, c - 1 : c + 2])
        if 0 < r < height - 1:
            places[n, 1] += vertex(*level[n, r - 1 : r + 2, c])
    return places, top


def vertex(before: float, here: float, after: float) -> float:
    """The maximum of the parabola through values at −1, 0, 1 (`here` is the greatest).

    0 where the three are equal.
    """
    bend = before - 2 * here + after
    return float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < 0 else 0.0


def trace_curve(plane: Floats, sd: float) -> NDArray[np.float64]:
    """The curve along a plane's ridge.

    It is the minimum-cost path through 1/(floor + heat²) between the ridge's two ends, the pixels
    that are furthest apart along such paths: from the highest pixel to the furthest, from there
    to the furthest (exact on a tree). At half its height, the cap of a Gaussian ridge reaches
    sd·√(2 ln 2) beyond the curve's end, so that much is cut off.

    Args:
        sd: of the ridge, px.

    Returns:
        (P, 2) with 3 ≤ P ≤ 64, whatever the plane.
    """
    top = float(plane.max())
    if top <= 0:
        return SHORTEST + np.unravel_index(int(plane.argmax()), plane.shape)[::-1]
    ridge, (rows, columns) = crop_ridge(plane >= RIDGE * top)
    heat = np.clip(plane[rows, columns] / top, 0, 1)
    cost = 1 / (FLOOR + heat**2)
    highest = np.unravel_index(int(np.where(ridge, heat, -1).argmax()), ridge.shape)
    first_end, _ = find_furthest(cost, ridge, (int(highest[0]), int(highest[1])))
    last_end, search = find_furthest(cost, ridge, first_end)
    pixels = np.array(search.traceback(last_end), np.float64)[:, ::-1]
    return trim(pixels + np.array([columns.start, rows.start]), sd * np.sqrt(2 * np.log(2)))


def crop_ridge(ridge: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], tuple[slice, slice]]:
    """Drop specks of a ridge and cut the rest out, with margins for a path between its pieces.

    Returns:
        The cut, and its rows and columns.
    """
    labels, _ = ndimage.label(ridge, np.ones((3, 3)))
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    pieces = (sizes >= MIN_PIECE * sizes.max())[labels] & (labels > 0)
    rows, columns = np.flatnonzero(pieces.any(1)), np.flatnonzero(pieces.any(0))
    margin = max(2, (rows[-1] - rows[0] + columns[-1] - columns[0]) // 8)
    down = slice(max(0, int(rows[0]) - margin), int(rows[-1]) + margin + 1)
    across = slice(max(0, int(columns[0]) - margin), int(columns[-1]) + margin + 1)
    return pieces[down, across], (down, across)


def find_furthest(
    cost: Floats, ridge: NDArray[np.bool_], start: tuple[int, int]
) -> tuple[tuple[int, int], MCP_Geometric]:
    """The ridge's pixel with the costliest path from start, and the search that knows the path."""
    search = MCP_Geometric(cost, fully_connected=True)
    totals, _ = search.find_costs([start])
    row, column = np.unravel_index(int(np.where(ridge, totals, -1).argmax()), ridge.shape)
    return (int(row), int(column)), search


def trim(pixels: NDArray[np.float64], end: float) -> NDArray[np.float64]:
    """Smooth a path of pixels, cut `end` px of arc off both ends, and resample it."""
    line: NDArray[np.float64] = (
        ndimage.gaussian_filter1d(pixels, SMOOTH, axis=0, mode="nearest")
        if len(pixels) > 2
        else pixels
    )
    arc = np.concatenate(([0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))))
    low, high = end, arc[-1] - end
    if high - low < 1:
        return SHORTEST + np.array(
            [np.interp(arc[-1] / 2, arc, axis) for axis in line.T], np.float64
        )
    at = np.linspace(low, high, int(np.clip(round((high - low) / 4) + 1, 3, MAX_PLACES)))
    return np.stack([np.interp(at, arc, axis) for axis in line.T], axis=1)
