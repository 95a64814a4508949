"""Case tables of several folds → the scores of all their cases together.

Each protocol averages in its own order over all cases (images per class, then classes; pixels;
every point once), and mAP is of the matches of all cases: never a mean of folds. Groups are
resampled for the intervals. Only protocols that case tables suffice for are scored here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from usbench.leaderboard.cache import Cache, key
from usbench.leaderboard.folds import Pool
from usbench.leaderboard.settings import Thresholds, read_settings
from usbench.metrics import detect_scorer, landmark_scorer, segment_scorer
from usbench.metrics.box_protocols import BOX_PROTOCOLS, COCO
from usbench.metrics.landmark_scorer import RADIAL
from usbench.metrics.mask_protocols import MASK_PROTOCOLS
from usbench.metrics.scores import ProtocolScores
from usbench.results import store
from usbench.results.build import with_groups
from usbench.results.result import Result, protocols_from_json, protocols_to_json

CaseRows = list[dict[str, str]]
# Number columns of a landmark case table.
LENGTHS = ("error_px", "error_mm", "hd_px", "hd_mm", "diagonal_px", "score")
# Scores at a threshold that each fold chose on its own validation images.
AT_FOLD_THRESHOLD = ("presence_f1", "false_presence")


def pool_cases(folder: Path, cache: Cache) -> Pool:
    """How folds are pooled.

    Args:
        folder: where the results and their case tables lie.
        cache: scores that are known already.
    """

    def pool(folds: Sequence[Result]) -> Sequence[ProtocolScores]:
        if not all(result.cases for result in folds):
            return ()
        paths = [store.result_path(folder, result) for result in folds]
        located = list(zip(paths, folds, strict=True))
        digests = [store.hash_cases(path, result) for path, result in located]
        settings = read_settings(folds[0])
        protocols = pooled_protocols(folds[0])
        facts = key("pooled", digests, settings.classes, protocols, settings.thresholds)
        content = cache.get(facts)
        if content is None:
            tables = [store.read_cases(path, result) for path, result in located]
            content = protocols_to_json(score_folds(tables, folds[0]))
            cache.put(facts, content)
        return protocols_from_json(content)

    return pool


def score_folds(tables: Sequence[CaseRows], first: Result) -> tuple[ProtocolScores, ...]:
    """Scores of all tables' cases together; () where a case is in two of them."""
    rows = [row for table in tables for row in table]
    cases = [{row["case"] for row in table} for table in tables]
    protocols = pooled_protocols(first)
    if not protocols or len(set().union(*cases)) < sum(map(len, cases)):
        return ()
    groups = len({row["group"] for row in rows})
    scored = score_cases(rows, first, protocols)
    return tuple(with_groups(scores, groups) for scores in scored)


def pooled_protocols(result: Result) -> list[str]:
    """The result's protocols that a case table suffices for, where their version is the code's."""
    versions = {scores.name: scores.version for scores in result.protocols}
    if result.task == "landmark":
        return [RADIAL.name] if versions.get(RADIAL.name) == RADIAL.version else []
    if result.task == "detect":
        coco = BOX_PROTOCOLS[COCO]
        return [coco.name] if versions.get(coco.name) == coco.version else []
    current = {rule.name: rule.version for rule in MASK_PROTOCOLS.values() if rule.is_native}
    return [name for name, version in versions.items() if current.get(name) == version]


def score_cases(
    rows: CaseRows, result: Result, protocols: Sequence[str]
) -> tuple[ProtocolScores, ...]:
    """Scores of case rows, by the protocols."""
    settings = read_settings(result)
    classes = list(settings.classes)
    if result.task == "segment":
        return segment_scorer.from_cases(rows, classes, protocols).protocols
    if result.task == "detect":
        return detect_scorer.from_cases(rows, classes).protocols
    return score_landmarks(rows, classes, settings.thresholds)


def score_landmarks(
    rows: CaseRows, classes: Sequence[str], thresholds: Thresholds
) -> tuple[ProtocolScores, ...]:
    """Scores of landmarks without those at a fold's own threshold, and without curve lengths.

    The case table doesn't have the lengths.
    """
    (scores,) = landmark_scorer.from_cases(rows, classes, **thresholds).protocols
    for figures in (scores.scores, scores.target_score, *scores.per_class.values()):
        for name in AT_FOLD_THRESHOLD:
            figures.pop(name, None)
    return (scores,)
