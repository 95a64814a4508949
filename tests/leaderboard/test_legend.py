"""Every title of a column has its entry in the glossary."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.helpers.paths import ROOT
from tests.leaderboard.test_custom_scores import make_rows
from tests.leaderboard.test_findings import make_row
from usbench.cli.leaderboard import build_ranked_rows
from usbench.leaderboard import legend
from usbench.leaderboard.build import build_rows
from usbench.leaderboard.cache import Cache
from usbench.leaderboard.columns import class_tables, failed_columns, fill_columns, score_columns
from usbench.leaderboard.published import read_datasets
from usbench.leaderboard.recipes import read_configs
from usbench.leaderboard.rows import TABLE_SCORES, RowScore
from usbench.results.format import SCORE_TITLES, score_title
from usbench.results.store import load_results


def tips(columns):
    return {column.title: column.tip for column in columns}


def all_columns(rows):
    """The columns of the tables of some rows."""
    tables = {}
    for row in rows:
        tables.setdefault((row.dataset, row.task, row.table), []).append(row)
    for part in tables.values():
        yield from score_columns(part)
        for _, by_class in class_tables(part):
            yield from by_class


def test_published_rows_have_no_column_without_a_meaning():
    assert all(tips(all_columns(build_rows([], read_datasets(ROOT / "conf")))).values())


def test_the_committed_results_have_no_column_without_a_meaning():
    folder = ROOT / "results"
    rows = build_ranked_rows(load_results(folder, False), [], read_configs(), folder, Cache())
    titles = tips(all_columns(rows))
    assert all(titles.values()) and {"rank", "Dice", "mAP50-95", "timed on"} <= titles.keys()


@pytest.mark.parametrize("task", TABLE_SCORES)
def test_every_score_that_tables_show_has_one(task):
    scores = {name: RowScore((0.5,)) for name in TABLE_SCORES[task]}
    row = replace(make_row("a", 0.5), task=task, scores=scores, primary=next(iter(scores)))
    assert all(tips(all_columns([row])).values())


def test_custom_scores_and_failures_have_one():
    titles = tips(all_columns(make_rows(False)))
    assert titles["area ↓"] == titles["odd"] == legend.GLOSSARY[legend.CUSTOM]
    assert titles["dura"] == legend.GLOSSARY[legend.CLASS]
    failed = fill_columns(failed_columns(), [replace(make_row("a", 0.5), note="x")])
    assert all(tips(failed).values())


def test_names_of_scores_are_words_and_differ():
    titles = [score_title(name) for name in SCORE_TITLES]
    assert len(set(titles)) == len(titles) and not [title for title in titles if "_" in title]
    assert score_title("sdr_px_4") == "within 4 px"
    assert score_title("dice:no-leak") == "Dice without leaking images"
    assert score_title("area", False) == "area ↓"
