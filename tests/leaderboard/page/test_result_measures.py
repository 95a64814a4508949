"""Measurements on a result's page: what is drawn is what the case table holds."""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers.browser import opened
from tests.helpers.finished import finish
from usbench.io.files import write_all
from usbench.leaderboard.page import result
from usbench.leaderboard.page.measure_charts import draw_agreement, draw_scatter
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
    assert text.count('aria-label="Bland–Altman plot of ') == 3
    assert text.count('aria-label="Predicted by true ') == 3


def test_a_bland_altman_plot_has_its_points_limits_and_tolerance():
    pairs = [(10.0, 12.0), (20.0, 18.0)]  # means 11 and 19, errors 2 and -2
    limits = {"bias": 0.0, "loa_low": -4.0, "loa_high": 4.0}
    plot = str(draw_agreement("length", "mm", pairs, limits, (3.0, False)))
    # Across 10 to 20 mm on 44 to 330, up −4 to 4 mm on 210 to 30: 22.5 a mm.
    assert 'class="points" d="M72.6 75h0M301.4 165h0"' in plot
    for style, places in {
        "zero": "44 120 330 120",
        "bias": "44 120 330 120",
        "tolerance": "44 52.5 330 52.5",
        "limit": "44 210 330 210",
    }.items():
        assert f'class="{style}" d="M{places}"' in plot


def test_a_tolerance_in_percent_widens_with_the_value():
    plot = str(draw_agreement("area", "mm²", [(100.0, 100.0), (200.0, 200.0)], {}, (10.0, True)))
    # ±10 at 100 and ±20 at 200, of −20 to 20 on 210 to 30.
    assert 'class="tolerance" d="M44 75 330 30"' in plot
    assert 'class="tolerance" d="M44 165 330 210"' in plot
    assert "limit" not in plot and "bias" not in plot


def test_a_scatter_plot_has_one_scale_on_both_axes():
    plot = str(draw_scatter("length", "mm", [(0.0, 10.0)]))
    assert 'class="zero" d="M44 210 330 30"' in plot
    assert 'class="points" d="M44 30h0"' in plot


def test_a_page_without_measurements_says_nothing_of_them(compose, tmp_path):
    _, path = finish(compose, tmp_path, "usgra", "segment")
    text = result.render_result(load_result(path), load_cases(path)).decode()
    assert "Measurements" not in text


@pytest.mark.process
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_plots_fit_a_phone(scored, tmp_path, theme):
    page_path = tmp_path / "hc18" / "segment" / "page.html"
    shared = {tmp_path / "assets" / name: text for name, text in result.shared_assets().items()}
    write_all({page_path: result.render_result(*scored), **shared})
    with opened(page_path, width=375, theme=theme) as page:
        for plot in page.locator("section:has(#measurements) .chart").all():
            box = plot.bounding_box()
            assert box is not None and 250 < box["width"] <= 343
        assert page.evaluate("document.scrollingElement.scrollWidth") <= 375
