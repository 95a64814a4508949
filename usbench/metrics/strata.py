"""Scores by stratum, such as by pathology or device, and a test whether strata differ.

The test permutes the labels of whole groups (patients, animals, videos), since images of one group
aren't independent. A group has one value, the mean over its images, and one label; where its images
have several labels, that of most of them (the first of equals), and the other images are left out.
If strata don't matter, every division of the labels among the groups is equally likely.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from usbench.metrics.bootstrap import SEED, Values
from usbench.metrics.paired import MIN_GROUPS, RANDOM_SWAPS, ROUNDING, correct_holm
from usbench.metrics.scores import Figure

CHUNK = 1_000  # permutations at once
Index = NDArray[np.int64]


@dataclass(frozen=True)
class StratifiedCase:
    """One image: what the test needs of it."""

    id: str
    group: str
    value: float | None  # how good its prediction is; None: it says nothing of that


@dataclass(frozen=True)
class Strata:
    """The scores of one variable's strata, and whether they differ."""

    variable: str
    score: str  # name of the figures
    levels: Mapping[str, Figure]  # label → the score of its images
    images: Mapping[str, int]  # label → how many images have it
    p: float | None  # of the test; None where there is none
    p_holm: float | None  # corrected for all variables
    groups: int  # that were tested
    left_out: int  # images whose label isn't that of most of their group's
    unlabelled: int  # images without a label, in no stratum
    reason: str | None = None  # why there is no test


def score_strata(
    cases: Sequence[StratifiedCase],
    labels: Mapping[str, Mapping[str, str]],
    score: str,
    score_cases: Callable[[set[str]], Figure],
) -> tuple[Strata, ...]:
    """The strata of each variable, with p values corrected by Holm over the variables.

    Args:
        cases: all images.
        labels: variable → image → its label; "" or missing: none.
        score: name of the score.
        score_cases: the score of some images, by their ids.
    """
    tables = [
        _score_variable(cases, variable, by_case, score, score_cases)
        for variable, by_case in labels.items()
    ]
    tested = [(n, table.p) for n, table in enumerate(tables) if table.p is not None]
    corrected = correct_holm([p for _, p in tested])
    for (n, _), p in zip(tested, corrected, strict=True):
        tables[n] = replace(tables[n], p_holm=p)
    return tuple(tables)


def _score_variable(
    cases: Sequence[StratifiedCase],
    variable: str,
    labels: Mapping[str, str],
    score: str,
    score_cases: Callable[[set[str]], Figure],
) -> Strata:
    """The strata of one variable, without Holm's correction."""
    by_label: dict[str, set[str]] = defaultdict(set)
    labelled = [case for case in cases if labels.get(case.id)]
    for case in labelled:
        by_label[labels[case.id]].add(case.id)
    values, numbers, left_out = group_values(labelled, labels)
    images = {label: len(by_label[label]) for label in sorted(by_label)}
    reason = None
    if len(set(numbers.tolist())) < 2:
        reason = f"no test: expected groups of at least two strata, got {len(by_label)} strata"
    elif len(values) < MIN_GROUPS:
        reason = f"no test: expected at least {MIN_GROUPS} groups, got {len(values)}"
    return Strata(
        variable=variable,
        score=score,
        levels={label: score_cases(by_label[label]) for label in images},
        images=images,
        p=None if reason else permutation_p_of_strata(values, numbers),
        p_holm=None,
        groups=len(values),
        left_out=left_out,
        unlabelled=len(cases) - len(labelled),
        reason=reason,
    )


def group_values(
    cases: Sequence[StratifiedCase], labels: Mapping[str, str]
) -> tuple[Values, Index, int]:
    """The value and the stratum of each group.

    Args:
        cases: that have a label; those without a value don't count.
        labels: image → label.

    Returns:
        ((G,) means over the images with the group's label, (G,) numbers of these labels, how many
        images have another label than their group).
    """
    groups: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for case in cases:
        if case.value is not None:
            groups[case.group].append((labels[case.id], case.value))
    values, chosen, left_out = [], [], 0
    for members in groups.values():
        label, count = Counter(label for label, _ in members).most_common(1)[0]
        values.append(sum(value for own, value in members if own == label) / count)
        chosen.append(label)
        left_out += len(members) - count
    numbers = {label: n for n, label in enumerate(sorted(set(chosen)))}
    return np.array(values), np.array([numbers[label] for label in chosen], np.int64), left_out


def permutation_p_of_strata(values: Values, strata: Index) -> float:
    """How often permuted labels give means that differ as much, as (b + 1) / (m + 1).

    The statistic is the sum of squares between strata, as in a one-way analysis of variance:
    given the values, it rises with F. 9,999 random permutations (Phipson & Smyth 2010).

    Args:
        values: (G,) of each group.
        strata: (G,) number of each group's stratum.
    """
    centred = values - values.mean()
    is_member = strata[:, None] == np.arange(strata.max() + 1)  # (G, K)
    sizes = is_member.sum(axis=0)

    def between(permuted: Values) -> Values:  # (B, G) → (B,)
        return np.asarray(((permuted @ is_member) ** 2 / sizes).sum(axis=1))

    observed = float(between(centred[None])[0])
    limit = observed - ROUNDING * max(1.0, abs(observed))
    # NumPy guarantees the stream of random(), not that of permutation().
    rng = np.random.default_rng(np.random.PCG64(SEED))
    count = 0
    for start in range(0, RANDOM_SWAPS, CHUNK):
        rows = min(CHUNK, RANDOM_SWAPS - start)
        order = rng.random((rows, len(values))).argsort(axis=1)
        count += int((between(centred[order]) >= limit).sum())
    return (count + 1) / (RANDOM_SWAPS + 1)
