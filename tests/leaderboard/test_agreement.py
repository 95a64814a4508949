"""Agreement with a published figure: by hand, every reason not to tell, and how often equal models
are called different."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.stats import t as student

from usbench.leaderboard.agreement import judge_agreement
from usbench.leaderboard.rows import Agreement, figure_error
from usbench.metrics.bootstrap import draw, resample_means
from usbench.metrics.scores import Figure


def test_the_standard_error_by_hand():
    """The bootstrap's SE is 1 over 2 groups, too narrow by √(1/2)."""
    figure = Figure(0.5, 1, low=0.1, high=0.9, method="logit-t", groups=2, se=1.0, df=1)
    assert figure_error(figure) == pytest.approx(2**0.5)
    assert figure_error(dataclasses.replace(figure, method="bound")) is None
    assert figure_error(dataclasses.replace(figure, method="percentile", se=None, df=None)) is None


def test_by_hand():
    """SE_cluster .003 in 9 groups, seeds .50 and .52 (SD .01414): SE² = 2·9e-6 + 2·2e-4; ours −
    theirs = .1."""
    agreement = judge_agreement([0.50, 0.52], [0.003, 0.003], 9, 8, 0.41, 0.02)
    se, freedom = (18e-6 + 4e-4) ** 0.5, (18e-6 + 4e-4) ** 2 / (18e-6**2 / 8 + 4e-4**2 / 1)
    wide = student.ppf(0.975, freedom) * se
    assert agreement.low == pytest.approx(0.1 - wide) and agreement.high == pytest.approx(
        0.1 + wide
    )
    assert (
        agreement.verdict == "can't tell"
    )  # two seeds that differ so: t has about one degree of freedom


@pytest.mark.parametrize(
    ("values", "published", "verdict"),
    [
        ([0.500, 0.501, 0.499], 0.503, "agrees"),
        ([0.500, 0.501, 0.499], 0.600, "lower"),
        ([0.500, 0.501, 0.499], 0.400, "higher"),
        ([0.500, 0.501, 0.499], 0.4815, "can't tell"),  # excludes 0, but no further than δ
        ([0.50, 0.55, 0.45], 0.51, "can't tell"),  # seeds too far apart
        ([0.5, 0.5], 0.5, "agrees"),
    ],
)
def test_verdicts(values, published, verdict):
    agreement = judge_agreement(values, [0.001] * len(values), 40, 39, published, 0.02)
    assert agreement.verdict == verdict and (verdict != "can't tell" or "95 %" in agreement.reason)
    assert agreement.low <= sum(values) / len(values) - published <= agreement.high


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"groups": 5}, "5 groups"),
        ({"values": [0.5], "errors": [0.01]}, "1 seed"),
        ({"errors": [0.01, None, 0.01]}, "no standard error"),
        ({"df": None}, "no standard error"),
        ({"tolerance": None}, "no δ for a distance"),
    ],
)
def test_what_forbids_a_verdict(changes, reason):
    sound = {
        "values": [0.5, 0.5, 0.5],
        "errors": [0.01] * 3,
        "groups": 20,
        "df": 19,
        "published": 0.9,
        "tolerance": 0.02,
    }
    assert judge_agreement(**sound).verdict == "lower"
    assert judge_agreement(**{**sound, **changes}) == Agreement("can't tell", reason)


@pytest.mark.parametrize("seeds", [2, 3])
@pytest.mark.parametrize("shared", [True, False], ids=["same animals", "other animals"])
def test_equal_models_on_six_animals_are_rarely_called_different(seeds, shared):
    """6 animals × 110 frames; trainings of one recipe differ at random: fewer than 5 % are called
    higher or lower. Where the published figure comes from six other animals, which isn't what is
    assumed, it is the nominal 5 %."""
    rng, draws, called, trials = (
        np.random.default_rng(1),
        draw([str(n // 110) for n in range(660)]),
        0,
        600,
    )
    for _ in range(trials):
        animals, theirs = rng.normal(0.6, 0.05, (2, 6))
        frames = np.repeat(animals, 110) + rng.normal(0, 0.1, 660)
        trained = [frames + rng.normal(0, 0.01) for _ in range(seeds)]
        spread = resample_means(trained[0], draws)  # a shift doesn't change it
        figure = Figure(
            0.5, 1, low=0.0, high=1.0, method="logit-t", se=float(spread.std(ddof=1)), df=5
        )
        errors = [figure_error(figure)] * seeds
        other = (
            np.repeat(animals if shared else theirs, 110)
            + rng.normal(0, 0.1, 660)
            + rng.normal(0, 0.01)
        )
        agreement = judge_agreement(
            [values.mean() for values in trained], errors, 6, 5, other.mean(), 0.02
        )
        called += agreement.verdict in ("higher", "lower")
    assert called / trials < (0.05 if shared else 0.08)
