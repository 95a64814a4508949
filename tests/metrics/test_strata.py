"""Scores by stratum and the test whether strata differ, by hand."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from usbench.metrics.scores import Figure
from usbench.metrics.strata import (
    StratifiedCase,
    group_values,
    permutation_p_of_strata,
    score_strata,
)


def cases_of(*rows: tuple[str, str, float | None]) -> list[StratifiedCase]:
    """(id, group, value) each."""
    return [StratifiedCase(*row) for row in rows]


def between(values: np.ndarray, strata: np.ndarray) -> float:
    """The sum of squares between strata, as a textbook has it."""
    parts = [values[strata == n] for n in range(strata.max() + 1)]
    return sum(len(part) * (part.mean() - values.mean()) ** 2 for part in parts)


def test_p_is_near_that_of_all_permutations():
    values = np.array([0.9, 0.8, 0.85, 0.5, 0.6, 0.7, 0.75])
    strata = np.array([0, 0, 0, 1, 1, 2, 2])
    observed = between(values, strata) - 1e-12
    every = [between(np.array(order), strata) >= observed for order in permutations(values)]
    assert permutation_p_of_strata(values, strata) == pytest.approx(np.mean(every), abs=0.01)


def test_two_strata_of_three_groups_can_not_be_more_extreme():
    """2 of the 20 divisions of six values are as far apart: .1."""
    values, strata = np.array([1.0, 2, 3, 7, 8, 9]), np.array([0, 0, 0, 1, 1, 1])
    assert permutation_p_of_strata(values, strata) == pytest.approx(0.1, abs=0.01)


def test_equal_values_never_differ():
    assert permutation_p_of_strata(np.ones(9), np.arange(9) % 3) == 1


def test_under_the_null_p_is_uniform_enough():
    """Of 200 samples without a difference, 10 have p ≤ .05 on average; 22 would be four SD more."""
    rng = np.random.default_rng(4)
    strata = np.arange(12) % 3
    ps = [permutation_p_of_strata(rng.normal(size=12), strata) for _ in range(60)]
    assert 0.3 < np.mean(ps) < 0.7 and sum(p <= 0.05 for p in ps) <= 9


def test_a_group_has_the_mean_of_its_images_and_the_label_of_most():
    """`g` is of a: (1 + 3) / 2, its image of b is left out; `h` has one of each: the first."""
    cases = cases_of(
        *(("1", "g", 1), ("2", "g", 3), ("3", "g", 9), ("4", "h", 5), ("5", "h", 7), ("6", "i", 2)),
        *(("7", "i", None), ("8", "j", None)),  # nothing is there or predicted
    )
    labels = {"1": "a", "2": "a", "3": "b", "4": "b", "5": "a", "6": "a", "7": "b", "8": "b"}
    values, strata, left_out = group_values(cases, labels)
    assert values.tolist() == [2, 5, 2] and strata.tolist() == [0, 1, 0] and left_out == 2


def test_each_stratum_is_scored_on_its_images_and_p_is_corrected():
    cases = cases_of(*((str(n), f"g{n}", float(n >= 6)) for n in range(12)))
    labels = {
        "kind": {str(n): "new" if n >= 6 else "old" for n in range(12)},
        "side": {str(n): "left" if n % 2 else "right" for n in range(10)},
    }

    def mean_of(ids: set[str]) -> Figure:
        return Figure(sum(case.value for case in cases if case.id in ids) / len(ids), len(ids))

    kind, side = score_strata(cases, labels, "dice", mean_of)
    assert {name: (f.value, f.n) for name, f in kind.levels.items()} == {
        "new": (1, 6), "old": (0, 6),
    }  # fmt: skip
    assert side.levels["left"] == Figure(0.4, 5) and side.images == {"left": 5, "right": 5}
    assert side.unlabelled == 2
    assert kind.p == pytest.approx(2 / 924, abs=0.001) and kind.p_holm == 2 * kind.p
    assert side.p_holm == side.p and side.p > 0.9 and (kind.groups, side.groups) == (12, 10)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ({str(n): "one" for n in range(12)}, "no test: expected groups of at least two strata"),
        ({}, "no test: expected groups of at least two strata, got 0 strata"),
        ({"0": "a", "1": "b", "2": "a"}, "no test: expected at least 6 groups, got 3"),
    ],
)
def test_why_there_is_no_test(labels, reason):
    cases = cases_of(*((str(n), f"g{n}", float(n)) for n in range(12)))
    (strata,) = score_strata(cases, {"kind": labels}, "dice", lambda ids: Figure(1, len(ids)))
    assert (strata.p, strata.p_holm) == (None, None) and strata.reason.startswith(reason)
    assert strata.unlabelled == 12 - len(labels)
