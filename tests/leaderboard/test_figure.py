"""results/leaderboard.svg: what is drawn of constructed rows, and that it is small and well formed."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from tests.helpers.paths import ROOT
from tests.leaderboard.test_findings import make_paper, make_row
from usbench.leaderboard.figure import draw_figure
from usbench.leaderboard.figure_marks import Scale, round_step
from usbench.leaderboard.findings import state_findings
from usbench.leaderboard.rows import RowScore

MAX_BYTES = 40_000
SVG = "{http://www.w3.org/2000/svg}"


def draw(*rows, theme="light"):
    return draw_figure(state_findings(rows, []), rows, theme)


def texts(figure):
    return ["".join(element.itertext()) for element in ET.fromstring(figure).iter(f"{SVG}text")]


TIED = [make_row("a", 0.9, (1, 2)), make_row("b", 0.88, (1, 2)), make_row("c", 0.5, (3, 3))]


def test_a_panel_has_the_finding_a_line_per_row_and_a_bracket_around_ties():
    shown = texts(draw(*TIED, make_paper(), make_row("prior", 0.1, origin="baseline")))
    assert shown[:3] == [
        "rings · masks",
        "Dice, higher is better · 40 test images",
        "a and b are tied: Dice .880 to .900",
    ]
    for text in ("1–2", "a", ".900[.850, .950]", "3", "U-Netprotocol unknown", "priorbaseline"):
        assert text in shown
    figure = draw(*TIED).decode()
    assert figure.count('class="tie"') == 1 and figure.count('class="bar model"') == 3 + 1  # + key


def test_a_baseline_off_the_scale_is_an_arrow_and_one_on_it_a_mark():
    far = draw(*TIED, make_row("prior", 0.1, origin="baseline")).decode()
    assert 'class="arrow"' in far and 'class="bar baseline"' not in far
    near = draw(*TIED, make_row("prior", 0.6, origin="baseline")).decode()
    assert 'class="arrow"' not in near and 'class="bar baseline"' in near


def test_older_versions_are_grey_and_published_marks_hollow():
    figure = draw(make_row("a", 0.9, old_version=True), make_paper()).decode()
    assert 'class="bar older"' in figure and 'class="published"' in figure
    assert "older version, unranked" in figure and 'class="model" cx' not in figure


def test_people_and_papers_alone_have_no_panel():
    shown = texts(draw(make_paper(), make_row("people", 0.7, origin="human")))
    assert "No result yet." in shown and "rings · masks" not in shown


def test_many_panels_and_rows_stay_small_and_say_how_many_more_there_are():
    rows = [
        replace(make_row(f"model with a long name {n}", 0.5 + n / 40, (1, 12), ranked=12),
                dataset=f"data{d}", leakage=7)
        for d in range(12) for n in range(12)
    ]  # fmt: skip
    figure = draw(*rows)
    assert len(figure) < MAX_BYTES
    assert "and 4 more on the leaderboard" in texts(figure)


def test_it_has_a_description_and_no_markup_of_strangers():
    figure = draw(make_row("<script>alert(1)</script>&\x1b", 0.7))
    root = ET.fromstring(figure)
    assert not list(root.iter(f"{SVG}script"))
    assert root.find(f"{SVG}title") is not None
    assert "rings · masks: " in root.findtext(f"{SVG}desc")


def test_one_value_without_an_interval_is_drawn():
    row = make_row("a", 0.0)
    assert ".000" in texts(draw(replace(row, scores={"dice": RowScore((0.0,))})))


@pytest.mark.parametrize(
    ("least", "step"), [(0.03, 0.05), (0.05, 0.05), (0.11, 0.2), (0.6, 1), (3, 5), (12, 20)]
)
def test_steps_are_round(least, step):
    assert round_step(least) == pytest.approx(step)


def test_the_scale_holds_all_ends():
    scale = Scale.of([make_row("a", 0.7, half=0.1), make_row("b", 0.5, half=0.1)])
    assert scale.ticks[0] <= 0.4 and scale.ticks[-1] >= 0.8
    assert scale.place(scale.ticks[0]) < scale.place(0.4001) < scale.place(0.8)


@pytest.mark.parametrize("name", ["leaderboard.svg", "leaderboard-dark.svg"])
def test_the_committed_figures_are_small(name):
    figure = (ROOT / "results" / name).read_bytes()
    assert len(figure) < MAX_BYTES and ET.fromstring(figure).tag == f"{SVG}svg"
