"""Open Kidney's transducer table (.xlsx): the pixel size of each image, from the DICOM header.

Columns Filename (without `_anon.png`), Physical Delta X and Physical Delta Y in cm, among others
that are ignored. The Acuson's rows hold 1, which stands for missing; the sign of X only says which
way the image runs.
"""

from __future__ import annotations

import datetime
import io
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from xml.etree.ElementTree import ParseError

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from usbench.errors import DataError
from usbench.io.files import replacing

COLUMNS = ("Filename", "Physical Delta X", "Physical Delta Y")
LARGEST_CM = 1.0  # per px; 1 itself is how the table says "missing"
WRONG = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
    RuntimeError,
    ArithmeticError,
)
# What openpyxl lets through.
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    ParseError,
    InvalidFileException,
)
CREATED = datetime.datetime(2000, 1, 1)

Spacing = tuple[float, float]  # (row, column) mm per px


def read_transducers(path: Path) -> dict[str, Spacing | None]:
    """Filename → (row, column) mm per px, None where it is missing.

    Raises:
        DataError: a file that is no such table, a missing column and a file name that comes twice.
    """
    wanted = "the transducer table (.xlsx)"
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        rows = [list(row) for row in book.worksheets[0].iter_rows(values_only=True)]
        book.close()
    except (*WRONG, *DAMAGED) as error:
        reason = " ".join(str(error).split())[:80]
        raise DataError(
            f"{path}: expected {wanted}, got a file that can't be read ({reason}); fetch it again"
        ) from error
    head = [str(cell).strip() for cell in rows[0]] if rows else []
    lost = [name for name in COLUMNS if name not in head]
    if lost:
        raise DataError(
            f"{path}: expected {wanted} with the columns {', '.join(COLUMNS)}, found no {lost[0]}"
        )
    name, x, y = (head.index(column) for column in COLUMNS)
    found: dict[str, Spacing | None] = {}
    for short in rows[1:]:
        row = [*short, *[None] * (len(head) - len(short))]
        image = str(row[name]).strip() if row[name] is not None else ""
        if image in found:
            raise DataError(
                f"{path}: expected one row per image, got {image!r} twice; remove one of them"
            )
        sizes = _millimetres(row[y]), _millimetres(row[x])
        if image:
            found[image] = (sizes[0], sizes[1]) if sizes[0] and sizes[1] else None
    return found


def write_transducers(path: Path, spacings: Mapping[str, Spacing | None]) -> None:
    """Write a table; the same spacings give the same bytes."""
    book = openpyxl.Workbook()
    book.properties.created = CREATED
    sheet = book.worksheets[0]
    sheet.append(list(COLUMNS))
    for name, spacing in spacings.items():
        row, column = spacing or (10, 10)
        sheet.append([name, column / 10, row / 10])
    packed = io.BytesIO()
    book.save(packed)
    with (
        replacing(path) as part,
        zipfile.ZipFile(part, "w") as file,
        zipfile.ZipFile(packed) as dated,
    ):
        # Openpyxl stamps the time into the archive and into one of its parts.
        for entry in sorted(dated.namelist()):
            content = re.sub(
                rb"(<dcterms:modified[^>]*>)[^<]*", rb"\g<1>2000-01-01T00:00:00Z", dated.read(entry)
            )
            file.writestr(zipfile.ZipInfo(entry), content, zipfile.ZIP_DEFLATED)


def _millimetres(centimetres: object) -> float | None:
    if not isinstance(centimetres, (int, float)) or isinstance(centimetres, bool):
        return None
    value = abs(float(centimetres))
    return value * 10 if 0 < value < LARGEST_CM else None
