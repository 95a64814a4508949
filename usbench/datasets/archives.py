"""Archives of a release: checked, unpacked beside their place, and moved there only when complete.

A zip can name a path outside its folder, hold links, or expand a thousandfold; so its list of
members is checked before a byte is written. An interrupted unpacking resumes.
"""

from __future__ import annotations

import copy
import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from usbench.datasets.config import DatasetConfig
from usbench.errors import DataError, RunError
from usbench.io.console import bar
from usbench.io.download import RemoteFile
from usbench.io.files import WRITE_ADVICE
from usbench.io.plain_text import has_controls

BLOCK = 1 << 20
MAX_RATIO = 200  # unpacked over packed: images hardly shrink at all, text some twenty times
MAX_BYTES = 1 << 40
MAX_DEPTH = 50  # folders in each other
MAX_NAME = 240  # bytes of a file's or a folder's name; file systems take 255, and ours add some
WHOLE = ".whole"  # in the folder beside: everything is unpacked, only moving is left
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)
JUNK = ("__MACOSX", ".DS_Store", "Thumbs.db")  # what operating systems leave in archives


def list_archives(dataset: DatasetConfig) -> list[RemoteFile]:
    """The archives that a dataset's YAML names."""
    return [RemoteFile(**entry) for entry in dataset.archives]


def match_archive(path: Path, archives: Sequence[RemoteFile]) -> RemoteFile | None:
    """Which of the known archives a file is, by its size, else by its name.

    Returns:
        The archive, or None where none is known to compare with.

    Raises:
        DataError: there is no such file, or it is none of the known archives.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; check --archive")
    size = path.stat().st_size
    by_size = {archive.size: archive for archive in reversed(archives)}
    by_name = {archive.name: archive for archive in reversed(archives)}
    match = by_size.get(size) or by_name.get(path.name)
    if match is None and archives:
        names = ", ".join(
            f"{archive.name} ({archive.size:,} bytes)" if archive.size else archive.name
            for archive in archives
        )
        raise DataError(
            f"{path}: expected one of {names}, got another file of {size:,} bytes; fetch it again"
        )
    return match


def unpack(path: Path, root: Path) -> list[Path]:
    """Unpack a zip below root, in place only when complete; resume an earlier attempt.

    Returns:
        The archive's top entries below root.

    Raises:
        DataError: the file is no sound zip, or a member would leave the folder, is a link, is
            encrypted or has a size out of proportion.
        RunError: something of its name is there already, or the disk is full.
    """
    beside = root / f".{path.name}.unpacking"
    whole = beside / WHOLE
    new_folders = [folder for folder in (root, *root.parents) if not folder.exists()]
    try:
        with zipfile.ZipFile(path) as packed:
            members = list_safe_members(path, packed)
            tops = sorted({PurePosixPath(member.filename).parts[0] for member in members})
            if not whole.exists():
                refuse_to_overwrite(path, root, tops)
                write_members(packed, members, beside)
                whole.touch()
    except DAMAGE as damage:
        remove_unpacked(beside, new_folders)
        raise DataError(
            f"{path}: expected a zip archive, got a damaged one ({damage}); fetch it again"
        ) from damage
    except OSError as error:
        raise RunError(
            f"{beside}: can't be written ({error.strerror or error}); {WRITE_ADVICE}, "
            "and the same command goes on"
        ) from error
    for top in tops:
        if (beside / top).exists():  # else a killed command has moved it already
            (beside / top).replace(root / top)
    shutil.rmtree(beside)
    return [root / top for top in tops]


def remove_unpacked(beside: Path, new_folders: Sequence[Path]) -> None:
    """Remove what was unpacked of a damaged archive, and the folders that were made for it."""
    shutil.rmtree(beside, ignore_errors=True)
    with suppress(OSError):  # there is something else in one of them
        for folder in new_folders:
            folder.rmdir()


def refuse_to_overwrite(path: Path, root: Path, tops: Sequence[str]) -> None:
    """Raise RunError where unpacking would overwrite something."""
    for top in tops:
        if (root / top).exists():
            raise RunError(
                f"{root / top}: {path.name} would be unpacked here, "
                "but something is there already; move it away"
            )


def list_safe_members(path: Path, packed: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files of an archive without operating systems' leftovers; DataError if it isn't safe."""
    members: dict[str, zipfile.ZipInfo] = {}
    for member in packed.infolist():
        if member.filename and (
            member.is_dir() or set(PurePosixPath(member.filename).parts) & set(JUNK)
        ):
            continue
        name = str(PurePosixPath(member.filename)).casefold()
        fault = (
            "two members of one name (but for upper and lower case)"
            if name in members
            else find_fault(member)
        )
        if fault:
            raise DataError(
                f"{path}: expected files below its own folder, "
                f"got {fault}: {shorten_name(member.filename)}; not unpacked"
            )
        members[name] = member
    for name in members:
        if folder := next(
            (str(up) for up in PurePosixPath(name).parents if str(up) in members), ""
        ):
            raise DataError(
                f"{path}: expected files and folders of different names, "
                f"got both called {members[folder].filename!r}; not unpacked"
            )
    total = sum(member.file_size for member in members.values())
    if not members or total > MAX_BYTES or total / max(1, path.stat().st_size) > MAX_RATIO:
        raise DataError(
            f"{path}: expected files of at most {MAX_RATIO} times its size, "
            f"got {len(members)} files of {total:,} bytes; not unpacked"
        )
    return list(members.values())


def shorten_name(name: str) -> str:
    """A member's name for a message."""
    return repr(name if len(name) <= 80 else f"{name[:40]}…{name[-40:]}")


def find_fault(member: zipfile.ZipInfo) -> str | None:
    """Why a member can't be unpacked, or None."""
    name = PurePosixPath(member.filename)
    if not name.parts:
        return "a member without a name"
    if name.is_absolute() or ".." in name.parts or "\\" in member.filename or ":" in name.parts[0]:
        return "a path that leaves it"
    if len(name.parts) > MAX_DEPTH:
        return f"{len(name.parts)} nested folders (at most {MAX_DEPTH})"
    if any(len(os.fsencode(part)) > MAX_NAME for part in name.parts):
        return f"a name of more than {MAX_NAME} bytes"
    if has_controls(member.filename):
        return "a name with control characters"
    if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
        return "a link or device"
    return "an encrypted file" if member.flag_bits & 1 else None


def write_members(
    packed: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo], folder: Path
) -> None:
    """Write every member that isn't complete, beside and then renamed; zipfile checks checksums."""
    missing = [member for member in members if not is_unpacked(folder, member)]
    needed = sum(member.file_size for member in missing)
    folder.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder.parent).free
    if needed > free:
        raise RunError(
            f"{folder.parent}: unpacking needs {needed:,} bytes, {free:,} are free; make room"
        )
    with bar("unpacking", len(members)) as progress:
        progress.step(by=len(members) - len(missing))
        for member in missing:
            target = folder / member.filename
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".{target.name}.part")
            write_member(packed, member, part)
            part.replace(target)
            progress.step()


def write_member(packed: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    """Write one member; zipfile checks its checksum.

    Raises:
        zipfile.BadZipFile: the member is damaged, or has another size than the archive states.
    """
    size = member.file_size
    try:
        with packed.open(member) as source, path.open("wb") as sink:
            shutil.copyfileobj(source, sink, BLOCK)  # at most member.file_size bytes
            size = sink.tell()
    except DAMAGE:
        size = find_true_size(packed, member)
        if size == member.file_size:
            raise
    if size != member.file_size:
        raise zipfile.BadZipFile(
            f"{member.filename!r}: expected {member.file_size:,} bytes as the archive states, "
            f"got {size:,}"
        )


def find_true_size(packed: zipfile.ZipFile, member: zipfile.ZipInfo) -> int:
    """The size of a member that fits its checksum; the stated one where none does.

    zipfile reads no more than the stated size, and then finds the wrong checksum.
    """
    larger = copy.copy(member)
    larger.file_size = max(member.file_size, member.compress_size) * MAX_RATIO
    size = 0
    try:
        with packed.open(larger) as source:
            while block := source.read(BLOCK):
                size += len(block)
    except DAMAGE:
        return member.file_size
    return size


def is_unpacked(folder: Path, member: zipfile.ZipInfo) -> bool:
    """Whether a member is there with all its bytes (it was renamed only when complete)."""
    path = folder / member.filename
    return path.is_file() and path.stat().st_size == member.file_size
