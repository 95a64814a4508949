"""The page of the leaderboard and the catalogue: what stands on it, and what a reader does with it
in a browser."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from dataclasses import asdict, replace
from itertools import pairwise

import pytest

from tests.helpers.browser import opened, running
from tests.helpers.paths import ROOT
from tests.leaderboard.test_leaderboard import (
    ENTRY,
    by_the_paper,
    figure,
    make_result,
    markdown_of,
    paper,
    rows,
    written,
)
from usbench import catalogue
from usbench.cli import leaderboard, serve
from usbench.datasets.config import DatasetConfig
from usbench.errors import DataError, RunError
from usbench.leaderboard import legend
from usbench.leaderboard.markdown import to_markdown
from usbench.leaderboard.page import commands, document, index, view
from usbench.leaderboard.page.commands import RunCommand
from usbench.leaderboard.published import DatasetSummary, Note, read_datasets
from usbench.leaderboard.recipes import read_configs
from usbench.results.result import Result, Tuned
from usbench.results.store import save_result
from usbench.runner.overrides import overrides_to_keep
from usbench.runner.resolve import resolve_model

EVIL = "<script>window.evil = 1</script><img src=x onerror='window.evil = 2'>"
NOTES = (
    Note("leakage", f"7 of the 40 test images leak {EVIL}"),
    Note("defect", "stray pixels: 13", "segment"),
    Note("defect", "xml without image: 1", "detect"),
    Note("access", "two public archives"),
)


def scored(value, wide=0.05, **more):
    """Scores of a result with an interval, and per class."""
    scores = {"dice": figure(value, value - wide, value + wide), "iou": figure(value - 0.1)}
    classes = {"dura": {"dice": figure(value - 0.05)}, "pia": {"dice": figure(value + 0.05)}}
    primary = {"name": "dice", "value": value, "higher_is_better": True}
    return {"scores": scores, "per_class": classes, "primary": primary, **more}


def net(name, value, parameters, seed=0, **more):
    return make_result(seed=seed, model=name, parameters=parameters, **scored(value), **more)


BROKEN = {"status": "failed", "protocol": None, "primary": None, "scores": {}, "per_class": {}}
COST = {
    "macs": 10**9,
    "latency_ms": {"p50": 12.0},
    "fps": 83.0,
    "on": "a CPU",
    "device": "cpu",
    "threads": 2,
}
RESULTS = [
    net("unet", 0.7, 31_044_106, protocols={"kumar2025-cnn": by_the_paper(0.5)}),
    net("unet", 0.6, 31_044_106, seed=1, protocols={"kumar2025-cnn": by_the_paper(0.6)}),
    make_result(seed=2, model="unet", reason=f"out of memory {EVIL}", **BROKEN),
    net(
        "deeplabv3",
        0.8,
        40_000_000,
        recipe="quick",
        cost=COST,
        protocols={"kumar2025-cnn": by_the_paper(0.4)},
    ),
    net("segformer", 0.5, 50_000_000, cost={**COST, "latency_ms": {"p50": 30.0}}),
    net("tiny", 0.4, 1_000_000),
    net(f"net {EVIL}", 0.3, 60_000_000),
    net("prior", 0.1, None, origin="baseline", recipe=None, seed=None),
    net("human-agreement", 0.9, None, origin="human", recipe=None, seed=None),
    net("unet", 0.33, 31_044_106, dataset="spinal_human", trained_on="spinal"),
]
SPINAL = DatasetSummary(
    "spinal",
    title=f"Porcine cord {EVIL}",
    licence=f"none declared {EVIL}",
    citation=f"Kumar et al. 2025 {EVIL}",
    published=(
        paper(note=f"as stated {EVIL}"),
        paper(name="DeepLabv3", model="deeplabv3", scores={"dice": 0.587}),
        paper(
            name="Old net", protocol="unknown", model=None, why="no package", scores={"dice": 0.5}
        ),
    ),
    notes=NOTES,
)
DATASETS = [SPINAL, DatasetSummary("spinal_human")]
UNETS = [r["run_id"] for r in RESULTS if r["model"] == "unet" and r["dataset"] == "spinal"]
LINKS = {UNETS[0]: "spinal/segment/unet-s0.html", UNETS[1]: "spinal/segment/unet-s1.html"}
OVERRIDES = ("dataset=spinal", "source=real", "model=unet", "recipe=kumar2025", "precision=bf16")
RUNS = {
    run_id: RunCommand(OVERRIDES, seed, None, reproducible=seed < 2)
    for seed, run_id in enumerate(UNETS)
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The page and a stand-in for one result's page."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "index.html").write_bytes(
        index.render_index(rows(RESULTS, DATASETS), DATASETS, catalogue.view(), LINKS, RUNS)
    )
    path = folder / LINKS[UNETS[0]]
    path.parent.mkdir(parents=True)
    path.write_text(
        "<!doctype html><title>result</title><h1>unet, seed 0</h1>"
        "<a href='../../index.html'>leaderboard</a>"
    )
    return folder / "index.html"


@pytest.fixture(scope="module")
def browser():
    with running() as started:
        yield started


@pytest.fixture
def page(site, browser):
    """The page, opened afresh."""
    with opened(site, within=browser) as shown:
        shown.wait_for_selector("table.heat")  # drawn last, below the first table
        yield shown


def names(page):
    """The models of the first table, from above."""
    return page.eval_on_selector_all(
        "details[open] .tabulator-row button.plain", "all => all.map((one) => one.innerText)"
    )


def until(page, expression):
    """Wait until an expression holds in the page; its content security policy forbids Playwright's
    own way."""
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(25)
    raise AssertionError(f"never: {expression}")


def sideways(page):
    return page.evaluate("[document.scrollingElement.scrollWidth, innerWidth]")


# ---- what a reader does


@pytest.mark.process
def test_it_opens_from_disk_where_most_results_are(page):
    assert (
        page.title().startswith("usbench")
        and page.locator(".content h2").first.inner_text() == "spinal · segment"
    )
    assert page.locator("details.protocol[open]").count() == 1
    assert names(page)[:4] == ["deeplabv3", "unet", "segformer", "tiny"]
    assert names(page)[5:] == ["human agreement", "prior"]
    text = page.locator("details.protocol[open]").inner_text()
    assert ".650 [.600, .700]" in text and "2 of 3 (SD .071)" in text  # as in the Markdown


@pytest.mark.process
@pytest.mark.parametrize(
    ("column", "first", "again"),
    [
        ("dice", "deeplabv3", "net <script>"),
        ("parameters", "net <script>", "tiny"),
        ("recipe", "unet", "deeplabv3"),  # kumar2025 before quick
    ],
)
def test_a_column_sorts_its_groups_both_ways(page, column, first, again):
    button = page.get_by_role("button", name=column, exact=True).first
    button.click()
    assert names(page)[0].startswith(first)
    assert (
        page.locator(".tabulator-col[aria-sort]").filter(has_text=re.compile(f"^{column}$")).count()
    )
    button.click()
    assert names(page)[0].startswith(again) and names(page)[5:] == ["human agreement", "prior"]


@pytest.mark.process
def test_a_filter_leaves_one_model_here_and_in_the_drawings(page):
    page.get_by_label("Model", exact=True).first.select_option("unet")
    until(page, "document.querySelectorAll('table.heat tbody tr').length === 1")
    assert names(page) == ["unet"]
    page.get_by_label("Model", exact=True).first.select_option("")
    page.get_by_label("Filter rows").first.fill("QUICK")
    until(page, "document.querySelectorAll('table.heat tbody tr').length === 1")
    assert names(page) == ["deeplabv3"]
    page.get_by_label("Filter rows").first.fill("no such model")
    assert "No row fits these filters" in page.locator("details.protocol[open]").inner_text()


@pytest.mark.process
def test_groups_fold_and_so_do_protocols(page):
    ours = page.get_by_role("button", name="Our runs (5)")
    ours.click()
    until(page, "document.querySelector('.tabulator-group button').ariaExpanded === 'false'")
    assert names(page) == ["human agreement", "prior"]
    ours.click()
    until(page, "document.querySelector('.tabulator-group button').ariaExpanded === 'true'")
    assert len(names(page)) == 7
    page.locator("details.protocol > summary").nth(1).click()
    page.wait_for_selector("details.protocol:nth-of-type(3) .tabulator-row")
    page.locator("details.protocol > summary").first.click()
    assert set(names(page)) == {
        "unet",
        "deeplabv3",
        "U-Net",
        "DeepLabv3",
    }  # another protocol, another table


@pytest.mark.process
def test_further_columns_are_there_when_asked_for(page):
    header = page.get_by_role("columnheader").filter(has_text=re.compile("^iou$"))
    assert not header.first.is_visible()
    page.get_by_label("Columns").first.select_option("all")
    assert header.first.is_visible()


@pytest.mark.process
def test_the_protocol_in_words_is_one_click_away(page):
    button = page.get_by_role("button", name="About the protocol").first
    button.click()
    assert "foreground, native size" in page.get_by_role("dialog").inner_text()
    page.keyboard.press("Escape")
    until(page, "!document.querySelector('dialog[open]')")
    assert button.evaluate("one => one === document.activeElement")


@pytest.mark.process
def test_from_a_row_to_its_result_and_back(page):
    page.get_by_role("link", name="Result page of unet (kumar2025), seed 0").first.click()
    page.wait_for_selector("h1:text('unet, seed 0')")
    page.go_back()
    page.wait_for_selector("table.heat")
    assert page.locator(".content h2").first.inner_text() == "spinal · segment"


@pytest.mark.process
def test_a_row_says_how_it_is_made_and_the_command_is_copied(page):
    page.get_by_role("button", name="unet", exact=True).first.click()
    dialog = page.get_by_role("dialog")
    command = (
        "python -m usbench -m dataset=spinal source=real model=unet recipe=kumar2025 "
        "precision=bf16 seed=0,1"
    )
    dialog.get_by_role("button", name="Copy the command", exact=True).click()
    page.wait_for_selector("#said:text('Copied')", state="attached")
    assert page.evaluate("navigator.clipboard.readText()") == command
    dialog.get_by_text("Exactly these results again").click()
    assert f"usbench reproduce {UNETS[1]}" in dialog.inner_text()
    assert dialog.get_by_role("link", name="seed 1").get_attribute("href") == LINKS[UNETS[1]]
    dialog.get_by_role("button", name="Copy the citation").click()
    page.wait_for_function(
        "navigator.clipboard.readText()"
        ".then((text) => text.startsWith('Kumar et al. 2025 <script>'))"
    )


@pytest.mark.process
def test_what_differs_from_the_published_row_is_explained(page):
    page.locator("details.protocol > summary").nth(1).click()
    fold = page.locator("details.protocol").nth(1)
    fold.locator("figure").first.wait_for()
    marks = fold.locator(".tabulator-row").filter(has_text="deeplabv3").locator(".mark")
    assert marks.all_inner_texts() == [
        "≠ model",
        "≠ recipe",
    ]  # 40 M parameters against 31 M, quick against the paper's
    marks.last.focus()  # by keyboard as by pointer
    tip = page.locator("#tip")
    assert tip.is_visible() and "training recipe" in tip.inner_text()
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    fold.get_by_text("What ≠ means").click()
    assert "Another training recipe" in fold.locator("dl").inner_text()
    assert "−.003" in fold.inner_text()  # (.5 + .6) / 2 − .553


@pytest.mark.process
def test_the_front_of_score_against_cost_by_hand(page):
    """tiny 1 M .4 · unet 31 M .65 · deeplabv3 40 M .8 are beaten by none; segformer, 50 M .5, costs
    more than better ones."""
    figure_ = page.locator("figure").filter(has_text="Score against cost")
    figure_.get_by_text("As a table").click()
    table = page.eval_on_selector_all(
        "table.front tbody tr",
        "all => all.map((one) => [...one.children].map((cell) => cell.innerText))",
    )
    assert [(line[0].split()[0], line[3]) for line in table] == [
        ("tiny", "yes"),
        ("unet", "yes"),
        ("deeplabv3", "yes"),
        ("segformer", "no"),
        ("net", "no"),
    ]
    options = figure_.locator("option").all_inner_texts()
    assert options == [
        "parameters",
        "latency p50 of one image, ms, on a CPU",
    ]  # no two machines on one axis
    figure_.get_by_label("Cost").select_option(options[1])
    assert page.locator("table.front tbody tr").count() == 2


@pytest.mark.process
def test_seeds_are_dots_and_classes_a_table_of_colours(page):
    assert (
        page.locator(".tabulator-row").filter(has_text="unet").locator(".whisker circle").count()
        == 2
    )
    dots = (
        page.locator("figure")
        .filter(has_text="Scores, seeds and intervals")
        .locator("svg[role=img]")
    )
    assert dots.locator("circle").count() == 2 + 6  # unet's two seeds, six rows of one
    cells = page.locator("table.heat tbody tr").first.locator("td")
    assert cells.all_inner_texts() == [".750", ".850"]
    shares = cells.evaluate_all("all => all.map((one) => getComputedStyle(one).backgroundColor)")
    assert len(set(shares)) == 2


@pytest.mark.process
def test_failed_cells_notes_and_transfer_are_there(page):
    text = page.locator("#view-leaderboard").inner_text()
    assert (
        "7 of the 40 test images leak" in text
        and "stray pixels: 13" in text
        and "xml without image" not in text
    )
    page.locator("details.protocol > summary").filter(has_text="Failed or skipped").click()
    page.wait_for_selector("text=out of memory")
    page.get_by_role("link", name="transfer").click()
    page.wait_for_selector("h2:text('Transfer')")
    table = page.locator("#view-leaderboard .card table")
    assert table.locator("th").all_inner_texts() == [
        "model",
        "recipe",
        "trained on",
        "on spinal",
        "on spinal_human",
        "unet",
    ]
    assert table.locator("td").all_inner_texts()[2:] == [
        "dice .650 [.600, .700]",
        "dice .330 [.280, .380]",
    ]


@pytest.mark.process
def test_the_catalogue_is_the_second_view(page):
    page.get_by_role("link", name="Catalogue").click()
    assert (
        page.url.endswith("#catalogue")
        and page.evaluate("scrollY") == 0
        and not page.locator("#view-leaderboard").is_visible()
    )
    every = page.locator(".cards > li").count()
    assert every == len(catalogue.view()["datasets"])
    page.get_by_label("Filter cards").fill("usgra")
    assert 0 < page.locator(".cards > li").count() < every
    card = page.locator(".cards > li").filter(has_text="usgra").first
    assert (
        "python -m usbench dataset=usgra" in card.inner_text()
        and "runnable here" in card.inner_text()
    )
    assert "of 100" in card.get_by_role("img").get_attribute("aria-label")
    card.get_by_role("button").first.click()
    dialog = page.get_by_role("dialog")
    points = dialog.locator("table.parts tbody tr")
    (score,) = (card["score"] for card in catalogue.view()["datasets"] if card["key"] == "usgra")
    assert points.count() == len(score["parts"])
    page.keyboard.press("Escape")
    page.get_by_label("Show").select_option("models")
    page.get_by_label("Filter cards").fill("")
    page.get_by_label("Runnable").select_option("yes")
    assert page.locator(".cards > li").count() == sum(
        card["runnable"] for card in catalogue.view()["models"]
    )
    assert "its criteria are missing" in page.locator("#view-catalogue").inner_text()  # SonoDQS


@pytest.mark.process
def test_everything_by_keyboard_alone(page):
    def tab_to(label, most=60):
        for _ in range(most):
            page.keyboard.press("Tab")
            focused = page.evaluate(
                "((one) => [one.tagName, one.innerText || ''])(document.activeElement)"
            )
            if focused[0] in ("A", "BUTTON") and focused[1].strip().startswith(label):
                return page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        raise AssertionError(f"no {label} within {most} steps")

    assert tab_to("Skip to the content", 1) != "none"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    assert tab_to("About the protocol") != "none"
    page.keyboard.press("Enter")
    assert page.get_by_role("dialog").is_visible()
    page.keyboard.press("Escape")
    assert tab_to("parameters") != "none"
    page.keyboard.press("Enter")
    assert names(page)[0].startswith("net")
    assert tab_to("Our runs") != "none"
    page.keyboard.press("Enter")
    until(page, "document.querySelector('.tabulator-group button').ariaExpanded === 'false'")
    assert names(page) == ["human agreement", "prior"]
    tab_to("prior")
    page.keyboard.press("Enter")
    assert "usbench sanity" in page.get_by_role("dialog").inner_text()
    page.keyboard.press("Escape")
    page.keyboard.press("Home")
    page.evaluate("document.querySelector('nav.tabs a').focus()")
    tab_to("Catalogue", 1)
    page.keyboard.press("Enter")
    page.wait_for_selector(".cards > li")


@pytest.mark.process
def test_a_phone_scrolls_no_page_sideways(site, browser):
    with opened(site, 375, 800, within=browser) as page:
        page.wait_for_selector(".tabulator-row .whisker")
        for where in (
            "leaderboard/spinal/segment",
            "leaderboard/spinal_human/segment",
            "leaderboard/transfer",
            "catalogue",
        ):
            page.evaluate(f"location.hash = '{where}'")
            page.wait_for_timeout(250)
            page.evaluate(
                "document.querySelectorAll('details').forEach((one) => { one.open = true; })"
            )
            page.wait_for_timeout(250)
            assert sideways(page) == [375, 375], where
        page.evaluate("location.hash = 'leaderboard/spinal/segment'")
        page.get_by_label("Dataset and task").select_option("spinal_human/segment")
        page.wait_for_selector("h2:text('spinal_human')")
        assert page.locator(".content h2").first.inner_text() == "spinal_human · segment"
        page.get_by_role("button", name="unet · trained on spinal").first.click()
        assert sideways(page) == [375, 375]


@pytest.mark.process
def test_no_text_is_read_as_html(page):
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page.wait_for_selector("text=out of memory")
    page.get_by_role("button", name="net <script>").first.click()
    assert EVIL in page.get_by_role("dialog").inner_text()
    assert page.evaluate("window.evil") is None
    assert page.locator("img, script[src], iframe, link").count() == 0
    assert page.locator("#view-leaderboard .lead").first.inner_text() == SPINAL.title


CONTRAST = """() => {
  const probe = document.body.appendChild(document.createElement("i"));
  const light = (name) => {
    probe.style.color = `var(${name})`;
    const [r, g, b] = getComputedStyle(probe).color.match(/[\\d.]+/g).map(Number)
      .map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) =>
    (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const fronts =
    ["--fg", "--muted", "--accent", "--good", "--warn", "--bad", "--ours", "--published"];
  const pairs =
    [["--fg", "--warn-soft"], ["--accent", "--soft"], ["--on-accent", "--accent"]];
  for (const front of fronts)
    for (const back of ["--bg", "--card", "--sunk"]) pairs.push([front, back]);
  const ratios = {};
  for (const [front, back] of pairs) ratios[`${front} on ${back}`] = ratio(front, back);
  return ratios;
}"""


@pytest.mark.process
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_stand_out_in_both_themes_and_the_other_can_be_chosen(site, browser, theme):
    with opened(site, theme=theme, within=browser) as page:
        low = {pair: ratio for pair, ratio in page.evaluate(CONTRAST).items() if ratio < 4.5}
        assert low == {}
        before = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.get_by_role("button", name=re.compile("theme")).click()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
        page.reload()  # the choice is kept
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before


@pytest.mark.process
def test_a_screen_reader_finds_landmarks_labels_and_headers(page):
    for role in ("banner", "main", "contentinfo"):
        assert page.get_by_role(role).count() == 1
    assert page.get_by_role("navigation").count() == 2
    unlabelled = (
        "all => all.filter((one) => !one.labels.length && !one.getAttribute('aria-label')).length"
    )
    assert (
        page.eval_on_selector_all("#view-leaderboard input, #view-leaderboard select", unlabelled)
        == 0
    )
    assert page.get_by_role("grid", name="usbench 1, dice").count() == 1
    assert page.locator("svg:not([role=img]):not([aria-hidden=true])").count() == 0
    assert page.eval_on_selector_all("table th:not([scope])", "all => all.length") == 0
    levels = [
        int(tag[1])
        for tag in page.eval_on_selector_all(
            "h1, h2, h3, h4", "all => all.map((one) => one.tagName)"
        )
    ]
    assert levels[0] == 1 and all(b - a <= 1 for a, b in pairwise(levels))


@pytest.mark.process
def test_on_paper_stands_the_table_without_the_tools(page):
    page.emulate_media(media="print")
    assert (
        not page.locator(".tools").first.is_visible() and not page.locator("nav.tabs").is_visible()
    )
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    table = page.locator("table.tabulator-print-table")
    rows_ = table.locator("tr").all_inner_texts()
    assert table.is_visible() and not page.locator(".tabulator").first.is_visible()
    assert (
        len(rows_) == 1 + 3 + 7
        and rows_[1] == "Our runs"
        and rows_[2].startswith("deeplabv3\tquick\t.800")
    )
    styles = "one => [getComputedStyle(one).breakInside, getComputedStyle(one).printColorAdjust]"
    assert page.locator(".protocol").first.evaluate(styles) == [
        "auto",
        "exact",
    ]  # longer than a sheet; coloured swatches


@pytest.mark.process
def test_a_leaderboard_without_any_row_says_so_and_still_has_its_catalogue(tmp_path, browser):
    (tmp_path / "index.html").write_bytes(index.render_index([], [], catalogue.view(), {}, {}))
    with opened(tmp_path / "index.html", within=browser) as page:
        assert "No result yet." in page.locator("main").inner_text()
        page.evaluate("location.hash = '%'")  # no address of ours
        page.get_by_role("link", name="Catalogue").click()
        page.wait_for_selector(".cards > li")


# ---- what tests can show


def test_what_tests_can_show_by_hand():
    """SE .02: p < .05 near 1.96 × .02 = .039; 80 % power at 2.8 × .02 = .056."""
    assert legend.describe_resolution(0.0392, 0.056, "dice") == (
        "Between the two best, p < .05 begins near a difference of .039 Dice (before Holm's "
        "correction); a true difference of .056 is detected with 80 % probability."
    )


@pytest.mark.parametrize(
    ("groups", "models", "text"),
    [
        (5, 2, "With 5 groups the smallest possible p is .062:"),  # 2/32
        (6, 2, ""),  # 2/64 = .031
        (6, 3, "With 6 groups the smallest possible p is .031, with Holm's correction for 3 pairs .094:"),
        (7, 3, ""),  # 3 · 2/128 = .047
        (7, 4, "With 7 groups the smallest possible p is .016, with Holm's correction for 6 pairs .094:"),
        (13, 32, ""),  # 496 / 10,000
        (13, 33, "With 13 groups the smallest possible p is .0001, with Holm's correction for 528 pairs .053:"),
    ],
)  # fmt: skip
def test_too_few_groups_for_any_significant_difference_are_stated(groups, models, text):
    said = legend.describe_smallest_p(groups, models)
    assert said.startswith(text) and bool(said) == bool(text)
    assert not said or said.endswith("no difference here can be significant at .05.")


def test_the_leaderboard_and_its_page_state_it():
    made = rows(RESULTS, DATASETS)
    for place, row in enumerate(made):
        if row.protocol == "usbench" and row.dataset == "spinal" and row.origin == "run":
            made[place] = replace(
                row, ranked=3, significant_from=0.0392, resolution=0.056, compared_groups=6
            )
    expected = [legend.describe_resolution(0.0392, 0.056, "dice"), legend.describe_smallest_p(6, 3)]
    text = to_markdown(made, DATASETS)
    assert all(text.count(line) == 1 for line in expected)
    table = view.page_data(made, DATASETS, LINKS, RUNS)["tasks"][0]["tables"][0]
    notes = [note["text"] for note in table["notes"] if note["kind"] == "comparison"]
    assert notes == expected


# ---- what is written


def test_the_page_says_what_the_markdown_says_and_the_same_twice():
    all_rows = rows(RESULTS, DATASETS)
    data = view.page_data(all_rows, DATASETS, LINKS, RUNS)
    text = markdown_of(all_rows, DATASETS).replace("&lt;", "<")
    for task in data["tasks"]:
        for table in task["tables"]:
            for row in table["rows"]:
                parts = {part for cell in row["texts"] for part in cell.split("; ")} - {"ours"}
                assert all(part in text for part in parts), row
    assert [table["title"] for table in data["tasks"][0]["tables"]] == [
        "usbench 1",
        "kumar2025-cnn 1",
        "unknown",
        "Failed or skipped",
    ]
    assert data["start"] == "spinal/segment"
    first, second = (
        index.render_index(b, DATASETS, catalogue.view(), LINKS, RUNS)
        for b in (all_rows, rows(RESULTS[::-1], DATASETS))
    )
    assert first == second


@pytest.mark.process
def test_500_results_stay_under_3_mb_and_are_paged(tmp_path, browser):
    """500 recipes under two protocols each, a row of its own each."""
    made = [
        net(
            f"network_{n:03d}",
            0.5 + n / 2000,
            10**7 + n,
            protocols={"kumar2025-cnn": by_the_paper(0.5)},
        )
        for n in range(500)
    ]
    links = {
        content["run_id"]: f"spinal/segment/{content['model']}-s0-{content['run_id']}.html"
        for content in made
    }
    runs = {
        content["run_id"]: RunCommand(OVERRIDES, 0, None, reproducible=True) for content in made
    }
    page = index.render_index(rows(made, DATASETS), DATASETS, catalogue.view(), links, runs)
    assert len(page) < 3 * 2**20
    (tmp_path / "index.html").write_bytes(page)
    with opened(tmp_path / "index.html", within=browser) as shown:
        shown.wait_for_selector(".tabulator-row .whisker")
        first = names(shown)
        assert len(first) == 50 and first[0] == "network_499"
        shown.get_by_role("button", name="Next Page").click()
        until(
            shown,
            "document.querySelector('.tabulator-row button.plain').innerText === 'network_449'",
        )
        shown.get_by_label("Filter rows").first.fill("network_007")
        until(shown, "document.querySelectorAll('.tabulator-row button.plain').length === 1")


def test_data_can_t_end_their_element_and_libraries_can_t_either(tmp_path, monkeypatch):
    text = document.as_json({"a": "</script><!--", "b": "\u2028"})
    assert "<" not in text and json.loads(text) == {"a": "</script><!--", "b": "\\u2028"}
    monkeypatch.setattr(document, "ASSETS", tmp_path)
    document.asset.cache_clear()
    (tmp_path / "x.js").write_text('const end = "</SCRIPT>";')
    with pytest.raises(ValueError, match=r"x\.js"):
        document.inline_asset("script", "x.js")
    document.asset.cache_clear()


@pytest.fixture
def place(tmp_path):
    """Options of usbench leaderboard for two results, a phantom's and a published row."""
    for content in (net("unet", 0.7, 1), net("unet", 0.6, 1, seed=1)):
        save_result(tmp_path / "results", Result.from_json(content))
    phantom = make_result(0.987, 2, data={**make_result()["data"], "phantom": True})
    save_result(tmp_path / "results", Result.from_json(phantom))
    conf = written(tmp_path / "conf", [ENTRY])
    return [
        f"--results={tmp_path / 'results'}",
        f"--runs={tmp_path / 'runs'}",
        f"--config-dir={conf}",
    ]


def test_the_command_writes_pages_and_checks_them(place, tmp_path, capsys):
    top = tmp_path / "results"
    assert leaderboard.main([*place, "--check"]) == 1 and not (top / "index.html").exists()
    assert leaderboard.main(place) == 0
    files = {
        path: path.read_bytes()
        for path in sorted(top.rglob("*"))
        if path.suffix in (".html", ".css", ".js") or path.name == "README.md"
    }
    page = (top / "index.html").read_text("utf-8")
    pages = [path.relative_to(top).as_posix() for path in files if path.parent.name == "segment"]
    assert len(pages) == 2 and all(f'"{name}"' in page for name in pages)  # a page of each, linked
    assert ".987" not in page and "987" not in json.dumps(pages)  # of no phantom
    assert leaderboard.main([*place, "--check"]) == 0
    shutil.rmtree(tmp_path / "runs")
    assert leaderboard.main(place) == 0
    assert files == {path: path.read_bytes() for path in files}
    for path in (
        top / "index.html",
        top / "README.md",
        top / pages[0],
        top / "assets" / "page.css",
    ):
        path.write_bytes(path.read_bytes() + b" ")
        capsys.readouterr()
        assert leaderboard.main([*place, "--check"]) == 1
        assert capsys.readouterr().err.startswith(str(path))
        assert leaderboard.main(place) == 0 and path.read_bytes() == files[path]


def test_the_committed_leaderboard_and_its_pages_are_what_the_results_give(tmp_path):
    assert leaderboard.main(["--check", "--runs", str(tmp_path / "runs")]) == 0


def test_a_page_whose_result_is_gone_goes_too(place, tmp_path, capsys):
    assert leaderboard.main(place) == 0
    left = next((tmp_path / "results").glob("*/*/*.html")).with_name("gone-s0-0123456789ab.html")
    left.write_text("of a result that was removed")
    assert (
        leaderboard.main([*place, "--check"]) == 1
        and left.name in capsys.readouterr().err
        and left.exists()
    )
    assert leaderboard.main(place) == 0 and not left.exists()
    assert leaderboard.main([*place, "--check"]) == 0


def test_phantoms_have_no_page(place, tmp_path):
    assert leaderboard.main([*place, "--phantom"]) == 0
    assert (tmp_path / "results" / "phantom" / "LEADERBOARD.md").exists()
    assert not list((tmp_path / "results").rglob("*.html"))


def test_what_a_dataset_leaks_and_lacks_is_read_from_its_yaml():
    notes = {dataset.name: dataset.notes for dataset in read_datasets(ROOT / "conf")}
    kinds = [(note.kind, note.task) for note in notes["spinal"]]
    assert kinds == [
        ("defect", "segment"),
        ("defect", "detect"),
        ("groups", ""),
        ("split", ""),
        ("access", ""),
    ]
    assert (
        notes["spinal"][0].description == "stray pixels: 13"
        and "7 of the 40" in notes["usgra"][0].description
    )


# ---- commands


SHIPPED = read_configs(ROOT / "conf")


def made_by(compose, *overrides, asked=None):
    """A result as a run with these overrides would leave it, as far as its command goes.

    asked: the overrides of a command that stand in the result; None: an older result without them.
    """
    config = compose(*overrides, "source=phantom")
    dataset = DatasetConfig.from_mapping(config["dataset"])
    recipe, model = resolve_model(config, dataset, real=True)
    content = make_result(
        dataset=config["dataset"]["name"],
        task=config["model"]["task"],
        model=model.name,
        recipe=recipe,
        seed=config["seed"],
        fold=config["fold"],
        precision="fp32",
        config={"model": asdict(model), "dataset": config["dataset"]},
    )
    if asked is not None:
        content["config"]["overrides"] = list(overrides_to_keep(asked))
    return Result.from_json({**content, "run_id": "k"})


OWN = ["dataset=usgra", "model=unet"]


@pytest.mark.parametrize(
    ("overrides", "more"),
    [
        (OWN, []),
        (
            [*OWN, "model.recipes.standard.lr=0.001", "model.build.encoder=resnet34"],
            ["encoder=resnet34", "lr=0.001"],
        ),
        ([*OWN, "model.recipes.standard.augment.rotate=5"], ["rotate=5"]),
        (
            [*OWN, "++model.recipes.standard.micro_batch=2"],
            ["++model.recipes.standard.micro_batch=2"],
        ),
        ([*OWN, "model.recipes.standard.size=128"], ["size=[128,128]"]),
        (["dataset=usgra", "model=yolov8", "seed=3"], []),
        (
            ["dataset=kidney", "model=unet", "dataset.annotator=2", "fold=1"],
            ["dataset.annotator=2"],
        ),
        (["dataset=spinal", "model=unet_kumar2025"], []),
    ],
)
def test_a_result_s_command_gives_its_run_again(compose, overrides, more):
    result = made_by(compose, *overrides)
    ((_, run),) = commands.find_commands([result], SHIPPED, SHIPPED).items()
    assert run.overrides is not None and run.overrides[:2] == (overrides[0], "source=real")
    assert len(run.overrides) == 5 + len(more) and all(
        any(w.endswith(m) for w in run.overrides) for m in more
    )
    again = made_by(
        compose,
        *run.overrides[:1],
        *run.overrides[2:],
        f"seed={run.seed}",
        *([] if run.fold is None else [f"fold={run.fold}"]),
    )
    assert again == result


@pytest.mark.parametrize(
    "change",
    [
        {"model": "a-lab's own"},
        {"tuned": Tuned("x", 3, 0, 0.5, {}, (0,))},
        {"recipe": "gone"},
    ],
)
def test_a_result_that_no_short_command_describes_has_none(compose, change):
    result = replace(made_by(compose, *OWN), **change)
    (command,) = commands.find_commands([result], SHIPPED, SHIPPED).values()
    assert command == RunCommand(None, 0, None, reproducible=True) and command.notes() == []


RINGS = {"dataset": "rings", "model": "threshold"}


@pytest.mark.parametrize(
    ("asked", "names", "expected"),
    [
        ([*OWN, "seed=3", "results=/home/me/results"], {}, []),
        ([*OWN, "model.recipes.standard.lr=0.001"], {}, ["model.recipes.standard.lr=0.001"]),
        ([*OWN, "dataset.split.val_share=0.3"], {}, ["dataset.split.val_share=0.3"]),
        (
            [*OWN, "dataset.root=/home/me/usgra", "metric.primary=iou"],
            {},
            ["dataset.root=DIR", "metric.primary=iou"],
        ),
        ([*OWN, "metric=area"], {}, ["metric=area", "--config-dir DIR"]),
        (
            ["dataset=rings", "model=threshold", "metric=area", "epochs=3"],
            RINGS,
            ["epochs=3", "metric=area", "--config-dir DIR"],
        ),
        (
            ["dataset=folder", "dataset.name=liver", 'dataset.group="^(p\\d+)_"', "model=unet"],
            {"dataset": "liver"},
            ["dataset.name=liver", 'dataset.group="^(p\\d+)_"'],
        ),
    ],
)
def test_a_command_has_what_was_asked_for_and_no_folder(compose, asked, names, expected):
    known = [word for word in asked if word.startswith("model.")]
    result = replace(made_by(compose, *OWN, *known, asked=asked), **names)
    (run,) = commands.find_commands([result], SHIPPED, SHIPPED).values()
    arguments = shlex.split(commands.result_command(result, run))
    option = ["--config-dir", "DIR"] if "--config-dir DIR" in expected else []
    chosen = [
        next(word for word in asked if word.startswith(key)) for key in ("dataset=", "model=")
    ]
    assert arguments == [
        *["python", "-m", "usbench", *option, chosen[0], "source=real", chosen[1]],
        *["recipe=standard", "precision=fp32"],
        *[word for word in expected if word != "--config-dir DIR"],
        "seed=0",
    ]
    assert "/home/me" not in repr(result)


def test_the_words_of_a_command_are_explained(compose):
    asked = ["dataset=rings", "dataset.root=/home/me/rings", "model=unet", "metric=area"]
    asked.append("model.build.weights=/home/me/best.pt")
    result = replace(made_by(compose, *OWN, asked=asked), dataset="rings")
    weights = {"from": "best.pt", "sha256": "ab"}
    result = replace(result, config={**result.config, "weights": weights})
    (run,) = commands.find_commands([result], SHIPPED, SHIPPED).values()
    assert run.own_files == ("dataset/rings.yaml", "metric/area.yaml")
    folder, root, path = run.notes()
    assert "holds dataset/rings.yaml and metric/area.yaml" in folder
    assert root.startswith("The DIR of dataset.root") and path.startswith("PATH: a file")
    assert "model.build.weights=PATH" in (run.overrides or ())
    command = commands.reproduce_command("k", run, ("--data", "data"))
    assert command == "usbench reproduce k --root DIR --weights FILE"


def test_other_results_on_a_dataset_of_one_s_own_need_its_configuration(compose):
    result = replace(made_by(compose, *OWN), dataset="rings", origin="baseline")
    (command,) = commands.find_commands([result], SHIPPED, SHIPPED).values()
    expected = "usbench sanity dataset=rings task=segment source=real --config-dir DIR"
    assert commands.result_command(result, command) == expected


def test_commands_of_rows():
    by_name = {(row.origin, row.name, row.protocol): row for row in rows(RESULTS, DATASETS)}
    by_row = {
        place[:2]: commands.row_command(row, RUNS)
        for place, row in by_name.items()
        if place[2] != "kumar2025-cnn" or place[0] == "published"
    }
    assert by_row["baseline", "prior"] == "usbench sanity dataset=spinal task=segment source=real"
    assert by_row["human", "human agreement"] == "usbench interrater dataset=spinal"
    assert (
        by_row["published", "U-Net"]
        == "python -m usbench dataset=spinal source=real model=unet recipe=kumar2025"
    )
    assert by_row["published", "Old net"] == "" and by_row["run", "tiny"] == ""
    theirs = replace(
        by_name["published", "U-Net", "kumar2025-cnn"], dataset="spinal_human", trained_on="spinal"
    )
    assert commands.row_command(theirs, {}).endswith(
        "recipe=kumar2025 'evaluate_on=[spinal_human]'"
    )
    outside = replace(by_name["baseline", "prior", "usbench"], origin="external", model="our model")
    expected = (
        "usbench score --task segment --dataset spinal --predictions PREDICTIONS --name 'our model'"
    )
    assert commands.row_command(outside, {}) == expected
    folds = {UNETS[n]: RunCommand(OVERRIDES, 0, n) for n in range(2)}
    assert commands.row_command(by_name["run", "unet", "usbench"], folds).endswith(
        "-m dataset=spinal source=real model=unet recipe=kumar2025 precision=bf16 seed=0 fold=0,1"
    )


# ---- the server


@pytest.mark.process
def test_the_server_shows_the_page_to_this_machine_alone(site, tmp_path):
    address_file = tmp_path / "address.json"
    command = [
        *(sys.executable, "-m", "usbench", "serve"),
        "--results",
        str(site.parent),
        "--port",
        "0",
    ]
    running_ = subprocess.Popen(
        [*command, "--json", str(address_file)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        line = running_.stdout.readline()
        address = json.loads(address_file.read_text())["address"]
        assert address in line and address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address, timeout=10) as response:
            assert response.read() == site.read_bytes()
    finally:
        running_.terminate()
        running_.wait(10)


def test_a_server_without_a_page_or_a_port_says_so(site, tmp_path):
    with pytest.raises(DataError, match=r"index\.html.*usbench leaderboard"):
        serve.open_server(tmp_path, 0)
    with serve.open_server(site.parent, 0) as first, pytest.raises(RunError, match="--port"):
        serve.open_server(site.parent, first.server_address[1])
