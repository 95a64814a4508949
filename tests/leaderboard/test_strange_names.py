"""Names of strangers in results: text in Markdown, CSV, case tables and pages."""

from __future__ import annotations

import csv
import gzip
import io
import json
from dataclasses import replace

import pytest

from tests.leaderboard.test_leaderboard import make_result, rows
from usbench.errors import DataError
from usbench.leaderboard.csv_file import to_csv
from usbench.leaderboard.markdown import to_markdown
from usbench.leaderboard.page.document import as_json, templates
from usbench.results.result import Result
from usbench.results.store import encode_cases, load_result, pack_text, read_cases, save_result

LABELS = {  # class → as Markdown shows it
    "[x](http://evil)": r"[x\](http://evil)",
    "![](http://evil/i.png)": r"![\](http://evil/i.png)",
    "<img src=x onerror=y>": "&lt;img src=x onerror=y>",
    "a|b`c`": r"a\|b\`c\`",
    "\x1b[31mred\x07\r\x9b2J": r"\\x1b[31mred\\x07 \\x9b2J",
    "\u202egnp": r"\\u202egnp",
    "lone\ud800": r"lone\\ud800",
}


def strange_rows():
    reason = "\x1b]0;title\x07=HYPERLINK(1) " + " ".join(LABELS)
    labels = {label: {"dice": {"value": 0.5, "low": None, "high": None, "method": None, "n": 1,
                               "groups": 1}} for label in LABELS}  # fmt: skip
    failed = make_result(
        seed=4, status="failed", reason=f"={reason}", protocol=None, primary=None, scores={},
        per_class={},
    )  # fmt: skip
    return rows([make_result(per_class=labels), failed], [])


def test_markdown_shows_text():
    text = to_markdown(strange_rows(), [])
    text.encode()
    assert not set("\x1b\x07\r\x9b\u202e") & set(text)
    assert "](http" not in text.replace(r"\](http", "") and "<img" not in text
    header = next(line for line in text.splitlines() if "onerror" in line)
    assert all(f" {shown} |" in header for shown in LABELS.values())


def test_csv_has_no_formula_and_no_controls():
    text = to_csv(strange_rows())
    text.encode()
    assert not set("\x1b\x07\r\x9b\u202e") & set(text)
    notes = [line["note"] for line in csv.DictReader(io.StringIO(text))]
    assert notes[-1].startswith(r"'=\x1b]0;title\x07=HYPERLINK(1)")


def test_pages_show_text():
    page = templates().from_string("{{ name }} {{ data }}")
    shown = page.render(name="\x1b<b>\u202e", data=as_json({"a": "\u202e</script>\x1b"}))
    assert shown.startswith(r"\x1b") and "\u202e" not in shown and "</script>" not in shown
    assert json.loads(as_json({"\u202e": "\u2066\x9b"})) == {r"\u202e": r"\u2066\x9b"}


IDS = ["=1+1", "-a", "+b", "@c", "'=d", "'e", "-5", "plain", "a,b", 'q"r', "x;y"]


def test_case_tables_are_harmless_and_give_the_ids_back(tmp_path):
    cases = [{"case": id, "group": id, "dice": -0.5} for id in IDS]
    result = Result.from_json(make_result())
    path = save_result(tmp_path, result, cases)
    read = read_cases(path, load_result(path))
    assert [row["case"] for row in read] == IDS == [row["group"] for row in read]
    assert {row["dice"] for row in read} == {"-0.5"}
    cells = [line.split(",")[0] for line in gzip.decompress(encode_cases(cases)).decode().split()]
    assert [cell for cell in cells if cell[:1] in {"=", "+", "@"}] == [] and "'-a" in cells


def test_a_damaged_table_is_named(tmp_path):
    result = Result.from_json(make_result())
    path = save_result(tmp_path, result, [{"case": "a", "dice": 0.5}])
    table = path.with_name(load_result(path).cases)
    stored = replace(load_result(path), cases_sha256=None)
    for content in (b"\x1f\x8b damaged", gzip.compress(b"\xff"), pack_text('a,b\n"1')[:-9]):
        table.write_bytes(content)
        with pytest.raises(DataError, match="expected the case table"):
            read_cases(path, stored)


WRONG = {
    "dataset": 7,
    "config.dataset": -1.5,
    "config.model": ["a"],
    "config.metric": None,
    "scores.dice.value": "high",
    "scores": [],
    "per_class": {"dura": 3},
    "seed": "one",
    "data.counts": {"train": "many"},
    "status": None,
    "protocol.version": True,
}


@pytest.mark.parametrize("key", WRONG)
def test_a_result_with_a_wrong_type_is_named(tmp_path, key):
    content = make_result(config={"dataset": {}, "model": {}, "metric": {}})
    *above, last = key.split(".")
    node = content
    for name in above:
        node = node[name]
    node[last] = WRONG[key]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError) as caught:
        load_result(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: key {key.split('.')[0]}") and "\n" not in message
