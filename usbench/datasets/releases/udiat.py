"""Dataset B of UDIAT (Yap et al. 2018): `pairs`, with the table in a workbook.

`DatasetB.xlsx` has the columns Image (six digits), Type and Diagnosis, and others that are ignored.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from usbench.datasets.codecs.readers import require_columns
from usbench.datasets.codecs.workbooks import read_workbook, write_workbook
from usbench.datasets.layouts.case_tables import CaseTable, Row
from usbench.datasets.layouts.pairs import Pairs
from usbench.datasets.layouts.problems import Problems

DIGITS = 6  # of an image's name


class Udiat(Pairs):
    """See usbench.types.Layout. The table is a workbook."""

    name = "udiat"
    version = 1

    def __init__(self, classes: Sequence[str], table: dict[str, Any], **settings: Any) -> None:
        """Take the settings of `Pairs`."""
        super().__init__(classes, table=table, **settings)
        self.files.table = Workbook(**table)


class Workbook(CaseTable):
    """The first sheet of a workbook (.xlsx)."""

    def read(self, root: Path) -> dict[str, Row]:
        """The rows by key.

        Raises:
            DataError: the file is missing or damaged or lacks a column, or a key comes twice.
        """
        path, expected = root / self.file, f"a table of images by {self.key}"
        header, *lines = read_workbook(path, expected) or [()]
        names = [_text(cell) for cell in header]
        columns = (self.key, *self.attributes.values())
        require_columns(path, names, columns, expected)
        rows: dict[str, Row] = {}
        problems = Problems()
        for number, cells in enumerate(lines, start=2):
            stored = dict(itertools.zip_longest(names, map(_text, cells), fillvalue=""))
            name = stored[self.key].zfill(DIGITS)
            if not stored[self.key]:
                continue  # a row of the legend beside the table
            if name in rows:
                problems.add(f"{path}: row {number}: expected every image once, got {name!r} again")
            rows[name] = {column: stored[column] for column in columns}
        problems.raise_any()
        return rows

    def write(self, root: Path, rows: Iterable[Row]) -> None:
        """See CaseTable."""
        columns = (self.key, *dict.fromkeys(self.attributes.values()))
        lines = ([row[column] for column in columns] for row in rows)
        write_workbook(root / self.file, [columns, *lines])


def _text(cell: object) -> str:
    """A cell as text; some programs turn 000001 into a number."""
    return f"{cell:g}" if isinstance(cell, (int, float)) else str(cell or "").strip()
