"""Tables and facts in a file, where a line has no width."""

from __future__ import annotations

import pytest

from usbench.io import console
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


def terminal(width: int) -> console.PlainConsole:
    return console.PlainConsole(force_terminal=True, width=width)


@pytest.mark.parametrize(
    ("width", "shown", "hidden"),
    [
        (80, ["pair", "95 %", "p"], []),
        (22, ["pair", "95 %", "p"], []),  # 6 + 8 + 4 and two gaps of two
        (21, ["pair", "95 %"], ["p"]),
        (15, ["pair"], ["p", "95 %"]),
        (3, ["pair"], ["p", "95 %"]),  # what must be there stays
    ],
)
def test_columns_that_do_not_fit_are_left_out_in_order(monkeypatch, width, shown, hidden):
    monkeypatch.setattr(console, "out", terminal(width))
    header, rows = ["pair", "95 %", "p"], [["unet−x", "[.1, .2]", ".004"]]
    columns = dict(zip(header, rows[0], strict=True))
    expected = (shown, [[columns[name] for name in shown]], hidden)
    assert console.fit_columns(header, rows, ["p", "95 %"]) == expected


def test_a_file_has_room_for_every_column():
    header, rows = ["a", "b"], [["x" * 500, "y" * 500]]
    assert console.fit_columns(header, rows, ["b"]) == (header, rows, [])
