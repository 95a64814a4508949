"""Rules of a layout's `write`: what it writes, it indexes and reads as it was."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from usbench.datasets import source
from usbench.datasets.check.findings import Finding
from usbench.datasets.check.target_rules import same_target
from usbench.datasets.codecs import image
from usbench.datasets.config import DatasetConfig
from usbench.datasets.dataset import Dataset
from usbench.errors import ConfigError
from usbench.types import SPLITS, Layout, Record, Sample, Target

LOSSY = (".jpg", ".jpeg")
LOSSY_GREYS = 3  # mean difference that JPEG may make
SPACING = 1e-4  # relative difference of pixel sizes that a text format may round


def check_write(
    layout: Layout, samples: Sequence[Sample], expected: Sequence[Target], root: Path
) -> list[Finding]:
    """Write samples into a new folder, index and read it.

    Args:
        layout: writes and reads.
        samples: to be written, each with a split.
        expected: the target that is to be read for each.
        root: an empty folder.

    Raises:
        Exception: whatever the layout raises.
    """
    returned = layout.write(root, samples)
    records = layout.index(root)
    faults: list[str] = []
    if list(returned) != list(records):
        faults.append("expected write to return the records of index, got others")
    if len(records) != len(samples):
        faults.append(f"expected {len(samples)} records of as many samples, got {len(records)}")
        return _as_findings(faults)
    has_splits = any(record.split is not None for record in records)
    if has_splits and _count_splits(records) != _count_splits(samples):
        got = f"{_count_splits(records)} of {_count_splits(samples)}"
        faults.append(f"expected the samples' splits, got {got}")
    matches = match_pixels(records, samples, root)
    for n, record in enumerate(records):
        if n in matches:
            faults += _compare(layout, record, samples[matches[n]], expected[matches[n]], root)
        else:
            faults.append(f"{record.id}: expected the pixels of a written sample, got others")
    return _as_findings(faults)


def _compare(
    layout: Layout, record: Record, sample: Sample, expected: Target, root: Path
) -> Iterator[str]:
    """How a record differs from the sample that was written as it."""
    if not same_target(layout.read(root, record), expected):
        yield f"{sample.id}: expected the target that was written, read another"
    if record.mm_per_px is None or sample.mm_per_px is None:
        return
    if not np.allclose(record.mm_per_px, sample.mm_per_px, rtol=SPACING):
        got = f"{record.mm_per_px} for {sample.mm_per_px}"
        yield f"{sample.id}: expected the mm_per_px that was written, read {got}"


def match_pixels(
    records: Sequence[Record], samples: Sequence[Sample], root: Path
) -> dict[int, int]:
    """Number of a record → of its sample, by pixels: a release may have names of its own."""
    left = dict(enumerate(samples))
    matches: dict[int, int] = {}
    for n, record in enumerate(records):
        pixels = image.read_grey(root / record.image).astype(int)
        apart = {
            number: np.abs(pixels - sample.image).mean()
            for number, sample in left.items()
            if sample.image.shape == pixels.shape
        }
        nearest = min(apart, key=lambda number: apart[number], default=None)
        lossy = PurePosixPath(record.image).suffix.lower() in LOSSY
        if nearest is not None and apart[nearest] <= (LOSSY_GREYS if lossy else 0):
            matches[n] = nearest
            del left[nearest]
    return matches


def samples_to_write(
    dataset: DatasetConfig, opened: Dataset, most: int
) -> tuple[list[Sample], list[Target]]:
    """Some samples as the view's layout writes them, and the view's own target of each.

    They are of every split of a run, and have their records' ids, without a split before it.

    Raises:
        ConfigError: the layout writes the targets of another view, which don't suit.
        Exception: whatever the layout raises.
    """
    shares = itertools.zip_longest(*(opened.records[split] for split in SPLITS))
    mixed = [record for row in shares for record in row if record is not None]
    chosen = sorted(mixed[:most], key=lambda record: record.id)
    targets = [opened.layout.read(opened.root, record) for record in chosen]
    drawn = _targets_to_write(dataset, opened, chosen) or targets
    released = {record.id: record.split for record in opened.indexed}
    samples = [
        Sample(
            id=record.id.removeprefix(f"{released[record.id]}/"),
            group=record.group,
            image=image.read_grey(opened.root / record.image),
            target=target,
            mm_per_px=record.mm_per_px,
            split=released[record.id] or record.split,
            attributes=record.attributes,
        )
        for record, target in zip(chosen, drawn, strict=True)
    ]
    return samples, targets


def _targets_to_write(
    dataset: DatasetConfig, opened: Dataset, records: Sequence[Record]
) -> list[Target]:
    """The targets of another view that the layout writes; [] where it writes its own view's."""
    written_as = opened.layout.written_as or opened.task
    if written_as == opened.task:
        return []
    if written_as not in dataset.views:
        text = f"the layout writes {written_as} targets, and {dataset.name} has no such view"
        raise ConfigError(text)
    try:
        other = source.build_layout(dataset, written_as, opened.phantom)
        by_image = {record.image: record for record in other.index(opened.root)}
        targets = [other.read(opened.root, by_image[record.image]) for record in records]
    except Exception as error:  # a fault of that view's
        text = f"the layout writes {written_as} targets, and that view can't be read"
        raise ConfigError(text) from error
    if other.classes != opened.classes:
        raise ConfigError(f"the layout writes {written_as} targets, whose classes are others")
    return targets


def _count_splits(items: Sequence[Record] | Sequence[Sample]) -> dict[str, int]:
    return dict(sorted(Counter(str(item.split) for item in items).items()))


def _as_findings(faults: Iterable[str]) -> list[Finding]:
    return [Finding("error", "write", fault) for fault in faults]
