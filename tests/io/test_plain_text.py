"""Names that anybody may have written, on a terminal, in Markdown and in CSV."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usbench.io import console
from usbench.io.plain_text import (
    escape_controls,
    escape_markdown,
    has_controls,
    quote_cell,
    unquote_cell,
)

ANY_TEXT = st.text(st.characters(codec=None))  # lone surrogates too


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain – µ 日本", "plain – µ 日本"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x1b]8;;http://x\x07link", r"\x1b]8;;http://x\x07link"),
        ("over\rwritten", r"over\x0dwritten"),
        ("\x9b2J", r"\x9b2J"),
        ("a\u202egnp.exe", r"a\u202egnp.exe"),
        ("\u2066a\u2069", r"\u2066a\u2069"),
        ("bytes\udcff", r"bytes\xff"),
        ("lone\ud800", r"lone\ud800"),
        ("\x00\x7f\ufeff\u2028", r"\x00\x7f\ufeff\u2028"),
        ("a\tb\nc", "a\tb\nc"),
    ],
)
def test_controls_are_shown_as_text(text, shown):
    assert escape_controls(text) == shown
    assert has_controls(text) == (text != shown or "\n" in text)


@given(ANY_TEXT)
def test_what_is_shown_has_no_controls_and_can_be_encoded(text):
    shown = escape_controls(text)
    shown.encode()
    assert not has_controls(shown.replace("\n", "").replace("\t", ""))
    assert escape_controls(shown) == shown


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("unet", "unet"),
        ("mask_rcnn_r50 (a & b)", "mask_rcnn_r50 (a & b)"),
        ("[.748, .774]", "[.748, .774]"),
        ("[click](http://x)", r"[click\](http://x)"),
        ("![](http://x/i.png)", r"![\](http://x/i.png)"),
        ("[a][b]", r"[a\][b]"),
        ("<img src=x>", "&lt;img src=x>"),
        ("&lt;b>", "&amp;lt;b>"),
        ("a|b", r"a\|b"),
        ("`code`", r"\`code\`"),
        ("**bold** _em_ ~~no~~", r"\*\*bold\*\* \_em\_ \~\~no\~\~"),
        ("a\n# b", "a # b"),
        ("back\\", "back\\\\"),
        ("\x1b[1m", r"\\x1b[1m"),
    ],
)
def test_markdown_is_text(text, written):
    assert escape_markdown(text) == written


@pytest.mark.parametrize("text", ["-0.12", "+3", "-1e-5", "0.5", "a=b", "unet", "", "'quoted'"])
def test_numbers_and_harmless_text_stay(text):
    assert quote_cell(text) == text


@pytest.mark.parametrize(
    "text", ["=1+1", "+a", "-a", "@SUM(A1)", "-1+cmd|' /C calc'!A0", "'=x", "＝1"]
)
def test_formulas_are_quoted(text):
    assert quote_cell(text) == f"'{text}" and unquote_cell(f"'{text}") == text


@pytest.mark.parametrize("value", [None, 0, -1, -0.5, True])
def test_what_is_not_text_stays(value):
    assert quote_cell(value) is value


@given(
    st.text(st.sampled_from("'=+-@1a. \t")) | st.text().filter(lambda text: not has_controls(text))
)
def test_a_cell_reads_back(text):
    file = io.StringIO()
    csv.writer(file).writerow([quote_cell(text), "end"])
    cell, _ = next(csv.reader(io.StringIO(file.getvalue())))
    assert unquote_cell(cell) == text
    assert cell[:1] not in {"=", "@"} or not cell


NASTY = "[red]x[/red] [link=http://x]y[/link] :smile: \x1b[31m\x07 \udcff"
SHOWN = r"[red]x[/red] [link=http://x]y[/link] :smile: \x1b[31m\x07 \xff"


def test_a_terminal_gets_text_alone(capsys):
    console.say(NASTY)
    console.warn(NASTY)
    console.table(NASTY, ["name"], [[NASTY]])
    printed = capsys.readouterr()
    assert printed.err == f"{SHOWN}\n"
    assert printed.out.startswith(f"{SHOWN}\n")
    assert "\x1b" not in printed.out and "\x07" not in printed.out
    assert printed.out.count(r"\x1b[31m") == 3 and printed.out.count("[link=http://x]") == 3


def test_a_progress_bar_gets_text_alone(monkeypatch):
    file = io.StringIO()
    terminal = console.PlainConsole()
    terminal.file, terminal._force_terminal = file, True
    monkeypatch.setattr(console, "err", terminal)
    for _ in console.track([1], "[red]\x07x"):
        pass
    assert "\x07" not in file.getvalue() and r"[red]\x07x" in file.getvalue()
