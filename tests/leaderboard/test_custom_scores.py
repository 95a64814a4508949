"""Scores of a user's own metric on the leaderboard: name, direction, classes; as Markdown, CSV, page."""

from __future__ import annotations

import csv
import io

import pytest

from tests.leaderboard.test_leaderboard import figure, make_result
from usbench.leaderboard.build import build_rows
from usbench.leaderboard.columns import class_tables, score_columns
from usbench.leaderboard.csv_file import to_csv
from usbench.leaderboard.markdown import to_markdown
from usbench.leaderboard.page.view import page_data
from usbench.results.result import Result


def custom(value, higher_is_better=None):
    content = figure(value)
    return (
        content if higher_is_better is None else {**content, "higher_is_better": higher_is_better}
    )


def make_rows(*directions):
    """Two results, whose metric adds `area` (by class) and `odd`; directions: of `area` in each."""
    results = []
    for n, direction in enumerate(directions):
        by_class = {"dura": 0.25, "pia": 0.75}
        content = make_result(
            model=f"net{n}",
            run_id=f"{n}" * 12,
            scores={
                "dice": figure(0.7 - n / 10),
                "area": custom(0.5, direction),
                "odd": custom(2.0),
            },
            per_class={
                label: {"dice": figure(0.5), "area": custom(value, direction)}
                for label, value in by_class.items()
            },
        )
        content["config"] = {**content["config"], "metric": {"extra": {"area": {}, "odd": {}}}}
        results.append(Result.from_json(content))
    return build_rows(results, [])


@pytest.mark.parametrize(
    ("directions", "title"),
    [
        ((False, False), "area ↓"),
        ((True, True), "area ↑"),
        ((None, None), "area"),
        ((True, False), "area"),
    ],
)
def test_a_custom_score_has_a_column_behind_the_main_one(directions, title):
    rows = make_rows(*directions)
    titles = [column.title for column in score_columns(rows)]
    assert titles[titles.index("Dice") : titles.index("odd") + 1][-2:] == [title, "odd"]
    assert [name for name, _ in class_tables(rows)] == ["Dice", title]


def test_the_markdown_shows_it_and_its_classes():
    text = to_markdown(make_rows(False), [])
    assert "| area ↓ | odd |" in text
    assert "area ↓ by class:\n\n| model | recipe | dura | pia |" in text
    assert "odd by class" not in text


def test_the_csv_has_its_direction():
    lines = list(csv.DictReader(io.StringIO(to_csv(make_rows(False)))))
    directions = {line["score"]: line["higher_is_better"] for line in lines}
    assert directions == {"dice": "1", "area": "0", "odd": ""}
    assert {line["value"] for line in lines if line["score"] == "area"} == {"0.5"}


def test_the_page_has_it_and_its_classes():
    (task,) = page_data(make_rows(False), [], {}, {})["tasks"]
    (table,) = task["tables"]
    kinds = {column["title"]: column["kind"] for column in table["columns"]}
    assert kinds["area ↓"] == kinds["odd"] == "custom" and kinds["Dice"] == "main"
    part = {"title": "area ↓", "higher_is_better": False, "classes": ["dura", "pia"]}
    assert table["custom"] == {"area": part}
    assert [text[0] for text in table["rows"][0]["custom"]["area"]] == [0.25, 0.75]


def test_folds_have_the_mean_of_a_custom_score():
    """Case tables don't hold it, so it isn't pooled as other scores are."""
    results = []
    for fold in range(2):
        content = make_result(
            fold=fold,
            fold_series="f" * 12,
            run_id=f"{fold}" * 12,
            scores={"dice": figure(0.5), "area": custom(0.25 + fold / 2, False)},
            per_class={},
        )
        content["config"] = {**content["config"], "metric": {"extra": {"area": {}}}}
        results.append(Result.from_json(content))
    pooled = results[0].protocols[0]
    pooled = type(pooled)(pooled.name, pooled.version, "", {"dice": pooled.scores["dice"]}, {}, {})
    (row,) = build_rows(results, [], pool=lambda folds: [pooled])
    assert row.scores["area"].value == 0.5 and row.scores["area"].higher_is_better is False
