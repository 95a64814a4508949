"""The jobs of a sweep: planned before the first one starts, stored below runs, counted at the end.

runs/sweep/<run id>.yaml     what a worker needs to know of a job
runs/sweep/plan-<id>.json    the whole table, for `usbench status`
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import yaml

from usbench.errors import ConfigError, DataError, UnsuitableError, UsbenchError, in_one_line
from usbench.io.config import Composed
from usbench.io.console import say, table
from usbench.io.files import JsonObject, write_atomically
from usbench.io.numbers import format_count
from usbench.runner.config import RunAddress, RunConfig
from usbench.runner.plan import Plan
from usbench.runner.publish import remove_leftovers
from usbench.runner.resources import Resources
from usbench.runner.status import RunStatus, State, asks_for_more, run_statuses
from usbench.runner.tracking.sweeps import SweepRun
from usbench.sweep.studies import plan_tuned_run

FOLDER = "sweep"  # below runs
TO_DO = {"missing", "stale"}
TO_RETRY = {"failed", "skipped"}  # with retry_failed=true
UNFINISHED = {"failed", "missing", "stale", "running"}


@dataclass(frozen=True)
class Job:
    """One combination of a sweep: a training and its evaluations, or why there can be none."""

    overrides: tuple[str, ...]
    plan: Plan | None = None
    skipped: str = ""  # why it can't be
    failed: str = ""  # why it couldn't be planned
    name: str = ""  # the overrides that tell it from the others

    @property
    def configs(self) -> list[RunConfig]:
        """The training and its evaluations."""
        return self.plan.configs if self.plan else []

    def statuses(self) -> Iterator[tuple[str, RunConfig | None, RunStatus]]:
        """(name, run, status) of the training and of its evaluations, or why there are none."""
        if not self.plan:
            state: State = "skipped" if self.skipped else "failed"
            yield self.name, None, RunStatus(state, self.skipped or self.failed)
        statuses = run_statuses([config.address for config in self.configs])
        for config, status in zip(self.configs, statuses, strict=True):
            elsewhere = f" → {config.dataset.name}" if config.transfer else ""
            yield self.name + elsewhere, config, status

    def is_waiting(self, retry_failed: bool) -> bool:
        """Whether a run of it is to be done."""
        states = TO_DO | TO_RETRY if retry_failed else TO_DO
        return any(
            status.state in states or to_score_again(config, status)
            for _, config, status in self.statuses()
        )


def to_score_again(config: RunConfig | None, status: RunStatus) -> bool:
    """Whether a run has finished, but its metric lacks figures that are asked for now."""
    if config is None or status.metric is None:
        return False
    return asks_for_more(config.metric, status.metric)


def plan_job(
    overrides: tuple[str, ...],
    compose: Callable[[tuple[str, ...]], Composed],
    resources: Resources,
) -> Job:
    """Plan one combination. Raises ConfigError for overrides that are wrong in any combination."""
    try:
        return Job(overrides, plan_tuned_run(compose(overrides), overrides, resources))
    except UnsuitableError as error:
        return Job(overrides, skipped=error.reason)
    except ConfigError:
        raise
    except (UsbenchError, OSError) as error:
        return Job(overrides, failed=str(error))


def name_jobs(jobs: Sequence[Job]) -> list[Job]:
    """Jobs named by the overrides that they don't all have; a single one by all of its own."""
    shared = set.intersection(*(set(job.overrides) for job in jobs)) if len(jobs) > 1 else set()
    named = []
    for job in jobs:
        parts = [brief_override(override) for override in job.overrides if override not in shared]
        named.append(replace(job, name=" ".join(parts)))
    return named


def brief_override(override: str) -> str:
    """A dataset's or a model's name alone, other overrides as they are."""
    key, _, value = override.partition("=")
    return value if key in ("dataset", "model") else override


def unique_jobs(jobs: Sequence[Job]) -> list[Job]:
    """Jobs that can be run, each run once: two combinations may mean the same."""
    unique: dict[str, Job] = {}
    for job in jobs:
        if job.plan:
            unique.setdefault(job.plan.config.run_id, job)
    return list(unique.values())


# ---- stored


@dataclass(frozen=True)
class StoredJob:
    """What a worker needs to know of a job."""

    plan: Plan
    overwrite: bool
    per_gpu: int  # runs that share a GPU, see `Resources`
    remote: bool  # the launcher's cluster runs it
    folder: str  # the working directory
    place: str  # in the sweep, for people


def store_job(job: StoredJob) -> None:
    """Store a job below runs."""
    config = job.plan.config
    content: JsonObject = {
        "config": config.to_mapping(),
        "evaluations": [evaluation.to_mapping() for evaluation in job.plan.evaluations],
        **vars(job),
    }
    del content["plan"]
    path = config.runs / FOLDER / f"{config.run_id}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(
        path, yaml.dump(content, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
    )


def read_job(runs: Path, run_id: str) -> StoredJob:
    """A stored job. Raises ConfigError where there is none."""
    path = runs / FOLDER / f"{run_id}.yaml"
    try:
        content: JsonObject = yaml.load(path.read_text("utf-8"), Loader=yaml.CSafeLoader)
        config = RunConfig.from_mapping(content.pop("config"))
        evaluations = tuple(map(RunConfig.from_mapping, content.pop("evaluations")))
        return StoredJob(Plan(config, evaluations), **content)
    except (OSError, yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path}: expected a run stored by a sweep ({in_one_line(error)})"
        ) from error


PLAN_TEXTS = ("name", "skipped", "failed")  # keys of a plan's job
RUN_TEXTS = ("dataset", "task", "model", "run_id", "results")  # keys of a job's run


@dataclass(frozen=True)
class PlannedJob:
    """A job as the plan's file has it: enough to find its runs."""

    name: str
    skipped: str
    failed: str
    runs: tuple[RunAddress, ...]

    @classmethod
    def from_json(cls, content: JsonObject, runs: Path) -> PlannedJob:
        """A job of a plan. runs: where the runs' folders are now. TypeError for other types."""
        for node, keys in ((content, PLAN_TEXTS), *((run, RUN_TEXTS) for run in content["runs"])):
            for key in keys:
                if not isinstance(node[key], str):
                    raise TypeError(f"{key}: {node[key]!r:.80} where a text was expected")
        addresses = [
            RunAddress(**{**node, "runs": runs.absolute(), "results": Path(node["results"])})
            for node in content["runs"]
        ]
        return cls(content["name"], content["skipped"], content["failed"], tuple(addresses))


def write_plan(runs: Path, jobs: Sequence[Job]) -> None:
    """Store the plan of a sweep, for its status."""
    rows = []
    for job in jobs:
        runs_of_job = tuple(config.address for config in job.configs)
        rows.append(asdict(PlannedJob(job.name, job.skipped, job.failed, runs_of_job)))
    overrides = json.dumps([job.overrides for job in jobs])
    path = runs / FOLDER / f"plan-{hashlib.sha256(overrides.encode()).hexdigest()[:12]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps({"jobs": rows}, ensure_ascii=False, default=str))


def read_plan(runs: Path, path: Path | None = None) -> list[PlannedJob]:
    """The jobs of a sweep's plan.

    Args:
        runs: the folder of all runs.
        path: of the plan; None: the newest below runs.

    Raises:
        DataError: there is no plan, or the file is something else.
    """
    folder = runs / FOLDER
    plans = sorted(folder.glob("plan-*.json"), key=lambda plan: plan.stat().st_mtime_ns)
    if path is None and not plans:
        raise DataError(
            f"{folder}: expected the plan of a sweep, found none; begin a sweep with -m or sweep=, "
            "or name its folder of runs with --runs"
        )
    path = path or plans[-1]
    try:
        content = json.loads(path.read_text("utf-8"))
        return [PlannedJob.from_json(job, runs) for job in content["jobs"]]
    except OSError as error:
        raise DataError(
            f"{path}: expected the plan of a sweep, got no file that can be read "
            f"({error.strerror}); plans are {folder}/plan-*.json"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(
            f"{path}: expected the plan of a sweep, got {reason}; begin one with -m or sweep="
        ) from error


# ---- the sweep of a command


@dataclass
class Sweep:
    """The sweep of this command, between its plan and its end."""

    jobs: list[Job]
    remote: bool  # whether a cluster runs the jobs
    tracked: SweepRun | None = None  # the parent of its runs in MLflow; None: they aren't tracked

    def below_its_run(self, job: Job) -> Plan:
        """A job's plan, its run a child of the sweep's."""
        assert job.plan
        parent = self.tracked.run_id if self.tracked else None
        return replace(job.plan, config=replace(job.plan.config, parent=parent))

    def finish(self) -> int:
        """Print what isn't done and why, and counts; the exit code."""
        states: Counter[str] = Counter()
        rows, lost = [], 0
        for job in (*(job for job in self.jobs if not job.plan), *unique_jobs(self.jobs)):
            for name, config, status in job.statuses():
                states[status.state] += 1
                lost += status.lost
                if not status.is_done:
                    rows.append([name, status.state, status.reason])
                elif config:
                    remove_leftovers(config.address)
        if rows:
            table("not done", ["run", "state", "why"], rows)
        counts = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
        say(
            f"{format_count(states.total(), 'run')}: {counts}"
            + (f"; work done twice: {lost}" if lost else "")
        )
        unfinished = states.keys() & UNFINISHED
        if to_do := sorted(unfinished & TO_DO):
            say(f"the same command again does what is {' or '.join(to_do)}")
        if self.remote and unfinished - {"failed"}:
            say("runs that the cluster has queued, or runs, continue there")
        if "failed" in unfinished:
            say("with retry_failed=true it does what failed, too")
        if self.tracked:
            self.tracked.end("FAILED" if unfinished else "FINISHED")
        return 1 if unfinished else 0
