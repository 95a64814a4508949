"""The page in Firefox, from disk and without a network: no error, keys, narrow screens, paper, both themes."""

from __future__ import annotations

import pytest

from tests.helpers.firefox import running
from tests.leaderboard.page.site import UNETS, write_site

pytestmark = pytest.mark.process
VIEWS = {  # address → what is there once it is drawn
    "results/spinal/segment": ".board tbody tr",
    "compare/spinal/segment": ".case .frame svg",
    "datasets": "#view-datasets tbody tr",
    "method": "#view-method article svg",
}
TAB, ENTER, ESCAPE = "\ue004", "\ue007", "\ue00c"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return write_site(tmp_path_factory.mktemp("site")).as_uri()


@pytest.fixture(scope="module")
def firefox():
    with running() as started:
        yield started


@pytest.fixture
def page(firefox, site):
    """The page, opened afresh; at the end the console has no error."""
    firefox.open(site)
    firefox.wait_for("document.querySelector('.board tbody tr')")
    yield firefox
    assert firefox.errors == []


def go(page, address):
    page.evaluate(f"(location.hash = '{address}')")
    page.wait_for(f"document.querySelector('{VIEWS[address]}')?.getBoundingClientRect().width > 0")


@pytest.mark.parametrize("width", [1280, 640, 375])  # 640: 1280 px at 200 %
def test_every_view_is_drawn_and_fits(page, site, width):
    page.open(site, width, 800)
    for address in VIEWS:
        go(page, address)
        assert page.evaluate("document.scrollingElement.scrollWidth - innerWidth") <= 0, address
    go(page, "results/spinal/segment")
    ends = page.evaluate(
        "[...document.querySelectorAll('.board td.interval')].map((one) => one.getBoundingClientRect().right)"
    )
    assert ends and (width > 640 or max(ends) <= width)


def test_by_keyboard_alone(page):
    def tab_to(label, most=60):
        for _ in range(most):
            page.press(TAB)
            text = page.evaluate(
                "(document.activeElement.ariaLabel || document.activeElement.innerText || '').trim()"
            )
            if text.startswith(label):
                return
        raise AssertionError(f"no {label} within {most} steps")

    tab_to("Skip to the content", 2)
    page.press(ENTER)
    tab_to("parameters")
    assert "numbers the model learns" in page.evaluate("document.getElementById('tip').textContent")
    page.press(ENTER)
    assert page.evaluate("document.activeElement.dataset.key") == "parameters"
    assert page.evaluate("document.querySelector('.board tbody .name').innerText").startswith("net")
    tab_to("prior", 120)
    page.press(ENTER)
    assert page.evaluate("document.querySelector('dialog').open")
    page.press(ESCAPE)
    assert page.evaluate("document.activeElement.innerText") == "prior"
    page.evaluate("history.back()")
    page.wait_for("!document.querySelector('th[aria-sort]')")


def test_cases_are_loaded_and_compared(page):
    page.evaluate(f"(location.hash = 'compare/spinal/segment?rows={UNETS[0]}')")
    page.wait_for("document.querySelectorAll('.case .frame').length === 2")
    assert (
        page.evaluate("document.querySelectorAll('.case path[mask]').length") == 2
    )  # missed and extra
    go(page, "compare/spinal/segment")
    page.wait_for("document.querySelectorAll('.case .frame').length === 3")


def test_on_paper_everything_is_unfolded(page):
    assert len(page.send("browsingContext.print", context=page.context)["data"]) > 10_000
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("document.querySelectorAll('details:not([open])').length") == 0


def test_the_theme_is_kept(page, site):
    colour = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(colour)
    page.evaluate("document.querySelector('button.theme').click()")
    assert page.evaluate(colour) != before
    page.open(site)
    assert page.evaluate(colour) != before
