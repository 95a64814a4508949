"""Archives: judged before a byte is written, in place only when whole, resumed at their byte."""

import hashlib
import http.server
import json
import os
import stat
import subprocess
import sys
import threading
import zipfile
from typing import ClassVar

import pytest

from usbench.datasets import archives
from usbench.errors import DataError, RunError
from usbench.io import download
from usbench.io.download import RemoteFile


def packed(path, members, compression=zipfile.ZIP_DEFLATED):
    """A zip of {name: bytes}."""
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


GOOD = {
    "Release/a.txt": b"alpha",
    "Release/deep/b.txt": b"beta",
    "__MACOSX/Release/._a.txt": b"x",
    "Release/.DS_Store": b"",
}


def tree(root):
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_a_release_lands_whole_without_what_operating_systems_leave(tmp_path):
    (top,) = archives.unpack(packed(tmp_path / "a.zip", GOOD), tmp_path / "root")
    assert top == tmp_path / "root" / "Release"
    assert tree(tmp_path / "root") == {"Release/a.txt", "Release/deep/b.txt"}
    assert (top / "deep" / "b.txt").read_bytes() == b"beta"


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("../out.txt", "a path that leaves it"),
        ("Release/../../out.txt", "a path that leaves it"),
        ("/etc/out.txt", "a path that leaves it"),
        ("C:/out.txt", "a path that leaves it"),
        ("Release\\..\\out.txt", "a path that leaves it"),
        ("RELEASE/A.TXT", "two members of one name"),
    ],
)
def test_a_member_that_would_leave_the_folder(tmp_path, name, fault):
    path = packed(tmp_path / "a.zip", {"Release/a.txt": b"alpha", name: b"evil"})
    with pytest.raises(DataError, match=fault):
        archives.unpack(path, tmp_path / "root")
    assert [path.name for path in tmp_path.iterdir()] == [
        "a.zip"
    ]  # nothing was written, here or above


def test_a_link_is_refused(tmp_path):
    link = zipfile.ZipInfo("Release/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="a link or device"):
        archives.unpack(path, tmp_path / "root")


def test_an_archive_that_swells_is_refused(tmp_path):
    path = packed(tmp_path / "bomb.zip", {"Release/zeros": bytes(10_000_000)})
    with pytest.raises(DataError, match=r"at most 200 times its size.* 10,000,000 bytes"):
        archives.unpack(path, tmp_path / "root")


@pytest.mark.parametrize("damage", ["cut", "flipped", "text", "empty"])
def test_a_damaged_archive_leaves_nothing_in_place(tmp_path, damage):
    noise = os.urandom(4000)
    path = packed(tmp_path / "a.zip", {"Release/a.bin": noise}, zipfile.ZIP_STORED)
    whole = path.read_bytes()
    at = whole.index(noise) + 100
    content = {
        "cut": whole[:-100],
        "flipped": whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :],
        "text": b"<html>sorry</html>",
        "empty": b"",
    }
    path.write_bytes(content[damage])
    with pytest.raises(DataError, match=r"a\.zip: expected a zip archive, got a damaged one"):
        archives.unpack(path, tmp_path / "root")
    assert not (tmp_path / "root" / "Release").exists()


def test_what_is_there_is_not_overwritten(tmp_path):
    mine = tmp_path / "root" / "Release" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(RunError, match="something is there already; move it away"):
        archives.unpack(packed(tmp_path / "a.zip", GOOD), tmp_path / "root")
    assert tree(tmp_path / "root") == {"Release/mine.txt"} and mine.read_text() == "mine"


def test_unpacking_goes_on_where_it_was_killed(tmp_path):
    path, root = packed(tmp_path / "a.zip", GOOD), tmp_path / "root"
    beside = root / ".a.zip.unpacking" / "Release"
    beside.mkdir(parents=True)
    (beside / "a.txt").write_bytes(
        b"ALPHA"
    )  # five bytes as wanted: an earlier attempt's, not written again
    (beside / ".b.txt.part").write_bytes(b"be")
    archives.unpack(path, root)
    assert (root / "Release" / "a.txt").read_bytes() == b"ALPHA"
    assert (root / "Release" / "deep" / "b.txt").read_bytes() == b"beta"


def test_moving_into_place_goes_on_where_it_was_killed(tmp_path):
    path, root = packed(tmp_path / "a.zip", {"One/a": b"1", "Two/b": b"2"}), tmp_path / "root"
    (root / "One").mkdir(parents=True)
    (root / "One" / "a").write_bytes(b"1")  # moved already
    (root / ".a.zip.unpacking" / "Two").mkdir(parents=True)
    (root / ".a.zip.unpacking" / "Two" / "b").write_bytes(b"2")
    (root / ".a.zip.unpacking" / archives.WHOLE).touch()
    archives.unpack(path, root)
    assert tree(root) == {"One/a", "Two/b"}


FULL_DISK = """
import resource, sys
from pathlib import Path
from usbench.datasets import archives
from usbench.errors import RunError
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    archives.unpack(Path(sys.argv[1]), Path(sys.argv[2]))
except RunError as error:
    print(error)
"""


@pytest.mark.process
def test_a_disk_that_refuses_midway(tmp_path):
    """A limit on a file's size stands in for a full disk: write() fails midway."""
    path = packed(tmp_path / "a.zip", {"Release/a": b"small", "Release/b": os.urandom(100_000)})
    command = [sys.executable, "-c", FULL_DISK, str(path), str(tmp_path / "root")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "the free space, and the same command goes on" in done.stdout, done.stderr
    assert not (tmp_path / "root" / "Release").exists()
    archives.unpack(path, tmp_path / "root")
    assert tree(tmp_path / "root") == {"Release/a", "Release/b"}


def test_too_little_room_is_said_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(
        archives.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 3})
    )
    with pytest.raises(RunError, match="unpacking needs 9 bytes, 3 are free"):
        archives.unpack(packed(tmp_path / "a.zip", GOOD), tmp_path / "root")


# ---- verifying


def test_size_and_checksum(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(b"abc")
    right = RemoteFile("a.zip", "", size=3, sha256=hashlib.sha256(b"abc").hexdigest())
    assert download.verify(path, right) == ["size", "sha256"]
    assert hashlib.sha256(b"abc").hexdigest() in download.verify(path, RemoteFile("a.zip", ""))[0]
    with pytest.raises(DataError, match="expected sha256 00, got ba78"):
        download.verify(path, RemoteFile("a.zip", "", size=3, sha256="00"))
    with pytest.raises(DataError, match="expected 4 bytes, got 3"):
        download.verify(path, RemoteFile("a.zip", "", size=4))


def test_which_archive_a_file_is(tmp_path):
    path = tmp_path / "renamed (1).zip"
    path.write_bytes(b"abc")
    both = [RemoteFile("one.zip", "", size=3), RemoteFile("two.zip", "", size=9)]
    assert archives.match_archive(path, both) == both[0]
    assert archives.match_archive(path, []) is None
    with pytest.raises(
        DataError, match=r"expected one of two\.zip \(9 bytes\), got another file of 3 bytes"
    ):
        archives.match_archive(path, both[1:])
    with pytest.raises(DataError, match="no such file"):
        archives.match_archive(tmp_path / "none.zip", both)


# ---- fetching, from a host that breaks off


class Host(http.server.BaseHTTPRequestHandler):
    """Serves one file and breaks off after so many bytes; notes where each request starts."""

    content = b""
    breaks: ClassVar[list[int]] = []
    starts: ClassVar[list[int]] = []
    ranges = True
    kind = "application/zip"

    def do_GET(self):
        requested = self.headers.get("Range")
        start = (
            int(requested.removeprefix("bytes=").removesuffix("-"))
            if requested and self.ranges
            else 0
        )
        self.starts.append(start)
        body = self.content[start:]
        if start >= len(self.content) and self.content:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header(
                "Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}"
            )
        self.send_header("Content-Type", self.kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.breaks.pop(0)] if self.breaks else body)

    def log_message(self, *arguments):
        """Quiet."""


@pytest.fixture
def host():
    """(url, handler class) of a server on this machine."""
    handler = type("Served", (Host,), {"starts": [], "breaks": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/a.zip", handler
    server.shutdown()
    server.server_close()


def archive_of(url, content):
    return RemoteFile(
        "a.zip", "", url=url, size=len(content), sha256=hashlib.sha256(content).hexdigest()
    )


def test_a_broken_transfer_goes_on_from_its_last_byte(tmp_path, host):
    url, handler = host
    handler.content, handler.breaks = os.urandom(3_000_000), [1_200_000, 900_000]
    path = download.fetch(archive_of(url, handler.content), tmp_path)
    assert path.read_bytes() == handler.content
    assert (
        handler.starts[0] == 0
        and 0 < handler.starts[1] <= 1_200_000
        and handler.starts[2] > handler.starts[1]
    )
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_a_transfer_goes_on_in_another_process(tmp_path, host):
    url, handler = host
    handler.content = os.urandom(100_000)
    (tmp_path / "a.zip.part").write_bytes(handler.content[:40_000])
    download.fetch(archive_of(url, handler.content), tmp_path)
    assert handler.starts == [40_000]


def test_a_part_that_was_whole_is_not_fetched_again(tmp_path, host):
    url, handler = host
    handler.content = os.urandom(1000)
    (tmp_path / "a.zip.part").write_bytes(handler.content)
    assert (
        download.fetch(archive_of(url, handler.content), tmp_path).read_bytes() == handler.content
    )


def test_a_host_without_ranges_starts_anew(tmp_path, host):
    url, handler = host
    handler.content, handler.breaks, handler.ranges = os.urandom(2_500_000), [1_200_000], False
    assert (
        download.fetch(archive_of(url, handler.content), tmp_path).read_bytes() == handler.content
    )


def test_a_host_that_never_gets_on_ends_with_what_to_do(tmp_path, host):
    url, handler = host
    handler.content, handler.breaks = os.urandom(1000), [0] * 50
    with pytest.raises(RunError, match="the same command goes on later, or fetch it by hand"):
        download.fetch(archive_of(url, handler.content), tmp_path)


def test_a_page_in_place_of_the_archive(tmp_path, host):
    url, handler = host
    handler.content, handler.kind = b"<html>too many downloads</html>", "text/html; charset=utf-8"
    with pytest.raises(
        RunError, match=r"the host answers 200 text/html.*fetch it by hand.*--archive FILE"
    ):
        download.fetch(archive_of(url, handler.content), tmp_path)
    assert not (tmp_path / "a.zip").exists()


def test_wrong_bytes_are_thrown_away(tmp_path, host):
    url, handler = host
    handler.content = os.urandom(1000)
    with pytest.raises(DataError, match="sha256"):
        download.fetch(RemoteFile("a.zip", "", url=url, size=1000, sha256="00"), tmp_path)
    assert not [*tmp_path.iterdir()]


# ---- the command


def command(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "usbench", "prepare", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )


TOY = """
name: toy
title: A toy release
size: [64, 80]
released: true
views:
  segment:
    classes: [cyst, lesion]
    exclusive: true
    layout:
      _target_: usbench.datasets.layouts.index_masks.IndexMasks
      folders: {train: [Release/images, Release/masks]}
split: {description: none}
licence: CC0
redistribute: images
access: open to anyone
citation: nobody 2026
"""


@pytest.fixture
def lab(tmp_path):
    """A folder with the configuration of a data set of one's own."""
    (tmp_path / "conf" / "dataset").mkdir(parents=True)
    (tmp_path / "conf" / "dataset" / "toy.yaml").write_text(TOY)
    return tmp_path


@pytest.mark.process
def test_the_command_fetches_only_when_asked_to_and_then_once(lab, host):
    url, handler = host
    handler.content = packed(
        lab / "made.zip", {"Release/images/a.txt": b"-", "Release/masks/a.txt": b"-"}
    ).read_bytes()
    size = len(handler.content)
    with (lab / "conf" / "dataset" / "toy.yaml").open("a") as file:
        file.write(f"archives: [{{name: a.zip, holds: all, url: '{url}', size: {size}}}]\n")
    described = command(lab, "dataset=toy", "--config-dir", "conf")
    assert (
        described.returncode == 0
        and "licence: CC0" in described.stdout
        and "please cite: nobody 2026" in described.stdout
    )
    assert handler.starts == [] and not (lab / "data").exists()
    handler.breaks = [200]
    done = command(lab, "dataset=toy", "--config-dir", "conf", "--download", "--json", "facts.json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.index("licence: CC0") < done.stdout.index("a.zip: verified")
    assert tree(lab / "data" / "toy") == {"Release/images/a.txt", "Release/masks/a.txt"}
    assert json.loads((lab / "facts.json").read_text())["archives"][0]["unpacked"] == ["Release"]
    again = command(lab, "dataset=toy", "--config-dir", "conf", "--download")
    assert again.returncode == 1 and "something is there already" in again.stderr
    assert len(handler.starts) == 2  # the archive itself was kept


@pytest.mark.process
def test_a_release_that_is_not_open_says_who_to_ask(lab):
    done = command(lab, "dataset=toy", "--config-dir", "conf", "--download")
    assert done.returncode == 1
    assert done.stderr.strip() == "--download: toy is not open to anyone; open to anyone"


@pytest.mark.process
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (
            ["dataset=spinal", "--archive", "none.zip"],
            1,
            "none.zip: no such file",
        ),
        (
            ["dataset=spinal", "--archive", "made.zip"],
            1,
            "expected one of SegmentationDataset.zip (1,079,559,546 bytes)",
        ),
        (["dataset=phantom"], 2, "it has no release"),
        (["--archive", "made.zip"], 2, "expected dataset=…"),
        (["dataset=nonsense"], 2, "nonsense"),
    ],
)
def test_what_can_t_be_is_one_line(tmp_path, arguments, code, says):
    packed(tmp_path / "made.zip", GOOD)
    done = command(tmp_path, *arguments)
    assert done.returncode == code and says in done.stderr and done.stderr.count("\n") == 1, (
        done.stderr
    )
