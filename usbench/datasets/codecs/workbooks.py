"""Workbooks (.xlsx): the cells of the first sheet."""

from __future__ import annotations

import datetime
import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.etree.ElementTree import ParseError

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from usbench.errors import DataError, in_one_line
from usbench.io.files import replacing

# What openpyxl lets through.
WORKBOOK_ERRORS = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
    RuntimeError,
    ArithmeticError,
    zipfile.BadZipFile,
    zlib.error,
    ParseError,
    InvalidFileException,
)
CREATED = datetime.datetime(2000, 1, 1)


def read_workbook(path: Path, expected: str) -> list[tuple[object, ...]]:
    """The rows of the first sheet, cell by cell.

    Args:
        path: the file.
        expected: what it should hold, for the error.

    Raises:
        DataError: the file is missing or is no workbook.
    """
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        rows = list(book.worksheets[0].iter_rows(values_only=True))
        book.close()
    except WORKBOOK_ERRORS as error:
        raise DataError(
            f"{path}: expected {expected}, got a file that can't be read "
            f"({in_one_line(error)[:80]}); fetch it again"
        ) from error
    return rows


def write_workbook(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write one sheet; the same rows give the same bytes."""
    book = openpyxl.Workbook()
    book.properties.created = CREATED
    for row in rows:
        book.worksheets[0].append(row)
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
