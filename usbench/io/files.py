"""Files that are written whole or not at all, and hashes of files and values."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from usbench.errors import RunError

JsonObject = dict[str, Any]  # a JSON object or a YAML mapping, as its parser gives it
WRITE_ADVICE = "check the folder, its permissions and the free space"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that replaces it when the block succeeds.

    When the block fails the temporary file is removed and the old file stays as it was.

    Raises:
        RunError: the disk is full or the folder can't be written.
    """
    part = part_beside(path)
    try:
        yield part
        part.replace(path)
    except OSError as error:
        if str(error.filename) not in ("None", str(part), str(path)):  # somebody else's file
            raise
        raise not_writable(path, error) from error
    finally:
        part.unlink(missing_ok=True)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write one file so that a reader sees the old content or the new, never a part of it."""
    with replacing(path) as part:
        part.write_bytes(
            content.encode(errors="backslashreplace") if isinstance(content, str) else content
        )


def write_all(files: Mapping[Path, bytes]) -> None:
    """Write several files so that each is whole or untouched, in their order, and on the disk.

    All are written beside their place first; then they are moved there one after the other.

    Raises:
        RunError: the disk is full or a folder can't be written. No temporary file is left, and
            nothing was moved that isn't whole.
    """
    parts = {path: part_beside(path) for path in files}
    path = Path()
    try:
        for path, part in parts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                file.write(files[path])
                file.flush()
                os.fsync(file.fileno())
        for path, part in parts.items():
            part.replace(path)
            sync_folder(path.parent)  # the next file is never there without this one
    except OSError as error:
        raise not_writable(path, error) from error
    finally:
        for part in parts.values():
            with suppress(OSError):
                part.unlink(missing_ok=True)


def part_beside(path: Path) -> Path:
    """A new hidden name in the same folder, for a file that will be moved to `path`."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")


def not_writable(path: Path, error: OSError) -> RunError:
    """The error for a file that can't be written, with what to do."""
    return RunError(f"{path}: can't be written ({error.strerror or error}); {WRITE_ADVICE}")


def sync_folder(folder: Path) -> None:
    """Make a rename in the folder survive a power cut, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_if_there(path: Path) -> str | None:
    """sha256 of a file; None where there is none."""
    return file_sha256(path) if path.is_file() else None


def canonical_json(value: object) -> str:
    """One text per value: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
