"""Releases of images beside index masks (usgra, the plain phantom): PNG pairs of one stem in
folders per split.

A mask's value 0 is background, c+1 the view's class c. As a detection release, a box is the tight
box of a connected component (8-neighbours) of at least `min_pixels` pixels; x2 and y2 are one past
the last pixel.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from usbench.datasets.codecs import image, label_png
from usbench.datasets.layouts.folders import list_files, pair_files, require_split, sort_unique
from usbench.errors import DataError
from usbench.types import Boxes, Layout, Masks, Record, Sample, Split, Target, Task

EIGHT = np.ones((3, 3), bool)


def component_boxes(planes: NDArray[np.bool_], min_pixels: int) -> Boxes:
    """(C, H, W) planes → the boxes of their components, by class, then from the top left."""
    boxes: list[tuple[int, int, int, int]] = []
    labels: list[int] = []
    for c, plane in enumerate(planes):
        marked, _ = ndimage.label(plane, structure=EIGHT)
        sizes = np.bincount(marked.ravel())
        for n, (rows, columns) in enumerate(ndimage.find_objects(marked), start=1):
            if sizes[n] >= min_pixels:
                boxes.append((columns.start, rows.start, columns.stop, rows.stop))
                labels.append(c)
    return Boxes(np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.int64))


class IndexMasks(Layout):
    """See usbench.types.Layout."""

    name = "index_masks"
    version = 1

    written_as: Task = "segment"  # also the detect view's release is one of masks

    def __init__(
        self,
        classes: Sequence[str],
        folders: Mapping[Split, Sequence[str]],
        task: Task = "segment",
        group: str | None = None,
        min_pixels: int = 20,
    ) -> None:
        """Check the settings.

        Args:
            classes: of the mask values 1, 2, 3 …
            folders: split → (images, masks), relative to the root.
            task: segment, or detect for boxes around components.
            group: a regular expression; its first group in the stem names the record's group.
            min_pixels: the smallest component that is a box.
        """
        self.classes, self.task, self.min_pixels = tuple(classes), task, min_pixels
        self.folders = {split: (paths[0], paths[1]) for split, paths in folders.items()}
        self.group = re.compile(group) if group else None

    def index(self, root: Path) -> list[Record]:
        """See usbench.types.Layout."""
        found: list[Record] = []
        for split, (images, masks) in self.folders.items():
            found += pair_files(
                root,
                split,
                list_files(root / images, ".png"),
                list_files(root / masks, ".png"),
                self.group,
            )
        return sort_unique(found)

    def read(self, root: Path, record: Record) -> Target:
        """See usbench.types.Layout."""
        label, picture = root / str(record.label), root / record.image
        index = label_png.read_label_png(label, len(self.classes))
        size = image.read_size(picture)
        if index.shape != size:  # boxes of a mask that is too small would lie inside the image
            raise DataError(
                f"{label}: expected the size of {picture.name} {size}, got {index.shape}"
            )
        planes = label_png.index_to_planes(index, len(self.classes))
        return Masks(planes) if self.task == "segment" else component_boxes(planes, self.min_pixels)

    def write(self, root: Path, samples: Iterable[Sample]) -> list[Record]:
        """See usbench.types.Layout. The targets are Masks, whatever the view's task."""
        written: list[Record] = []
        for images, masks in self.folders.values():
            (root / images).mkdir(parents=True, exist_ok=True)
            (root / masks).mkdir(parents=True, exist_ok=True)
        for sample in samples:
            split = require_split(sample.id, sample.split)
            if split not in self.folders:
                splits = ", ".join(sorted(self.folders))
                raise DataError(f"sample {sample.id}: expected a split of {splits}, got {split}")
            if not isinstance(sample.target, Masks):
                raise DataError(
                    f"sample {sample.id}: expected masks, got {type(sample.target).__name__}"
                )
            picture, mask = (root / folder / f"{sample.id}.png" for folder in self.folders[split])
            image.write_grey(picture, sample.image)
            label_png.write_label_png(mask, label_png.planes_to_index(sample.target.planes))
            written += pair_files(root, split, {sample.id: picture}, {sample.id: mask}, self.group)
        return sort_unique(written)
