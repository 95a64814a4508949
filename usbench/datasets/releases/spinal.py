"""The porcine spinal cord release (Kumar et al., Sci Rep 2025): RGB colour masks, and VOC XML for
the hematoma.

Masks carry the VOC palette; the release documents no mapping, it comes from the authors' code.
Names carry a sweep token (`scaled-A0212_frame1`) or none (`scaled-dicom-7`): the token is the
group, else the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from usbench.datasets.codecs import image, label_png, voc
from usbench.datasets.layouts.folders import FilePairs, require_target
from usbench.errors import DataError
from usbench.types import SPLITS, Boxes, Layout, Masks, Record, Sample, Task

SWEEP = re.compile(r"(A\d{4})_frame")
COLOURS = {  # class → RGB; the authors' code, names as there
    "background": (0, 0, 0),
    "blood/saline": (128, 0, 128),
    "dura": (128, 0, 0),
    "pia": (0, 128, 0),
    "csf": (128, 128, 0),
    "spinal cord": (0, 0, 128),
    "hematoma": (0, 128, 128),
    "dura/pia complex": (64, 0, 0),
    "extradural space": (128, 128, 128),
    "dura/extradural space": (192, 0, 0),
}
MASKS, BOXES = "SegmentationDataset", "Final dataset for object detection"  # the archives' folders
PORCINE = FilePairs(
    {split: (f"{MASKS}/{split}_images", f"{MASKS}/{split}_masks") for split in SPLITS}, SWEEP
)
HUMAN = FilePairs({"test": ("human_images", "human_masks")}, SWEEP)


class SpinalMasks(Layout):
    """The segmentation archive: SegmentationDataset/{train,val,test}_{images,masks}/*.png."""

    name = "spinal_masks"
    version = 1

    written_as: Task = "segment"
    folder = MASKS

    def __init__(
        self, classes: Sequence[str], stray_pixels: int = 0, files: FilePairs = PORCINE
    ) -> None:
        """Check the classes.

        Args:
            classes: some of COLOURS.
            stray_pixels: how many pixels of no class colour the release is known to have; one more
                is an error.
            files: where images and masks lie.
        """
        unknown = [name for name in classes if name not in COLOURS]
        if unknown:
            raise DataError(f"spinal has no class {unknown[0]!r}; it has {', '.join(COLOURS)}")
        self.classes, self.stray_pixels, self.files = tuple(classes), stray_pixels, files
        self.palette = np.array([COLOURS[name] for name in ("background", *classes)], np.uint8)
        self.strays: dict[str, int] = {}  # record id → pixels of no class colour, as read so far

    def index(self, root: Path) -> list[Record]:
        """See usbench.types.Layout."""
        return self.files.index(root)

    def read(self, root: Path, record: Record) -> Masks:
        """See usbench.types.Layout."""
        path = root / str(record.label)
        index, strays = label_png.read_colour_png(path, self.palette)
        self.strays[record.id] = strays
        total = sum(self.strays.values())
        if strays and total > self.stray_pixels:
            raise DataError(
                f"{path}: {strays} pixels of no class colour, {total} in the masks read so far; "
                f"the release is known to have {self.stray_pixels}: is this another palette or a "
                "resized mask?"
            )
        return Masks(label_png.index_to_planes(index, len(self.classes)))

    def oddities(self) -> dict[str, int]:
        """See usbench.types.Layout."""
        strays = sum(self.strays.values())
        return {"pixels of no class colour, taken for the nearest": strays} if strays else {}

    def write(self, root: Path, samples: Iterable[Sample]) -> list[Record]:
        """See usbench.types.Layout."""
        return self.files.write(root, samples, self._write_mask)

    def _write_mask(self, path: Path, sample: Sample) -> None:
        label_png.write_colour_png(
            path, label_png.planes_to_index(require_target(sample, Masks).planes), self.palette
        )


class HumanMasks(Layout):
    """The human images in the layout of the authors' code: human_images/*.png and
    human_masks/*.png, all of them test; otherwise as SpinalMasks.

    Not released: how the files are called, and which are of one patient, isn't known, so each is a
    group of its own.
    """

    name = "spinal_human_masks"
    version = 1

    written_as: Task = "segment"
    folder = "human_images"

    def __init__(self, classes: Sequence[str], stray_pixels: int = 0) -> None:
        self.masks = SpinalMasks(classes, stray_pixels, HUMAN)
        self.classes = self.masks.classes

    def index(self, root: Path) -> list[Record]:
        """See usbench.types.Layout."""
        return self.masks.index(root)

    def read(self, root: Path, record: Record) -> Masks:
        """See usbench.types.Layout."""
        return self.masks.read(root, record)

    def oddities(self) -> dict[str, int]:
        """See usbench.types.Layout."""
        return self.masks.oddities()

    def write(self, root: Path, samples: Iterable[Sample]) -> list[Record]:
        """See usbench.types.Layout."""
        return self.masks.write(root, samples)


class SpinalBoxes(Layout):
    """The detection archive: `Final dataset for object detection`/{train,val,test}/{stem}.png with
    {stem}.xml beside it.

    Boxes are taken as written: 0-based, exclusive end (unverified, said in the protocol). An XML
    without `<object>` is an image without injury.
    """

    name = "spinal_boxes"
    version = 1

    written_as: Task = "detect"
    folder = BOXES
    files = FilePairs({split: (f"{BOXES}/{split}",) * 2 for split in SPLITS}, SWEEP, ".xml")

    def __init__(self, classes: Sequence[str], xml_without_image: int = 0) -> None:
        """xml_without_image: how many such files the release is known to have.

        One more is an error.
        """
        self.classes, self.xml_without_image = tuple(classes), xml_without_image

    def index(self, root: Path) -> list[Record]:
        """See usbench.types.Layout."""
        return self.files.index(root, self.xml_without_image)

    def read(self, root: Path, record: Record) -> Boxes:
        """See usbench.types.Layout."""
        label = root / str(record.label)
        boxes, size = voc.read_voc(label, self.classes)
        image.require_size(label, size, root / record.image)
        return boxes

    def write(self, root: Path, samples: Iterable[Sample]) -> list[Record]:
        """See usbench.types.Layout."""
        return self.files.write(root, samples, self._write_boxes)

    def _write_boxes(self, path: Path, sample: Sample) -> None:
        boxes, size = require_target(sample, Boxes), (sample.image.shape[0], sample.image.shape[1])
        voc.write_voc(path, boxes, self.classes, size, f"{sample.id}.png", path.parent.name)
