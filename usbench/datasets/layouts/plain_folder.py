"""A user's own images with labels of a common kind (see `folder_labels`), as the configuration
describes them.

Images and labels lie in one folder each, or in one per split. Without folders per split, text files
may name each split's images; without either, records have no split and the YAML's `split.shares`
rules.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from usbench.datasets.codecs.readers import is_number, read_lines
from usbench.datasets.layouts.folder_labels import NAMES, list_images, make_labels
from usbench.datasets.layouts.folders import (
    relative_paths,
    require_split,
    sort_unique,
)
from usbench.errors import ConfigError, DataError
from usbench.io.files import write_atomically
from usbench.types import SPLITS, Layout, Record, Sample, Split, Target, Task

Places = str | Mapping[Split, str]  # one path relative to the root, or one per split
Part = tuple[Split | None, str, str]  # split, images, labels


class PlainFolder(Layout):
    """See usbench.types.Layout."""

    def __init__(
        self,
        classes: Sequence[str],
        format: str,
        images: Places,
        labels: Places | Mapping[str, str],
        task: Task,
        exclusive: bool,
        lists: Mapping[Split, str] | None,
        group: re.Pattern[str] | None,
        mm_per_px: tuple[float, float] | None,
        values: Mapping[str, int] | None,
        min_pixels: int,
        pair_by: re.Pattern[str] | None,
    ) -> None:
        """Check the settings: those of `Folder`, the expressions compiled.

        Raises:
            ConfigError: settings that aren't possible.
        """
        self.classes, self.format = tuple(classes), format
        self.labels = make_labels(format, task, exclusive, values, min_pixels, pair_by)
        self.written_as = self.labels.written_as
        self.parts = _pair_places(images, labels)
        if format == "masks":
            require_two_folders(self.parts)
        self.lists = dict(_require_splits("lists", lists)) if lists else {}
        if self.lists and self.parts[0][0] is not None:
            raise ConfigError(
                "dataset.lists: folders per split are set too; leave lists or the folders per "
                "split out"
            )
        self.group, self.mm_per_px = group, mm_per_px

    def index(self, root: Path) -> list[Record]:
        """See usbench.types.Layout."""
        if not self.classes:
            names = (self.labels.names(root / labels) for _, _, labels in self.parts)
            self.classes = tuple(dict.fromkeys(itertools.chain.from_iterable(names)))
        records: list[Record] = []
        for split, images, labels in self.parts:
            records += [
                self._record(root, split, *pair)
                for pair in self.labels.pairs(root / images, root / labels, self.classes)
            ]
        self._check_images(root, records)
        return sort_unique(self._divide_by_lists(root, records) if self.lists else records)

    def _record(
        self, root: Path, split: Split | None, name: str, picture: Path, label: Path
    ) -> Record:
        """One record.

        Its id is its name, after its split where splits have folders of their own.
        """
        identity = group = f"{split}/{name}" if split else name
        if self.group:
            group = require_group(self.group, name, picture)
        return Record(identity, group, *relative_paths(root, picture, label), split, self.mm_per_px)

    def shared_files(self, root: Path) -> list[str]:
        """What the labels depend on besides their own files, relative to the root."""
        paths = [f"{PurePosixPath(labels)}/{NAMES}" for _, _, labels in self.parts]
        return [path for path in paths if (root / path).is_file()]

    def oddities(self) -> dict[str, int]:
        """See usbench.types.Layout."""
        return self.labels.oddities()

    def mask_files(self, root: Path, record: Record) -> list[str]:
        """The file of a record's mask, relative to the root."""
        return [str(record.label)]

    def read(self, root: Path, record: Record) -> Target:
        """See usbench.types.Layout."""
        path = PurePosixPath(record.image)
        folders = [images for _, images, _ in self.parts if path.is_relative_to(images)]
        # Folders of splits may lie in each other: the image is of the innermost.
        name = path.relative_to(max(folders, key=len)).as_posix()
        return self.labels.read(name, root / record.image, root / str(record.label), self.classes)

    def write(self, root: Path, samples: Iterable[Sample]) -> list[Record]:
        """See usbench.types.Layout. With splits by rule a sample's own split isn't kept."""
        listed: dict[Split, str] = dict.fromkeys(self.lists, "")
        places = {split: (root / images, root / labels) for split, images, labels in self.parts}
        for images, labels in places.values():
            images.mkdir(parents=True, exist_ok=True)
            (labels.parent if self.format == "coco" else labels).mkdir(parents=True, exist_ok=True)
        splits = self.lists or [split for split in places if split]
        for sample in samples:
            split = require_split(sample, splits) if splits else None
            self.labels.put(*places[None if self.lists else split], self.classes, sample)
            if split in listed:
                listed[split] += f"{sample.id}\n"
        for labels in dict.fromkeys(labels for _, labels in places.values()):
            self.labels.close(labels, self.classes)
        for split, names in listed.items():
            path = root / self.lists[split]
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, names)
        return self.index(root)

    def _check_images(self, root: Path, records: Sequence[Record]) -> None:
        """DataError for an image of two splits, and for one in a folder that no label knows."""
        owners: dict[Path, Record] = {}
        for record in records:
            owner = owners.setdefault(root / record.image, record)
            if owner is not record:
                raise DataError(
                    f"{root / record.image}: expected one split, got it as {owner.id} and "
                    f"{record.id}; take it out of one"
                )
        for folder in dict.fromkeys(images for _, images, _ in self.parts):
            for path in list_images(root / folder).values():
                if path not in owners:
                    raise DataError(
                        f"{path}: expected a label for every image in the folder, found none; "
                        "add it (also for an image without objects) or take the image out"
                    )

    def _divide_by_lists(self, root: Path, records: Sequence[Record]) -> list[Record]:
        """The records with the lists' splits.

        DataError for a name that isn't there, comes twice or is missing.
        """
        folder = root / self.parts[0][1]
        by_name: dict[str, Record] = {}
        for record in records:
            name = (root / record.image).relative_to(folder).as_posix()
            by_name |= dict.fromkeys((record.id, name, record.image), record)
        lines: dict[str, str] = {}  # id → where it is listed
        divided: list[Record] = []
        for split, file in self.lists.items():
            names = read_lines(root / file, "image names, one per line")
            for number, name in enumerate(map(str.strip, names), start=1):
                if not name:
                    continue
                where = f"{root / file}: line {number}"
                listed = by_name.get(name.removeprefix("./"))
                if listed is None:
                    raise DataError(
                        f"{where}: expected the name of an image in {folder}, got {name!r}"
                    )
                if listed.id in lines:
                    raise DataError(
                        f"{where}: expected every image once, got {name!r} as in {lines[listed.id]}"
                    )
                lines[listed.id] = where
                divided.append(replace(listed, split=split))
        unlisted = [record for record in records if record.id not in lines]
        if unlisted:
            raise DataError(
                f"{root / unlisted[0].image}: expected a line in one of "
                f"{', '.join(self.lists.values())}, found none ({len(unlisted)} such images); "
                "list it or take it out of the folder"
            )
        return divided


def _pair_places(images: Places, labels: Places | Mapping[str, str]) -> list[Part]:
    """(split, images, labels), split None where neither has a folder per split.

    Raises:
        ConfigError: a path leaves the release, or images and labels have other splits.
    """
    image_folders, label_places = (
        places_by_split("images", images),
        places_by_split("labels", labels),
    )
    splits = (image_folders.keys() | label_places.keys()) - {None} or {None}
    for places in (image_folders, label_places):
        if places.keys() not in (splits, {None}):
            raise ConfigError(
                "dataset.images, dataset.labels: expected the same splits, got "
                f"{images} and {labels}"
            )
    return [
        (
            split,
            image_folders.get(split) or image_folders[None],
            label_places.get(split) or label_places[None],
        )
        for split in (None, *SPLITS)
        if split in splits
    ]


def require_two_folders(parts: Sequence[Part]) -> None:
    """ConfigError where images and masks are files of one name in one folder."""
    for _, images, labels in parts:
        if PurePosixPath(images) == PurePosixPath(labels):
            raise ConfigError(
                f"dataset.images={images}, dataset.labels={labels}: image and mask are the same "
                "file: give a suffix, such as images='…/{id}.png' labels='…/{id}_mask.png'"
            )


def places_by_split(key: str, places: Places | Mapping[str, str]) -> dict[Split | None, str]:
    """The path of each split, or the only one by None; ConfigError where it isn't below the root."""
    by_split: dict[Split | None, str] = (
        {None: places} if isinstance(places, str) else dict(_require_splits(key, places).items())
    )
    return {split: require_below_root(key, path) for split, path in by_split.items()}


def require_below_root(key: str, path: object) -> str:
    """A path of the setting of this key; ConfigError where it leaves the root."""
    if (
        not isinstance(path, str)
        or not path
        or Path(path).is_absolute()
        or ".." in Path(path).parts
    ):
        raise ConfigError(
            f"dataset.{key}={path}: expected a path below dataset.root, such as {key}"
        )
    return path


def require_group(group: re.Pattern[str], name: str, picture: Path) -> str:
    """The group that an image's name tells; DataError where it tells none."""
    match = group.search(name)
    if match is None or not match.group(1):
        raise DataError(
            f"{picture}: expected a match of dataset.group={group.pattern} in {name!r}, found none"
        )
    return match.group(1)


def _require_splits(key: str, places: object) -> Mapping[Split, str]:
    if not isinstance(places, Mapping) or not places or not set(places) <= set(SPLITS):
        raise ConfigError(
            f"dataset.{key}={places}: expected a path below dataset.root, or one per split"
        )
    return places


def compile_expression(key: str, pattern: str) -> re.Pattern[str]:
    """The regular expression of a key. Raises ConfigError where it is none, or has no group."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(
            f"dataset.{key}={pattern}: expected a regular expression ({error})"
        ) from error
    if not compiled.groups:
        raise ConfigError(
            f"dataset.{key}={pattern}: expected brackets around the part that counts, as in ^(.+?)_"
        )
    return compiled


def check_spacing(mm_per_px: Sequence[float]) -> tuple[float, float]:
    """The setting `mm_per_px`; ConfigError where it isn't two sides of a pixel."""
    values = list(mm_per_px) if isinstance(mm_per_px, (list, tuple)) else []
    if [is_number(value, sys.float_info.min, sys.float_info.max) for value in values] != [True] * 2:
        raise ConfigError(
            f"dataset.mm_per_px={mm_per_px}: expected [row, column] in mm per px, such as "
            "[0.05, 0.05]"
        )
    return float(values[0]), float(values[1])
