"""One annotation file ↔ one value: the syntax of single files, no folders and no splits.

Every codec reads with a check and writes whole files only: beside the target first, then in its place.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from usbench.errors import RunError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its place when the block ends well and vanishes when it doesn't.

    The old file stays whole until then. Raises RunError where the disk is full or the folder can't be written.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        if str(error.filename) not in ("None", str(part), str(path)):  # somebody else's file
            raise
        advice = "check the folder, its permissions and the free space"
        raise RunError(f"{path}: can't be written ({error.strerror or error}); {advice}") from error
    finally:
        part.unlink(missing_ok=True)
