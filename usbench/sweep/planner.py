"""A sweep: every cell is resolved and stored before the first one starts, then Hydra's launcher runs what is missing.

Hydra composes a multirun's jobs when they start, so an edit in between would leak in; its launchers know no results.
So this callback, before Hydra's sweeper splits the command, resolves all cells, looks each up in the ledger, and leaves
to the launcher one job per missing cell: `cell=KEY`, whose stored form any worker reads. At the end the ledger, not the
launcher, says what became of them.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import json
import re
import sys
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from hydra import compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from usbench.errors import ConfigError, UnsuitableError, UsbenchError
from usbench.io.console import say, table, track, warn
from usbench.runner import resources as workers
from usbench.runner.plan import names_of, one_line, other, resolved, tuned
from usbench.sweep import search

BASIC = f"{BasicSweeper.__module__}.{BasicSweeper.__name__}"
NUMBERED, REFERS = re.compile(r"(seed|fold)=(0|[1-9]\d*)"), re.compile(r"\$\{[^}]*\b(seed|fold)\b")
FOLDER = "sweep"  # below runs: stored jobs, plans


@dataclass
class Job:
    """One combination of a sweep. cell: None where there can be none, and why; then: evaluations after the training;
    name: the words that tell it from the others."""

    words: tuple[str, ...]
    cell: dict[str, Any] | None = None
    then: list[dict[str, Any]] = field(default_factory=list)
    skipped: str = ""
    failed: str = ""
    name: str = ""

    @property
    def cells(self) -> list[dict[str, Any]]:
        """The training and its evaluations."""
        return [self.cell, *self.then] if self.cell else []


@dataclass
class Sweep:
    """The sweep of this process, between its plan and its end."""

    jobs: list[Job]
    remote: bool  # whether they are run by a cluster


current: Sweep | search.Search | None = None  # Hydra gives a callback's result to nobody


class Planner(Callback):  # type: ignore[misc]
    """Hydra's callback: turns a multirun's combinations into its missing cells."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """See the module. A search by Optuna begins, or goes on; any other sweeper is left alone."""
        global current
        tuned_by_optuna = search.is_search(config)
        if not tuned_by_optuna and (config.hydra.sweeper._target_ != BASIC or config.list):
            return
        try:
            if tuned_by_optuna:
                current = search.begin(config)
                return
            missing = begin(config)
        except UsbenchError as wrong:
            warn(str(wrong))
            sys.exit(wrong.exit_code)
        except (HydraException, OmegaConfBaseException) as wrong:
            warn(one_line(wrong))
            sys.exit(2)
        except Exception:  # noqa: BLE001  (Hydra would warn, and run the combinations as they are)
            traceback.print_exc()
            sys.exit(1)
        if not missing:
            sys.exit(end())
        runs = search.quoted(str(Path(str(config.runs)).absolute()))
        with read_write(config), open_dict(config):
            config.hydra.overrides.task = [
                f"runs={runs}",
                "cell=" + ",".join(f"'{key}'" for key in missing),
            ]
            config.hydra.sweeper.params = None

    def on_job_start(self, config: DictConfig, **_: Any) -> None:
        """A search says which values it tries."""
        if isinstance(current, search.Search):
            search.announce(current, config.hydra.overrides.task)


def begin(config: DictConfig) -> list[str]:
    """Plan the sweep and store what is to be done; the keys of the jobs to start. plan=true: show it, start nothing."""
    global current
    room = workers.room(config.hydra.launcher)
    jobs = [planned(words, room) for words in track(combinations(config), "planning")]
    shared = set.intersection(*(set(job.words) for job in jobs)) if len(jobs) > 1 else set()
    for job in jobs:
        job.name = " ".join(bare(word) for word in job.words if word not in shared)
    current = Sweep(jobs, room.remote)
    only_plan, overwrite, again = (
        switch(config, name) for name in ("plan", "overwrite", "retry_failed")
    )
    keep(Path(str(config.runs)).absolute(), jobs)
    todo = [job for job in unique(jobs) if overwrite or waits(job, again)]
    if only_plan:
        from usbench.sweep import estimate

        estimate.show(jobs, [job.name for job in todo], max(1, min(room.places, len(todo))))
        current = None
        sys.exit(0)
    for place, job in enumerate(todo, 1):
        store(job, overwrite, room, f"{place} of {len(todo)}: {job.name}")
    if room.remote and todo:
        say(
            f"{len(todo)} cells go to the cluster; python scripts/status.py --watch shows how far they are"
        )
    return [str(job.cell["run_id"]) for job in todo if job.cell]


def combinations(config: DictConfig) -> list[tuple[str, ...]]:
    """The words of every job, as Hydra's own sweeper would split them; those of the sweep's YAML first."""
    given = OmegaConf.to_container(
        config.hydra.sweeper.params or OmegaConf.create({}), resolve=False
    )
    assert isinstance(given, dict)
    words = [f"{name!s}={value}" for name, value in given.items()]
    told: Any = OmegaConf.to_container(
        config.hydra.overrides.task, resolve=False
    )  # ${…} is for each cell to resolve
    words += told
    parsed = OverridesParser.create(GlobalHydra.instance().config_loader()).parse_overrides(words)
    return [tuple(job) for batch in BasicSweeper.split_arguments(parsed, None) for job in batch]


def planned(words: tuple[str, ...], room: workers.Room) -> Job:
    """One combination resolved. Raises ConfigError for words that are wrong whatever they are combined with."""
    plain = composed(words)
    try:
        plain, full = tuned(plain, words)
        one, plans = resolved(
            plain, [other(name, full) for name in names_of(plain["evaluate_on"])], room
        )
    except UnsuitableError as reason:
        return Job(words, skipped=brief_reason(reason))
    except (UsbenchError, OSError) as wrong:
        if isinstance(wrong, ConfigError):
            raise
        return Job(words, failed=str(wrong))
    return Job(words, one, plans)


def composed(words: tuple[str, ...]) -> dict[str, Any]:
    """The configuration of a combination. Hydra takes a tenth of a second, so combinations that differ in seed or fold
    alone share what it made, unless the configuration refers to them."""
    shared = tuple(word for word in words if not NUMBERED.fullmatch(word))
    plain, refers = _composed(shared)
    if refers:
        return _composed(words)[0]
    numbers = (word.split("=") for word in words if word not in shared)
    return {**copy.deepcopy(plain), **{name: int(value) for name, value in numbers}}


@functools.cache
def _composed(words: tuple[str, ...]) -> tuple[dict[str, Any], bool]:
    """(the configuration, whether a value of it is made of the seed or the fold)."""
    found = compose("config", list(words))
    plain: Any = OmegaConf.to_container(found, resolve=True)
    return plain, bool(REFERS.search(str(OmegaConf.to_container(found))))


def bare(word: str) -> str:
    """A dataset's or a model's name alone, other words as they are."""
    name, _, value = word.partition("=")
    return value if name in ("dataset", "model") else word


def brief_reason(reason: UnsuitableError) -> str:
    """Why a combination can't be, without the words of the combination and the advice to change it."""
    return str(reason).partition(": ")[2].partition(";")[0]


def unique(jobs: Sequence[Job]) -> list[Job]:
    """Jobs that can be run, each cell once: two combinations may mean the same."""
    return list({job.cell["run_id"]: job for job in reversed(jobs) if job.cell}.values())[::-1]


def waits(job: Job, retry_failed: bool) -> bool:
    """Whether there is something to do: missing, stale, or failed and to be tried again."""
    from usbench.runner import status as ledger

    states = {entry.state for entry in ledger.entries(job.cells)}
    return bool(
        states
        & ({"missing", "stale", "failed", "skipped"} if retry_failed else {"missing", "stale"})
    )


def switch(config: DictConfig, name: str) -> bool:
    """A key that is true or false; ConfigError for anything else."""
    if not isinstance(config[name], bool):
        raise ConfigError(f"{name}={config[name]}: true or false was wanted")
    return bool(config[name])


# ---- stored


def store(job: Job, overwrite: bool, room: workers.Room, place: str) -> None:
    """What a worker needs to know of a job, as a file below runs."""
    from usbench.results import store as results

    assert job.cell
    how = {
        "overwrite": overwrite,
        "per_gpu": room.per_gpu,
        "remote": room.remote,
        "where": str(Path.cwd()),
    }
    told = {"cell": job.cell, "then": job.then, **how, "place": place}
    text = yaml.dump(told, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
    results.write_all({stored(Path(job.cell["runs"]), job.cell["run_id"]): text.encode()})


def stored(runs: Path, key: str) -> Path:
    """Where a job lies."""
    return runs / FOLDER / f"{key}.yaml"


def read(runs: Path, key: str) -> dict[str, Any]:
    """A stored job; ConfigError where there is none."""
    path = stored(runs, key)
    try:
        found = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)
    except (OSError, yaml.YAMLError) as wrong:
        raise ConfigError(
            f"{path}: a cell stored by a sweep was wanted ({' '.join(str(wrong).split())})"
        ) from wrong
    return dict(found)


def keep(runs: Path, jobs: Sequence[Job]) -> None:
    """The plan, for scripts/status.py: enough of each cell to find it in the ledger."""
    from usbench.results import store as results

    rows = [
        {
            "name": job.name,
            "skipped": job.skipped,
            "failed": job.failed,
            "cells": [brief(one) for one in job.cells],
        }
        for job in jobs
    ]
    name = hashlib.sha256(json.dumps([job.words for job in jobs]).encode()).hexdigest()[:12]
    text = json.dumps({"jobs": rows}, ensure_ascii=False)
    results.write_all({runs / FOLDER / f"plan-{name}.json": text.encode()})


def brief(one: Mapping[str, Any]) -> dict[str, Any]:
    """What the ledger wants to know of a cell."""
    names = {part: {"name": one[part]["name"]} for part in ("dataset", "model")}
    return {
        **names,
        **{
            part: one[part]
            for part in ("task", "seed", "fold", "recipe", "run_id", "runs", "results")
        },
    }


# ---- the end


def end() -> int:
    """What became of the sweep: a table of what isn't done and why, and a line that counts. The exit code."""
    if isinstance(current, search.Search):
        return search.end(current)
    assert current
    rows, counts, twice = outcome(current.jobs)
    if rows:
        table("not done", ["cell", "state", "why"], rows)
    words = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
    say(f"{sum(counts.values())} cells: {words}" + (f"; work done twice: {twice}" if twice else ""))
    left = counts.keys() & {"failed", "missing", "stale", "running"}
    if again := sorted(left & {"missing", "stale"}):
        say(f"the same command again does what is {' or '.join(again)}")
    if current.remote and left - {"failed"}:
        say("cells that the cluster has still queued, or runs, go on there")
    if "failed" in left:
        say("with retry_failed=true it does what failed, too")
    return 1 if left else 0


def outcome(jobs: Sequence[Job]) -> tuple[list[list[str]], Counter[str], int]:
    """(a row for each cell that isn't done, cells by state, times that work was done twice)."""
    from usbench.runner import publication
    from usbench.runner import status as ledger

    rows, counts, twice = [], Counter[str](), 0
    for job in jobs:
        if not job.cell:
            state = "skipped" if job.skipped else "failed"
            counts[state] += 1
            rows.append([job.name, state, job.skipped or job.failed])
    for job in unique(jobs):
        for n, (one, found) in enumerate(zip(job.cells, ledger.entries(job.cells), strict=True)):
            counts[found.state] += 1
            twice += found.twice
            if found.state == "done":
                publication.tidy(one)
            name = job.name + (f" → {job.then[n - 1]['dataset']['name']}" if n else "")
            if found.state != "done":
                rows.append([name, found.state, found.words])
    return rows, counts, twice
