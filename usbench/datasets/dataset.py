"""One view of one release: its records by split, its samples read when asked for, its fingerprint."""

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
from usbench.datasets.codecs import image, replacing
from usbench.datasets.config import SplitConfig, ViewConfig
from usbench.errors import ConfigError, DataError, RunError
from usbench.io.console import track
from usbench.types import Boxes, Landmarks, Layout, Masks, Record, Sample, Split, Target, Task


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
    kept: tuple[int, ...] | None = None  # numbers of the layout's classes that count; None: all
    indexed: tuple[Record, ...] = ()  # as the layout lists them, before our split

    def with_fold(self, split: SplitConfig, fold: int) -> Dataset:
        """The same view divided into another fold; the release isn't indexed again."""
        return replace(self, records=divide(self.indexed, split, fold, self.root, self.name))

    def narrowed(self, classes: Sequence[str]) -> Dataset:
        """The same images with some of the classes only; ConfigError for one that isn't there."""
        lost = [label for label in classes if label not in self.layout.classes]
        if lost:
            raise ConfigError(
                f"{self.name}: one of {', '.join(self.layout.classes)} was wanted, found {lost[0]!r}"
            )
        kept = tuple(self.layout.classes.index(label) for label in classes)
        return replace(self, classes=tuple(classes), kept=kept)

    def samples(self, split: Split) -> Samples:
        """The split's samples, in order of id, each read from disk when it is asked for."""
        return Samples(self, self.records[split])

    def files(self) -> Iterator[tuple[Record, str]]:
        """(record, path relative to the root) of every file of the view."""
        for part in self.records.values():
            for record in part:
                yield record, record.image
                if record.label is not None:
                    yield record, record.label


@dataclass(frozen=True)
class Truth:
    """A sample without its pixels: what scoring needs of it."""

    id: str
    group: str
    size: tuple[int, int]  # height, width
    target: Target
    mm_per_px: tuple[float, float] | None


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
        record, root = self.records[n], self.dataset.root
        pixels = image.read_grey(root / record.image)
        target = self.target(record, (pixels.shape[0], pixels.shape[1]))
        return Sample(
            record.id,
            record.group,
            pixels,
            target,
            record.mm_per_px,
            split=record.split,
            attributes=record.attributes,
        )

    def target(self, record: Record, size: tuple[int, int]) -> Target:
        """What the annotators drew, checked against the image's height and width."""
        root, found = self.dataset.root, self.dataset.layout.read(self.dataset.root, record)
        check_fit(found, size, root / str(record.label), root / record.image)
        return found if self.dataset.kept is None else chosen(found, self.dataset.kept)

    def truths(self) -> Iterator[Truth]:
        """Every sample without its pixels, in order; of an image only the header is read."""
        for record in self.records:
            size = image.size(self.dataset.root / record.image)
            yield Truth(record.id, record.group, size, self.target(record, size), record.mm_per_px)

    def images(self) -> Iterator[NDArray[np.uint8]]:
        """The images alone, in order: what a model may see of a test set."""
        return (image.read_grey(self.dataset.root / record.image) for record in self.records)


def chosen(target: Target, kept: Sequence[int]) -> Target:
    """A truth with some of its classes only, in that order."""
    if isinstance(target, Boxes):
        place = {label: n for n, label in enumerate(kept)}
        own = np.array([label in place for label in target.labels.tolist()], bool)
        labels = np.array([place[label] for label in target.labels[own].tolist()], np.int64)
        return Boxes(target.xyxy[own], labels)
    which = list(kept)
    if isinstance(target, Masks):
        return Masks(
            target.planes[which], known=None if target.known is None else target.known[which]
        )
    return Landmarks(tuple(target.paths[n] for n in which), target.state[which])


def check_fit(target: Target, size: tuple[int, int], label: Path, picture: Path) -> None:
    """DataError where a mask has another size than its image, or a box lies outside it."""
    if isinstance(target, Masks) and target.planes.shape[1:] != size:
        raise DataError(
            f"{label}: the size of {picture.name} {size} was wanted, found {target.planes.shape[1:]}"
        )
    if isinstance(target, Boxes) and len(target.xyxy):
        height, width = size
        low, high = target.xyxy.min(axis=0), target.xyxy.max(axis=0)
        if low[0] < 0 or low[1] < 0 or high[2] > width or high[3] > height:
            raise DataError(
                f"{label}: boxes inside {picture.name} ({width}×{height}) were wanted, found one outside"
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
    """Index a release and divide it into train, val and test.

    Args:
        name: the dataset's, which salts the hash that splits are made by.
        task: the view's.
        view: the dataset YAML's entry for the task.
        layout: reads the release.
        root: the release's folder.
        split: the dataset YAML's split entry (see `settle`).
        fold: its number; None for the fixed split.

    Raises:
        DataError: a missing folder, a missing pair, a duplicate id, an empty split, or a group on
            two sides of a split of ours.
        ConfigError: a split that can't be.
    """
    if not root.is_dir():
        raise DataError(
            f"{root}: the release of {name} was wanted here, found no such folder; see its entry in the README"
        )
    indexed = tuple(layout.index(root))
    records = divide(indexed, split, fold, root, name)
    return Dataset(
        name, task, layout.classes, view.exclusive, layout, root, records, indexed=indexed
    )


def divide(
    indexed: Sequence[Record], split: SplitConfig, fold: int | None, root: Path, name: str
) -> dict[Split, tuple[Record, ...]]:
    """The records of a release by split. Raises as `open_view`."""
    node = split.to_mapping()
    records = settle(splits.regroup(list(indexed), split.near_duplicates), node, fold, name)
    divided = splits.divide(records, root, splits.sides(node))
    check_sides(divided, node, fold, name)
    return divided


def settle(
    records: list[Record], split: Mapping[str, Any], fold: int | None, salt: str
) -> list[Record]:
    """Who trains, chooses and tests, by the YAML's split entry.

    shares: {val, test}, of whole groups by a hash, stratified by the attribute `stratify`; with `gap`, of contiguous
    runs of the order of id instead. val_share: taken from the release's own train. folds: how many there are; a fold
    replaces all of these. test_only: every image tests. Without any, the release's own split stands.
    """
    shares, gap, stratify = split.get("shares"), split.get("gap"), split.get("stratify")
    if fold is not None:
        if not split.get("folds"):
            raise ConfigError(f"fold={fold}: {salt} has a fixed split and no folds; leave fold out")
        if gap is not None:
            return splits.runs(records, splits.run_folds(int(split["folds"]), fold), int(gap))
        return splits.k_fold(records, int(split["folds"]), fold, salt, stratify)
    if split.get("test_only"):
        return [replace(record, split="test") for record in records]
    if shares:
        check_shares(shares, records, salt)
        if gap is not None:
            return splits.runs(records, splits.run_shares(shares), int(gap))
        return splits.by_shares(records, shares, salt, stratify)
    if split.get("val_share"):
        return splits.hold_out(records, float(split["val_share"]), salt)
    return records


def check_shares(shares: Mapping[str, Any], records: Sequence[Record], name: str) -> None:
    """ConfigError for shares that aren't two numbers with something left to train, or where the release has a split."""
    values = [shares.get("val"), shares.get("test")]
    numbers = [
        float(v)
        for v in values
        if isinstance(v, (int, float)) and not isinstance(v, bool) and v > 0
    ]
    if len(numbers) < 2 or sum(numbers) >= 1 or len(shares) > 2:
        raise ConfigError(
            f"split.shares of {name}: {{val: .1, test: .2}} with a sum below 1 was wanted, found {shares}"
        )
    own = next((record for record in records if record.split is not None), None)
    if own is not None:
        raise ConfigError(
            f"split.shares of {name}: the release has a split of its own ({own.id}); leave shares out"
        )


def check_sides(
    divided: Mapping[Split, Sequence[Record]], split: Mapping[str, Any], fold: int | None, name: str
) -> None:
    """DataError where a group lies on two sides of a split of ours; a released one is taken as it is."""
    ours = fold is not None or split.get("shares")
    sides: list[tuple[Split, Split]] = [("train", "val"), ("train", "test"), ("val", "test")]
    for one, other in sides if ours else sides[:1] if split.get("val_share") else ():
        crossed = sorted(splits.crossing(divided, one, other))
        if crossed:
            raise DataError(
                f"{name}: groups on one side were wanted, found {crossed[0]!r} in {one} and {other}"
            )


def file_fingerprint(dataset: Dataset, cache: Path) -> str:
    """sha256 over sorted (path, sha256 of its bytes, split, group) of the view's files.

    cache: a JSON file of hashes by (path, size, mtime_ns), so that only new or changed files are read.
    """
    hashes = known_hashes(cache)
    files = [(f"{record.split}\t{record.group}", name) for record, name in dataset.files()]
    files += [("shared\t", name) for name in shared_files(dataset)]
    stated = [(whose, name, state_of(dataset.root / name)) for whose, name in files]
    unread = {
        state: name for _, name, state in stated if state not in hashes
    }  # many records may share one label file
    for state, name in track(unread.items(), "hashing", len(unread)) if unread else ():
        hashes[state] = hashlib.sha256((dataset.root / name).read_bytes()).hexdigest()
    if unread:
        make_folder(cache.parent)
        with replacing(
            cache
        ) as part:  # two processes may write it at once: each beside, under a name of its own
            part.write_text(json.dumps(hashes))
    lines = [f"{name}\t{hashes[state]}\t{whose}" for whose, name, state in stated]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def shared_files(dataset: Dataset) -> list[str]:
    """What a layout reads besides its records' own files (a list of classes, a table of spacings), if it says so."""
    named = getattr(dataset.layout, "shared_files", None)
    return list(named(dataset.root)) if named else []


def state_of(path: Path) -> str:
    """What changes when a file does, without reading it."""
    state = path.stat()
    return f"{path.resolve()}|{state.st_size}|{state.st_mtime_ns}"


def known_hashes(cache: Path) -> dict[str, str]:
    """The hashes kept there; {} where there are none or the file is damaged: it is only a cache."""
    try:
        known = json.loads(cache.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def make_folder(folder: Path) -> None:
    """The folder, if it isn't there yet; RunError where it can't be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"{folder}: can't be made ({error.strerror}); check the folders above and free space"
        ) from error
