"""Scores without the test images that resemble a training image, at several thresholds.

A result has its scores without the images that its dataset's YAML lists as leaking. Those without
further images are computed here from the case table, where that suffices for the protocol.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from usbench.datasets.config import CORRELATIONS
from usbench.leaderboard.cache import Cache, key
from usbench.leaderboard.pooling import pooled_protocols, score_folds
from usbench.leaderboard.published import DatasetSummary
from usbench.leaderboard.settings import read_settings
from usbench.metrics.scores import Figures
from usbench.results import store
from usbench.results.result import Result, figures_from_json, figures_to_json

FURTHER = CORRELATIONS[1:]  # thresholds; a result itself lacks the images of the first


def score_below(name: str, threshold: float) -> str:
    """The name of a score without the images that correlate by the threshold or more."""
    return f"{name}:r<{threshold:g}"


def add_further_scores(
    results: Iterable[Result], datasets: Iterable[DatasetSummary], folder: Path, cache: Cache
) -> list[Result]:
    """The results with their primary score without the images that resemble a training image.

    Args:
        results: in any order.
        datasets: with the correlations of their test images.
        folder: where the results and their case tables lie.
        cache: scores that are known already.
    """
    correlations = {dataset.name: dataset.correlations for dataset in datasets}
    return [
        add_scores(result, correlations[result.dataset], folder, cache)
        if is_affected(result) and correlations.get(result.dataset)
        else result
        for result in results
    ]


def is_affected(result: Result) -> bool:
    """Whether a training image can be like one of its test images, and the cases are at hand."""
    return (
        result.is_done
        and result.origin in ("run", "external")
        and result.trained_on is None
        and result.fold_series is None
        and result.cases is not None
        and result.protocol.name in pooled_protocols(result)
    )


def add_scores(
    result: Result, correlations: Mapping[str, float], folder: Path, cache: Cache
) -> Result:
    """A result with its primary score at each further threshold."""
    assert result.primary is not None, "a finished result has a primary score"
    name = result.primary.name
    path = store.result_path(folder, result)
    scores = dict(result.scores)
    for threshold in FURTHER:
        ids = sorted(case for case, value in correlations.items() if value >= threshold)
        figures = score_without(result, ids, path, cache)
        if name in figures:
            scores[score_below(name, threshold)] = figures[name]
    first, *others = result.protocols
    return replace(result, protocols=(replace(first, scores=scores), *others))


def score_without(result: Result, ids: Sequence[str], path: Path, cache: Cache) -> Figures:
    """The reporting protocol's scores without some test images. path: of the result."""
    protocol, settings = result.protocol, read_settings(result)
    digest = store.hash_cases(path, result)
    facts = digest, ids, protocol.name, protocol.version, settings.classes, settings.metric
    known = key("without", *facts)
    content = cache.get(known)
    if content is None:
        hidden = store.ids_in_table(ids, result)
        content = figures_to_json(score_rest(result, hidden, path))
        cache.put(known, content)
    return figures_from_json(content)


def score_rest(result: Result, ids: Collection[object], path: Path) -> Figures:
    """Score the cases of a table whose ids aren't among these."""
    rows = [row for row in store.read_cases(path, result) if row["case"] not in ids]
    scored = score_folds([rows], result, [result.protocol.name]) if rows else ()
    return scored[0].scores if scored else {}
