"""Measurements on a result's page: what is drawn is what the case table holds."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from tests.helpers.browser import opened
from tests.helpers.finished import finish
from usbench.io.files import write_all
from usbench.leaderboard.page import result
from usbench.leaderboard.page.result_measures import measure_cards
from usbench.results.store import load_cases, load_result
from usbench.types import Masks, Target


def widen(target: Target) -> Masks:
    """A prediction wider than the target; nothing where the target has a multiple of 4 pixels."""
    assert isinstance(target, Masks)
    planes = target.planes | np.roll(target.planes, 4, axis=2)
    planes &= int(target.planes.sum()) % 4 > 0
    return Masks(planes, np.ones(len(planes), np.float32))


@pytest.fixture(scope="module")
def scored(compose, tmp_path_factory):
    """(result, its case table) of masks with measurements."""
    top = tmp_path_factory.mktemp("measures")
    _, path = finish(compose, top, "hc18", "segment", predict=widen)
    return load_result(path), load_cases(path)


def test_a_card_has_the_pairs_of_the_case_table_and_counts_failures(scored):
    cards = measure_cards(*scored)
    assert [card.name for card in cards] == ["HC", "BPD", "OFD"]
    first, rows = cards[0], scored[1]
    failed = [row for row in rows if not row["HC prediction mm"]]
    assert first.failures == len(failed) > 0
    assert len(first.pairs) == len(rows) - len(failed) > 0
    measured = next(row for row in rows if row not in failed)
    expected = (float(measured["HC target mm"]), float(measured["HC prediction mm"]))
    assert first.pairs[0] == pytest.approx(expected, rel=1e-5)
    errors = [predicted - true for true, predicted in first.pairs]
    assert first.limits["bias"] == pytest.approx(np.mean(errors), rel=1e-4)
    assert (first.unit, first.tolerance, cards[1].tolerance) == ("mm", (3, True), None)


def test_the_page_has_a_table_plots_and_sources(scored):
    text = result.render_result(*scored).decode()
    assert "Predicted against true measurements" in text and "Sarris et al." in text
    assert text.count("data-bland-altman=") == text.count("data-scatter=") == 3
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert found is not None
    drawn = json.loads(found[1])["measures"]
    assert [part["name"] for part in drawn] == ["HC", "BPD", "OFD"]
    assert set(drawn[0]) == {
        "name", "unit", "pairs", "bias", "sd", "loa_low", "loa_high", "tolerance",
    }  # fmt: skip


def test_a_page_without_measurements_says_nothing_of_them(compose, tmp_path):
    _, path = finish(compose, tmp_path, "usgra", "segment")
    text = result.render_result(load_result(path), load_cases(path)).decode()
    assert "measures.js" not in text and "Measurements" not in text


@pytest.mark.process
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_plots_are_drawn_and_fit_a_phone(scored, tmp_path, theme):
    page_path = tmp_path / "hc18" / "segment" / "page.html"
    shared = {tmp_path / "assets" / name: text for name, text in result.shared_assets().items()}
    write_all({page_path: result.render_result(*scored), **shared})
    with opened(page_path, width=375, theme=theme) as page:
        page.locator("[data-scatter] svg").first.wait_for()
        cards = measure_cards(*scored)
        for number, card in enumerate(cards):
            for kind in ("bland-altman", "scatter"):
                dots = page.locator(f'[data-{kind}="{number}"] circle')
                assert dots.count() == len(card.pairs)
        assert page.evaluate("document.scrollingElement.scrollWidth") <= 375
