"""The labels that a folder of one's own images may have: index masks, a COCO JSON, YOLO text.

Each kind pairs a folder of images with its labels, reads the target of a record and writes it.
Class names that the configuration leaves open come from the labels: `classes.txt` beside masks or
YOLO text, COCO's categories.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from usbench.datasets.codecs import coco_targets, image, label_png, yolo_txt
from usbench.datasets.codecs.own_masks import OwnMasks
from usbench.datasets.layouts.folders import (
    ParsedFiles,
    list_files,
    require_pairs,
    require_target,
)
from usbench.datasets.layouts.index_masks import component_boxes
from usbench.errors import ConfigError, DataError
from usbench.types import Boxes, Landmarks, Masks, Sample, Target, Task

PICTURES = tuple(f".{suffix}" for suffix in image.SUFFIXES)
ANY_KIND = "PNG, JPEG, BMP or TIFF"
NAMES = "classes.txt"
MOST_NAMES = 6  # of subfolders, in a message
SEPARATORS = "_-. ("  # between an image's name and what numbers its masks

# The image's name below its folder without the suffix, the image, its label.
Pair = tuple[str, Path, Path]


class Labels(Protocol):
    """One kind of label."""

    written_as: Task

    def names(self, labels: Path) -> tuple[str, ...]:
        """The class names that the labels themselves state."""

    def pairs(self, images: Path, labels: Path, classes: Sequence[str]) -> list[Pair]:
        """Every image with its label; DataError where one has none."""

    def read(self, name: str, picture: Path, label: Path, classes: Sequence[str]) -> Target:
        """The target of one image; name: its path below the images' folder."""

    def oddities(self) -> dict[str, int]:
        """What was read otherwise than written, by description."""
        return {}

    def put(self, images: Path, labels: Path, classes: Sequence[str], sample: Sample) -> None:
        """Write one image as PNG, and its label; DataError for a target of another kind."""

    def close(self, labels: Path, classes: Sequence[str]) -> None:
        """Write what belongs to all that was put."""


def make_labels(
    format: str,
    task: Task,
    exclusive: bool,
    values: Mapping[str, int] | None,
    min_pixels: int,
    pair_by: re.Pattern[str] | None = None,
) -> Labels:
    """The labels of a format; see Folder for the settings.

    Raises:
        ConfigError: settings that the format can't have.
    """
    values = check_values(values)
    if values and format != "masks":
        raise ConfigError(
            f"dataset.values: values are those of masks, not of format={format}; leave them out"
        )
    if pair_by and format == "coco":
        raise ConfigError("dataset.pair_by: COCO's JSON names the images; leave pair_by out")
    match format:
        case "masks":
            return _MaskFiles(task, values, min_pixels, pair_by)
        case "yolo":
            return _YoloFiles(task, pair_by)
        case "coco":
            return _CocoFile(task, exclusive and task == "segment")
    raise ConfigError(f"dataset.format={format}: expected masks, coco or yolo")


def check_values(values: Mapping[str, int] | None) -> Mapping[str, int]:
    """The setting `values`, {} for None; ConfigError where it isn't a value for each class."""
    if values is not None and not isinstance(values, Mapping):
        raise ConfigError(
            f"dataset.values={values}: expected class: value, such as {{lesion: 255}}"
        )
    values = dict(values or {})
    for value in values.values():
        if type(value) is not int or not 0 < value < 256:
            raise ConfigError(f"dataset.values={values}: expected a value of 1..255 for each class")
    if len(set(values.values())) < len(values):
        raise ConfigError(f"dataset.values={values}: expected another value for each class")
    return values


def make_own_masks(classes: Sequence[str], values: Mapping[str, int]) -> OwnMasks:
    """How masks store the classes; ConfigError where values are set, but not one for each."""
    if values and set(values) != set(classes):
        raise ConfigError(
            f"dataset.values={dict(values)}: expected a value for each of {', '.join(classes)}"
        )
    return OwnMasks(tuple(classes), values)


class _MaskFiles(Labels):
    """A mask per image, of the same name; 0 is background. See `own_masks`."""

    written_as: Task = "segment"

    def __init__(
        self,
        task: Task,
        values: Mapping[str, int],
        min_pixels: int,
        pair_by: re.Pattern[str] | None,
    ) -> None:
        if task == "landmark":
            raise ConfigError(
                "dataset.format=masks: masks have no landmarks; take format=coco with keypoints"
            )
        self.task, self.values, self.min_pixels = task, dict(values), min_pixels
        self.pair_by = pair_by
        self.encoding: OwnMasks | None = None

    def oddities(self) -> dict[str, int]:
        return self.encoding.oddities() if self.encoding else {}

    def names(self, labels: Path) -> tuple[str, ...]:
        return tuple(self.values) or _stated_names(labels, "dataset.values")

    def pairs(self, images: Path, labels: Path, classes: Sequence[str]) -> list[Pair]:
        self._encoding_of(classes)
        masks = _list_labels(labels, ".png") or _list_labels(labels, *PICTURES)
        return _pair_stems(images, masks, "an index mask (PNG)", self.pair_by)

    def read(self, name: str, picture: Path, label: Path, classes: Sequence[str]) -> Target:
        planes = self._encoding_of(classes).read_planes(label)
        image.require_size(label, planes.shape[1:], picture)
        return Masks(planes) if self.task == "segment" else component_boxes(planes, self.min_pixels)

    def put(self, images: Path, labels: Path, classes: Sequence[str], sample: Sample) -> None:
        table = np.array([0, *self._encoding_of(classes).codes], np.uint8)
        index = label_png.planes_to_index(require_target(sample, Masks).planes)
        image.write_grey(images / f"{sample.id}.png", sample.image)
        label_png.write_label_png(labels / f"{sample.id}.png", table[index])

    def close(self, labels: Path, classes: Sequence[str]) -> None:
        yolo_txt.write_class_names(labels / NAMES, classes)

    def _encoding_of(self, classes: Sequence[str]) -> OwnMasks:
        """How the masks store the classes; ConfigError where a class has no value."""
        if self.encoding is None or self.encoding.names != tuple(classes):
            self.encoding = make_own_masks(classes, self.values)
        return self.encoding


class _YoloFiles(Labels):
    """A text of boxes per image, of the same name; an image without objects has an empty one.

    The numbers are those of `classes.txt` beside them, where there is one, else of the configured
    classes, in order.
    """

    written_as: Task = "detect"

    def __init__(self, task: Task, pair_by: re.Pattern[str] | None) -> None:
        self.pair_by = pair_by
        if task != "detect":
            raise ConfigError(
                f"dataset.format=yolo: YOLO labels are boxes, not for {task}; take format=masks "
                "or coco"
            )

    def names(self, labels: Path) -> tuple[str, ...]:
        return _stated_names(labels, "dataset.views.detect.classes")

    def pairs(self, images: Path, labels: Path, classes: Sequence[str]) -> list[Pair]:
        self._numbering(labels, classes)
        texts = _list_labels(labels, ".txt")
        texts.pop(Path(NAMES).stem, None)
        label = "a YOLO text (empty where it has no objects)"
        return _pair_stems(images, texts, label, self.pair_by)

    def read(self, name: str, picture: Path, label: Path, classes: Sequence[str]) -> Boxes:
        names, positions = self._numbering(label.parent, classes)
        boxes = yolo_txt.read_yolo_boxes(label, names, image.read_size(picture))
        return replace(boxes, labels=positions[boxes.labels])

    def put(self, images: Path, labels: Path, classes: Sequence[str], sample: Sample) -> None:
        boxes, size = require_target(sample, Boxes), (sample.image.shape[0], sample.image.shape[1])
        image.write_grey(images / f"{sample.id}.png", sample.image)
        yolo_txt.write_yolo_boxes(labels / f"{sample.id}.txt", boxes, classes, size)

    def close(self, labels: Path, classes: Sequence[str]) -> None:
        yolo_txt.write_class_names(labels / NAMES, classes)

    def _numbering(
        self, labels: Path, classes: Sequence[str]
    ) -> tuple[Sequence[str], NDArray[np.int64]]:
        """(the names that the numbers stand for, the place of each in the classes)."""
        path = labels / NAMES
        if not path.is_file():
            return classes, np.arange(len(classes))
        names = yolo_txt.read_class_names(path)
        return names, yolo_txt.class_positions(path, names, classes)


class _CocoFile(Labels):
    """COCO's instances JSON; `file_name` is the image's path below the images' folder."""

    def __init__(self, task: Task, exclusive: bool) -> None:
        self.task, self.written_as, self.exclusive = task, task, exclusive
        self.files = ParsedFiles(coco_targets.read_coco_targets)
        # Put, not yet written.
        self.pending: dict[Path, list[tuple[str, tuple[int, int], Target]]] = {}

    def names(self, labels: Path) -> tuple[str, ...]:
        content = self.files.read(labels)
        return content.points if self.task == "landmark" else content.names

    def pairs(self, images: Path, labels: Path, classes: Sequence[str]) -> list[Pair]:
        pairs = []
        for name in self.files.read(labels).images:
            path = Path(name)
            if path.is_absolute() or ".." in path.parts or not (images / path).is_file():
                raise DataError(
                    f"{labels}: expected its images' file_name below {images}, got {name!r}, "
                    "where no image is; correct either"
                )
            pairs.append((path.with_suffix("").as_posix(), images / path, labels))
        return pairs

    def read(self, name: str, picture: Path, label: Path, classes: Sequence[str]) -> Target:
        content = self.files.read(label)
        if name not in content.images:
            raise DataError(
                f"{label}: expected an image {name}, found none; the file has changed, start again"
            )
        image.require_size(label, content.images[name].size, picture)
        match self.task:
            case "detect":
                return content.boxes(name, classes)
            case "landmark":
                return content.landmarks(name, classes)
            case "segment":
                return content.masks(name, classes, self.exclusive)

    def put(self, images: Path, labels: Path, classes: Sequence[str], sample: Sample) -> None:
        kinds: dict[Task, type[Target]] = {"detect": Boxes, "landmark": Landmarks, "segment": Masks}
        name, (height, width) = f"{sample.id}.png", sample.image.shape
        target = require_target(sample, kinds[self.task])
        image.write_grey(images / name, sample.image)
        self.pending.setdefault(labels, []).append((name, (height, width), target))

    def close(self, labels: Path, classes: Sequence[str]) -> None:
        coco_targets.write_coco_targets(labels, classes, self.pending.pop(labels, []))


def _stated_names(labels: Path, setting: str) -> tuple[str, ...]:
    path = labels / NAMES
    if not path.is_file():
        raise DataError(
            f"{path}: expected the classes' names, one a line, found no file; write it or set "
            f"{setting}"
        )
    return yolo_txt.read_class_names(path)


def list_images(folder: Path) -> dict[str, Path]:
    """The images by stem. Raises as `list_files`."""
    return _list_files(folder, "dataset.images", *PICTURES)


def describe_no_images(folder: Path, wanted: str = ANY_KIND) -> str:
    """What to say of a folder without pictures, and of those in its subfolders."""
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    text = f"{folder}: no {wanted} directly in it"
    if not names:
        return f"{text}; correct dataset.images"
    inside = (path for name in names for path in sorted((folder / name).iterdir()))
    suffix = next((path.suffix for path in inside if path.suffix.lower() in PICTURES), ".png")
    return f"{text}; subfolders {_first_names(names)} aren't searched: use images='…/{{kind}}/{{id}}{suffix}'"


def _first_names(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_NAMES]) + (" …" if len(names) > MOST_NAMES else "")


def _list_labels(folder: Path, *suffixes: str) -> dict[str, Path]:
    return _list_files(folder, "dataset.labels", *suffixes)


def _list_files(folder: Path, key: str, *suffixes: str) -> dict[str, Path]:
    try:
        return list_files(folder, *suffixes)
    except DataError as error:
        if folder.is_dir():
            raise
        parent = folder.parent
        names = (
            sorted(path.name for path in parent.iterdir() if path.is_dir())
            if parent.is_dir()
            else []
        )
        beside = f"; {parent.name} has {_first_names(names)}" if names else ""
        raise DataError(f"{error}{beside}; {key} names the folder, or is a pattern") from error


def _pair_stems(
    folder: Path, labels: Mapping[str, Path], label: str, pair_by: re.Pattern[str] | None
) -> list[Pair]:
    """Images with their labels; DataError where either stands alone.

    Args:
        folder: of the images.
        labels: by stem.
        label: what a label is, for the error.
        pair_by: its first group is the same in the stems of an image and its label; None: the whole
            stem is.
    """
    images = list_images(folder)
    if not images:
        raise DataError(describe_no_images(folder))
    if pair_by:
        stems = {part: path.stem for part, path in _by_part(images, pair_by).items()}
        labels = {
            stems.get(part, path.stem): path for part, path in _by_part(labels, pair_by).items()
        }
    owners = {stem: stem if stem in images else _find_owner(stem, images) for stem in labels}
    for stem, owner in sorted(owners.items()):
        if owner and owner != stem:
            several = [path.name for other, path in labels.items() if owners[other] == owner]
            raise DataError(
                f"{images[owner]}: expected {label}, got {len(several)} for {images[owner].name} "
                f"({', '.join(several[:3])}); make it one file, named as the image is ({owner}), or "
                "set patterns, such as images='…/{id}.png' labels='…/{id}_*.png'"
            )
    require_pairs(images, labels, label)
    return [(stem, path, labels[stem]) for stem, path in images.items()]


def _by_part(files: Mapping[str, Path], pair_by: re.Pattern[str]) -> dict[str, Path]:
    """Files by what the pattern's first group matches in their stems.

    Raises:
        DataError: it matches nothing in a stem, or the same in two.
    """
    parts: dict[str, Path] = {}
    for stem, path in files.items():
        match = pair_by.search(stem)
        if match is None or not match.group(1):
            raise DataError(
                f"{path}: expected a match of dataset.pair_by={pair_by.pattern} in {stem!r}, "
                "found none"
            )
        other = parts.setdefault(match.group(1), path)
        if other is not path:
            raise DataError(
                f"{path}: expected one file that dataset.pair_by={pair_by.pattern} reads as "
                f"{match.group(1)!r}, got {other.name} too"
            )
    return parts


def _find_owner(stem: str, images: Mapping[str, Path]) -> str | None:
    """The image that a label of another stem seems to be of: a_1 and a (2) are a's."""
    for n, mark in enumerate(stem):
        if mark in SEPARATORS and stem[:n].rstrip() in images:
            return stem[:n].rstrip()
    return None
