"""The normal-neck release (joo053/Neck-Ultrasound-Dataset): JPG images and YOLO labels, numbered,
no volunteer ids.

NNUS/images/0001.jpg, NNUS/labels/0001.txt and NNUS/labels/classes.txt, whose order rules: the
classes are matched by name. About 30 to 40 images in a row seem to be of one volunteer, so the
order of the numbers is what a split by contiguous runs goes by; each image is its own group.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from usbench.datasets.codecs import image, yolo_txt
from usbench.datasets.codecs.readers import require
from usbench.datasets.layouts.folders import (
    list_files,
    relative_paths,
    require_pairs,
    require_target,
    sort_unique,
)
from usbench.types import Boxes, Layout, Record, Sample, Task

NAMES = "classes.txt"
DIGITS = 4  # of a number: ids sort as the numbers do


class Nnus(Layout):
    """See usbench.types.Layout."""

    name = "nnus"
    version = 1

    written_as: Task = "detect"

    def __init__(self, classes: Sequence[str], folder: str = "NNUS") -> None:
        """Take the folder that holds images and labels, relative to the root."""
        self.classes = tuple(classes)
        self.images, self.labels = f"{folder}/images", f"{folder}/labels"

    def index(self, root: Path) -> list[Record]:
        """See usbench.types.Layout."""
        labels = list_files(root / self.labels, ".txt")
        names = labels.pop(Path(NAMES).stem, root / self.labels / NAMES)
        yolo_txt.class_positions(names, yolo_txt.read_class_names(names), self.classes)
        images = list_files(root / self.images, ".jpg", ".jpeg")
        require_pairs(images, labels)
        return sort_unique(self.record(root, images[stem], labels[stem]) for stem in images)

    def record(self, root: Path, picture: Path, label: Path) -> Record:
        """One record; its id is its number.

        DataError where the name is none, for the split goes by the numbers.
        """
        stem = picture.stem
        require(
            stem.isascii() and stem.isdecimal(),
            str(picture),
            "a number as name (0001.jpg)",
            stem,
            "rename it",
        )
        number = stem.lstrip("0").zfill(DIGITS)
        return Record(number, number, *relative_paths(root, picture, label))

    def shared_files(self, root: Path) -> list[str]:
        """What every label depends on besides its own file, relative to the root."""
        return [f"{self.labels}/{NAMES}"]

    def read(self, root: Path, record: Record) -> Boxes:
        """See usbench.types.Layout."""
        path = root / self.labels / NAMES
        names = yolo_txt.read_class_names(path)
        boxes = yolo_txt.read_yolo_boxes(
            root / str(record.label), names, image.read_size(root / record.image)
        )
        return Boxes(boxes.xyxy, yolo_txt.class_positions(path, names, self.classes)[boxes.labels])

    def write(self, root: Path, samples: Iterable[Sample]) -> list[Record]:
        """See usbench.types.Layout.

        Ids are numbers; the release has no split, so a sample's own isn't kept.
        """
        images, labels = root / self.images, root / self.labels
        images.mkdir(parents=True, exist_ok=True)
        labels.mkdir(parents=True, exist_ok=True)
        yolo_txt.write_class_names(labels / NAMES, self.classes)
        written: list[Record] = []
        for sample in samples:
            boxes = require_target(sample, Boxes)
            picture, label = images / f"{sample.id}.jpg", labels / f"{sample.id}.txt"
            written.append(self.record(root, picture, label))
            image.write_jpeg(picture, sample.image)
            height, width = sample.image.shape
            yolo_txt.write_yolo_boxes(label, boxes, self.classes, (height, width))
        return sort_unique(written)
