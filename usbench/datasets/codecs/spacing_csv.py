"""Unity's table of physical sizes (`01_database_physical.csv`, from its authors on request): cm per
pixel of a video.

Columns FileHash, PhysicalDeltaX and PhysicalDeltaY, among others that are ignored. It covers the
whole database, of which a release is a part, and not every row has sizes. A spreadsheet's way of
saving it (a byte-order mark, semicolons with decimal commas) is understood.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path

from usbench.datasets.codecs.readers import read_text
from usbench.errors import DataError
from usbench.io.files import write_atomically

COLUMNS = ("FileHash", "PhysicalDeltaX", "PhysicalDeltaY")
LARGEST_CM = 1.0  # per px: images are hundreds of pixels high and a few tens of cm deep
_NUMBER = re.compile(r"\d{0,9}(\.\d{0,60})?([eE]-?\d{1,2})?", re.ASCII)

Spacing = tuple[float, float]  # (row, column) mm per px


def read_spacings(path: Path) -> dict[str, Spacing | None]:
    """FileHash → (row, column) mm per px, row from PhysicalDeltaY.

    None where a size isn't a number in 0..1 cm.

    Raises:
        DataError: a missing file, a missing column, and a hash with two sizes.
    """
    found: dict[str, Spacing | None] = {}
    text = read_text(path, "a table of physical sizes")
    head = text.split("\n", 1)[0]
    semicolons = ";" in head and "," not in head
    try:
        rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=";" if semicolons else ",")
        lost = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
        if lost:
            raise DataError(
                f"{path}: expected the columns {', '.join(COLUMNS)}, found no {lost[0]}; correct "
                "the header"
            )
        for row in rows:
            code, *sizes = ((row[name] or "").strip() for name in COLUMNS)
            x, y = (_millimetres(size.replace(",", ".") if semicolons else size) for size in sizes)
            spacing = (y, x) if x and y else None
            if code and found.setdefault(code, spacing) != spacing:
                where = f"{path}: line {rows.line_num}"
                raise DataError(
                    f"{where}: expected one size of {code[:80]!r}, got another than before; "
                    "remove one"
                )
    except csv.Error as error:
        raise DataError(
            f"{path}: expected a table of physical sizes, got a damaged CSV ({error}); replace it"
        ) from error
    return found


def write_spacings(path: Path, spacings: Mapping[str, Spacing]) -> None:
    """Write (row, column) mm per px by FileHash."""
    lines = [f"{code},{column / 10!r},{row / 10!r}" for code, (row, column) in spacings.items()]
    write_atomically(path, ("\n".join([",".join(COLUMNS), *lines]) + "\n").encode("ascii"))


def _millimetres(centimetres: str) -> float | None:
    if not (any(letter.isdigit() for letter in centimetres) and _NUMBER.fullmatch(centimetres)):
        return None
    value = float(centimetres)
    return value * 10 if 0 < value < LARGEST_CM else None
