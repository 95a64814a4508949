"""A finished run scored by another metric than its own, from its stored predictions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from usbench import __version__
from usbench.evaluate.rescore import with_earlier_calibration
from usbench.evaluate.stored_run import open_stored_run
from usbench.results.build import build_result
from usbench.results.result import Result
from usbench.results.store import hash_case_ids, result_path, save_result
from usbench.runner import machine
from usbench.runner.config import RunConfig, write_config
from usbench.runner.facts import reported_scores


def score_by_other_metric(config: RunConfig, result: Result) -> tuple[Result, Path]:
    """Score a finished run by the metric of a new command; nothing is trained.

    The result and the run's configuration then hold this metric in place of the earlier one.

    Args:
        config: of the command; it has the run's id, and may have other folders.
        result: of the run.

    Returns:
        (the result, its path).

    Raises:
        RunError, DataError: as `open_stored_run`.
    """
    run = open_stored_run(result, result_path(config.results, result), config.runs)
    scores = run.score(config.metric)
    if run.kept is not None:
        scores = with_earlier_calibration(scores, result.protocol)
    asked = replace(
        run.config, metric=config.metric, overrides=config.overrides, results=config.results
    )
    dataset = asked.dataset
    facts = replace(
        result, config=asked.public_mapping(), scored_by=machine.code_state(__version__)
    )
    new = build_result(facts, reported_scores(asked, scores, run.dataset))
    path = save_result(
        config.results, new, hash_case_ids(scores.cases, dataset.redistribute, dataset.name)
    )
    write_config(asked.to_mapping(), asked.path)  # for `usbench leaderboard --rescore`
    return new, path
