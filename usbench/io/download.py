"""Files of the web: fetched with resume, and compared with the size and checksum that are known."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from usbench.errors import DataError, RunError
from usbench.io.console import bar, warn

BLOCK = 1 << 20  # bytes hashed at once; also a MiB, the unit of the progress bar
CHUNK = 1 << 16  # bytes received at once: a broken transfer loses less than this
TRIES = 5  # transfers in a row that bring nothing new
TIMEOUT = (20, 60)  # s, to connect and between two chunks


@dataclass(frozen=True)
class RemoteFile:
    """A file that can be fetched, and what is known about it; what isn't known is None."""

    name: str
    holds: str  # for people
    url: str | None = None  # where it can be fetched by anyone
    page: str | None = None  # where a person finds it
    size: int | None = None  # bytes
    sha256: str | None = None
    source: str | None = None  # who states size and sha256
    override: str = "--archive FILE"  # how a user names a copy that was fetched by hand


def fetch(remote: RemoteFile, folder: Path) -> Path:
    """Fetch a file into folder, unless it is there, with a progress bar; then verify it.

    A broken transfer resumes at its last byte, also in another process.

    Raises:
        RunError: the host can't be reached or answers with something else.
        DataError: size or sha256 differ from what is known.
    """
    path = folder / remote.name
    if not path.is_file():
        assert remote.url is not None
        part = folder / f"{remote.name}.part"
        folder.mkdir(parents=True, exist_ok=True)
        transfer(remote.url, part, remote)
        try:
            verify(part, remote)
        except DataError:
            part.unlink()  # resuming from wrong bytes would never end well
            raise
        part.replace(path)
    return path


def transfer(url: str, part: Path, remote: RemoteFile) -> None:
    """Fill `part` from the url; after a break the next request asks for the rest."""
    import requests

    idle_tries = 0
    while idle_tries < TRIES:
        before = size_of(part)
        try:
            if request_rest(url, part, before, remote):
                return
        except (
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
        ) as broken:
            reason = f"the transfer broke off ({type(broken).__name__})"
        else:
            reason = "the transfer ended early"
        idle_tries = 0 if size_of(part) > before else idle_tries + 1
        if part.exists():
            warn(f"{remote.name}: {reason}; going on from byte {size_of(part):,}")
    raise RunError(
        f"{url}: can't be fetched now; the same command goes on later, "
        f"or fetch it by hand ({remote.page or url})"
    )


def size_of(path: Path) -> int:
    """A file's size in bytes; 0 where there is none."""
    return path.stat().st_size if path.exists() else 0


def request_rest(url: str, part: Path, start: int, remote: RemoteFile) -> bool:
    """Make one request for everything from byte `start` on; whether the file is complete."""
    import requests

    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        if answer.status_code == 416:  # nothing is left to send
            return is_complete(part, remote.size or start)
        kind = answer.headers.get("Content-Type", "")
        if answer.status_code not in (200, 206) or kind.startswith("text/html"):
            raise RunError(
                f"{url}: expected {remote.name}, the host answers {answer.status_code} "
                f"{kind or 'nothing'}; fetch it by hand ({remote.page or url}) "
                f"and give it as {remote.override}"
            )
        resumed = answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")
        if answer.status_code != 206 or not resumed:
            start = 0  # this host doesn't resume
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length else remote.size
        try:
            append_chunks(answer.iter_content(CHUNK), part, start, total)
        except requests.RequestException:  # an OSError too, but not the disk's
            raise
        except OSError as error:
            raise RunError(
                f"{part}: can't be written ({error.strerror or error}); make room, and the same "
                "command goes on"
            ) from error
    return is_complete(part, total)


def append_chunks(chunks: Iterable[bytes], part: Path, start: int, total: int | None) -> None:
    """Write what arrives to the file, from byte `start` on."""
    mebibytes = bar(f"fetching {part.stem}, MiB", total and total // BLOCK + 1)
    with part.open("ab" if start else "wb") as file, mebibytes as progress:
        progress.step(by=start / BLOCK)
        for chunk in chunks:
            file.write(chunk)
            progress.step(by=len(chunk) / BLOCK)
        file.flush()
        os.fsync(file.fileno())


def is_complete(part: Path, total: int | None) -> bool:
    """Whether all bytes are there, as far as the host says how many there are."""
    return total is None or part.stat().st_size >= total


def verify(path: Path, remote: RemoteFile) -> list[str]:
    """Compare a file with what is known about it; what was compared, for people.

    Raises:
        DataError: size or sha256 differ.
    """
    size = path.stat().st_size
    compared = []
    if remote.size is not None:
        compared.append("size")
        if size != remote.size:
            raise DataError(f"{path}: expected {remote.size:,} bytes, got {size:,}; fetch it again")
    digest = sha256_with_bar(path)
    if remote.sha256 is not None:
        compared.append("sha256")
        if digest != remote.sha256:
            raise DataError(
                f"{path}: expected sha256 {remote.sha256}, got {digest}; fetch it again"
            )
    return compared or [f"nothing to compare with is known; its sha256 is {digest}"]


def sha256_with_bar(path: Path) -> str:
    """The sha256 of a large file's bytes, with a progress bar."""
    digest = hashlib.sha256()
    progress_bar = bar(f"verifying {path.name}", path.stat().st_size // BLOCK + 1)
    with path.open("rb") as file, progress_bar as progress:
        while block := file.read(BLOCK):
            digest.update(block)
            progress.step()
    return digest.hexdigest()
