"""Open Kidney's planes: polygons and released masks ↔ (C, H, W) booleans.

The capsule contains the other three.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from usbench.datasets.codecs import label_png, polygons, via
from usbench.errors import DataError

ANATOMY = ("Capsule", "Central Echo Complex", "Medulla", "Cortex")
REGIONS = ANATOMY[1:]  # indices 1, 2, 3 of the released regions masks; Cortex is drawn last
STICKS_OUT = 1  # px that a vertex may lie beyond the last pixel: a drawing at the image's edge

Planes = NDArray[np.bool_]


def fill_planes(
    entry: via.ViaImage, classes: Sequence[str], size: tuple[int, int], where: str
) -> Planes:
    """(C, H, W): the union of each class's polygons.

    DataError for one that lies outside the (height, width) image.
    """
    height, width = size
    drawn: dict[str, list[polygons.Polygon]] = {name: [] for name in ANATOMY}
    for region in entry.regions:
        x, y = region.polygon.max(axis=0)
        if x > width - 1 + STICKS_OUT or y > height - 1 + STICKS_OUT:
            raise DataError(
                f"{where}: expected a polygon of {region.label} inside the image "
                f"({width}×{height}), got a vertex "
                f"at x {x}, y {y}; take the image that was drawn on"
            )
        drawn[region.label].append(region.polygon)
    return np.stack([polygons.fill_polygons(drawn[name], size) for name in classes])


def common_extent(entries: Sequence[via.ViaImage]) -> tuple[int, int]:
    """(height, width) that holds all their polygons."""
    corners = [region.polygon.max(axis=0) for entry in entries for region in entry.regions]
    x, y = np.max(corners, axis=0) if corners else (0, 0)
    return int(y) + 1, int(x) + 1


def draw_polygons(
    planes: Planes, classes: Sequence[str], attributes: Mapping[str, str]
) -> via.ViaImage:
    """What an annotator who draws exactly these planes exports."""
    regions: list[via.ViaRegion] = []
    for name, plane in zip(classes, planes, strict=True):
        regions += map(partial(via.ViaRegion, name), polygons.trace_outlines(plane))
    defaults = {"Quality": "Good", "View": "Longitudinal", "Comments": "n/a"}
    facts = {name: attributes.get(name.lower(), value) for name, value in defaults.items()}
    return via.ViaImage(facts, tuple(regions))


def shift_planes(planes: Planes, by: tuple[int, int]) -> Planes:
    """(C, H, W) planes moved right and down; what leaves the image is lost."""
    right, down = by
    height, width = planes.shape[1:]
    out = np.zeros_like(planes)
    out[:, down:, right:] = planes[:, : height - down, : width - right]
    return out


def read_masks(folder: Path, name: str, classes: Sequence[str]) -> Planes:
    """(C, H, W) of one image's two released masks, below an annotator's folder."""
    capsule = label_png.read_label_png(folder / "capsule" / name, 1)
    regions = label_png.read_label_png(folder / "regions" / name, len(REGIONS))
    if capsule.shape != regions.shape:
        raise DataError(
            f"{folder / 'regions' / name}: expected the size of the capsule's mask "
            f"{capsule.shape}, got {regions.shape}"
        )
    indices = map(ANATOMY.index, classes)
    return np.stack([regions == index if index else capsule == 1 for index in indices])


def write_masks(folder: Path, name: str, classes: Sequence[str], planes: Planes) -> None:
    """Write the two masks of one image, as the release draws them: the last region overwrites."""
    drawn = dict(zip(classes, planes, strict=True))
    empty = np.zeros(planes.shape[1:], bool)
    regions = empty.astype(np.uint8)
    for n, region in enumerate(REGIONS, start=1):
        regions[drawn.get(region, empty)] = n
    label_png.write_label_png(
        folder / "capsule" / name, drawn.get(ANATOMY[0], empty).astype(np.uint8)
    )
    label_png.write_label_png(folder / "regions" / name, regions)
