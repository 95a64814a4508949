"""Archives of a release: fetched when asked for, verified, unpacked beside, and put in place only when whole.

A zip can name a path outside its folder, hold links, or swell a thousandfold; so its list of members is judged before
a byte is written. Both transfer and unpacking go on where they broke off.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from usbench.errors import DataError, RunError
from usbench.io.console import bar, warn

BLOCK = 1 << 20
PIECE = 1 << 16  # a broken transfer loses less than this
MOST_RATIO = 200  # unpacked over packed: images hardly shrink at all, text some twenty times
MOST_BYTES = 1 << 40
TRIES = 5  # transfers in a row that bring nothing new
TIMEOUT = (20, 60)  # s, to connect and between two pieces
WHOLE = ".whole"  # in the folder beside: everything is unpacked, only moving is left
JUNK = ("__MACOSX", ".DS_Store", "Thumbs.db")  # what operating systems leave in archives


@dataclass(frozen=True)
class Archive:
    """One file of a release, as the dataset's YAML lists it; what isn't known is None."""

    name: str
    holds: str  # for people
    url: str | None = None  # where it can be fetched by anyone
    page: str | None = None  # where a person finds it
    size: int | None = None  # bytes
    sha256: str | None = None
    source: str | None = None  # who says so
    given: str = "archive=FILE"  # how to name a file that was fetched by hand


def listed(dataset: Mapping[str, Any]) -> list[Archive]:
    """The archives that a dataset's YAML names."""
    return [Archive(**entry) for entry in dataset.get("archives") or ()]


def known(path: Path, archives: Sequence[Archive]) -> Archive | None:
    """Which of the known archives a file is, by its size, else by its name; None where there are none to compare with.

    DataError for a missing file, and for one that is none of those.
    """
    if not path.is_file():
        raise DataError(f"{path}: an archive was wanted here, found no such file; check archive=")
    size = path.stat().st_size
    match = next((archive for archive in archives if archive.size == size), None)
    match = match or next((archive for archive in archives if archive.name == path.name), None)
    if match is None and archives:
        wanted = ", ".join(f"{a.name}{f' ({a.size:,} bytes)' if a.size else ''}" for a in archives)
        raise DataError(
            f"{path}: one of {wanted} was wanted, found another file of {size:,} bytes; fetch it again"
        )
    return match


def verify(path: Path, archive: Archive) -> list[str]:
    """What was compared, for people; DataError where size or sha256 differ from what is known."""
    size = path.stat().st_size
    if archive.size is not None and size != archive.size:
        raise DataError(
            f"{path}: {archive.size:,} bytes were wanted, found {size:,}; fetch it again"
        )
    found = sha256(path)
    if archive.sha256 is not None and found != archive.sha256:
        raise DataError(
            f"{path}: sha256 {archive.sha256} was wanted, found {found}; fetch it again"
        )
    checked = [
        name
        for name, value in (("size", archive.size), ("sha256", archive.sha256))
        if value is not None
    ]
    return checked or [f"nothing to compare with is known; its sha256 is {found}"]


def sha256(path: Path) -> str:
    """Of a file's bytes, with a progress bar."""
    digest = hashlib.sha256()
    with (
        path.open("rb") as file,
        bar(f"verifying {path.name}", path.stat().st_size // BLOCK + 1) as progress,
    ):
        while block := file.read(BLOCK):
            digest.update(block)
            progress.step()
    return digest.hexdigest()


# ---- unpacking


def unpack(path: Path, root: Path) -> list[Path]:
    """Unpack a zip below root, in place only when complete; its top entries there.

    Goes on with what an earlier attempt left. Raises DataError for a file that is no sound zip, a member that would
    leave the folder, a link, an encrypted member or a size out of proportion; RunError where something of its name is
    there already or the disk is full.
    """
    beside = root / f".{path.name}.unpacking"
    whole = beside / WHOLE
    try:
        with zipfile.ZipFile(path) as packed:
            members = judged(path, packed)
            tops = sorted({PurePosixPath(member.filename).parts[0] for member in members})
            if not whole.exists():
                refuse_what_is_there(path, root, tops)
                write(packed, members, beside)
                whole.touch()
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as damage:
        raise DataError(
            f"{path}: a zip archive was wanted, found a damaged one ({damage}); fetch it again"
        ) from damage
    except OSError as error:
        reason = error.strerror or error
        raise RunError(
            f"{beside}: can't be written ({reason}); make room, and the same command goes on"
        ) from error
    for top in tops:
        if (beside / top).exists():  # else a killed command has moved it already
            (beside / top).replace(root / top)
    shutil.rmtree(beside)
    return [root / top for top in tops]


def refuse_what_is_there(path: Path, root: Path, tops: Sequence[str]) -> None:
    """RunError where unpacking would overwrite something."""
    there = next((root / top for top in tops if (root / top).exists()), None)
    if there is not None:
        raise RunError(
            f"{there}: {path.name} would be unpacked here, but something is there already; move it away"
        )


def judged(path: Path, packed: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files of the archive without operating systems' leftovers; DataError for one that isn't safe."""
    members = [
        m
        for m in packed.infolist()
        if not m.is_dir() and not set(PurePosixPath(m.filename).parts) & set(JUNK)
    ]
    seen: set[str] = set()
    for member in members:
        fault = fault_of(member)
        if member.filename.casefold() in seen:
            fault = "two members of one name (but for upper and lower case)"
        seen.add(member.filename.casefold())
        if fault:
            where = f"{fault}: {member.filename!r}"
            raise DataError(
                f"{path}: files below its own folder were wanted, found {where}; not unpacked"
            )
    total = sum(member.file_size for member in members)
    ratio = total / max(1, path.stat().st_size)
    if not members or total > MOST_BYTES or ratio > MOST_RATIO:
        raise DataError(
            f"{path}: files of at most {MOST_RATIO} times its size were wanted, "
            f"found {len(members)} files of {total:,} bytes; not unpacked"
        )
    return members


def fault_of(member: zipfile.ZipInfo) -> str | None:
    """Why a member can't be unpacked, or None."""
    name = PurePosixPath(member.filename)
    kind = stat.S_IFMT(member.external_attr >> 16)
    if (
        name.is_absolute()
        or ".." in name.parts
        or "\\" in member.filename
        or ":" in name.parts[0]
        or "\0" in str(name)
    ):
        return "a path that leaves it"
    if kind not in (0, stat.S_IFREG):
        return "a link or device"
    if member.flag_bits & 1:
        return "an encrypted file"
    return None


def write(packed: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo], folder: Path) -> None:
    """Every member that isn't there whole, each beside and then renamed; zipfile checks their checksums."""
    missing = [m for m in members if not same_size(folder / m.filename, m.file_size)]
    needed, parent = sum(m.file_size for m in missing), folder.parent
    parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(parent).free
    if needed > free:
        raise RunError(
            f"{parent}: {needed:,} bytes were wanted to unpack, found {free:,} free; make room"
        )
    with bar("unpacking", len(members)) as progress:
        progress.step(by=len(members) - len(missing))
        for member in missing:
            target = folder / member.filename
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".{target.name}.part"[-200:])
            with packed.open(member) as source, part.open("wb") as sink:
                copy(source.read, sink.write, member)
            part.replace(target)
            progress.step()


def copy(
    read: Callable[[int], bytes], write: Callable[[bytes], Any], member: zipfile.ZipInfo
) -> None:
    """A member's bytes; DataError where there are more than its header says."""
    left = member.file_size
    while block := read(BLOCK):
        left -= len(block)
        if left < 0:
            raise DataError(
                f"{member.filename}: {member.file_size:,} bytes were wanted, found more; fetch it again"
            )
        write(block)


def same_size(path: Path, size: int) -> bool:
    """Whether a file is there with that many bytes (it was renamed only when whole)."""
    return path.is_file() and path.stat().st_size == size


# ---- fetching


def fetch(archive: Archive, folder: Path) -> Path:
    """The archive in folder, fetched with a progress bar and verified. A broken transfer goes on from its last byte.

    Raises RunError where the host can't be reached or answers with something else, DataError where what came isn't it.
    """
    path = folder / archive.name
    if not path.is_file():
        assert archive.url is not None
        part = folder / f"{archive.name}.part"
        folder.mkdir(parents=True, exist_ok=True)
        transfer(archive.url, part, archive)
        try:
            verify(part, archive)
        except DataError:
            part.unlink()  # going on from wrong bytes would never end well
            raise
        part.replace(path)
    return path


def transfer(url: str, part: Path, archive: Archive) -> None:
    """Fill `part` from the url; after a break the next request asks for the rest."""
    import requests

    idle = 0
    while idle < TRIES:
        before = part.stat().st_size if part.exists() else 0
        try:
            if piece(url, part, before, archive):
                return
        except (
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
        ) as broken:
            reason = f"the transfer broke off ({type(broken).__name__})"
        else:
            reason = "the transfer ended early"
        grown = (part.stat().st_size if part.exists() else 0) > before
        idle = 0 if grown else idle + 1
        if part.exists():
            warn(f"{archive.name}: {reason}; going on from byte {part.stat().st_size:,}")
    by_hand = f"or fetch it by hand ({archive.page or url})"
    raise RunError(f"{url}: can't be fetched now; the same command goes on later, {by_hand}")


def piece(url: str, part: Path, start: int, archive: Archive) -> bool:
    """One request for everything from byte `start` on; whether the file is complete."""
    import requests

    headers = (
        {"Range": f"bytes={start}-", "Accept-Encoding": "identity"}
        if start
        else {"Accept-Encoding": "identity"}
    )
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        if answer.status_code == 416:  # nothing is left to send
            return complete(part, archive.size or start)
        kind = answer.headers.get("Content-Type", "")
        if answer.status_code not in (200, 206) or kind.startswith("text/html"):
            raise RunError(
                f"{url}: {archive.name} was wanted, the host answers {answer.status_code} {kind or 'nothing'}; "
                f"fetch it by hand ({archive.page or url}) and give it as {archive.given}"
            )
        resumed = answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(
            f"bytes {start}-"
        )
        start = start if resumed else 0
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length else archive.size
        try:
            save(answer.iter_content(PIECE), part, start, total)
        except OSError as error:
            if isinstance(error, requests.RequestException):
                raise
            reason = error.strerror or error
            raise RunError(
                f"{part}: can't be written ({reason}); make room, and the same command goes on"
            ) from error
    return complete(part, total)


def save(blocks: Any, part: Path, start: int, total: int | None) -> None:
    """Append what comes, from byte `start` on."""
    mebibytes = bar(f"fetching {part.stem}, MiB", total and total // BLOCK + 1)
    with part.open("ab" if start else "wb") as file, mebibytes as progress:
        progress.step(by=start / BLOCK)
        for block in blocks:
            file.write(block)
            progress.step(by=len(block) / BLOCK)
        file.flush()
        os.fsync(file.fileno())


def complete(part: Path, total: int | None) -> bool:
    """Whether all bytes are there, as far as the host says how many there are."""
    return total is None or part.stat().st_size >= total
