"""Case tables of several folds → the scores of all their cases together.

Each protocol averages in its own order over all cases (images per class, then classes; pixels;
every point once), and mAP is of the matches of all cases: never a mean of folds. Groups are
resampled for the intervals. Only protocols that case tables suffice for are scored here.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from operator import attrgetter, itemgetter
from pathlib import Path

from usbench.leaderboard.cache import Cache, key
from usbench.leaderboard.series import Pool
from usbench.leaderboard.settings import read_settings
from usbench.metrics.scores import ProtocolScores
from usbench.results import store
from usbench.results.case_scores import scorable_protocols, score_case_table
from usbench.results.result import Result, protocols_from_json, protocols_to_json

CaseRows = list[dict[str, str]]
# Scores at a threshold that each fold chose on its own validation images.
AT_FOLD_THRESHOLD = ("presence_f1", "false_presence")


def pool_cases(folder: Path, cache: Cache) -> Pool:
    """How folds are pooled.

    Args:
        folder: where the results and their case tables lie.
        cache: scores that are known already.
    """

    def pool(folds: Sequence[Result]) -> Sequence[ProtocolScores]:
        if not all(map(attrgetter("cases"), folds)):
            return ()
        paths = [store.result_path(folder, result) for result in folds]
        digests = list(map(store.hash_cases, paths, folds))
        settings = read_settings(folds[0])
        protocols = pooled_protocols(folds[0])
        facts = key("pooled", digests, settings.classes, protocols, settings.metric)
        content = cache.get(facts)
        if content is None:
            content = protocols_to_json(
                score_folds(list(map(store.read_cases, paths, folds)), folds[0], protocols)
            )
            cache.put(facts, content)
        return protocols_from_json(content)

    return pool


def pooled_protocols(result: Result) -> list[str]:
    """The result's protocols that a case table suffices for, where their version is the code's."""
    rules = scorable_protocols(result.task)
    names = []
    for scores in result.protocols:
        rule = rules.get(scores.name)
        if rule is not None and rule.version == scores.version:
            names.append(scores.name)
    return names


def score_folds(
    tables: Sequence[CaseRows], result: Result, protocols: Sequence[str]
) -> tuple[ProtocolScores, ...]:
    """Scores of all tables' cases together, by the protocols; () where a case is in two of them.

    Scores at a threshold of a fold's own are left out.
    """
    rows = list(chain.from_iterable(tables))
    cases = [set(map(itemgetter("case"), table)) for table in tables]
    if not protocols or len(set().union(*cases)) < sum(map(len, cases)):
        return ()
    settings = read_settings(result)
    scored = score_case_table(rows, result.task, settings.classes, protocols, settings.metric)
    first = scored.protocol
    for figures in (first.scores, first.target_score, *first.per_class.values()):
        for name in AT_FOLD_THRESHOLD:
            figures.pop(name, None)
    return scored.protocols
