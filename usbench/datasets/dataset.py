"""One view of one release: its records by split, its samples read when asked for, its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from usbench.datasets import splits
from usbench.datasets.codecs import image
from usbench.datasets.config import SplitConfig, ViewConfig
from usbench.errors import ConfigError, DataError, RunError
from usbench.io.console import track
from usbench.io.files import file_sha256, write_atomically
from usbench.types import (
    SPLITS,
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

    def with_fold(self, split: SplitConfig, fold: int) -> Dataset:
        """The same view divided into another fold; the release isn't indexed again."""
        return replace(self, records=divide(self.indexed, split, fold, self.root, self.name))

    def narrow_to(self, classes: Sequence[str]) -> Dataset:
        """Take the same images with some of the classes only; ConfigError for an unknown one."""
        available = self.layout.classes
        unknown = [name for name in classes if name not in available]
        if unknown:
            raise ConfigError(
                f"{self.name}: expected some of {', '.join(available)}, got {unknown[0]!r}"
            )
        indices = tuple(available.index(name) for name in classes)
        return replace(self, classes=tuple(classes), class_indices=indices)

    def samples(self, split: Split) -> Samples:
        """The split's samples, in order of id, each read from disk when it is asked for."""
        return Samples(self, self.records[split])

    def files(self) -> Iterator[tuple[Record, str]]:
        """(record, path relative to the root) of every file of the view."""
        for records in self.records.values():
            for record in records:
                yield record, record.image
                if record.label is not None:
                    yield record, record.label


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
            target = self.target(record, size)
            yield ScoringCase(record.id, record.group, size, target, record.mm_per_px)

    def images(self) -> Iterator[NDArray[np.uint8]]:
        """The images alone, in order: what a model may see of a test set."""
        return (image.read_grey(self.dataset.root / record.image) for record in self.records)


def select_classes(target: Target, indices: Sequence[int]) -> Target:
    """Take some of a target's classes only, in that order."""
    if isinstance(target, Boxes):
        new_label = {label: n for n, label in enumerate(indices)}
        selected = np.isin(target.labels, list(indices))
        labels = [new_label[label] for label in target.labels[selected].tolist()]
        return Boxes(target.xyxy[selected], np.array(labels, np.int64))
    chosen = list(indices)
    if isinstance(target, Masks):
        known = None if target.known is None else target.known[chosen]
        return Masks(target.planes[chosen], known=known)
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
        low = target.xyxy.min(axis=0)
        high = target.xyxy.max(axis=0)
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
        split: the dataset YAML's split entry, see `assign_splits`.
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
    indexed = tuple(layout.index(root))
    records = divide(indexed, split, fold, root, name)
    return Dataset(
        name, task, layout.classes, view.exclusive, layout, root, records, indexed=indexed
    )


def divide(
    indexed: Sequence[Record], split: SplitConfig, fold: int | None, root: Path, name: str
) -> dict[Split, tuple[Record, ...]]:
    """Divide the records of a release into train, val and test. Raises as `open_view`."""
    records = splits.regroup(list(indexed), split.near_duplicates)
    records = assign_splits(records, split, fold, name)
    divided = splits.divide_by_split(records, root, required_splits(split))
    require_separate_groups(divided, split, fold, name)
    return divided


def assign_splits(
    records: list[Record], split: SplitConfig, fold: int | None, name: str
) -> list[Record]:
    """Assign who trains, chooses and tests, by the YAML's split entry.

    Keys of the entry; without any, the release's own split stands:
        shares: {val, test} of whole groups, by a hash, stratified by the attribute `stratify`; with
            `gap`, of contiguous runs of the order of id instead.
        val_share: what is taken from the release's own train.
        folds: how many there are; a fold replaces all of these.
        test_only: every image tests.

    Args:
        records: of the release.
        split: that entry.
        fold: number of the fold, or None.
        name: of the dataset, which also salts the hash.
    """
    shares, gap, folds = split.shares, split.gap, split.folds
    if fold is not None:
        if not folds:
            raise ConfigError(f"fold={fold}: {name} has a fixed split and no folds; leave fold out")
        if gap is not None:
            return splits.split_runs(records, splits.runs_by_fold(folds, fold), gap)
        return splits.split_k_fold(records, folds, fold, name, split.stratify)
    if split.test_only:
        return [replace(record, split="test") for record in records]
    if shares:
        require_shares(shares, records, name)
        if gap is not None:
            return splits.split_runs(records, splits.runs_by_shares(shares), gap)
        return splits.split_by_shares(records, shares, name, split.stratify)
    if split.val_share:
        return splits.hold_out(records, split.val_share, name)
    return records


def required_splits(split: SplitConfig) -> tuple[Split, ...]:
    """The splits that need images, by the YAML's split entry: all three, or test alone."""
    return ("test",) if split.test_only else SPLITS


def require_shares(shares: Mapping[str, Any], records: Sequence[Record], name: str) -> None:
    """Raise ConfigError for shares that leave no training data, or for a release with a split."""
    numbers = []
    for value in (shares.get("val"), shares.get("test")):
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
            numbers.append(value)
    if len(numbers) < 2 or sum(numbers) >= 1 or len(shares) > 2:
        raise ConfigError(
            f"split.shares of {name}: expected {{val: .1, test: .2}} with a sum below 1, "
            f"got {shares}"
        )
    released = next((record for record in records if record.split is not None), None)
    if released is not None:
        raise ConfigError(
            f"split.shares of {name}: the release has a split of its own ({released.id}); "
            "leave shares out"
        )


def require_separate_groups(
    divided: Mapping[Split, Sequence[Record]], split: SplitConfig, fold: int | None, name: str
) -> None:
    """Raise DataError where a group lies on two sides of a split of ours.

    A released split is taken as it is.
    """
    sides: list[tuple[Split, Split]] = []
    if fold is not None or split.shares:
        sides = [("train", "val"), ("train", "test"), ("val", "test")]
    elif split.val_share:
        sides = [("train", "val")]
    for first, second in sides:
        crossing = sorted(splits.find_crossing_groups(divided, first, second))
        if crossing:
            raise DataError(
                f"{name}: expected every group in one split, "
                f"got {crossing[0]!r} in {first} and {second}"
            )


def file_fingerprint(dataset: Dataset, cache: Path) -> str:
    """sha256 over sorted (path, sha256 of its bytes, split, group) of the view's files.

    Args:
        dataset: the view.
        cache: a JSON file of hashes by path, size and time, so that only new or changed files are
            read. Several processes may write it at once.
    """
    hashes = load_hashes(cache)
    files = [(f"{record.split}\t{record.group}", name) for record, name in dataset.files()]
    files += [("shared\t", name) for name in dataset.layout.shared_files(dataset.root)]
    states = {name: file_state(dataset.root / name) for _, name in files}
    # many records may share one label file
    unread = {state: name for name, state in states.items() if state not in hashes}
    if unread:
        for state, name in track(unread.items(), "hashing", len(unread)):
            hashes[state] = file_sha256(dataset.root / name)
        make_folder(cache.parent)
        write_atomically(cache, json.dumps(hashes).encode())
    lines = sorted(f"{name}\t{hashes[states[name]]}\t{owner}" for owner, name in files)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def file_state(path: Path) -> str:
    """What changes when a file does, without reading it."""
    state = path.stat()
    return f"{path.resolve()}|{state.st_size}|{state.st_mtime_ns}"


def load_hashes(cache: Path) -> dict[str, str]:
    """The cached hashes; {} where there are none or the file is damaged."""
    try:
        hashes = json.loads(cache.read_text())
    except (OSError, ValueError):
        return {}
    return hashes if isinstance(hashes, dict) else {}


def make_folder(folder: Path) -> None:
    """Make a folder, if it isn't there yet; RunError where that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"{folder}: can't be made ({error.strerror}); check the folders above and free space"
        ) from error
