"""Archives that are damaged or hostile: the cause is named, and nothing is left."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from usbench.datasets import archives
from usbench.errors import DataError

Change = Callable[[bytes], bytes]


def with_crc(crc: int) -> Change:
    """The first member's checksum, in both of its places."""

    def change(data: bytes) -> bytes:
        at, packed = data.index(b"PK\1\2"), struct.pack("<I", crc)
        return data[:14] + packed + data[18 : at + 16] + packed + data[at + 20 :]

    return change


def with_size(size: int) -> Change:
    """The first member's unpacked size, in both of its places."""

    def change(data: bytes) -> bytes:
        at, packed = data.index(b"PK\1\2"), struct.pack("<I", size)
        return data[:22] + packed + data[26 : at + 24] + packed + data[at + 28 :]

    return change


def without_name(data: bytes) -> bytes:
    """The only member's name of one letter is taken away."""
    at, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    local = data[:26] + b"\0\0" + data[28:30] + data[31:at]
    central = data[at : at + 28] + b"\0\0" + data[at + 30 : at + 46] + data[at + 47 : end]
    places = struct.pack("<II", len(central), len(local))
    return local + central + data[end : end + 12] + places + data[end + 20 :]


def unchanged(data: bytes) -> bytes:
    return data


TEXT = b"hello " * 10
BAD = {
    "2,000 nested folders": (
        {"d/" * 2000 + "a.txt": TEXT},
        unchanged,
        "got 2001 nested folders (at most 50): 'd/d/",
    ),
    "a member .": ({".": TEXT}, unchanged, "got a member without a name: '.'"),
    "an empty name": ({"Q": TEXT}, without_name, "got a member without a name: ''"),
    "a long name": ({"n" * 300: TEXT}, unchanged, "got a name of more than 240 bytes: 'nnn"),
    "controls": ({"a\x1b[1m.txt": TEXT}, unchanged, r"control characters: 'a\x1b[1m.txt'"),
    "a file and a folder": ({"a": TEXT, "A/b": TEXT}, unchanged, "got both called 'a'"),
    "one name twice": ({"a/b": TEXT, "a/./b": TEXT}, unchanged, "got two members of one name"),
    "a bad CRC": ({"a/x": TEXT}, with_crc(7), "damaged one (Bad CRC-32 for file 'a/x')"),
    "the second's CRC": (
        {"a/x": TEXT, "a/y": b"world"},
        lambda data: data.replace(b"world", b"w0rld", 1),
        "damaged one (Bad CRC-32 for file 'a/y')",
    ),
    "a size too large": (
        {"a/x": TEXT},
        with_size(500),
        "('a/x': expected 500 bytes as the archive states, got 60)",
    ),
    "a size too small": (
        {"a/x": TEXT},
        with_size(5),
        "('a/x': expected 5 bytes as the archive states, got 60)",
    ),
    "a huge size": ({"a/x": TEXT}, with_size(0xFFFFFFF0), "at most 200 times its size"),
    "cut off": ({"a/x": TEXT}, lambda data: data[:-20], "not a zip file"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_cause_is_named_and_nothing_is_left(tmp_path, name, compression):
    members, change, says = BAD[name]
    if compression == zipfile.ZIP_DEFLATED and name == "the second's CRC":
        return  # its bytes aren't found in the packed ones
    path = tmp_path / "release.zip"
    with zipfile.ZipFile(path, "w", compression) as file:
        for member, content in members.items():
            file.writestr(member, content)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError) as caught:
        archives.unpack(path, tmp_path / "data" / "mine")
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and says in message and len(message) < 400, message
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_archive_leaves_the_release_beside_it(tmp_path):
    root, path = tmp_path / "data", Path(tmp_path / "a.zip")
    root.mkdir()
    (root / "mine.txt").write_text("keep")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a/x", TEXT)
    path.write_bytes(with_crc(7)(path.read_bytes()))
    with pytest.raises(DataError, match="Bad CRC"):
        archives.unpack(path, root)
    assert [item.name for item in root.iterdir()] == ["mine.txt"]
