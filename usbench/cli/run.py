"""What the command does with a configuration: plan a run, find its result, or launch it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from usbench.cli.ending import report_error
from usbench.errors import ConfigError, DataError, Finished, RunError, UsbenchError
from usbench.io.config import (
    Composed,
    in_multirun,
    job_launcher,
    job_overrides,
    to_plain_data,
)
from usbench.io.console import say, warn
from usbench.results.format import format_with_interval
from usbench.results.result import Result
from usbench.runner.config import RunConfig
from usbench.runner.folders import check_folders, try_folders
from usbench.runner.launch import INTERRUPTED, launch_run
from usbench.runner.lock import lock_path, read_holder
from usbench.runner.plan import Plan, plan_run
from usbench.runner.publish import remove_leftovers
from usbench.runner.recipes import check_recipe_overrides
from usbench.runner.report import PHANTOM_NOTICE, report_result
from usbench.runner.resources import launcher_resources
from usbench.runner.status import (
    RunStatus,
    asks_for_more,
    find_result,
    finished_result,
    run_status,
)
from usbench.runner.transfer import settle_transfer
from usbench.sweep.estimate import show_plan
from usbench.sweep.jobs import Job, read_job, to_score_again
from usbench.sweep.studies import plan_tuned_run

LOOK_S = 1.0  # between two looks at another host's lock


class FailedRunError(UsbenchError):
    """The child process failed and has said why, so the message is empty.

    Args:
        exit_code: the child's.
        reason: why it failed, for a caller that can't see what the child has said.
    """

    def __init__(self, exit_code: int, reason: str = "") -> None:
        super().__init__("")
        self.exit_code = exit_code
        self.reason = reason


def run_job(config: object) -> float | None:
    """Do what one composed configuration says; Hydra's task.

    Args:
        config: OmegaConf's.

    Returns:
        The selection metric on validation, for sweepers; None where nothing was trained.

    Raises:
        Finished: a single run failed, which has been reported in one line.
        FailedRunError: a job of a multirun failed; Hydra then does the next one.
    """
    composed = to_plain_data(config)
    try:
        if composed["planned"]:
            run_stored_job(Path(composed["runs"]), str(composed["planned"]))
            return None
        if composed["study"] and in_multirun():
            return run_trial(composed)
        return run_single(composed)
    except Exception as error:  # noqa: BLE001
        code = report_error(error)
        if in_multirun():
            raise FailedRunError(code) from None
        raise Finished(code) from None


def run_single(composed: Composed) -> float | None:
    """Do a run and its evaluations, unless they were done before; see `run_job`."""
    if composed["grids"] and not in_multirun():
        raise ConfigError("grids: expected a sweep's file, sweep=NAME, got a single run")
    plan = plan_tuned_run(composed, job_overrides())
    if plan.config.recipe and not in_multirun():
        check_recipe_overrides({plan.config.recipe}, job_overrides())
    if composed["plan"]:
        for config in unfinished(plan.configs, composed["overwrite"]):
            check_folders(config)
        name = f"{plan.config.dataset.name} {plan.config.model.name}"
        job = Job((), plan, name=name)
        to_do = [name] if job.is_waiting(retry_failed=True) else []
        show_plan([job], to_do, 1, composed["overwrite"])
        return None
    return selection_score(do_plan(plan, composed))


def do_plan(plan: Plan, composed: Composed) -> Result:
    """Do a planned run and its evaluations, unless they were done before; the training's result.

    Args:
        plan: of the run.
        composed: the configuration that it was planned from.

    Raises:
        FailedRunError: the child process of the run, or of an evaluation, failed.
        RunError: a folder can't be written.
    """
    config, overwrite = plan.config, bool(composed["overwrite"])
    for evaluation in unfinished(plan.evaluations, overwrite):  # before the training, not after
        try_folders(evaluation)
    result = find_or_run(config, overwrite)
    score = selection_score(result)
    for evaluation in plan.evaluations:
        find_or_run(settle_transfer(evaluation, config, score), overwrite)
    return result


def unfinished(configs: Iterable[RunConfig], overwrite: bool) -> list[RunConfig]:
    """The runs that are to be done."""
    return [config for config in configs if overwrite or finished_result(config.address) is None]


def run_trial(composed: Composed) -> float | None:
    """Do a trial of a search, which learns nothing but the selection metric on validation."""
    resources = launcher_resources(job_launcher())
    plan = plan_run(composed, job_overrides(), None if resources.remote else resources)
    trial = replace(plan.config, study=str(composed["study"]))
    result = finished_result(trial.address) or launch_and_load(trial, False, resources.per_gpu)
    return selection_score(result)


def selection_score(result: Result) -> float | None:
    """The selection metric on validation."""
    return result.validation.value if result.validation else None


def run_stored_job(runs: Path, run_id: str) -> None:
    """Do a run that a sweep has stored, and its evaluations; the status tells what came of it."""
    job = read_job(runs, run_id)
    trained = job.plan.config
    say(f"run {job.place}")
    for config in job.plan.configs:
        status = run_status(config.address)
        if status.state == "running" and job.remote:
            status = wait_for_holder(config)
        if status.state == "running":
            say(f"{config.run_id}: done by {status.reason}")
            return
        if status.is_done and not job.overwrite:
            if to_score_again(config, status):
                score_again_if_possible(config)
            continue
        if config.transfer:
            result = finished_result(trained.address)
            if result is None:
                return
            config = settle_transfer(config, trained, selection_score(result))
        if launch_run(config, job.overwrite, job.per_gpu, job.folder) == INTERRUPTED:
            raise KeyboardInterrupt


def wait_for_holder(config: RunConfig) -> RunStatus:
    """Wait until a running run's holder gives a sign of life, or is silent for its lease.

    A cluster starts a run anew when its node has died, whose lock still stands for a while.
    """
    path, silent_s = lock_path(config.run_dir), 0.0
    while (holder := read_holder(path)) and not holder.stale and holder.silent_s >= silent_s:
        silent_s = holder.silent_s
        time.sleep(LOOK_S)
    return run_status(config.address)


def find_or_run(config: RunConfig, overwrite: bool) -> Result:
    """The run's result: an earlier one, or made by a child process."""
    result = finished_result(config.address)
    if result is None or overwrite:
        return launch_and_load(config, overwrite)
    remove_leftovers(config.address)
    if asks_for_more(config.metric, result.config["metric"]):
        return score_again(config, result)
    assert result.primary
    score = format_with_interval(result.scores[result.primary.name], result.primary.name)
    phantom = f"; {PHANTOM_NOTICE}" if result.data.phantom else ""
    say(
        f"done already: {find_result(config.address)} ({result.primary.name} {score}{phantom}); "
        "overwrite=true does it again"
    )
    return result


def score_again(config: RunConfig, result: Result) -> Result:
    """Score a finished run's predictions by the metric that is asked for now, and report it."""
    from usbench.evaluate.other_metric import score_by_other_metric  # slow to import

    say(f"scoring the predictions of the finished run {config.run_id}; nothing is trained")
    result, path = score_by_other_metric(config, result)
    report_result(result, path, ())
    return result


def score_again_if_possible(config: RunConfig) -> None:
    """In a sweep, a run whose predictions are on another machine keeps its figures."""
    result = finished_result(config.address)
    if result is None:
        return
    try:
        score_again(config, result)
    except (RunError, DataError) as error:
        warn(f"{config.run_id} isn't scored by the metric that is asked for: {error}")


def launch_and_load(config: RunConfig, overwrite: bool, per_gpu: int = 0) -> Result:
    """The result that a child process makes of the run. per_gpu: see `launch_run`."""
    code = launch_run(config, overwrite, per_gpu)
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if code:
        status = run_status(config.address)
        name = f"run {config.run_id} ({config.dataset.name}, {config.model.name})"
        raise FailedRunError(code, f"{name}: {status.state}, {status.reason}")
    result = finished_result(config.address)
    if result is None:
        raise RunError(
            f"the run ended well but left no result in {config.results}; was it removed meanwhile?"
        )
    return result
