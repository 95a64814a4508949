"""scripts/bench_coverage.py: the design, a tiny simulation, and the table."""

from __future__ import annotations

import numpy as np
import pytest

from scripts import bench_coverage as bench
from scripts.bench_coverage import Cell, Coverage, Population

PLAIN = Population("plain", 0.0, 0.5)


def test_each_shape_meets_each_number_of_groups():
    cells = bench.list_cells()
    assert len(set(cells)) == len(cells)
    for figure in set(bench.FIGURES) - {"rate", *bench.BOXES}:
        met = {(c.population.shape, c.groups) for c in cells if c.figure == figure}
        assert len(met) == len(bench.SHAPES) * len(bench.GROUPS), figure
    assert {c.population.correlation for c in cells} == set(bench.CORRELATIONS)


def test_samples_have_the_shape_the_failures_and_the_correlation_asked_for():
    population = Population("skewed", 0.3, 0.9)
    sample = bench.draw_sample(population, 20_000, np.random.default_rng(0))
    sizes = np.bincount(sample.group)
    assert (sizes.min(), sizes.max()) == (1, 15)
    for logit, failed in zip(sample.logits, sample.failed, strict=True):
        assert logit.std() == pytest.approx(1.5, abs=0.05)
        assert failed.mean() == pytest.approx(0.3, abs=0.02)
    first = np.flatnonzero(np.append(True, np.diff(sample.group) > 0) & (sizes[sample.group] > 1))
    pairs = np.corrcoef(sample.logits[0][first], sample.logits[0][first + 1])
    assert pairs[0, 1] == pytest.approx(0.9, abs=0.02)
    assert np.corrcoef(*sample.logits)[0, 1] == pytest.approx(0.7, abs=0.02)


@pytest.mark.parametrize("figure", bench.FIGURES)
def test_a_cell_of_every_figure_is_simulated(figure, monkeypatch):
    monkeypatch.setattr(bench, "TRUTH_GROUPS", 300)
    monkeypatch.setattr(bench, "TRUTH_BOX_GROUPS", 300)
    bench.true_value.cache_clear()
    coverage = bench.simulate(Cell(figure, Population("plain", 0.05, 0.5), 8), 4)
    bench.true_value.cache_clear()
    assert coverage.simulations + coverage.none == 4
    assert 0 <= coverage.new <= 1 and 0 <= coverage.old <= 1 and coverage.width > 0


def coverage(groups: int, new: float, old: float, population: Population = PLAIN) -> Coverage:
    return Coverage(Cell("Dice", population, groups), 2000, 0, new, old, 0.0, 0.2, 0.1)


def test_the_table_has_the_worst_row_first_and_names_exceptions():
    rare = Population("near 1", 0.05, 0.1)
    coverages = [coverage(5, 0.95, 0.8), coverage(6, 0.9, 0.81), coverage(5, 0.6, 0.5, rare)]
    lines = bench.format_rows(coverages)
    assert lines[2].startswith("| Dice | near 1, 5 % failures | .1 | .600(11) / .500(11) | – |")
    assert lines[3].startswith("| Dice | plain | .5 | .950(5) / .800(9) | .900(7) / .810(9) | – |")
    none = "Below .90, where .90 is required: none."
    assert bench.list_exceptions(coverages)[0] == none
    _, worse, rare_failures = bench.list_exceptions(coverages)
    assert "none" in worse and "5 groups: Dice .600; 10 groups: " in rare_failures
    short, worse, _ = bench.list_exceptions([coverage(5, 0.88, 0.8), coverage(8, 0.99, 0.95)])
    assert "Dice, plain, 0 % failures, 5 groups: .880 against .800" in short
    assert "8 groups: .990 against .950 (bound in 0 %)" in worse
