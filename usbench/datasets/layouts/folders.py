"""What the layouts share: pairing images with labels, and writing in a release's folders."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from pathlib import Path

from usbench.errors import DataError
from usbench.types import Record, Split


def list_files(folder: Path, *suffixes: str) -> dict[str, Path]:
    """Files of these suffixes by stem, sorted; hidden ones (._a.png) aren't the release's.

    Raises:
        DataError: the folder isn't there or two files share a stem.
    """
    if not folder.is_dir():
        kind = " or ".join(suffixes)
        raise DataError(
            f"{folder}: expected a folder of {kind} files, found none; see the README on how to "
            "get it"
        )
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in suffixes or path.name.startswith(".") or not path.is_file():
            continue
        if path.stem in found:  # a.png and a.PNG
            raise DataError(
                f"{path}: expected an id of its own, got {path.stem!r} twice (also "
                f"{found[path.stem].name}); "
                "remove one"
            )
        found[path.stem] = path
    return found


def pair_files(
    root: Path,
    split: Split,
    images: dict[str, Path],
    labels: dict[str, Path],
    group: re.Pattern[str] | None = None,
    lone_labels: int = 0,
) -> list[Record]:
    """Records of the stems that have both files.

    group: its first match in the stem names the group, else the image is its own. lone_labels: how
    many labels without an image the release is known to have.

    Raises:
        DataError: an image without its label, or for one lone label more.
    """
    lone = sorted(images.keys() - labels.keys())
    if lone:
        raise DataError(
            f"{images[lone[0]]}: expected a label of the same name, found none ({len(lone)} such "
            "images)"
        )
    left = sorted(labels.keys() - images.keys())
    if len(left) > lone_labels:
        raise DataError(
            f"{labels[left[0]]}: expected an image of the same name, found none "
            f"({len(left)} such labels; {lone_labels} are a known defect of the release)"
        )
    return [make_record(root, split, stem, images[stem], labels[stem], group) for stem in images]


def make_record(
    root: Path, split: Split, stem: str, image: Path, label: Path, group: re.Pattern[str] | None
) -> Record:
    """One record; its id is its split and its stem, since a release may reuse a name."""
    match = group.search(stem) if group else None
    identity = f"{split}/{stem}"
    return Record(
        identity,
        match.group(1) if match else identity,
        image.relative_to(root).as_posix(),
        label.relative_to(root).as_posix(),
        split,
    )


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


def require_split(sample_id: str, split: Split | None) -> Split:
    """The split of a sample to be written; DataError where it has none."""
    if split is None:
        raise DataError(f"sample {sample_id}: expected a split (train, val or test), got none")
    return split
