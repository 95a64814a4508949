"""Lines of a text file, however a system or a spreadsheet ends and marks them."""

from __future__ import annotations

from pathlib import Path

from usbench.errors import DataError


def read_lines(path: Path, wanted: str) -> list[str]:
    """The lines of a UTF-8 file, with or without a byte order mark; `wanted` is said in the error.

    Raises:
        DataError: a missing file and for one that is no such text.
    """
    try:
        return split_lines(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError as error:
        raise DataError(
            f"{path}: expected {wanted}, found no such file; check that the release is complete"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise DataError(
            f"{path}: expected {wanted}, got a file that can't be read ({reason}); replace it"
        ) from error


def split_lines(text: str) -> list[str]:
    """At the line ends of every system.

    Not str.splitlines, which cuts names at rarer separators too.
    """
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
