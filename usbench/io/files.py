"""Files: written whole or not at all, hashed, and one JSON text per value."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from usbench.errors import RunError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its place when the block ends well.

    When the block fails, the temporary file is removed and the old file stays as it was.

    Raises:
        RunError: the disk is full or the folder can't be written.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        if str(error.filename) not in ("None", str(part), str(path)):  # the error of another file
            raise
        advice = "check the folder, its permissions and the free space"
        raise RunError(f"{path}: can't be written ({error.strerror or error}); {advice}") from error
    finally:
        part.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; see `replacing`."""
    with replacing(path) as part:
        part.write_bytes(content)


def file_sha256(path: Path) -> str:
    """Hash a file's bytes: 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical_json(value: object) -> str:
    """Format a value as JSON with sorted keys and no spaces: one text per value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
