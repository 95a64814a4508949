"""Splits that a release doesn't hold: CSV files of usbench's configuration, `image,split`.

A release's folder may have one of the same name, which is then read instead. Phantoms do.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from usbench.datasets.layouts.case_tables import read_keyed_rows, write_rows
from usbench.datasets.layouts.problems import Problems
from usbench.io.config import conf_dir
from usbench.types import Split

IMAGE, SPLIT = "image", "split"  # the columns


def find_split_file(root: Path, file: str) -> Path:
    """The file of this name in a release's folder, else that of conf/dataset."""
    own = root / file
    return own if own.is_file() else conf_dir() / "dataset" / file


def read_split_file(path: Path) -> dict[str, Split]:
    """The split of each image, by its file's name.

    Raises:
        DataError: the file is missing or damaged, an image comes twice, or a split is no such.
    """
    problems, splits = Problems(), dict[str, Split]()
    words: dict[str, Split] = {split: split for split in get_args(Split)}
    for name, row in read_keyed_rows(path, IMAGE, (IMAGE, SPLIT)).items():
        if row[SPLIT] in words:
            splits[name] = words[row[SPLIT]]
        else:
            problems.add(f"{path}: {name}: expected {', '.join(words)}, got {row[SPLIT]!r}")
    problems.raise_any()
    return splits


def write_split_file(path: Path, splits: Mapping[str, Split]) -> None:
    """Write the split of each image, by its file's name."""
    write_rows(path, (IMAGE, SPLIT), [{IMAGE: name, SPLIT: splits[name]} for name in splits])
