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
from usbench.datasets.layouts.folders import list_files, pair_files, require_split, sort_unique
from usbench.errors import DataError
from usbench.types import SPLITS, Boxes, Layout, Masks, Record, Sample, Split, Task

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


class SpinalMasks(Layout):
    """The segmentation archive: SegmentationDataset/{train,val,test}_{images,masks}/*.png."""

    name = "spinal_masks"
    version = 1

    written_as: Task = "segment"
    folder = "SegmentationDataset"

    def __init__(self, classes: Sequence[str], stray_pixels: int = 0) -> None:
        """stray_pixels: how many pixels of no class colour the release is known to have.

        One more is an error.
        """
        unknown = [name for name in classes if name not in COLOURS]
        if unknown:
            raise DataError(f"spinal has no class {unknown[0]!r}; it has {', '.join(COLOURS)}")
        self.classes, self.stray_pixels = tuple(classes), stray_pixels
        self.palette = np.array([COLOURS[name] for name in ("background", *classes)], np.uint8)
        self.strays: dict[str, int] = {}  # record id → pixels of no class colour, as read so far

    def folders(self, root: Path) -> dict[Split, tuple[Path, Path]]:
        """(images, masks) of each split."""
        top = root / self.folder
        return {split: (top / f"{split}_images", top / f"{split}_masks") for split in SPLITS}

    def index(self, root: Path) -> list[Record]:
        """See usbench.types.Layout."""
        found: list[Record] = []
        for split, (images, masks) in self.folders(root).items():
            found += pair_files(
                root, split, list_files(images, ".png"), list_files(masks, ".png"), SWEEP
            )
        return sort_unique(found)

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
        written: list[Record] = []
        folders = self.folders(root)
        for images, masks in folders.values():
            images.mkdir(parents=True, exist_ok=True)
            masks.mkdir(parents=True, exist_ok=True)
        for sample in samples:
            split = require_split(sample.id, sample.split)
            if not isinstance(sample.target, Masks):
                raise DataError(
                    f"sample {sample.id}: expected masks, got {type(sample.target).__name__}"
                )
            picture, mask = (folder / f"{sample.id}.png" for folder in folders[split])
            image.write_grey(picture, sample.image)
            label_png.write_colour_png(
                mask, label_png.planes_to_index(sample.target.planes), self.palette
            )
            written += pair_files(root, split, {sample.id: picture}, {sample.id: mask}, SWEEP)
        return sort_unique(written)


class HumanMasks(SpinalMasks):
    """The human images in the layout of the authors' code: human_images/*.png and
    human_masks/*.png, all of them test.

    Not released: how the files are called, and which are of one patient, isn't known, so each is a
    group of its own.
    """

    name = "spinal_human_masks"
    version = 1

    folder = "human_images"

    def folders(self, root: Path) -> dict[Split, tuple[Path, Path]]:
        """(images, masks) of the one split."""
        return {"test": (root / "human_images", root / "human_masks")}


class SpinalBoxes(Layout):
    """The detection archive: `Final dataset for object detection`/{train,val,test}/{stem}.png with
    {stem}.xml beside it.

    Boxes are taken as written: 0-based, exclusive end (unverified, said in the protocol). An XML
    without `<object>` is an image without injury.
    """

    name = "spinal_boxes"
    version = 1

    written_as: Task = "detect"
    folder = "Final dataset for object detection"

    def __init__(self, classes: Sequence[str], xml_without_image: int = 0) -> None:
        """xml_without_image: how many such files the release is known to have.

        One more is an error.
        """
        self.classes, self.xml_without_image = tuple(classes), xml_without_image

    def index(self, root: Path) -> list[Record]:
        """See usbench.types.Layout."""
        found: list[Record] = []
        spare = self.xml_without_image
        for split in SPLITS:
            folder = root / self.folder / split
            images, labels = list_files(folder, ".png"), list_files(folder, ".xml")
            found += pair_files(root, split, images, labels, SWEEP, spare)
            spare -= len(labels.keys() - images.keys())
        return sort_unique(found)

    def read(self, root: Path, record: Record) -> Boxes:
        """See usbench.types.Layout."""
        label, picture = root / str(record.label), root / record.image
        boxes, size = voc.read_voc(label, self.classes)
        if size != image.read_size(picture):
            raise DataError(
                f"{label}: expected the size of its image {image.read_size(picture)}, got {size} "
                "(height, width)"
            )
        return boxes

    def write(self, root: Path, samples: Iterable[Sample]) -> list[Record]:
        """See usbench.types.Layout."""
        written: list[Record] = []
        for split in SPLITS:
            (root / self.folder / split).mkdir(parents=True, exist_ok=True)
        for sample in samples:
            split = require_split(sample.id, sample.split)
            if not isinstance(sample.target, Boxes):
                raise DataError(
                    f"sample {sample.id}: expected boxes, got {type(sample.target).__name__}"
                )
            folder = root / self.folder / split
            picture, label = folder / f"{sample.id}.png", folder / f"{sample.id}.xml"
            image.write_grey(picture, sample.image)
            size = (sample.image.shape[0], sample.image.shape[1])
            voc.write_voc(label, sample.target, self.classes, size, picture.name, split)
            written += pair_files(root, split, {sample.id: picture}, {sample.id: label}, SWEEP)
        return sort_unique(written)
