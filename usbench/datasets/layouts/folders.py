"""What the layouts share: listing and pairing files, and reading an annotation file only once."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from usbench.datasets.codecs import image
from usbench.errors import DataError
from usbench.io.plain_text import has_controls
from usbench.types import Record, Sample, Split, Target

Kind = TypeVar("Kind", bound=Target)
Content = TypeVar("Content")


@dataclass(frozen=True)
class FilePairs:
    """PNG images and their labels: files of one stem, in two folders per split.

    A record's id is its split and its stem, since a release may reuse a name.
    """

    folders: Mapping[Split, tuple[str, str]]  # split → (images, labels), relative to the root
    group: re.Pattern[str] | None = None  # its first match in the stem, else the id, is the group
    suffix: str = ".png"  # of the labels

    def index(self, root: Path, lone_labels: int = 0) -> list[Record]:
        """List the images that have a label, in order of id.

        Args:
            root: the release's folder.
            lone_labels: how many labels without an image the release is known to have.

        Raises:
            DataError: a folder isn't there, an image has no label, one more label has no image.
        """
        records: list[Record] = []
        for split, (image_folder, label_folder) in self.folders.items():
            images = list_files(root / image_folder, ".png")
            labels = list_files(root / label_folder, self.suffix)
            lone_labels -= require_pairs(images, labels, known_defects=lone_labels)
            records += [self._record(root, split, images[stem], labels[stem]) for stem in images]
        return sort_unique(records)

    def write(
        self, root: Path, samples: Iterable[Sample], write_label: Callable[[Path, Sample], None]
    ) -> list[Record]:
        """Write each sample's image, and its label by `write_label(path, sample)`.

        Raises:
            DataError: a sample without a split, of another split or of an id that comes twice.
        """
        written: list[Record] = []
        for folder in itertools.chain(*self.folders.values()):
            (root / folder).mkdir(parents=True, exist_ok=True)
        for sample in samples:
            split = require_split(sample, self.folders)
            images, labels = self.folders[split]
            picture = root / images / f"{sample.id}.png"
            label = root / labels / f"{sample.id}{self.suffix}"
            write_label(label, sample)
            image.write_grey(picture, sample.image)
            written.append(self._record(root, split, picture, label))
        return sort_unique(written)

    def _record(self, root: Path, split: Split, picture: Path, label: Path) -> Record:
        match = self.group.search(picture.stem) if self.group else None
        identity = f"{split}/{picture.stem}"
        paths = relative_paths(root, picture, label)
        return Record(identity, match.group(1) if match else identity, *paths, split)


class ParsedFiles(Generic[Content]):
    """Annotation files, each parsed again only when its size or time has changed."""

    def __init__(self, parse: Callable[[Path], Content]) -> None:
        self.contents: dict[Path, Content] = {}
        self._parse = parse
        self._states: dict[Path, tuple[int, int] | None] = {}

    def read(self, path: Path) -> Content:
        """The file's content; `parse` says what is wrong with a missing file."""
        facts = path.stat() if path.is_file() else None
        state = (facts.st_size, facts.st_mtime_ns) if facts else None
        if path not in self.contents or self._states[path] != state:
            self.contents[path] = self._parse(path)
            self._states[path] = state
        return self.contents[path]


def list_files(folder: Path, *suffixes: str) -> dict[str, Path]:
    """Files of these suffixes by stem, sorted; hidden ones (._a.png) aren't the release's.

    Raises:
        DataError: the folder isn't there, two files share a stem, or a name isn't UTF-8 or has
            control characters.
    """
    if not folder.is_dir():
        got = "a file" if folder.exists() else "no such folder"
        raise DataError(f"{folder}: expected a folder of {' or '.join(suffixes)} files, got {got}")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in suffixes or path.name.startswith(".") or not path.is_file():
            continue
        if has_controls(path.name):
            raise DataError(
                f"{folder}: expected file names in UTF-8 without control characters, got "
                f"{path.name!r}; rename it"
            )
        if path.stem in files:  # a.png and a.PNG
            raise DataError(
                f"{path}: expected an id of its own, got {path.stem!r} twice (also "
                f"{files[path.stem].name}); remove one"
            )
        files[path.stem] = path
    return files


def require_pairs(
    images: Mapping[str, Path],
    labels: Mapping[str, Path],
    label: str = "a label",
    known_defects: int = 0,
) -> int:
    """The number of labels without an image.

    Args:
        images: by stem.
        labels: by stem.
        label: what a label is, for the error.
        known_defects: how many labels without an image the release is known to have.

    Raises:
        DataError: an image without its label, or one more label without an image.
    """
    lone = sorted(images.keys() - labels.keys())
    if lone:
        raise DataError(
            f"{images[lone[0]]}: expected {label} of the same name, found none "
            f"({len(lone)} of {len(images)} images lack one)"
        )
    spare = sorted(labels.keys() - images.keys())
    if len(spare) > known_defects:
        known = f"; {known_defects} are a known defect of the release" if known_defects else ""
        raise DataError(
            f"{labels[spare[0]]}: expected an image of the same name, found none "
            f"({len(spare)} such labels{known})"
        )
    return len(spare)


def relative_paths(root: Path, picture: Path, label: Path) -> tuple[str, str]:
    """(image, label) as a record has them."""
    return picture.relative_to(root).as_posix(), label.relative_to(root).as_posix()


def sort_unique(records: Iterable[Record]) -> list[Record]:
    """Records in order of id; DataError for an id that comes twice."""
    ordered = sorted(records, key=lambda record: record.id)
    for before, after in itertools.pairwise(ordered):
        if before.id == after.id:
            raise DataError(
                f"{after.image}: expected an id of its own, got {after.id!r} twice (also "
                f"{before.image})"
            )
    return ordered


def require_split(sample: Sample, splits: Iterable[Split]) -> Split:
    """The split of a sample to be written; DataError where it has none of these."""
    if sample.split is None:
        raise DataError(f"sample {sample.id}: expected a split (train, val or test), got none")
    if sample.split not in splits:
        raise DataError(
            f"sample {sample.id}: expected a split of {', '.join(sorted(splits))}, got "
            f"{sample.split}"
        )
    return sample.split


def require_target(sample: Sample, kind: type[Kind]) -> Kind:
    """The target of a sample to be written; DataError where it is of another kind."""
    if not isinstance(sample.target, kind):
        raise DataError(
            f"sample {sample.id}: expected {kind.__name__.lower()}, "
            f"got {type(sample.target).__name__}"
        )
    return sample.target
