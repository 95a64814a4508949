"""The labels that a folder of one's own images may have: index masks, a COCO JSON, YOLO text.

Each kind pairs a folder of images with its labels, reads one record's truth and writes it. Class
names that the configuration leaves open come from the labels: `classes.txt` beside masks or YOLO
text, COCO's categories.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from usbench.datasets.codecs import coco_targets, image, label_png, yolo_txt
from usbench.datasets.layouts.folders import list_files
from usbench.datasets.layouts.index_masks import component_boxes
from usbench.errors import ConfigError, DataError
from usbench.types import Boxes, Landmarks, Masks, Sample, Target, Task

PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
NAMES = "classes.txt"
SEPARATORS = "_-. ("  # between an image's name and what numbers its masks

# The image's name below its folder without the suffix, the image, its label.
Pair = tuple[str, Path, Path]


class Labels(Protocol):
    """One kind of label."""

    written_as: Task

    def names(self, labels: Path) -> tuple[str, ...]:
        """The class names that the labels themselves state."""
        ...

    def pairs(self, images: Path, labels: Path, classes: Sequence[str]) -> list[Pair]:
        """Every image with its label; DataError where one has none."""
        ...

    def read(self, name: str, picture: Path, label: Path, classes: Sequence[str]) -> Target:
        """The truth of one image; name: its path below the images' folder."""
        ...

    def put(self, images: Path, labels: Path, classes: Sequence[str], sample: Sample) -> None:
        """Write one image as PNG, and its label; DataError for a target of another kind."""
        ...

    def close(self, labels: Path, classes: Sequence[str]) -> None:
        """Write what belongs to all that was put."""
        ...


class MaskFiles:
    """A PNG of index values per image, of the same name; 0 is background."""

    written_as: Task = "segment"

    def __init__(self, task: Task, values: Mapping[str, int] | None, min_pixels: int) -> None:
        if task == "landmark":
            raise ConfigError(
                "dataset.format=masks: masks have no landmarks; take format=coco with keypoints"
            )
        given = list((values or {}).values())
        if any(
            isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 256
            for value in given
        ):
            raise ConfigError(f"dataset.values={values}: expected a value of 1..255 for each class")
        if len(set(given)) < len(given):
            raise ConfigError(f"dataset.values={values}: expected another value for each class")
        self.task, self.given, self.min_pixels = task, dict(values or {}), min_pixels

    def names(self, labels: Path) -> tuple[str, ...]:
        """See Labels."""
        return tuple(self.given) or _stated(labels, "dataset.values")

    def pairs(self, images: Path, labels: Path, classes: Sequence[str]) -> list[Pair]:
        """See Labels."""
        self.values(classes)
        return _pairs(
            list_files(images, *PICTURES), list_files(labels, ".png"), "an index mask (PNG)"
        )

    def read(self, name: str, picture: Path, label: Path, classes: Sequence[str]) -> Target:
        """See Labels."""
        values = self.values(classes)
        index = label_png.read_label_png(label, 255)
        _require_size(label, index.shape, picture)
        _require_known(label, index, values, classes)
        planes = np.equal(index, values[:, None, None])
        return Masks(planes) if self.task == "segment" else component_boxes(planes, self.min_pixels)

    def put(self, images: Path, labels: Path, classes: Sequence[str], sample: Sample) -> None:
        """See Labels."""
        table = np.concatenate([np.zeros(1, np.uint8), self.values(classes)])
        if not isinstance(sample.target, Masks):
            raise DataError(
                f"sample {sample.id}: expected masks, got {type(sample.target).__name__}"
            )
        image.write_grey(images / f"{sample.id}.png", sample.image)
        label_png.write_label_png(
            labels / f"{sample.id}.png", table[label_png.planes_to_index(sample.target.planes)]
        )

    def close(self, labels: Path, classes: Sequence[str]) -> None:
        """See Labels."""
        yolo_txt.write_class_names(labels / NAMES, classes)

    def values(self, classes: Sequence[str]) -> NDArray[np.uint8]:
        """The masks' value of each class: as configured, else 1, 2, 3 in order of the classes."""
        if self.given and set(self.given) != set(classes):
            known = ", ".join(classes)
            raise ConfigError(f"dataset.values={self.given}: expected a value for each of {known}")
        given = [self.given[name] for name in classes] if self.given else range(1, len(classes) + 1)
        return np.array(given, np.uint8)


class YoloFiles:
    """A text of boxes per image, of the same name; an image without objects has an empty one.

    The numbers are those of `classes.txt` beside them, where there is one, else of the configured
    classes, in order.
    """

    written_as: Task = "detect"

    def __init__(self, task: Task) -> None:
        if task != "detect":
            raise ConfigError(
                f"dataset.format=yolo: YOLO labels are boxes, not for {task}; take format=masks "
                "or coco"
            )

    def names(self, labels: Path) -> tuple[str, ...]:
        """See Labels."""
        return _stated(labels, "dataset.views.detect.classes")

    def pairs(self, images: Path, labels: Path, classes: Sequence[str]) -> list[Pair]:
        """See Labels."""
        self.numbering(labels, classes)
        texts = list_files(labels, ".txt")
        texts.pop(Path(NAMES).stem, None)
        return _pairs(
            list_files(images, *PICTURES), texts, "a YOLO text (empty where it has no objects)"
        )

    def read(self, name: str, picture: Path, label: Path, classes: Sequence[str]) -> Boxes:
        """See Labels."""
        names, places = self.numbering(label.parent, classes)
        boxes = yolo_txt.read_yolo_boxes(label, names, image.read_size(picture))
        return Boxes(boxes.xyxy, places[boxes.labels])

    def put(self, images: Path, labels: Path, classes: Sequence[str], sample: Sample) -> None:
        """See Labels."""
        if not isinstance(sample.target, Boxes):
            raise DataError(
                f"sample {sample.id}: expected boxes, got {type(sample.target).__name__}"
            )
        image.write_grey(images / f"{sample.id}.png", sample.image)
        size = (sample.image.shape[0], sample.image.shape[1])
        yolo_txt.write_yolo_boxes(labels / f"{sample.id}.txt", sample.target, classes, size)

    def close(self, labels: Path, classes: Sequence[str]) -> None:
        """See Labels."""
        yolo_txt.write_class_names(labels / NAMES, classes)

    def numbering(
        self, labels: Path, classes: Sequence[str]
    ) -> tuple[Sequence[str], NDArray[np.int64]]:
        """(the names that the numbers stand for, the place of each in the classes)."""
        path = labels / NAMES
        if not path.is_file():
            return classes, np.arange(len(classes))
        names = yolo_txt.read_class_names(path)
        return names, yolo_txt.class_positions(path, names, classes)


class CocoFile:
    """COCO's instances JSON; `file_name` is the image's path below the images' folder."""

    def __init__(self, task: Task, exclusive: bool) -> None:
        self.task, self.written_as, self.exclusive = task, task, exclusive
        # Parsed once per state of the file.
        self.known: dict[tuple[Path, int, int], coco_targets.CocoTargets] = {}
        # Put, not yet written.
        self.pending: dict[Path, list[tuple[str, tuple[int, int], Target]]] = {}

    def names(self, labels: Path) -> tuple[str, ...]:
        """See Labels."""
        truth = self.truth(labels)
        return truth.points if self.task == "landmark" else truth.names

    def pairs(self, images: Path, labels: Path, classes: Sequence[str]) -> list[Pair]:
        """See Labels."""
        found = []
        for name in self.truth(labels).images:
            path = Path(name)
            if path.is_absolute() or ".." in path.parts or not (images / path).is_file():
                where = f"its images' file_name below {images}"
                raise DataError(
                    f"{labels}: expected {where}, got {name!r}, where no image is; correct either"
                )
            found.append((path.with_suffix("").as_posix(), images / path, labels))
        return found

    def read(self, name: str, picture: Path, label: Path, classes: Sequence[str]) -> Target:
        """See Labels."""
        truth = self.truth(label)
        if name not in truth.images:
            raise DataError(
                f"{label}: expected an image {name}, found none; the file has changed, start again"
            )
        _require_size(label, truth.images[name].size, picture)
        if self.task == "detect":
            return truth.boxes(name, classes)
        if self.task == "landmark":
            return truth.landmarks(name, classes)
        return truth.masks(name, classes, self.exclusive)

    def put(self, images: Path, labels: Path, classes: Sequence[str], sample: Sample) -> None:
        """See Labels."""
        wanted = {"detect": Boxes, "landmark": Landmarks, "segment": Masks}[self.task]
        if not isinstance(sample.target, wanted):
            found = type(sample.target).__name__
            raise DataError(f"sample {sample.id}: expected {wanted.__name__.lower()}, got {found}")
        image.write_grey(images / f"{sample.id}.png", sample.image)
        size = (sample.image.shape[0], sample.image.shape[1])
        self.pending.setdefault(labels, []).append((f"{sample.id}.png", size, sample.target))

    def close(self, labels: Path, classes: Sequence[str]) -> None:
        """See Labels."""
        coco_targets.write_coco_targets(labels, classes, self.pending.pop(labels, []))

    def truth(self, path: Path) -> coco_targets.CocoTargets:
        """The file's content."""
        try:
            state = path.stat()
        except OSError:
            return coco_targets.read_coco_targets(path)  # which says what is wrong
        key = (path, state.st_size, state.st_mtime_ns)
        if key not in self.known:
            self.known[key] = coco_targets.read_coco_targets(path)
        return self.known[key]


def _stated(labels: Path, setting: str) -> tuple[str, ...]:
    """The names of classes.txt; DataError where there is none."""
    path = labels / NAMES
    if not path.is_file():
        raise DataError(
            f"{path}: expected the classes' names, one a line, found no file; write it or set "
            f"{setting}"
        )
    return yolo_txt.read_class_names(path)


def _pairs(images: Mapping[str, Path], labels: Mapping[str, Path], wanted: str) -> list[Pair]:
    """Images with the label of the same stem; DataError where either stands alone."""
    spare = sorted(labels.keys() - images.keys())
    owners = {stem: _owner(stem, images) for stem in spare}
    owner = next((name for name in owners.values() if name), None)
    if owner:
        several = [
            labels[stem].name for stem in labels if stem == owner or owners.get(stem) == owner
        ]
        found = f"{len(several)} for {images[owner].name} ({', '.join(several[:3])})"
        advice = f"make it one file, named as the image is ({owner})"
        raise DataError(f"{images[owner]}: expected {wanted}, got {found}; {advice}")
    lone = sorted(images.keys() - labels.keys())
    if lone:
        count = f"{len(lone)} of {len(images)} images lack one"
        raise DataError(
            f"{images[lone[0]]}: expected {wanted} of the same name, found none ({count})"
        )
    if spare:
        raise DataError(
            f"{labels[spare[0]]}: expected an image of the same name, found none ({len(spare)} "
            "such labels)"
        )
    return [(stem, images[stem], labels[stem]) for stem in images]


def _owner(stem: str, images: Mapping[str, Path]) -> str | None:
    """The image that a label of another stem seems to be of: a_1 and a (2) are a's."""
    starts = (stem[:n] for n, mark in enumerate(stem) if mark in SEPARATORS)
    return next((start.rstrip() for start in starts if start.rstrip() in images), None)


def _require_size(label: Path, found: tuple[int, ...], picture: Path) -> None:
    wanted = image.read_size(picture)
    if found != wanted:
        raise DataError(
            f"{label}: expected the size of {picture.name} {wanted}, got {found} (height, width)"
        )


def _require_known(
    label: Path, index: label_png.Index, values: NDArray[np.uint8], classes: Sequence[str]
) -> None:
    """DataError for values that are neither background nor a class."""
    counts = np.bincount(index.ravel(), minlength=256)
    counts[[0, *values]] = 0
    foreign = np.flatnonzero(counts)
    if not len(foreign):
        return
    known = ", ".join(
        f"{value} {name}" for value, name in zip(values.tolist(), classes, strict=True)
    )
    found = f"value {foreign[0]} in {counts[foreign[0]]} pixels; correct the mask or dataset.values"
    if len(foreign) > 8:
        found = (
            f"{len(foreign)} other values ({', '.join(map(str, foreign[:3]))} …): the grey of an "
            "anti-aliased, resized "
            "or photographic mask; save it with class values only, without smoothing"
        )
    raise DataError(f"{label}: expected 0 background, {known}, got {found}")
