"""Tables and facts in a file, where a line has no width."""

from __future__ import annotations

import pytest

from usbench.io.console import facts, table
from usbench.io.numbers import format_decimals


def test_a_table_in_a_file_is_never_folded_and_nothing_is_markup(capsys):
    path = "/data/" + "x" * 200
    table("a [bold] title", ["name", "dice", "file"], [["[red]", ".5", path], ["b", "1.000", "c"]])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "a [bold] title"
    assert lines[1].split() == ["name", "dice", "file"]
    assert lines[3:] == [f"[red]     .5  {path}", "b      1.000  c"]


def test_facts_stand_below_each_other(capsys):
    facts([("data", "164 train"), ("classes", "nerve " + "x" * 200)])
    assert capsys.readouterr().out == f"data     164 train\nclasses  nerve {'x' * 200}\n"


@pytest.mark.parametrize(
    ("value", "digits", "sign", "text"),
    [
        (0.8734, 3, "", ".873"),
        (-0.05, 3, "", "−.050"),
        (-0.0001, 3, "", ".000"),
        (0.9999, 3, "", "1.000"),
        (10.05, 3, "", "10.050"),
        (0.25, 2, "+", "+.25"),
    ],
)
def test_decimals(value, digits, sign, text):
    assert format_decimals(value, digits, sign) == text
