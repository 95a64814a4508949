"""A user's own images with labels of a common kind (see `folder_labels`), as the configuration
describes them.

Images and labels lie in one folder each, or in one per split. Without folders per split, text files
may name each split's images; without either, records have no split and the YAML's `split.shares`
rules.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from usbench.datasets.codecs.readers import read_lines
from usbench.datasets.layouts.folder_labels import (
    NAMES,
    PICTURES,
    CocoFile,
    Labels,
    MaskFiles,
    YoloFiles,
)
from usbench.datasets.layouts.folders import list_files, require_split, sort_unique
from usbench.errors import ConfigError, DataError
from usbench.io.files import write_atomically
from usbench.types import SPLITS, Layout, Record, Sample, Split, Target, Task

Places = str | Mapping[Split, str]  # one path relative to the root, or one per split
Part = tuple[Split | None, str, str]  # split, images, labels


class Folder(Layout):
    """See usbench.types.Layout."""

    name = "folder"
    version = 1

    def __init__(
        self,
        classes: Sequence[str],
        format: str,
        images: Places,
        labels: Places,
        task: Task,
        exclusive: bool = True,
        lists: Mapping[Split, str] | None = None,
        group: str | None = None,
        mm_per_px: Sequence[float] | None = None,
        values: Mapping[str, int] | None = None,
        min_pixels: int = 20,
    ) -> None:
        """Check the settings.

        Args:
            classes: () where the labels name them.
            format: masks, coco or yolo.
            images: folder of images, or one per split.
            labels: folder or file of labels, or one per split.
            task: the view's.
            exclusive: whether classes share no pixel.
            lists: split → text file of image names.
            group: a regular expression; its first group in the image's name is the record's group.
            mm_per_px: (row, column) of every image.
            values: class → value in a mask.
            min_pixels: the smallest component of a mask that is a box.

        Raises:
            ConfigError: settings that aren't possible.
        """
        self.classes, self.format = tuple(classes), format
        self.labels = _labels(format, task, exclusive, values, min_pixels)
        self.written_as = self.labels.written_as
        self.parts = _parts(images, labels)
        self.lists = dict(lists or {})
        if self.lists:
            _require_splits("lists", self.lists)
        if self.lists and self.parts[0][0] is not None:
            raise ConfigError(
                "dataset.lists: folders per split are set too; leave lists or the folders per "
                "split out"
            )
        self.group = _group(group)
        self.mm_per_px = _spacing(mm_per_px)

    def index(self, root: Path) -> list[Record]:
        """See usbench.types.Layout."""
        if not self.classes:
            stated = [
                name for _, _, labels in self.parts for name in self.labels.names(root / labels)
            ]
            self.classes = tuple(dict.fromkeys(stated))
        records = []
        for split, images, labels in self.parts:
            for name, picture, label in self.labels.pairs(
                root / images, root / labels, self.classes
            ):
                records.append(self.record(root, split, name, picture, label))
        self._check_images(root, records)
        return sort_unique(self._divided(root, records) if self.lists else records)

    def record(
        self, root: Path, split: Split | None, name: str, picture: Path, label: Path
    ) -> Record:
        """One record.

        Its id is its name, after its split where splits have folders of their own.
        """
        match = self.group.search(name) if self.group else None
        if self.group and (match is None or not match.group(1)):
            raise DataError(
                f"{picture}: expected a match of dataset.group={self.group.pattern} in "
                f"{name!r}, found none"
            )
        identity = f"{split}/{name}" if split else name
        group = match.group(1) if match else identity
        paths = picture.relative_to(root).as_posix(), label.relative_to(root).as_posix()
        return Record(identity, group, *paths, split, self.mm_per_px)

    def shared_files(self, root: Path) -> list[str]:
        """What the labels depend on besides their own files, relative to the root."""
        if self.format == "coco":
            return []
        paths = [(PurePosixPath(labels) / NAMES).as_posix() for _, _, labels in self.parts]
        return [path for path in paths if (root / path).is_file()]

    def read(self, root: Path, record: Record) -> Target:
        """See usbench.types.Layout."""
        path = PurePosixPath(record.image)
        folders = [PurePosixPath(images) for _, images, _ in self.parts]
        containing = [folder for folder in folders if path.is_relative_to(folder)]
        innermost = max(containing, key=lambda folder: len(folder.parts))
        name = path.relative_to(innermost).as_posix()
        return self.labels.read(name, root / record.image, root / str(record.label), self.classes)

    def write(self, root: Path, samples: Iterable[Sample]) -> list[Record]:
        """See usbench.types.Layout. With splits by rule a sample's own split isn't kept."""
        listed: dict[Split, list[str]] = {split: [] for split in self.lists}
        for _, images, labels in self.parts:
            folder = (root / labels).parent if self.format == "coco" else root / labels
            (root / images).mkdir(parents=True, exist_ok=True)
            folder.mkdir(parents=True, exist_ok=True)
        for sample in samples:
            images, labels = self._place(sample)
            self.labels.put(root / images, root / labels, self.classes, sample)
            if self.lists:
                listed[require_split(sample.id, sample.split)].append(sample.id)
        for labels in dict.fromkeys(labels for _, _, labels in self.parts):
            self.labels.close(root / labels, self.classes)
        for split, names in listed.items():
            path = root / self.lists[split]
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, "".join(f"{name}\n" for name in names).encode())
        return self.index(root)

    def _place(self, sample: Sample) -> tuple[str, str]:
        """(images, labels) that a sample is written to.

        DataError for a split that there is no place for.
        """
        places = {split: (images, labels) for split, images, labels in self.parts}
        splits = list(self.lists or places)
        if None in splits:
            return places[None]
        split = require_split(sample.id, sample.split)
        if split not in splits:
            raise DataError(
                f"sample {sample.id}: expected one of {', '.join(map(str, splits))}, got {split}"
            )
        return places[None if self.lists else split]

    def _check_images(self, root: Path, records: Sequence[Record]) -> None:
        """DataError for an image of two splits, and for one in a folder that no label knows."""
        owners: dict[str, Record] = {}
        for record in records:
            if record.image in owners:
                both = f"{owners[record.image].id} and {record.id}"
                raise DataError(
                    f"{root / record.image}: expected one split, got it as {both}; take it out of "
                    "one"
                )
            owners[record.image] = record
        for folder in dict.fromkeys(images for _, images, _ in self.parts):
            for path in list_files(root / folder, *PICTURES).values():
                if path.relative_to(root).as_posix() not in owners:
                    raise DataError(
                        f"{path}: expected a label for every image in the folder, found none; "
                        "add it (also for an image without objects) or take the image out"
                    )

    def _listed(self, root: Path) -> Iterator[tuple[Split, str, str]]:
        """(split, where it stands, image's name) of every line of the lists."""
        for split, name in self.lists.items():
            for number, line in enumerate(
                read_lines(root / name, "image names, one per line"), start=1
            ):
                if line.strip():
                    yield split, f"{root / name}: line {number}", line.strip().removeprefix("./")

    def _divided(self, root: Path, records: Sequence[Record]) -> list[Record]:
        """The records with the lists' splits.

        DataError for a name that isn't there, comes twice or is missing.
        """
        folder = PurePosixPath(self.parts[0][1])
        known: dict[str, Record] = {}
        for record in records:
            path = PurePosixPath(record.image)
            known.update(
                {
                    record.id: record,
                    path.relative_to(folder).as_posix(): record,
                    record.image: record,
                }
            )
        first: dict[str, str] = {}  # id → where it is listed
        found: list[Record] = []
        for split, where, name in self._listed(root):
            if name not in known:
                raise DataError(
                    f"{where}: expected the name of an image in {root / folder}, got {name!r}"
                )
            record = known[name]
            if record.id in first:
                raise DataError(
                    f"{where}: expected every image once, got {name!r} as in {first[record.id]}"
                )
            first[record.id] = where
            found.append(replace(record, split=split))
        left = [record for record in records if record.id not in first]
        if left:
            names = ", ".join(self.lists.values())
            raise DataError(
                f"{root / left[0].image}: expected a line in one of {names}, found none "
                f"({len(left)} such images); "
                "list it or take it out of the folder"
            )
        return found


def _labels(
    format: str, task: Task, exclusive: bool, values: Mapping[str, int] | None, min_pixels: int
) -> Labels:
    if values is not None and not isinstance(values, Mapping):
        raise ConfigError(
            f"dataset.values={values}: expected class: value, such as {{lesion: 255}}"
        )
    if values and format != "masks":
        raise ConfigError(
            f"dataset.values: values are those of masks, not of format={format}; leave them out"
        )
    if format == "masks":
        return MaskFiles(task, values, min_pixels)
    if format == "yolo":
        return YoloFiles(task)
    if format == "coco":
        return CocoFile(task, exclusive and task == "segment")
    raise ConfigError(f"dataset.format={format}: expected masks, coco or yolo")


def _parts(images: Places, labels: Places) -> list[Part]:
    """(split, images, labels), split None where neither has a folder per split.

    Raises:
        ConfigError: a path leaves the release, or images and labels have other splits.
    """
    for key, places in (("images", images), ("labels", labels)):
        for path in _paths(key, places):
            inside = isinstance(path, str) and path and not Path(path).is_absolute()
            if not inside or ".." in Path(path).parts:
                raise ConfigError(
                    f"dataset.{key}={path}: expected a path below dataset.root, such as {key}"
                )
    if isinstance(images, str) and isinstance(labels, str):
        return [(None, images, labels)]
    splits = [set(places) for places in (images, labels) if not isinstance(places, str)]
    if splits[0] != splits[-1]:
        raise ConfigError(
            f"dataset.images, dataset.labels: expected the same splits, got {images} and {labels}"
        )
    parts: list[Part] = []
    for split in SPLITS:
        if split in splits[0]:
            image_folder = images if isinstance(images, str) else images[split]
            parts.append(
                (split, image_folder, labels if isinstance(labels, str) else labels[split])
            )
    return parts


def _paths(key: str, places: Places) -> list[str]:
    return [places] if isinstance(places, str) else list(_require_splits(key, places).values())


def _require_splits(key: str, places: object) -> Mapping[Split, str]:
    if not isinstance(places, Mapping) or not places or not set(places) <= set(SPLITS):
        raise ConfigError(
            f"dataset.{key}={places}: expected a path below dataset.root, or one per split"
        )
    return places


def _group(pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(
            f"dataset.group={pattern}: expected a regular expression ({error})"
        ) from error
    if not compiled.groups:
        raise ConfigError(
            f"dataset.group={pattern}: expected brackets around what names the group, as in ^(.+?)_"
        )
    return compiled


def _spacing(mm_per_px: Sequence[float] | None) -> tuple[float, float] | None:
    if mm_per_px is None:
        return None
    values = list(mm_per_px) if isinstance(mm_per_px, (list, tuple)) else []
    if len(values) != 2 or not all(map(_is_positive, values)):
        raise ConfigError(
            f"dataset.mm_per_px={mm_per_px}: expected [row, column] in mm per px, such as "
            "[0.05, 0.05]"
        )
    return float(values[0]), float(values[1])


def _is_positive(value: object) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value) and value > 0  # type: ignore[arg-type, operator]
