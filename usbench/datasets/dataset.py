"""One view of one release: its records by split, its samples read when asked for, its hash."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from usbench.datasets import splits
from usbench.datasets.codecs import image
from usbench.datasets.config import SplitConfig, ViewConfig
from usbench.errors import ConfigError, DataError
from usbench.io.console import track
from usbench.io.files import file_sha256, write_all
from usbench.io.plain_text import has_controls
from usbench.types import (
    Boxes,
    Landmarks,
    Layout,
    Masks,
    Record,
    Sample,
    Split,
    Target,
    Task,
)


@dataclass(frozen=True)
class Dataset:
    """A view opened at a root; nothing is decoded yet."""

    name: str
    task: Task
    classes: tuple[str, ...]
    exclusive: bool
    layout: Layout
    root: Path
    records: Mapping[Split, tuple[Record, ...]]
    class_indices: tuple[int, ...] | None = None  # the layout's classes that count; None: all
    indexed: tuple[Record, ...] = ()  # as the layout lists them, before our split
    citation: str | None = None  # of the release; None: its YAML states none
    licence: str | None = None  # likewise
    phantom: bool = False  # whether its images are drawn by usbench

    @property
    def train(self) -> Samples:
        """The samples to train on, each read from disk when it is asked for."""
        return self.samples("train")

    @property
    def val(self) -> Samples:
        """The samples to choose by, such as the best epoch."""
        return self.samples("val")

    @property
    def test(self) -> Samples:
        """The samples to score on."""
        return self.samples("test")

    def with_fold(self, split: SplitConfig, fold: int | None) -> Dataset:
        """The same view divided into another fold; the release isn't indexed again.

        Args:
            split: the dataset YAML's split entry, see `splits.assign_splits`.
            fold: its number, None for the fixed split.

        Raises:
            DataError: an empty split, or a group on two sides of a split of ours.
            ConfigError: a split that isn't possible.
        """
        divided = splits.divide(self.indexed, split, fold, self.root, self.name)
        splits.require_separate_groups(divided, split, fold, self.name)
        return replace(self, records=divided)

    def narrow_to(self, classes: Sequence[str]) -> Dataset:
        """Take the same images with some of the classes only; ConfigError for an unknown one."""
        available = self.layout.classes
        for name in classes:
            if name not in available:
                raise ConfigError(
                    f"{self.name}: expected some of {', '.join(available)}, got {name!r}"
                )
        return replace(
            self,
            classes=tuple(classes),
            class_indices=tuple(map(available.index, classes)),
        )

    def samples(self, split: Split) -> Samples:
        """The split's samples, in order of id, each read from disk when it is asked for."""
        return Samples(self, self.records[split])


@dataclass(frozen=True)
class ScoringCase:
    """What scoring needs of a sample: all but its pixels."""

    id: str
    group: str
    size: tuple[int, int]  # height, width
    target: Target
    mm_per_px: tuple[float, float] | None  # (row, column)


class Samples(Sequence[Sample]):
    """Lazy: an item is decoded at each access and not kept."""

    def __init__(self, dataset: Dataset, records: Sequence[Record]) -> None:
        self.dataset, self.records = dataset, records

    @property
    def ids(self) -> list[str]:
        """The ids, without decoding."""
        return [record.id for record in self.records]

    def __len__(self) -> int:
        return len(self.records)

    @overload
    def __getitem__(self, n: int) -> Sample: ...
    @overload
    def __getitem__(self, n: slice) -> Samples: ...
    def __getitem__(self, n: int | slice) -> Sample | Samples:
        if isinstance(n, slice):
            return Samples(self.dataset, self.records[n])
        record = self.records[n]
        pixels = image.read_grey(self.dataset.root / record.image)
        return Sample(
            id=record.id,
            group=record.group,
            image=pixels,
            target=self.target(record, (pixels.shape[0], pixels.shape[1])),
            mm_per_px=record.mm_per_px,
            split=record.split,
            attributes=record.attributes,
        )

    def target(self, record: Record, size: tuple[int, int]) -> Target:
        """Read what the annotators drew, checked against the image's (height, width)."""
        root = self.dataset.root
        target = self.dataset.layout.read(root, record)
        require_fit(target, size, root / str(record.label), root / record.image)
        indices = self.dataset.class_indices
        return target if indices is None else select_classes(target, indices)

    def scoring_cases(self) -> Iterator[ScoringCase]:
        """Every sample without its pixels, in order; of an image only the header is read."""
        for record in self.records:
            size = image.read_size(self.dataset.root / record.image)
            yield ScoringCase(
                record.id, record.group, size, self.target(record, size), record.mm_per_px
            )

    def images(self) -> Iterator[NDArray[np.uint8]]:
        """The images alone, in order: what a model may see of a test set."""
        return (image.read_grey(self.dataset.root / record.image) for record in self.records)


def select_classes(target: Target, indices: Sequence[int]) -> Target:
    """Take some of a target's classes only, in that order."""
    chosen = list(indices)
    match target:
        case Boxes():
            selected = np.isin(target.labels, chosen)
            labels = list(map(chosen.index, target.labels[selected].tolist()))
            return target.select(selected, np.array(labels, np.int64))
        case Masks():
            return Masks(
                target.planes[chosen],
                known=None if target.known is None else target.known[chosen],
            )
    return Landmarks(tuple(target.paths[n] for n in chosen), target.state[chosen])


def require_fit(target: Target, size: tuple[int, int], label: Path, picture: Path) -> None:
    """Raise DataError where a mask has another size than its image, or a box lies outside it.

    Args:
        target: what was read from `label`.
        size: (height, width) of the image.
        label: for the error.
        picture: the image, for the error.
    """
    if isinstance(target, Masks) and target.planes.shape[1:] != size:
        raise DataError(
            f"{label}: expected the size of {picture.name} {size}, got {target.planes.shape[1:]}"
        )
    if isinstance(target, Boxes) and len(target.xyxy):
        height, width = size
        low, high = target.xyxy.min(axis=0), target.xyxy.max(axis=0)
        if low[0] < 0 or low[1] < 0 or high[2] > width or high[3] > height:
            raise DataError(
                f"{label}: expected boxes inside {picture.name} ({width}×{height}), got one outside"
            )


def open_view(
    name: str,
    task: Task,
    view: ViewConfig,
    layout: Layout,
    root: Path,
    split: SplitConfig,
    fold: int | None,
) -> Dataset:
    """Index a release and assign its splits.

    Args:
        name: of the dataset.
        task: the view's.
        view: the dataset YAML's entry for the task.
        layout: reads the release.
        root: where it lies.
        split: the dataset YAML's split entry, see `splits.assign_splits`.
        fold: number of the fold, None for the fixed split.

    Raises:
        DataError: a missing folder, a missing pair, a duplicate id, an empty split, or a group on
            two sides of a split of ours.
        ConfigError: a split that isn't possible.
    """
    if not root.is_dir():
        raise DataError(
            f"{root}: expected the release of {name} here, found no such folder; "
            "see its entry in the README"
        )
    indexed = index_release(layout, root)  # before `classes`, which it may set
    for label in layout.classes:
        require_name(label, f"{root}: the class")
    return Dataset(
        name, task, layout.classes, view.exclusive, layout, root, {}, indexed=indexed
    ).with_fold(split, fold)


def index_release(layout: Layout, root: Path) -> tuple[Record, ...]:
    """The records of a release, whose layout may be a user's.

    Raises:
        DataError: as the layout's `index`; or a record's id, group or file isn't a plain name.
    """
    records = tuple(layout.index(root))
    for record in records:
        require_plain_names(record, root)
    return records


def require_plain_names(record: Record, root: Path) -> None:
    """Raise DataError where a record's id, group or file isn't a plain name."""
    place = f"{root}: record {record.id!r}: the"
    require_name(record.id, f"{place} id")
    require_name(record.group, f"{place} group")
    require_name(record.image, f"{place} image")
    if record.label is not None:
        require_name(record.label, f"{place} label")


def require_name(name: object, what: str) -> None:
    """Raise DataError for a name that isn't text, is empty, or has control characters."""
    if not isinstance(name, str) or not name or has_controls(name):
        raise DataError(
            f"{what}: expected text without control characters, got {name!r}; "
            "rename it, or correct the layout"
        )


def file_fingerprint(dataset: Dataset, cache: Path) -> str:
    """sha256 over sorted (path, sha256 of its bytes, split, group) of the view's files.

    Args:
        dataset: the view.
        cache: as in `hash_files`.
    """
    hashes = hash_files(dataset, cache)
    lines = sorted(f"{name}\t{hashes[name]}\t{owner}" for owner, name in files_of(dataset))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def files_of(dataset: Dataset) -> list[tuple[str, str]]:
    """(split and group, path below the root) of each of the view's files."""
    files = [("shared\t", name) for name in dataset.layout.shared_files(dataset.root)]
    for record in itertools.chain(*dataset.records.values()):
        owner = f"{record.split}\t{record.group}"
        files += [(owner, name) for name in (record.image, record.label) if name is not None]
    return files


def hash_files(dataset: Dataset, cache: Path, anew: bool = False) -> dict[str, str]:
    """sha256 of each of the view's files, by its path below the root.

    Args:
        dataset: the view.
        cache: a JSON file of hashes by path, size and time, so that only new or changed files are
            read. Several processes may write it at once.
        anew: read every file, and correct the cache: an edit may leave size and time as they were.
    """
    hashes = load_hashes(cache)
    # many records may share one label file
    states = {name: file_state(dataset.root / name) for _, name in files_of(dataset)}
    unread = {state: name for name, state in states.items() if anew or state not in hashes}
    changed = False
    for state, name in track(unread.items(), "hashing", len(unread)):
        sha256 = file_sha256(dataset.root / name)
        changed = changed or hashes.get(state) != sha256
        hashes[state] = sha256
    if changed:
        write_all({cache: json.dumps(hashes).encode()})
    return {name: hashes[state] for name, state in states.items()}


def file_state(path: Path) -> str:
    """What changes when a file does, without reading it."""
    state = path.stat()
    return f"{path.resolve()}|{state.st_size}|{state.st_mtime_ns}"


def load_hashes(cache: Path) -> dict[str, str]:
    """The cached hashes; {} where there are none or the file is damaged."""
    try:
        hashes = json.loads(cache.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return hashes if isinstance(hashes, dict) else {}
