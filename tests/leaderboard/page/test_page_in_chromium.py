"""The page as its readers use it, in Chromium, from disk and without a network."""

from __future__ import annotations

import re

import pytest

from tests.helpers.browser import opened, running
from tests.leaderboard.page.site import EVIL, LINKS, SPINAL, UNETS, make_content, net, write_site
from usbench import catalogue
from usbench.leaderboard.page import index

pytestmark = pytest.mark.process
TABLE = ".board tbody tr"
VIEWS = ["#results", "#compare/spinal/segment", "#datasets", "#method"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return write_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def browser():
    with running() as started:
        yield started


@pytest.fixture
def page(site, browser):
    """The page, opened afresh."""
    with opened(site, within=browser) as shown:
        shown.wait_for_selector(TABLE)
        yield shown


def names(page):
    """The models of the table, from above."""
    return page.locator(".board tbody button.name").all_inner_texts()


def until(page, expression):
    """Wait until an expression holds; the page's content security policy forbids Playwright's way."""
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(25)
    raise AssertionError(f"never: {expression}")


def go(page, address):
    page.evaluate(f"location.hash = {address!r}")
    page.wait_for_timeout(150)


def focused(page):
    return page.evaluate(
        "document.activeElement.dataset.key || document.activeElement.innerText || document.activeElement.id"
    )


def sideways(page):
    return page.evaluate("document.scrollingElement.scrollWidth - innerWidth")


# ---- results


def test_the_first_screen_says_who_leads_and_the_table_below_agrees(page):
    card = page.locator(".finding").first
    assert card.locator("h2").inner_text().startswith("deeplabv3 leads: Dice .800")
    assert names(page)[:5] == ["human agreement", "deeplabv3", "unet", "Old net", "segformer"]
    assert page.url.endswith("#results") and page.evaluate("scrollY") == 0
    assert page.locator(f"{TABLE} .mark.hollow").count() == 1  # published
    parts = page.eval_on_selector_all(
        f"{TABLE} .bracket",
        "all => all.map((one) => [one.closest('tr').querySelector('.name').innerText, one.className])",
    )
    assert parts == [  # unet ties with segformer across a published row, that with tiny
        ["unet", "bracket start"],
        ["Old net", "bracket through"],
        ["segformer", "bracket end"],
        ["segformer", "bracket start"],
        ["tiny", "bracket end"],
    ]


def test_an_axis_by_hand(page):
    """Models from .61 to .79: ticks at .60, .65 …; a baseline at .1 is off scale, one at .55 widens it."""
    low, high, ticks = (
        page.evaluate("""() => { const {low, high, ticks} = usbench.scale.make([[.61, .7, .79]], [[0, .1, .2]]);
      return [low, high, ticks.length]; }""")
    )
    assert (round(low, 9), round(high, 9), ticks) == (0.6, 0.8, 5)
    assert page.evaluate(
        "usbench.scale.make([[.61, .7, .79]], [[null, .55, null]]).low"
    ) == pytest.approx(0.55)
    text = "usbench.scale.interval(usbench.scale.make([[.61, .7, .79]]), [0, .1, .2], 'baseline').textContent"
    assert page.evaluate(text) == "◂ off scale"


@pytest.mark.parametrize(
    ("key", "first", "again"),
    [("score", "human agreement", "prior"), ("parameters", "net <script>", "tiny"), ("model", "deeplabv3", "unet")],
)  # fmt: skip
def test_a_heading_sorts_both_ways_keeps_the_focus_and_back_undoes_it(page, key, first, again):
    before = names(page)
    button = page.locator(f"[data-key='{key}']")
    button.click()
    assert names(page)[0].startswith(first) and focused(page) == key
    assert page.locator("th[aria-sort]").count() == 1 and "sort=" in page.url
    page.locator(f"[data-key='{key}']").click()
    known = [name for name in names(page) if name]
    assert known[0].startswith(again) or again in known[-8:]
    page.go_back()
    page.go_back()
    until(page, "!document.querySelector('th[aria-sort]')")
    assert names(page) == before


def test_an_address_has_the_whole_state(site, browser):
    with opened(site, within=browser) as page:
        ids = f"{UNETS[0]},old-net"
        state = f"#results/spinal/segment?protocol=kumar2025-cnn&sort=model&cols=score,iou&rows={ids}&q=net"
        page.goto(site.as_uri() + state)
        page.wait_for_selector(TABLE)
        assert page.get_by_label("Scored by").input_value() == "kumar2025-cnn"
        assert page.get_by_label("Filter", exact=True).input_value() == "net"
        headings = page.locator(".board thead button.sort").all_inner_texts()
        assert headings == ["model", "Dice ↑", "result"] or "IoU" in headings
        assert names(page) == sorted(names(page), key=str.lower) and "Old net" in names(page)
        assert page.locator(f"{TABLE} input:checked").count() == 2
        assert page.locator("a.button.main").inner_text() == "Compare 2 models"


def test_the_protocol_is_a_switch_and_says_what_it_does(page):
    page.get_by_label("what the protocol does").focus()
    assert "foreground, native size" in page.locator("#tip").inner_text()
    page.get_by_label("Scored by").select_option("kumar2025-cnn")
    assert "U-Net" in names(page) and "protocol=kumar2025-cnn" in page.url
    assert page.locator(TABLE).filter(has_text="≠ model").count() == 1
    page.locator(".differs").first.hover()
    assert "parameters" in page.locator("#tip").inner_text()


def test_further_columns_are_in_a_menu_and_in_the_csv(page):
    assert page.locator("[data-key='iou']").count() == 0
    page.get_by_role("button", name="Columns").click()
    page.get_by_label("IoU", exact=True).check()
    assert page.locator("[data-key='iou']").count() == 1
    assert page.evaluate("document.activeElement.type") == "checkbox"
    page.keyboard.press("Escape")
    assert focused(page).startswith("Columns")
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    lines = download.value.path().read_text("utf-8").splitlines()
    assert download.value.suggested_filename == "spinal-segment-usbench.csv"
    assert lines[0].startswith("dataset,task,protocol,images,model")
    assert "IoU" in lines[0] and len(lines) == 1 + len(names(page))
    assert any(
        line.startswith("spinal,masks,usbench 1,all,unet,kumar2025,run,0.65,0.6,0.7,")
        for line in lines
    )
    assert any(",unknown," in line for line in lines)


def test_a_filter_leaves_what_fits(page):
    page.get_by_label("Filter", exact=True).fill("DEEPLAB")
    until(page, "document.querySelectorAll('.board tbody tr').length === 1")
    assert names(page) == ["deeplabv3"] and page.evaluate("document.activeElement.id") == "filter"
    page.get_by_label("Filter", exact=True).fill("no such model")
    page.wait_for_selector("text=No row matches the filter")


def test_a_row_says_where_it_comes_from_and_its_command_is_copied(page):
    page.get_by_role("button", name="unet", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Copy the command", exact=True).click()
    page.wait_for_selector("#said:text('Copied')", state="attached")
    command = page.evaluate("navigator.clipboard.readText()")
    assert command.startswith("python -m usbench -m dataset=spinal") and command.endswith(
        "seed=0,1"
    )
    assert f"usbench reproduce {UNETS[1]}" in dialog.inner_text()
    assert dialog.get_by_role("link", name="seed 1").get_attribute("href") == LINKS[UNETS[1]]
    page.keyboard.press("Escape")
    assert focused(page) == "unet"


def test_from_a_row_to_its_result_and_back(page):
    page.locator(TABLE).filter(has_text="2 of 3 seeds").get_by_role("link").click()
    page.wait_for_selector("h1:text('unet, seed 0')")
    page.go_back()
    page.wait_for_selector(TABLE)


def test_caveats_notes_failures_and_transfer_are_there(page):
    line = page.locator(".caveats summary")
    assert line.count() == 1 and "more" in line.inner_text()
    line.click()
    assert "7 of the 40 test images leak" in page.locator(".caveats").inner_text()
    page.get_by_text("1 failed or skipped").click()
    page.wait_for_selector("text=out of memory")
    page.get_by_text("Scores on other datasets").click()
    cells = page.locator("table.plain").last.locator("td").all_inner_texts()
    assert cells == [
        "unet",
        "kumar2025",
        "spinal",
        "Dice .650 [.600, .700]",
        "Dice .330 [.280, .380]",
    ]


def test_the_page_can_be_cited_and_added_to(page):
    page.get_by_role("button", name="Cite").click()
    assert "@misc{usbench" in page.locator(".menu").first.inner_text()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Add yours").click()
    assert "usbench score --task segment --dataset spinal" in page.locator("#menus").inner_text()


def test_a_model_is_found_by_name(page):
    page.get_by_label("Find a model or dataset").fill("tiny on")
    page.keyboard.press("Enter")
    until(page, "document.querySelectorAll('.board tbody tr').length === 1")
    assert names(page) == ["tiny"]


# ---- compare


def test_ticked_rows_are_compared(page):
    for name in ("deeplabv3", "unet", "tiny"):
        page.get_by_label(re.compile(f"Compare {name},")).check()
    page.get_by_role("link", name="Compare 3 models").click()
    page.wait_for_selector(".case .frame")
    lines = [
        text.split("\t")
        for text in page.locator(".forest").first.locator("tbody tr").all_inner_texts()
    ]
    verdicts = {re.sub(r"\s+", " ", line[0]): line[-1] for line in lines}
    assert verdicts == {
        "A deeplabv3 − B unet": "A is better",
        "A deeplabv3 − C tiny": "A is better",
        "B unet − C tiny": "B is better",
    }
    assert "+.150" in lines[0][1]
    page.get_by_label("Leave out tiny").click()
    until(
        page, "document.querySelectorAll('.forest tbody tr').length === 1 + 2"
    )  # a pair, two models by class
    page.go_back()
    until(page, "document.querySelectorAll('.chips li').length === 3")


def test_cases_are_sorted_by_disagreement_with_missed_and_extra_pixels(page):
    deeplab = page.locator(TABLE).filter(has_text="deeplabv3").get_attribute("data-id")
    go(page, f"compare/spinal/segment?rows={deeplab},{UNETS[0]}")
    page.wait_for_selector(".case .frame")
    title = page.locator(".case-view strong").first
    assert title.inner_text() == "i2 (1 of 2)"  # .8 and 0; on i1 .8 and .7
    hatched = page.locator(".case").nth(1).locator("path[mask]")
    assert [each.get_attribute("fill").rsplit("-", 1)[1] for each in hatched.all()] == [
        "missed)",
        "extra)",
    ]
    assert (
        page.locator(".case").nth(2).locator("path[mask]").count() == 1
    )  # nothing drawn: all is missed
    page.get_by_label("Next case").click()
    assert title.inner_text() == "i1 (2 of 2)" and "case=i1" in page.url
    assert page.evaluate("document.activeElement.ariaLabel") == "Next case"
    page.get_by_label("Sort by").focus()
    page.get_by_label("Sort by").select_option("worst")
    assert (
        title.inner_text() == "i2 (1 of 2)"
        and page.evaluate("document.activeElement.id") == "order"
    )
    assert "a lab, CC BY 4.0" in page.locator(".case-view").inner_text()


def test_boxes_are_matched_by_hand(page):
    """IoU 1 and .25; the surer of two boxes takes the target."""
    box = (
        "(x, y, side, score) => ({class: 0, kind: 'box', at: [[x, y, x + side, y + side]], score})"
    )
    found = page.evaluate(f"""() => {{ const box = {box};
      const {{missed, extra}} = usbench.compareOverlay.match([box(0, 0, 8), box(20, 20, 8)],
        [box(0, 0, 8, .5), box(0, 0, 8, .9), box(20, 20, 4, .8)]);
      return [missed.map((one) => one.at[0][0]), extra.map((one) => one.score)]; }}""")
    assert found == [[20], [0.8, 0.5]]


def test_the_front_of_score_against_cost_by_hand(page):
    """tiny 1 M .4 · unet 31 M .65 · deeplabv3 40 M .8 are beaten by none; segformer, 50 M .5, costs more."""
    front = page.evaluate("""() => usbench.cost.front([{x: 31, y: .65}, {x: 50, y: .5}, {x: 1, y: .4}, {x: 40, y: .8}], true)
      .map((point) => point.x)""")
    assert front == [1, 31, 40]
    go(page, "compare/spinal/segment")
    options = page.get_by_label("Cost").locator("option").all_inner_texts()
    assert options == [
        "parameters, millions",
        "ms per image on a CPU",
    ]  # no two machines on one axis


def test_what_lies_beside_the_page_may_be_missing(tmp_path, browser):
    (tmp_path / "index.html").write_bytes(index.render_index(make_content(), catalogue.view()))
    missing = pytest.raises(AssertionError, match="ERR_FILE_NOT_FOUND")  # what the console says
    with missing, opened(tmp_path / "index.html", within=browser) as page:
        go(page, "compare/spinal/segment")
        page.wait_for_selector("text=spinal/segment/cases.js isn't beside this page")
        go(page, "datasets")
        page.locator("#view-datasets button.name").first.click()
        page.wait_for_selector("text=assets/catalogue.js isn't beside this page")


# ---- datasets, method


def test_datasets_are_filtered_and_a_card_tells_all(page):
    page.get_by_role("link", name="Datasets").click()
    cards = catalogue.view()["datasets"]
    assert page.locator("#view-datasets tbody tr").count() == len(cards)
    assert page.locator("#view-datasets tbody tr").first.inner_text().count("runnable") == 1
    page.get_by_label("Filter", exact=True).locator("visible=true").fill("usgra")
    until(page, "document.querySelectorAll('#view-datasets tbody tr').length < 9")
    page.locator("#view-datasets").get_by_role("button", name="usgra-seg").click()
    page.wait_for_selector("dialog table")
    (score,) = (card["score"] for card in cards if card["key"] == "usgra")
    assert page.locator("dialog tbody tr").count() == len(score["parts"])
    page.keyboard.press("Escape")
    page.get_by_role("button", name="How quality is scored").click()
    page.wait_for_selector("dialog >> text=its criteria are missing")  # of SonoDQS
    page.keyboard.press("Escape")
    page.get_by_role("link", name="models", exact=True).click()
    page.get_by_label("Runnable").select_option("1")
    runnable = sum(card["runnable"] for card in catalogue.view()["models"])
    assert page.locator("#view-datasets tbody tr").count() == runnable and "run=1" in page.url


def test_the_method_has_a_drawing_for_each_part(page):
    page.get_by_role("link", name="Method").click()
    parts = page.locator("#view-method .parts article")
    assert parts.count() == 6 and parts.locator("svg[role=img][aria-label]").count() == 6
    page.get_by_role("link", name="glossary").click()
    assert page.url.endswith("#method/glossary")
    assert page.locator("#method-glossary").is_visible()


# ---- for everybody


def test_everything_by_keyboard_alone(page):
    def tab_to(label, most=60):
        for _ in range(most):
            page.keyboard.press("Tab")
            element = page.evaluate(
                "(document.activeElement.ariaLabel || document.activeElement.innerText || '').trim()"
            )
            assert page.evaluate("document.activeElement !== document.body"), (
                f"focus lost before {label}"
            )
            if element.startswith(label):
                return page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        raise AssertionError(f"no {label} within {most} steps")

    assert tab_to("Skip to the content", 1) != "none"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    assert tab_to("Columns") != "none"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Escape")
    assert tab_to("parameters") != "none"
    page.keyboard.press("Enter")
    assert names(page)[0].startswith("net") and focused(page) == "parameters"
    tab_to("Compare net")
    page.keyboard.press("Space")
    tab_to("prior", 120)
    page.keyboard.press("Enter")
    assert "usbench sanity" in page.get_by_role("dialog").inner_text()
    page.keyboard.press("Escape")
    assert focused(page) == "prior"


def test_every_heading_explains_itself_by_keyboard(page):
    for address in ("results/spinal/segment", "datasets", "datasets/models"):
        go(page, address)
        buttons = page.locator("main > section:not([hidden]) thead button")
        assert buttons.count() > 4
        for button in buttons.all():
            button.focus()
            assert page.locator("#tip").is_visible() and len(page.locator("#tip").inner_text()) > 10
            assert button.get_attribute("aria-describedby") == "tip"
        page.keyboard.press("Escape")
        assert not page.locator("#tip").is_visible()


# Phones, and 1280 px at 200 %.
@pytest.mark.parametrize(("width", "zoom"), [(320, 1), (375, 1), (640, 2)])
def test_a_narrow_screen_shows_intervals_whole_and_never_scrolls_sideways(
    site, browser, width, zoom
):
    with opened(site, width, 800, within=browser) as page:
        page.wait_for_selector(TABLE)
        for view in VIEWS:
            go(page, view)
            page.evaluate(
                "document.querySelectorAll('details').forEach((one) => { one.open = true; })"
            )
            assert sideways(page) == 0, view
        go(page, "results/spinal/segment")
        ends = page.eval_on_selector_all(
            f"{TABLE} td.interval", "all => all.map((one) => one.getBoundingClientRect().right)"
        )
        assert ends and max(ends) <= width
        page.get_by_role("button", name="unet", exact=True).click()
        assert sideways(page) == 0


def test_on_paper_everything_is_unfolded_and_tools_are_gone(page):
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.locator("details:not([open])").count() == 0
    for tool in (".tools", "nav.tabs", ".find", "#menus"):
        assert not page.locator(tool).first.is_visible()
    assert page.get_by_text("out of memory").is_visible()
    assert page.locator(".board tbody button.name").first.is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0
    assert len(page.pdf()) > 10_000


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(site, browser, theme):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="no axe: pip install 'usbench[test]'"
    )
    with opened(site, theme=theme, within=browser) as page:
        page.wait_for_selector(TABLE)
        wrong = {}
        for view in [*VIEWS, "#results/spinal/segment?protocol=kumar2025-cnn", "#datasets/models"]:
            go(page, view)
            page.wait_for_timeout(200)
            found = axe.Axe().run(page).response["violations"]
            wrong |= {
                f"{view} {one['id']}": [node["html"][:160] for node in one["nodes"][:3]]
                for one in found
            }
        go(page, "results/spinal/segment")
        page.get_by_role("button", name="Columns").click()
        page.get_by_role("button", name="unet", exact=True).click()
        found = axe.Axe().run(page).response["violations"]
        wrong |= {
            f"dialog {one['id']}": [node["html"][:160] for node in one["nodes"][:3]]
            for one in found
        }
        assert wrong == {}


def test_the_other_theme_can_be_chosen_and_is_kept(page):
    colour = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(colour)
    page.get_by_role("button", name=re.compile("theme")).click()
    assert page.evaluate(colour) != before
    page.reload()
    assert page.evaluate(colour) != before


def test_no_text_is_read_as_html(page):
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page.get_by_role("button", name="net <script>").first.click()
    assert EVIL in page.get_by_role("dialog").inner_text()
    assert page.evaluate("window.evil") is None
    assert page.locator("main img, script[src], iframe, link").count() == 0
    assert SPINAL.title in page.locator("#results-body .title").inner_text()


# ---- sizes


def test_long_tables_are_shown_in_parts(tmp_path, browser):
    made = [net(f"network_{n:03d}", 0.3 + n / 1000, 10**7 + n) for n in range(250)]
    (tmp_path / "index.html").write_bytes(index.render_index(make_content(made), catalogue.view()))
    with opened(tmp_path / "index.html", within=browser) as page:
        page.wait_for_selector(TABLE)
        assert page.locator(TABLE).count() == 100
        page.evaluate("dispatchEvent(new Event('beforeprint'))")  # paper shows all
        assert page.locator(TABLE).count() > 249
        page.reload()
        page.get_by_role("button", name="Show all 2").click()
        until(page, "document.querySelectorAll('.board tbody tr').length > 249")
        assert page.evaluate("document.activeElement.closest('.board') !== null")


def test_a_leaderboard_without_any_row_still_has_its_other_views(tmp_path, browser):
    (tmp_path / "index.html").write_bytes(
        index.render_index(make_content([], []), catalogue.view())
    )
    with opened(tmp_path / "index.html", within=browser) as page:
        page.wait_for_selector("text=No results yet")
        page.evaluate("location.hash = '%'")  # no address of ours
        for name in ("Compare", "Datasets", "Method"):
            page.get_by_role("link", name=name).click()
            assert page.locator(f"#view-{name.lower()}").is_visible()
