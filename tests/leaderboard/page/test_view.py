"""The data of the page: tables, rows, links, notes, and what is said of the tests."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import combinations

import pytest

from tests.leaderboard.page.site import (
    DATASETS,
    LINKS,
    RESULTS,
    SPINAL,
    UNETS,
    make_content,
    net,
    ranked_rows,
)
from tests.leaderboard.test_leaderboard import paper, rows
from usbench import catalogue
from usbench.leaderboard import legend
from usbench.leaderboard.markdown import to_markdown
from usbench.leaderboard.page import index, view
from usbench.leaderboard.page.catalogue_view import catalogue_details, catalogue_lines
from usbench.leaderboard.page.comparison_view import MOST_ROWS, find_ties, shown_pairs
from usbench.leaderboard.page.sources import find_links, short_source, short_title
from usbench.leaderboard.published import DatasetSummary
from usbench.leaderboard.ranking import Comparison, PairDifference


@pytest.fixture(scope="module")
def task():
    return next(t for t in view.page_data(make_content())["tasks"] if t["id"] == "spinal/segment")


def table_of(task, protocol):
    return next(table for table in task["tables"] if table["id"] == protocol)


def names(table):
    return [row["name"] for row in table["rows"]]


def row_of(table, name):
    return next(row for row in table["rows"] if row["name"] == name)


def cell(table, name, key):
    place = [column["key"] for column in table["columns"]].index(key)
    return row_of(table, name)["texts"][place]


# ---- tables


def test_each_known_protocol_has_a_table_with_the_rows_of_unknown_ones(task):
    assert [table["id"] for table in task["tables"]] == ["usbench", "kumar2025-cnn"]
    ours, theirs = task["tables"]
    assert names(ours)[:5] == ["human agreement", "deeplabv3", "unet", "Old net", "segformer"]
    assert names(ours)[-1] == "prior"  # baselines are last
    assert "U-Net" not in names(ours) and "U-Net" in names(theirs)  # of another known protocol
    assert "Old net" in names(theirs)
    assert [badge["text"] for badge in row_of(ours, "Old net")["badges"]] == ["protocol unknown"]
    assert cell(ours, "Old net", "rank") == "" and cell(ours, "deeplabv3", "rank") == "1"
    assert ours["summary"] and theirs["summary"]


def test_published_rows_alone_have_a_table():
    dataset = replace(SPINAL, published=(paper(protocol="unknown", split="another"),))
    all_rows = rows([], [dataset])
    tables = view.list_tables(
        all_rows, view.replace(view.Site({}, {}, {}), names=view.name_rows(all_rows))
    )
    (table,) = tables
    assert table["id"] == "unknown" and not table["comparisons"]
    assert [badge["text"] for badge in table["rows"][0]["badges"]] == [
        "protocol unknown",
        "other images",
    ]


def test_a_row_has_its_figures_seeds_classes_and_cost(task):
    table = table_of(task, "usbench")
    unet = row_of(table, "unet")
    assert unet["interval"] == [0.6, 0.65, 0.7] and unet["dots"] == [0.7, 0.6]
    assert unet["classes"] == [[None, 0.6, None], [None, 0.7, None]]
    assert cell(table, "unet", "score") == ".650" and cell(table, "unet", "class:dura") == ".600"
    assert cell(table, "unet", "interval") == "[.600, .700]"
    assert cell(table, "unet", "parameters") == "31.0 M"
    assert [badge["text"] for badge in unet["badges"]] == ["2 of 3 seeds"]
    assert row_of(table, "deeplabv3")["cost"] == {"parameters": 4e7, "ms": 12.0, "on": "a CPU"}
    assert task["failed"][0][2:4] == ["2", "failed"]


def test_few_columns_are_shown_at_first_and_all_have_a_tip(task):
    for table in task["tables"]:
        shown = [column["key"] for column in table["columns"] if column["shown"]]
        assert shown[: shown.index("parameters")] in (
            ["rank", "score", "class:dura", "class:pia"],
            ["rank", "score", "class:dura", "class:pia", "published"],
            ["score", "published"],
        )
        assert all(column["tip"] for column in table["columns"])


def test_where_a_row_comes_from_is_said_once_for_all_tables(task):
    origin = task["origins"][UNETS[0]]
    assert [run["label"] for run in origin["runs"]] == ["seed 0", "seed 1"]
    assert origin["runs"][1] == {
        "id": UNETS[1],
        "label": "seed 1",
        "href": LINKS[UNETS[1]],
        "reproduce": f"usbench reproduce {UNETS[1]}",
    }
    assert origin["command"].endswith("seed=0,1")
    ids = {row["id"] for table in task["tables"] for row in table["rows"]}
    assert set(task["origins"]) <= ids and "old-net" in ids


def test_the_difference_to_a_paper_and_what_forbids_one(task):
    table = table_of(task, "kumar2025-cnn")
    assert cell(table, "unet", "published").startswith("−.003")  # (.5 + .6) / 2 − .553
    assert row_of(table, "deeplabv3")["marks"] == ["≠ model", "≠ recipe"]


def test_notes_are_of_the_task_and_the_worst_comes_first(task):
    texts = [note["text"] for note in task["notes"]]
    assert texts[0].startswith("7 of the 40 test images leak") and "stray pixels: 13" in texts
    assert not any("xml without image" in text for text in texts)


def test_scores_without_leaking_images_stand_behind_a_switch():
    data = {"counts": {"train": 9, "test": 5}, "phantom": False, "fingerprint": "f" * 64}
    leak = {"n": 2, "description": "2 of 5", "images": ["a", "b"]}
    content = net("unet", 0.7, 10, data={**data, "leakage": leak})
    content["scores"]["dice:no-leak"] = {**content["scores"]["dice"], "value": 0.65, "low": 0.6}
    all_rows = rows([content, net("tiny", 0.4, 10)], [])
    found = view.list_tables(all_rows, view.Site({}, {}, {}, view.name_rows(all_rows)))[0]
    assert found["without"] == "without 2 leaking images"
    assert row_of(found, "unet")["clean"] == {"text": ".650", "interval": [0.6, 0.65, 0.75]}
    assert "clean" not in row_of(found, "tiny")


# ---- tests between rows


def test_ties_join_neighbours_that_no_test_tells_apart(task):
    (comparison,) = table_of(task, "usbench")["comparisons"]
    ids = {row["id"]: row["name"] for row in table_of(task, "usbench")["rows"]}
    assert [ids[row] for row in comparison["rows"]] == ["deeplabv3", "unet", "segformer", "tiny"]
    assert comparison["ties"] == [(1, 2), (2, 3)] and comparison["groups"] == 30
    first = comparison["pairs"][0]  # deeplabv3 − unet: .8 − .65, Holm's p of six
    assert first == (0, 1, 0.15, 0.11, 0.19, 0.0001, 0.0006)
    assert table_of(task, "kumar2025-cnn")["comparisons"] == []


def test_a_page_carries_the_tests_of_the_best_rows():
    pairs = tuple(
        PairDifference(better, worse, 0.1, 0.05, 0.15, 0.5, 1.0)
        for better, worse in combinations(range(MOST_ROWS + 2), 2)
    )
    comparison = Comparison(tuple((f"r{n}",) for n in range(MOST_ROWS + 2)), 9, pairs)
    assert len(shown_pairs(comparison)) == math.comb(MOST_ROWS, 2)
    assert list(find_ties(comparison)) == [(0, MOST_ROWS + 1)]  # of all


def test_nothing_ties_where_nothing_was_tested():
    pair = PairDifference(0, 1, 0.1, 0.05, 0.15, None, None)
    assert list(find_ties(Comparison((("a",), ("b",)), 5, (pair,)))) == []


def test_what_tests_can_show_is_said_in_the_markdown_and_on_the_page(task):
    (comparison,) = table_of(task, "usbench")["comparisons"]
    text = to_markdown(ranked_rows()[0], DATASETS)
    assert comparison["notes"] and all(note in text for note in comparison["notes"])


# ---- the page


def test_the_same_results_give_the_same_bytes():
    first, second = (
        index.render_index(make_content(results), catalogue.view())
        for results in (RESULTS, RESULTS[::-1])
    )
    assert first == second


def test_the_first_screen_is_in_the_markup():
    page = index.render_index(make_content(), catalogue.view()).decode()
    before_data = page[: page.index('id="data"')]
    assert "deeplabv3 leads: Dice .800 [.750, .850]" in before_data
    assert '<time datetime="2026-11-28">' in before_data
    for term in legend.GLOSSARY:
        assert f"<dt>{term}</dt>" in before_data


def test_a_result_takes_less_than_4_kb():
    made = [net(f"network_{n:03d}", 0.5 + n / 2000, 10**7 + n) for n in range(400)]
    empty = len(index.render_index(make_content([]), catalogue.view()))
    full = len(index.render_index(make_content(made), catalogue.view()))
    assert (full - empty) / len(made) < 4096


def test_a_table_s_columns_are_those_of_the_markdown():
    data = view.page_data(make_content())
    text = to_markdown(ranked_rows()[0], DATASETS)
    for task in data["tasks"]:
        for table in task["tables"]:
            for row in table["rows"]:
                assert row["name"].replace("<", "&lt;") in text


# ---- links and titles


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("Kumar 2025, doi 10.1038/s41598-025-16275-z", ["https://doi.org/10.1038/s41598-025-16275-z"]),
        ("arXiv 2409.16441, a preprint", ["https://arxiv.org/abs/2409.16441"]),
        ("szuboy/FOCUS-dataset@e3f0888b README.md", ["https://github.com/szuboy/FOCUS-dataset/tree/e3f0888b"]),
        ("https://github.com/a/b@0f69025e README", ["https://github.com/a/b/tree/0f69025e"]),
        ("see https://x.org/a, https://x.org/a.", ["https://x.org/a"]),
        ("README of GRIT-Echo", []),
    ],
)  # fmt: skip
def test_addresses_become_links(text, links):
    assert [link["href"] for link in find_links(text)] == links


def test_sources_and_titles_are_short():
    assert short_source("Kumar 2025, doi 10.1038/x") == "Kumar 2025"
    assert short_source("https://github.com/a/b/blob/main/README.md") == "a/b"
    assert short_source("szuboy/FOCUS-dataset@e3f0888b README.md") == "szuboy/FOCUS-dataset"
    assert (
        short_title("Nerves and vessels for anaesthesia (usgra-seg)", "usgra")
        == "Nerves and vessels"
    )
    assert short_title("", "usgra") == "usgra"


# ---- the catalogue


def test_the_catalogue_lists_what_is_runnable_first_and_tells_all_on_demand():
    cards = catalogue.view()
    lines, details = catalogue_lines(cards), catalogue_details(cards)
    for kind in ("datasets", "models"):
        runnable = [line["command"] is not None for line in lines[kind]]
        assert runnable == sorted(runnable, reverse=True) and any(runnable)
        assert {line["id"] for line in lines[kind]} == details[kind].keys()
    usgra = next(line for line in lines["datasets"] if line["key"] == "usgra")
    assert usgra["facets"]["anatomy"] == ["nerve", "vessel"] and usgra["amounts"]["images"] == "244"
    assert json.loads(index.render_catalogue(cards).decode().partition("(")[2][:-3]) == json.loads(
        json.dumps(details)
    )


def test_a_dataset_s_bibtex_goes_with_it():
    datasets = [DatasetSummary("spinal", bibtex="@article{kumar}\n"), DATASETS[1]]
    data = view.page_data(make_content(RESULTS, datasets))
    assert {task["dataset"]: task["bibtex"] for task in data["tasks"]}[
        "spinal"
    ] == "@article{kumar}\n"


def test_each_tip_is_in_the_data_once():
    tips = {}
    data = index.share_tips(
        [{"tip": "a"}, {"rows": [{"tip": "b", "text": "x"}, {"tip": "a"}]}], tips
    )
    assert data == [{"tip": 0}, {"rows": [{"tip": 1, "text": "x"}, {"tip": 0}]}]
    assert list(tips) == ["a", "b"]
