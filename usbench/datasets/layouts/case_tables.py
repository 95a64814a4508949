"""CSV tables with a row for each image: what the release says of it, its split and its folds."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from usbench.datasets.codecs.readers import read_rows, read_text
from usbench.datasets.layouts.problems import Problems
from usbench.errors import ConfigError
from usbench.io.files import write_atomically

Row = Mapping[str, str]  # column → cell


@dataclass(frozen=True)
class CaseTable:
    """A CSV of a release; its settings are a layout's `table`."""

    file: str  # relative to the root
    key: str  # the column that names an image
    row: str  # how it does, by the fields of the image's path, such as bus_{id}
    attributes: Mapping[str, str]  # attribute → column

    def read(self, root: Path) -> dict[str, Row]:
        """The rows by key.

        Raises:
            DataError: the file is missing or lacks a column, or a key comes twice.
        """
        columns = (self.key, *self.attributes.values())
        return read_keyed_rows(root / self.file, self.key, columns)

    def write(self, root: Path, rows: Iterable[Row]) -> None:
        """Write rows that have the key and every attribute's column."""
        write_rows(root / self.file, (self.key, *dict.fromkeys(self.attributes.values())), rows)


def make_table(node: Mapping[str, Any]) -> CaseTable:
    """The table of a layout's setting.

    Raises:
        ConfigError: a key is missing or unknown.
    """
    expected = {"file", "key", "row", "attributes"}
    if set(node) != expected:
        raise ConfigError(f"table: expected {', '.join(sorted(expected))}, got {', '.join(node)}")
    return CaseTable(**node)


def read_keyed_rows(path: Path, key: str, columns: Iterable[str]) -> dict[str, Row]:
    """The rows of a CSV by one of its columns, cells without spaces around them.

    Raises:
        DataError: the file is missing or lacks a column, a row is cut short, or a key comes twice.
    """
    rows: dict[str, Row] = {}
    problems = Problems()
    expected = f"a table of images by {key}"
    for line, row in read_rows(path, read_text(path, expected), tuple(columns), expected):
        cells = {name: (cell or "").strip() for name, cell in row.items() if name is not None}
        name = cells[key]
        if None in row or None in row.values():
            problems.add(f"{path}: line {line}: expected as many cells as columns, got others")
        elif name in rows:
            problems.add(f"{path}: line {line}: expected every image once, got {name!r} again")
        rows[name] = cells
    problems.raise_any()
    return rows


def write_rows(path: Path, columns: Iterable[str], rows: Iterable[Row]) -> None:
    """Write a CSV of these columns."""
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, list(columns), lineterminator="\n", extrasaction="ignore")
    table.writeheader()
    table.writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.getvalue())
