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
import scipy
from numpy.typing import NDArray

from usbench.datasets.codecs import image, label_png
from usbench.datasets.layouts.folders import FilePairs, require_target
from usbench.types import Boxes, Layout, Masks, Record, Sample, Split, Target, Task

EIGHT = np.ones((3, 3), bool)


def component_boxes(planes: NDArray[np.bool_], min_pixels: int) -> Boxes:
    """(C, H, W) planes → the boxes of their components, by class, then from the top left."""
    boxes: list[tuple[int, int, int, int]] = []
    labels: list[int] = []
    for c, plane in enumerate(planes):
        marked, _ = scipy.ndimage.label(plane, structure=EIGHT)
        sizes = np.bincount(marked.ravel())
        for n, (rows, columns) in enumerate(scipy.ndimage.find_objects(marked), start=1):
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
        self.files = FilePairs(self.folders, re.compile(group) if group else None)

    def index(self, root: Path) -> list[Record]:
        """See usbench.types.Layout."""
        return self.files.index(root)

    def read(self, root: Path, record: Record) -> Target:
        """See usbench.types.Layout."""
        label, picture = root / str(record.label), root / record.image
        index = label_png.read_label_png(label, len(self.classes))
        image.require_size(label, index.shape, picture)
        planes = label_png.index_to_planes(index, len(self.classes))
        return Masks(planes) if self.task == "segment" else component_boxes(planes, self.min_pixels)

    def write(self, root: Path, samples: Iterable[Sample]) -> list[Record]:
        """See usbench.types.Layout. The targets are Masks, whatever the view's task."""
        return self.files.write(root, samples, _write_mask)


def _write_mask(path: Path, sample: Sample) -> None:
    label_png.write_label_png(path, label_png.planes_to_index(require_target(sample, Masks).planes))
