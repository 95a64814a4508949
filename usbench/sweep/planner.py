"""Hydra's callback for a sweep: every run is resolved and stored before the first one starts.

Hydra composes a multirun's jobs when they start, so an edit in between would leak in, and its
launchers know no results. So this callback, before Hydra's sweeper splits the command, plans all
jobs, looks up their status, and leaves to the launcher one job per missing run: `planned=RUN_ID`,
whose stored form any worker reads. At the end the status, not the launcher, tells what became of
them.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import re
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from usbench.errors import ConfigError, Finished, UsbenchError
from usbench.io.config import (
    HYDRA_ERRORS,
    Composed,
    compose_unresolved,
    explain,
    grid_combinations,
    sweep_parameters,
    task_overrides,
    to_plain_data,
)
from usbench.io.console import say, track, warn
from usbench.io.files import canonical_json
from usbench.io.overrides import quote
from usbench.runner.folders import check_folders
from usbench.runner.recipes import check_recipe_overrides
from usbench.runner.resources import launcher_resources
from usbench.runner.tracking.sweeps import SweepRun, open_sweep_run
from usbench.sweep import studies
from usbench.sweep.estimate import show_plan
from usbench.sweep.jobs import (
    Job,
    StoredJob,
    Sweep,
    name_jobs,
    plan_job,
    store_job,
    unique_jobs,
    write_plan,
)
from usbench.sweep.search import Search, begin_search

NUMBERED = re.compile(r"(seed|fold)=(0|[1-9]\d*)")
WAYS = ("overwrite", "plan", "retry_failed", "tracking", "debug")  # of doing the same sweep
REFERENCE = re.compile(r"\$\{[^}]*\b(seed|fold)\b")

# Hydra makes the callback and returns its result to nobody, so the command lends it a list.
_sweeps: ContextVar[list[Sweep | Search]] = ContextVar("sweeps")


@contextmanager
def collect_sweeps() -> Iterator[list[Sweep | Search]]:
    """Around Hydra's run: the list is filled with the sweep that the command turns out to be."""
    sweeps: list[Sweep | Search] = []
    token = _sweeps.set(sweeps)
    try:
        yield sweeps
    finally:
        _sweeps.reset(token)
        for sweep in sweeps:
            if isinstance(sweep, Search):
                sweep.lock.release()


class Planner(Callback):  # type: ignore[misc]
    """Turns a multirun's combinations into its missing runs, or begins a search by Optuna."""

    def on_multirun_start(self, config: DictConfig, **_: object) -> None:
        """Plan the sweep; any sweeper but Hydra's own and Optuna's is left alone.

        Raises:
            Finished: nothing is to be done, or something is wrong, which has been reported.
        """
        sweeper = str(config.hydra.sweeper._target_).rpartition(".")[2]
        try:
            if sweeper == "OptunaSweeper":
                begin_optuna_search(config)
            elif sweeper == "BasicSweeper":
                begin_sweep(config)
        except UsbenchError as error:
            warn(str(error))
            raise Finished(error.exit_code) from error
        except HYDRA_ERRORS as error:
            warn(explain(error))
            raise Finished(2) from error
        except Exception as error:  # Hydra would only warn, and run the combinations as they are
            traceback.print_exc()
            raise Finished(1) from error

    def on_job_start(self, config: DictConfig, **_: object) -> None:
        """A search prints which values it tries."""
        for sweep in _sweeps.get([]):
            if isinstance(sweep, Search):
                sweep.announce(config.hydra.overrides.task)


def begin_sweep(config: DictConfig) -> None:
    """Plan a sweep, store what is to be done and leave it to Hydra's launcher.

    Raises:
        Finished: plan=true, or nothing is to be done.
    """
    resources = launcher_resources(config.hydra.launcher)
    overrides = track(grid_combinations(config), "planning")
    jobs = name_jobs([plan_job(job, compose_job, resources) for job in overrides])
    recipes = {job.plan.config.recipe for job in jobs if job.plan and job.plan.config.recipe}
    for job in jobs if recipes else ():
        check_recipe_overrides(recipes, job.overrides)
    runs = Path(str(config.runs)).absolute()
    write_plan(runs, jobs)
    to_do = unique_jobs(jobs)
    if not config.overwrite:
        to_do = [job for job in to_do if job.is_waiting(config.retry_failed)]
    for job in to_do:
        for run in job.configs:
            check_folders(run)
    if config.plan:
        places = max(1, min(resources.places, len(to_do)))
        show_plan(jobs, [job.name for job in to_do], places, config.overwrite)
        raise Finished(0)
    if not to_do:
        raise Finished(Sweep(jobs, resources.remote).finish())
    sweep = Sweep(jobs, resources.remote, track_sweep(runs, jobs, to_do, task_overrides(config)))
    run_ids = []
    for n, job in enumerate(to_do, 1):
        plan = sweep.below_its_run(job)
        run_ids.append(quote(plan.config.run_id))
        given = (config.overwrite, resources.per_gpu, resources.remote, str(Path.cwd()))
        store_job(StoredJob(plan, *given, f"{n} of {len(to_do)}: {job.name}"))
    if resources.remote:
        say(f"{len(to_do)} runs go to the cluster; usbench status --watch shows them")
    _sweeps.get([]).append(sweep)
    with read_write(config), open_dict(config):
        config.hydra.overrides.task = [f"runs={quote(str(runs))}", f"planned={','.join(run_ids)}"]
        config.hydra.sweeper.params = None


def track_sweep(
    runs: Path, jobs: Sequence[Job], to_do: Sequence[Job], command: Sequence[str]
) -> SweepRun | None:
    """The sweep's run in MLflow, one for all starts of the sweep; None where no run is tracked.

    Args:
        runs: the folder of all runs.
        jobs: of the sweep.
        to_do: those that this command does.
        command: its overrides, which become the run's name.

    Raises:
        RunError: the store can't be used.
    """
    if not any(job.plan and job.plan.config.tracking == "mlflow" for job in to_do):
        return None
    table = [list(without_ways(job.overrides)) for job in jobs]
    sweep_id = hashlib.sha256(canonical_json(table).encode()).hexdigest()[:12]
    return open_sweep_run(runs, sweep_id, " ".join(without_ways(command)))


def without_ways(overrides: Iterable[str]) -> Iterator[str]:
    """Overrides without those that say how often and how the same runs are done."""
    return (override for override in overrides if override.partition("=")[0] not in WAYS)


def begin_optuna_search(config: DictConfig) -> None:
    """Begin or resume a search and leave the missing trials to Optuna's sweeper.

    Raises:
        Finished: plan=true, or no trial is missing.
        ConfigError: grids, which a search can't have.
    """
    if config.grids is not None:
        raise ConfigError("grids: a search has one; use hydra.sweeper.params")
    search = begin_search(
        [*sweep_parameters(config), *task_overrides(config)],
        config.hydra.sweeper.n_trials,
        launcher_resources(config.hydra.launcher),
    )
    _sweeps.get([]).append(search)
    if search.missing <= 0:
        raise Finished(search.finish())
    done = f"{search.study.completed} of {search.n_trials} trials are done"
    say(f"study {search.name}: {done}; {search.url.removeprefix(studies.FILE)}")
    with read_write(config), open_dict(config):
        sweeper = config.hydra.sweeper
        sweeper.storage, sweeper.study_name = search.url, search.name
        sweeper.direction, sweeper.n_trials = "maximize", search.missing
        if "seed" in sweeper.sampler:  # a sampler that resumes must not draw the same numbers again
            sweeper.sampler.seed = (sweeper.sampler.seed or 0) + search.study.begun
        config.hydra.sweep.dir = str(search.folder)
        task = task_overrides(config)
        config.hydra.overrides.task = [*task, *search.trial_overrides(task)]


def compose_job(overrides: tuple[str, ...]) -> Composed:
    """The configuration of one combination.

    Hydra takes a tenth of a second, so combinations that differ in seed or fold alone share what it
    composed, unless a value refers to them.
    """
    shared, numbers = [], {}
    for override in overrides:
        if match := NUMBERED.fullmatch(override):
            numbers[match[1]] = int(match[2])
        else:
            shared.append(override)
    composed, refers = compose_cached(tuple(shared))
    return compose_cached(overrides)[0] if refers else {**copy.deepcopy(composed), **numbers}


@functools.cache
def compose_cached(overrides: tuple[str, ...]) -> tuple[Composed, bool]:
    """(the configuration, whether a value of it depends on the seed or the fold)."""
    config = compose_unresolved(overrides)
    return to_plain_data(config), bool(REFERENCE.search(str(OmegaConf.to_container(config))))
