"""The tables of pixel sizes that two releases have, in cm per pixel: Unity's CSV and Open Kidney's
workbook.

Unity's `01_database_physical.csv` comes from its authors on request. Its columns are FileHash (a
video), PhysicalDeltaX and PhysicalDeltaY, among others that are ignored. It covers the whole
database, of which a release is a part, and not every row has sizes. A spreadsheet's way of saving
it (a byte-order mark, semicolons with decimal commas) is understood.

Open Kidney's transducer table (.xlsx) holds what the DICOM header says. Its columns are Filename
(an image without `_anon.png`), Physical Delta X and Physical Delta Y, among others that are
ignored. The Acuson's rows hold 1, which stands for missing; the sign of X only says which way the
image runs.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from usbench.datasets.codecs.readers import (
    find_delimiter,
    read_rows,
    read_text,
    require_columns,
)
from usbench.datasets.codecs.workbooks import read_workbook, write_workbook
from usbench.errors import DataError
from usbench.io.files import write_atomically

UNITY_COLUMNS = ("FileHash", "PhysicalDeltaX", "PhysicalDeltaY")
KIDNEY_COLUMNS = ("Filename", "Physical Delta X", "Physical Delta Y")
# cm per px: images are hundreds of pixels high and a few tens of cm deep; 1 itself is how the
# kidney table says "missing"
LARGEST_CM = 1.0
_NUMBER = re.compile(r"(?=.*\d)\d{0,9}(\.\d{0,60})?([eE]-?\d{1,2})?", re.ASCII)

Spacing = tuple[float, float]  # (row, column) mm per px


def read_spacings(path: Path) -> dict[str, Spacing | None]:
    """Unity's FileHash → (row, column) mm per px, row from PhysicalDeltaY.

    None where a size isn't a number in 0..1 cm.

    Raises:
        DataError: a missing file, a missing column, and a hash with two sizes.
    """
    spacings: dict[str, Spacing | None] = {}
    expected = "a table of physical sizes"
    text = read_text(path, expected)
    decimal = "," if find_delimiter(text) == ";" else "."
    for line, row in read_rows(path, text, UNITY_COLUMNS, expected):
        code, x, y = ((row[name] or "").strip() for name in UNITY_COLUMNS)
        spacing = _make_spacing(
            _parse_cm(y.replace(decimal, ".")), _parse_cm(x.replace(decimal, "."))
        )
        if code and spacings.setdefault(code, spacing) != spacing:
            raise DataError(
                f"{path}: line {line}: expected one size of {code[:80]!r}, got another than "
                "before; remove one"
            )
    return spacings


def write_spacings(path: Path, spacings: Mapping[str, Spacing]) -> None:
    """Write Unity's table: (row, column) mm per px by FileHash."""
    lines = [f"{code},{column / 10!r},{row / 10!r}\n" for code, (row, column) in spacings.items()]
    write_atomically(path, f"{','.join(UNITY_COLUMNS)}\n{''.join(lines)}")


def read_transducers(path: Path) -> dict[str, Spacing | None]:
    """Open Kidney's Filename → (row, column) mm per px, None where it is missing.

    Raises:
        DataError: a file that is no such table, a missing column and a file name that comes twice.
    """
    expected = "the transducer table (.xlsx)"
    rows = read_workbook(path, expected)
    names = [str(cell).strip() for cell in rows[0]] if rows else []
    require_columns(path, names, KIDNEY_COLUMNS, expected)
    spacings: dict[str, Spacing | None] = {}
    for cells in rows[1:]:
        row = dict(itertools.zip_longest(names, cells))
        image, x, y = (row[name] for name in KIDNEY_COLUMNS)
        name = "" if image is None else str(image).strip()
        if name in spacings:
            raise DataError(
                f"{path}: expected one row per image, got {name!r} twice; remove one of them"
            )
        if name:
            spacings[name] = _make_spacing(y, x)
    return spacings


def write_transducers(path: Path, spacings: Mapping[str, Spacing | None]) -> None:
    """Write a table; the same spacings give the same bytes."""
    rows: list[Sequence[object]] = [KIDNEY_COLUMNS]
    for name, spacing in spacings.items():
        row, column = spacing or (10, 10)
        rows.append([name, column / 10, row / 10])
    write_workbook(path, rows)


def _parse_cm(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None


def _make_spacing(row_cm: object, column_cm: object) -> Spacing | None:
    """(row, column) mm per px; None where a size in cm is missing or can't be."""
    sides = []
    for cm in (row_cm, column_cm):
        if not isinstance(cm, (int, float)) or isinstance(cm, bool) or not 0 < abs(cm) < LARGEST_CM:
            return None
        sides.append(abs(float(cm)) * 10)
    return sides[0], sides[1]
