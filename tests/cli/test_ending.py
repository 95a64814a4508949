"""However a command ends: one line on stderr, the right exit code, a traceback only if asked for."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from usbench.cli import catalogue, compare, leaderboard, listing, status
from usbench.cli.ending import run_to_end
from usbench.cli.verbs import dispatch
from usbench.errors import ConfigError, DataError, Finished
from usbench.io import console
from usbench.io.console import say


def fail(error: BaseException) -> int:
    raise error


FULL = OSError(errno.ENOSPC, "No space left on device", "a/b.json")
ENDS = [
    (DataError("a.json: expected\nthis"), 1, "a.json: expected this"),
    (ConfigError("x" * 10_000), 2, f"{'x' * 500} … {'x' * 500}"),
    (FULL, 1, "a/b.json: No space left on device; check the folder, its permissions and the free"),
    (
        OSError(errno.ENAMETOOLONG, "File name too long", b"\xff\x1b"),
        2,
        r"\xff\x1b: expected a shorter name, got",
    ),
    (KeyError("metric"), 1, "KeyError: 'metric' (debug=true shows where)"),
    (RecursionError("deep"), 1, "a file or argument is nested too deeply (debug=true shows where)"),
    (KeyboardInterrupt(), 130, "interrupted"),
    (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"), 1, "UnicodeEncodeError: "),
]


@pytest.mark.parametrize(("error", "code", "says"), ENDS, ids=lambda part: type(part).__name__)
def test_an_error_is_one_line(error, code, says, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["usbench"])
    assert run_to_end(lambda: fail(error)) == code
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith(says)
    assert printed.err.count("\n") == 1 and len(printed.err) < 1100


def test_debug_shows_the_traceback_first(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["usbench", "model=unet", "debug=true"])
    assert run_to_end(lambda: fail(KeyError("\x1b[31m"))) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback") and lines[-1].startswith(r"KeyError: '\x1b[31m'")
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize("code", [0, 2, None])
def test_argparse_and_finished_runs_keep_their_code(code):
    assert run_to_end(lambda: sys.exit(code)) == (code or 0)
    assert run_to_end(lambda: fail(Finished(code or 0))) == (code or 0)


@pytest.fixture(autouse=True)
def new_console(monkeypatch) -> None:
    """One that holds nothing back of what an earlier test couldn't write."""
    monkeypatch.setattr(console, "out", console.PlainConsole())


def write_help(text: str) -> None:
    """As argparse does."""
    sys.stdout.write(text)
    sys.exit(0)


@pytest.fixture
def closed_pipe() -> Iterator[io.TextIOWrapper]:
    """A pipe whose reader has left."""
    reader, writer = os.pipe()
    os.close(reader)
    file = os.fdopen(writer, "w")
    yield file
    file.close()


@pytest.mark.parametrize("write", [say, print, write_help])
def test_a_reader_that_leaves_ends_it_quietly(write, closed_pipe, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdout", closed_pipe)
    assert run_to_end(lambda: write("x") or 0) == 1
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("write", [say, print, write_help])
def test_a_full_output_is_one_line(write, capsys, monkeypatch):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdout", full)
        assert run_to_end(lambda: write("x") or 0) == 1
    said = capsys.readouterr().err
    assert said.startswith("standard output: can't be written (No space left on device); ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_narrow_encoding_gets_escapes(encoding, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding))
    assert run_to_end(lambda: dispatch(["list"]) or 0) == 0
    assert rb"one run: usbench dataset=\u2026 model=\u2026" in raw.getvalue()


def test_no_output_at_all_is_no_error(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert run_to_end(lambda: say("x") or 0) == 0


LONG, DEEP = "x" * 10_000, "/".join(["d" * 200] * 30)
LONG_ARGUMENTS = [
    (compare, [LONG, LONG]),
    (compare, [DEEP, DEEP]),
    (leaderboard, ["--results", LONG]),
    (leaderboard, ["--conf", DEEP]),
    (listing, ["--json", LONG]),
    (listing, ["--config-dir", DEEP]),
    (status, ["--runs", LONG]),
    (status, ["--plan", DEEP]),
    (catalogue, ["show", LONG]),
    (catalogue, [LONG]),
]


@pytest.mark.parametrize(("verb", "arguments"), LONG_ARGUMENTS)
def test_a_long_argument_is_one_line(verb, arguments, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["usbench"])
    try:
        ended = verb.main(arguments)
    except SystemExit as end:
        ended = end.code
    said = capsys.readouterr().err
    assert ended in (1, 2) and said.count("\n") == 1 and len(said) < 1200, said[:300]
    assert "debug=true" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.process
@pytest.mark.parametrize("arguments", [["list"], ["dataset=phantom", "recipe=tiny", "plan=true"]])
def test_ctrl_c_is_quiet_from_the_start(arguments, tmp_path):
    command = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "usbench", *arguments],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stderr
    for line in command.stderr:
        if "rich" in line:  # it is loading its own modules
            command.send_signal(signal.SIGINT)
            break
    said = command.stderr.read()
    # Python ends by the signal itself where it came within an exec; to a shell that is 130 too.
    assert command.wait(60) in (130, -signal.SIGINT)
    assert "Traceback" not in said
