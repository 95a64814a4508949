"""Files: written whole or not at all, their checksums, and JSON with one text per value."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from usbench.errors import RunError

BLOCK = 1 << 20  # bytes read at once


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, renamed onto it when the block succeeds.

    The old file stays whole until then. The temporary file is removed when the block fails.

    Raises:
        RunError: the disk is full or the folder can't be written.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        if str(error.filename) not in ("None", str(part), str(path)):  # about another file
            raise
        reason = error.strerror or error
        raise RunError(
            f"{path}: can't be written ({reason}); "
            "check the folder, its permissions and the free space"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees all of it or the file that was there before."""
    with replacing(path) as part:
        part.write_bytes(content)


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes, as 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def canonical_json(value: object) -> str:
    """One text per value: sorted keys, no spaces, no escapes of letters."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
